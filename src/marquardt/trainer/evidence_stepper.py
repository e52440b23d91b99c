"""A network in training by the evidence, moved on one step at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.evidence_run import EvidenceRun
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import Grouping
from marquardt.bayesian.schedule import Schedule
from marquardt.initialization import Initialization
from marquardt.method import Method, Reason, State
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import History
from marquardt.stopping import Stopping


class EvidenceStepper:
    """What `BayesianRegularization` trains with; see `marquardt.trainer.stepper.Steps`.

    Parameters
    ----------
    network : MLP
    method : Method
    groups : callable
        Of `marquardt.bayesian.prior_groups`.
    rule : PrecisionRule or None
    schedule : Schedule or None
    stopping : Stopping
    initialization : Initialization
        Draws the weights at their first use.
    rng : numpy.random.Generator
    w : array (n_params,), optional
        Weights, instead of drawn ones.
    """

    def __init__(
        self,
        network: MLP,
        method: Method,
        groups: Grouping,
        rule: PrecisionRule | None,
        schedule: Schedule | None,
        stopping: Stopping,
        initialization: Initialization,
        rng: np.random.Generator,
        w: ArrayLike | None = None,
    ) -> None:
        self.network, self.method, self.groups = network, method, groups
        self.rule, self.schedule, self.stopping = rule, schedule, stopping
        self.history, self.n_steps = History(), 0
        self.fit: EvidenceResult | None = None
        """Of the last training, as long as its weights stand."""
        self._initialization, self._rng = initialization, rng
        self._w = None if w is None else network.check_parameters(w).copy()
        self._run: EvidenceRun | None = None

    def weights(self, X: ArrayLike | None = None) -> FloatArray:
        """w (n_params,): in training those of the last step, after it those of the highest evidence."""
        if self._w is None:
            self._w = self._initialization.draw(self.network, self._rng, X)
        return self._w

    def set_weights(self, w: ArrayLike) -> None:
        """Take other weights, and begin anew with the precisions."""
        self._w, self._run, self.fit = self.network.check_parameters(w).copy(), None, None

    def start(self, problem: NetworkProblem) -> State:
        """The state to go on from: where the last training ended, on the same data; else anew from w."""
        reason, self.fit = None, None
        if self._run is None or not _same_data(self._run.problem, problem):
            self._run = EvidenceRun(
                problem,
                groups=self.groups,
                method=self.method,
                rule=self.rule,
                schedule=self.schedule,
                stopping=self.stopping,
            )
            reason = self._run.start(self.weights())
            self.history = self._run.record.history
        else:
            self._run.forget_products()  # an exception, or the error bars, may have spoilt them
        return self._state(self._run, reason)

    def step(self, problem: NetworkProblem, state: State) -> State:
        """One step of the driver, the precisions re-estimated before it where that is due."""
        del problem  # its prior moves with the run
        assert self._run is not None
        if state.stuck is not None:
            return state
        before = len(self.history)
        reason = self._run.step()
        self.n_steps += len(self.history) - before
        return self._state(self._run, reason)

    def reason(self, state: State, fails: int) -> Reason | None:
        """None: the run judges itself, and test data have no say."""
        del state, fails

    def finish(self, reason: Reason) -> None:
        """Take the weights of the highest evidence."""
        assert self._run is not None
        self.fit = self._run.finish(reason)
        self._w = self.fit.w

    def _state(self, run: EvidenceRun, reason: Reason | None) -> State:
        assert run.state is not None
        self._w = run.state.at.w
        return replace(run.state, stuck=reason)


def _same_data(one: NetworkProblem, other: NetworkProblem) -> bool:
    a, b = one.identity(), other.identity()
    return all(np.array_equal(np.asarray(a[name]), np.asarray(b[name])) for name in ("X", "y"))
