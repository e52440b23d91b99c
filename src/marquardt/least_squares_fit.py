"""Nonlinear least squares for a plain residual function, with what a statistician asks of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite
from marquardt._types import FloatArray
from marquardt.damping import DampingRule, Metric, MoreMetric, Nielsen
from marquardt.differences import CentralDifferences, ForwardDifferences
from marquardt.linsolve import QR, LinearSolver
from marquardt.lm import Callback, Geodesic, minimize
from marquardt.losses.penalties import PENALTIES
from marquardt.losses.robust import Robust
from marquardt.problem import Problem
from marquardt.refinement import Refinement
from marquardt.residual_problem import ResidualProblem
from marquardt.result import History, Result, Status
from marquardt.reweighted_problem import ReweightedLinearization, ReweightedProblem
from marquardt.robust_fit import fit_robustly
from marquardt.robust_scale import equivalent_sd
from marquardt.stopping import Stopping

if TYPE_CHECKING:
    from marquardt.uncertainty import Bootstrap, ConfidenceInterval, Contour, Profile

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
    _problem: ResidualProblem | None = field(default=None, repr=False, compare=False)
    """The plain residuals, for refits; not saved with the fit."""
    loss: Robust | None = None
    """The penalty in place of squares, at its scale; None for least squares."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_problem"}

    def __repr__(self) -> str:
        estimates = ", ".join(f"{n}={v:.6g}" for n, v in zip(self.names[:8], self.w[:8], strict=True))
        more = ", ..." if len(self.w) > 8 else ""
        return f"LeastSquaresFit({self.status.name}, cost={self.cost:.6g}, {estimates}{more})"

    @property
    def cost(self) -> float:
        """½‖r‖², or Σ ρ(r) with a loss."""
        if self.loss is not None:
            return float(self.loss.value(self.residual).sum())
        return 0.5 * float(self.residual @ self.residual)

    @property
    def weights(self) -> FloatArray:
        """How much each residual counts (n,): 1 without a loss; with one from 1 down to 0, for outliers."""
        return np.ones_like(self.residual) if self.loss is None else self.loss.weight(self.residual)

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
        """Residual standard deviation √(‖r‖² / (n − p)); NaN without degrees of freedom.

        With a loss, the s of its covariance s² (JᵀJ)⁻¹: see `marquardt.robust_scale.equivalent_sd`.
        """
        if self.loss is not None:
            return equivalent_sd(self.loss, self.residual, len(self.w))
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
            When true the residuals are already in units of their standard deviation: s = 1.  With a loss s
            is always estimated.
        """
        s = 1.0 if absolute_sigma and self.loss is None else self.residual_sd
        unscaled = self._unscaled_covariance()
        with np.errstate(invalid="ignore"):  # of an exact fit, 0 · ∞: undetermined all the same
            return np.where(np.isinf(unscaled), unscaled, unscaled * s**2)

    def _unscaled_covariance(self) -> FloatArray:
        """(JᵀJ)⁻¹."""
        if not np.isfinite(self.jacobian).all():
            return np.full((len(self.w), len(self.w)), np.nan)
        norms = np.linalg.norm(self.jacobian, axis=0)
        scaled = self.jacobian / np.where(norms > 0, norms, 1.0)
        _, values, vectors = np.linalg.svd(scaled, full_matrices=False)
        cutoff = max(max(scaled.shape) * _EPS, self.jacobian_precision) * values.max(initial=0.0)
        keep = values > cutoff
        half = vectors[keep].T / values[keep] / np.where(norms > 0, norms, 1.0)[:, None]
        covariance = half @ half.T
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
        covariance = self._unscaled_covariance()
        errors = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore"):
            return covariance / np.outer(errors, errors)

    def summary(self) -> str:
        """The fit in a few lines: how it ended, quality, estimates with errors, strong correlations."""
        from marquardt.uncertainty.fit_report import summary

        return summary(self)

    def report(self, y: ArrayLike | None = None, **options: Any) -> str:
        """The fit in full: statistics, estimates with intervals, correlations.  See `fit_report`."""
        from marquardt.uncertainty.fit_report import fit_report

        return fit_report(self, y, **options)

    def profile(self, name: str | int, **options: Any) -> Profile:
        """The profile likelihood of a parameter, and its interval.  See `marquardt.uncertainty.profile`."""
        from marquardt.uncertainty.profile import profile

        return profile(self, name, **options)

    def conf_interval(
        self, *names: str | int, coverage: float = 0.95, absolute_sigma: bool = False
    ) -> dict[str, ConfidenceInterval]:
        """Profile-likelihood intervals of the named parameters, of all without names."""
        from marquardt.uncertainty.profile import conf_interval

        return conf_interval(self, *names, coverage=coverage, absolute_sigma=absolute_sigma)

    def contour(self, first: str | int, second: str | int, **options: Any) -> Contour:
        """The joint confidence region of two parameters.  See `marquardt.uncertainty.contour`."""
        from marquardt.uncertainty.contour import contour

        return contour(self, first, second, **options)

    def bootstrap(self, n_resamples: int = 1000, **options: Any) -> Bootstrap:
        """The same fit to data drawn again.  See `marquardt.uncertainty.bootstrap`."""
        from marquardt.uncertainty.bootstrap import bootstrap

        return bootstrap(self, n_resamples, **options)


def least_squares(
    residual: Callable[..., ArrayLike],
    w0: ArrayLike,
    jac: Callable[..., ArrayLike] | str | None = None,
    *,
    args: Sequence[Any] = (),
    names: Sequence[str] | None = None,
    loss: str | Robust = "linear",
    f_scale: float | None = 1.0,
    damping: DampingRule | None = None,
    metric: Metric | None = None,
    solver: LinearSolver | None = None,
    acceleration: bool | Geodesic = True,
    refinement: bool | Refinement = True,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
) -> LeastSquaresFit:
    """Minimise ½‖r(w)‖², or Σ ρ(r(w)), for a NumPy residual function.

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
    loss : str or Robust
        "linear" is least squares; "huber", "soft_l1", "cauchy" (as SciPy's) and "tukey" let gross errors
        count little; "quantile" fits the median; or an object, `Huber(threshold=..., scale=...)` and so on.
    f_scale : float or None
        With the name of a loss: the residual from which on errors count as large, as in SciPy.  None
        estimates the standard deviation of the noise, see `marquardt.robust_fit`, and takes the threshold of
        95 % efficiency.
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
        For a start that is not finite, an unknown loss, and for residuals or Jacobians of the wrong shape.

    Notes
    -----
    An exception in `residual` or `jac` is raised at the start only; after it, the fit ends with
    `Status.FUNCTION_FAILED` and the best parameters.  An ArithmeticError rejects a trial point.

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
    penalty = _chosen_penalty(loss, f_scale)
    jacobian = _with_arguments(jac, args) if callable(jac) else _DIFFERENCES[jac]
    problem = ResidualProblem(_with_arguments(residual, args), len(start), jacobian)
    first = problem.residual(start)
    if not np.isfinite(first).all():
        bad = int((~np.isfinite(first)).sum())
        raise ValueError(f"residual(w0) has {bad} NaN or infinite values of {len(first)}: take another w0")
    run = partial(
        minimize,
        damping=damping or _DAMPING,
        metric=metric or MoreMetric(),
        solver=solver or QR(),
        acceleration=_ACCELERATION if acceleration is True else acceleration,
    )
    stopping = stopping or _STOPPING
    whole: Problem = problem
    if penalty is None:
        result = run(problem, start, stopping=stopping, callback=callback)
    elif f_scale is not None:
        whole = ReweightedProblem(problem, penalty, start)
        result = run(whole, start, stopping=stopping, callback=callback)
    else:
        robust = ReweightedProblem(problem, penalty, start)
        fit = fit_robustly(robust, start, penalty, minimizer=run, stopping=stopping, callback=callback)
        result, penalty = fit.result, fit.penalty.at_scale(float(fit.scale[0]))
        whole = robust.with_loss(penalty)
    if refinement and result.status in _REFINABLE:
        result = _refined(whole, result, Refinement() if refinement is True else refinement)
    assert result.linearization is not None
    at = result.linearization
    plain = at.plain if isinstance(at, ReweightedLinearization) else at
    return LeastSquaresFit(
        result.w,
        plain.residual,
        plain.jacobian.dense(),
        labels,
        result,
        problem.n_evaluations,
        0.0 if callable(jac) else _DIFFERENCES[jac].precision,
        problem,
        penalty,
    )


def _chosen_penalty(loss: str | Robust, f_scale: float | None) -> Robust | None:
    """The penalty at the scale asked for; None for least squares."""
    if f_scale is not None and not (np.isfinite(f_scale) and f_scale > 0):
        raise ValueError(
            f"f_scale={f_scale!r} must be a finite number above 0, or None to estimate the scale"
        )
    if isinstance(loss, Robust):
        if f_scale not in (None, 1.0):
            raise ValueError(
                f"f_scale={f_scale!r} is for the name of a loss: write "
                f"loss={type(loss).__name__}(threshold=..., scale=...)"
            )
        return loss
    if loss == "linear":
        return None
    if not isinstance(loss, str) or loss not in PENALTIES:
        raise ValueError(f"loss={loss!r} must be 'linear', {', '.join(map(repr, PENALTIES))}, or an object")
    return PENALTIES[loss] if f_scale is None else replace(PENALTIES[loss], threshold=float(f_scale))


def _with_arguments(
    function: Callable[..., ArrayLike], args: Sequence[Any]
) -> Callable[[FloatArray], ArrayLike]:
    return lambda w: function(w, *args)


def _refined(problem: Problem, result: Result, refinement: Refinement) -> Result:
    """The result with its last digits; the history stays that of the iterations."""
    assert result.linearization is not None
    try:
        at, n_jacobians = refinement.run(problem, result.linearization)
    except KeyboardInterrupt:  # the fit had converged: hand it out
        return result
    except Exception as error:  # likewise
        why = f"The refinement of its last digits was ended by {type(error).__name__}: {error}."
        return replace(result, message=f"{result.message} {why}", error=error)
    return replace(
        result,
        w=at.w.copy(),
        w_last=at.w.copy(),
        cost=at.cost,
        linearization=at,
        n_jacobians=result.n_jacobians + n_jacobians,
        n_costs=result.n_costs + n_jacobians,
    )
