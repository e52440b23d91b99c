"""A problem with its solution, and a network and settings that do for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike

from marquardt.apps.pinn.network import Dense
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.solution import Solution
from marquardt.apps.pinn.solver import solve


@dataclass(frozen=True)
class Ready:
    """A problem to try, to learn from, and to measure by.

    Parameters
    ----------
    about : str
        What it is, with its source.
    pde : PDE
    exact : callable
        Coordinates by name -> the first field: in closed form, or by a method of other kind.
    network : Dense
    settings : mapping
        Of `solve`.
    """

    about: str
    pde: PDE
    exact: Callable[..., ArrayLike]
    network: Dense
    settings: Mapping[str, Any] = field(default_factory=dict)

    def solve(self, **settings: Any) -> Solution:
        """As `solve`, with the settings of this problem where none are given."""
        chosen: dict[str, Any] = {"network": self.network, **self.settings, **settings}
        return solve(self.pde, **chosen)

    def error(self, solution: Solution, relative: bool = True) -> float:
        """Of the first field on a grid; see `Solution.error`."""
        return solution.error(self.exact, relative=relative)
