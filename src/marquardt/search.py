"""From trial steps to one accepted step: which damping is tried next, and which trial is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, DampingState


@dataclass(frozen=True)
class Trial:
    """One trial step and what came of it."""

    damping: float
    w: FloatArray | None
    """The trial point; None when no step could be computed."""
    cost: float
    gain_ratio: float
    """-inf when there was no finite trial cost."""
    predicted: float
    acceptable: bool
    """The cost fell, and the acceleration was not too large."""
    negligible: bool
    """Predicted and actual change are below the rounding of the cost."""
    accelerated: bool
    n_costs: int
    damping_share: float = float("nan")
    """λdᵀDd / (−gᵀd): near 1 the damping alone makes the step short, near 0 it is a Gauss-Newton step."""


Attempt = Callable[[float], Trial]


@dataclass(frozen=True)
class Found:
    """What a search ends with."""

    trial: Trial
    """The accepted trial, or the last one when none was accepted."""
    state: DampingState
    rejected: int
    n_costs: int


class Search(Protocol):
    """The contract of a search."""

    def run(self, attempt: Attempt, rule: DampingRule, state: DampingState) -> Found:
        """Try dampings until a trial is acceptable, negligible, or λ exceeds its maximum."""
        ...


@dataclass(frozen=True)
class FirstImprovement:
    """Take the first trial that decreases the cost; the damping rule says what to try after a failure."""

    def run(self, attempt: Attempt, rule: DampingRule, state: DampingState) -> Found:
        rejected = n_costs = 0
        while True:
            trial = attempt(state.damping)
            n_costs += trial.n_costs
            if trial.acceptable:
                return Found(trial, rule.accepted(state, trial.gain_ratio), rejected, n_costs)
            rejected += 1
            state = rule.rejected(state, trial.gain_ratio)
            if trial.negligible or state.damping > state.maximum:
                return Found(trial, state, rejected, n_costs)


@dataclass(frozen=True)
class RatioProbing:
    """Probe a grid of dampings around the last one, from short steps to long, and take the longest step
    whose gain ratio is still at least `target`.

    Fewer Jacobians than a rule, more factors and costs: it pays with `Eigen`, where a factor is free, and
    where a Jacobian costs much more than an evaluation.  The damping rule only gives the start.

    Parameters
    ----------
    target : float
        Least gain ratio of a step.
    decades : float
        The grid reaches from λ·10^decades down to λ·10^−decades.
    count : int
        Number of dampings on the grid.

    References
    ----------
    The rule of choice is that of DSGNAR (arXiv:2607.02194), here without its sketching.
    """

    target: float = 0.075
    decades: float = 1.0
    count: int = 9

    def __post_init__(self) -> None:
        if not (0 < self.target < 1 and self.decades > 0 and self.count >= 2):
            raise ValueError(
                f"target={self.target!r} must be between 0 and 1, decades={self.decades!r} positive, "
                f"count={self.count!r} at least 2"
            )

    def run(self, attempt: Attempt, rule: DampingRule, state: DampingState) -> Found:
        del rule
        rejected = n_costs = 0
        while True:
            best: Trial | None = None
            trial: Trial | None = None
            for damping in state.damping * 10.0 ** np.linspace(self.decades, -self.decades, self.count):
                trial = attempt(float(damping))
                n_costs += trial.n_costs
                if not trial.acceptable or trial.gain_ratio < self.target:
                    break
                best = trial
            assert trial is not None
            if best is not None:
                return Found(best, replace(state, damping=max(best.damping, 1e-300)), rejected, n_costs)
            rejected += 1
            state = replace(state, damping=state.damping * 10.0 ** (2 * self.decades))
            if trial.negligible or state.damping > state.maximum:
                return Found(trial, state, rejected, n_costs)
