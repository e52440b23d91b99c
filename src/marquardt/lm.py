r"""The Levenberg-Marquardt driver: a host loop over one pure step.

    linearise r at w
    repeat:  solve (JᵀJ + S₀ + λD) d = −g         the damped step
             solve (JᵀJ + S₀ + λD) a = −Jᵀ r_dd   its curvature: take d + ½a, unless 2‖a‖/‖d‖ > limit
             solve the output layer at w + d + ½a again, damped by the same λ
             λ by the gain ratio               until the cost falls
    w <- the trial point

Notation: docs/notation.md.  The three parts of the step are switches of `Method`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, DampingState, Identity, Metric, Nielsen
from marquardt.linsolve import Auto, DampedSystem, Factor, LinearSolver, SingularSystemError
from marquardt.problem import Linearization, Problem
from marquardt.result import History, Iteration, Result, Status
from marquardt.search import FirstImprovement, Found, Search, Trial
from marquardt.stopping import Stopping

DEFAULT_DAMPING = Nielsen(smallest_factor=0.2, power=1)
"""Nielsen's rule with γ = 5 and p = 1.  With acceleration and output re-solve it takes fewer Jacobians than the
paper's γ = 3, p = 3 on all five tasks of `benchmarks/jacobian_counts.py`, since steps beat their prediction."""

Callback = Callable[[Iteration], "bool | None"]
Validation = Callable[[FloatArray], float]
Reason = tuple[Status, str]


@dataclass(frozen=True)
class Geodesic:
    """Geodesic acceleration: the step bends along the second derivative of the residuals.

    Parameters
    ----------
    limit : float
        α: the trial is rejected when 2‖a‖/‖d‖ > α.  2 was best of 0.3, 0.75 and 2 on the tasks of
        `benchmarks/jacobian_counts.py`; Transtrum & Sethna take 0.75.

    References
    ----------
    M. K. Transtrum, J. P. Sethna, "Improvements to the Levenberg-Marquardt algorithm for nonlinear
    least-squares minimization", arXiv:1201.5885, sections 3 and 4.
    """

    limit: float = 2.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"limit={self.limit!r} must be positive; use acceleration=None to switch it off")

    def bend(
        self, second: FloatArray, factor: Factor, velocity: FloatArray, scale: FloatArray | None
    ) -> FloatArray | None:
        """velocity + ½a, or None when a is too large for the series to be trusted."""
        a = factor.solve(second)
        if not 2.0 * _norm(a, scale) <= self.limit * _norm(velocity, scale):  # also when a is not finite
            return None
        a *= 0.5
        a += velocity
        return a


@dataclass(frozen=True)
class State:
    """Where a run stands between two steps.  Immutable: a step returns a new one."""

    at: Linearization
    damping: DampingState
    scale: FloatArray | None
    """D (p,), None for the identity."""
    # updated by a step
    found: Found | None = None
    """The search that led here; None at the start."""
    step_norm: float = 0.0
    decrease: float = float("nan")
    n_jacobians: int = 1
    n_costs: int = 1
    stuck: Reason | None = None
    """Set when no step could be taken."""
    system: DampedSystem | None = field(default=None, repr=False)
    """The last system, for its buffers."""
    factor: Factor | None = field(default=None, repr=False)

    def record(self, iteration: int, seconds: float, validation_cost: float | None = None) -> Iteration:
        """What there is to tell of the step that led here, as record number `iteration`."""
        trial = None if self.found is None else self.found.trial
        return Iteration(
            iteration=iteration,
            cost=self.at.cost,
            damping=self.damping.damping if trial is None else trial.damping,
            gain_ratio=np.nan if trial is None else trial.gain_ratio,
            gradient_norm=float(np.max(np.abs(self.at.gradient), initial=0.0)),
            step_norm=self.step_norm,
            rejected=0 if self.found is None else self.found.rejected,
            n_jacobians=self.n_jacobians,
            n_costs=self.n_costs,
            time=seconds,
            validation_cost=validation_cost,
            accelerated=trial is not None and trial.accelerated,
            decrease=self.decrease,
            predicted=np.nan if trial is None else trial.predicted,
        )


