"""JᵀJ at one point, factorised under one prior after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve import Buffers, DampedSystem, Factor, LinearSolver
from marquardt.linsolve.cholesky import CholeskySystem
from marquardt.linsolve.dual import DualSystem
from marquardt.linsolve.mixed import MixedSystem


class Curvature:
    """Factors of JᵀJ + S₀ for a sequence of S₀.

    S₀ is handed to the solver as damping times metric, since only those two may change under a prepared
    system: a single value as λ = S₀ with D = I, several as λ = 1 with D = S₀.  So the Gram matrix of the
    primal, and for a single value also the kernel of the dual and the eigenvalues, are made once.

    Parameters
    ----------
    solver : LinearSolver
    jacobian : Jacobian
    recycle : Buffers, optional
        Of a system that is done.

    Examples
    --------
    >>> from marquardt.jacobian import DenseJacobian
    >>> from marquardt.linsolve import Cholesky
    >>> curvature = Curvature(Cholesky(), DenseJacobian(np.array([[2.0, 0.0], [0.0, 1.0]])))
    >>> curvature.factor(np.array([1.0, 4.0])).inverse_diagonal()
    array([0.2, 0.2])
    """

    def __init__(self, solver: LinearSolver, jacobian: Jacobian, recycle: Buffers | None = None) -> None:
        self.solver, self.jacobian = solver, jacobian
        self.system: DampedSystem | None = None
        self._recycle = recycle
        self._mixed: MixedSystem | None = None
        self._scaled = False  # whether the system was prepared for a metric

    def factor(self, prior: FloatArray) -> Factor:
        """Of JᵀJ + S₀, valid until the next call; `prior` (p,), positive.  Raises SingularSystemError."""
        single = bool((prior == prior[0]).all())
        scale = None if single else prior
        if isinstance(self.system, CholeskySystem):
            self.system = replace(self.system, scale=scale)
        elif not (self.system is not None and single and not self._scaled):
            if isinstance(self.system, DualSystem) and not single:
                self.jacobian = without_products(self.jacobian)  # its kernel is overwritten now
            self.system = self.solver.prepare(self.jacobian, None, scale, self.buffers)
            self._mixed = self.system if isinstance(self.system, MixedSystem) else None
            if self._mixed is not None:
                self.system = self._mixed.in_double()  # for determinants and traces
        self._scaled = not single
        return self.system.factorize(float(prior[0]) if single else 1.0)

    @property
    def buffers(self) -> Buffers | None:
        """What the next system may take over; this one must not be asked again then."""
        if self._mixed is not None:  # its JᵀJ is there in float64: the next step shall take that
            return replace(self._mixed.release(), trace=np.inf)
        return self._recycle if self.system is None else self.system.release()

    def known(self) -> Jacobian:
        """The Jacobian, with its Gram matrix or kernel where that is at hand, so that the next step need not
        make it.

        The step may take `buffers`, Gram matrix included.
        """
        system, inner = self.system, without_products(self.jacobian)
        if isinstance(system, CholeskySystem):
            return KnownProduct(inner, gram_matrix=system.gram, gram_diagonal=system.gram.diagonal().copy())
        if isinstance(system, DualSystem) and not self._scaled:
            return KnownProduct(inner, kernel=system.kernel)
        return inner


@dataclass(frozen=True)
class KnownProduct:
    """A Jacobian of which a product with itself is known, in a buffer of the solver's.

    Parameters
    ----------
    inner : Jacobian
    gram_matrix : array (p, p), optional
        JᵀJ, upper triangle ...
    gram_diagonal : array (p,), optional
        ... its diagonal kept apart, because the solvers add their prior to the one in place.
    kernel : array (n, n), optional
        JJᵀ, upper triangle.
    """

    inner: Jacobian
    gram_matrix: FloatArray | None = None
    gram_diagonal: FloatArray | None = None
    kernel: FloatArray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        if self.gram_matrix is None or self.gram_diagonal is None:
            return self.inner.gram(out)
        out = _placed(self.gram_matrix, out)
        out.ravel()[:: len(out) + 1] = self.gram_diagonal
        return out

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        if self.kernel is None or weights is not None:
            return self.inner.cogram(weights, out)
        return _placed(self.kernel, out)

    def mv(self, v: FloatArray) -> FloatArray:
        return self.inner.mv(v)

    def rmv(self, u: FloatArray) -> FloatArray:
        return self.inner.rmv(u)

    def column_sqnorms(self) -> FloatArray:
        return self.inner.column_sqnorms()

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return self.inner.column_forms(matrix, groups, n_groups)

    def gram_flops(self) -> float:
        return self.inner.gram_flops()

    def cogram_flops(self) -> float:
        return self.inner.cogram_flops()

    def row_chunks(self) -> Iterator[FloatArray]:
        return self.inner.row_chunks()

    def dense(self) -> FloatArray:
        return self.inner.dense()


def without_products(jacobian: Jacobian) -> Jacobian:
    """The Jacobian alone, for when the buffers hold something else."""
    return jacobian.inner if isinstance(jacobian, KnownProduct) else jacobian


def _placed(matrix: FloatArray, out: FloatArray | None) -> FloatArray:
    """`matrix` in `out`; copied, unless it is there."""
    if out is None:
        return matrix.copy()
    if out is not matrix:
        np.copyto(out, matrix)
    return out
