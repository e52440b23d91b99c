r"""Losses: from the output argument Z (K, N) to residuals, their derivatives and the cost.

A loss holds its data (targets and row weights, feature-major).  The driver minimises `cost`; the linear
algebra sees residuals r and their derivative with respect to Z, the *seed* of back-propagation.  For a loss
that is not a sum of squares the seed is the square root Sᵀ of the loss Hessian H = SSᵀ and the residual
solves S r = ∂L/∂Z, so that Jᵀr is the gradient and JᵀJ the generalised Gauss-Newton matrix.

Shapes of a seed: (1, N) one value for all outputs of a sample; (K, N) diagonal; (K, K, N) full, residual
first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import expit

from marquardt._types import FloatArray
from marquardt.models.activations import Activation, Identity, LogisticActivation, SoftmaxActivation


class Loss(Protocol):
    """The contract of a loss over all samples."""

    @property
    def root_weights(self) -> FloatArray | None:
        """√s (N,), None for 1."""
        ...

    def cost(self, z: FloatArray) -> float:
        """C at the output argument z (K, N)."""
        ...

    def residual(self, z: FloatArray) -> FloatArray:
        """r (K, N)."""
        ...

    def seed(self, z: FloatArray) -> FloatArray:
        """∂r/∂z; see the module for its shapes."""
        ...

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        """Second derivative of r (K, N) along a path with derivatives z1 and z2."""
        ...

    @property
    def linear(self) -> bool:
        """Whether r is affine in z, so that the output layer is a linear least-squares problem."""
        ...


@dataclass(frozen=True)
class SquaredError:
    """½ Σ s_n |φ(z_n) − y_n|² with an elementwise output activation φ and row weights s.

    Parameters
    ----------
    activation : Activation
        φ of the output layer.
    targets : ndarray (K, N)
    root_weights : ndarray (N,) or None
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
        return np.ones(self.targets.shape[1]) if self.root_weights is None else self.root_weights

    def residual(self, z: FloatArray) -> FloatArray:
        if self.linear:
            r = z - self.targets
        else:
            r = self.activation.value(z, np.empty_like(z))
            r -= self.targets
        return _times(r, self.root_weights)

    def cost(self, z: FloatArray) -> float:
        return _half_square(self.residual(z))

    def seed(self, z: FloatArray) -> FloatArray:
        if self.linear:
            return self._roots[None, :]
        return self.activation.slope(z, self.activation.value(z, np.empty_like(z))) * self._roots

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        if self.linear:
            return z2 if self.root_weights is None else z2 * self.root_weights  # z2 is the caller's
        a = self.activation.value(z, np.empty_like(z))
        slope = self.activation.slope(z, a)
        r2 = self.activation.curvature(z, a, slope) * z1 * z1 + slope * z2
        return _times(r2, self.root_weights)


