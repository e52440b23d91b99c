"""The evidence of a Bayesian fit as JSON data and arrays, and back.  Posteriors are with the network."""

from __future__ import annotations

from collections.abc import Mapping
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
        "evidence.updates.weights": np.array([u.precisions.weights for u in updates]).reshape(-1, n_groups),
        "evidence.updates.noise": np.array([u.precisions.noise for u in updates], dtype=float),
        "evidence.updates.effective": np.array([u.effective for u in updates]).reshape(-1, n_groups),
        "evidence.updates.log_evidence": np.array([u.log_evidence for u in updates], dtype=float),
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
    stacked = (
        arrays[f"evidence.updates.{name}"] for name in ("weights", "noise", "effective", "log_evidence")
    )
    updates = tuple(
        Evidence(Precisions(weights, float(noise)), effective, float(value))
        for weights, noise, effective, value in zip(*stacked, strict=True)
    )
    return EvidenceResult(
        result=result,
        groups=PriorGroups(index, names, inputs),
        weight_precision=arrays["evidence.weight_precision"],
        noise_precision=float(header["noise_precision"]),
        effective_parameters=arrays["evidence.effective"],
        log_evidence=float(header["log_evidence"]),
        constant_log_evidence=float(header["constant_log_evidence"]),
        updates=updates,
        notes=tuple(str(note) for note in header["notes"]),
        posterior=None,
    )
