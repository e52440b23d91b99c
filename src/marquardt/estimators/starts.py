"""Many starts of one fit: run, in this process or in several, and ranked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.lm import Callback, minimize
from marquardt.problem import NetworkProblem
from marquardt.result import Result, Status

_ENDS_ALL = {Status.INTERRUPTED, Status.STOPPED_BY_CALLBACK, Status.CALLBACK_FAILED}


@dataclass(frozen=True)
class Start:
    """The record of one start."""

    cost: float
    """½ Σ s_n |r_n|² plus the prior term, of the parameters it returns."""
    validation_cost: float | None
    """Lowest ½ Σ s_n |r_n|² on the validation rows, where there are some."""
    status: Status
    n_iter: int
    n_jacobians: int
    time: float
    """Seconds."""

    @classmethod
    def of(cls, result: Result) -> Start:
        validation = result.history.column("validation_cost")
        lowest = None if np.isnan(validation).all() else float(np.nanmin(validation))
        return cls(result.cost, lowest, result.status, result.n_iter, result.n_jacobians, result.time)

    @property
    def value(self) -> float:
        """What starts are ranked by, lowest first: the validation cost where there is one, else the cost."""
        value = self.cost if self.validation_cost is None else self.validation_cost
        return value if np.isfinite(value) else np.inf


class Starts(Sequence[Start]):
    """The records of all starts, in the order they were drawn.

    Examples
    --------
    >>> values = (2.0, 1.0, 1.001)
    >>> starts = Starts([Start(v, None, Status.COST_TOLERANCE, 20, 21, 0.1) for v in values])
    >>> starts
    Starts(3 starts, best cost 1, reached within 1 % by 2)
    >>> starts.ranking
    [1, 2, 0]
    """

    def __init__(self, records: Sequence[Start]) -> None:
        self._records = tuple(records)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Start]:
        return iter(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._records[index]

    def __repr__(self) -> str:
        kind = "cost" if self._records[self.best].validation_cost is None else "validation cost"
        value = self._records[self.best].value
        return f"Starts({len(self)} starts, best {kind} {value:.6g}, reached within 1 % by {self.n_at_best})"

    @property
    def ranking(self) -> list[int]:
        """Numbers of the starts, best first; the earlier of two equals first."""
        return sorted(range(len(self)), key=lambda i: self._records[i].value)

    @property
    def best(self) -> int:
        """The number of the best start."""
        return self.ranking[0]

    @property
    def n_at_best(self) -> int:
        """How many starts reached the value of the best within 1 %.  One of many says: try more starts."""
        limit = 1.01 * self._records[self.best].value
        return sum(record.value <= limit for record in self._records)


@dataclass(frozen=True)
class Runs:
    """The results of the starts that were run."""

    results: tuple[Result, ...]
    interrupted: bool = False
    """Whether Ctrl-C ended the runs early."""
    error: BaseException | None = None
    """The exception of a failing callback."""

    @property
    def starts(self) -> Starts:
        return Starts([Start.of(result) for result in self.results])

    @property
    def best(self) -> Result:
        return self.results[self.starts.best]


def run_starts(
    problem: NetworkProblem,
    starts: Sequence[FloatArray],
    options: Mapping[str, Any],
    *,
    n_jobs: int | None = None,
    callback: Callback | None = None,
    after_each: Callable[[int, Result], None] | None = None,
) -> Runs:
    """Minimize from every start.

    With more than one start BLAS is held to one thread in every process: the sum of a matrix product depends
    on the number of threads in its last digits, and training amplifies them.  So results do not depend on
    `n_jobs`, bit for bit.

    Parameters
    ----------
    problem : NetworkProblem
    starts : sequence of arrays (n_params,)
    options : mapping
        Arguments of `minimize`.
    n_jobs : int, optional
        Processes, in joblib's meaning.
    callback : callable, optional
        As in `minimize`, for one start after the other; a true answer ends them all.  With several processes
        it gets the records of a start when that start is done.
    after_each : callable, optional
        Called with the number and the result of every start that is done.

    Returns
    -------
    Runs
        Results without their linearization and factor.  After Ctrl-C those of the starts that were done, and
        in one process the best point of the one that was running.
    """
    processes = n_processes(n_jobs, len(starts))
    if processes > 1:
        stream = _in_processes(problem, starts, options, processes, callback)
    else:
        one_thread_below = problem.n_params if len(starts) == 1 else 0
        stream = (_run(problem, w0, options, one_thread_below, callback) for w0 in starts)
    results: list[Result] = []
    interrupted = False
    try:
        for result in stream:
            results.append(result)
            if after_each is not None:
                after_each(len(results) - 1, result)
            if result.status in _ENDS_ALL:
                break
    except KeyboardInterrupt:
        if not results:
            raise
        interrupted = True
    stream.close()
    interrupted = interrupted or results[-1].status is Status.INTERRUPTED
    error = results[-1].error if results[-1].status is Status.CALLBACK_FAILED else None
    return Runs(tuple(results), interrupted, error)


def n_processes(n_jobs: int | None, n_starts: int) -> int:
    """How many processes `run_starts` uses; 1 is this one."""
    if n_starts == 1 or n_jobs in (None, 1):
        return 1
    from joblib import effective_n_jobs

    return min(effective_n_jobs(n_jobs), n_starts)


def _run(
    problem: NetworkProblem,
    w0: FloatArray,
    options: Mapping[str, Any],
    n_params_of_threads: int,
    callback: Callback | None = None,
) -> Result:
    with one_thread_if_small(n_params_of_threads):
        result = minimize(problem, w0, callback=callback, **options)
    return replace(result, linearization=None, factor=None)  # large, and quick to make again


def _in_processes(
    problem: NetworkProblem,
    starts: Sequence[FloatArray],
    options: Mapping[str, Any],
    processes: int,
    callback: Callback | None,
) -> Generator[Result]:
    from joblib import Parallel, delayed

    jobs = (delayed(_run)(problem, w0, options, 0) for w0 in starts)
    # copy on write: a problem holds buffers of its own
    stream: Any = Parallel(n_jobs=processes, return_as="generator", mmap_mode="c")(jobs)
    try:
        for result in stream:
            yield _replayed(result, callback)
    finally:
        with warnings.catch_warnings():  # joblib's, about the starts that are no longer wanted
            warnings.simplefilter("ignore")
            stream.close()


def _replayed(result: Result, callback: Callback | None) -> Result:
    """Hand the records of a finished run to the callback; what it answers becomes the status."""
    if callback is None:
        return result
    try:
        stop = any(callback(record) for record in result.history)
    except Exception as error:
        advice = Status.CALLBACK_FAILED
        return replace(
            result, status=advice, message=f"{type(error).__name__}: {error}. {advice.value}", error=error
        )
    if stop:
        advice = Status.STOPPED_BY_CALLBACK
        return replace(result, status=advice, message=f"After {result.n_iter} iterations. {advice.value}")
    return result
