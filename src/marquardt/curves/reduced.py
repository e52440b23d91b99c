"""A curve with some of its parameters fixed or tied to others: a model in those that remain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.curves.curve import Expanded, Model, Move
from marquardt.curves.expressions import CONSTANTS, Expression


@dataclass(frozen=True)
class Reduced:
    """f(x, θ(v)) with θ made of the free v, fixed numbers, and expressions of the others.

    Parameters
    ----------
    inner : Model
    fixed : mapping of name to float
    tied : mapping of name to Expression

    Examples
    --------
    >>> from marquardt.curves.curve import Curve
    >>> line = Curve(lambda x, a, b: a + b * x, ["a", "b"])
    >>> tied = Reduced(line, {}, {"b": Expression("2 * a")})
    >>> tied.names, tied.full(np.array([3.0]))
    (('a',), array([3., 6.]))
    """

    inner: Model
    fixed: Mapping[str, float]
    tied: Mapping[str, Expression]
    names: tuple[str, ...] = field(init=False)
    order: tuple[str, ...] = field(init=False, repr=False)
    """Of the tied ones, so that each comes after those it needs."""

    def __post_init__(self) -> None:
        every = self.inner.names
        for argument, given in (("fixed", self.fixed), ("tied", self.tied)):
            check_names(argument, given, every)
        both = sorted(set(self.fixed) & set(self.tied))
        if both:
            raise ValueError(f"{both[0]!r} is both fixed and tied: leave one out")
        for name, value in self.fixed.items():
            if not np.isfinite(value):
                raise ValueError(f"fixed[{name!r}]={value!r} must be a finite number")
        for name, expression in self.tied.items():
            unknown = [n for n in expression.names if n not in every and n not in CONSTANTS]
            if unknown:
                raise ValueError(
                    f"tied[{name!r}]={expression.text!r} names {unknown[0]!r}: there are {', '.join(every)}"
                )
        object.__setattr__(self, "order", self._order())
        free = tuple(n for n in every if n not in self.fixed and n not in self.tied)
        if not free:
            raise ValueError("every parameter is fixed or tied: leave at least one free")
        object.__setattr__(self, "names", free)

    def _order(self) -> tuple[str, ...]:
        done: list[str] = []
        waiting = dict(self.tied)
        while waiting:
            ready = [n for n, e in waiting.items() if not set(e.names) & waiting.keys()]
            if not ready:
                circle = " and ".join(map(repr, sorted(waiting)))
                raise ValueError(
                    f"the ties of {circle} depend on one another: express one by free parameters"
                )
            done += ready
            for name in ready:
                del waiting[name]
        return tuple(done)

    @property
    def exact(self) -> bool:
        return self.inner.exact

    def full(self, v: FloatArray) -> FloatArray:
        """All parameters θ (p,)."""
        return self.expand(v)[0]

    def expand(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """θ (p,) and ∂θ/∂v (p, k)."""
        unit = np.eye(len(self.names))
        known = {
            name: (float(value), unit[k]) for k, (name, value) in enumerate(zip(self.names, v, strict=True))
        }
        known |= {name: (float(value), np.zeros(len(v))) for name, value in self.fixed.items()}
        for name in self.order:
            known[name] = self.tied[name].dual(known)
        pairs = [known[name] for name in self.inner.names]
        return np.array([value for value, _ in pairs]), np.array([slope for _, slope in pairs])

    def value(self, x: Any, theta: FloatArray) -> FloatArray:
        return self.inner.value(x, self.full(theta))

    def jacobian(self, x: Any, theta: FloatArray) -> FloatArray:
        full, slopes = self.expand(theta)
        return self.inner.jacobian(x, full) @ slopes

    def expanded(self, theta: FloatArray) -> Expanded:
        full, slopes = self.expand(theta)
        inner = self.inner.expanded(full)
        return Expanded(inner.names, inner.values, inner.slopes @ slopes)

    def moved(self, theta: FloatArray, move: Move) -> FloatArray | None:
        full = self.inner.moved(self.full(theta), move)
        if full is None:
            return None
        free = full[[self.inner.names.index(name) for name in self.names]]
        return free if np.allclose(self.full(free), full, rtol=1e-12, atol=0) else None


def check_names(argument: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """ValueError when a key is no parameter."""
    for name in given:
        if name not in names:
            raise ValueError(
                f"{argument} names {name!r}, which is no parameter: there are {', '.join(names)}"
            )
