"""Checks of arrays given by the user, each with a message that names the argument and the next action."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray


def check_finite(name: str, values: FloatArray, action: str = "drop those rows or impute them") -> None:
    """ValueError when an entry is NaN or infinite, with its position, the counts, and what to do."""
    finite = np.isfinite(values)
    if finite.all():
        return
    n_nan, n_bad = int(np.isnan(values).sum()), int((~finite).sum())
    where = tuple(int(i) for i in np.argwhere(~finite)[0])
    raise ValueError(
        f"{name} holds {n_nan} NaN and {n_bad - n_nan} infinite values, the first at index {where}: {action}"
    )


def as_float(name: str, values: ArrayLike) -> FloatArray:
    """`values` as float64; ValueError when they are no numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise ValueError("they are complex; take real and imaginary parts")
        return array.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from None


def check_samples(X: ArrayLike, y: ArrayLike, n_inputs: int, n_outputs: int) -> tuple[FloatArray, FloatArray]:
    """X (n, n_inputs) and y (n, n_outputs) as finite float64; y may be (n,) for one output."""
    X, y = as_float("X", X), as_float("y", y)
    if X.ndim != 2 or X.shape[1] != n_inputs:
        hint = ": X.reshape(-1, 1) makes one column of it" if X.ndim == 1 and n_inputs == 1 else ""
        raise ValueError(f"X has shape {X.shape}, but the network needs (n_samples, {n_inputs}){hint}")
    if y.ndim == 1 and n_outputs == 1:
        y = y[:, None]
    if y.ndim != 2 or y.shape[1] != n_outputs:
        raise ValueError(f"y has shape {y.shape}, but the network needs (n_samples, {n_outputs})")
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows and y has {len(y)}: they must be the same samples")
    if len(X) == 0:
        raise ValueError("X has no rows: there is nothing to fit")
    check_finite("X", X)
    check_finite("y", y)
    return X, y


def check_weights(sample_weight: ArrayLike | None, n_samples: int) -> FloatArray | None:
    """Row weights as finite float64 >= 0 with a positive sum, or None."""
    if sample_weight is None:
        return None
    weights = as_float("sample_weight", sample_weight)
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight has shape {weights.shape}, but there are {n_samples} rows")
    check_finite("sample_weight", weights)
    if (weights < 0).any():
        raise ValueError(f"sample_weight has a negative value, {weights.min():g}: weights must be >= 0")
    if not weights.any():
        raise ValueError("sample_weight is zero for every row: there is nothing to fit")
    return weights
