"""What files of fitted estimators have in common: JSON data and arrays, and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.schedule import Schedule
from marquardt.damping import GainRatio, Multiplicative, Nielsen
from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.estimators.regularization import L2, Bayesian
from marquardt.estimators.starts import Start, Starts
from marquardt.files.archive import ModelFileError
from marquardt.files.evidence_data import evidence_arrays, evidence_from_data, evidence_header
from marquardt.files.history_arrays import history_arrays, history_from_arrays
from marquardt.growing_rows import GrowingRows
from marquardt.initialization import INITIALIZATIONS
from marquardt.linsolve import QR, Auto, Cholesky, Dual, Eigen, Iterative
from marquardt.losses import Cauchy, Huber, Quantile, SoftL1, Tukey
from marquardt.method import Geodesic
from marquardt.result import Result, Status

if TYPE_CHECKING:
    from marquardt.estimators.classifier import LMClassifier
    from marquardt.estimators.regressor import LMRegressor

# The only objects that a file can ask for, by name; all are frozen dataclasses of numbers.
_PARTS: dict[str, type] = {
    part.__name__: part
    for part in (
        *(Nielsen, Multiplicative, GainRatio, Geodesic),
        *(Auto, Cholesky, QR, Dual, Eigen, Iterative),
        *(L2, Bayesian, PrecisionRule, Schedule, GrowingRows),
        *(Huber, SoftL1, Cauchy, Tukey, Quantile),
    )
} | {part.__name__: part for part in INITIALIZATIONS.values()}

_RESULT_NUMBERS = ("cost", "n_jacobians", "n_costs", "time")


def estimator_data(
    estimator: LMRegressor | LMClassifier, network: FittedNetwork, outcomes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays of what both estimators have.

    A `random_state` that is a generator is left out: it has no part in predictions.

    Raises
    ------
    ModelFileError
        If a parameter is an object of a kind not known here.
    """
    result = estimator.result_
    arrays: dict[str, Any] = {**network.arrays(), "w_last": result.w_last, **history_arrays(result.history)}
    params = estimator.get_params(deep=False)
    if isinstance(params["random_state"], np.random.RandomState):
        params["random_state"] = None
    if estimator.evidence_ is not None:
        arrays |= evidence_arrays(estimator.evidence_)
    if not isinstance(params["init"], str) and not dataclasses.is_dataclass(params["init"]):
        arrays["init"], params["init"] = np.asarray(params["init"], dtype=float), None
    names = getattr(estimator, "feature_names_in_", None)
    header = {
        "layers": network.layer_names(),
        "params": {name: _encoded(name, value) for name, value in params.items()},
        "feature_names": None if names is None else [str(name) for name in names],
        "result": {
            "status": result.status.name,
            "message": result.message,
            **{name: getattr(result, name) for name in _RESULT_NUMBERS},
        },
        "starts": [{**asdict(start), "status": start.status.name} for start in estimator.starts_],
        "evidence": None if estimator.evidence_ is None else evidence_header(estimator.evidence_),
        "outcomes": {name: getattr(estimator, name) for name in outcomes},
    }
    return header, arrays


def params_from_data(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The parameters of the constructor."""
    params = {name: _decoded(value) for name, value in header["params"].items()}
    return params | {"init": arrays["init"]} if "init" in arrays else params


def restore_estimator(
    estimator: Any,
    fitted: FittedNetwork,
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    outcomes: Sequence[str],
) -> None:
    """Set the fitted attributes that both estimators have."""
    result = Result(
        w=fitted.w,
        status=Status[header["result"]["status"]],
        message=str(header["result"]["message"]),
        history=history_from_arrays(arrays),
        w_last=fitted.network.check_parameters(arrays["w_last"]),
        **{name: header["result"][name] for name in _RESULT_NUMBERS},
    )
    starts = [Start(**{**start, "status": Status[start["status"]]}) for start in header["starts"]]
    estimator.network_, estimator.w_ = fitted.network, fitted.w
    estimator.committee_ = fitted.committee
    evidence = header.get("evidence")  # older files have none
    estimator.evidence_ = None if evidence is None else evidence_from_data(evidence, arrays, result)
    estimator.x_scaler_ = fitted.x
    estimator.result_, estimator.starts_ = result, Starts(starts)
    estimator.history_, estimator.status_ = result.history, result.status
    found = estimator.evidence_
    estimator.message_ = result.message if found is None else found.message
    estimator.n_iter_ = result.n_iter
    estimator.n_layers_, estimator.n_outputs_ = len(fitted.network.layers), fitted.network.n_outputs
    for name in outcomes:
        setattr(estimator, name, header["outcomes"][name])
    sklearn_names: dict[str, Any] = {"n_features_in_": fitted.network.n_inputs}
    if header["feature_names"] is not None:
        if len(header["feature_names"]) != fitted.network.n_inputs:
            raise ValueError("the names of the features are not as many as the network's inputs")
        names = np.array([str(name) for name in header["feature_names"]], dtype=object)
        sklearn_names["feature_names_in_"] = names
    vars(estimator).update(sklearn_names)


def _encoded(name: str, value: Any) -> Any:
    """A parameter as JSON data: plain values, tuples, infinities, and the parts of the method."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        pairs = [[_encoded(name, key), _encoded(name, item)] for key, item in value.items()]
        return {"mapping": pairs}
    if isinstance(value, tuple | list | np.ndarray):
        return {"tuple": [_encoded(name, item) for item in value]}
    if _PARTS.get(type(value).__name__) is type(value):
        fields = {f.name: _encoded(name, getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"part": type(value).__name__, "fields": fields}
    raise ModelFileError(
        f"parameter {name}={value!r} is of a kind that a model file cannot hold: "
        f"set it to a name or one of {', '.join(_PARTS)} before saving"
    )


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "part" in value:
        return _PARTS[value["part"]](**{k: _decoded(v) for k, v in value["fields"].items()})
    if "mapping" in value:
        return {_decoded(key): _decoded(item) for key, item in value["mapping"]}
    if "tuple" in value:
        return tuple(_decoded(item) for item in value["tuple"])
    if "number" in value:
        return float(value["number"])
    raise ValueError("a parameter is of no known kind")
