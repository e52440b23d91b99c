r"""The method: one pure step of Levenberg-Marquardt, made of exchangeable parts.

    solve (JᵀJ + S₀ + λD) d = −g         the damped step
    solve (JᵀJ + S₀ + λD) a = −Jᵀ r_dd   its curvature: take d + ½a, unless 2‖a‖/‖d‖ > limit
    solve the output layer at w + d + ½a again, damped by the same λ
    raise λ and try again, until the cost falls

Notation: docs/notation.md.  The parts are switches of `Method`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, DampingState, GainRatio, Identity, Metric
from marquardt.linsolve import Auto, Buffers, DampedSystem, Factor, LinearSolver, SingularSystemError
from marquardt.problem import Linearization, Problem
from marquardt.result import Iteration, Status
from marquardt.search import FirstImprovement, Found, Search, Trial

Reason = tuple[Status, str]

DEFAULT_DAMPING = GainRatio(up=3.0, down=5.0)
"""Thresholds 0.25 and 0.75, λ·3 and λ/5.  Chosen on `benchmarks/jacobian_counts.py` and the spirals of
`benchmarks/peers.py` among Nielsen's rule (the paper's numbers, and 1/5 with p = 1), fixed factors from 1.2
to 10, and this one: as few Jacobians as the best on smooth fits, and the fewest starts left behind on the
spirals, where Nielsen's rule settles on plateaus."""


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
class Position:
    """A state without what can be made again: its linearization."""

    w: FloatArray
    damping: DampingState
    scale: FloatArray | None
    decrease: float
    n_jacobians: int
    n_costs: int
    buffers: Buffers | None = None
    """Of the last system, without its matrices: what the solver's choices depend on."""


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
    buffers: Buffers | None = field(default=None, repr=False)
    """Of the last system.  Not the system, which would keep its Jacobian alive beside the next one."""

    @property
    def position(self) -> Position:
        """Where `Method.resume` goes on, by the same steps, bit for bit."""
        buffers = None if self.buffers is None else self.buffers.emptied()
        return Position(
            self.at.w, self.damping, self.scale, self.decrease, self.n_jacobians, self.n_costs, buffers
        )

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
            damping_share=np.nan if trial is None else trial.damping_share,
        )


