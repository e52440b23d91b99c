"""Saving and loading fitted models, without pickle: loading a file runs nothing that is in it.

The container is that of `marquardt.files.archive`.  What each part of a model becomes in it stands here, so
that a reader of another language finds everything about the format in these two files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt import __version__
from marquardt.diagnosis.finding import Finding
from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.files.archive import ModelFileError, read_archive, write_archive
from marquardt.files.history_arrays import history_arrays, history_from_arrays
from marquardt.result import Status
from marquardt.tables.encoder import TableEncoder
from marquardt.tables.fit_record import ColumnEffect, EvidenceRecord, FitRecord, Outcome
from marquardt.tables.model import TableModel

if TYPE_CHECKING:
    from marquardt.estimators.classifier import LMClassifier
    from marquardt.estimators.regressor import LMRegressor

Arrays = Mapping[str, np.ndarray]


def save(model: TableModel | LMRegressor | LMClassifier, path: str | os.PathLike[str]) -> None:
    """Save a fitted model to a `.marquardt` file, in one step: a fault half-way keeps the old file.

    Parameters
    ----------
    model : TableModel, or fitted LMRegressor or LMClassifier
    path : path-like

    Raises
    ------
    ModelFileError
        If the model is not fitted, or the file cannot be written (folder missing, disk full, no permission).
    """
    if isinstance(model, TableModel):
        header, arrays = _table_model_data(model)
    else:
        header, arrays = _estimator_data(model)
    write_archive(path, {"written_by": __version__, **header}, arrays)


def load(path: str | os.PathLike[str]) -> TableModel | LMRegressor | LMClassifier:
    """Load what `save` wrote.

    Returns
    -------
    TableModel, LMRegressor or LMClassifier
        Predictions are those of the saved model, to the last bit on the same machine.

    Raises
    ------
    ModelFileError
        If the file is missing, truncated, from a newer version, or no model file; nothing in it is run.
    """
    header, arrays = read_archive(path)
    kind, name = header.get("kind"), os.fspath(path)
    if kind == "weights":
        raise ModelFileError(
            f"{name!r} holds plain weights: read it by `marquardt.trainer.weights_file.load_weights`"
        )
    if kind == "solution":
        raise ModelFileError(
            f"{name!r} holds the solution of a differential problem: read it by "
            "marquardt.apps.pinn.Solution.load(path, pde)"
        )
    if kind not in ("table", "regressor", "classifier"):
        raise ModelFileError(f"{name!r} holds a model of unknown kind {str(kind)[:40]!r}: upgrade marquardt")
    try:
        if kind == "table":
            return _table_model(header, arrays)
        from marquardt.files.classifier_file import classifier_from_data
        from marquardt.files.regressor_file import regressor_from_data

        if kind == "classifier":
            return classifier_from_data(header, arrays)
        return regressor_from_data(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ModelFileError(
            f"{name!r} is a damaged model file ({type(error).__name__}: {str(error)[:200]}). "
            "Nothing in it was run. Make it again with `marquardt fit`, or ask for a fresh copy."
        ) from error


def _estimator_data(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from marquardt.estimators.classifier import LMClassifier  # scikit-learn comes with them
    from marquardt.estimators.regressor import LMRegressor
    from marquardt.files.classifier_file import classifier_data
    from marquardt.files.regressor_file import regressor_data

    if isinstance(model, LMRegressor):
        header, arrays = regressor_data(model)
        return {**header, "kind": "regressor"}, arrays
    if isinstance(model, LMClassifier):
        header, arrays = classifier_data(model)
        return {**header, "kind": "classifier"}, arrays
    raise ModelFileError(
        f"{type(model).__name__} cannot be saved to a model file, only LMRegressor, LMClassifier and "
        "TableModel can; joblib.dump takes it, but open such a file only where you trust its source"
    )


def _table_model_data(model: TableModel) -> tuple[dict[str, Any], dict[str, Any]]:
    record = model.record
    header = {
        "kind": "table",
        "layers": model.network.layer_names(),
        "encoder": model.encoder.to_dict(),
        "record": _record_header(record),
    }
    arrays = {**model.network.arrays(), **history_arrays(record.history)}
    for group, outcome in (("train", record.train), ("held_out", record.held_out)):
        if outcome is not None:
            arrays |= {f"{group}.y": outcome.y, f"{group}.prediction": outcome.prediction}
            if outcome.std is not None:
                arrays[f"{group}.std"] = outcome.std
    return header, arrays


def _table_model(header: Mapping[str, Any], arrays: Arrays) -> TableModel:
    network = FittedNetwork.from_data(header["layers"], arrays)
    encoder = TableEncoder.from_dict(header["encoder"])
    record = _record(header["record"], arrays)
    if len(encoder.feature_names) != network.network.n_inputs:
        raise ValueError("the encoder and the network have different inputs")
    if len(record.targets) != network.network.n_outputs:
        raise ValueError("the targets and the network have different outputs")
    return TableModel(encoder, network, record)


_RECORD_TEXTS = ("source", "network", "status", "message", "version", "created")
_RECORD_LISTS = ("targets", "units", "notes")


def _record_header(record: FitRecord) -> dict[str, Any]:
    plain = {name: getattr(record, name) for name in (*_RECORD_TEXTS, "n_columns", "n_features", "n_params",
                                                      "success", "seconds", "settings")}  # fmt: skip
    lists = {name: list(getattr(record, name)) for name in _RECORD_LISTS}
    effects = [
        {
            "name": e.name,
            "importance": e.importance,
            "sd": e.sd,
            "low": e.low,
            "high": e.high,
            "changes": list(e.changes),
            "relevance": e.relevance,
        }
        for e in record.effects
    ]
    evidence = record.evidence
    found = None if evidence is None else {
        "log_evidence": evidence.log_evidence,
        "effective_parameters": evidence.effective_parameters,
        "noise_std": list(evidence.noise_std),
        "notes": list(evidence.notes),
    }  # fmt: skip
    findings = [finding.to_dict() for finding in record.findings]
    return {**plain, **lists, "effects": effects, "evidence": found, "findings": findings}


def _record(data: Mapping[str, Any], arrays: Arrays) -> FitRecord:
    targets = _texts(data["targets"])
    held_out = _outcome("held_out", arrays, len(targets)) if "held_out.y" in arrays else None
    status = _text(data["status"])
    if status not in Status.__members__:
        raise ValueError(f"unknown status {status[:40]!r}")
    texts: dict[str, Any] = {name: _text(data[name]) for name in _RECORD_TEXTS}
    lists: dict[str, Any] = {name: _texts(data[name]) for name in _RECORD_LISTS}
    return FitRecord(
        **texts,
        **lists,
        n_columns=int(data["n_columns"]),
        n_features=int(data["n_features"]),
        n_params=int(data["n_params"]),
        success=bool(data["success"]),
        seconds=float(data["seconds"]),
        settings={_text(key): _text(value) for key, value in data["settings"].items()},
        train=_outcome("train", arrays, len(targets)),
        held_out=held_out,
        effects=tuple(_effect(entry, len(targets)) for entry in data["effects"]),
        history=history_from_arrays(arrays),
        evidence=_evidence(data.get("evidence"), len(targets)),
        findings=tuple(Finding.from_dict(entry) for entry in data.get("findings", ())),
    )


def _evidence(data: Any, n_targets: int) -> EvidenceRecord | None:
    if data is None:  # no Bayesian fit, or an older file
        return None
    noise = tuple(float(value) for value in data["noise_std"])
    if len(noise) != n_targets:
        raise ValueError("the noise has not one value for each target")
    numbers = float(data["log_evidence"]), float(data["effective_parameters"])
    return EvidenceRecord(*numbers, noise, _texts(data["notes"]))


def _outcome(group: str, arrays: Arrays, n_targets: int) -> Outcome:
    y, prediction, std = arrays[f"{group}.y"], arrays[f"{group}.prediction"], arrays.get(f"{group}.std")
    if std is not None and std.shape != y.shape:
        raise ValueError(f"the {group} outcomes have shapes {y.shape} and {std.shape}")
    if y.shape != prediction.shape or y.ndim != 2 or y.shape[1] != n_targets or len(y) == 0:
        raise ValueError(f"the {group} outcomes have shapes {y.shape} and {prediction.shape}")
    return Outcome(y.astype(float), prediction.astype(float), None if std is None else std.astype(float))


def _effect(data: Mapping[str, Any], n_targets: int) -> ColumnEffect:
    changes = tuple(float(value) for value in data["changes"])
    if len(changes) != n_targets:
        raise ValueError("an effect has not one change for each target")
    numbers = float(data["importance"]), float(data["sd"])
    relevance = data.get("relevance")
    return ColumnEffect(
        _text(data["name"]),
        *numbers,
        _text(data["low"]),
        _text(data["high"]),
        changes,
        None if relevance is None else float(relevance),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is not text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{str(values)[:40]!r} is not a list")
    return tuple(_text(value) for value in values)
