"""A problem of plain residuals under a penalty other than the square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.jacobian import DenseJacobian
from marquardt.losses.reweighted import Penalty
from marquardt.problem import Linearization
from marquardt.residual_problem import ResidualProblem


@dataclass(frozen=True)
class ReweightedLinearization(Linearization):
    """With what was weighted."""

    plain: Linearization
    """Of ½‖r‖²."""
    roots: FloatArray
    """√w(r) (n,)."""


class ReweightedProblem:
    """C(w) = Σ ρ(r_i(w)), by weighted squares; see `marquardt.losses.reweighted`.

    Parameters
    ----------
    plain : ResidualProblem
        r and its Jacobian.
    penalty : Penalty
        ρ.
    start : array (p,)
        Where a fit begins: the scale of the noise is searched for downwards from the spread of r there.
    """

    prior = None

    def __init__(self, plain: ResidualProblem, penalty: Penalty, start: FloatArray) -> None:
        self.plain, self.penalty, self.start = plain, penalty, start
        self.n_params = plain.n_params
        self._targets: FloatArray | None = None

    def with_loss(self, loss: Penalty) -> ReweightedProblem:
        """The same residuals under another penalty."""
        return ReweightedProblem(self.plain, loss, self.start)

    def errors(self, w: FloatArray) -> FloatArray:
        """r (1, n)."""
        return self.plain.residual(w)[None]

    @property
    def targets(self) -> FloatArray:
        """r at the start (1, n)."""
        if self._targets is None:
            self._targets = self.errors(self.start)
        return self._targets

    @property
    def entry_weights(self) -> FloatArray:
        """Ones (1, n)."""
        return np.ones_like(self.targets)

    def cost(self, w: FloatArray) -> float:
        with np.errstate(all="ignore"):
            return float(self.penalty.value(self.plain.residual(w)).sum())

    def linearize(self, w: FloatArray) -> Linearization:
        plain = self.plain.linearize(w)
        r = plain.residual
        with np.errstate(all="ignore"):
            cost, roots = float(self.penalty.value(r).sum()), np.sqrt(self.penalty.weight(r))
            jacobian = DenseJacobian(roots[:, None] * plain.jacobian.dense())
            residual = roots * r
            gradient = jacobian.rmv(residual)
        return ReweightedLinearization(w, cost, residual, jacobian, None, gradient, plain, roots)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        assert isinstance(at, ReweightedLinearization)
        second = self.plain.second_derivative(at.plain, direction)
        return None if second is None else at.roots * second

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        del damping, scale
        return w
