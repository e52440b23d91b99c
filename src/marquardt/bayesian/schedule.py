"""When the precisions of a Bayesian fit are re-estimated, and when they have converged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marquardt.bayesian.precisions import Evidence

_NOISELESS = 1e3
"""Noise precision over that of the start, which is for a tenth of the variance of the targets, from which a
fit is all but exact: a standard deviation of a hundredth of theirs."""


@dataclass(frozen=True)
class Schedule:
    """When the precisions are re-estimated, and when they have converged.

    Parameters
    ----------
    first : int
        The precisions are re-estimated after each of so many first steps, by a factor of at most 10 each,
    every : int
        later after so many steps, while they still move,
    settled_every : int
        and after so many once they have settled.  In between they follow the weights and the noise, with the
        effective parameters γ of the last re-estimation: only γ is dear, it takes JᵀJ and its inverse in
        float64.  By `benchmarks/evidence.py` as good as γ after every step, in half of the time.
    settled : float
        A re-estimation that finds γ and β within this fraction of those before has settled them.  The
        precision of an input without relevance rises for long after, and is not asked.
    sweeps : int
        Re-estimations at a time, at fixed w and JᵀJ.
    window : int
        The run has converged when over the last `window` re-estimations the effective parameters stay
        within `gamma_tolerance` of γ/10 (of 1 below γ = 10), the log evidence within `evidence_tolerance`,
        and the last step lowered the cost by less than `cost_tolerance` of it.
    patience : int
        It ends, too, when the log evidence was not exceeded by `evidence_tolerance` in so many steps.  On
        Friedman's function the highest comes after about 20, the convergence after hundreds, with less
        evidence and no better fit.
    creep : float
        Of an all but exact fit, by this fraction of its rise: data without noise let the evidence rise a
        little at a time for thousands of steps.
    """

    first: int = 3
    every: int = 5
    settled_every: int = 10
    settled: float = 0.1
    sweeps: int = 1
    window: int = 5
    gamma_tolerance: float = 0.02
    evidence_tolerance: float = 0.02
    cost_tolerance: float = 1e-5
    patience: int = 20
    creep: float = 0.007

    def __post_init__(self) -> None:
        for name in ("first", "every", "settled_every", "sweeps", "window", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r} must be an integer >= 1")
        for name in ("settled", "gamma_tolerance", "evidence_tolerance", "cost_tolerance", "creep"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must be >= 0")

    def wait(self, updates: Sequence[Evidence]) -> int:
        """Steps from the last re-estimation to the next."""
        if len(updates) < max(2, self.first):
            return 1
        before, last = updates[-2], updates[-1]
        limit = self.settled
        settled = (
            abs(last.total - before.total) <= limit * max(1.0, last.total)
            and abs(last.precisions.noise - before.precisions.noise) <= limit * last.precisions.noise
        )
        return max(self.every, self.settled_every) if settled else self.every

    def ended(self, updates: Sequence[Evidence], decrease: float) -> str | None:
        """The reason to end, with its numbers, or None.

        Parameters
        ----------
        updates : sequence of Evidence
            All re-estimations so far.
        decrease : float
            By what fraction the last step lowered the cost; 0 at the mode.
        """
        return self._converged(updates, decrease) or self._past_the_highest(updates)

    def _converged(self, updates: Sequence[Evidence], decrease: float) -> str | None:
        last = updates[-self.window :]
        if not decrease <= self.cost_tolerance or len(last) < self.window:
            return None
        gammas = [update.total for update in last]
        evidences = [update.log_evidence for update in last]
        gamma, evidence = max(gammas) - min(gammas), max(evidences) - min(evidences)
        if gamma > self.gamma_tolerance * max(1.0, 0.1 * gammas[-1]) or evidence > self.evidence_tolerance:
            return None
        return (
            f"log evidence, {evidences[-1]:.6g}, and effective parameters, {gammas[-1]:.4g}, were steady in "
            f"the last {self.window} estimates"
        )

    def _past_the_highest(self, updates: Sequence[Evidence]) -> str | None:
        last = updates[-1]
        old = [update.log_evidence for update in updates if update.n_iter + self.patience <= last.n_iter]
        if not old:
            return None
        highest, before = max(update.log_evidence for update in updates), max(old)
        tolerance = self.evidence_tolerance
        if last.precisions.noise > _NOISELESS * updates[0].precisions.noise:
            tolerance = max(tolerance, self.creep * (highest - updates[0].log_evidence))
        if highest > before + tolerance:
            return None
        when, rise = f"in the last {self.patience} iterations", highest - before
        if rise == 0:
            return f"{when} no fit explained the rows better than log evidence {highest:.6g}"
        return f"{when} the log evidence rose by {rise:.2g} only, to {highest:.6g}"


CLASS_SCHEDULE = Schedule(first=10, every=3, settled_every=6, patience=60)
"""For classes: the mean log loss of the five sets of `benchmarks/evidence.py`, one precision an input, is
0.254 by the schedule for noise, 0.245 by a re-estimation after every step, and 0.232 by this one."""
