"""Squared error, for elementwise output activations and for softmax."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from marquardt._types import FloatArray
from marquardt.losses.latest import Latest
from marquardt.losses.loss import Loss
from marquardt.losses.weighting import seed_times, times
from marquardt.models.activations import Activation, Identity, SoftmaxActivation


@dataclass(frozen=True)
class SquaredError:
    """½ Σ s_n |φ(z_n) − y_n|² with an elementwise output activation φ and weights s.

    Parameters
    ----------
    activation : Activation
        φ of the output layer.
    targets : ndarray (K, N)
    root_weights : ndarray (N,) or (K, N), or None
        √s; None means 1.
    """

    activation: Activation
    targets: FloatArray
    root_weights: FloatArray | None = None

    @property
    def linear(self) -> bool:
        return isinstance(self.activation, Identity)

    @cached_property
    def _roots(self) -> FloatArray:
        """√s (1, N) or (K, N)."""
        return np.atleast_2d(
            np.ones(self.targets.shape[1]) if self.root_weights is None else self.root_weights
        )

    @cached_property
    def _outputs(self) -> Latest[FloatArray]:
        return Latest(self._activated)

    def _activated(self, z: FloatArray) -> FloatArray:
        return self.activation.value(z, np.empty_like(z))

    def residual(self, z: FloatArray) -> FloatArray:
        return times((z if self.linear else self._outputs(z)) - self.targets, self.root_weights)

    def cost(self, z: FloatArray) -> float:
        return half_square(self.residual(z))

    def seed(self, z: FloatArray) -> FloatArray:
        return self._roots if self.linear else self.activation.slope(z, self._outputs(z)) * self._roots

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        if self.linear:
            return z2 if self.root_weights is None else z2 * self.root_weights  # z2 is the caller's
        a = self._outputs(z)
        slope = self.activation.slope(z, a)
        r2 = self.activation.curvature(z, a, slope) * z1 * z1 + slope * z2
        return times(r2, self.root_weights)


@dataclass(frozen=True)
class SoftmaxSquaredError:
    """½ Σ s_n |softmax(z_n) − y_n|², with the full derivative ∂a_k/∂z_j = a_k(δ_kj − a_j)."""

    targets: FloatArray
    root_weights: FloatArray | None = None
    linear = False

    @property
    def balanced(self) -> bool:
        """Whether Σ_k ∂r_k/∂z = 0: shares sum to one, and the weights of a row are the same for all."""
        return self.root_weights is None or self.root_weights.ndim == 1

    @cached_property
    def _outputs(self) -> Latest[FloatArray]:
        return Latest(shares)

    def residual(self, z: FloatArray) -> FloatArray:
        return times(self._outputs(z) - self.targets, self.root_weights)

    def cost(self, z: FloatArray) -> float:
        return half_square(self.residual(z))

    def seed(self, z: FloatArray) -> FloatArray:
        a = self._outputs(z)
        return seed_times(centered(a, a), self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        # Along the path, log a_k = z_k − log Σ e^{z_j}, hence with m = Σ a_j z1_j and c_k = z1_k − m:
        # a' = a c,  a'' = a (c² + z2 − Σ a_j z2_j − Σ a_j c_j z1_j).
        a = self._outputs(z)
        deviation = z1 - (a * z1).sum(axis=0)
        shift = (a * z2).sum(axis=0) + (a * deviation * z1).sum(axis=0)
        return times(a * (deviation * deviation + z2 - shift), self.root_weights)


def shares(z: FloatArray) -> FloatArray:
    """softmax(z) (K, N)."""
    return SoftmaxActivation().value(z, np.empty_like(z))


def centered(factors: FloatArray, p: FloatArray) -> FloatArray:
    """diag(f) − f pᵀ of every sample (K, K, N), for factors f and shares p (K, N)."""
    result = -factors[:, None, :] * p[None, :, :]
    outputs = np.arange(len(p))
    result[outputs, outputs] += factors
    return result


def half_square(residual: FloatArray) -> float:
    """½‖r‖²."""
    r = residual.ravel()
    return 0.5 * float(r @ r)


def squared_error(activation: Activation, targets: FloatArray, root_weights: FloatArray | None) -> Loss:
    """The squared error for an output activation, elementwise or softmax."""
    if isinstance(activation, SoftmaxActivation):
        return SoftmaxSquaredError(targets, root_weights)
    return SquaredError(activation, targets, root_weights)
