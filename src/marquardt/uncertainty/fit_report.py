"""The fit of a curve as text: a short summary, and the full report in the spirit of lmfit's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float
from marquardt.uncertainty.profile import ConfidenceInterval, threshold

if TYPE_CHECKING:
    from marquardt.least_squares_fit import LeastSquaresFit


@dataclass(frozen=True)
class FitStatistics:
    """How good a fit is, for comparison with others of the same data.

    With χ² = ‖r‖²:  AIC = n log(χ²/n) + 2p,  BIC = n log(χ²/n) + p log n, as lmfit has them; with residuals
    in units of their standard deviation AIC = χ² + 2p and BIC = χ² + p log n.
    """

    chi_square: float
    reduced_chi_square: float
    aic: float
    bic: float
    r_squared: float | None
    """1 − χ² / Σ (y − ȳ)²; None where y is not known."""

    @classmethod
    def of(
        cls, fit: LeastSquaresFit, y: ArrayLike | None = None, absolute_sigma: bool = False
    ) -> FitStatistics:
        """For a fit; `y` are the measured values, in the units of the residuals."""
        n, p, chi_square = len(fit.residual), len(fit.w), 2.0 * fit.cost
        dof = fit.degrees_of_freedom
        with np.errstate(divide="ignore"):
            deviance = chi_square if absolute_sigma else n * float(np.log(chi_square / n))
        return cls(
            chi_square,
            chi_square / dof if dof > 0 else float("nan"),
            deviance + 2 * p,
            deviance + p * float(np.log(n)),
            None if y is None else _r_squared(chi_square, as_float("y", y), n),
        )


def _r_squared(chi_square: float, y: np.ndarray, n: int) -> float:
    if y.shape != (n,):
        raise ValueError(
            f"y has shape {y.shape}, but there are {n} residuals: give one measured value for each"
        )
    spread = float(np.sum((y - y.mean()) ** 2))
    return 1.0 - chi_square / spread if spread > 0 else float("nan")


def fit_report(
    fit: LeastSquaresFit,
    y: ArrayLike | None = None,
    *,
    intervals: Mapping[str, ConfidenceInterval] | None = None,
    coverage: float = 0.95,
    absolute_sigma: bool = False,
    least_correlation: float = 0.1,
) -> str:
    """The report of a fit.

    Parameters
    ----------
    fit : LeastSquaresFit
    y : array (n,), optional
        The measured values, for R²; over their standard deviation where the residuals are.
    intervals : mapping of name to ConfidenceInterval, optional
        From `conf_interval` or a bootstrap; without, ŵ ± t · se.
    coverage : float
        Of the intervals when none are given.
    absolute_sigma : bool
        When true the residuals are already in units of their standard deviation.
    least_correlation : float
        Correlations of at least this size are listed.

    Returns
    -------
    str
        Sections Fit, Statistics, Parameters, Correlations.
    """
    sections = {
        "Fit": _course(fit),
        "Statistics": _statistics(fit, y, absolute_sigma),
        "Parameters": _parameters(fit, intervals, coverage, absolute_sigma),
        f"Correlations of {least_correlation:g} and more": correlations(fit, least_correlation),
    }
    return "\n".join(
        f"[[{title}]]\n" + "\n".join(f"    {line}".rstrip() for line in lines)
        for title, lines in sections.items()
        if lines
    )


def _quality(fit: LeastSquaresFit) -> str:
    if fit.loss is None:
        return f"sum of squares {2 * fit.cost:.10g}"
    light = int((fit.weights < 0.5).sum())
    return f"cost {fit.cost:.10g} by {fit.loss}, {light} residuals count less than half"


def summary(fit: LeastSquaresFit) -> str:
    """A few lines: quality, estimates with standard errors, strong correlations, how it ended."""
    errors = fit.standard_errors()
    width = max(len(name) for name in fit.names)
    lines = [
        f"{fit.message}",
        f"  residuals {len(fit.residual)}, parameters {len(fit.w)}, "
        f"degrees of freedom {fit.degrees_of_freedom}",
        f"  {_quality(fit)}, residual standard deviation {fit.residual_sd:.7g}",
        f"  {_work(fit)}",
        "  Estimates",
    ]
    for name, value, error in zip(fit.names, fit.w, errors, strict=True):
        lines.append(f"    {_estimate(name, width, value, error)}")
    if fit.degrees_of_freedom <= 0:
        lines.append("  No degrees of freedom: measure more points, or fix a parameter, for standard errors.")
    strong = correlations(fit, 0.9)
    return "\n".join(
        [*lines, *(["  Correlations of 0.9 and more"] if strong else []), *(f"    {s}" for s in strong)]
    )


def correlations(fit: LeastSquaresFit, least: float, most: int = 10) -> list[str]:
    """Lines `C(a, b) = 0.9`, the strongest first."""
    matrix = fit.correlations()
    pairs = [
        (matrix[i, j], fit.names[i], fit.names[j])
        for i in range(len(fit.w))
        for j in range(i)
        if abs(matrix[i, j]) >= least
    ]
    pairs.sort(key=lambda pair: -abs(pair[0]))
    lines = [f"C({second}, {first}) = {value: .4f}" for value, first, second in pairs[:most]]
    return lines + ([f"... and {len(pairs) - most} more"] if len(pairs) > most else [])


def _course(fit: LeastSquaresFit) -> list[str]:
    return [
        f"status        {fit.status.name.lower().replace('_', ' ')}: {fit.message}",
        f"work          {_work(fit)}",
    ]


def _work(fit: LeastSquaresFit) -> str:
    result = fit.result
    return (
        f"{result.n_iter} iterations, {result.n_jacobians} Jacobians, {fit.n_evaluations} evaluations, "
        f"{result.time:.3g} s"
    )


def _statistics(fit: LeastSquaresFit, y: ArrayLike | None, absolute_sigma: bool) -> list[str]:
    s = FitStatistics.of(fit, y, absolute_sigma)
    lines = [
        f"data          {len(fit.residual)} residuals, {len(fit.w)} parameters, "
        f"{fit.degrees_of_freedom} degrees of freedom",
        f"chi-square    {s.chi_square:.8g}, reduced {s.reduced_chi_square:.8g}, "
        f"residual standard deviation {fit.residual_sd:.6g}",
        f"AIC, BIC      {s.aic:.6g}, {s.bic:.6g}",
    ]
    return lines + ([] if s.r_squared is None else [f"R²            {s.r_squared:.8g}"])


def _parameters(
    fit: LeastSquaresFit,
    intervals: Mapping[str, ConfidenceInterval] | None,
    coverage: float,
    absolute_sigma: bool,
) -> list[str]:
    errors = fit.standard_errors(absolute_sigma)
    if intervals is None:
        intervals = _wald(fit, errors, coverage, absolute_sigma)
    width = max(len(name) for name in fit.names)
    lines = []
    for name, value, error in zip(fit.names, fit.w, errors, strict=True):
        line = _estimate(name, width, value, error)
        known = intervals.get(name)
        if known is not None:
            line += f", {known.coverage:.4g} interval {known.low:.6g} to {known.high:.6g}"
            line += "".join(f" ({note})" for note in known.notes)
        lines.append(line)
    if not intervals:
        lines.append("No degrees of freedom: measure more points, or fix a parameter, for standard errors.")
    return lines


def _wald(
    fit: LeastSquaresFit, errors: np.ndarray, coverage: float, absolute_sigma: bool
) -> dict[str, ConfidenceInterval]:
    """ŵ ± t · se."""
    if fit.degrees_of_freedom <= 0 and not absolute_sigma:
        return {}
    half = threshold(fit, coverage, absolute_sigma, 1) * errors
    rows = zip(fit.names, fit.w.tolist(), half.tolist(), strict=True)
    return {name: ConfidenceInterval(name, w, w - d, w + d, coverage) for name, w, d in rows}


def _estimate(name: str, width: int, value: float, error: float) -> str:
    """`name  value ± error (relative)`."""
    return f"{name:<{width}}  {to_digits_of(error, value)} ± {error:.4g} {_relative(error, value)}".rstrip()


def _relative(error: float, value: float) -> str:
    return f"({abs(error / value):.2%})" if value != 0 and np.isfinite(error) else ""


def to_digits_of(error: float, value: float) -> str:
    """`value` with the decimals that four digits of its error have."""
    if not (np.isfinite(error) and error > 0 and value != 0):
        return f"{value: .8g}"
    decimals = 3 - int(np.floor(np.log10(error)))
    digits = decimals + 1 + int(np.floor(np.log10(abs(value))))
    return f"{value: .{decimals}f}" if 0 <= decimals <= 12 and 1 <= digits <= 15 else f"{value: .8g}"
