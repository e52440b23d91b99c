"""Cross-entropy by the generalised Gauss-Newton matrix, for softmax and logistic outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from marquardt._types import FloatArray
from marquardt.losses.latest import Latest
from marquardt.losses.loss import Loss
from marquardt.losses.squared import centered, shares
from marquardt.losses.weighting import seed_times, times, weighted_sum
from marquardt.models.activations import Activation, LogisticActivation, SoftmaxActivation

_SMALLEST_SHARE = 1e-150
"""Floor of a probability in the residual (p − y)/√p of cross-entropy; its gradient does not depend on it."""


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """−Σ s_n Σ_k y_k log p_k with p = softmax(z): the multinomial negative log-likelihood.

    The Hessian in z is H = diag(p) − ppᵀ = SSᵀ with S = diag(√p) − p√pᵀ, and S r = p − y has the solution
    r = (p − y)/√p (Schraudolph 2002; checked in the tests).  The curvature of a path is that of z alone.
    """

    targets: FloatArray
    root_weights: FloatArray | None = None
    linear = False

    def __post_init__(self) -> None:
        if self.root_weights is not None and self.root_weights.ndim == 2:
            raise ValueError(
                "the classes of a softmax share one probability: weigh whole rows, not single classes"
            )

    @cached_property
    def _shares(self) -> Latest[tuple[FloatArray, FloatArray]]:
        """z -> p and √p (K, N)."""
        return Latest(_shares_and_roots)

    def cost(self, z: FloatArray) -> float:
        shifted = z - z.max(axis=0)
        log_shares = shifted - np.log(np.exp(shifted).sum(axis=0))
        return weighted_sum(-self.targets * log_shares, self.root_weights)

    def residual(self, z: FloatArray) -> FloatArray:
        p, roots = self._shares(z)
        return times((p - self.targets) / roots, self.root_weights)

    def seed(self, z: FloatArray) -> FloatArray:
        p, roots = self._shares(z)
        return seed_times(centered(roots, p), self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        del z1  # SᵀZ'': the third derivative of the loss gives nothing on the two spirals
        p, roots = self._shares(z)
        return times(roots * (z2 - (p * z2).sum(axis=0)), self.root_weights)


def _shares_and_roots(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    p = np.maximum(shares(z), _SMALLEST_SHARE)
    return p, np.sqrt(p)


@dataclass(frozen=True)
class LogisticCrossEntropy:
    """−Σ s_n Σ_k y_k log p_k + (1 − y_k) log(1 − p_k) with p = logistic(z), each output on its own.

    H = p(1 − p), so that the seed is √H and r = (p − y)/√H.
    """

    targets: FloatArray
    root_weights: FloatArray | None = None
    linear = False

    @cached_property
    def _shares(self) -> Latest[tuple[FloatArray, FloatArray]]:
        """z -> p and √(p(1 − p)) (K, N)."""
        return Latest(_share_and_deviation)

    def cost(self, z: FloatArray) -> float:
        return weighted_sum(np.logaddexp(0.0, z) - self.targets * z, self.root_weights)

    def residual(self, z: FloatArray) -> FloatArray:
        p, deviation = self._shares(z)
        return times((p - self.targets) / deviation, self.root_weights)

    def seed(self, z: FloatArray) -> FloatArray:
        _, deviation = self._shares(z)
        return times(deviation.copy(), self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        del z1
        _, deviation = self._shares(z)
        return times(deviation * z2, self.root_weights)


def _share_and_deviation(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    p = expit(z)
    return p, np.sqrt(np.maximum(p * expit(-z), _SMALLEST_SHARE))


def cross_entropy(activation: Activation, targets: FloatArray, root_weights: FloatArray | None) -> Loss:
    """The cross-entropy for a softmax or logistic output; ValueError for any other."""
    if isinstance(activation, SoftmaxActivation):
        return SoftmaxCrossEntropy(targets, root_weights)
    if isinstance(activation, LogisticActivation):
        return LogisticCrossEntropy(targets, root_weights)
    raise ValueError(
        f"cross-entropy needs a Softmax or Logistic output layer, not {type(activation).__name__}"
    )
