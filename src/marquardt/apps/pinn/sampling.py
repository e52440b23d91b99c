"""Where residuals are asked for: points of the unit cube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Points = NDArray[np.float64]


class Sampling(Protocol):
    """The contract: a way to place n points in the unit cube."""

    def unit(self, n: int, dimension: int, rng: np.random.Generator) -> Points:
        """Points (n, dimension) in [0, 1]."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Independent and uniform."""

    def unit(self, n: int, dimension: int, rng: np.random.Generator) -> Points:
        return rng.uniform(size=(n, dimension))


@dataclass(frozen=True)
class LatinHypercube:
    """One point in each of n layers of every coordinate."""

    def unit(self, n: int, dimension: int, rng: np.random.Generator) -> Points:
        return qmc.LatinHypercube(dimension, rng=rng).random(n)


@dataclass(frozen=True)
class Sobol:
    """A scrambled Sobol sequence: even, without being regular."""

    def unit(self, n: int, dimension: int, rng: np.random.Generator) -> Points:
        # A power of two is drawn, since only such a set is balanced, and its first n are taken.
        return qmc.Sobol(dimension, rng=rng).random_base2(max(0, int(np.ceil(np.log2(n)))))[:n]


@dataclass(frozen=True)
class Grid:
    """A regular grid with the ends, as many points as fit: round(n^(1/d)) a side."""

    def unit(self, n: int, dimension: int, rng: np.random.Generator) -> Points:
        del rng
        side = max(2, round(n ** (1 / max(1, dimension)))) if n > 1 else 1
        axes = [np.linspace(0.0, 1.0, side) if side > 1 else np.array([0.5])] * dimension
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


@dataclass(frozen=True)
class ResidualAdaptive:
    """Points where the residual is large: drawn from many candidates with probability ∝ |r|ᵏ/mean|r|ᵏ + c.

    The first draw, with no residual yet, is that of `candidates`.

    Parameters
    ----------
    candidates : Sampling
    factor : int
        Candidates for each point.
    power, constant : float
        k and c; both 1 by default, as in the paper.

    References
    ----------
    C. Wu, M. Zhu, Q. Tan, Y. Kartha, L. Lu, "A comprehensive study of non-adaptive and residual-based
    adaptive sampling for physics-informed neural networks", CMAME 403 (2023) 115671, eq. (2) (RAD).
    """

    candidates: Sampling = Sobol()
    factor: int = 10
    power: float = 1.0
    constant: float = 1.0

    def unit(self, n: int, dimension: int, rng: np.random.Generator) -> Points:
        return self.candidates.unit(n, dimension, rng)

    def chosen(self, sizes: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """n of the candidates, by the sizes |r| (m,) of their residuals."""
        raised = np.where(np.isfinite(sizes), sizes, 0.0) ** self.power
        mean = raised.mean()
        odds = (raised / mean if mean > 0 else np.ones_like(raised)) + self.constant
        return rng.choice(len(sizes), size=n, replace=False, p=odds / odds.sum())
