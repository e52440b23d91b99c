"""The report of a fitted curve, as text and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from marquardt.uncertainty import ConfidenceInterval, fit_report

if TYPE_CHECKING:
    from marquardt.curves.fitted_curve import CurveFit

_INTERVALS = ("linear", "profile", "bootstrap")


def curve_report(
    fit: CurveFit,
    intervals: str | Mapping[str, ConfidenceInterval],
    coverage: float,
    random_state: int | None = 0,
) -> str:
    """See `CurveFit.report`."""
    chosen = _intervals(fit, intervals, coverage, random_state)
    plain = fit.data.roots is None and fit.least_squares.loss is None
    sections = [
        _section("Model", _model(fit)),
        fit_report(
            fit.least_squares,
            fit.data.y if plain else None,
            intervals=chosen,
            coverage=coverage,
            absolute_sigma=fit.absolute_sigma,
        ),
        _section("Not free", _not_free(fit)),
        _section("Residuals", [f"AICc          {fit.aicc:.6g}", *fit.residual_tests.lines()]),
        _section("Notes", list(fit.notes)),
    ]
    return "\n".join(section for section in sections if section)


def curve_record(fit: CurveFit) -> dict[str, Any]:
    """See `CurveFit.to_dict`."""
    errors, tests = fit.standard_errors, fit.residual_tests
    parameters = {
        name: {"value": value, "standard_error": errors[name], "kind": fit.kinds.get(name, "free")}
        for name, value in fit.params.items()
    }
    intervals: dict[str, list[float]] = {}
    if fit.degrees_of_freedom > 0 or fit.absolute_sigma:
        from marquardt.uncertainty.profile import threshold

        t = threshold(fit.least_squares, 0.95, fit.absolute_sigma, 1)
        params = fit.params
        intervals = {n: [params[n] - t * errors[n], params[n] + t * errors[n]] for n in fit.names}
    for name, ends in intervals.items():
        parameters[name]["interval_95"] = ends
    return {
        "model": fit.curve.name,
        "formula": fit.curve.formula,
        "status": fit.status.name,
        "success": fit.success,
        "message": fit.message,
        "groups": list(fit.groups),
        "parameters": parameters,
        "correlations": {"names": list(fit.names), "matrix": fit.correlations().tolist()},
        "n_points": len(fit.data),
        "degrees_of_freedom": fit.degrees_of_freedom,
        "rss": fit.rss,
        "residual_sd": fit.residual_sd,
        "aic": fit.aic,
        "aicc": fit.aicc,
        "bic": fit.bic,
        "residual_tests": vars(tests),
        "optima": [{"params": o.params, "cost": o.cost, "reason": o.reason} for o in fit.optima],
        "notes": list(fit.notes),
    }


def _intervals(
    fit: CurveFit,
    intervals: str | Mapping[str, ConfidenceInterval],
    coverage: float,
    random_state: int | None,
) -> Mapping[str, ConfidenceInterval] | None:
    if not isinstance(intervals, str):
        return intervals
    if intervals not in _INTERVALS:
        raise ValueError(f"intervals={intervals!r} must be one of {', '.join(map(repr, _INTERVALS))}")
    if intervals == "linear":
        return None
    if intervals == "profile":
        return fit.conf_interval(coverage=coverage)
    drawn = fit.bootstrap(1000, random_state=random_state)
    return {name: drawn.interval(name, coverage) for name in fit.names}


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"[[{title}]]", *(f"    {line}" for line in lines)]) if lines else ""


def _model(fit: CurveFit) -> list[str]:
    formula = f": {fit.curve.formula}" if fit.curve.formula else ""
    lines = [f"{fit.curve.label}{formula}"]
    if fit.groups:
        lines.append(f"{len(fit.groups)} groups: {', '.join(fit.groups)}")
    return lines


def _not_free(fit: CurveFit) -> list[str]:
    errors = fit.standard_errors
    width = max(map(len, fit.params))
    lines = []
    for name, value in fit.params.items():
        if name in fit.names:
            continue
        error = f" ± {errors[name]:.4g}" if errors[name] > 0 else ""
        lines.append(f"{name:<{width}}  {value:.8g}{error} ({fit.kinds.get(name, 'fixed')})")
    return lines
