r"""The logarithm of a variance, from squares whose expectation it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from marquardt._types import FloatArray
from marquardt.losses.latest import Latest
from marquardt.losses.loss import Loss
from marquardt.losses.weighting import times, weighted_sum
from marquardt.models.activations import Activation, Identity

_LARGEST_EXPONENT = 300.0


@dataclass(frozen=True)
class LogVariance:
    """½ Σ s_n (u_n − 1 − log u_n) with u = q e^{−z}: Gaussian deviations of squares q and of variance e^z.

    It is the negative log-likelihood of the deviations in z, less its value at z = log q, so that it is never
    negative.  The curvature in z is ½u, and ½ in expectation; with the latter (Fisher's scoring) the seed is
    √½ for every row, and S r = ½(1 − u) has the solution r = √½ (1 − u).

    Parameters
    ----------
    targets : ndarray (K, N)
        q, positive.
    root_weights : ndarray (N,) or (K, N), or None

    Examples
    --------
    >>> loss = LogVariance(np.array([[2.0, 4.0]]))
    >>> loss.cost(np.log([[2.0, 4.0]])), loss.residual(np.zeros((1, 2))).round(3)
    (0.0, array([[-0.707, -2.121]]))
    """

    targets: FloatArray
    root_weights: FloatArray | None = None
    linear = False

    def __post_init__(self) -> None:
        counted = True if self.root_weights is None else self.root_weights > 0
        if not ((self.targets > 0) | ~np.asarray(counted)).all():
            raise ValueError("the squares of which the variance is the expectation must be positive")

    @cached_property
    def _logs(self) -> FloatArray:
        return np.log(np.where(self.targets > 0, self.targets, 1.0))  # any, where the weight is 0

    @cached_property
    def _excess(self) -> Latest[FloatArray]:
        """z -> log u (K, N)."""
        return Latest(lambda z: self._logs - z)

    def cost(self, z: FloatArray) -> float:
        excess = self._excess(z)
        # u − 1 loses no digits near 0, where the cost is ¼ (log u)²
        return weighted_sum(0.5 * (np.expm1(excess) - excess), self.root_weights)

    def residual(self, z: FloatArray) -> FloatArray:
        excess = np.minimum(self._excess(z), _LARGEST_EXPONENT)
        return times(-np.sqrt(0.5) * np.expm1(excess), self.root_weights)

    def seed(self, z: FloatArray) -> FloatArray:
        return times(np.full_like(z, np.sqrt(0.5)), self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        del z, z1
        return times(np.sqrt(0.5) * z2, self.root_weights)


def log_variance(activation: Activation, targets: FloatArray, root_weights: FloatArray | None) -> Loss:
    """The loss for a linear output layer; ValueError for any other."""
    if not isinstance(activation, Identity):
        raise ValueError(f"a log-variance needs a Linear output layer, not {type(activation).__name__}")
    return LogVariance(targets, root_weights)
