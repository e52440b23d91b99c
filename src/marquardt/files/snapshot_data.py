"""Snapshots and outcomes of runs as JSON data and arrays, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.evidence_run import EvidenceSnapshot, Found
from marquardt.bayesian.precisions import Precisions
from marquardt.damping import DampingState
from marquardt.files.evidence_data import (
    evidence_arrays,
    evidence_from_data,
    evidence_header,
    stacked,
    unstacked,
)
from marquardt.files.history_arrays import history_arrays, history_from_arrays
from marquardt.linsolve import Buffers, MixedCholesky
from marquardt.method import Position
from marquardt.result import Result, Status
from marquardt.run_record import Best, Snapshot

Data = dict[str, Any]
Arrays = dict[str, np.ndarray]


def snapshot_data(kept: Any) -> tuple[Data, Arrays]:
    """Of a `Snapshot`, an `EvidenceSnapshot`, a `Result` or an `EvidenceResult`, with its kind.

    Posterior, linearization and exception are left out.
    """
    name = type(kept).__name__
    data, arrays = _WRITERS[name](kept)
    return {"kind": name, **data}, arrays


def snapshot_from_data(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse; KeyError, TypeError or ValueError when the data are not its own."""
    return _READERS[data["kind"]](data, arrays)


# -- runs that may go on -------------------------------------------------------------------------


def _write_run(kept: Snapshot[Any]) -> tuple[Data, Arrays]:
    position = kept.position
    state = position.damping
    data: Data = {
        "damping": [state.damping, state.maximum, state.growth],
        "decrease": position.decrease,
        "n_jacobians": position.n_jacobians,
        "n_costs": position.n_costs,
        "trace": None if position.buffers is None else float(position.buffers.trace),
        "fails": kept.fails,
        "best": None if kept.best is None else float(kept.best.value),
    }
    arrays: Arrays = {"w": position.w, **history_arrays(kept.history)}
    if position.scale is not None:
        arrays["scale"] = position.scale
    if kept.best is not None:
        arrays["best.w"] = kept.best.w
    return data, arrays


def _read_run(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray], more: Any) -> Snapshot[Any]:
    w = _vector(arrays["w"], len(arrays["w"]))
    damping, maximum, growth = (float(value) for value in data["damping"])
    position = Position(
        w,
        DampingState(damping, maximum, growth),
        _vector(arrays["scale"], len(w)) if "scale" in arrays else None,
        float(data["decrease"]),
        int(data["n_jacobians"]),
        int(data["n_costs"]),
        _hint(data.get("trace")),
    )
    best = None
    if data["best"] is not None:
        best = Best(float(data["best"]), _vector(arrays["best.w"], len(w)), more)
    history = history_from_arrays(arrays)
    if not len(history):
        raise ValueError("the history is empty")
    return Snapshot(position, history, best, int(data["fails"]))


def _hint(trace: float | None) -> Buffers | None:
    """What `MixedCholesky` chooses its precision by."""
    return None if trace is None else Buffers(MixedCholesky, (), None, float(trace))


def _write_plain(kept: Snapshot[float]) -> tuple[Data, Arrays]:
    data, arrays = _write_run(kept)
    return {**data, "cost": None if kept.best is None else float(kept.best.more)}, arrays


def _read_plain(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Snapshot[float]:
    return _read_run(data, arrays, None if data["cost"] is None else float(data["cost"]))


def _write_evidence_run(kept: EvidenceSnapshot) -> tuple[Data, Arrays]:
    data, arrays = _write_run(kept.run)
    best = kept.run.best
    n_groups = len(kept.precisions.weights)
    data |= {
        "noise": float(kept.precisions.noise),
        "since": kept.since,
        "guards": kept.guards,
        "data_cost": None if best is None else float(best.more.data_cost),
    }
    arrays |= {"precisions": kept.precisions.weights, **stacked("updates", kept.updates, n_groups)}
    found = () if best is None else (best.more.evidence,)
    return data, arrays | stacked("best", found, n_groups)


def _read_evidence_run(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> EvidenceSnapshot:
    best = unstacked("best", arrays)
    found = Found(best[0], float(data["data_cost"])) if best else None
    weights = arrays["precisions"]
    return EvidenceSnapshot(
        _read_run(data, arrays, found),
        Precisions(_vector(weights, len(weights)), float(data["noise"])),
        tuple(unstacked("updates", arrays)),
        {str(name): int(count) for name, count in data["guards"].items()},
        int(data["since"]),
    )


# -- outcomes ------------------------------------------------------------------------------------

_NUMBERS = ("cost", "n_jacobians", "n_costs", "time")


def _write_result(kept: Result) -> tuple[Data, Arrays]:
    data = {"status": kept.status.name, "message": kept.message}
    numbers = {name: getattr(kept, name) for name in _NUMBERS}
    return {**data, **numbers}, {"w": kept.w, "w_last": kept.w_last, **history_arrays(kept.history)}


def _read_result(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Result:
    w = _vector(arrays["w"], len(arrays["w"]))
    return Result(
        w=w,
        cost=float(data["cost"]),
        status=Status[data["status"]],
        message=str(data["message"]),
        history=history_from_arrays(arrays),
        w_last=_vector(arrays["w_last"], len(w)),
        n_jacobians=int(data["n_jacobians"]),
        n_costs=int(data["n_costs"]),
        time=float(data["time"]),
    )


def _write_evidence(kept: EvidenceResult) -> tuple[Data, Arrays]:
    data, arrays = _write_result(kept.result)
    return {**data, "evidence": evidence_header(kept)}, arrays | evidence_arrays(kept)


def _read_evidence(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> EvidenceResult:
    return evidence_from_data(data["evidence"], arrays, _read_result(data, arrays))


def _vector(values: FloatArray, length: int) -> FloatArray:
    if values.shape != (length,) or values.dtype != float:
        raise ValueError(f"an array has shape {values.shape}: ({length},) numbers needed")
    return values


_WRITERS: dict[str, Callable[[Any], tuple[Data, Arrays]]] = {
    "Snapshot": _write_plain,
    "EvidenceSnapshot": _write_evidence_run,
    "Result": _write_result,
    "EvidenceResult": _write_evidence,
}
_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Any]] = {
    "Snapshot": _read_plain,
    "EvidenceSnapshot": _read_evidence_run,
    "Result": _read_result,
    "EvidenceResult": _read_evidence,
}
