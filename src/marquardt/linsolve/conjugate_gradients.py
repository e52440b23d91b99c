r"""Preconditioned conjugate gradients, stopped by the decrease of the model.

For A d = b the quadratic model ½ dᵀAd − bᵀd falls by ½ α_k r_kᵀz_k in step k, which costs nothing to know.
The norm of the residual says nothing about it: a tenth of it may be reached in three steps when 90 % of the
decrease needs a hundred.  So the end is where the last few steps brought little of what all brought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.linsolve.system import SingularSystemError

Operator = Callable[[FloatArray], FloatArray]
"""v -> Av, a fresh array."""

_VECTORS = 3


@dataclass(frozen=True)
class Stop:
    """When conjugate gradients end.

    Parameters
    ----------
    tolerance : float
        When the last `window` steps brought less than this share of the decrease of the model ...
    window : int
        ... in so many steps.
    max_iter : int
        At most so many steps; what they found is a direction of descent all the same.
    share : float
        Or when rᵀM⁻¹r is less than this share of what it was at first.  With M near A it is the square of the
        error in the norm of A, and no step needs to be taken to know that it would bring nothing.
    """

    tolerance: float
    window: int = 4
    max_iter: int = 500
    share: float = 1e-30

    def reached(self, decreases: list[float]) -> bool:
        return len(decreases) > self.window and sum(decreases[-self.window :]) < self.tolerance * sum(
            decreases
        )


@dataclass(frozen=True)
class Krylov:
    """What a run of conjugate gradients leaves: the solution, and its coefficients α and β."""

    solution: FloatArray
    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    start: float
    """bᵀM⁻¹b."""
    end: float
    """rᵀM⁻¹r where it is known last: before the last step, unless `Stop.share` ended it."""

    @property
    def n_iter(self) -> int:
        return len(self.alphas)

    def quadrature(self, function: Callable[[FloatArray], FloatArray]) -> float:
        """bᵀM^−½ f(M^−½AM^−½) M^−½b, by the Lanczos matrix that α and β make up (Gauss quadrature)."""
        if not self.alphas:
            return 0.0
        alphas, betas = np.array(self.alphas), np.array(self.betas)
        diagonal = 1.0 / alphas
        diagonal[1:] += betas / alphas[:-1]
        beside = np.sqrt(betas) / alphas[:-1]
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        return self.start * float(np.square(vectors[0]) @ function(np.maximum(values, 1e-300)))


def work_vectors(n_params: int) -> FloatArray:
    """What `conjugate_gradients` works in."""
    return np.empty((_VECTORS, n_params))


def conjugate_gradients(
    apply: Operator, precondition: Operator, rhs: FloatArray, stop: Stop, work: FloatArray
) -> Krylov:
    """A⁻¹ rhs by `apply` v -> Av and `precondition` v -> M⁻¹v.

    Where rounding takes the preconditioner's or the matrix's positivity in the middle, what was found so far
    is returned.

    Raises
    ------
    SingularSystemError
        When A or M is not positive definite, or not finite, from the first step.

    Examples
    --------
    >>> A = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> found = conjugate_gradients(
    ...     lambda v: A @ v, np.copy, np.array([3.0, 4.0]), Stop(1e-12), work_vectors(2)
    ... )
    >>> found.solution.round(9), found.n_iter, round(found.quadrature(np.reciprocal), 9)
    (array([1., 1.]), 2, 7.0)
    """
    residual, direction, moved = work
    solution = np.zeros_like(rhs)
    np.copyto(residual, rhs)
    preconditioned = precondition(residual)
    np.copyto(direction, preconditioned)
    product = start = float(residual @ preconditioned)
    alphas, betas, decreases = list[float](), list[float](), list[float]()
    while product > stop.share * start:
        image = apply(direction)
        curvature = float(direction @ image)
        if not 0 < curvature < np.inf:
            break
        alpha = product / curvature
        solution += np.multiply(direction, alpha, out=moved)
        residual -= np.multiply(image, alpha, out=moved)
        alphas.append(alpha)
        decreases.append(alpha * product)
        if stop.reached(decreases) or len(alphas) >= stop.max_iter:
            break
        preconditioned = precondition(residual)
        before, product = product, float(residual @ preconditioned)
        direction *= product / before
        direction += preconditioned
        betas.append(product / before)
    if not alphas and (start != 0 or rhs.any()):
        raise SingularSystemError(f"the conjugate gradients found no positive curvature: {start:.3g}")
    return Krylov(solution, tuple(alphas), tuple(betas[: len(alphas) - 1]), start, product)
