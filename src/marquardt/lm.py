r"""The driver: a host loop over the pure step of `marquardt.method`.

linearise r at w
repeat:  note the cost, keep the best, ask whether to stop
         take a step (marquardt.method)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, Identity, Metric
from marquardt.growing_rows import EarlySteps, GrowingRows, row_problem
from marquardt.linsolve import Auto, LinearSolver
from marquardt.method import DEFAULT_DAMPING, Geodesic, Method, Reason, State
from marquardt.problem import Problem
from marquardt.result import Result
from marquardt.run_record import Callback, Checkpoints, RunRecord, Snapshot
from marquardt.search import FirstImprovement, Search
from marquardt.stopping import Stopping
from marquardt.validation_damping import ValidationGuided

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
    checkpoint: Checkpoints | None = None,
    rows: GrowingRows | None = None,
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
    checkpoint : Checkpoint, optional
        A file to keep the run in: called again with it, the run goes on where it was, bit for bit.  Steps on
        a part of the rows are not kept, and made again.
    rows : GrowingRows, optional
        For a `NetworkProblem` with many more rows than parameters: begin on a part of the rows, which grows.
        Costs in the history are those of all rows.

    Returns
    -------
    Result
        With the best parameters seen, however the run ended: by Ctrl-C, or by an exception in a function of
        the problem's, which is raised only when it comes at the start.

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
    return minimize_by(
        method,
        problem,
        w0,
        stopping=stopping,
        callback=callback,
        validation=validation,
        checkpoint=checkpoint,
        rows=rows,
    )


def minimize_by(
    method: Method,
    problem: Problem,
    w0: ArrayLike,
    *,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
    validation: Validation | None = None,
    checkpoint: Checkpoints | None = None,
    rows: GrowingRows | None = None,
) -> Result:
    """`minimize` with the parts of the method in one object."""
    record = RunRecord[float](stopping or Stopping(), callback, checkpoint)
    return _Run(problem, method, validation, record, rows).result(w0)


def _guided(method: Method, validation: Validation | None) -> Method:
    """With the search of a damping that is guided by the validation cost."""
    if not isinstance(method.damping, ValidationGuided):
        return method
    if validation is None:
        raise ValueError("damping=ValidationGuided() needs rows to be guided by: give validation=")
    return replace(method, search=method.damping.search(method.search, validation))


class _Run:
    """The host loop."""

    def __init__(
        self,
        problem: Problem,
        method: Method,
        validation: Validation | None,
        record: RunRecord[float],
        rows: GrowingRows | None,
    ) -> None:
        self.problem, self.method, self.validation, self.record = problem, method, validation, record
        self.rows = rows
        self.guided = _guided(method, validation)
        self.state: State | None = None

    def result(self, w0: ArrayLike) -> Result:
        checkpoint = self.record.checkpoint
        kept = None if checkpoint is None else checkpoint.begin(self._identity(w0))
        if isinstance(kept, Result):
            return kept
        reason = self.record.ending(lambda: self._loop(w0, kept))
        best = self.record.best
        assert self.state is not None and best is not None
        result = self.record.result(reason, self.state, best.w, best.more, self.state.at)
        if checkpoint is not None:
            checkpoint.end(result, result.status)
        return result

    def _loop(self, w0: ArrayLike, kept: object | None) -> Reason:
        if kept is not None:
            reason = self._resume(kept)
        else:
            reason = self._start(w0) if self.rows is None else self._early(self.rows, w0)
        while reason is None:
            assert self.state is not None
            self.state = self.guided.step(self.problem, self.state)
            reason = self.state.stuck or self._note(self.state)
        return reason

    def _start(self, w0: ArrayLike) -> Reason | None:
        self.state = self.method.start(self.problem, w0)
        reason = self._note(self.state)
        return self.state.stuck or reason

    def _early(self, rows: GrowingRows, w0: ArrayLike) -> Reason | None:
        """The steps on a part of the rows, then the state on all."""
        problem, tolerance = row_problem(self.problem, "rows"), self.record.stopping.cost_tolerance
        steps = EarlySteps(rows, self.guided, problem, w0, tolerance)
        try:
            for self.state in steps:
                reason = self._note(self.state, self.record.note_early)
                if reason is not None:
                    return reason
        finally:  # whatever ended them
            if steps.standing.n_rows:
                self.state = steps.handed_over()
        if not steps.standing.n_rows:  # so few rows that there is no part of them
            return self._start(w0)
        assert self.state is not None
        self.record.fails = 0
        return self.state.stuck

    def _resume(self, kept: object) -> Reason | None:
        assert isinstance(kept, Snapshot)
        self.state = self.method.resume(self.problem, kept.position)
        self.record.restore(kept)
        return self.record.reason(self.state)

    def _note(
        self, state: State, note: Callable[[State, float | None], Reason | None] | None = None
    ) -> Reason | None:
        """Note where the run stands; the reason to stop here, if any."""
        try:
            validation_cost = None if self.validation is None else float(self.validation(state.at.w))
        except Exception as error:
            if self.record.best is None:
                raise  # nothing to lose yet
            return self.record.failed(error, "validation raised ")
        value = state.at.cost if validation_cost is None else validation_cost
        self.record.offer(value, state.at.w, state.at.cost)
        return (note or self._keep)(state, validation_cost)

    def _keep(self, state: State, validation_cost: float | None) -> Reason | None:
        return self.record.note(state, validation_cost, lambda: self.record.snapshot(state))

    def _identity(self, w0: ArrayLike) -> dict[str, object]:
        return {
            "problem": self.problem,
            "w0": np.array(w0, dtype=float),
            "method": self.method,
            "stopping": self.record.stopping.tolerances,
            "validation": self.validation,
            **({} if self.rows is None else {"rows": self.rows}),
        }
