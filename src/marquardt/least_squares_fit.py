"""Nonlinear least squares for a plain residual function, with what a statistician asks of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite
from marquardt._types import FloatArray
from marquardt.damping import DampingRule, Metric, MoreMetric, Nielsen
from marquardt.differences import CentralDifferences, ForwardDifferences
from marquardt.linsolve import QR, LinearSolver
from marquardt.lm import Callback, Geodesic, minimize
from marquardt.refinement import Refinement
from marquardt.residual_problem import ResidualProblem
from marquardt.result import History, Result, Status
from marquardt.stopping import Stopping

# The defaults of `least_squares`, chosen on the certified problems (`benchmarks/certified.py`).
_ACCELERATION = Geodesic(limit=0.75)
"""Transtrum & Sethna's limit: with 2, as for networks, BoxBOD from its far start runs to infinity."""
_DAMPING = Nielsen(initial=1e-3, smallest_factor=1 / 3, power=3)
"""The rule of the paper; λ₀ from 1e-6 to 1e-2 solves all 54 NIST runs too."""
_STOPPING = Stopping(max_iter=10_000)
"""MGH10 from its far start follows a canyon for 1 500 iterations (0.5 s)."""
_REFINABLE = {Status.COST_TOLERANCE, Status.STEP_TOLERANCE, Status.GRADIENT_TOLERANCE, Status.DAMPING_LIMIT}

_EPS = float(np.finfo(float).eps)
_DIFFERENCES = {"2-point": ForwardDifferences(), "3-point": CentralDifferences(), None: CentralDifferences()}


