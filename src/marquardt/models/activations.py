"""Activation functions φ of a layer, with first and second derivatives.

Arrays are feature-major, (units, n_samples).  `slope` and `curvature` get both the argument z and the
value a = φ(z): each function takes whichever is cheaper, and most need only a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, ndtr

from marquardt._types import FloatArray


class Activation(Protocol):
    """The contract of an elementwise activation."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        """φ(z), written to `out`."""
        ...

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        """φ'(z)."""
        ...

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        """φ''(z)."""
        ...


@dataclass(frozen=True)
class Identity:
    """φ(z) = z."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        np.copyto(out, z)
        return out

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del a
        return np.ones_like(z)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del a, slope
        return np.zeros_like(z)


@dataclass(frozen=True)
class TanhActivation:
    """φ(z) = tanh z;  φ' = 1 − a²;  φ'' = −2aφ'."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        return np.tanh(z, out=out)

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del z
        slope = np.multiply(a, a)
        return np.subtract(1.0, slope, out=slope)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del z
        curvature = np.multiply(a, slope)
        curvature *= -2.0
        return curvature


@dataclass(frozen=True)
class LogisticActivation:
    """φ(z) = 1 / (1 + e⁻ᶻ);  φ' = a(1 − a);  φ'' = φ'(1 − 2a)."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        return expit(z, out=out)

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del z
        return a * (1.0 - a)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del z
        return slope * (1.0 - 2.0 * a)


@dataclass(frozen=True)
class ReluActivation:
    """φ(z) = max(z, 0); the slope at 0 is 0."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        return np.maximum(z, 0.0, out=out)

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del a
        return (z > 0).astype(float)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del a, slope
        return np.zeros_like(z)


@dataclass(frozen=True)
class EluActivation:
    """φ(z) = z for z > 0, else eᶻ − 1;  φ' = 1 or a + 1 (Clevert et al. 2016, α = 1)."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        positive = z > 0
        np.expm1(np.minimum(z, 0.0), out=out)
        np.copyto(out, z, where=positive)
        return out

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        return np.where(z > 0, 1.0, a + 1.0)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del a
        return np.where(z > 0, 0.0, slope)


@dataclass(frozen=True)
class SoftplusActivation:
    """φ(z) = log(1 + eᶻ);  φ' = logistic(z)."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        return np.logaddexp(0.0, z, out=out)

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del a
        return expit(z)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del z, a
        return slope * (1.0 - slope)


@dataclass(frozen=True)
class SineActivation:
    """φ(z) = sin z (Sitzmann et al. 2020)."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        return np.sin(z, out=out)

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del a
        return np.cos(z)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del z, slope
        return -a


_INVERSE_ROOT_2PI = 1.0 / np.sqrt(2.0 * np.pi)


@dataclass(frozen=True)
class GeluActivation:
    """φ(z) = zΦ(z), Φ the normal distribution function;  φ' = Φ + zN;  φ'' = N(2 − z²)."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        np.multiply(z, ndtr(z), out=out)
        return out

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        del a
        return ndtr(z) + z * _normal_density(z)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del a, slope
        return _normal_density(z) * (2.0 - z * z)


def _normal_density(z: FloatArray) -> FloatArray:
    return _INVERSE_ROOT_2PI * np.exp(-0.5 * z * z)


@dataclass(frozen=True)
class SwishActivation:
    """φ(z) = zσ(z), σ the logistic function;  φ' = σ + a(1 − σ);  φ'' = σ(1 − σ)(2 + z(1 − 2σ))."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        np.multiply(z, expit(z), out=out)
        return out

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        sigma = expit(z)
        return sigma + a * (1.0 - sigma)

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        del a, slope
        sigma = expit(z)
        return sigma * (1.0 - sigma) * (2.0 + z * (1.0 - 2.0 * sigma))


@dataclass(frozen=True)
class SoftmaxActivation:
    """a_k = e^{z_k} / Σ_j e^{z_j} over the units of a sample: not elementwise, so an output layer only."""

    def value(self, z: FloatArray, out: FloatArray) -> FloatArray:
        np.subtract(z, z.max(axis=0), out=out)
        np.exp(out, out=out)
        out /= out.sum(axis=0)
        return out

    def slope(self, z: FloatArray, a: FloatArray) -> FloatArray:
        raise TypeError("Softmax mixes the units of a layer: it can only be the last layer of a network")

    def curvature(self, z: FloatArray, a: FloatArray, slope: FloatArray) -> FloatArray:
        raise TypeError("Softmax mixes the units of a layer: it can only be the last layer of a network")
