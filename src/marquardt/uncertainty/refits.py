r"""Refits of a least-squares problem: with some parameters held, with rows drawn again, with other errors.

Each is a `Problem` around the problem of the fit, so that the method, the residual function and its Jacobian
stay those of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.damping import MoreMetric, Nielsen
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve import QR
from marquardt.lm import minimize
from marquardt.method import Geodesic
from marquardt.problem import Linearization, Problem
from marquardt.residual_problem import ResidualProblem
from marquardt.result import Result
from marquardt.stopping import Stopping

if TYPE_CHECKING:
    from marquardt.least_squares_fit import LeastSquaresFit

_STOPPING = Stopping(max_iter=500, cost_tolerance=1e-8, step_tolerance=1e-12)
"""On six NIST problems the intervals differ from those with 1e-14 by 1e-7 of themselves at most, and a refit
takes 2.3 to 6.9 Jacobians in place of 2.5 to 14."""
_DAMPING = Nielsen(initial=1e-6)
"""A refit starts near its end: with 1e-3, as from afar, a refit of Hahn1 takes 4.1 Jacobians in place of 2.5;
four others do not mind, and Thurber takes 5.8 in place of 6.9."""


def problem_of(fit: LeastSquaresFit) -> ResidualProblem:
    """The plain residuals of a fit; ValueError for one from a file, which has its function no more."""
    if fit._problem is None:
        raise ValueError(
            "this fit has no residual function: it was loaded or copied from another process; "
            "call least_squares again for its profiles and bootstrap"
        )
    return fit._problem


def refit(problem: Problem, start: FloatArray) -> Result:
    """The minimum near `start` by the method of `least_squares`.

    Ctrl-C is passed on: it means all refits, and not this one.
    """
    result = minimize(
        problem,
        start,
        damping=_DAMPING,
        metric=MoreMetric(),
        solver=QR(),
        acceleration=Geodesic(limit=0.75),
        stopping=_STOPPING,
    )
    if isinstance(result.error, KeyboardInterrupt):
        raise result.error
    return result


@dataclass(frozen=True)
class Around(Linearization):
    """A linearization made from another, which the second derivative needs again."""

    inner: Linearization = field(repr=False)


@dataclass(frozen=True)
class HeldParameters:
    """A problem with some of its parameters held at given values; it is a problem in the others.

    Parameters
    ----------
    inner : Problem
    held : array of int (k,)
    values : array (k,)
    """

    inner: Problem
    held: np.ndarray
    values: FloatArray
    prior = None

    @property
    def n_params(self) -> int:
        return self.inner.n_params - len(self.held)

    @cached_property
    def free(self) -> np.ndarray:
        """Indices of the parameters that are not held (n_params,)."""
        return np.delete(np.arange(self.inner.n_params), self.held)

    def full(self, v: FloatArray) -> FloatArray:
        """All parameters (p,) from the free ones (n_params,)."""
        w = np.empty(self.inner.n_params)
        w[self.held], w[self.free] = self.values, v
        w.flags.writeable = False
        return w

    def cost(self, w: FloatArray) -> float:
        return self.inner.cost(self.full(w))

    def linearize(self, w: FloatArray) -> Linearization:
        at = self.inner.linearize(self.full(w))
        jacobian = DenseJacobian(at.jacobian.dense()[:, self.free])
        return Around(w, at.cost, at.residual, jacobian, None, at.gradient[self.free], at)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        assert isinstance(at, Around)
        whole = np.zeros(self.inner.n_params)
        whole[self.free] = direction
        return self.inner.second_derivative(at.inner, whole)

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        del damping, scale
        return w


@dataclass(frozen=True)
class OtherRows:
    """A problem on rows drawn from those of another, with repetitions, each plus a given error.

    r*(w) = r(w)[rows] + shift; either part may be trivial.
    """

    inner: ResidualProblem
    rows: np.ndarray
    """Indices (n,)."""
    shift: FloatArray
    """(n,)."""
    prior = None

    @property
    def n_params(self) -> int:
        return self.inner.n_params

    def residual(self, w: FloatArray) -> FloatArray:
        return self.inner.residual(w)[self.rows] + self.shift

    def cost(self, w: FloatArray) -> float:
        r = self.residual(w)
        return 0.5 * float(r @ r)

    def linearize(self, w: FloatArray) -> Linearization:
        at = self.inner.linearize(w)
        r = at.residual[self.rows] + self.shift
        matrix = at.jacobian.dense()[self.rows]
        return Around(w, 0.5 * float(r @ r), r, DenseJacobian(matrix), None, matrix.T @ r, at)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        assert isinstance(at, Around)
        second = self.inner.second_derivative(at.inner, direction)
        return None if second is None else second[self.rows]

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        del damping, scale
        return w
