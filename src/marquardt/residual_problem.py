"""A problem made of a plain residual function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float
from marquardt._types import FloatArray
from marquardt.differences import CentralDifferences, ForwardDifferences
from marquardt.jacobian import DenseJacobian
from marquardt.problem import Linearization

Differences = ForwardDifferences | CentralDifferences


class ResidualProblem:
    """C(w) = ½‖r(w)‖² for any function r: (p,) -> (n,), with its Jacobian or without.

    A value that is NaN, infinite or raises an ArithmeticError rejects the trial point.

    Parameters
    ----------
    residual : callable
        w (p,) -> r (n,).
    n_params : int
    jacobian : callable, ForwardDifferences or CentralDifferences
        The callable maps w to ∂r/∂w (n, p).

    Raises
    ------
    ValueError
        When a residual or Jacobian has the wrong shape, or r changes its length.
    """

    prior = None

    def __init__(
        self,
        residual: Callable[[FloatArray], ArrayLike],
        n_params: int,
        jacobian: Callable[[FloatArray], ArrayLike] | Differences,
    ) -> None:
        self.n_params = n_params
        self.n_residuals: int | None = None
        self.n_evaluations = 0
        self._residual, self._jacobian = residual, jacobian
        self._latest: tuple[FloatArray, FloatArray] | None = None

    def residual(self, w: FloatArray) -> FloatArray:
        """r at w as float64; NaN where the function fails arithmetically."""
        if self._latest is not None and self._latest[0] is w:
            return self._latest[1]
        self.n_evaluations += 1
        try:
            with np.errstate(all="ignore"):
                r = self._checked(self._residual(w))
        except ArithmeticError:
            if self.n_residuals is None:
                raise
            r = np.full(self.n_residuals, np.nan)
        if not w.flags.writeable:
            self._latest = (w, r)
        return r

    def cost(self, w: FloatArray) -> float:
        r = self.residual(w)
        return 0.5 * float(r @ r)

    def linearize(self, w: FloatArray) -> Linearization:
        r = self.residual(w)
        if isinstance(self._jacobian, ForwardDifferences | CentralDifferences):
            matrix = self._jacobian.jacobian(self.residual, w, r)
        else:
            matrix = self._analytic(self._jacobian, w, len(r))
            if matrix.shape != (len(r), self.n_params):
                raise ValueError(
                    f"jac returned shape {matrix.shape}, but the residual needs ({len(r)}, {self.n_params})"
                )
        return Linearization(w, 0.5 * float(r @ r), r, DenseJacobian(matrix), None, matrix.T @ r)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        """r_dd ≈ (2/h) ((r(w + hd) − r(w))/h − Jd), h = 0.1 (Transtrum & Sethna 2012, section 3.2).

        None where the shifted residual is not finite, or differs from its linear prediction by no more
        than a hundred times the rounding of w and r: the quotient would be noise, and would hold a fit
        back from its last digits.
        """
        h = 0.1
        shifted = self.residual(at.w + h * direction)
        if not np.isfinite(shifted).all():
            return None
        difference = shifted - at.residual - h * at.jacobian.mv(direction)
        from_w = float(np.sqrt(at.jacobian.column_sqnorms() @ at.w**2))
        rounding = float(np.finfo(float).eps) * (from_w + float(np.linalg.norm(at.residual)))
        if float(np.linalg.norm(difference)) <= 100 * rounding:
            return None
        return (2.0 / h**2) * difference

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        del damping, scale
        return w

    def _analytic(
        self, jacobian: Callable[[FloatArray], ArrayLike], w: FloatArray, n_residuals: int
    ) -> FloatArray:
        try:
            with np.errstate(all="ignore"):
                return as_float("the value of jac", jacobian(w))
        except ArithmeticError:
            return np.full((n_residuals, self.n_params), np.nan)

    def _checked(self, value: ArrayLike) -> FloatArray:
        # A copy: a function may write every value into the same buffer.
        r = as_float("the value of residual", value)
        if r.ndim != 1 or len(r) == 0:
            raise ValueError(f"residual returned shape {r.shape}: it must be one row of numbers, (n,)")
        if self.n_residuals is None:
            self.n_residuals = len(r)
        if len(r) != self.n_residuals:
            raise ValueError(f"residual returned {len(r)} values, but {self.n_residuals} before")
        return r
