"""Many starts of one fit: run, in this process or in several, and ranked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.estimators.fits import Fit, Trained
from marquardt.estimators.job_feed import JobFeed
from marquardt.lm import Callback
from marquardt.result import Result, Status
from marquardt.run_record import Checkpoints

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
    log_evidence: float | None = None
    """With Bayesian regularization."""
    log_likelihood: float | None = None
    """With a robust loss, whose costs are at different scales."""

    @classmethod
    def of(cls, trained: Trained) -> Start:
        result, evidence = trained.result, trained.evidence
        validation = result.history.column("validation_cost")
        lowest = None if np.isnan(validation).all() else float(np.nanmin(validation))
        return cls(
            result.cost,
            lowest,
            result.status,
            result.n_iter,
            result.n_jacobians,
            result.time,
            None if evidence is None else evidence.log_evidence,
            None if trained.robust is None else trained.robust.log_likelihood,
        )

    @property
    def value(self) -> float:
        """What starts are ranked by, lowest first: minus the log evidence or log likelihood where there is
        one, or the validation cost, else the cost."""
        if self._logarithm is not None:
            value = -self._logarithm[1]
        else:
            value = self.cost if self.validation_cost is None else self.validation_cost
        return value if np.isfinite(value) else np.inf

    @property
    def _logarithm(self) -> tuple[str, float] | None:
        """Name and value of what is compared by differences."""
        if self.log_evidence is not None:
            return "log evidence", self.log_evidence
        return None if self.log_likelihood is None else ("log likelihood", self.log_likelihood)

    @property
    def measure(self) -> str:
        """Name and number of what starts are compared by."""
        if self._logarithm is not None:
            name, value = self._logarithm
            return f"{name} {value:.6g}"
        return f"{'cost' if self.validation_cost is None else 'validation cost'} {self.value:.6g}"

    @property
    def limit(self) -> float:
        """The value that another start may have and count as just as good: 1 % more; for logarithms, whose
        differences count and not their ratios, 1 more."""
        return 1.01 * self.value if self._logarithm is None else self.value + 1.0

    @property
    def margin(self) -> str:
        """How near that is, in words."""
        return "1 %" if self._logarithm is None else f"1 in {self._logarithm[0]}"


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
        value = self._records[self.best].measure
        return f"Starts({len(self)} starts, best {value}, reached within {self.margin} by {self.n_at_best})"

    @property
    def margin(self) -> str:
        """How near the best a start must come to have reached it, in words."""
        return self._records[0].margin

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
        """How many starts reached the value of the best, see `margin`.  One of many says: try more starts."""
        limit = self._records[self.best].limit
        return sum(record.value <= limit for record in self._records)


@dataclass(frozen=True)
class Runs:
    """What the starts that were run gave."""

    trained: tuple[Trained, ...]
    interrupted: bool = False
    """Whether Ctrl-C ended the runs early."""
    error: BaseException | None = None
    """The exception of a failing callback."""

    @property
    def starts(self) -> Starts:
        return Starts([Start.of(trained) for trained in self.trained])

    @property
    def best(self) -> Trained:
        return self.ranked[0]

    @property
    def ranked(self) -> list[Trained]:
        """Best first."""
        return [self.trained[k] for k in self.starts.ranking]


def run_starts(
    fit: Fit,
    starts: Sequence[FloatArray],
    *,
    n_jobs: int | None = None,
    callback: Callback | None = None,
    after_each: Callable[[int, Trained], None] | None = None,
    checkpoint: Checkpoints | None = None,
) -> Runs:
    """Train from every start.

    With more than one start BLAS is held to one thread in every process: the sum of a matrix product depends
    on the number of threads in its last digits, and training amplifies them.  So results do not depend on
    `n_jobs`, bit for bit.

    Parameters
    ----------
    fit : Fit
    starts : sequence of arrays (n_params,)
    n_jobs : int, optional
        Processes, in joblib's meaning.
    callback : callable, optional
        As in `minimize`, for one start after the other; a true answer ends them all.  With several processes
        it gets the records of a start when that start is done.
    after_each : callable, optional
        Called with the number and the outcome of every start that is done.
    checkpoint : Checkpoint, optional
        Keeps the running starts and the outcomes of those that are done, until all are.

    Returns
    -------
    Runs
        Without linearizations and posteriors.  After Ctrl-C those of the starts that were done, and
        in one process the best point of the one that was running.
    """
    processes = n_processes(n_jobs, len(starts))
    kept = [None if checkpoint is None else checkpoint.part(f"start{k + 1}") for k in range(len(starts))]
    if processes > 1:
        stream = _in_processes(fit, starts, kept, processes, callback)
    else:
        one_thread_below = len(starts[0]) if len(starts) == 1 else 0
        jobs = zip(starts, kept, strict=True)
        stream = (_run(fit, w0, part, one_thread_below, callback) for w0, part in jobs)
    done: list[Trained] = []
    interrupted = False
    try:
        for trained in stream:
            done.append(trained)
            if after_each is not None:
                after_each(len(done) - 1, trained)
            if trained.result.status in _ENDS_ALL:
                break
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    stream.close()
    last = done[-1].result
    if checkpoint is not None and not interrupted and not any(t.result.status.may_go_on for t in done):
        checkpoint.clear()
    interrupted = interrupted or last.status is Status.INTERRUPTED
    return Runs(tuple(done), interrupted, last.error if last.status is Status.CALLBACK_FAILED else None)


def n_processes(n_jobs: int | None, n_starts: int) -> int:
    """How many processes `run_starts` uses; 1 is this one."""
    if n_starts == 1 or n_jobs in (None, 1):
        return 1
    from joblib import effective_n_jobs

    return min(effective_n_jobs(n_jobs), n_starts)


def _run(
    fit: Fit,
    w0: FloatArray,
    checkpoint: Checkpoints | None,
    n_params_of_threads: int,
    callback: Callback | None = None,
) -> Trained:
    with one_thread_if_small(n_params_of_threads):
        return fit(w0, callback, checkpoint).light()


def _in_processes(
    fit: Fit,
    starts: Sequence[FloatArray],
    kept: Sequence[Checkpoints | None],
    processes: int,
    callback: Callback | None,
) -> Generator[Trained]:
    from joblib import Parallel, delayed

    feed = JobFeed(delayed(_run)(fit, w0, part, 0) for w0, part in zip(starts, kept, strict=True))
    # copy on write: a problem holds buffers of its own
    stream: Any = Parallel(n_jobs=processes, return_as="generator", mmap_mode="c")(feed)
    try:
        for trained in stream:
            yield replace(trained, result=_replayed(trained.result, callback))
    finally:
        feed.close()
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
