"""Weights of the entries of many-column targets; an entry that was not measured has weight 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite, check_weights
from marquardt._types import FloatArray


def entry_weights(
    y: ArrayLike, sample_weight: ArrayLike | None = None, output_weight: ArrayLike | None = None
) -> FloatArray | None:
    """The weights of targets in which NaN means "not measured", for `NetworkProblem(sample_weight=...)`.

    Parameters
    ----------
    y : array (n_samples, n_outputs)
    sample_weight : array (n_samples,), optional
        Weights of the rows.
    output_weight : array (n_outputs,), optional
        Weights of the columns.

    Returns
    -------
    array (n_samples, n_outputs), or (n_samples,) or None
        The simplest that says the same.

    Raises
    ------
    ValueError
        For a negative or infinite weight, a wrong shape, or a column without any measured value.

    Examples
    --------
    >>> entry_weights([[1.0, 2.0], [3.0, float("nan")]])
    array([[1., 1.],
           [1., 0.]])
    >>> entry_weights([[1.0, 2.0], [3.0, 4.0]]) is None
    True
    """
    y = as_float("y", y)
    if y.ndim != 2:
        raise ValueError(f"y has shape {y.shape}: it must be (n_samples, n_outputs)")
    rows = check_weights(sample_weight, len(y))
    weights = (~np.isnan(y)).astype(float)
    if output_weight is not None:
        columns = as_float("output_weight", output_weight)
        if columns.shape != y.shape[1:]:
            raise ValueError(f"output_weight has shape {columns.shape}, but y has {y.shape[1]} columns")
        check_finite("output_weight", columns, "give each column a finite weight")
        if not (columns > 0).all():
            raise ValueError(
                f"output_weight has the value {columns.min():g}: weights must be > 0; drop a column that "
                "should not count"
            )
        weights *= columns
    if rows is not None:
        weights *= rows[:, None]
    if (weights == 1).all():
        return None
    return _simplest(_checked(weights))


def weighed(y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[ArrayLike, FloatArray | None]:
    """y and its weights, (n_samples,) or (n_samples, n_outputs); the entries of y without weight are 0.

    Raises
    ------
    ValueError
        For weights of the wrong shape, negative or not finite, and for a column without any.
    """
    if sample_weight is None:
        return y, None
    weights, targets = as_float("sample_weight", sample_weight), as_float("y", y)
    if weights.ndim != 2:
        if weights.shape == targets.shape[:1] and (weights == 0).any():
            targets[weights == 0] = 0.0
        return targets, weights
    if targets.ndim == 1:
        targets = targets[:, None]
    if weights.shape != targets.shape:
        raise ValueError(
            f"sample_weight has shape {weights.shape}, but y has shape {targets.shape}: give one weight a "
            "row, or one an entry of y"
        )
    check_finite("sample_weight", weights)
    if (weights < 0).any():
        raise ValueError(f"sample_weight has a negative value, {weights.min():g}: weights must be >= 0")
    return np.where(weights > 0, targets, 0.0), _simplest(_checked(weights))


def _checked(weights: FloatArray) -> FloatArray:
    empty = np.flatnonzero(~weights.any(axis=0))
    if len(empty):
        columns = ", ".join(map(str, empty))
        raise ValueError(
            f"y has no measured value of positive weight in column {columns} (counted from 0): drop it"
        )
    return weights


def _simplest(weights: FloatArray) -> FloatArray:
    """One weight a row where the columns are equal: all outputs then share one small system."""
    return weights[:, 0].copy() if (weights == weights[:, :1]).all() else weights
