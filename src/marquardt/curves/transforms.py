"""Maps from the line to the allowed values of a parameter, so that a fit within bounds is a free one.

A fit runs in u; the curve sees θ = value(u).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Transform(Protocol):
    """The contract: smooth and strictly monotone."""

    def value(self, u: float) -> float:
        """θ."""
        ...

    def slope(self, u: float) -> float:
        """dθ/du."""
        ...

    def inverse(self, theta: float) -> float:
        """u of a value inside the bounds."""
        ...


@dataclass(frozen=True)
class Free:
    """No bounds."""

    def value(self, u: float) -> float:
        return u

    def slope(self, u: float) -> float:
        del u
        return 1.0

    def inverse(self, theta: float) -> float:
        return theta


@dataclass(frozen=True)
class HalfLine:
    """θ = edge ± unit · log(1 + eᵘ): a straight line far from the edge, an exponential near it.

    Parameters
    ----------
    edge : float
        The bound.
    unit : float
        Where the two meet, as a distance from the edge, in units of the parameter; negative for an upper
        bound.

    Examples
    --------
    >>> positive = HalfLine(0.0, 2.0)
    >>> round(positive.value(positive.inverse(1e-8)), 12)
    1e-08
    """

    edge: float
    unit: float

    def value(self, u: float) -> float:
        return self.edge + self.unit * (max(u, 0.0) + math.log1p(math.exp(-abs(u))))

    def slope(self, u: float) -> float:
        return self.unit * _logistic(u)

    def inverse(self, theta: float) -> float:
        v = (theta - self.edge) / self.unit
        return v + math.log(-math.expm1(-v))  # log(eᵛ − 1), which overflows for no v


@dataclass(frozen=True)
class Interval:
    """θ = low + (high − low) / (1 + e⁻ᵘ)."""

    low: float
    high: float

    def value(self, u: float) -> float:
        return self.low + (self.high - self.low) * _logistic(u)

    def slope(self, u: float) -> float:
        return (self.high - self.low) * _logistic(u) * _logistic(-u)

    def inverse(self, theta: float) -> float:
        share = (theta - self.low) / (self.high - self.low)
        return math.log(share) - math.log1p(-share)


def transform(low: float, high: float, start: float) -> Transform:
    """The map onto (low, high) that is nearly straight around `start`, which lies inside.

    Examples
    --------
    >>> transform(-math.inf, math.inf, 1.0)
    Free()
    >>> transform(0.0, math.inf, 3.0)
    HalfLine(edge=0.0, unit=3.0)
    """
    if math.isinf(low) and math.isinf(high):
        return Free()
    if math.isinf(high):
        return HalfLine(low, start - low)
    if math.isinf(low):
        return HalfLine(high, start - high)
    return Interval(low, high)


def _logistic(u: float) -> float:
    return 1 / (1 + math.exp(-u)) if u >= 0 else math.exp(u) / (1 + math.exp(u))
