"""JᵀJ at one point, factorised under one prior after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from marquardt._types import FloatArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve import DampedSystem, Factor, LinearSolver
from marquardt.linsolve.cholesky import CholeskySystem


class Curvature:
    """Factors of JᵀJ + S₀ for a sequence of S₀.

    S₀ is handed to the solver as damping times metric, since only those two may change under a prepared
    system: a single value as λ = S₀ with D = I, several as λ = 1 with D = S₀.  So the Gram matrix of the
    primal, and for a single value also the kernel of the dual and the eigenvalues, are made once.

    Parameters
    ----------
    solver : LinearSolver
    jacobian : Jacobian
    recycle : DampedSystem, optional
        A system whose buffers may be taken.

    Examples
    --------
    >>> from marquardt.jacobian import DenseJacobian
    >>> from marquardt.linsolve import Cholesky
    >>> curvature = Curvature(Cholesky(), DenseJacobian(np.array([[2.0, 0.0], [0.0, 1.0]])))
    >>> curvature.factor(np.array([1.0, 4.0])).inverse_diagonal()
    array([0.2, 0.2])
    """

    def __init__(self, solver: LinearSolver, jacobian: Jacobian, recycle: DampedSystem | None = None) -> None:
        self.solver, self.jacobian = solver, jacobian
        self.system = recycle
        self._scaled = False  # whether the system was prepared here, and for a metric
        self._prepared = False

    def factor(self, prior: FloatArray) -> Factor:
        """Of JᵀJ + S₀, valid until the next call; `prior` (p,), positive.  Raises SingularSystemError."""
        single = bool((prior == prior[0]).all())
        scale = None if single else prior
        if self._prepared and isinstance(self.system, CholeskySystem):
            self.system = replace(self.system, scale=scale)
        elif not (self._prepared and single and not self._scaled):
            self.system = self.solver.prepare(self.jacobian, None, scale, self.system)
        assert self.system is not None
        self._prepared, self._scaled = True, not single
        return self.system.factorize(float(prior[0]) if single else 1.0)

    def known(self) -> Jacobian:
        """The Jacobian, with its Gram matrix where that is at hand, so that the next step need not make it.

        The step may take the buffers of `system`, Gram matrix included.
        """
        if not isinstance(self.system, CholeskySystem) or not self._prepared:
            return self.jacobian
        inner = self.jacobian.inner if isinstance(self.jacobian, KnownGram) else self.jacobian
        gram = self.system.gram
        return KnownGram(inner, gram, gram.diagonal().copy())


@dataclass(frozen=True)
class KnownGram:
    """A Jacobian whose Gram matrix is known: upper triangle `known`, its diagonal kept apart, because the
    solvers add their prior to the one in place."""

    inner: Jacobian
    known: FloatArray
    diagonal: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        if out is None:
            out = self.known.copy()
        elif out is not self.known:
            np.copyto(out, self.known)
        out.ravel()[:: len(out) + 1] = self.diagonal
        return out

    def mv(self, v: FloatArray) -> FloatArray:
        return self.inner.mv(v)

    def rmv(self, u: FloatArray) -> FloatArray:
        return self.inner.rmv(u)

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        return self.inner.cogram(weights, out)

    def column_sqnorms(self) -> FloatArray:
        return self.inner.column_sqnorms()

    def gram_flops(self) -> float:
        return self.inner.gram_flops()

    def cogram_flops(self) -> float:
        return self.inner.cogram_flops()

    def row_chunks(self) -> Iterator[FloatArray]:
        return self.inner.row_chunks()

    def dense(self) -> FloatArray:
        return self.inner.dense()
