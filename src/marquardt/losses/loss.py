r"""The contract of a loss.

A loss holds its data (targets and weights, feature-major).  The driver minimises `cost`; the linear algebra
sees residuals r and their derivative with respect to Z, the *seed* of back-propagation.  For a loss that is
not a sum of squares the seed is a square root Sᵀ of its curvature H = SSᵀ in Z, and the residual solves
S r = ∂L/∂Z, so that Jᵀr is the gradient of the cost and JᵀJ a generalised Gauss-Newton matrix.

Shapes of a seed: (1, N) one value for all outputs of a sample; (K, N) diagonal; (K, K, N) full, residual
first.

Weights come as their roots: (N,) one a sample; (K, N) one an entry, 0 for an entry that was not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from marquardt._types import FloatArray
from marquardt.models.activations import Activation


class Loss(Protocol):
    """The contract of a loss over all samples."""

    @property
    def root_weights(self) -> FloatArray | None:
        """√s (N,) or (K, N), None for 1."""
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


LossOf = Callable[[Activation, FloatArray, "FloatArray | None"], Loss]
"""Makes a loss from the output activation, the targets (K, N) and the roots of the weights."""
