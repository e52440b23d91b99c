"""Bayesian regularisation one step at a time: the loop of `maximize_evidence`, turned inside out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.curvature import Curvature, without_products
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.noise import NoiseOf, usual_noise
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import CLASS_RULE, Evidence, PrecisionModel, PrecisionRule, Precisions
from marquardt.bayesian.prior_groups import Grouping, input_groups
from marquardt.bayesian.schedule import CLASS_SCHEDULE, Schedule
from marquardt.jacobian import Jacobian
from marquardt.linsolve import Auto, SingularSystemError
from marquardt.method import Method, Reason, State
from marquardt.problem import NetworkProblem
from marquardt.result import Status
from marquardt.run_record import Callback, Checkpoints, RunRecord, Snapshot
from marquardt.stopping import Stopping

FEW_FREE = 10.0
"""Degrees of freedom of the noise below which its estimate is told to be poor: intervals that should hold
95 % of new rows held 68 % for 10 rows of 4 inputs, and 82 % for 12."""

_RULE, _SCHEDULE = {False: PrecisionRule(), True: CLASS_RULE}, {False: Schedule(), True: CLASS_SCHEDULE}
"""Where none is given: for a cross-entropy, or not."""

_INNER = {Status.COST_TOLERANCE, Status.STEP_TOLERANCE, Status.GRADIENT_TOLERANCE}
"""Ends of a plain fit that are, here, the mode under the present precisions."""


@dataclass(frozen=True)
class Found:
    """The evidence at a point, and the cost of the data there."""

    evidence: Evidence
    data_cost: float


@dataclass(frozen=True)
class EvidenceSnapshot:
    """An `EvidenceRun` after one of its records: all it takes to go on."""

    run: Snapshot[Found]
    precisions: Precisions
    updates: tuple[Evidence, ...]
    guards: dict[str, int]
    since: int


class EvidenceRun:
    """A fit by the evidence that is moved on step by step.

    Parameters
    ----------
    problem, groups, noise, method, rule, schedule, stopping, callback, checkpoint
        As in `maximize_evidence`.

    Attributes
    ----------
    state : State or None
        Where the run stands, under its present precisions.
    precisions : Precisions
    record : RunRecord
        Its history, and its best point so far.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> X, noise = np.linspace(-1, 1, 40)[:, None], 0.1 * np.random.default_rng(0).normal(size=40)
    >>> run = EvidenceRun(NetworkProblem(Input(1) >> Linear(1), X, X[:, 0] + noise))
    >>> reason = run.start([0.0, 0.0])
    >>> while reason is None:
    ...     reason = run.step()
    >>> fit = run.finish(reason)
    >>> fit.result.status.name, round(fit.noise_sd, 2)
    ('EVIDENCE', 0.08)
    """

    def __init__(
        self,
        problem: NetworkProblem,
        *,
        groups: Grouping = input_groups,
        noise: NoiseOf = usual_noise,
        method: Method | None = None,
        rule: PrecisionRule | None = None,
        schedule: Schedule | None = None,
        stopping: Stopping | None = None,
        callback: Callback | None = None,
        checkpoint: Checkpoints | None = None,
    ) -> None:
        self._settings: dict[str, Any] = {"groups": groups, "noise": noise, "rule": rule}
        classes = problem.is_cross_entropy
        rule, schedule = rule or _RULE[classes], schedule or _SCHEDULE[classes]
        self.model = PrecisionModel(groups(problem.network), noise(problem), rule)
        self.method, self.schedule = _exact_where_it_fits(method or Method()), schedule
        self.precisions = self.model.start()
        self.problem = problem.with_prior(self.model.prior(self.precisions))
        self.state: State | None = None
        stopping = replace(stopping or Stopping(), max_fail=None)  # there are no validation rows
        self.record = RunRecord[Found](stopping, callback, checkpoint)
        self.updates, self.guards = list[Evidence](), Counter[str]()
        self.since = 0  # steps since the last re-estimation
        self._at_mode = False  # of the cost under the present precisions

    # -- step by step --------------------------------------------------------------------------

    def start(
        self, w0: ArrayLike, precisions: Precisions | None = None, method: Method | None = None
    ) -> Reason | None:
        """Begin at w0 (n_params,); the reason to end there, if any.

        `precisions` are those to begin with, if not the usual; `method` another for the first state.
        """
        self.begin(w0, precisions or self.precisions, method)
        assert self.state is not None
        return self._note(self.state)

    def begin(self, w0: ArrayLike, precisions: Precisions, method: Method | None = None) -> None:
        """The same without a record."""
        problem = self.problem
        if precisions is not self.precisions:
            problem = problem.with_prior(self.model.prior(precisions))
        state = (method or self.method).start(problem, w0)
        self.state, self.problem, self.precisions = state, problem, precisions

    def on(self, problem: NetworkProblem) -> EvidenceRun:
        """A run of the same settings on another problem, without limits, not started."""
        stopping = replace(self.record.stopping, max_iter=sys.maxsize, max_time=None, cost_goal=0.0)
        return EvidenceRun(
            problem, method=self.method, schedule=self.schedule, stopping=stopping, **self._settings
        )

    def step(self) -> Reason | None:
        """Re-estimate the precisions, if it is time to, and take one step; the reason to end, if any.

        Called after such a reason it goes on, where there is a way to.
        """
        assert self.state is not None
        try:
            return self._update_if_due(self.state, self._at_mode) or self._advance() or self._note(self.state)
        except SingularSystemError as error:
            return Status.SINGULAR, f"in a re-estimation, {error}"

    def _note(self, state: State) -> Reason | None:
        reason = self.record.note(state, snapshot=lambda: self._snapshot(state))
        return self._judged(state, reason)

    def _judged(self, state: State, reason: Reason | None) -> Reason | None:
        self._at_mode = reason is not None and reason[0] in _INNER
        return state.stuck or (None if self._at_mode else reason)

    def _advance(self) -> Reason | None:
        """Take a step.  Where there is none, w is the mode, and only the precisions can move."""
        for _ in range(4 * self.schedule.window):
            assert self.state is not None
            new = self.method.step(self.problem, self.state)
            if new.stuck is None:
                self.state, self.since = new, self.since + 1
                return None
            if new.stuck[0] not in _INNER | {Status.DAMPING_LIMIT}:
                self.state = new
                return new.stuck
            # the damping of before: that of `new` is at its limit
            self.state = replace(new, damping=self.state.damping, stuck=None)
            end = self._update(self.state, at_mode=True)
            if end is not None:
                return end
        return Status.EVIDENCE, f"no step found after {4 * self.schedule.window} re-estimations in a row"

    def _update_if_due(self, state: State, at_mode: bool) -> Reason | None:
        due = self.since >= self.schedule.wait(self.updates)
        if len(self.record.history) > 1 and (at_mode or due):
            return self._update(state, at_mode)
        if self.updates and self.since:
            self._follow(state)
        return None

    def _follow(self, state: State) -> None:
        """Move the precisions with the weights and the noise, γ as the last re-estimations found it."""
        w, data_cost = state.at.w, self.problem.data_cost(state.at.w)
        known = replace(self.updates[-1], precisions=self.precisions, effective=_carried(self.updates))
        precisions = self.model.reestimated(known, w, data_cost, Counter())
        problem = self.problem.with_prior(self.model.prior(precisions))
        moved = _under(problem, state, state.at.jacobian, data_cost)
        self.state, self.problem, self.precisions = moved, problem, precisions

    def _update(self, state: State, at_mode: bool) -> Reason | None:
        """Re-estimate the precisions at this point, and put the state under the new ones."""
        w, data_cost = state.at.w, self.problem.data_cost(state.at.w)
        curvature = Curvature(self.method.solver, state.at.jacobian, state.buffers)
        precisions = self.precisions
        evidence = None
        for _ in range(self.schedule.sweeps):
            evidence = self.model.evidence_of(curvature, w, data_cost, precisions, self.guards)
            self._keep_best(Found(evidence, data_cost), w)
            precisions = self.model.reestimated(evidence, w, data_cost, self.guards)
        assert evidence is not None
        problem = self.problem.with_prior(self.model.prior(precisions))
        self.updates.append(replace(evidence, n_iter=len(self.record.history) - 1))
        moved = _under(problem, replace(state, buffers=curvature.buffers), curvature.known(), data_cost)
        # one statement, so that Ctrl-C finds the three of them in step
        self.state, self.problem, self.precisions, self.since = moved, problem, precisions, 0
        ended = self.schedule.ended(self.updates, 0.0 if at_mode else state.decrease / state.at.cost)
        return None if ended is None else (Status.EVIDENCE, ended)

    def _keep_best(self, found: Found, w: FloatArray) -> None:
        if np.isfinite(found.evidence.log_evidence):
            self.record.offer(-found.evidence.log_evidence, w, found)

    # -- kept and continued --------------------------------------------------------------------

    def identity(self, w0: ArrayLike) -> dict[str, object]:
        """What makes this run what it is, for `Checkpoints`."""
        return {
            "problem": self.problem.with_prior(self.model.prior(self.model.start())),
            "w0": np.array(w0, dtype=float),
            "method": self.method,
            "precisions": self.model,
            "schedule": self.schedule,
            "stopping": self.record.stopping.tolerances,
        }

    def _snapshot(self, state: State) -> EvidenceSnapshot:
        run = self.record.snapshot(state)
        return EvidenceSnapshot(run, self.precisions, tuple(self.updates), dict(self.guards), self.since)

    def resume(self, kept: EvidenceSnapshot) -> Reason | None:
        """Begin where another run was; the reason to end there, if any."""
        problem = self.problem.with_prior(self.model.prior(kept.precisions))
        self.state = self.method.resume(problem, kept.run.position)
        self.problem, self.precisions, self.since = problem, kept.precisions, kept.since
        self.updates, self.guards = list(kept.updates), Counter(kept.guards)
        self.record.restore(kept.run)
        return self._judged(self.state, self.record.reason(self.state))

    def forget_products(self) -> None:
        """Make JᵀJ again: what was interrupted may have left the buffers half written."""
        assert self.state is not None
        at = replace(self.state.at, jacobian=without_products(self.state.at.jacobian))
        self.state = replace(self.state, at=at, buffers=None)

    # -- the end -------------------------------------------------------------------------------

    def finish(self, reason: Reason, error_bars: bool = True) -> EvidenceResult:
        """The outcome: parameters and precisions of the highest evidence seen, with their posterior."""
        assert self.state is not None
        if self.record.error is not None:
            self.forget_products()
        posterior, found, w = None, Found(self._unknown(), np.nan), self.state.at.w
        notes = list[str]()
        if reason[0] is not Status.NO_FINITE_START:
            try:
                self._measure_last(self.state)
                found, w = self._best(found, w)
                if error_bars:
                    posterior = self._posterior(found.evidence, w)
            except (SingularSystemError, MemoryError) as error:
                notes.append(f"no error bars: {error}")
            except KeyboardInterrupt as error:  # the fit is there, and shall not be lost
                found, w = self._best(found, w)
                reason, self.record.error = (Status.INTERRUPTED, reason[1]), error
                notes.append("no error bars: interrupted while they were made")
            except Exception as error:
                if reason[0] is not Status.FUNCTION_FAILED:
                    raise
                found, w = self._best(found, w)
                notes.append(f"no error bars: {type(error).__name__}: {error}")
        return self._result(reason, found, w, posterior, notes)

    def _best(self, found: Found, w: FloatArray) -> tuple[Found, FloatArray]:
        best = self.record.best
        return (found, w) if best is None else (best.more, best.w)

    def _result(
        self, reason: Reason, found: Found, w: FloatArray, posterior: Posterior | None, notes: list[str]
    ) -> EvidenceResult:
        assert self.state is not None
        evidence = found.evidence
        prior = self.model.prior(evidence.precisions)
        constant = self.model.noise.constant_log_evidence()
        if constant >= evidence.log_evidence:
            notes.append("a constant has the higher evidence: these rows do not show that the inputs matter")
        free = self.model.noise.free(evidence.total)
        if free is not None and free < FEW_FREE:
            notes.append(
                f"only {max(free, 0.0):.1f} degrees of freedom are left to tell the noise from: error bars "
                f"may be far too short"
            )
        cost = self.state.at.cost
        if self.record.best is not None:
            cost = found.data_cost + 0.5 * float(np.dot(prior, w * w))
        return EvidenceResult(
            result=self.record.result(reason, self.state, w, cost),
            groups=self.model.groups,
            weight_precision=evidence.precisions.weights,
            noise_precision=evidence.precisions.noise,
            effective_parameters=evidence.effective,
            log_evidence=evidence.log_evidence,
            constant_log_evidence=constant,
            updates=tuple(self.updates),
            notes=(*self.model.notes(self.guards), *notes),
            posterior=posterior,
        )

    def _posterior(self, evidence: Evidence, w: FloatArray) -> Posterior:
        """Under the precisions of `evidence`."""
        assert self.state is not None
        at, prior = self.state.at, self.model.prior(evidence.precisions)
        jacobian = at.jacobian if w is at.w else self.problem.linearize(w).jacobian
        return Posterior.of(self.problem.network, jacobian, w, prior, evidence.precisions.noise)

    def _measure_last(self, state: State) -> None:
        """The evidence where the run ended."""
        at = state.at
        curvature = Curvature(self.method.solver, at.jacobian, state.buffers)
        try:
            data_cost = self.problem.data_cost(at.w)
            evidence = self.model.evidence_of(curvature, at.w, data_cost, self.precisions, self.guards)
        except SingularSystemError:
            return  # then an earlier one is the best
        self._keep_best(Found(evidence, data_cost), at.w)

    def _unknown(self) -> Evidence:
        return Evidence(self.precisions, np.full(len(self.model.groups), np.nan), -np.inf)


def _exact_where_it_fits(method: Method) -> Method:
    """An iterative solver is cheaper for a step, but not for the traces of a re-estimation."""
    return replace(method, solver=Auto(margin=np.inf)) if isinstance(method.solver, Auto) else method


def _carried(updates: Sequence[Evidence]) -> FloatArray:
    """γ (G,) of the last re-estimation; of a group whose γ swings, the middle of the last two.

    Precisions that follow a γ too high get too high, so that the next γ is too low.
    """
    last = updates[-1].effective
    if len(updates) < 3:
        return last
    first, middle = updates[-3].effective, updates[-2].effective
    return np.where((middle - first) * (last - middle) < 0, 0.5 * (middle + last), last)


def _under(problem: NetworkProblem, state: State, jacobian: Jacobian, data_cost: float) -> State:
    """The same point under the prior of `problem`."""
    at = state.at
    assert problem.prior is not None and at.offset is not None
    offset = problem.prior * at.w
    gradient = at.gradient + (offset - at.offset)
    cost = data_cost + 0.5 * float(offset @ at.w)
    return replace(state, at=replace(at, jacobian=jacobian, cost=cost, offset=offset, gradient=gradient))
