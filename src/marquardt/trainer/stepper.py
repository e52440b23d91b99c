"""A network in training: its weights, its damping and its records, moved on one step at a time."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.damping import DampingState
from marquardt.initialization import Initialization
from marquardt.method import Method, Reason, State
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import History
from marquardt.stopping import Stopping

# Epochs bound the work.  A small step means nothing where inputs of 1e12 have made weights of 1e-12.
UNLIMITED = Stopping(max_iter=sys.maxsize, max_fail=None, step_tolerance=0.0)


class Steps(Protocol):
    """The contract of what a trainer trains with."""

    history: History
    n_steps: int

    def weights(self, X: ArrayLike | None = None) -> FloatArray:
        """w (n_params,); drawn now when there are none, with a look at X where the law takes one."""
        ...

    def set_weights(self, w: ArrayLike) -> None:
        """Take other weights, and begin anew with all else."""
        ...

    def start(self, problem: NetworkProblem) -> State:
        """The state at the weights, going on from where the last training ended."""
        ...

    def step(self, problem: NetworkProblem, state: State) -> State:
        """One step on; `stuck` is set when it was the last."""
        ...

    def reason(self, state: State, fails: int) -> Reason | None:
        """The reason to stop after a step, if any; `fails` epochs did not lower the error on test data."""
        ...

    def finish(self, reason: Reason) -> None:
        """Training has ended."""
        ...


class Stepper:
    """What `LevenbergMarquardt` trains with.

    Parameters
    ----------
    network : MLP
    method : Method
    initialization : Initialization
        Draws the weights at their first use.
    rng : numpy.random.Generator
    w : array (n_params,), optional
        Weights, instead of drawn ones.
    stopping : Stopping

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> from marquardt.initialization import Uniform
    >>> network = Input(1) >> Linear(1)
    >>> stepper = Stepper(network, Method(), Uniform(), np.random.default_rng(0))
    >>> problem = NetworkProblem(network, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> state = stepper.step(problem, stepper.start(problem))
    >>> stepper.n_steps, stepper.weights().round(1)
    (1, array([2., 1.]))
    """

    def __init__(
        self,
        network: MLP,
        method: Method,
        initialization: Initialization,
        rng: np.random.Generator,
        w: ArrayLike | None = None,
        stopping: Stopping = UNLIMITED,
    ) -> None:
        self.network, self.method, self.stopping = network, method, stopping
        self.history, self.n_steps = History(), 0
        self._initialization, self._rng = initialization, rng
        self._w = None if w is None else network.check_parameters(w).copy()
        self._damping: DampingState | None = None
        self._started = time.perf_counter()

    def weights(self, X: ArrayLike | None = None) -> FloatArray:
        """w (n_params,); drawn now when there are none, with a look at X where the law takes one."""
        if self._w is None:
            self._w = self._initialization.draw(self.network, self._rng, X)
        return self._w

    def set_weights(self, w: ArrayLike) -> None:
        """Take other weights, and the first damping again."""
        self._w, self._damping = self.network.check_parameters(w).copy(), None

    def start(self, problem: NetworkProblem) -> State:
        """The driver's state at the weights, with the damping that the last step left."""
        state = self.method.start(problem, self.weights())
        self._w = state.at.w
        if self._damping is not None:
            state = replace(state, damping=replace(self._damping, maximum=state.damping.maximum))
        if not self.history:
            self.history.append(state.record(0, 0.0))
            return state
        last = self.history[-1]
        return replace(state, n_jacobians=last.n_jacobians + 1, n_costs=last.n_costs + 1)

    def step(self, problem: NetworkProblem, state: State) -> State:
        """One step of the driver; `stuck` is set when there was none to take, and nothing has changed."""
        if state.stuck is None:
            state = self.method.step(problem, state)
        if state.stuck is not None:
            self._damping = None  # it is at its limit: whoever trains on begins with the first one
            return state
        self._w, self._damping = state.at.w, state.damping
        self.n_steps += 1
        self.history.append(state.record(len(self.history), time.perf_counter() - self._started))
        return state

    def reason(self, state: State, fails: int) -> Reason | None:
        """The reason to stop after a step, if any."""
        return self.stopping.reason(self.history[-1], float(np.linalg.norm(state.at.w)), fails)

    def finish(self, reason: Reason) -> None:
        """Nothing is left to do."""
