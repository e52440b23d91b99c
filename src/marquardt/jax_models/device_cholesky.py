"""The primal solver on the device of the model: no matrix comes to the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.jax_models.double_precision import double_precision
from marquardt.jax_models.streamed_jacobian import StreamedJacobian
from marquardt.linsolve.system import Buffers, SingularSystemError, group_sums, right_hand_side
from marquardt.stacked_jacobian import StackedJacobian


@dataclass(frozen=True)
class DeviceCholesky:
    """A = JᵀJ + S₀ + λD and its Cholesky factor by JAX, where the model runs.

    `fit` takes it when JAX runs on an accelerator.  On a CPU it gives the same step, more slowly.
    """

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> DeviceSystem:
        del recycle
        with double_precision():
            if isinstance(jacobian, StreamedJacobian | StackedJacobian) and _is_on_device(jacobian):
                gram = jacobian.gram_on_device()
            else:
                upper = np.triu(jacobian.gram())
                gram = jnp.asarray(upper + np.triu(upper, 1).T)
            if prior is not None:
                gram = gram + jnp.diag(jnp.asarray(prior))
        return DeviceSystem(jacobian, gram, scale)


@dataclass(frozen=True)
class DeviceSystem:
    """JᵀJ + S₀ on the device, waiting for λ."""

    jacobian: Jacobian
    gram: jax.Array = field(repr=False)
    scale: FloatArray | None

    def factorize(self, damping: float) -> DeviceFactor:
        with double_precision():
            shift = np.full(len(self.gram), damping) if self.scale is None else damping * self.scale
            lower = _factor(self.gram, shift)
            if not bool(jnp.isfinite(lower[-1, -1])):
                raise SingularSystemError("the damped matrix is not positive definite")
        return DeviceFactor(self.jacobian, lower)

    def release(self) -> None:
        """Nothing: JAX's arrays are made anew."""


@dataclass(frozen=True)
class DeviceFactor:
    """L with A = LLᵀ, on the device."""

    jacobian: Jacobian
    lower: jax.Array = field(repr=False)

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        rhs = right_hand_side(self.jacobian, residual, offset, gradient)
        with double_precision():
            return -np.asarray(_solve(self.lower, rhs))

    def logdet(self) -> float:
        with double_precision():
            return 2.0 * float(jnp.log(jnp.diagonal(self.lower)).sum())

    def trace_inverse(self) -> float:
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        with double_precision():
            inverse = solve_triangular(self.lower, jnp.eye(len(self.lower)), lower=True)
            return np.asarray((inverse * inverse).sum(axis=0))

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return group_sums(1.0 - diagonal * self.inverse_diagonal(), groups, n_groups)


def _is_on_device(jacobian: StreamedJacobian | StackedJacobian) -> bool:
    """Whether its rows are made on the device, those of all its parts."""
    parts = jacobian.parts if isinstance(jacobian, StackedJacobian) else [jacobian]
    return all(isinstance(part, StreamedJacobian) for part in parts)


@jax.jit
def _factor(gram: jax.Array, shift: jax.Array) -> jax.Array:
    return jnp.linalg.cholesky(gram + jnp.diag(shift), symmetrize_input=False)


@jax.jit
def _solve(lower: jax.Array, rhs: jax.Array) -> jax.Array:
    return cho_solve((lower, True), rhs)
