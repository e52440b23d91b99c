"""First-order steps before Levenberg-Marquardt, and a hand-over that never raises the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from marquardt._types import FloatArray


class Descendable(Protocol):
    """A problem that gives its gradient without its Jacobian."""

    n_residuals: int

    def cost(self, w: FloatArray) -> float: ...

    def gradient(self, w: FloatArray) -> FloatArray: ...


def _adam(params: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=1e-2)


@dataclass(frozen=True)
class WarmUp:
    """Some full-batch steps of an optimizer of PyTorch; the best point on the way is handed on.

    Parameters
    ----------
    n_steps : int
    optimizer : callable
        Parameters -> optimizer, by default ``lambda params: torch.optim.Adam(params, lr=1e-2)``.  It sees one
        vector in float64, and the gradient of the mean over the residuals, so that usual learning rates do.

    Examples
    --------
    >>> WarmUp(-1)
    Traceback (most recent call last):
    ValueError: n_steps=-1 must be >= 0
    """

    n_steps: int = 500
    optimizer: Callable[[list[torch.nn.Parameter]], Any] = _adam

    def __post_init__(self) -> None:
        if self.n_steps < 0:
            raise ValueError(f"n_steps={self.n_steps!r} must be >= 0")

    def run(self, problem: Descendable, w0: FloatArray) -> FloatArray:
        """The point of lowest cost among w0 and the points after each step."""
        w, best, lowest = w0, w0, problem.cost(w0)
        vector = torch.nn.Parameter(torch.tensor(w0))
        optimizer = self.optimizer([vector])
        for _ in range(self.n_steps):
            gradient = problem.gradient(w) / problem.n_residuals
            if not np.isfinite(gradient).all():
                break
            vector.grad = torch.from_numpy(gradient)
            optimizer.step()
            w = vector.detach().numpy().copy()
            w.flags.writeable = False
            cost = problem.cost(w)
            if cost < lowest:
                best, lowest = w, cost
        return best
