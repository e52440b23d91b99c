r"""Iterative: preconditioned conjugate gradients on products Jv and Jᵀu.  The way when neither a p × p nor an
n × n matrix fits, or costs too much: memory is a few vectors and the kernel of a sample of the rows.

The step is as exact as `tolerance` says, a share of the decrease of the model and not of a residual.
Traces and determinants are estimated with random probes, whose standard errors are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.conjugate_gradients import Krylov, Stop, conjugate_gradients, work_vectors
from marquardt.linsolve.estimates import Estimate, estimated, root_probes, sign_probes
from marquardt.linsolve.row_sample import RowSample, SampleFactor, sample_size
from marquardt.linsolve.system import Buffers, SingularSystemError, group_sums, right_hand_side


@dataclass(frozen=True)
class Iterative:
    """Conjugate gradients, preconditioned by a sample of the rows.

    Parameters
    ----------
    tolerance : float
        A solve ends when its last 4 steps brought less than this share of the decrease of the model.
        0.01 in place of 0.05 gains nothing (`benchmarks/iterative.py`).
    sample : int or None
        Rows in the preconditioner; None for a fifth of the parameters, 200 to 2000.
    max_iter : int
        Most steps of a solve.
    probes : int
        Random vectors in `logdet`, `trace_inverse`, `inverse_diagonal` and `determined`.  The standard error
        of γ effective parameters is about √(2γ / probes): 2 % for 338 of them and 16 probes.
    probe_tolerance : float
        `tolerance` of the solves for these.
    accelerate : bool
        Whether the method may ask for the geodesic acceleration, which is one more solve a trial.  In
        `benchmarks/iterative.py` the time is better spent on more iterations.
    seed : int
        Of sample and probes: the same seed gives the same numbers.

    Examples
    --------
    >>> from marquardt.jacobian import DenseJacobian
    >>> J = DenseJacobian(np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 1.0]]))
    >>> factor = Iterative(tolerance=1e-12).prepare(J, None, None).factorize(1.0)
    >>> factor.solve(np.array([1.0, 1.0])).round(6)
    array([-0.02439 , -0.292683,  0.121951])
    >>> round(factor.logdet(), 6), factor.estimate_logdet().error
    (3.713572, array(0.))
    """

    tolerance: float = 0.05
    sample: int | None = None
    max_iter: int = 500
    probes: int = 16
    probe_tolerance: float = 1e-4
    accelerate: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.tolerance < 1 and 0 <= self.probe_tolerance < 1):
            raise ValueError(
                f"tolerance={self.tolerance!r} and probe_tolerance={self.probe_tolerance!r} must be at least "
                "0 and below 1"
            )
        for name in ("max_iter", "probes", "sample"):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise ValueError(f"{name}={value!r} must be an integer >= 1")

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> IterativeSystem:
        p = jacobian.shape[1]
        old, work = None, None
        if recycle is not None and recycle.owner is Iterative:
            *square, work = recycle.matrices
            old = Buffers(recycle.inner or Iterative, tuple(square)) if square else None
        if work is None or work.shape[1] != p:
            work = work_vectors(p)
        rows = RowSample.of(
            jacobian, prior, scale, self.sample or sample_size(jacobian.shape), self.seed, old
        )
        return IterativeSystem(self, jacobian, rows, prior, scale, work)


@dataclass(frozen=True)
class IterativeSystem:
    """J and a sample of its rows, waiting for λ."""

    options: Iterative
    jacobian: Jacobian
    rows: RowSample
    prior: FloatArray | None
    scale: FloatArray | None
    work: FloatArray = field(repr=False)

    def factorize(self, damping: float) -> IterativeFactor:
        p = self.jacobian.shape[1]
        diagonal = np.full(p, damping) if self.scale is None else damping * self.scale
        if self.prior is not None:
            diagonal += self.prior
        return IterativeFactor(self.options, self.jacobian, self.rows.factorize(damping), diagonal, self.work)

    def release(self) -> Buffers:
        inner = self.rows.system.release()
        assert inner is not None
        return Buffers(Iterative, (*inner.matrices, self.work), inner.owner)


@dataclass(frozen=True)
class IterativeFactor:
    """A = JᵀJ + S by its products, and M, which is near it."""

    options: Iterative
    jacobian: Jacobian
    near: SampleFactor
    diagonal: FloatArray
    """S."""
    work: FloatArray = field(repr=False)

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        rhs = right_hand_side(self.jacobian, residual, offset, gradient)
        try:
            solution = self.krylov(rhs).solution
        except SingularSystemError:  # no finite step: more damping is the answer
            return np.full(len(rhs), np.nan)
        return np.negative(solution, out=solution)

    @property
    def accelerate(self) -> bool:
        """Whether a solve is cheap enough to be done again for the acceleration."""
        return self.options.accelerate

    def krylov(self, rhs: FloatArray, tolerance: float | None = None) -> Krylov:
        """A⁻¹ rhs, and how it was found."""
        options = self.options
        stop = Stop(options.tolerance if tolerance is None else tolerance, max_iter=options.max_iter)
        return conjugate_gradients(self._image, self.near.solve, rhs, stop, self.work)

    def _image(self, v: FloatArray) -> FloatArray:
        """Av."""
        image = self.jacobian.rmv(self.jacobian.mv(v))
        image += self.diagonal * v
        return image

    # -- by probes -----------------------------------------------------------------------------

    def logdet(self) -> float:
        return float(self.estimate_logdet().value)

    def trace_inverse(self) -> float:
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        """A rough estimate each, unless there are as many probes as parameters; their sum is a good one."""
        return self.estimate_inverse_diagonal().value

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return self.estimate_determined(groups, n_groups).value

    def estimate_logdet(self) -> Estimate:
        """log det A with its standard error, ()."""
        options, rows = self.options, self.near.jacobian
        root = self.near.share**-0.5
        probes = root_probes(
            self.diagonal, lambda u: rows.rmv(u) * root, rows.shape[0], options.probes, options.seed
        )
        samples = [np.array(self._probed(z).quadrature(np.log)) for z in probes]
        change = estimated(samples, sum(rows.shape), options.probes)
        return Estimate(change.value + self.near.logdet(), change.error)

    def estimate_inverse_diagonal(self) -> Estimate:
        """diag A⁻¹ with its standard errors, (p,)."""
        return self._over_signs(lambda z: z * self._probed(z).solution)

    def estimate_determined(self, groups: IntArray, n_groups: int) -> Estimate:
        """The sums over the groups of diag(A⁻¹JᵀJ) with their standard errors, (n_groups,)."""

        def sums(z: FloatArray) -> FloatArray:
            image = self.jacobian.rmv(self.jacobian.mv(z))
            return group_sums(z * self._probed(image).solution, groups, n_groups)

        return self._over_signs(sums)

    def _over_signs(self, of: Callable[[FloatArray], FloatArray]) -> Estimate:
        p, options = len(self.diagonal), self.options
        samples = [of(z) for z in sign_probes(p, options.probes, options.seed)]
        return estimated(samples, p, options.probes)

    def _probed(self, rhs: FloatArray) -> Krylov:
        return self.krylov(rhs, self.options.probe_tolerance)
