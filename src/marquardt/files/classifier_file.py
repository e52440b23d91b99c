"""A fitted `LMClassifier` as JSON data and arrays, and back; the file is in `marquardt.files.persistence`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.estimators.labels import Labels
from marquardt.estimators.scaling import Scaler
from marquardt.files.archive import ModelFileError
from marquardt.files.estimator_file import estimator_data, params_from_data, restore_estimator

if TYPE_CHECKING:
    from marquardt.estimators.classifier import LMClassifier

_OUTCOMES = ("loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "multilabel_")
_DTYPES = re.compile(r"[<>|=]?([iuf][1248]|f16|b1|U[0-9]{1,6}|O)")
"""Of classes: numbers, booleans, text, or objects that are one of these."""


def classifier_data(classifier: LMClassifier) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays of a fitted classifier.

    Raises
    ------
    ModelFileError
        If it is not fitted, its classes are no numbers, booleans or text, or a parameter is an object of a
        kind not known to files.
    """
    if not hasattr(classifier, "w_"):
        raise ModelFileError(f"{type(classifier).__name__} is not fitted: call fit before saving it")
    outputs = Scaler.identity(classifier.n_outputs_)
    network = FittedNetwork(classifier.committee_, classifier.x_scaler_, outputs)
    header, arrays = estimator_data(classifier, network, _OUTCOMES)
    classes = classifier.classes_
    values = classes.tolist()
    strange = [value for value in values if not isinstance(value, bool | int | float | str)]
    if strange or not _DTYPES.fullmatch(classes.dtype.str):
        shown = repr(strange[0]) if strange else str(classes.dtype)
        raise ModelFileError(
            f"classes of the kind {shown} cannot be saved to a model file: give numbers or text as labels"
        )
    return {**header, "classes": {"dtype": classes.dtype.str, "values": values}}, arrays


def classifier_from_data(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LMClassifier:
    """The inverse of `classifier_data`; KeyError, TypeError or ValueError when the data are not its own."""
    from marquardt.estimators.classifier import LMClassifier

    fitted = FittedNetwork.from_data(header["layers"], arrays)
    classifier = LMClassifier(**params_from_data(header, arrays))
    restore_estimator(classifier, fitted, header, arrays, _OUTCOMES)
    dtype, values = header["classes"]["dtype"], header["classes"]["values"]
    plain = isinstance(values, list) and all(isinstance(value, bool | int | float | str) for value in values)
    if not (plain and isinstance(dtype, str) and _DTYPES.fullmatch(dtype)):
        raise ValueError("the classes are no numbers, booleans or text")
    labels = Labels(np.array(values, dtype=dtype), bool(classifier.multilabel_))
    if labels.output_layer() != fitted.network.layers[-1]:
        raise ValueError(f"{len(values)} classes need another network than {fitted.network!r}")
    classifier.classes_, classifier.multilabel_ = labels.classes, labels.multilabel
    classifier.out_activation_ = "softmax" if labels.exclusive else "logistic"
    return classifier