_CONTRACTS = {
    "damping": ("start", "accepted", "rejected"),
    "metric": ("scale", "needs_column_norms"),
    "solver": ("prepare",),
    "search": ("run",),
    "acceleration": ("bend",),
}


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

    def __post_init__(self) -> None:
        for name in ("damping", "metric", "solver", "search", "acceleration"):
            part = getattr(self, name)
            if isinstance(part, type | str):
                written = part if isinstance(part, str) else part.__name__
                raise TypeError(
                    f"{name}={part!r} must be an object of its kind: write {written}(), with brackets"
                )
            missing = [
                method for method in _CONTRACTS[name] if part is not None and not hasattr(part, method)
            ]
            if missing:
                raise TypeError(f"{name}={part!r} lacks {', '.join(missing)}: see the Protocol of its kind")

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
            what = "the Jacobian is not finite" if np.isfinite(at.cost) else f"the cost is {at.cost}"
            reason = (Status.NO_FINITE_START, f"{what} at the start")
            return State(at, DampingState(np.nan, np.nan), scale, stuck=reason)
        return State(at, self.damping.start(curvature), scale)

    def resume(self, problem: Problem, position: Position) -> State:
        """The state at a position that was reached before; the Jacobian made again is not counted."""
        w = position.w.copy()
        w.flags.writeable = False
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            at = problem.linearize(w)
        return State(
            at,
            position.damping,
            position.scale,
            decrease=position.decrease,
            n_jacobians=position.n_jacobians,
            n_costs=position.n_costs,
            buffers=position.buffers,
        )

    def step(self, problem: Problem, state: State) -> State:
        """One iteration: the next state, or the same point with `stuck` set when no step was found."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._step(problem, state)

    def _step(self, problem: Problem, state: State) -> State:
        at, scale = state.at, state.scale
        try:
            system = self.solver.prepare(at.jacobian, problem.prior, scale, state.buffers)
        except SingularSystemError as error:
            return replace(state, stuck=(Status.SINGULAR, str(error)), buffers=None)
        promised: list[float] = []
        refused = 0.0  # λ of the last point without a finite Jacobian: a search may not come back to it

        def attempt(damping: float) -> Trial:
            trial = self._attempt(problem, at, system, damping, scale)
            promised.append(trial.predicted)
            if damping <= refused * (1 + 1e-9):
                return replace(trial, acceptable=False, gain_ratio=-np.inf)
            return trial

        while True:
            found = self.search.run(attempt, self.damping, state.damping)
            state = replace(
                state,
                found=found,
                damping=found.state,
                n_costs=state.n_costs + found.n_costs,
                buffers=system.release(),
            )
            trial = found.trial
            if trial.w is None or not trial.acceptable:
                return replace(state, stuck=_why_stuck(found, at.cost, promised[0]))
            new = problem.linearize(trial.w)
            state = replace(state, n_jacobians=state.n_jacobians + 1)
            if np.isfinite(new.gradient).all():
                break
            # The cost is finite there but its derivative is not: reject the point after all.
            back = self.damping.rejected(replace(found.state, damping=trial.damping), -np.inf)
            if back.damping > back.maximum:
                return replace(state, stuck=(Status.SINGULAR, "no point with a finite Jacobian was found"))
            state, refused = replace(state, damping=back), trial.damping
        if self.metric.needs_column_norms:
            scale = self.metric.scale(new.jacobian.column_sqnorms(), scale)
        return replace(
            state,
            at=new,
            scale=scale,
            step_norm=float(np.linalg.norm(trial.w - at.w)),
            decrease=at.cost - new.cost,
        )

    def _attempt(
        self,
        problem: Problem,
        at: Linearization,
        system: DampedSystem,
        damping: float,
        scale: FloatArray | None,
    ) -> Trial:
        """One trial: damped step, acceleration, output re-solve, cost, gain ratio."""
        failed = Trial(damping, None, np.inf, -np.inf, np.nan, False, False, False, 0)
        try:
            factor = system.factorize(damping)
            velocity = factor.solve(at.residual, at.offset, at.gradient)
        except SingularSystemError:
            return failed
        # C(w) − model(w + d) = ½ dᵀ(λDd − g), since (JᵀJ + S₀ + λD) d = −g
        pull = velocity * damping if scale is None else velocity * scale * damping
        held, descent = float(velocity @ pull), -float(velocity @ at.gradient)
        predicted = 0.5 * (held + descent)
        if not np.isfinite(predicted):
            return failed
        step, accelerated = velocity, False
        second = None
        if self.acceleration is not None and getattr(factor, "accelerate", True):  # see `Iterative`
            second = problem.second_derivative(at, velocity)
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
            damping_share=held / descent if descent > 0 else np.nan,
        )


def _norm(vector: FloatArray, scale: FloatArray | None) -> float:
    return float(np.sqrt(vector @ vector if scale is None else vector @ (scale * vector)))


def _below_rounding(change: float, cost: float) -> bool:
    return abs(change) <= 4.0 * np.finfo(float).eps * cost


_PROMISE = float(np.sqrt(np.finfo(float).eps))
"""A converged fit predicts less than this fraction of its cost; more, and nothing gained, is another matter:
a wrong Jacobian, a cost undefined all around, or the rounding floor of an exact fit."""


def _why_stuck(found: Found, cost: float, promised: float) -> Reason:
    """Why no step was found; `promised` is the decrease that the first trial predicted."""
    trial = found.trial
    if trial.w is None and not np.isfinite(trial.predicted):
        return Status.SINGULAR, f"no finite step up to damping {trial.damping:.3g}"
    if not trial.negligible:
        return Status.DAMPING_LIMIT, f"damping {found.state.damping:.3g} > limit {found.state.maximum:.3g}"
    if promised > _PROMISE * cost:
        return (
            Status.DAMPING_LIMIT,
            f"the linear model promised a decrease of {promised:.3g} from cost {cost:.6g}, "
            f"and no damping up to {trial.damping:.3g} gave any",
        )
    return Status.COST_TOLERANCE, f"predicted decrease {trial.predicted:.3g} is rounding of cost {cost:.6g}"
