"""What each column of a table does to the predictions: permutation importance, and the way it pushes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.tables.encoder import CategoricalColumn, NumericColumn, TableEncoder
from marquardt.tables.fit_record import ColumnEffect

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[FloatArray], FloatArray]
"""Encoded rows (n_samples, n_features) -> predictions (n_samples, n_targets)."""

ROWS = 2000  # more rows than this only cost time: the standard error of an importance is below 1 % then
REPEATS = 10
QUANTILES = (0.1, 0.9)
TOGETHER, PAIRS = 0.95, 4  # correlation from which on pairs are told, and how many of them


def column_effects(
    predict: Predict, encoder: TableEncoder, frame: pd.DataFrame, y: FloatArray, seed: int
) -> tuple[ColumnEffect, ...]:
    """Importance and direction of every column that the encoder uses, in the order of the table.

    Parameters
    ----------
    predict : callable
        Encoded rows (n_samples, n_features) -> (n_samples, n_targets).
    encoder : TableEncoder
    frame : pandas.DataFrame (n_samples, n_columns)
        Rows to judge on, held out where there are some.
    y : ndarray (n_samples, n_targets)
        NaN where a target was not measured.
    seed : int
        For the shuffles.

    Returns
    -------
    tuple of ColumnEffect
        Empty when the rows are too few or too equal for R².

    References
    ----------
    L. Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    if len(frame) < 3 or any(_equal(column) for column in y.T):
        return ()
    if len(frame) > ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(frame), ROWS, replace=False))
        frame, y = frame.iloc[chosen], y[chosen]
    X = encoder.transform(frame)  # once: encoding for every shuffle costs minutes in a wide table
    rng = np.random.default_rng(seed)
    best = _r2(predict(X), y)
    effects, start = [], 0
    for column in encoder.used:
        block = slice(start, start + len(column.feature_names))
        start = block.stop
        original = X[:, block].copy()
        losses = []
        for _ in range(REPEATS):
            X[:, block] = original[rng.permutation(len(X))]
            losses.append(best - _r2(predict(X), y))
        low, high, changes = _push(predict, column, X, block, original)
        X[:, block] = original
        mean, sd = float(np.mean(losses)), float(np.std(losses))
        effects.append(ColumnEffect(column.name, mean, sd, low, high, tuple(float(c) for c in changes)))
    return tuple(effects)


def columns_that_move_together(encoder: TableEncoder, X: FloatArray) -> list[str]:
    """A sentence for each pair of numeric columns that carry nearly the same information.

    Parameters
    ----------
    encoder : TableEncoder
    X : ndarray (n_samples, n_features)
        Encoded rows.
    """
    names = list(encoder.feature_names)
    numeric = [names.index(column.name) for column in encoder.used if isinstance(column, NumericColumn)]
    numeric = [i for i in numeric if np.ptp(X[:, i]) > 0][:200]  # pairs grow as the square
    if len(numeric) < 2:
        return []
    correlation = np.atleast_2d(np.corrcoef(X[:, numeric], rowvar=False))
    pairs = [(i, j) for i in range(len(numeric)) for j in range(i) if abs(correlation[i, j]) >= TOGETHER]
    pairs.sort(key=lambda pair: -abs(correlation[pair]))
    sentences = [
        f"{names[numeric[j]]!r} and {names[numeric[i]]!r} move together (correlation "
        f"{correlation[i, j]:.2f}): what each does alone is uncertain"
        for i, j in pairs[:PAIRS]
    ]
    return sentences + ([f"so do {len(pairs) - PAIRS} more pairs"] if len(pairs) > PAIRS else [])


def _equal(values: FloatArray) -> bool:
    """Whether the measured ones are too few, or too equal, for R²."""
    known = values[np.isfinite(values)]
    return len(known) < 3 or bool(np.ptp(known) == 0)


def _r2(prediction: FloatArray, y: FloatArray) -> float:
    error = np.nansum((prediction - y) ** 2, axis=0)
    return float(np.mean(1.0 - error / np.nansum((y - np.nanmean(y, axis=0)) ** 2, axis=0)))


def _push(
    predict: Predict,
    column: NumericColumn | CategoricalColumn,
    X: FloatArray,
    block: slice,
    original: FloatArray,
) -> tuple[str, str, FloatArray]:
    """From where to where, and how far the mean prediction moves: (n_targets,).  Overwrites the block."""

    def mean_with(values: FloatArray) -> FloatArray:
        X[:, block] = values
        return predict(X).mean(axis=0)

    if isinstance(column, CategoricalColumn):
        means = np.array([mean_with(row) for row in np.eye(len(column.categories))])
        first, last = int(np.argmin(means[:, 0])), int(np.argmax(means[:, 0]))
        return column.categories[first], column.categories[last], means[last] - means[first]
    low, high = np.quantile(original, QUANTILES)
    return f"{low:.4g}", f"{high:.4g}", mean_with(high) - mean_with(low)
