"""Statistics of the parameters of a tree, by their names."""

from __future__ import annotations

from typing import Protocol

from marquardt._types import FloatArray
from marquardt.jax_models.parameter_tree import TreeLayout
from marquardt.least_squares_fit import LeastSquaresFit
from marquardt.problem import Linearization
from marquardt.result import Result


class Linearizable(Protocol):
    """A problem of plain least squares."""

    def linearize(self, w: FloatArray) -> Linearization: ...


def tree_statistics(problem: Linearizable, layout: TreeLayout, result: Result) -> LeastSquaresFit:
    """Covariance, standard errors, correlations and a summary, of the parameters free of bounds."""
    at = problem.linearize(result.w)
    names = tuple(layout.leaf_of(index) for index in range(layout.n_params))
    n_calls = result.n_costs + result.n_jacobians
    return LeastSquaresFit(at.w, at.residual, at.jacobian.dense(), names, result, n_calls)
