"""Standardizing columns, and undoing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray

_SAME = 8.0 * np.finfo(float).eps
"""A column whose spread is below this fraction of its largest entry is constant: the rest is rounding."""


@dataclass(frozen=True)
class Scaler:
    """(x − offset) / scale, column by column.

    Examples
    --------
    >>> scaler = Scaler.standard(np.array([[1e12, 5.0], [3e12, 5.0]]))
    >>> scaler
    Scaler(offset=array([2.e+12, 5.e+00]), scale=array([1.e+12, 1.e+00]))
    >>> scaler.transform(np.array([[4e12, 6.0]]))
    array([[2., 1.]])
    """

    offset: FloatArray
    """(n_columns,)."""
    scale: FloatArray
    """(n_columns,), never 0."""

    @classmethod
    def standard(cls, values: FloatArray, weights: FloatArray | None = None) -> Scaler:
        """To mean 0 and standard deviation 1 over the rows of `values` (n, n_columns); weights (n,) count as
        repeated rows.  A constant column is only shifted: its scale is 1.

        No threshold is absolute and no square is taken before the spread is divided out, so that columns of
        size 1e-150 or 1e150 are treated like any other.
        """
        # The exact middle first, so that a constant column gives exact zeros; halves, so that none overflows.
        low, high = 0.5 * values.min(axis=0), 0.5 * values.max(axis=0)
        middle, spread = low + high, high - low
        varies = spread > _SAME * np.maximum(np.abs(low), np.abs(high))
        unit = np.where(varies, spread, 1.0)
        z = (values - middle) / unit  # in [-1, 1]
        mean = np.average(z, axis=0, weights=weights)
        sd = np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weights))
        return cls(np.where(varies, middle + unit * mean, middle), np.where(varies, unit * sd, 1.0))

    @classmethod
    def identity(cls, n_columns: int) -> Scaler:
        """Leaves values as they are."""
        return cls(np.zeros(n_columns), np.ones(n_columns))

    def transform(self, values: FloatArray) -> FloatArray:
        """Values (n, n_columns) in scaled units; a new array."""
        return (values - self.offset) / self.scale

    def inverse(self, values: FloatArray) -> FloatArray:
        """Scaled values (n, n_columns) in their own units; a new array."""
        return values * self.scale + self.offset
