"""What one timed training run is: when it reached the goal, or why it did not."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    w: np.ndarray
    """The best parameters seen, in the layout of `tasks`: the referee computes their cost anew."""
    seconds: float
    cpu_seconds: float
    steps: int
    """Iterations in the peer's own count."""
    reached: bool
    stop: str
    """Why the run ended: goal, cap, or the peer's own word."""


class Stopwatch:
    """Wall and CPU time since it was made."""

    def __init__(self, cap: float) -> None:
        self.cap = cap
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    @property
    def expired(self) -> bool:
        return time.perf_counter() - self._wall >= self.cap

    def run(self, w: np.ndarray, steps: int, reached: bool, stop: str) -> Run:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return Run(np.array(w, float), wall, cpu, steps, reached, "goal" if reached else stop)


class Finished(Exception):
    """Thrown through a peer that has no callback, from the cost function it was given."""
