"""NeuPy's damping rule, made safe against a start of the wrong size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from marquardt.damping import DampingState


@dataclass(frozen=True)
class Escalating:
    """λ ← λ / factor after an accepted step, λ ← λ · factor after a rejected one, as long as there are few.

    A factor as small as NeuPy's 1.2 keeps λ just above what is still accepted, which makes long steps.  It
    would need hundreds of trials where λ₀ is wrong by many orders; so from the eleventh rejection of the same
    step on, the factor is raised to the power 2, 3, 4, ...: thirty trials then reach 10¹⁷ λ₀.

    Parameters
    ----------
    initial : float
        λ₀, in the units of JᵀJ.
    factor : float
        Above 1.
    patience : int
        Rejections of one step before the factor grows.  Without patience, when the factor grows at once, the
        two spirals take a quarter more Jacobians.

    Examples
    --------
    >>> rule = Escalating()
    >>> state = rule.start(curvature=5.0)
    >>> round(rule.rejected(state, -1.0).damping, 6), round(rule.accepted(state, 0.9).damping, 6)
    (0.012, 0.008333)
    """

    initial: float = 0.01
    factor: float = 1.2
    patience: int = 10

    def __post_init__(self) -> None:
        if not (np.isfinite(self.initial) and self.initial > 0):
            raise ValueError(f"initial={self.initial!r} must be a positive finite number")
        if not (np.isfinite(self.factor) and self.factor > 1):
            raise ValueError(f"factor={self.factor!r} must be a finite number above 1")
        if self.patience < 0:
            raise ValueError(f"patience={self.patience!r} must be at least 0")

    def start(self, curvature: float) -> DampingState:
        # 1e16 times the curvature moves no parameter by more than rounding.
        return DampingState(self.initial, 1e16 * max(curvature, self.initial), 2.0 - self.patience)

    def accepted(self, state: DampingState, gain_ratio: float) -> DampingState:
        del gain_ratio
        return replace(state, damping=max(state.damping / self.factor, 1e-300), growth=2.0 - self.patience)

    def rejected(self, state: DampingState, gain_ratio: float) -> DampingState:
        """`growth` counts: it is the power of the next rejection, at most 1 while there is patience."""
        del gain_ratio
        damping = state.damping * self.factor ** max(1.0, state.growth)
        return replace(state, damping=damping, growth=state.growth + 1.0)
