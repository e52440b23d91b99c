r"""The last digits of a least-squares fit: Gauss-Newton steps judged by the gradient, not by the cost.

At a minimum the cost is flat.  A step of √ε of the uncertainty of w changes it by ε, which is rounding, so
a method that judges by the cost ends with half of the digits.  The relative offset

    ‖P r‖ / ‖r‖,     P the projector on the columns of J

is zero at a stationary point and keeps its digits down to rounding.  Reference: D. M. Bates, D. G. Watts,
"A relative offset orthogonality convergence criterion for nonlinear least squares", Technometrics 23 (1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.problem import Linearization, Problem

_ROUNDING = 64 * float(np.finfo(float).eps)
"""A cost may rise by this fraction of it: the rounding of a sum of squares."""


@dataclass(frozen=True)
class Refinement:
    """Full Gauss-Newton steps from a converged fit, while each shrinks the offset enough.

    Parameters
    ----------
    max_steps : int
        Most steps to take.  One is enough where the residuals are small; with large ones the offset
        shrinks by a constant factor a step.
    contraction : float
        A step must shrink the offset to this fraction, or the cost by more than its rounding; else it is
        dropped and the refinement ends.
    tolerance : float
        Relative offset to stop at.  At 1e-10, w is within 1e-10 of its standard errors from the minimum.

    Examples
    --------
    >>> from marquardt.residual_problem import ResidualProblem
    >>> problem = ResidualProblem(lambda w: [w[0] ** 2 - 2.0, 1e-3], 1, lambda w: [[2 * w[0]], [0.0]])
    >>> at, n_jacobians = Refinement().run(problem, problem.linearize(np.array([1.4142])))
    >>> abs(float(at.w[0]) - 2**0.5) < 1e-15
    True
    """

    max_steps: int = 20
    contraction: float = 0.8
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        if self.max_steps < 0:
            raise ValueError(f"max_steps={self.max_steps!r} must be >= 0")
        if not 0 < self.contraction < 1:
            raise ValueError(f"contraction={self.contraction!r} must lie between 0 and 1")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance={self.tolerance!r} must be >= 0")

    def run(self, problem: Problem, at: Linearization) -> tuple[Linearization, int]:
        """The refined point, and the number of Jacobians it took."""
        with np.errstate(all="ignore"):  # a step too far is dropped
            return self._run(problem, at)

    def _run(self, problem: Problem, at: Linearization) -> tuple[Linearization, int]:
        step, offset = _gauss_newton(at)
        for count in range(self.max_steps):
            w = at.w + step
            small = offset <= self.tolerance * np.linalg.norm(at.residual)
            if small or not np.isfinite(w).all() or np.array_equal(w, at.w):
                return at, count
            w.flags.writeable = False
            new = problem.linearize(w)
            if not (new.cost <= at.cost * (1 + _ROUNDING) and np.isfinite(new.gradient).all()):
                return at, count + 1
            step, new_offset = _gauss_newton(new)
            shrunk = new_offset <= self.contraction * offset or new.cost < at.cost * (1 - _ROUNDING)
            if not shrunk:
                return at, count + 1
            at, offset = new, new_offset
        return at, self.max_steps


def _gauss_newton(at: Linearization) -> tuple[FloatArray, float]:
    """The shortest d (columns of J scaled to norm 1) that minimises ‖Jd + r‖, and the offset ‖P r‖."""
    matrix = at.jacobian.dense()
    norms = np.linalg.norm(matrix, axis=0)
    norms[norms == 0] = 1.0
    left, values, right = np.linalg.svd(matrix / norms, full_matrices=False)
    keep = values > max(matrix.shape) * np.finfo(float).eps * values.max(initial=0.0)
    along = left.T[keep] @ at.residual
    return -(right[keep].T @ (along / values[keep])) / norms, float(np.linalg.norm(along))
