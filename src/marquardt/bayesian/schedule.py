"""When the precisions of a Bayesian fit are re-estimated, and when they have converged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marquardt.bayesian.precisions import Evidence


@dataclass(frozen=True)
class Schedule:
    """When the precisions are re-estimated, and when they have converged.

    Parameters
    ----------
    near : float
        Re-estimate after a step that lowered the cost by less than this fraction ...
    every : int
        ... and at the latest after so many steps.
    sweeps : int
        Re-estimations at a time, at fixed w and JᵀJ.  One after every step, each limited to a factor of 10,
        does better than three after every third: the network has less time to fit noise in between.
    window : int
        The run has converged when over the last `window` re-estimations the effective parameters stay
        within `gamma_tolerance` of γ/10 (of 1 below γ = 10), the log evidence within `evidence_tolerance`,
        and the last step lowered the cost by less than `cost_tolerance` of it.
    """

    near: float = 1e-2
    every: int = 1
    sweeps: int = 1
    window: int = 5
    gamma_tolerance: float = 0.02
    evidence_tolerance: float = 0.02
    cost_tolerance: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("every", "sweeps", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r} must be an integer >= 1")
        for name in ("near", "gamma_tolerance", "evidence_tolerance", "cost_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must be >= 0")

    def converged(self, updates: Sequence[Evidence], decrease: float) -> str | None:
        """The reason to end, with its numbers, or None.

        Parameters
        ----------
        updates : sequence of Evidence
            All re-estimations so far.
        decrease : float
            By what fraction the last step lowered the cost; 0 at the mode.
        """
        last = updates[-self.window :]
        if not decrease <= self.cost_tolerance or len(last) < self.window:
            return None
        gammas = [update.total for update in last]
        evidences = [update.log_evidence for update in last]
        gamma, evidence = max(gammas) - min(gammas), max(evidences) - min(evidences)
        if gamma > self.gamma_tolerance * max(1.0, 0.1 * gammas[-1]) or evidence > self.evidence_tolerance:
            return None
        return (
            f"log evidence {evidences[-1]:.6g} changed by {evidence:.2g} and effective parameters "
            f"{gammas[-1]:.4g} by {gamma:.2g} in {self.window} re-estimations"
        )
