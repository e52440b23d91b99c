r"""Robust penalties: squares near zero, less far from it, so that a gross error pulls little or not at all.

With u = e/c, c = threshold · scale, all are c² times

    Huber     u²/2 up to |u| = 1, then |u| − 1/2          weight min(1, 1/|u|)
    SoftL1    √(1 + u²) − 1                               weight 1/√(1 + u²)
    Cauchy    ½ log(1 + u²)                               weight 1/(1 + u²)
    Tukey     (1 − (1 − u²)³)/6 up to |u| = 1, then 1/6   weight (1 − u²)², then 0

so that the cost is that of least squares where no error is large.  The thresholds are in units of `scale`,
the standard deviation of the noise; at the default ones the estimate of a mean has 95 % efficiency on
Gaussian noise (P. J. Huber, "Robust Statistics", 1981; R. Maronna et al., "Robust Statistics", 2006, section
2.2; each is checked by quadrature in the tests).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from marquardt._types import FloatArray
from marquardt.losses.reweighted import Reweighted
from marquardt.models.activations import Activation


@dataclass(frozen=True)
class Robust:
    """A penalty that grows less than the square; also the maker of its loss, for `NetworkProblem(loss=...)`.

    Parameters
    ----------
    threshold : float
        Where errors begin to count as large, in units of `scale`.
    scale : float or tuple of float
        Standard deviation of the noise, in units of the targets; one for all outputs, or one each.
    """

    threshold: float
    scale: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(f"threshold={self.threshold!r} must be a finite number above 0")
        scales = np.asarray(self.scale, dtype=float)
        if not (scales.ndim <= 1 and scales.size and np.isfinite(scales).all() and (scales > 0).all()):
            raise ValueError(f"scale={self.scale!r} must be a finite number above 0, or one for each output")

    def __call__(
        self, activation: Activation, targets: FloatArray, root_weights: FloatArray | None
    ) -> Reweighted:
        """The loss of targets (K, N) for an output activation."""
        if not isinstance(self.scale, int | float) and len(self.scale) != len(targets):
            raise ValueError(f"scale has {len(self.scale)} values, but there are {len(targets)} outputs")
        return Reweighted.of(self, activation, targets, root_weights)

    def at_scale(self, scale: float | tuple[float, ...]) -> Self:
        """The same for noise of another size."""
        return replace(self, scale=scale)

    def value(self, error: FloatArray) -> FloatArray:
        """ρ(e)."""
        c = self._width(error)
        return c * c * self._value(np.abs(error) / c)

    def weight(self, error: FloatArray) -> FloatArray:
        """ρ'(e)/e, between 0 and 1."""
        return self._weight(np.abs(error) / self._width(error))

    def curvature(self, error: FloatArray) -> FloatArray:
        """ρ''(e)."""
        return self._curvature(np.abs(error) / self._width(error))

    def _width(self, error: FloatArray) -> FloatArray | float:
        """c, for errors (n,) or (K, N)."""
        if isinstance(self.scale, int | float):
            return self.threshold * self.scale
        return self.threshold * np.reshape(self.scale, (-1,) + (1,) * (error.ndim - 1))

    # of u = |e|/c
    def _value(self, u: FloatArray) -> FloatArray:
        raise NotImplementedError

    def _weight(self, u: FloatArray) -> FloatArray:
        raise NotImplementedError

    def _curvature(self, u: FloatArray) -> FloatArray:
        raise NotImplementedError


@dataclass(frozen=True)
class Huber(Robust):
    """Squares up to the threshold, then the absolute value: convex, the mildest.

    Examples
    --------
    >>> Huber(threshold=1.0).value(np.array([0.5, 1.0, 3.0]))
    array([0.125, 0.5  , 2.5  ])
    """

    threshold: float = 1.345

    def _value(self, u: FloatArray) -> FloatArray:
        inner = np.minimum(u, 1.0)
        return inner * (u - 0.5 * inner)

    def _weight(self, u: FloatArray) -> FloatArray:
        return 1.0 / np.maximum(u, 1.0)

    def _curvature(self, u: FloatArray) -> FloatArray:
        return (u <= 1.0).astype(float)


@dataclass(frozen=True)
class SoftL1(Robust):
    """A smooth Huber; also known as pseudo-Huber and Charbonnier.  Its threshold is from our quadrature."""

    threshold: float = 1.287

    def _value(self, u: FloatArray) -> FloatArray:
        return u * u / (np.hypot(1.0, u) + 1.0)  # without cancellation at small u

    def _weight(self, u: FloatArray) -> FloatArray:
        return 1.0 / np.hypot(1.0, u)

    def _curvature(self, u: FloatArray) -> FloatArray:
        return self._weight(u) ** 3


@dataclass(frozen=True)
class Cauchy(Robust):
    """½ log(1 + u²): the pull of an error falls off as 1/u, and gross ones hardly count.  Not convex."""

    threshold: float = 2.385

    def _value(self, u: FloatArray) -> FloatArray:
        return 0.5 * np.log1p(u * u)

    def _weight(self, u: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + u * u)

    def _curvature(self, u: FloatArray) -> FloatArray:
        return (1.0 - u * u) * self._weight(u) ** 2


@dataclass(frozen=True)
class Tukey(Robust):
    """The biweight: errors beyond the threshold do not count at all, and pull nothing back to a start that is
    far from them; `fit_robustly` comes near first."""

    threshold: float = 4.685

    def _value(self, u: FloatArray) -> FloatArray:
        v = np.minimum(u * u, 1.0)
        return v * (3.0 - v * (3.0 - v)) / 6.0

    def _weight(self, u: FloatArray) -> FloatArray:
        return (1.0 - np.minimum(u * u, 1.0)) ** 2

    def _curvature(self, u: FloatArray) -> FloatArray:
        v = np.minimum(u * u, 1.0)
        return (1.0 - v) * (1.0 - 5.0 * v)
