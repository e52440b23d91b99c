"""The fit report as JSON data, for programs."""

from __future__ import annotations

import math
from typing import Any

from marquardt.reports.text_report import advice
from marquardt.tables.fit_record import FitRecord


def json_report(record: FitRecord) -> dict[str, Any]:
    """The numbers of the report; what is not a number is None, never NaN.

    Parameters
    ----------
    record : FitRecord

    Returns
    -------
    dict
        Keys `source`, `targets`, `network`, `n_params`, `settings`, `status`, `success`, `message`, `n_iter`,
        `seconds`, `scores` (target -> group -> R2, RMSE, MAE, n, and with error bars coverage_95, CRPS,
        log_likelihood), `evidence` (None without), `columns`, `notes`, `advice`, `findings`, `version`,
        `created`.
    """
    columns = [
        {
            "name": effect.name,
            "importance": _number(effect.importance),
            "sd": _number(effect.sd),
            "low": effect.low,
            "high": effect.high,
            "relevance": effect.relevance,
            "changes": dict(zip(record.targets, map(_number, effect.changes), strict=True)),
        }
        for effect in record.effects
    ]
    return {
        "source": record.source,
        "targets": list(record.targets),
        "network": record.network,
        "n_params": record.n_params,
        "settings": record.settings,
        "status": record.status,
        "success": record.success,
        "message": record.message,
        "n_iter": record.n_iter,
        "seconds": round(record.seconds, 3),
        "scores": {target: _scores(record, k) for k, target in enumerate(record.targets)},
        "evidence": _evidence(record),
        "columns": columns,
        "notes": list(record.notes),
        "advice": advice(record),
        "findings": [finding.to_dict() for finding in record.findings],
        "version": record.version,
        "created": record.created,
    }


def _scores(record: FitRecord, target: int) -> dict[str, dict[str, float | None]]:
    scores: dict[str, dict[str, float | None]] = {}
    for group, outcome in record.groups.items():
        numbers = {name: _number(value) for name, value in outcome.scores(target).items()}
        calibration = outcome.calibration(target)
        if calibration is not None:
            numbers |= {
                "coverage_95": _number(calibration.coverage(0.95)),
                "CRPS": _number(calibration.crps),
                "log_likelihood": _number(calibration.log_likelihood),
            }
        scores[group.replace(" ", "_")] = {**numbers, "n": outcome.of(target).n_samples}
    return scores


def _evidence(record: FitRecord) -> dict[str, Any] | None:
    evidence = record.evidence
    if evidence is None:
        return None
    return {
        "log_evidence": _number(evidence.log_evidence),
        "effective_parameters": _number(evidence.effective_parameters),
        "noise_std": dict(zip(record.targets, map(_number, evidence.noise_std), strict=True)),
        "notes": list(evidence.notes),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
