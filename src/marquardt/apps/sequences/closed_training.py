"""Closed-loop training, from open-loop fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from marquardt import ClosedLoopProblem, EvidenceResult, Result, Stopping, maximize_evidence, minimize

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
    the loop.

    Parameters
    ----------
    problem_of : callable
        Of the horizon.
    starts : sequence of arrays (n_params,)
        Open-loop fits.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # a row of time is too little to share
        problem, notes = problem_of(horizon), []
        costs = [_cost(problem, w) for w in starts]
        best = int(np.argmin(costs))
        w = starts[best]
        if best:
            notes.append(f"open-loop fit {best + 1} of {len(starts)} simulates best, and was trained on")
        if not _follows(problem, w):
            climbed, rungs = _climbed(problem_of, problem, w, stopping, horizon)
            ends = [minimize(problem, v, stopping=stopping).w for v in (w, climbed)]
            w = min(ends, key=lambda v: _cost(problem, v))
            over = f": trained over horizons of {', '.join(map(str, rungs))} rows first" if rungs else ""
            notes.append(f"no open-loop fit simulates better than the mean of y{over}")
        evidence = None
        if bayesian:
            evidence = maximize_evidence(problem, w, stopping=stopping)
            result = evidence.result
        else:
            result = minimize(problem, w, stopping=stopping)
    if problem.n_exploded:
        notes.append(
            f"{problem.n_exploded} of {result.n_costs} simulations overflowed; such steps were rejected"
        )
    return ClosedLoopFit(result.w, result, evidence, tuple(notes))


def _climbed(
    problem_of: Callable[[int | None], ClosedLoopProblem],
    whole: ClosedLoopProblem,
    w: np.ndarray,
    stopping: Stopping,
    horizon: int | None,
) -> tuple[np.ndarray, list[int]]:
    """Parameters that can be simulated, if any, and the horizons on the way."""
    rungs, rung = list[int](), LADDER
    longest = whole.n_samples if horizon is None else horizon
    while rung < longest and not _follows(whole, w):
        w = minimize(problem_of(rung), w, stopping=stopping).w
        rungs.append(rung)
        rung *= LADDER
    return w, rungs


def _follows(problem: ClosedLoopProblem, w: np.ndarray) -> bool:
    """Whether the simulation is better than 0, the mean of scaled outputs; yes where they are constant."""
    zero = 0.5 * float(np.sum(problem.entry_weights * problem.targets**2))
    return zero == 0 or _cost(problem, w) < zero


def _cost(problem: ClosedLoopProblem, w: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        cost = problem.cost(w)
    return cost if np.isfinite(cost) else np.inf
