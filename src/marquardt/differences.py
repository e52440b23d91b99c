r"""Jacobians by finite differences, done with care.

Forward:  ∂r/∂w_i ≈ (r(w + h e_i) − r(w)) / h,            h = √ε    (|w_i| or a typical size)
Central:  ∂r/∂w_i ≈ (r(w + h e_i) − r(w − h e_i)) / 2h,   h = ∛ε    (the same)

The step is made exactly representable, and where one side is not finite (the edge of a domain) the other
side serves alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray

_EPS = float(np.finfo(float).eps)
Evaluate = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class ForwardDifferences:
    """One evaluation a parameter; about 8 digits."""

    def jacobian(self, evaluate: Evaluate, w: FloatArray, r: FloatArray) -> FloatArray:
        """∂r/∂w (n, p) at w, where the residual is r."""
        J = np.empty((len(r), len(w)), order="F")
        for i, h in enumerate(_steps(w, _EPS**0.5)):
            J[:, i] = _one_sided(evaluate, w, r, i, h)
        return J


@dataclass(frozen=True)
class CentralDifferences:
    """Two evaluations a parameter; about 10 to 11 digits."""

    def jacobian(self, evaluate: Evaluate, w: FloatArray, r: FloatArray) -> FloatArray:
        """∂r/∂w (n, p) at w, where the residual is r."""
        J = np.empty((len(r), len(w)), order="F")
        for i, h in enumerate(_steps(w, _EPS ** (1 / 3))):
            up, down = _moved(w, i, h), _moved(w, i, -h)
            above, below = evaluate(up), evaluate(down)
            if np.isfinite(above).all() and np.isfinite(below).all():
                J[:, i] = (above - below) / (up[i] - down[i])
            else:
                J[:, i] = _one_sided(evaluate, w, r, i, _steps(w, _EPS**0.5)[i])
        return J


def _steps(w: FloatArray, relative: float) -> FloatArray:
    """Steps proportional to |w_i|; a parameter of 0 takes the typical size of the others, at most 1."""
    sizes = np.abs(w)
    nonzero = sizes[sizes > 0]
    typical = min(1.0, float(np.exp(np.log(nonzero).mean()))) if len(nonzero) else 1.0
    return relative * np.where(sizes > 0, sizes, typical)


def _moved(w: FloatArray, i: int, h: float) -> FloatArray:
    moved = w.copy()
    moved[i] += h
    return moved


def _one_sided(evaluate: Evaluate, w: FloatArray, r: FloatArray, i: int, h: float) -> FloatArray:
    for step in (h, -h):
        moved = _moved(w, i, step)
        value = evaluate(moved)
        if np.isfinite(value).all():
            return (value - r) / (moved[i] - w[i])  # the step that was really taken
    return np.full_like(r, np.nan)