@dataclass(frozen=True)
class LeastSquaresFit:
    """A fit by `least_squares`: estimates, their uncertainty, and how the run went."""

    w: FloatArray
    """Estimates (p,)."""
    residual: FloatArray
    """r at w (n,)."""
    jacobian: FloatArray
    """∂r/∂w at w (n, p)."""
    names: tuple[str, ...]
    result: Result = field(repr=False)
    n_evaluations: int
    """Calls of the residual function, finite differences included."""
    jacobian_precision: float = 0.0
    """Relative error of a column of the Jacobian beyond rounding, when it comes from finite differences."""

    def __repr__(self) -> str:
        estimates = ", ".join(f"{n}={v:.6g}" for n, v in zip(self.names[:8], self.w[:8], strict=True))
        more = ", ..." if len(self.w) > 8 else ""
        return f"LeastSquaresFit({self.status.name}, cost={self.cost:.6g}, {estimates}{more})"

    @property
    def cost(self) -> float:
        """½‖r‖²."""
        return 0.5 * float(self.residual @ self.residual)

    @property
    def status(self) -> Status:
        return self.result.status

    @property
    def message(self) -> str:
        return self.result.message

    @property
    def success(self) -> bool:
        return self.result.success

    @property
    def history(self) -> History:
        return self.result.history

    @property
    def degrees_of_freedom(self) -> int:
        """n − p."""
        return len(self.residual) - len(self.w)

    @property
    def residual_sd(self) -> float:
        """Residual standard deviation √(‖r‖² / (n − p)); NaN without degrees of freedom."""
        dof = self.degrees_of_freedom
        return float(np.sqrt(2.0 * self.cost / dof)) if dof > 0 else float("nan")

    def covariance(self, absolute_sigma: bool = False) -> FloatArray:
        """Covariance of the estimates (p, p): s² (JᵀJ)⁻¹, s the residual standard deviation.

        Computed from the singular values of J with its columns scaled to norm 1, so that the units of the
        parameters do not matter.  A parameter that the data do not determine has variance infinity; singular
        values below the precision of J count as zero.  All entries are NaN where J is not finite.

        Parameters
        ----------
        absolute_sigma : bool
            When true the residuals are already in units of their standard deviation: s = 1.
        """
        if not np.isfinite(self.jacobian).all():
            return np.full((len(self.w), len(self.w)), np.nan)
        norms = np.linalg.norm(self.jacobian, axis=0)
        scaled = self.jacobian / np.where(norms > 0, norms, 1.0)
        _, values, vectors = np.linalg.svd(scaled, full_matrices=False)
        cutoff = max(max(scaled.shape) * _EPS, self.jacobian_precision) * values.max(initial=0.0)
        keep = values > cutoff
        half = vectors[keep].T / values[keep] / np.where(norms > 0, norms, 1.0)[:, None]
        covariance = half @ half.T * (1.0 if absolute_sigma else self.residual_sd**2)
        # What the null space touches is not determined: all p directions must be kept for a finite variance.
        kept = np.einsum("ij,ij->j", vectors[keep], vectors[keep])
        undetermined = kept < 1.0 - 1e-8
        covariance[undetermined, :] = np.nan
        covariance[:, undetermined] = np.nan
        covariance[undetermined, undetermined] = np.inf
        return covariance

    def standard_errors(self, absolute_sigma: bool = False) -> FloatArray:
        """Square roots of the diagonal of the covariance (p,)."""
        return np.sqrt(np.diag(self.covariance(absolute_sigma)))

    def correlations(self) -> FloatArray:
        """Correlation matrix of the estimates (p, p); NaN beside undetermined parameters."""
        covariance = self.covariance(absolute_sigma=True)
        errors = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore"):
            return covariance / np.outer(errors, errors)

    def summary(self) -> str:
        """The fit as text: quality, estimates with standard errors, strong correlations, how it ended."""
        errors = self.standard_errors()
        width = max(len(name) for name in self.names)
        lines = [
            f"{self.message}",
            f"  residuals {len(self.residual)}, parameters {len(self.w)}, "
            f"degrees of freedom {self.degrees_of_freedom}",
            f"  sum of squares {2 * self.cost:.10g}, residual standard deviation {self.residual_sd:.7g}",
            f"  {self.result.n_iter} iterations, {self.result.n_jacobians} Jacobians, "
            f"{self.n_evaluations} evaluations, {self.result.time:.3g} s",
            "  Estimates",
        ]
        for name, value, error in zip(self.names, self.w, errors, strict=True):
            relative = f"({abs(error / value):.2%})" if value != 0 and np.isfinite(error) else ""
            lines.append(
                f"    {name:<{width}}  {_to_digits_of(error, value)} ± {error:.4g} {relative}".rstrip()
            )
        if self.degrees_of_freedom <= 0:
            lines.append(
                "  No degrees of freedom: measure more points, or fix a parameter, for standard errors."
            )
        lines += self._strong_correlations()
        return "\n".join(lines)

    def _strong_correlations(self, least: float = 0.9) -> list[str]:
        matrix = self.correlations()
        pairs = [
            (matrix[i, j], self.names[i], self.names[j])
            for i in range(len(self.w))
            for j in range(i)
            if abs(matrix[i, j]) >= least
        ]
        if not pairs:
            return []
        pairs.sort(key=lambda pair: -abs(pair[0]))
        return [f"  Correlations of {least} and more"] + [
            f"    C({second}, {first}) = {value: .4f}" for value, first, second in pairs[:10]
        ]