@dataclass(frozen=True)
class Method:
    """The parts of the algorithm; each can be exchanged.

    Parameters
    ----------
    damping : DampingRule
    metric : Metric
    solver : LinearSolver
    search : Search
    acceleration : Geodesic or None
        None switches the second-order term off.
    resolve_output : bool
        Whether the linear output layer is solved again at every trial point.
    """

    damping: DampingRule = DEFAULT_DAMPING
    metric: Metric = field(default_factory=Identity)
    solver: LinearSolver = field(default_factory=Auto)
    search: Search = field(default_factory=FirstImprovement)
    acceleration: Geodesic | None = field(default_factory=Geodesic)
    resolve_output: bool = True

    def start(self, problem: Problem, w: ArrayLike) -> State:
        """The state at the start."""
        w = np.array(w, dtype=float)
        if w.shape != (problem.n_params,):
            raise ValueError(f"w0 has shape {w.shape}, but the problem has {problem.n_params} parameters")
        w.flags.writeable = False
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            at = problem.linearize(w)
            sqnorms = at.jacobian.column_sqnorms()
            scale = self.metric.scale(sqnorms, None)
            curvature = float(np.max(sqnorms if scale is None else sqnorms / scale, initial=0.0))
        if not (np.isfinite(at.cost) and np.isfinite(at.gradient).all() and np.isfinite(curvature)):
            reason = (Status.NO_FINITE_START, f"cost {at.cost} at the start")
            return State(at, DampingState(np.nan, np.nan), scale, stuck=reason)
        return State(at, self.damping.start(curvature), scale)

    def step(self, problem: Problem, state: State) -> State:
        """One iteration: the next state, or the same point with `stuck` set when no step was found."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._step(problem, state)

    def _step(self, problem: Problem, state: State) -> State:
        at, scale = state.at, state.scale
        try:
            system = self.solver.prepare(at.jacobian, problem.prior, scale, state.system)
        except SingularSystemError as error:
            return replace(state, stuck=(Status.SINGULAR, str(error)), system=None)
        factors: list[Factor] = []

        def attempt(damping: float) -> Trial:
            factors.clear()
            return self._attempt(problem, at, system, damping, scale, factors)

        found = self.search.run(attempt, self.damping, state.damping)
        state = replace(
            state,
            found=found,
            damping=found.state,
            n_costs=state.n_costs + found.n_costs,
            system=system,
            factor=factors[0] if factors else None,
        )
        trial = found.trial
        if trial.w is None or not trial.acceptable:
            return replace(state, stuck=_why_stuck(found, at.cost))
        new = problem.linearize(trial.w)
        if not np.isfinite(new.gradient).all():
            return replace(state, stuck=(Status.SINGULAR, "the Jacobian at the new point is not finite"))
        if self.metric.needs_column_norms:
            scale = self.metric.scale(new.jacobian.column_sqnorms(), scale)
        return replace(
            state,
            at=new,
            scale=scale,
            step_norm=float(np.linalg.norm(trial.w - at.w)),
            decrease=at.cost - new.cost,
            n_jacobians=state.n_jacobians + 1,
        )

    def _attempt(
        self,
        problem: Problem,
        at: Linearization,
        system: DampedSystem,
        damping: float,
        scale: FloatArray | None,
        factors: list[Factor],
    ) -> Trial:
        """One trial: damped step, acceleration, output re-solve, cost, gain ratio."""
        failed = Trial(damping, None, np.inf, -np.inf, np.nan, False, False, False, 0)
        try:
            factor = system.factorize(damping)
            velocity = factor.solve(at.residual, at.offset, at.gradient)
        except SingularSystemError:
            return failed
        factors.append(factor)
        # C(w) − model(w + d) = ½ dᵀ(λDd − g), since (JᵀJ + S₀ + λD) d = −g
        pull = velocity * damping if scale is None else velocity * scale * damping
        predicted = 0.5 * float(velocity @ (pull - at.gradient))
        if not np.isfinite(predicted):
            return failed
        step, accelerated = velocity, False
        second = None if self.acceleration is None else problem.second_derivative(at, velocity)
        if self.acceleration is not None and second is not None:
            bent = self.acceleration.bend(second, factor, velocity, scale)
            if bent is None:
                return replace(failed, predicted=predicted, negligible=_below_rounding(predicted, at.cost))
            step, accelerated = bent, True
        w = at.w + step
        w.flags.writeable = False
        if self.resolve_output:
            w = problem.resolve_output(w, damping, scale)
        cost = problem.cost(w)
        decrease = at.cost - cost
        finite = bool(np.isfinite(cost))
        return Trial(
            damping,
            w,
            cost,
            gain_ratio=(decrease / predicted if predicted > 0 else np.inf) if finite else -np.inf,
            predicted=predicted,
            acceptable=finite and decrease > 0,
            negligible=_below_rounding(predicted, at.cost) and finite and _below_rounding(decrease, at.cost),
            accelerated=accelerated,
            n_costs=1,
        )


def minimize(
    problem: Problem,
    w0: ArrayLike,
    *,
    damping: DampingRule | None = None,
    metric: Metric | None = None,
    solver: LinearSolver | None = None,
    search: Search | None = None,
    acceleration: Geodesic | None | bool = True,
    resolve_output: bool = True,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
    validation: Validation | None = None,
) -> Result:
    """Minimise ½‖r(w)‖² + ½wᵀS₀w from w0 by the Levenberg-Marquardt method.

    Parameters
    ----------
    problem : Problem
        E.g. a `NetworkProblem`.
    w0 : array (n_params,)
        The start.
    damping, metric, solver, search, acceleration, resolve_output
        The parts of the method, see `Method`; None (True for `acceleration`) takes the default.
    stopping : Stopping, optional
        Limits and tolerances.
    callback : callable, optional
        Called with the `Iteration` record after the start and after every iteration; a true return value
        ends the run.  An exception in it ends the run too, and is kept in `Result.error`.
    validation : callable, optional
        w -> validation cost; the parameters of its lowest value are returned, and `Stopping.max_fail`
        iterations without improvement end the run.

    Returns
    -------
    Result
        With the best parameters seen, however the run ended: Ctrl-C included.

    Raises
    ------
    ValueError
        When w0 has the wrong shape.
    MemoryError
        When neither the primal nor the dual system fits into memory.

    Examples
    --------
    >>> from marquardt import Input, Linear, NetworkProblem
    >>> problem = NetworkProblem(Input(1) >> Linear(1), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> minimize(problem, [0.0, 0.0]).w.round(6)
    array([2., 1.])
    """
    if acceleration is True:
        acceleration = Geodesic()
    method = Method(
        damping or DEFAULT_DAMPING,
        metric or Identity(),
        solver or Auto(),
        search or FirstImprovement(),
        acceleration or None,
        resolve_output,
    )
    return _Run(problem, method, stopping or Stopping(), callback, validation).result(w0)


class _Run:
    """The host loop: clock, records, best point, and every way to end."""

    def __init__(
        self,
        problem: Problem,
        method: Method,
        stopping: Stopping,
        callback: Callback | None,
        validation: Validation | None,
    ) -> None:
        self.problem, self.method, self.stopping = problem, method, stopping
        self.callback, self.validation = callback, validation
        self.history = History()
        self.state: State | None = None
        self.best: tuple[float, float, FloatArray] | None = None  # (what is minimised, cost, w)
        self.fails = 0
        self.error: BaseException | None = None
        self.clock = time.perf_counter()

    def result(self, w0: ArrayLike) -> Result:
        try:
            status, numbers = self._loop(w0)
        except KeyboardInterrupt as error:
            if self.best is None:
                raise
            status, numbers = Status.INTERRUPTED, f"after {len(self.history) - 1} iterations"
            self.error = error
        assert self.state is not None and self.best is not None
        _, cost, w = self.best
        return Result(
            w=w.copy(),
            cost=cost,
            status=status,
            message=f"{numbers[:1].upper()}{numbers[1:]}. {status.value}",
            history=self.history,
            w_last=self.state.at.w.copy(),
            n_jacobians=self.state.n_jacobians,
            n_costs=self.state.n_costs,
            time=time.perf_counter() - self.clock,
            error=self.error,
            linearization=self.state.at,
            factor=self.state.factor,
        )

    def _loop(self, w0: ArrayLike) -> Reason:
        self.state = self.method.start(self.problem, w0)
        while True:
            reason = self._record(self.state)
            if self.state.stuck is not None:
                return self.state.stuck
            if reason is not None:
                return reason
            state = self.method.step(self.problem, self.state)
            if state.stuck is not None:
                self.state = state
                return state.stuck
            self.state = state

    def _record(self, state: State) -> Reason | None:
        """Note where the run stands; the reason to stop here, if any."""
        validation_cost = None if self.validation is None else float(self.validation(state.at.w))
        self._keep_best(state, validation_cost)
        record = state.record(len(self.history), time.perf_counter() - self.clock, validation_cost)
        self.history.append(record)
        reason = self.stopping.reason(record, float(np.linalg.norm(state.at.w)), self.fails)
        return self._call_back(record) or reason

    def _keep_best(self, state: State, validation_cost: float | None) -> None:
        value = state.at.cost if validation_cost is None else validation_cost
        if self.best is None or value < self.best[0]:
            self.best, self.fails = (value, state.at.cost, state.at.w), 0
        else:
            self.fails += 1

    def _call_back(self, record: Iteration) -> Reason | None:
        if self.callback is None:
            return None
        try:
            stop = self.callback(record)
        except Exception as error:
            self.error = error
            return Status.CALLBACK_FAILED, f"{type(error).__name__}: {error}"
        return (Status.STOPPED_BY_CALLBACK, f"after {record.iteration} iterations") if stop else None


def _norm(vector: FloatArray, scale: FloatArray | None) -> float:
    return float(np.sqrt(vector @ vector if scale is None else vector @ (scale * vector)))


def _below_rounding(change: float, cost: float) -> bool:
    return abs(change) <= 4.0 * np.finfo(float).eps * cost


def _why_stuck(found: Found, cost: float) -> Reason:
    if found.trial.negligible:
        return (
            Status.COST_TOLERANCE,
            f"predicted decrease {found.trial.predicted:.3g} is rounding of cost {cost:.6g}",
        )
    if found.trial.w is None and not np.isfinite(found.trial.predicted):
        return Status.SINGULAR, f"no finite step up to damping {found.trial.damping:.3g}"
    return Status.DAMPING_LIMIT, f"damping {found.state.damping:.3g} > limit {found.state.maximum:.3g}"
