"""What a run keeps of itself while it goes: clock, records, best point; and every way for it to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from marquardt._types import FloatArray
from marquardt.blas_threads import one_pool
from marquardt.method import Position, Reason, State
from marquardt.problem import Linearization
from marquardt.result import History, Iteration, Result, Status
from marquardt.stopping import Stopping

T = TypeVar("T")
Callback = Callable[[Iteration], "bool | None"]


class Checkpoints(Protocol):
    """A place where a run is kept, to be continued: `marquardt.files.checkpoint.Checkpoint`."""

    def begin(self, identity: Mapping[str, object]) -> object | None:
        """What was kept of the same run: its snapshot, its outcome when it had ended, or None.

        `identity` holds all that makes a run what it is, by name: problem, start, settings.
        """
        ...

    def note(self, iteration: int, snapshot: object) -> None:
        """The run as it is after a record: keep it, if it is time to."""
        ...

    def end(self, outcome: object, status: Status) -> None:
        """The run has ended: keep its last snapshot, where it may go on, else forget it."""
        ...

    def part(self, name: str) -> Checkpoints:
        """A place for one of several runs of the same work, which keeps its outcome too."""
        ...

    def clear(self) -> None:
        """Forget all parts: the work is done."""
        ...


@dataclass(frozen=True)
class Best(Generic[T]):
    """The best point of a run."""

    value: float
    """What is minimised: the cost, the validation cost, minus the log evidence."""
    w: FloatArray
    more: T
    """What else is known of the point."""


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """A run after one of its records: all it takes to go on as if nothing had happened."""

    position: Position
    history: History
    best: Best[T] | None
    fails: int


class RunRecord(Generic[T]):
    """The records of one run.

    Parameters
    ----------
    stopping : Stopping
    callback : callable, optional
        As in `minimize`.
    checkpoint : Checkpoints, optional
    """

    def __init__(
        self, stopping: Stopping, callback: Callback | None = None, checkpoint: Checkpoints | None = None
    ) -> None:
        self.stopping, self.callback, self.checkpoint = stopping, callback, checkpoint
        self.history = History()
        self.best: Best[T] | None = None
        self.fails = 0
        """Offers since the best one."""
        self.error: BaseException | None = None
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the start, those before an interruption included."""
        return time.perf_counter() - self._started

    def offer(self, value: float, w: FloatArray, more: T) -> None:
        """Keep a point if it is the best so far."""
        # Not `value < best`: a validation cost that is NaN at the start must not stay the best for ever.
        best = self.best
        if best is None or value < best.value or np.isnan(best.value) > np.isnan(value):
            self.best, self.fails = Best(value, w, more), 0
        else:
            self.fails += 1

    def note(
        self,
        state: State,
        validation_cost: float | None = None,
        snapshot: Callable[[], object] | None = None,
    ) -> Reason | None:
        """Append the record of a state; the reason to stop there, if any."""
        record = state.record(len(self.history), self.seconds, validation_cost)
        self.history.append(record)
        if self.checkpoint is not None and snapshot is not None:
            self.checkpoint.note(record.iteration, snapshot())
        return self._call_back(record) or self.reason(state)

    def note_early(self, state: State, validation_cost: float | None = None) -> Reason | None:
        """The same for a step that was made for some of the rows; no checkpoint keeps it."""
        record = state.record(len(self.history), self.seconds, validation_cost)
        self.history.append(record)
        return self._call_back(record) or self.stopping.early_reason(record)

    def reason(self, state: State) -> Reason | None:
        """The reason to stop after the last record, if any."""
        with np.errstate(over="ignore"):
            w_norm = float(np.linalg.norm(state.at.w))
        return self.stopping.reason(self.history[-1], w_norm, self.fails)

    def snapshot(self, state: State) -> Snapshot[T]:
        """The run as it is, right after the record of `state`."""
        return Snapshot(state.position, History(self.history[:]), self.best, self.fails)

    def restore(self, snapshot: Snapshot[T]) -> None:
        """Go on from a snapshot."""
        self.history = History(snapshot.history[:])
        self.best, self.fails = snapshot.best, snapshot.fails
        self._started = time.perf_counter() - self.history[-1].time

    # -- the end -------------------------------------------------------------------------------

    def ending(self, loop: Callable[[], Reason]) -> Reason:
        """What the loop ends by, Ctrl-C and an exception in a function of the user's included.

        These are raised where nothing can be lost: before the first record; and so is a lack of memory before
        the first step, which needs another solver or a smaller problem.
        """
        try:
            with one_pool():
                return loop()
        except KeyboardInterrupt as error:
            if not self.history:
                raise
            self.error = error
            return Status.INTERRUPTED, f"after {len(self.history) - 1} iterations"
        except Exception as error:
            if not self.history or (isinstance(error, MemoryError) and len(self.history) == 1):
                raise
            self.error = error
            return Status.FUNCTION_FAILED, f"in iteration {len(self.history)}, {_named(error)}"

    def failed(self, error: Exception, what: str = "") -> Reason:
        """A callback or a validation raised `error`."""
        self.error = error
        return Status.CALLBACK_FAILED, f"{what}{_named(error)}"

    def result(
        self, reason: Reason, state: State, w: FloatArray, cost: float, at: Linearization | None = None
    ) -> Result:
        """The outcome, with w as its best parameters."""
        status, numbers = reason
        return Result(
            w=w.copy(),
            cost=cost,
            status=status,
            message=f"{numbers[:1].upper()}{numbers[1:]}. {status.value}",
            history=self.history,
            w_last=state.at.w.copy(),
            n_jacobians=state.n_jacobians,
            n_costs=state.n_costs,
            time=self.seconds,
            error=self.error,
            linearization=at,
        )

    def _call_back(self, record: Iteration) -> Reason | None:
        if self.callback is None:
            return None
        try:
            stop = self.callback(record)
        except Exception as error:
            return self.failed(error)
        return (Status.STOPPED_BY_CALLBACK, f"after {record.iteration} iterations") if stop else None


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
