"""Where runs from several starts ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAME_COST = 1e-4
"""Costs within this fraction of the best have reached it: beyond the noise of integration, well below what
tells two minima apart."""


@dataclass(frozen=True)
class Starts:
    """Where runs from several starts ended."""

    costs: np.ndarray
    """(m,), in the weights of the first round."""
    reached: np.ndarray
    """Which ended at the best cost (m,)."""
    ends: np.ndarray
    """Parameters in their own units (m, p)."""
    n_failed: int
    """Starts where the model has no finite predictions."""
    names: tuple[str, ...]
    interrupted: bool = False
    """Whether Ctrl-C, or a callback, ended them before their number was full."""
    ended: str = ""
    """Why no further start was tried; empty where all were."""
    at_rest: np.ndarray | None = None
    """Which runs had converged (m,)."""

    @property
    def share(self) -> float:
        """Of all starts, the failed ones included, those that reached the best cost."""
        return float(self.reached.sum()) / (len(self.costs) + self.n_failed)

    @property
    def notes(self) -> list[str]:
        said = []
        n = len(self.costs) + self.n_failed
        if n > 1 and self.reached.sum() < n:
            said.append(f"{int(self.reached.sum())} of {n} starts reached the best cost")
        if self.n_failed:
            said.append(f"{self.n_failed} starts had no finite predictions")
        if self.interrupted:
            said.append(
                f"ended by hand ({self.ended}): the parameters are the best of the first round of weights, "
                "and no further start was tried"
            )
        elif self.ended:
            said.append(f"{self.ended} after {n} starts")
        return said

    def plot(self) -> Figure:
        """The costs in ascending order, a waterfall: a floor of many runs is a minimum found again and again,
        each further step another one.

        A. Raue et al., PLoS ONE 8:e74335, 2013.
        """
        from marquardt.apps.pkpd.starts_plot import waterfall

        return waterfall(self)
