r"""The driver: a host loop over the pure step of `marquardt.method`.

linearise r at w
repeat:  note the cost, keep the best, ask whether to stop
         take a step (marquardt.method)
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, Identity, Metric
from marquardt.linsolve import Auto, LinearSolver
from marquardt.method import DEFAULT_DAMPING, Geodesic, Method, Reason, State
from marquardt.problem import Problem
from marquardt.result import History, Iteration, Result, Status
from marquardt.search import FirstImprovement, Search
from marquardt.stopping import Stopping

Callback = Callable[[Iteration], "bool | None"]
Validation = Callable[[FloatArray], float]


def minimize(
    problem: Problem,
    w0: ArrayLike,
    *,
    damping: DampingRule | None = None,
    metric: Metric | None = None,
    solver: LinearSolver | None = None,
    search: Search | None = None,
    acceleration: Geodesic | bool | None = True,
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
    return minimize_by(method, problem, w0, stopping=stopping, callback=callback, validation=validation)


def minimize_by(
    method: Method,
    problem: Problem,
    w0: ArrayLike,
    *,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
    validation: Validation | None = None,
) -> Result:
    """`minimize` with the parts of the method in one object."""
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
        try:
            validation_cost = None if self.validation is None else float(self.validation(state.at.w))
        except Exception as error:
            if self.best is None:
                raise  # nothing to lose yet
            self.error = error
            return Status.CALLBACK_FAILED, f"validation raised {type(error).__name__}: {error}"
        self._keep_best(state, validation_cost)
        record = state.record(len(self.history), time.perf_counter() - self.clock, validation_cost)
        self.history.append(record)
        with np.errstate(over="ignore"):
            w_norm = float(np.linalg.norm(state.at.w))
        reason = self.stopping.reason(record, w_norm, self.fails)
        return self._call_back(record) or reason

    def _keep_best(self, state: State, validation_cost: float | None) -> None:
        value = state.at.cost if validation_cost is None else validation_cost
        # Not `value < best`: a validation cost that is NaN at the start must not stay the best for ever.
        if self.best is None or value < self.best[0] or np.isnan(self.best[0]) > np.isnan(value):
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
