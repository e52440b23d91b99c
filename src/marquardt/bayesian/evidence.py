"""Bayesian regularisation: fit, noise and weight precisions found together by maximising the evidence.

linearise r at w
repeat:  take a step of the method on C_D + ½wᵀS₀w, S₀ = α/β
         after it, or after three once they have settled: re-estimate α and β from JᵀJ in hand (.precisions)
         stop when the evidence and the number of effective parameters no longer change, or it only falls

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
from marquardt.bayesian.curvature import Curvature, without_products
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.noise import NoiseOf, usual_noise
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import CLASS_RULE, Evidence, PrecisionModel, PrecisionRule
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
    noise: NoiseOf = usual_noise,
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
        With a squared error or a cross-entropy, and inputs and targets of about unit spread; its own prior
        is not used.
    w0 : array (n_params,)
        The start.
    groups : callable
        `input_groups`, `layer_groups`, `one_group` of `marquardt.bayesian.prior_groups`, or your own.
    noise : callable
        `usual_noise`: estimated for a squared error, none for a cross-entropy.  `known_noise` of
        `marquardt.bayesian.noise` takes the row weights for 1/σ².
    method : Method, optional
        The parts of the step.
    rule : PrecisionRule, optional
        The re-estimation and its guards; for a cross-entropy `CLASS_RULE` when None.
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
        When w0 has the wrong shape, or the loss has no evidence.

    References
    ----------
    D. J. C. MacKay, Neural Computation 4(3):448 and 4(5):720, 1992; F. D. Foresee, M. T. Hagan, IJCNN 1997.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> X, noise = np.linspace(-1, 1, 40)[:, None], 0.1 * np.random.default_rng(0).normal(size=40)
    >>> fit = maximize_evidence(NetworkProblem(Input(1) >> Linear(1), X, X[:, 0] + noise), [0.0, 0.0])
    >>> fit.result.status.name, round(fit.noise_sd, 2), round(fit.n_effective, 1)
    ('EVIDENCE', 0.08, 1.3)
    """
    run = _Run(
        problem,
        PrecisionModel(
            groups(problem.network),
            noise(problem),
            rule or (CLASS_RULE if problem.is_cross_entropy else PrecisionRule()),
        ),
        method or Method(),
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
        model: PrecisionModel,
        method: Method,
        schedule: Schedule,
        stopping: Stopping,
        callback: Callable[[Iteration], bool | None] | None,
    ) -> None:
        self.model, self.method, self.schedule = model, method, schedule
        self.stopping, self.callback = stopping, callback
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
        due = self.since >= self.schedule.wait(self.updates)
        if len(self.history) > 1 and (at_mode or due):
            return self._update(state, at_mode)
        return None

    def _update(self, state: State, at_mode: bool) -> Reason | None:
        """Re-estimate the precisions at this point, and put the state under the new ones."""
        w, data_cost = state.at.w, self.problem.data_cost(state.at.w)
        curvature = Curvature(self.method.solver, state.at.jacobian, state.system)
        precisions = self.precisions
        evidence = None
        for _ in range(self.schedule.sweeps):
            evidence = self.model.evidence_of(curvature, w, data_cost, precisions, self.guards)
            self._keep_best(evidence, w)
            precisions = self.model.reestimated(evidence, w, data_cost, self.guards)
        assert evidence is not None
        problem = self.problem.with_prior(self.model.prior(precisions))
        self.updates.append(evidence)
        moved = _under(problem, replace(state, system=curvature.system), curvature, data_cost)
        # one statement, so that Ctrl-C finds the three of them in step
        self.state, self.problem, self.precisions, self.since = moved, problem, precisions, 0
        ended = self.schedule.ended(self.updates, 0.0 if at_mode else state.decrease / state.at.cost)
        return None if ended is None else (Status.EVIDENCE, ended)

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
            # what was interrupted may have left the buffers half written
            at = replace(self.state.at, jacobian=without_products(self.state.at.jacobian))
            self.state = replace(self.state, at=at, system=None)
        except SingularSystemError as error:
            status, numbers = Status.SINGULAR, f"in a re-estimation, {error}"
        assert self.state is not None
        posterior, evidence, w = None, self._unknown(), self.state.at.w
        notes = list[str]()
        started = status is not Status.NO_FINITE_START
        if started:
            try:
                self._measure_last(self.state)
                evidence, w = self.best or (evidence, w)
                posterior = self._posterior(evidence, w)
            except (SingularSystemError, MemoryError) as error:
                notes.append(f"no error bars: {error}")
            except KeyboardInterrupt as error:  # the fit is there, and shall not be lost
                evidence, w = self.best or (evidence, w)
                status, self.error = Status.INTERRUPTED, error
                notes.append("no error bars: interrupted while they were made")
        problem = self.problem.with_prior(self.model.prior(evidence.precisions))
        cost = problem.cost(w) if started else self.state.at.cost
        constant = self.model.noise.constant_log_evidence()
        if constant >= evidence.log_evidence:
            notes.append("a constant has the higher evidence: these rows do not show that the inputs matter")
        return EvidenceResult(
            result=self._plain_result(w, cost, status, numbers),
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
        curvature = Curvature(self.method.solver, at.jacobian, state.system)
        try:
            data_cost = self.problem.data_cost(at.w)
            evidence = self.model.evidence_of(curvature, at.w, data_cost, self.precisions, self.guards)
        except SingularSystemError:
            return  # then an earlier one is the best
        self._keep_best(evidence, at.w)

    def _unknown(self) -> Evidence:
        return Evidence(self.precisions, np.full(len(self.model.groups), np.nan), -np.inf)


def _under(problem: NetworkProblem, state: State, curvature: Curvature, data_cost: float) -> State:
    """The same point under the prior of `problem`, its Gram matrix in hand."""
    at = state.at
    assert problem.prior is not None
    offset = problem.prior * at.w
    cost = data_cost + 0.5 * float(offset @ at.w)
    gradient = at.jacobian.rmv(at.residual) + offset
    return replace(
        state, at=replace(at, jacobian=curvature.known(), cost=cost, offset=offset, gradient=gradient)
    )
