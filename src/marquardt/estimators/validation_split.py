"""Which rows are set aside for early stopping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from marquardt.estimators.training_rows import TrainingRows

RANDOM, LAST = "random", "last"


class Splitter(Protocol):
    """A splitter of scikit-learn, such as `PredefinedSplit`; its first split counts."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]: ...


def set_aside(
    rows: TrainingRows,
    how: str | Splitter,
    fraction: float,
    rng: np.random.Generator,
    strata: np.ndarray | None = None,
) -> tuple[TrainingRows, TrainingRows]:
    """The rows to train on and those to validate on.

    Parameters
    ----------
    rows : TrainingRows
        Where they have groups, "random" keeps the rows of a group together.
    how : "random", "last" or Splitter
    fraction : float
        Share of the rows set aside; not used by a splitter.
    rng : numpy.random.Generator
    strata : array (n,), optional
        For "random" without groups, see `TrainingRows.split`.

    Raises
    ------
    ValueError
        When either part would be empty, or the groups are too few.

    Examples
    --------
    >>> rows = TrainingRows(np.arange(4.0)[:, None], np.zeros((4, 1)))
    >>> train, validation = set_aside(rows, "last", 0.25, np.random.default_rng(0))
    >>> train.X.ravel(), validation.X.ravel()
    (array([0., 1., 2.]), array([3.]))
    """
    if not isinstance(how, str):
        return _by_splitter(rows, how)
    if how == LAST:
        first = len(rows) - math.ceil(fraction * len(rows))
        if first < 1:
            raise ValueError(
                f"validation_fraction={fraction} of {len(rows)} rows leaves none to train on: lower it"
            )
        return rows.take(np.arange(first)), rows.take(np.arange(first, len(rows)))
    if rows.groups is None:
        return rows.split(fraction, rng, strata)
    return _by_groups(rows, rows.groups, fraction, rng)


def _by_splitter(rows: TrainingRows, splitter: Splitter) -> tuple[TrainingRows, TrainingRows]:
    train, validation = next(iter(splitter.split(rows.X, rows.y, rows.groups)))
    if len(train) == 0 or len(validation) == 0:
        raise ValueError(
            f"validation_split={splitter!r} gives {len(train)} rows to train on and {len(validation)} to "
            f"validate on: both must have some"
        )
    return rows.take(train), rows.take(validation)


def _by_groups(
    rows: TrainingRows, groups: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[TrainingRows, TrainingRows]:
    """Whole groups, in random order, until they hold the fraction of the rows."""
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"groups has only one value, {names[0]!r}: validation needs a second group; leave groups out, "
            f"or set early_stopping=False"
        )
    order = rng.permutation(len(names))
    counts = np.bincount(index)[order]
    n_aside = min(int(np.searchsorted(np.cumsum(counts), fraction * len(rows))) + 1, len(names) - 1)
    aside = np.isin(index, order[:n_aside])
    return rows.take(np.flatnonzero(~aside)), rows.take(np.flatnonzero(aside))


def as_groups(groups: ArrayLike | None, n_samples: int) -> np.ndarray | None:
    """Groups (n_samples,) of any kind that can be sorted.

    Raises
    ------
    ValueError
        When they are not one a row.
    """
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (n_samples,):
        raise ValueError(
            f"groups has shape {array.shape}, but there are {n_samples} rows: give one value a row"
        )
    return array
