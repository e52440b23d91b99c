"""Eigenvalues of the scaled normal matrix: one decomposition, then any number of dampings at O(p²)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, eigh

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.system import Buffers, SingularSystemError, group_sums, right_hand_side


@dataclass(frozen=True)
class Eigen:
    """D^−½ (JᵀJ + S₀) D^−½ = V diag(e) Vᵀ.  Costs 10 to 20 Cholesky factors; use it with `RatioProbing`."""

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> EigenSystem:
        del recycle
        gram = np.triu(jacobian.gram())  # below the diagonal may stand anything, NaN included
        p = len(gram)
        if prior is not None:
            gram.ravel()[:: p + 1] += prior
        roots = np.ones(p) if scale is None else np.sqrt(scale)
        gram /= roots[:, None]
        gram /= roots
        try:
            values, vectors = eigh(gram.T, lower=True, overwrite_a=True)
        except (LinAlgError, ValueError) as error:  # ValueError: NaN or infinite entries
            raise SingularSystemError(str(error)) from error
        return EigenSystem(jacobian, np.maximum(values, 0.0), vectors, roots)


@dataclass(frozen=True)
class EigenSystem:
    """Eigenvalues (p,) and vectors (p, p), and √D."""

    jacobian: Jacobian
    values: FloatArray
    vectors: FloatArray
    roots: FloatArray

    def factorize(self, damping: float) -> EigenFactor:
        shifted = self.values + damping
        if not shifted.min() > 0:
            raise SingularSystemError(f"smallest eigenvalue {shifted.min():.3g} is not positive")
        return EigenFactor(self, shifted)

    def release(self) -> None:
        """Nothing: the eigenvectors are made anew."""


@dataclass(frozen=True)
class EigenFactor:
    """A = √D V diag(e + λ) Vᵀ √D."""

    system: EigenSystem
    shifted: FloatArray

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        rhs = right_hand_side(self.system.jacobian, residual, offset, gradient)
        turned = self.system.vectors.T @ (rhs / self.system.roots)
        turned /= -self.shifted
        return (self.system.vectors @ turned) / self.system.roots

    def logdet(self) -> float:
        return float(np.log(self.shifted).sum()) + 2.0 * float(np.log(self.system.roots).sum())

    def trace_inverse(self) -> float:
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        return (np.square(self.system.vectors) @ (1.0 / self.shifted)) / np.square(self.system.roots)

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return group_sums(1.0 - diagonal * self.inverse_diagonal(), groups, n_groups)