def least_squares(
    residual: Callable[..., ArrayLike],
    w0: ArrayLike,
    jac: Callable[..., ArrayLike] | str | None = None,
    *,
    args: Sequence[Any] = (),
    names: Sequence[str] | None = None,
    damping: DampingRule | None = None,
    metric: Metric | None = None,
    solver: LinearSolver | None = None,
    acceleration: bool | Geodesic = True,
    refinement: bool | Refinement = True,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
) -> LeastSquaresFit:
    """Minimise ½‖r(w)‖² for a NumPy residual function.

    Parameters
    ----------
    residual : callable
        ``residual(w, *args)`` -> r (n,), prediction minus target (over its standard deviation, if known).
        NaN or infinity at a trial point rejects it, so a function may be undefined in half of space.
    w0 : array (p,)
        The start; r must be finite there.
    jac : callable, "2-point", "3-point" or None
        ``jac(w, *args)`` -> ∂r/∂w (n, p); or forward or central differences.  None is "3-point".
    args : sequence
        Further arguments of `residual` and `jac`.
    names : sequence of str, optional
        Names of the parameters, for the summary.
    refinement : bool or Refinement
        Gauss-Newton steps after convergence, judged by the gradient, for the digits that the cost cannot see.
    damping, metric, solver, acceleration, stopping, callback
        As in `minimize`.  Defaults: Nielsen's rule in Moré's metric, so that units do not matter; QR, which
        keeps all digits; ``Geodesic(0.75)``; at most 10 000 iterations.

    Returns
    -------
    LeastSquaresFit

    Raises
    ------
    ValueError
        For a start that is not finite, and for residuals or Jacobians of the wrong shape.

    Examples
    --------
    >>> t = np.array([0.0, 1.0, 2.0, 3.0])
    >>> y = np.array([2.0, 1.2, 0.75, 0.44])
    >>> fit = least_squares(lambda w: w[0] * np.exp(-w[1] * t) - y, [1.0, 1.0], names=["A", "k"])
    >>> fit.w.round(4)
    array([1.9971, 0.4998])
    >>> fit.success
    True
    """
    start = as_float("w0", w0)
    if start.ndim != 1 or len(start) == 0:
        raise ValueError(f"w0 has shape {start.shape}: it must be one row of parameters, (p,)")
    check_finite("w0", start, "start from finite parameters")
    labels = tuple(f"w[{i}]" for i in range(len(start))) if names is None else tuple(names)
    if len(labels) != len(start):
        raise ValueError(f"names has {len(labels)} entries, but w0 has {len(start)} parameters")
    if not (callable(jac) or jac is None or (isinstance(jac, str) and jac in _DIFFERENCES)):
        raise ValueError(f"jac={jac!r} must be a function, '2-point', '3-point' or None")
    jacobian = _with_arguments(jac, args) if callable(jac) else _DIFFERENCES[jac]
    problem = ResidualProblem(_with_arguments(residual, args), len(start), jacobian)
    first = problem.residual(start)
    if not np.isfinite(first).all():
        bad = int((~np.isfinite(first)).sum())
        raise ValueError(f"residual(w0) has {bad} NaN or infinite values of {len(first)}: take another w0")
    result = minimize(
        problem,
        start,
        damping=damping or _DAMPING,
        metric=metric or MoreMetric(),
        solver=solver or QR(),
        acceleration=_ACCELERATION if acceleration is True else acceleration,
        stopping=stopping or _STOPPING,
        callback=callback,
    )
    if refinement and result.status in _REFINABLE:
        result = _refined(problem, result, Refinement() if refinement is True else refinement)
    assert result.linearization is not None
    at = result.linearization
    precision = 0.0 if callable(jac) else _DIFFERENCES[jac].precision
    return LeastSquaresFit(
        result.w, at.residual, at.jacobian.dense(), labels, result, problem.n_evaluations, precision
    )


def _with_arguments(
    function: Callable[..., ArrayLike], args: Sequence[Any]
) -> Callable[[FloatArray], ArrayLike]:
    return lambda w: function(w, *args)


def _refined(problem: ResidualProblem, result: Result, refinement: Refinement) -> Result:
    """The result with its last digits; the history stays that of the iterations."""
    assert result.linearization is not None
    try:
        at, n_jacobians = refinement.run(problem, result.linearization)
    except KeyboardInterrupt:  # the fit had converged: hand it out
        return result
    return replace(
        result,
        w=at.w.copy(),
        w_last=at.w.copy(),
        cost=at.cost,
        linearization=at,
        n_jacobians=result.n_jacobians + n_jacobians,
        n_costs=result.n_costs + n_jacobians,
    )


def _to_digits_of(error: float, value: float) -> str:
    """`value` with the decimals that four digits of its error have."""
    if not (np.isfinite(error) and error > 0 and value != 0):
        return f"{value: .8g}"
    decimals = 3 - int(np.floor(np.log10(error)))
    digits = decimals + 1 + int(np.floor(np.log10(abs(value))))
    return f"{value: .{decimals}f}" if 0 <= decimals <= 12 and 1 <= digits <= 15 else f"{value: .8g}"
