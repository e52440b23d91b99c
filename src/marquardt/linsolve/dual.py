r"""Dual: the n × n system in residual space.  The way when parameters outnumber rows.

With S = S₀ + λD and the push-through identity,

    d = −S⁻¹Jᵀ (I + JS⁻¹Jᵀ)⁻¹ (r − JS⁻¹q) − S⁻¹q,        q = S₀w.

Written with r itself and not the gradient it loses no digits when λ is tiny.  A network gives JS⁻¹Jᵀ
without its Jacobian (`KhatriRaoJacobian.cogram`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from marquardt._lapack import dlauum, dpotrf, dpotri, dpotrs, dtrsm
from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.system import Buffers, SingularSystemError
from marquardt.linsolve.triangle import inverse_column_sqnorms, inverse_triangle


@dataclass(frozen=True)
class Dual:
    """Cholesky factor of the n × n kernel.  Without a prior, or one that is the same for all parameters as
    the metric is, one kernel serves every λ."""

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> DualSystem:
        n, p = jacobian.shape
        weights = None if scale is None else 1.0 / scale
        common = 0.0  # S₀ in units of D, where it is a multiple of D
        if prior is not None and scale is None and (prior == prior[0]).all():
            prior, common = None, float(prior[0])
        elif prior is not None and not prior.any():
            prior = None
        old = () if recycle is None else recycle.of(Dual, n)
        kernel, buffer = old or (np.empty((n, n)), np.empty((n, n)))
        if prior is None:
            jacobian.cogram(weights, kernel)
        ones = np.broadcast_to(1.0, p)  # of no size in memory
        return DualSystem(jacobian, prior, ones if scale is None else scale, kernel, buffer, common)


@dataclass(frozen=True)
class DualSystem:
    """J D⁻¹ Jᵀ when S₀ is a multiple of D, as zero is; else the kernel depends on λ and is made for each."""

    jacobian: Jacobian
    prior: FloatArray | None
    scale: FloatArray
    kernel: FloatArray = field(repr=False)
    buffer: FloatArray = field(repr=False)
    common: float = 0.0
    """S₀ in units of D, when `prior` is None."""

    def factorize(self, damping: float) -> DualFactor:
        # With S = μD, μ is kept out of the kernel: (JD⁻¹Jᵀ + μI) = μ (I + JS⁻¹Jᵀ).
        if self.prior is None:
            np.copyto(self.buffer, self.kernel)
            shift, diagonal = damping + self.common, self.scale
        else:
            shift, diagonal = 1.0, self.prior + damping * self.scale
            self.jacobian.cogram(1.0 / diagonal, self.buffer)
        self.buffer.ravel()[:: len(self.buffer) + 1] += shift
        lower, info = dpotrf(self.buffer.T, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise SingularSystemError(f"leading minor {info} of the kernel is not positive definite")
        return DualFactor(self.jacobian, lower, diagonal, shift)

    def release(self) -> Buffers:
        return Buffers(Dual, (self.kernel, self.buffer))


@dataclass(frozen=True)
class DualFactor:
    """L with LLᵀ = J E⁻¹ Jᵀ + μI, where S = μE: E = D where S₀ is a multiple of D, else μ = 1, E = S."""

    jacobian: Jacobian
    lower: FloatArray
    diagonal: FloatArray
    """E."""
    shift: float
    """μ."""

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        del gradient  # its digits are half gone
        if offset is None or not offset.any():
            multipliers, _ = dpotrs(self.lower, residual, lower=1)
            return self._scaled(self.jacobian.rmv(multipliers))
        prior_step = offset / (self.shift * self.diagonal)  # S⁻¹q
        multipliers, _ = dpotrs(self.lower, residual - self.jacobian.mv(prior_step), lower=1)
        step = self._scaled(self.jacobian.rmv(multipliers))
        step -= prior_step
        return step

    def _scaled(self, vector: FloatArray) -> FloatArray:
        """−E⁻¹ vector, in place."""
        vector /= self.diagonal
        return np.negative(vector, out=vector)

    def logdet(self) -> float:
        n, p = self.jacobian.shape
        kernel = 2.0 * float(np.log(self.lower.diagonal()).sum())
        # det A = det S · det(I + JS⁻¹Jᵀ) = μᵖ det E · μ⁻ⁿ det(LLᵀ)
        return kernel + float(np.log(self.diagonal).sum()) + (p - n) * float(np.log(self.shift))

    def trace_inverse(self) -> float:
        n, p = self.jacobian.shape
        if self.diagonal.min() == self.diagonal.max():  # E = eI: tr A⁻¹ = ((p − n)/μ + tr (LLᵀ)⁻¹) / e
            inverse, _ = dpotri(self.lower, lower=1)
            return float((p - n) / self.shift + inverse.diagonal().sum()) / float(self.diagonal[0])
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        """diag A⁻¹, (p,).  Forms J, since no column of L⁻¹J is cheaper.

        A parameter that the data determine and the prior does not, S ≪ ‖J_j‖², loses the digits of that
        ratio; a bound from below, 1/A_jj, keeps what is left positive.  `determined` loses none.
        """
        # A⁻¹ = (E⁻¹ − E⁻¹Jᵀ (LLᵀ)⁻¹ J E⁻¹) / μ
        half = dtrsm(1.0, self.lower, self.jacobian.dense(), lower=1)
        explained = np.einsum("ij,ij->j", half, half) / self.diagonal
        added = self.diagonal * self.shift
        return np.maximum((1.0 - explained) / added, 1.0 / (self.jacobian.column_sqnorms() + added))

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        if n_groups == 1:  # tr A⁻¹JᵀJ = tr (LLᵀ)⁻¹(LLᵀ − μI)
            trace = float(inverse_column_sqnorms(self.lower, overwrite=True).sum())
            return np.array([len(self.lower) - self.shift * trace])
        # A⁻¹JᵀJ = S⁻¹Jᵀ (I + JS⁻¹Jᵀ)⁻¹ J = E⁻¹Jᵀ (LLᵀ)⁻¹ J
        inverse, _ = dlauum(inverse_triangle(self.lower, overwrite=True), lower=1, overwrite_c=1)  # L⁻ᵀL⁻¹
        forms = self.jacobian.column_forms(inverse.T, groups, n_groups)
        each = np.empty(n_groups)  # E of each group
        each[groups] = diagonal / self.shift
        return forms / each
