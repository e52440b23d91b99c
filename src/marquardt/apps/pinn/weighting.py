"""Weights that follow the solution: between groups, and along the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from marquardt.apps.pinn.domain import Box

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class GroupState:
    """What is known of a group at the present parameters."""

    weight: float
    """As the user gave it."""
    points: Numbers
    """Its places (n, d)."""
    residuals: Numbers | None = None
    """r (n, k), where they are looked at."""
    row_sqnorms: Numbers | None = None
    """‖∂r/∂w‖² (n,), likewise."""


class Weighting(Protocol):
    """The contract: weights of the samples of each group."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it looks at: ``residuals``, ``rows`` of the Jacobian."""
        ...

    def weights(self, groups: Mapping[str, GroupState], box: Box) -> dict[str, Numbers]:
        """Weights (n,), of the mean square of a group where they are all the same."""
        ...


@dataclass(frozen=True)
class Fixed:
    """The weights that the user gave."""

    needs: tuple[str, ...] = ()

    def weights(self, groups: Mapping[str, GroupState], box: Box) -> dict[str, Numbers]:
        del box
        return {name: np.full(len(group.points), group.weight) for name, group in groups.items()}


@dataclass(frozen=True)
class Balanced:
    """Every group pulls as strongly on the parameters: weight_g ∝ 1 / mean ‖∂r_g/∂w‖².

    The weights of the groups multiply it: give 1 to each to have it alone.

    References
    ----------
    S. Wang, X. Yu, P. Perdikaris, "When and why PINNs fail to train: a neural tangent kernel perspective",
    J. Comput. Phys. 449 (2022) 110768, algorithm 1.
    """

    needs: tuple[str, ...] = ("rows",)

    def weights(self, groups: Mapping[str, GroupState], box: Box) -> dict[str, Numbers]:
        del box
        means = {name: _mean(group) for name, group in groups.items()}
        largest = max(means.values())
        return {
            name: np.full(
                len(group.points), group.weight * (largest / means[name] if means[name] > 0 else 1.0)
            )
            for name, group in groups.items()
        }


def _mean(group: GroupState) -> float:
    assert group.row_sqnorms is not None
    return float(np.mean(group.row_sqnorms))


@dataclass(frozen=True)
class Causal:
    """Late times count little until the early ones are solved: w_i = exp(−ε Σ_{k<i} mean r² of slab k).

    Applies to the named groups, in slabs of equal length along one coordinate.  As the residuals fall all
    weights go to one, and the problem is the plain one.

    Parameters
    ----------
    time : str
        The coordinate.
    tolerance : float
        ε.  100 is in the middle of the paper's range.
    slabs : int
    groups : tuple of str

    References
    ----------
    S. Wang, S. Sankaran, P. Perdikaris, "Respecting causality for training physics-informed neural
    networks", CMAME 421 (2024) 116813, eq. (3.5).
    """

    time: str = "t"
    tolerance: float = 100.0
    slabs: int = 32
    groups: tuple[str, ...] = ("interior",)
    smallest: float = 1e-6
    """Of a weight: the rows stay in the problem."""
    needs: tuple[str, ...] = ("residuals",)

    def weights(self, groups: Mapping[str, GroupState], box: Box) -> dict[str, Numbers]:
        result = Fixed().weights(groups, box)
        for name in self.groups:
            if name not in groups:
                raise ValueError(f"groups={self.groups!r}: there is no {name!r}, only {', '.join(groups)}")
            group = groups[name]
            times = group.points[:, box.axis(self.time)]
            span = max(float(np.ptp(times)), np.finfo(float).tiny)
            slab = np.minimum(((times - times.min()) / span * self.slabs).astype(int), self.slabs - 1)
            assert group.residuals is not None
            squares = np.mean(group.residuals**2, axis=1)
            counts = np.bincount(slab, minlength=self.slabs)
            means = np.bincount(slab, squares, minlength=self.slabs) / np.maximum(counts, 1)
            before = np.concatenate([[0.0], np.cumsum(means)[:-1]])
            result[name] = group.weight * np.maximum(np.exp(-self.tolerance * before), self.smallest)[slab]
        return result
