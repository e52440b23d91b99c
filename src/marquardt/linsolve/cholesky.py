"""Primal: Cholesky factor of the normal equations, p × p.  The fastest way when rows are many."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from marquardt._lapack import dpotrf, dpotrs
from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.system import Buffers, SingularSystemError, group_sums, right_hand_side
from marquardt.linsolve.triangle import inverse_column_sqnorms


@dataclass(frozen=True)
class Cholesky:
    """A = JᵀJ + S₀ + λD by a BLAS product and a LAPACK Cholesky factor.

    Two p × p matrices: the Gram matrix, kept for retries with other λ, and the factor.
    Loses half of the digits of J, which the outer iteration wins back except at the very last ones.
    """

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> CholeskySystem:
        p = jacobian.shape[1]
        old = () if recycle is None else recycle.of(Cholesky, p)
        gram = jacobian.gram(old[0] if old else None)
        if prior is not None:
            gram.ravel()[:: p + 1] += prior
        return CholeskySystem(jacobian, gram, scale, old[1] if old else np.empty_like(gram))


@dataclass(frozen=True)
class CholeskySystem:
    """JᵀJ + S₀ (upper triangle), waiting for λ."""

    jacobian: Jacobian
    gram: FloatArray
    scale: FloatArray | None
    buffer: FloatArray = field(repr=False)

    def factorize(self, damping: float) -> CholeskyFactor:
        np.copyto(self.buffer, self.gram)
        diagonal = self.buffer.ravel()[:: len(self.buffer) + 1]
        diagonal += damping if self.scale is None else damping * self.scale
        # The row-major upper triangle is the column-major lower one: LAPACK works in place.
        factor, info = dpotrf(self.buffer.T, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise SingularSystemError(f"leading minor {info} is not positive definite")
        return CholeskyFactor(self.jacobian, factor)

    def release(self) -> Buffers:
        return Buffers(Cholesky, (self.gram, self.buffer))


@dataclass(frozen=True)
class CholeskyFactor:
    """L with A = LLᵀ, column-major lower triangle."""

    jacobian: Jacobian
    lower: FloatArray

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        rhs = right_hand_side(self.jacobian, residual, offset, gradient)
        solution, _ = dpotrs(self.lower, rhs, lower=1)
        return np.negative(solution, out=solution)

    def logdet(self) -> float:
        return 2.0 * float(np.log(self.lower.diagonal()).sum())

    def trace_inverse(self) -> float:
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        return inverse_column_sqnorms(self.lower)  # A⁻¹ = L⁻ᵀL⁻¹

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        shares = 1.0 - diagonal * inverse_column_sqnorms(self.lower, overwrite=True)
        return group_sums(shares, groups, n_groups)
