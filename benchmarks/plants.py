"""Plants for the identification of dynamic systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import cont2discrete, lfilter


@dataclass(frozen=True)
class Plant:
    name: str
    about: str
    respond: Callable[[np.ndarray], np.ndarray]
    """u (T,) -> y (T,), from rest."""
    excite: Callable[[np.random.Generator, int], np.ndarray]
    hidden: tuple[int, ...]
    input_delays: tuple[int, ...]
    output_delays: tuple[int, ...]
    iterations: int
    """Of pyrenn."""


def levels(low: float, high: float, hold: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """An amplitude-modulated pseudo-random signal: random levels held for up to `hold` steps."""

    def excite(rng: np.random.Generator, n: int) -> np.ndarray:
        lengths = rng.integers(1, hold + 1, n)
        return np.repeat(rng.uniform(low, high, n), lengths)[:n]

    return excite


def narendra_2(u: np.ndarray) -> np.ndarray:
    """Example 2 of Narendra & Parthasarathy 1990: input in a straight line, unstable for most networks."""
    y = np.zeros(len(u) + 2)
    for t in range(len(u) - 1):
        a, b = y[t + 2], y[t + 1]
        y[t + 3] = a * b * (a + 2.5) / (1 + a * a + b * b) + u[t]
    return y[2:]


def narendra_4(u: np.ndarray) -> np.ndarray:
    """Example 4 of the same, which is pyrenn's `narendra4`."""
    y, before = np.zeros(len(u) + 3), np.concatenate([[0.0], u])
    for t in range(len(u) - 1):
        a, b, c = y[t + 3], y[t + 2], y[t + 1]
        y[t + 4] = (a * b * c * before[t] * (c - 1) + u[t]) / (1 + b * b + c * c)
    return y[3:]


def pt2(u: np.ndarray) -> np.ndarray:
    """10 / (0.1 s² + s + 100), which is pyrenn's, sampled every 0.01 s with the input held between."""
    b, a, _ = cont2discrete(([10.0], [0.1, 1.0, 100.0]), 0.01)
    return lfilter(b.ravel(), a, u)


PLANTS = [
    Plant(
        "Narendra 2",
        "y' = y y₁ (y + 2.5) / (1 + y² + y₁²) + u",
        narendra_2,
        lambda rng, n: rng.uniform(-2.0, 2.0, n),
        (6,),
        (1,),
        (1, 2),
        100,
    ),
    Plant(
        "Narendra 4",
        "y' = (y y₁ y₂ u₁ (y₂ − 1) + u) / (1 + y₁² + y₂²)",
        narendra_4,
        levels(-1.0, 1.0, 15),
        (3, 3),
        (1, 2),
        (1, 2, 3),
        200,
    ),
    Plant(
        "PT2",
        "10 / (0.1 s² + s + 100)",
        pt2,
        levels(-5.0, 5.0, 30),
        (2, 2),
        (1, 2),
        (1, 2),
        100,
    ),
]
"""The last two with pyrenn's networks, delays of the output and iterations; its network for the PT2 also has
internal delays, which a NARX network has not."""
