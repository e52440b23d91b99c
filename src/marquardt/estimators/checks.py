"""What the estimators accept: values of their parameters, and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from marquardt._checks import as_float, check_finite, check_weights
from marquardt._types import FloatArray
from marquardt.estimators.choices import (
    ACTIVATIONS,
    CLASSIFICATION_LOSSES,
    DAMPINGS,
    INITIALIZATION_NAMES,
    REGRESSION_LOSSES,
    REGULARIZATIONS,
    SOLVERS,
)
from marquardt.estimators.training_rows import TrainingRows
from marquardt.estimators.validation_split import LAST, RANDOM, as_groups
from marquardt.growing_rows import GrowingRows
from marquardt.method import Geodesic
from marquardt.target_weights import entry_weights

_SHARED_CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "regularization": [StrOptions({"auto", *REGULARIZATIONS}), HasMethods("fit")],
    "alpha": [None, Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "init": [StrOptions(set(INITIALIZATION_NAMES)), HasMethods("draw"), "array-like"],
    "n_starts": [Interval(Integral, 1, None, closed="left")],
    "ensemble_size": [Interval(Integral, 1, None, closed="left")],
    "n_jobs": [None, Integral],
    "early_stopping": ["boolean"],
    "validation_split": [StrOptions({RANDOM, LAST}), HasMethods("split")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "damping": [StrOptions(set(DAMPINGS)), HasMethods(["start", "accepted", "rejected"])],
    "solver": [StrOptions(set(SOLVERS)), HasMethods("prepare")],
    "acceleration": ["boolean", Geodesic],
    "resolve_output": ["boolean"],
    "growing_rows": ["boolean", StrOptions({"auto"}), GrowingRows],
    "scale_inputs": ["boolean"],
    "max_time": [None, Interval(Real, 0, None, closed="neither")],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
}

REGRESSOR_CONSTRAINTS: dict[str, list[Any]] = {
    **_SHARED_CONSTRAINTS,
    "loss": [StrOptions(set(REGRESSION_LOSSES)), HasMethods("at_scale")],
    "noise": [StrOptions({"constant", "varying"})],
    "scale_target": ["boolean"],
}

CLASSIFIER_CONSTRAINTS: dict[str, list[Any]] = {
    **_SHARED_CONSTRAINTS,
    "loss": [StrOptions(set(CLASSIFICATION_LOSSES))],
    "class_weight": [None, dict, StrOptions({"balanced"})],
    "laplace": ["boolean"],
}

_validated: Any = validate_data  # its own annotations are guesses from its defaults


def checked_inputs(estimator: BaseEstimator, X: ArrayLike) -> FloatArray:
    """X (n_samples, n_features) as float64, with the columns of the fit."""
    with _advice("X"):
        return _validated(estimator, X, dtype=np.float64, reset=False)


def checked_rows(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    groups: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
) -> tuple[TrainingRows, int]:
    """The rows of a fit, and the number of dimensions of y.  NaN in a y of several columns is an entry that
    was not measured."""
    filled, gaps = _gaps(y)
    with _advice():
        inputs, y = _validated(
            estimator,
            X,
            filled,
            dtype=np.float64,
            order="C",
            multi_output=True,
            y_numeric=True,
            ensure_min_samples=2,
        )
        y = np.asarray(y, dtype=np.float64)
    if y.size == 0:
        raise ValueError(f"y has shape {y.shape}: it needs at least one column")
    if gaps is not None:
        y = np.where(gaps, np.nan, y)
    if sigma is not None:
        weights = _weights_of(checked_sigma(sigma, y.shape, sample_weight), gaps)
    elif gaps is None:
        weights = check_weights(sample_weight, len(y))
    else:
        weights = entry_weights(y, sample_weight)
    named = as_groups(groups, len(y))
    return TrainingRows.weighted(inputs, y.reshape(len(y), -1), weights, named), y.ndim


def checked_labels(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    groups: ArrayLike | None = None,
) -> tuple[FloatArray, np.ndarray, FloatArray | None, np.ndarray | None]:
    """X (n, n_features), labels y (n,) or an indicator matrix (n, n_labels), weights and groups (n,) or None.

    Rows of weight zero are left out.
    """
    labels: Any
    with _advice("X"):
        inputs, labels = _validated(
            estimator, X, y, dtype=np.float64, order="C", multi_output=True, ensure_min_samples=2
        )
    check_classification_targets(labels)
    if issparse(cast(object, labels)):
        labels = labels.toarray()
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = column_or_1d(labels, warn=True)
    weights = check_weights(sample_weight, len(labels))
    named = as_groups(groups, len(labels))
    if weights is None or weights.all():
        return inputs, labels, weights, named
    counted = np.flatnonzero(weights)
    return inputs[counted], labels[counted], weights[counted], None if named is None else named[counted]


def checked_sizes(hidden_layer_sizes: int | Sequence[int]) -> list[int]:
    """Units of each hidden layer."""
    sizes = np.atleast_1d(np.asarray(hidden_layer_sizes))
    if sizes.size == 0:
        return []
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise ValueError(
            f"hidden_layer_sizes={hidden_layer_sizes!r} must be positive integers, e.g. (20, 10)"
        )
    return sizes.tolist()


def _weights_of(sigma: FloatArray, gaps: np.ndarray | None) -> FloatArray:
    """1/σ² of every entry, 0 where nothing was measured; (n,) for one output."""
    weights = sigma**-2.0
    if gaps is not None:
        weights[gaps] = 0.0
    return weights.reshape(len(sigma)) if weights.size == len(sigma) else weights


def checked_sigma(sigma: ArrayLike, shape: tuple[int, ...], sample_weight: ArrayLike | None) -> FloatArray:
    """Standard deviations of the noise, like y.

    Raises
    ------
    ValueError
        When one is not positive and finite, there are not as many as values of y, or weights are given too.
    """
    if sample_weight is not None:
        raise ValueError("sigma and sample_weight both weigh the rows: give one of them")
    sigma = as_float("sigma", sigma)
    if sigma.shape != shape:
        raise ValueError(
            f"sigma has shape {sigma.shape}, but y has shape {shape}: give one value for each of y"
        )
    check_finite("sigma", sigma)
    if not (sigma > 0).all():
        raise ValueError(
            f"sigma has the value {sigma.min():g}: a standard deviation must be positive; leave sigma out "
            f"where it is not known"
        )
    return sigma


def _gaps(y: ArrayLike) -> tuple[Any, np.ndarray | None]:
    """y with zeros where a value was not measured, and where that is (n, n_outputs); None for nowhere."""
    array = np.asarray(y)
    if array.ndim != 2 or array.shape[1] < 2 or array.dtype.kind != "f":
        return y, None
    gaps = np.isnan(array)
    return (np.where(gaps, 0.0, array), gaps) if gaps.any() else (y, None)


@contextmanager
def _advice(what: str = "X and y") -> Iterator[None]:
    """Add the next action to messages that name none: text among the numbers, and gaps in y."""
    try:
        yield
    except ValueError as error:
        if str(error).startswith("Input y contains"):
            raise ValueError(
                f"{str(error).rstrip('.')}: drop those rows, they say nothing of the target"
            ) from None
        if "could not convert string to float" not in str(error):
            raise
        raise ValueError(
            f"{error}: {what} must be numbers. Encode text first, e.g. with sklearn's OneHotEncoder, "
            f"or use `marquardt fit`, which encodes columns by itself"
        ) from None
