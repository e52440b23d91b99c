"""Parameters that must stay positive or between bounds, through free ones.

Levenberg-Marquardt works on free parameters u; a model sees x = value(u).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logit

from marquardt._types import FloatArray


class Transform(Protocol):
    """The contract: a smooth, strictly increasing map from the line to the allowed values.  Hashable."""

    def value(self, u: jax.Array) -> jax.Array:
        """x."""
        ...

    def inverse(self, x: FloatArray) -> FloatArray:
        """u; ValueError for a start that is not allowed."""
        ...


@dataclass(frozen=True)
class Positive:
    """x > 0, by softplus: x = log(1 + eᵘ).

    Near zero it is the exponential, so that tiny values keep their digits; far from zero it is u itself, so
    that a large value does not grow without measure.

    >>> Positive().inverse(np.array([1e-9, 50.0])).round(6)
    array([-20.723266,  50.      ])
    """

    def value(self, u: jax.Array) -> jax.Array:
        return jax.nn.softplus(u)

    def inverse(self, x: FloatArray) -> FloatArray:
        if not (x > 0).all():
            raise ValueError(f"starts at {x.min():g}, but must be > 0")
        return x + np.log(-np.expm1(-x))  # log(eˣ − 1), which overflows for no x


@dataclass(frozen=True)
class Bounded:
    """low < x < high, by the logistic function: x = low + (high − low) / (1 + e⁻ᵘ).

    >>> Bounded(0.0, 4.0).inverse(np.array([2.0]))
    array([0.])
    >>> Bounded(2.0, 1.0)
    Traceback (most recent call last):
    ValueError: Bounded(low=2.0, high=1.0): low must be less than high, and both finite; ...
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"{self!r}: low must be less than high, and both finite; take Positive() for one bound at "
                "zero, and leave a parameter that is known out with trainable="
            )

    def value(self, u: jax.Array) -> jax.Array:
        return self.low + (self.high - self.low) * jax.nn.sigmoid(jnp.asarray(u))

    def inverse(self, x: FloatArray) -> FloatArray:
        share = (x - self.low) / (self.high - self.low)
        if not ((share > 0) & (share < 1)).all():
            outside = x[~((share > 0) & (share < 1))][0] if x.ndim else x
            raise ValueError(
                f"starts at {float(outside):g}, but must lie inside ({self.low:g}, {self.high:g})"
            )
        return np.asarray(logit(share))
