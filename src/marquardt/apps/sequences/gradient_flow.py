r"""How a gradient goes back through time: vanishing, exploding, or neither, in words.

`norms[j]` is the size of the derivative of an output with respect to the state j steps before.  Where it
falls to nothing, training cannot see that far back; where it grows, errors of the state, and the gradient,
grow alike (Y. Bengio, P. Simard, P. Frasconi, IEEE Trans. Neural Networks 5:157, 1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LEAST_SHARE = 0.01
"""Of the largest norm: a state whose change moves the output by less is told not to be seen."""
GROWTH = 10.0
"""Of the norm over all steps, from which it is told to explode; a decade, as a round number."""


class GradientFlow:
    """The norm of a gradient against the distance in time.

    Parameters
    ----------
    norms : array (T,)
        For distances 0, 1, ..., T − 1.

    Examples
    --------
    >>> flow = GradientFlow(0.5 ** np.arange(20))
    >>> round(flow.factor, 3), flow.reach, flow.verdict
    (0.5, 6, 'vanishing')
    >>> print(flow)
    norm 1 at once, 1.9e-06 after 19 steps: a factor of 0.5 a step; below 1 % beyond 6 steps back: vanishing.
    """

    def __init__(self, norms: Any) -> None:
        self.norms = np.asarray(norms, dtype=float)
        if self.norms.ndim != 1 or len(self.norms) < 2 or (self.norms < 0).any():
            raise ValueError(f"norms must be two or more numbers >= 0 in a row; shape {self.norms.shape}")

    @property
    def factor(self) -> float:
        """By which the norm changes in one step, in the geometric mean; NaN when it is not finite."""
        usable = self.norms > 0
        if not np.isfinite(self.norms).all() or usable.sum() < 2:
            return float("nan") if not np.isfinite(self.norms).all() else 0.0
        steps = np.flatnonzero(usable)
        return float(np.exp(np.polyfit(steps, np.log(self.norms[usable]), 1)[0]))

    @property
    def reach(self) -> int:
        """Steps back from which a hundredth of the largest norm, or more, still comes."""
        with np.errstate(invalid="ignore"):
            seen = np.flatnonzero(self.norms >= LEAST_SHARE * np.nanmax(self.norms))
        return int(seen[-1]) if len(seen) else 0

    @property
    def verdict(self) -> str:
        """ "exploding", "vanishing" or "steady"."""
        n = self.norms
        if not np.isfinite(n).all() or n[-1] > GROWTH * max(n[0], np.finfo(float).tiny):
            return "exploding"
        return "vanishing" if self.reach < len(n) - 1 else "steady"

    def __str__(self) -> str:
        n = self.norms
        if not np.isfinite(n).all():
            return "the derivative overflows: exploding."
        begin = f"norm {n[0]:.2g} at once, {n[-1]:.2g} after {len(n) - 1} steps: a factor of "
        begin += f"{self.factor:.2g} a step"
        if self.verdict == "exploding":
            return f"{begin}; errors of the state grow alike: exploding."
        if self.verdict == "vanishing":
            return f"{begin}; below 1 % beyond {self.reach} steps back: vanishing."
        return f"{begin}: steady."

    def __repr__(self) -> str:
        return f"GradientFlow({self.verdict}, factor {self.factor:.3g}, {len(self.norms)} steps)"


class Watched:
    """A problem whose gradient is looked at wherever it is linearized: at the start and after every step.

    Hand it to `minimize` in place of the problem.

    Parameters
    ----------
    problem : Problem
    flow : callable, optional
        w -> norms against the distance in time (T,).
    show : callable, optional
        Called with a line of text every time, such as `print`.

    Attributes
    ----------
    gradient_norms : list of float
        Euclidean norm of the gradient of the cost, one an iteration.
    flows : list of GradientFlow

    Examples
    --------
    >>> from marquardt import Input, Linear, NetworkProblem, minimize
    >>> watched = Watched(NetworkProblem(Input(1) >> Linear(1), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]))
    >>> result = minimize(watched, [0.0, 0.0])
    >>> round(watched.gradient_norms[0], 3), watched.gradient_norms[-1] < 1e-6
    (15.811, True)
    """

    def __init__(
        self,
        problem: Any,
        flow: Callable[[np.ndarray], Sequence[float] | np.ndarray] | None = None,
        show: Callable[[str], object] | None = None,
    ) -> None:
        self.problem, self.flow, self.show = problem, flow, show
        self.gradient_norms: list[float] = []
        self.flows: list[GradientFlow] = []

    def __getattr__(self, name: str) -> Any:
        if name == "problem":  # not there yet, in a copy
            raise AttributeError(name)
        return getattr(self.problem, name)

    @property
    def n_params(self) -> int:
        return self.problem.n_params

    @property
    def prior(self) -> np.ndarray | None:
        return self.problem.prior

    def cost(self, w: np.ndarray) -> float:
        return self.problem.cost(w)

    def second_derivative(self, at: Any, direction: np.ndarray) -> np.ndarray | None:
        return self.problem.second_derivative(at, direction)

    def resolve_output(self, w: np.ndarray, damping: float, scale: np.ndarray | None) -> np.ndarray:
        return self.problem.resolve_output(w, damping, scale)

    def linearize(self, w: np.ndarray) -> Any:
        at = self.problem.linearize(w)
        self.gradient_norms.append(float(np.linalg.norm(at.gradient)))
        if self.flow is not None:
            self.flows.append(GradientFlow(self.flow(w)))
        if self.show is not None:
            through = f", through time: {self.flows[-1]}" if self.flows else ""
            self.show(f"{len(self.gradient_norms) - 1:4d}  |g| {self.gradient_norms[-1]:.3g}{through}")
        return at

    def __str__(self) -> str:
        """The course of the run in words."""
        norms = self.gradient_norms
        if not norms:
            return "nothing was linearized yet"
        lines = [f"|g| from {norms[0]:.3g} to {norms[-1]:.3g} in {len(norms) - 1} iterations."]
        if self.flows:
            lines += [
                f"Through time at the start: {self.flows[0]}",
                f"Through time at the end: {self.flows[-1]}",
            ]
        return "\n".join(lines)
