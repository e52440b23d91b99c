"""The evidence of a Bayesian fit as JSON data and arrays, and back.  Posteriors are with the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.precisions import Evidence, Precisions
from marquardt.bayesian.prior_groups import PriorGroups
from marquardt.result import Result


def evidence_header(evidence: EvidenceResult) -> dict[str, Any]:
    """Its names and single numbers."""
    return {
        "groups": list(evidence.groups.names),
        "inputs": list(evidence.groups.inputs),
        "noise_precision": evidence.noise_precision,
        "log_evidence": evidence.log_evidence,
        "constant_log_evidence": evidence.constant_log_evidence,
        "notes": list(evidence.notes),
    }


def evidence_arrays(evidence: EvidenceResult) -> dict[str, np.ndarray]:
    """Its arrays, those of the re-estimations stacked."""
    updates, n_groups = evidence.updates, len(evidence.groups)
    return {
        "evidence.index": evidence.groups.index,
        "evidence.weight_precision": evidence.weight_precision,
        "evidence.effective": evidence.effective_parameters,
        **stacked("evidence.updates", updates, n_groups),
    }


def evidence_from_data(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], result: Result
) -> EvidenceResult:
    """The inverse of both; KeyError, TypeError or ValueError when the data are not theirs."""
    names, index = tuple(str(name) for name in header["groups"]), arrays["evidence.index"]
    n_groups = len(names)
    if index.shape != result.w.shape or not ((index >= 0) & (index < n_groups)).all():
        raise ValueError(
            f"the groups of {len(result.w)} parameters have shape {index.shape}, or unknown numbers"
        )
    for name in ("weight_precision", "effective"):
        if arrays[f"evidence.{name}"].shape != (n_groups,):
            raise ValueError(f"{name} has not one value for each of {n_groups} groups")
    inputs = tuple(int(group) for group in header["inputs"])
    if not all(0 <= group < n_groups for group in inputs):
        raise ValueError("an input has an unknown group")
    return EvidenceResult(
        result=result,
        groups=PriorGroups(index, names, inputs),
        weight_precision=arrays["evidence.weight_precision"],
        noise_precision=float(header["noise_precision"]),
        effective_parameters=arrays["evidence.effective"],
        log_evidence=float(header["log_evidence"]),
        constant_log_evidence=float(header["constant_log_evidence"]),
        updates=tuple(unstacked("evidence.updates", arrays)),
        notes=tuple(str(note) for note in header["notes"]),
        posterior=None,
    )


def stacked(name: str, evidences: Sequence[Evidence], n_groups: int) -> dict[str, np.ndarray]:
    """Several estimates as arrays `name.*`."""
    return {
        f"{name}.weights": np.array([e.precisions.weights for e in evidences]).reshape(-1, n_groups),
        f"{name}.noise": np.array([e.precisions.noise for e in evidences], dtype=float),
        f"{name}.effective": np.array([e.effective for e in evidences]).reshape(-1, n_groups),
        f"{name}.log_evidence": np.array([e.log_evidence for e in evidences], dtype=float),
        f"{name}.n_iter": np.array([e.n_iter for e in evidences], dtype=int),
    }


def unstacked(name: str, arrays: Mapping[str, np.ndarray]) -> list[Evidence]:
    """The inverse; files from before `n_iter` have zeros there."""
    columns = [arrays[f"{name}.{part}"] for part in ("weights", "noise", "effective", "log_evidence")]
    n_iter = arrays.get(f"{name}.n_iter", np.zeros(len(columns[1]), dtype=int))
    return [
        Evidence(Precisions(weights, float(noise)), effective, float(value), int(steps))
        for weights, noise, effective, value, steps in zip(*columns, n_iter, strict=True)
    ]
