"""Standardizing columns, and undoing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.robust_scale import targets_scale, weighted_median

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
        """To mean 0 and standard deviation 1 over the rows of `values` (n, n_columns); weights (n,) or
        (n, n_columns) count as repeated rows.  A constant column is only shifted: its scale is 1.  NaN, and
        what has no weight, counts nowhere; a column of nothing else is left as it is.

        No threshold is absolute and no square is taken before the spread is divided out, so that columns of
        size 1e-150 or 1e150 are treated like any other.
        """
        values, weights = _measured(values, weights)
        middle, unit, varies = _span(values)
        z = (values - middle) / unit  # in [-1, 1]
        mean = np.average(z, axis=0, weights=weights)
        sd = np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weights))
        return cls(np.where(varies, middle + unit * mean, middle), np.where(varies, unit * sd, 1.0))

    @classmethod
    def robust(cls, values: FloatArray, weights: FloatArray | None = None) -> Scaler:
        """The same by medians, the standard deviation from the median absolute deviation: gross errors in
        less than half of the entries of a column hardly move it.  For targets of a robust loss.

        Examples
        --------
        >>> Scaler.robust(np.array([[1.0], [2.0], [3.0], [4.0], [1e9]])).offset
        array([3.])
        """
        values, weights = _measured(values, weights)
        middle, unit, varies = _span(values)
        z = ((values - middle) / unit).T
        entries = np.ones_like(z) if weights is None else np.broadcast_to(weights.T, z.shape)
        median = np.array([weighted_median(v, s) for v, s in zip(z, entries, strict=True)])
        scale = np.where(varies, unit * targets_scale(z, entries), 1.0)
        return cls(np.where(varies, middle + unit * median, middle), scale)

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


def _span(values: FloatArray) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Of every column the middle, the spread, and whether it is more than rounding; else it is given as 1."""
    # The exact middle first, so that a constant column gives exact zeros; halves, so that none overflows.
    low, high = 0.5 * values.min(axis=0), 0.5 * values.max(axis=0)
    spread = high - low
    varies = spread > _SAME * np.maximum(np.abs(low), np.abs(high))
    return low + high, np.where(varies, spread, 1.0), varies


def _measured(values: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray | None]:
    """Values in which what does not count is another value of its column, and weights that are 0 there."""
    counts = ~np.isnan(values)
    if weights is not None and weights.ndim == 2:
        counts &= weights > 0
    elif counts.all():
        return values, weights
    given = 1.0 if weights is None else weights if weights.ndim == 2 else weights[:, None]
    entries = np.where(counts, given, 0.0)
    empty = ~counts.any(axis=0)
    entries[:, empty] = 1.0
    some = np.where(empty, 0.0, values[counts.argmax(axis=0), np.arange(values.shape[1])])
    return np.where(counts, values, some), entries
