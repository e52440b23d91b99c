"""Bayesian regularisation: fit, noise and weight precisions found together by maximising the evidence.

linearise r at w
repeat:  take a step of the method on ½‖r‖² + ½wᵀS₀w, S₀ = α/β
         near the minimum, or every few steps: re-estimate α and β from JᵀJ in hand (.precisions)
         stop when the evidence and the number of effective parameters no longer change

The method knows nothing of it: it is handed a problem with another prior.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.curvature import Curvature
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import (
    Evidence,
    PrecisionModel,
    PrecisionRule,
    constant_log_evidence,
)
from marquardt.bayesian.prior_groups import Grouping, input_groups
from marquardt.bayesian.schedule import Schedule
from marquardt.linsolve import SingularSystemError
from marquardt.method import Method, Reason, State
from marquardt.problem import NetworkProblem
from marquardt.result import History, Iteration, Result, Status
from marquardt.stopping import Stopping

_INNER = {Status.COST_TOLERANCE, Status.STEP_TOLERANCE, Status.GRADIENT_TOLERANCE}
"""Ends of a plain fit that are, here, the mode under the present precisions."""


def maximize_evidence(
    problem: NetworkProblem,
    w0: ArrayLike,
    *,
    groups: Grouping = input_groups,
    method: Method | None = None,
    rule: PrecisionRule | None = None,
    schedule: Schedule | None = None,
    stopping: Stopping | None = None,
    callback: Callable[[Iteration], bool | None] | None = None,
) -> EvidenceResult:
    """Fit a network with its regularisation found from the data.

    Parameters
    ----------
    problem : NetworkProblem
        With a squared error and inputs and targets of about unit spread; its own prior is not used.
    w0 : array (n_params,)
        The start.
    groups : callable
        `input_groups`, `layer_groups`, `one_group` of `marquardt.bayesian.prior_groups`, or your own.
    method : Method, optional
        The parts of the step.
    rule : PrecisionRule, optional
        The re-estimation and its guards.
    schedule : Schedule, optional
        When to re-estimate.
    stopping : Stopping, optional
        Limits of the whole run.  Its tolerances on cost, step and gradient end the fit under one set of
        precisions only.
    callback : callable, optional
        As in `minimize`; the cost in the records is that under the precisions of its time.

    Returns
    -------
    EvidenceResult
        With the parameters and precisions of the highest evidence seen, however the run ended.

    Raises
    ------
    ValueError
        When w0 has the wrong shape, or the loss is no squared error.

    References
    ----------
    D. J. C. MacKay, Neural Computation 4(3):448, 1992; F. D. Foresee, M. T. Hagan, IJCNN 1997.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> X, noise = np.linspace(-1, 1, 40)[:, None], 0.1 * np.random.default_rng(0).normal(size=40)
    >>> fit = maximize_evidence(NetworkProblem(Input(1) >> Linear(1), X, X[:, 0] + noise), [0.0, 0.0])
    >>> fit.result.status.name, round(fit.noise_sd, 2), round(fit.n_effective, 1)
    ('EVIDENCE', 0.08, 1.3)
    """
    if not problem.sums_squares:
        raise ValueError("the evidence needs a squared error: cross-entropy has no noise precision")
    run = _Run(
        problem,
        groups,
        method or Method(),
        rule or PrecisionRule(),
        schedule or Schedule(),
        stopping or Stopping(),
        callback,
    )
    return run.result(w0)


class _Run:
    """The host loop: steps, re-estimations, the best so far, and every way to end."""

    def __init__(
        self,
        problem: NetworkProblem,
        groups: Grouping,
        method: Method,
        rule: PrecisionRule,
        schedule: Schedule,
        stopping: Stopping,
        callback: Callable[[Iteration], bool | None] | None,
    ) -> None:
        self.model = PrecisionModel.of(problem, groups(problem.network), rule)
        self.method, self.schedule, self.stopping, self.callback = method, schedule, stopping, callback
        self.precisions = self.model.start()
        self.problem = problem.with_prior(self.model.prior(self.precisions))
        self.state: State | None = None
        self.history, self.updates, self.guards = History(), list[Evidence](), Counter[str]()
        self.best: tuple[Evidence, FloatArray] | None = None
        self.since = 0  # steps since the last re-estimation
        self.error: BaseException | None = None
        self.clock = time.perf_counter()

    # -- the loop ------------------------------------------------------------------------------

    def _loop(self, w0: ArrayLike) -> Reason:
        self.state = self.method.start(self.problem, w0)
        while True:
            reason = self._record(self.state)
            if self.state.stuck is not None:
                return self.state.stuck
            if reason is not None and reason[0] not in _INNER:
                return reason
            end = self._update_if_due(self.state, at_mode=reason is not None) or self._advance()
            if end is not None:
                return end

    def _record(self, state: State) -> Reason | None:
        record = state.record(len(self.history), time.perf_counter() - self.clock)
        self.history.append(record)
        with np.errstate(over="ignore"):
            reason = self.stopping.reason(record, float(np.linalg.norm(state.at.w)), 0)
        if self.callback is not None:
            try:
                stop = self.callback(record)
            except Exception as error:
                self.error = error
                return Status.CALLBACK_FAILED, f"{type(error).__name__}: {error}"
            if stop:
                return Status.STOPPED_BY_CALLBACK, f"after {record.iteration} iterations"
        return reason

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
        slow = state.decrease <= self.schedule.near * state.at.cost
        if len(self.history) > 1 and (at_mode or slow or self.since >= self.schedule.every):
            return self._update(state, at_mode)
        return None

    def _update(self, state: State, at_mode: bool) -> Reason | None:
        """Re-estimate the precisions at this point, and put the state under the new ones."""
        w, sse = state.at.w, float(state.at.residual @ state.at.residual)
        curvature = Curvature(self.method.solver, state.at.jacobian, state.system)
        precisions = self.precisions
        evidence = None
        for _ in range(self.schedule.sweeps):
            evidence = self.model.evidence_of(curvature, w, sse, precisions, self.guards)
            self._keep_best(evidence, w)
            precisions = self.model.reestimated(evidence, w, sse, self.guards)
        assert evidence is not None
        problem = self.problem.with_prior(self.model.prior(precisions))
        self.updates.append(evidence)
        moved = _under(problem, replace(state, system=curvature.system), curvature)
        # one statement, so that Ctrl-C finds the three of them in step
        self.state, self.problem, self.precisions, self.since = moved, problem, precisions, 0
        converged = self.schedule.converged(self.updates, 0.0 if at_mode else state.decrease / state.at.cost)
        return None if converged is None else (Status.EVIDENCE, converged)

    def _keep_best(self, evidence: Evidence, w: FloatArray) -> None:
        value = evidence.log_evidence
        if np.isfinite(value) and (self.best is None or value > self.best[0].log_evidence):
            self.best = (evidence, w)

    # -- the end -------------------------------------------------------------------------------

    def result(self, w0: ArrayLike) -> EvidenceResult:
        try:
            status, numbers = self._loop(w0)
        except KeyboardInterrupt as error:
            if self.state is None or not self.history:
                raise
            status, numbers = Status.INTERRUPTED, f"after {len(self.history) - 1} iterations"
            self.error = error
        except SingularSystemError as error:
            status, numbers = Status.SINGULAR, f"in a re-estimation, {error}"
        assert self.state is not None
        started = status is not Status.NO_FINITE_START
        if started:
            self._measure_last(self.state)
        evidence, w = self.best or (self._unknown(), self.state.at.w)
        notes = self.model.notes(self.guards)
        prior = self.model.prior(evidence.precisions)
        problem = self.problem.with_prior(prior)
        posterior = None
        if started:
            try:
                posterior = Posterior.at(problem, w, prior, evidence.precisions.noise)
            except (SingularSystemError, MemoryError) as error:
                notes.append(f"no error bars: {error}")
        cost = problem.cost(w) if started else self.state.at.cost
        result = self._plain_result(w, cost, status, numbers)
        limit = self.model.noise_limit
        constant = constant_log_evidence(self.problem.targets, self.problem.sample_weight, limit)
        if constant >= evidence.log_evidence:
            notes.append("a constant has the higher evidence: these rows do not show that the inputs matter")
        return EvidenceResult(
            result=result,
            groups=self.model.groups,
            weight_precision=evidence.precisions.weights,
            noise_precision=evidence.precisions.noise,
            effective_parameters=evidence.effective,
            log_evidence=evidence.log_evidence,
            constant_log_evidence=constant,
            updates=tuple(self.updates),
            notes=tuple(notes),
            posterior=posterior,
        )

    def _plain_result(self, w: FloatArray, cost: float, status: Status, numbers: str) -> Result:
        assert self.state is not None
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
        )

    def _measure_last(self, state: State) -> None:
        """The evidence where the run ended."""
        at = state.at
        curvature = Curvature(self.method.solver, at.jacobian)
        try:
            sse = float(at.residual @ at.residual)
            evidence = self.model.evidence_of(curvature, at.w, sse, self.precisions, self.guards)
        except SingularSystemError:
            return  # then an earlier one is the best
        self._keep_best(evidence, at.w)

    def _unknown(self) -> Evidence:
        return Evidence(self.precisions, np.full(len(self.model.groups), np.nan), -np.inf)


def _under(problem: NetworkProblem, state: State, curvature: Curvature) -> State:
    """The same point under the prior of `problem`, its Gram matrix in hand."""
    at = state.at
    assert problem.prior is not None
    offset = problem.prior * at.w
    cost = 0.5 * float(at.residual @ at.residual) + 0.5 * float(offset @ at.w)
    gradient = at.jacobian.rmv(at.residual) + offset
    return replace(
        state, at=replace(at, jacobian=curvature.known(), cost=cost, offset=offset, gradient=gradient)
    )