@dataclass(frozen=True)
class SoftmaxSquaredError:
    """½ Σ s_n |softmax(z_n) − y_n|², with the full derivative ∂a_k/∂z_j = a_k(δ_kj − a_j)."""

    targets: FloatArray
    root_weights: FloatArray | None = None

    @property
    def linear(self) -> bool:
        return False

    def _shares(self, z: FloatArray) -> FloatArray:
        return SoftmaxActivation().value(z, np.empty_like(z))

    def residual(self, z: FloatArray) -> FloatArray:
        r = self._shares(z)
        r -= self.targets
        return _times(r, self.root_weights)

    def cost(self, z: FloatArray) -> float:
        return _half_square(self.residual(z))

    def seed(self, z: FloatArray) -> FloatArray:
        a = self._shares(z)
        seed = -a[:, None, :] * a[None, :, :]
        outputs = np.arange(len(a))
        seed[outputs, outputs] += a
        return _times(seed, self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        # Along the path, log a_k = z_k − log Σ e^{z_j}, hence with m = Σ a_j z1_j and c_k = z1_k − m:
        # a' = a c,  a'' = a (c² + z2 − Σ a_j z2_j − Σ a_j c_j z1_j).
        a = self._shares(z)
        centered = z1 - (a * z1).sum(axis=0)
        shift = (a * z2).sum(axis=0) + (a * centered * z1).sum(axis=0)
        r2 = a * (centered * centered + z2 - shift)
        return _times(r2, self.root_weights)


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

    @property
    def linear(self) -> bool:
        return False

    def _shares(self, z: FloatArray) -> FloatArray:
        p = SoftmaxActivation().value(z, np.empty_like(z))
        return np.maximum(p, _SMALLEST_SHARE, out=p)

    def cost(self, z: FloatArray) -> float:
        shifted = z - z.max(axis=0)
        log_shares = shifted - np.log(np.exp(shifted).sum(axis=0))
        entropies = -(self.targets * log_shares).sum(axis=0)
        return float(entropies.sum() if self.root_weights is None else self.root_weights**2 @ entropies)

    def residual(self, z: FloatArray) -> FloatArray:
        p = self._shares(z)
        return _times((p - self.targets) / np.sqrt(p), self.root_weights)

    def seed(self, z: FloatArray) -> FloatArray:
        p = self._shares(z)
        roots = np.sqrt(p)
        seed = -roots[:, None, :] * p[None, :, :]
        outputs = np.arange(len(p))
        seed[outputs, outputs] += roots
        return _times(seed, self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        del z1  # SᵀZ'': the third derivative of the loss gives nothing on the two spirals
        p = self._shares(z)
        return _times(np.sqrt(p) * (z2 - (p * z2).sum(axis=0)), self.root_weights)


@dataclass(frozen=True)
class LogisticCrossEntropy:
    """−Σ s_n Σ_k y_k log p_k + (1 − y_k) log(1 − p_k) with p = logistic(z), each output on its own.

    H = p(1 − p), so that the seed is √H and r = (p − y)/√H.
    """

    targets: FloatArray
    root_weights: FloatArray | None = None

    @property
    def linear(self) -> bool:
        return False

    def cost(self, z: FloatArray) -> float:
        entropies = (np.logaddexp(0.0, z) - self.targets * z).sum(axis=0)
        return float(entropies.sum() if self.root_weights is None else self.root_weights**2 @ entropies)

    def _root_curvature(self, z: FloatArray) -> FloatArray:
        return np.sqrt(np.maximum(expit(z) * expit(-z), _SMALLEST_SHARE))

    def residual(self, z: FloatArray) -> FloatArray:
        return _times((expit(z) - self.targets) / self._root_curvature(z), self.root_weights)

    def seed(self, z: FloatArray) -> FloatArray:
        return _times(self._root_curvature(z), self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        del z1
        return _times(self._root_curvature(z) * z2, self.root_weights)


def _times(values: FloatArray, root_weights: FloatArray | None) -> FloatArray:
    """`values`, in place, times the root of each sample's weight."""
    return values if root_weights is None else np.multiply(values, root_weights, out=values)


def _half_square(residual: FloatArray) -> float:
    r = residual.ravel()
    return 0.5 * float(r @ r)


LossOf = Callable[[Activation, FloatArray, "FloatArray | None"], Loss]
"""Makes a loss from the output activation, the targets (K, N) and the row weights √s (N,)."""


def cross_entropy(activation: Activation, targets: FloatArray, root_weights: FloatArray | None) -> Loss:
    """The cross-entropy for a softmax or logistic output; ValueError for any other."""
    if isinstance(activation, SoftmaxActivation):
        return SoftmaxCrossEntropy(targets, root_weights)
    if isinstance(activation, LogisticActivation):
        return LogisticCrossEntropy(targets, root_weights)
    raise ValueError(
        f"cross-entropy needs a Softmax or Logistic output layer, not {type(activation).__name__}"
    )


def squared_error(activation: Activation, targets: FloatArray, root_weights: FloatArray | None) -> Loss:
    """The squared error for an output activation, elementwise or softmax."""
    if isinstance(activation, SoftmaxActivation):
        return SoftmaxSquaredError(targets, root_weights)
    return SquaredError(activation, targets, root_weights)
