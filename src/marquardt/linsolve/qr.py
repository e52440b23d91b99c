"""QR of the stacked matrix [J; √S₀; √(λD)]: never squares the condition number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._lapack import dgeqrf, dormqr, dtrtri, dtrtrs
from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.system import Buffers, SingularSystemError, group_sums


@dataclass(frozen=True)
class QR:
    """d minimises ‖Jd + r‖² + ‖√S₀ d + q/√S₀‖² + ‖√(λD) d‖², by Householder reflections.

    Forms the Jacobian (n × p numbers) and takes 3 to 5 times as long as Cholesky; keeps all digits, so it
    is the choice for curves with few parameters and for the last digits of an exact fit.
    """

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> QRSystem:
        del recycle
        matrix = jacobian.dense()
        roots = None if prior is None else np.sqrt(prior)
        if roots is not None:
            matrix = np.vstack([matrix, np.diag(roots)])
        first = _Reflections.of(matrix)
        p = matrix.shape[1]
        return QRSystem(first, roots, np.ones(p) if scale is None else np.sqrt(scale), jacobian.shape[0])


@dataclass(frozen=True)
class QRSystem:
    """R₀ of [J; √S₀], waiting for √(λD) below it."""

    first: _Reflections
    prior_roots: FloatArray | None
    scale_roots: FloatArray
    n_residuals: int

    def factorize(self, damping: float) -> QRFactor:
        upper = self.first.upper()
        stacked = np.vstack([upper, np.diag(np.sqrt(damping) * self.scale_roots)])
        second = _Reflections.of(stacked)
        diagonal = np.abs(second.packed.diagonal())
        if not np.isfinite(diagonal).all() or diagonal.min() == 0:
            raise SingularSystemError("the stacked matrix is rank deficient")
        return QRFactor(self, second)

    def release(self) -> None:
        """Nothing: LAPACK's copies are made anew."""


@dataclass(frozen=True)
class QRFactor:
    """The reflections of [R₀; √(λD)]; its R satisfies A = RᵀR."""

    system: QRSystem
    second: _Reflections

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        del gradient  # its digits are half gone
        p = self.second.packed.shape[1]
        rhs = residual
        if self.system.prior_roots is not None:
            roots = self.system.prior_roots
            lower = np.zeros(p)
            if offset is not None:
                np.divide(offset, roots, out=lower, where=roots > 0)
            rhs = np.concatenate([residual, lower])
        top = self.system.first.apply_transposed(rhs)[: min(len(rhs), p)]
        turned = self.second.apply_transposed(np.concatenate([top, np.zeros(p)]))[:p]
        solution, info = dtrtrs(self.second.packed[:p], turned)
        if info != 0:
            raise SingularSystemError("the stacked matrix is rank deficient")
        return -solution

    def logdet(self) -> float:
        return 2.0 * float(np.log(np.abs(self.second.packed.diagonal())).sum())

    def trace_inverse(self) -> float:
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        p = self.second.packed.shape[1]
        inverse, _ = dtrtri(self.second.packed[:p])
        return np.square(np.triu(inverse)).sum(axis=1)

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return group_sums(1.0 - diagonal * self.inverse_diagonal(), groups, n_groups)


@dataclass(frozen=True)
class _Reflections:
    """A Householder QR as LAPACK packs it."""

    packed: FloatArray
    tau: FloatArray

    @classmethod
    def of(cls, matrix: FloatArray) -> _Reflections:
        if not np.isfinite(matrix).all():
            raise SingularSystemError("the Jacobian holds NaN or infinite values")
        packed, tau, _, _ = dgeqrf(matrix)
        return cls(packed, tau)

    def upper(self) -> FloatArray:
        return np.triu(self.packed[: min(self.packed.shape)])

    def apply_transposed(self, vector: FloatArray) -> FloatArray:
        """Qᵀ vector."""
        k = len(self.tau)
        product, _, info = dormqr("L", "T", self.packed[:, :k], self.tau, vector[:, None], max(64, k))
        if info != 0:
            raise SingularSystemError(f"LAPACK dormqr: argument {-info} is wrong")
        return product[:, 0]
