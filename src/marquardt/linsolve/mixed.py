r"""Mixed precision: a factor in float32, whose solutions are refined to those of float64.

Gram matrix and Cholesky factor, nearly all of a large iteration, take half the time in float32.  As the
preconditioner of conjugate gradients on the exact products Jv and Jᵀu, the factor gives the step of the
float64 system in one to five steps, as long as the damping stands above the rounding of the Gram matrix.
Below that, and wherever it does not converge, the float64 factor takes its place.

N. J. Higham, T. Mary, "Mixed precision algorithms in numerical linear algebra", Acta Numerica 31:347 (2022),
section 5 (iterative refinement, there by GMRES; A is positive definite here).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np

from marquardt._lapack import spotrf, spotrs
from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.cholesky import Cholesky, CholeskyFactor, CholeskySystem
from marquardt.linsolve.conjugate_gradients import Stop, conjugate_gradients, work_vectors
from marquardt.linsolve.system import Buffers, SingularSystemError, right_hand_side
from marquardt.single_jacobian import SingleJacobian

_LEAST = 2.0**-25
"""Least damping, as a share of the trace of JᵀJ, for which float32 is tried: a quarter of its rounding.
A compromise of 2^-24 to 2^-30 on the tasks of `benchmarks/mixed_precision.py`: lower, and more float32
matrices are made in vain; higher, and fewer are tried."""
_LARGEST = 1e30
"""Traces above this and below its inverse leave the range of float32."""


@dataclass(frozen=True)
class MixedCholesky:
    """A = JᵀJ + S₀ + λD by a float32 Cholesky factor and refinement, or by `Cholesky` where λ is too small.

    Parameters
    ----------
    tolerance : float
        Relative error of a solution in the norm of A.  From 1e-2 to 1e-6 a fit takes as many iterations; all
        but the first cost time (`benchmarks/mixed_precision.py`).
    max_iter : int
        Steps of refinement, each a product with J and one with Jᵀ, before the float64 factor is made.

    Examples
    --------
    >>> from marquardt.jacobian import DenseJacobian
    >>> J = DenseJacobian(np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 1.0]]))
    >>> factor = MixedCholesky().prepare(J, None, None).factorize(1.0)
    >>> factor.solve(np.array([1.0, 1.0])).round(5)
    array([-0.02439, -0.29268,  0.12195])
    """

    tolerance: float = 1e-3
    max_iter: int = 8

    def __post_init__(self) -> None:
        if not (0 < self.tolerance < 1 and self.max_iter >= 1):
            raise ValueError(
                f"tolerance={self.tolerance!r} must be between 0 and 1, max_iter={self.max_iter!r} at least 1"
            )

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> MixedSystem:
        return MixedSystem(self, jacobian, prior, scale, recycle)


class MixedSystem:
    """J, waiting for λ: which precision it takes is known only then."""

    def __init__(
        self,
        options: MixedCholesky,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None,
    ) -> None:
        self.options, self.jacobian, self.prior, self.scale = options, jacobian, prior, scale
        self._old = recycle
        self._trace = np.nan if recycle is None else recycle.trace
        self._least = (
            1.0 if scale is None else float(scale.min()),
            0.0 if prior is None else float(prior.min()),
        )
        self._rows: Jacobian | SingleJacobian = jacobian  # for products
        self._single: _Single | None = None
        self._double: CholeskySystem | None = None

    def factorize(self, damping: float) -> MixedFactor | CholeskyFactor:
        if self._double is None and self._trusted(damping):
            single = self._in_single()
            if self._trusted(damping):  # by the trace of this Jacobian
                diagonal = self._diagonal(damping)
                factor = single.factorize(diagonal)
                if factor is not None:
                    return MixedFactor(self, damping, diagonal, factor)
        return self.in_double().factorize(damping)

    def in_double(self) -> CholeskySystem:
        """The system of `Cholesky`."""
        if self._double is None:
            self._double = Cholesky().prepare(self.jacobian, self.prior, self.scale, self._take(Cholesky))
            self._single, self._trace = None, float(np.trace(self._double.gram))
        return self._double

    def release(self) -> Buffers:
        trace, single, double = self._trace, self._single, self._double
        if double is not None:
            return Buffers(MixedCholesky, double.release().matrices, Cholesky, trace)
        matrices = () if single is None else (single.gram, single.buffer)
        return Buffers(MixedCholesky, matrices, None, trace)

    # -- within --------------------------------------------------------------------------------

    def image(self, v: FloatArray) -> FloatArray:
        """JᵀJv in float64."""
        return self._rows.rmv(self._rows.mv(v))

    def _diagonal(self, damping: float) -> FloatArray:
        """S₀ + λD, (p,)."""
        p = self.jacobian.shape[1]
        diagonal = np.full(p, damping) if self.scale is None else damping * self.scale
        return diagonal if self.prior is None else np.add(diagonal, self.prior, out=diagonal)

    def _trusted(self, damping: float) -> bool:
        """Whether A is far enough from singular for its float32 factor; yes while nothing is known of it."""
        least, prior = self._least
        if np.isnan(self._trace) and self._single is None:
            return True
        return 1 / _LARGEST < self._trace < _LARGEST and damping * least + prior > _LEAST * self._trace

    def _in_single(self) -> _Single:
        if self._single is None:
            p = self.jacobian.shape[1]
            old = self._take(None)
            gram, buffer = _two_in_single(p) if old is None else old.matrices
            kept = getattr(self.jacobian, "in_single", lambda: None)()
            self._rows = self.jacobian if kept is None else kept
            self._single = _Single(self._rows.gram(gram), buffer)
            self._trace = float(np.trace(gram, dtype=float))
        return self._single

    def _take(self, inner: type | None) -> Buffers | None:
        """The matrices of the last system, where they are of this precision."""
        old, self._old = self._old, None
        if old is None or inner is not old.inner:
            return None
        fitting = old.of(MixedCholesky, self.jacobian.shape[1])
        return Buffers(inner or MixedCholesky, fitting) if fitting else None


def _two_in_single(side: int) -> tuple[FloatArray, FloatArray]:
    """The types of this package know of float64 only."""
    return cast("tuple[FloatArray, FloatArray]", tuple(np.empty((2, side, side), np.float32)))


@dataclass(frozen=True)
class _Single:
    """JᵀJ in float32, upper triangle, and memory for a factor."""

    gram: FloatArray
    buffer: FloatArray = field(repr=False)

    def factorize(self, diagonal: FloatArray) -> FloatArray | None:
        """L of JᵀJ + diag; None when rounding takes its positivity."""
        np.copyto(self.buffer, self.gram)
        self.buffer.ravel()[:: len(self.buffer) + 1] += diagonal.astype(np.float32)
        # The row-major upper triangle is the column-major lower one: LAPACK works in place.
        factor, info = spotrf(self.buffer.T, lower=1, clean=0, overwrite_a=1)
        return factor if info == 0 and np.isfinite(factor[-1, -1]) else None


@dataclass(frozen=True)
class MixedFactor:
    """L in float32; what is asked of it comes out as from float64."""

    system: MixedSystem
    damping: float
    diagonal: FloatArray
    """S₀ + λD (p,)."""
    lower: FloatArray

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        rhs = right_hand_side(self.system.jacobian, residual, offset, gradient)
        options = self.system.options
        # the window is never reached: conjugate gradients end by the error alone
        stop = Stop(0.0, options.max_iter + 1, options.max_iter + 1, options.tolerance**2)
        try:
            found = conjugate_gradients(self._image, self._near, rhs, stop, work_vectors(len(rhs)))
        except SingularSystemError:
            return self._double.solve(residual, offset, rhs)
        if found.n_iter > options.max_iter or found.end > options.tolerance**2 * found.start:
            return self._double.solve(residual, offset, rhs)
        return np.negative(found.solution, out=found.solution)

    def logdet(self) -> float:
        return self._double.logdet()

    def trace_inverse(self) -> float:
        return self._double.trace_inverse()

    def inverse_diagonal(self) -> FloatArray:
        return self._double.inverse_diagonal()

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return self._double.determined(diagonal, groups, n_groups)

    @property
    def _double(self) -> CholeskyFactor:
        return self.system.in_double().factorize(self.damping)

    def _image(self, v: FloatArray) -> FloatArray:
        """Av."""
        image = self.system.image(v)
        image += self.diagonal * v
        return image

    def _near(self, v: FloatArray) -> FloatArray:
        """M⁻¹v; v is scaled, since float32 ends at 1e38."""
        size = float(np.abs(v).max(initial=0.0))
        if not 0 < size < np.inf:
            return np.full_like(v, np.nan) if size else np.zeros_like(v)
        solution, _ = spotrs(self.lower, (v / size).astype(np.float32), lower=1)
        return solution * size
