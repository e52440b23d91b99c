r"""Dual: the n × n system in residual space.  The way when parameters outnumber rows.

With S = S₀ + λD and the push-through identity,

    d = −S⁻¹Jᵀ (I + JS⁻¹Jᵀ)⁻¹ (r − JS⁻¹q) − S⁻¹q,        q = S₀w.

Written with r itself and not the gradient it loses no digits when λ is tiny.  A network gives JS⁻¹Jᵀ
without its Jacobian (`KhatriRaoJacobian.cogram`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from marquardt._lapack import dpotrf, dpotri, dpotrs, dtrsm
from marquardt._types import FloatArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.system import DampedSystem, SingularSystemError


@dataclass(frozen=True)
class Dual:
    """Cholesky factor of the n × n kernel.  Without a prior one kernel serves every λ."""

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: DampedSystem | None = None,
    ) -> DualSystem:
        n, p = jacobian.shape
        weights = None if scale is None else 1.0 / scale
        if prior is not None and not prior.any():
            prior = None
        fits = isinstance(recycle, DualSystem) and recycle.kernel.shape == (n, n)
        old = recycle if fits and isinstance(recycle, DualSystem) else None
        kernel = np.empty((n, n)) if old is None else old.kernel
        if prior is None:
            jacobian.cogram(weights, kernel)
        buffer = np.empty((n, n)) if old is None else old.buffer
        ones = np.broadcast_to(1.0, p)  # of no size in memory
        return DualSystem(jacobian, prior, ones if scale is None else scale, kernel, buffer)


@dataclass(frozen=True)
class DualSystem:
    """J D⁻¹ Jᵀ when there is no prior; with one the kernel depends on λ and is made for each."""

    jacobian: Jacobian
    prior: FloatArray | None
    scale: FloatArray
    kernel: FloatArray = field(repr=False)
    buffer: FloatArray = field(repr=False)

    def factorize(self, damping: float) -> DualFactor:
        # Without prior S = λD, and λ is kept out of the kernel: (JD⁻¹Jᵀ + λI) = λ (I + JS⁻¹Jᵀ).
        if self.prior is None:
            np.copyto(self.buffer, self.kernel)
            shift, diagonal = damping, self.scale
        else:
            shift, diagonal = 1.0, self.prior + damping * self.scale
            self.jacobian.cogram(1.0 / diagonal, self.buffer)
        self.buffer.ravel()[:: len(self.buffer) + 1] += shift
        lower, info = dpotrf(self.buffer.T, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise SingularSystemError(f"leading minor {info} of the kernel is not positive definite")
        return DualFactor(self.jacobian, lower, diagonal, shift)


@dataclass(frozen=True)
class DualFactor:
    """L with LLᵀ = J E⁻¹ Jᵀ + μI, where S = μE: μ = λ, E = D without a prior; μ = 1, E = S with one."""

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
        # A⁻¹ = (E⁻¹ − E⁻¹Jᵀ (LLᵀ)⁻¹ J E⁻¹) / μ; forms J, since no column sum of L⁻¹J is cheaper
        half = dtrsm(1.0, self.lower, self.jacobian.dense(), lower=1)
        explained = np.einsum("ij,ij->j", half, half) / self.diagonal
        return (1.0 - explained) / (self.diagonal * self.shift)
