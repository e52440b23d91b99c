r"""Jacobians by finite differences, done with care.

Forward:  ∂r/∂w_i ≈ (r(w + h e_i) − r(w)) / h,            h = √ε s
Central:  ∂r/∂w_i ≈ (r(w + h e_i) − r(w − h e_i)) / 2h,   h = ∛ε s

s is the size of the parameter, |w_i|.  The step is made exactly representable, and where one side is not
finite (the edge of a domain) the other side serves alone.  A parameter that happens to be near zero, much
below the scale on which r changes, is noticed by its faint influence on r; its size is then found by trying
larger ones until the quotient is steady.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from marquardt._types import FloatArray

_EPS = float(np.finfo(float).eps)
_FAINT = 1e-4
"""Influence s‖∂r/∂w_i‖ relative to the largest, below which rounding leaves the quotient fewer than 6 digits
(central) or 4 (forward)."""
_STEADY = 0.1
"""Two quotients that differ by less than this fraction are not noise."""
_TRIES = 8
Evaluate = Callable[[FloatArray], FloatArray]
Column = Callable[[int, float], FloatArray]


@dataclass(frozen=True)
class ForwardDifferences:
    """One evaluation a parameter; about 8 digits."""

    precision: ClassVar[float] = 1e-7
    """Relative error of a column that must be expected."""

    def jacobian(self, evaluate: Evaluate, w: FloatArray, r: FloatArray) -> FloatArray:
        """∂r/∂w (n, p) at w, where the residual is r."""
        return _jacobian(lambda i, size: _one_sided(evaluate, w, r, i, _EPS**0.5 * size), w, r)


@dataclass(frozen=True)
class CentralDifferences:
    """Two evaluations a parameter; about 10 to 11 digits."""

    precision: ClassVar[float] = 1e-9
    """Relative error of a column that must be expected."""

    def jacobian(self, evaluate: Evaluate, w: FloatArray, r: FloatArray) -> FloatArray:
        """∂r/∂w (n, p) at w, where the residual is r."""

        def column(i: int, size: float) -> FloatArray:
            h = _EPS ** (1 / 3) * size
            up, down = _moved(w, i, h), _moved(w, i, -h)
            above, below = evaluate(up), evaluate(down)
            if np.isfinite(above).all() and np.isfinite(below).all():
                return (above - below) / (up[i] - down[i])
            return _one_sided(evaluate, w, r, i, _EPS**0.5 * size)

        return _jacobian(column, w, r)


def _jacobian(column: Column, w: FloatArray, r: FloatArray) -> FloatArray:
    sizes = _sizes(w)
    J = np.empty((len(r), len(w)), order="F")
    for i, size in enumerate(sizes):
        J[:, i] = column(i, float(size))
    influence = np.linalg.norm(J, axis=0) * sizes
    scale = max(float(np.linalg.norm(r)), float(np.max(influence, initial=0.0, where=np.isfinite(influence))))
    largest = max(1.0, float(np.abs(w).max()))
    for i in np.flatnonzero((influence < _FAINT * scale) & (sizes < largest)):
        start = max(sizes[i], _EPS * largest)
        J[:, i] = _steadiest(column, int(i), J[:, i], np.geomspace(start, largest, _TRIES + 1)[1:])
    return J


def _sizes(w: FloatArray) -> FloatArray:
    """|w_i|; a parameter of 0 takes the typical size of the others, at most 1."""
    sizes = np.abs(w)
    nonzero = sizes[sizes > 0]
    typical = min(1.0, float(np.exp(np.log(nonzero).mean()))) if len(nonzero) else 1.0
    return np.maximum(np.where(sizes > 0, sizes, typical), 1e-290)  # whose steps are no rounding to 0


def _steadiest(column: Column, i: int, first: FloatArray, sizes: FloatArray) -> FloatArray:
    """Of the quotients for growing sizes the one that differs least from the one before."""
    best, best_change, previous = first, _STEADY, first
    for size in sizes:
        quotient = column(i, float(size))
        length = float(np.linalg.norm(quotient))
        if not np.isfinite(length):
            break
        change = float(np.linalg.norm(quotient - previous)) / length if length > 0 else np.inf
        if change < best_change:
            best, best_change = quotient, change
        previous = quotient
    return best


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
