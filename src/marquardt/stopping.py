"""When to stop: limits and tolerances, and one pure function that gives a reason or none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from marquardt.result import Iteration, Status


@dataclass(frozen=True)
class Stopping:
    """Limits and tolerances of a run.  The first six are those of MATLAB's `trainlm`.

    Parameters
    ----------
    max_iter : int
        Largest number of iterations (`epochs`).
    max_time : float or None
        Largest wall time, in seconds (`time`).
    cost_goal : float
        Stop when the cost is at or below this (`goal`; here in units of the cost ½‖r‖² + prior term).
    gradient_tolerance : float
        Stop when the largest entry of the gradient is at or below this (`min_grad`), in units of the cost.
    max_fail : int or None
        With a validation cost: stop when it has not improved for this many iterations (`max_fail`).
    cost_tolerance : float
        Stop when one accepted step decreases the cost by less than this fraction of it, as predicted and
        in fact.  0 switches it off.
    step_tolerance : float
        Stop when ‖d‖ <= step_tolerance (‖w‖ + step_tolerance) for an accepted step that is not short because
        of its damping alone.  0 switches it off.

    The sixth of `trainlm`, `mu_max`, is the `maximum` of the damping rule.

    Examples
    --------
    >>> Stopping(max_iter=20).max_iter
    20
    >>> Stopping(max_iter=-1)
    Traceback (most recent call last):
    ValueError: max_iter=-1 must be an integer >= 0
    """

    max_iter: int = 1000
    max_time: float | None = None
    cost_goal: float = 0.0
    gradient_tolerance: float = 0.0
    max_fail: int | None = 6
    cost_tolerance: float = 1e-14
    step_tolerance: float = 1e-14

    def __post_init__(self) -> None:
        if not (isinstance(self.max_iter, int) or float(self.max_iter).is_integer()) or self.max_iter < 0:
            raise ValueError(f"max_iter={self.max_iter!r} must be an integer >= 0")
        if self.max_time is not None and not self.max_time >= 0:
            raise ValueError(f"max_time={self.max_time!r} must be >= 0 seconds, or None for no limit")
        if self.max_fail is not None and not self.max_fail >= 1:
            raise ValueError(f"max_fail={self.max_fail!r} must be >= 1, or None for no limit")
        for name in ("cost_goal", "gradient_tolerance", "cost_tolerance", "step_tolerance"):
            value = getattr(self, name)
            if math.isnan(value) or value < 0:
                raise ValueError(f"{name}={value!r} must be >= 0")

    @property
    def tolerances(self) -> dict[str, float | None]:
        """All but the limits of iterations and time."""
        limits = {"max_iter", "max_time"}
        return {name: value for name, value in vars(self).items() if name not in limits}

    def reason(self, now: Iteration, w_norm: float, fails: int) -> tuple[Status, str] | None:
        """The reason to stop after iteration `now`, with the numbers, or None to go on.

        Parameters
        ----------
        now : Iteration
            The record of the iteration just done (of the start, for iteration 0).
        w_norm : float
            ‖w‖ at the new point.
        fails : int
            Iterations since the validation cost last improved.
        """
        if (reached := self._goal(now)) is not None:
            return reached
        if now.gradient_norm <= self.gradient_tolerance:
            return (
                Status.GRADIENT_TOLERANCE,
                f"largest gradient entry {now.gradient_norm:.3g} <= tolerance {self.gradient_tolerance:.3g}",
            )
        if now.iteration > 0 and (small := self._small_step(now, w_norm)) is not None:
            return small
        if self.max_fail is not None and fails >= self.max_fail:
            return Status.MAX_FAIL, f"validation cost did not improve for {fails} iterations"
        return self._limit(now)

    def early_reason(self, now: Iteration) -> tuple[Status, str] | None:
        """The same while the steps are made for some of the rows: nothing has converged there, and only the
        goal and the limits end a run."""
        return self._goal(now) or self._limit(now)

    def _goal(self, now: Iteration) -> tuple[Status, str] | None:
        if now.cost <= self.cost_goal:
            return Status.COST_GOAL, f"cost {now.cost:.3g} <= goal {self.cost_goal:.3g}"
        return None

    def _limit(self, now: Iteration) -> tuple[Status, str] | None:
        if now.iteration >= self.max_iter:
            return Status.MAX_ITER, f"{now.iteration} iterations, limit {self.max_iter}"
        if self.max_time is not None and now.time >= self.max_time:
            return Status.MAX_TIME, f"{now.time:.3g} s, limit {self.max_time:.3g} s"
        return None

    def _small_step(self, now: Iteration, w_norm: float) -> tuple[Status, str] | None:
        if now.decrease <= self.cost_tolerance * now.cost and now.predicted <= self.cost_tolerance * now.cost:
            return (
                Status.COST_TOLERANCE,
                f"relative decrease {now.decrease / now.cost:.3g} <= tolerance {self.cost_tolerance:.3g}",
            )
        limit = self.step_tolerance * (w_norm + self.step_tolerance)
        # A step that the damping alone keeps short says nothing about convergence.
        if now.step_norm <= limit and not now.damping_share > 0.5:
            return Status.STEP_TOLERANCE, f"step norm {now.step_norm:.3g} <= {limit:.3g}"
        return None
