"""Closed-loop training, from open-loop fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from marquardt import ClosedLoopProblem, EvidenceResult, Result, Status, Stopping, maximize_evidence, minimize

LADDER = 4
"""By which the horizon grows from training to training, where the whole loop cannot be followed yet."""


@dataclass(frozen=True)
class ClosedLoopFit:
    """The outcome."""

    w: np.ndarray
    result: Result
    evidence: EvidenceResult | None
    notes: tuple[str, ...]


def train_closed(
    problem_of: Callable[[int | None], ClosedLoopProblem],
    starts: Sequence[np.ndarray],
    stopping: Stopping,
    *,
    bayesian: bool,
    horizon: int | None,
) -> ClosedLoopFit:
    """Least simulation error, from the start that simulates best.

    Where none simulates better than the mean of y, the horizon grows: 4, 16, 64, ... rows between openings of
    the loop.  After Ctrl-C there is no further training: the best parameters seen are returned.

    Parameters
    ----------
    problem_of : callable
        Of the horizon.
    starts : sequence of arrays (n_params,)
        Open-loop fits.
    stopping : Stopping
        `max_time` is for all trainings together, `max_iter` for each.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # a row of time is too little to share
        problem, notes = problem_of(horizon), list[str]()
        trainings = _Trainings(stopping, list(starts))
        try:
            w = _begun(problem_of, problem, trainings, horizon, notes)
            result, evidence = _last(problem, w, trainings.rest, bayesian)
        except KeyboardInterrupt:  # between two trainings, or ended by it in one
            w = min(trainings.seen, key=lambda v: _cost(problem, v))
            result, evidence = _as_it_is(problem, w, bayesian)
    if problem.n_exploded:
        notes.append(f"{problem.n_exploded} simulations overflowed; such steps were rejected")
    return ClosedLoopFit(result.w, result, evidence, tuple(notes))


def _begun(
    problem_of: Callable[[int | None], ClosedLoopProblem],
    problem: ClosedLoopProblem,
    trainings: _Trainings,
    horizon: int | None,
    notes: list[str],
) -> np.ndarray:
    """Where the last training begins."""
    starts = tuple(trainings.seen)
    best = int(np.argmin([_cost(problem, w) for w in starts]))
    w = starts[best]
    if best:
        notes.append(f"open-loop fit {best + 1} of {len(starts)} simulates best, and was trained on")
    if _follows(problem, w):
        return w
    climbed, rungs = w, list[int]()
    rung, longest = LADDER, problem.n_samples if horizon is None else horizon
    while rung < longest and not trainings.over and not _follows(problem, climbed):
        climbed = trainings.run(problem_of(rung), climbed)
        rungs.append(rung)
        rung *= LADDER
    over = f": trained over horizons of {', '.join(map(str, rungs))} rows first" if rungs else ""
    notes.append(f"no open-loop fit simulates better than the mean of y{over}")
    ends = [w, climbed, *(trainings.run(problem, v) for v in (w, climbed) if not trainings.over)]
    return min(ends, key=lambda v: _cost(problem, v))


class _Trainings:
    """One after the other, under one limit of time; Ctrl-C in one ends them all."""

    def __init__(self, stopping: Stopping, seen: list[np.ndarray]) -> None:
        self._stopping = stopping
        self._end = np.inf if stopping.max_time is None else time.monotonic() + stopping.max_time
        self.seen = seen
        """All parameters that were reached."""

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    @property
    def rest(self) -> Stopping:
        """The limits of the next one."""
        left = max(0.0, self._end - time.monotonic())
        return replace(self._stopping, max_time=None if np.isinf(left) else left)

    def run(self, problem: ClosedLoopProblem, w: np.ndarray) -> np.ndarray:
        result = minimize(problem, w, stopping=self.rest)
        self.seen.append(result.w)
        if result.status.by_hand:
            raise KeyboardInterrupt
        return result.w


def _last(
    problem: ClosedLoopProblem, w: np.ndarray, stopping: Stopping, bayesian: bool
) -> tuple[Result, EvidenceResult | None]:
    if not bayesian:
        return minimize(problem, w, stopping=stopping), None
    evidence = maximize_evidence(problem, w, stopping=stopping)
    return evidence.result, evidence


def _as_it_is(
    problem: ClosedLoopProblem, w: np.ndarray, bayesian: bool
) -> tuple[Result, EvidenceResult | None]:
    """What was reached when Ctrl-C came."""
    result, evidence = _last(problem, w, Stopping(max_iter=0), bayesian)
    status = Status.INTERRUPTED
    result = replace(result, status=status, message=status.value)
    return result, None if evidence is None else replace(evidence, result=result)


def _follows(problem: ClosedLoopProblem, w: np.ndarray) -> bool:
    """Whether the simulation is better than 0, the mean of scaled outputs; yes where they are constant."""
    zero = 0.5 * float(np.sum(problem.entry_weights * problem.targets**2))
    return zero == 0 or _cost(problem, w) < zero


def _cost(problem: ClosedLoopProblem, w: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        cost = problem.cost(w)
    return cost if np.isfinite(cost) else np.inf
