"""The rows of a fit: inputs, targets, weights and groups, kept together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.estimators.scaling import Scaler

_MOST_MERGED = 100_000
"""Sorting 11 columns of so many rows takes a tenth of a second."""


@dataclass(frozen=True)
class TrainingRows:
    """Inputs X (n, n_inputs), targets y (n, n_outputs), weights (n,) of the rows or (n, n_outputs) of the
    entries of y, or None for equal ones, and groups (n,) of rows that belong together, or None.  Where the
    weight of an entry is 0, it may be NaN."""

    X: FloatArray
    y: FloatArray
    weights: FloatArray | None = None
    groups: np.ndarray | None = None

    @classmethod
    def weighted(
        cls, X: FloatArray, y: FloatArray, weights: FloatArray | None, groups: np.ndarray | None = None
    ) -> TrainingRows:
        """Without the rows of weight zero, which must not count anywhere: not in means, not in ranges."""
        rows = cls(X, y, weights, groups)
        counted = rows.row_weights
        if counted is None or counted.all():
            return rows
        return rows.take(np.flatnonzero(counted))

    def __len__(self) -> int:
        return len(self.X)

    @property
    def total_weight(self) -> float:
        """The number of rows, counting a weight of 2 as two, and one output of two measured as half."""
        if self.weights is None:
            return float(len(self))
        return float(self.weights.sum()) / (1 if self.weights.ndim == 1 else self.weights.shape[1])

    @property
    def row_weights(self) -> FloatArray | None:
        """(n,): of a row whose entries differ the largest."""
        if self.weights is None or self.weights.ndim == 1:
            return self.weights
        return self.weights.max(axis=1)

    def take(self, index: np.ndarray) -> TrainingRows:
        """Some of the rows."""
        weights = None if self.weights is None else self.weights[index]
        groups = None if self.groups is None else self.groups[index]
        return TrainingRows(self.X[index], self.y[index], weights, groups)

    def split(
        self, fraction: float, rng: np.random.Generator, strata: np.ndarray | None = None
    ) -> tuple[TrainingRows, TrainingRows]:
        """Two random parts, the second of at least `fraction` of the rows.

        Parameters
        ----------
        fraction : float
        rng : numpy.random.Generator
        strata : array (n,), optional
            A number for each row: both parts get each number in equal proportion, as far as rows are whole,
            and at least one row of each stays in the first.

        Raises
        ------
        ValueError
            When no row, or not one of each stratum, would be left in the first part.

        Examples
        --------
        >>> rows = TrainingRows(np.zeros((10, 2)), np.zeros((10, 1)))
        >>> first, second = rows.split(0.25, np.random.default_rng(0))
        >>> len(first), len(second)
        (7, 3)
        """
        n_second = math.ceil(fraction * len(self))
        kept = 1 if strata is None else len(np.unique(strata))
        if n_second > len(self) - kept:
            raise ValueError(
                f"validation_fraction={fraction} of {len(self)} rows leaves "
                f"{'none to train on' if kept == 1 else f'fewer than the {kept} classes to train on'}: "
                f"take a smaller fraction, or early_stopping=False"
            )
        order = rng.permutation(len(self))
        if strata is not None:
            order = order[np.argsort(_shares(strata[order]), kind="stable")]
        first, second = order[n_second:], order[:n_second]
        # in their first order, so that a split of nothing would change nothing
        return self.take(np.sort(first)), self.take(np.sort(second))

    def merged(self) -> TrainingRows:
        """Sorted, and equal rows as one of their total weight.

        A fit amplifies the rounding of its sums, which depends on the order of the rows.  So it does not
        depend on that order, and integer weights equal repeated rows, to the last digit.  Above 100 000
        rows, or with weights of single entries, the rows stay as they are.

        Examples
        --------
        >>> rows = TrainingRows(np.array([[2.0], [1.0], [2.0]]), np.array([[5.0], [4.0], [5.0]])).merged()
        >>> rows.X.ravel(), rows.weights
        (array([1., 2.]), array([1., 2.]))
        """
        if len(self) > _MOST_MERGED or (self.weights is not None and self.weights.ndim == 2):
            return self
        keys = np.hstack([self.X, self.y])
        order = np.lexsort(keys.T[::-1])
        keys = keys[order]
        firsts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
        given = np.ones(len(self)) if self.weights is None else self.weights
        weights = np.add.reduceat(given[order], firsts)
        rows = self.take(order[firsts])
        return TrainingRows(rows.X, rows.y, None if (weights == 1).all() else weights)

    def scaled(self, x: Scaler, y: Scaler) -> TrainingRows:
        """In scaled units."""
        return TrainingRows(x.transform(self.X), y.transform(self.y), self.weights)

    def weighted_by(self, factors: FloatArray) -> TrainingRows:
        """With the weights of each output times its factor (n_outputs,)."""
        if self.weights is None:
            return self
        factor = factors if self.weights.ndim == 2 else factors[0]
        return TrainingRows(self.X, self.y, self.weights * factor, self.groups)

    def scaled_inputs(self, x: Scaler) -> TrainingRows:
        """With inputs in scaled units, targets as they are."""
        return TrainingRows(x.transform(self.X), self.y, self.weights)


def _shares(strata: np.ndarray) -> FloatArray:
    """How far through its stratum each row is, in (0, 1); infinite for the last one, which stays."""
    shares = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        shares[members] = (np.arange(len(members)) + 0.5) / len(members)
        shares[members[-1]] = np.inf
    return shares
