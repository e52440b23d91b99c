r"""The Gaussian posterior of the parameters about their mode, and the uncertainty of predictions.

Cov(w) = H⁻¹ = (JᵀJ + S₀)⁻¹ / β, and for a prediction linearised in w, with J* its Jacobian (K, p),

    variance of the model = diag(J* H⁻¹ J*ᵀ),        variance of the noise = 1 / β.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite
from marquardt._lapack import dpotrf, dtrsm
from marquardt._memory import available_bytes, readable
from marquardt._types import FloatArray
from marquardt.linsolve import SingularSystemError
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem

_ROWS_BYTES = 32 * 2**20
"""Size of the Jacobian rows of one chunk of predictions."""


@dataclass(frozen=True)
class Posterior:
    """N(w, H⁻¹) by the Cholesky factor of JᵀJ + S₀, or, with fewer residuals than parameters, of the n × n
    kernel I + JS₀⁻¹Jᵀ and the Jacobian itself.

    Parameters
    ----------
    network : MLP
    w : array (n_params,)
        The mode.
    prior : array (n_params,)
        S₀ = α/β, positive.
    noise_precision : float
        β.
    lower : array (p, p) or (n, n)
        Column-major Cholesky factor.
    jacobian : array (n, p) or None
        J; None for the p × p factor.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> problem = NetworkProblem(Input(1) >> Linear(1), [[-1.0], [1.0]], [-1.0, 1.0])
    >>> posterior = Posterior.at(problem, np.array([1.0, 0.0]), np.array([2.0, 2.0]), 1.0)
    >>> posterior.predictive_variance([[0.0], [2.0]])
    array([[0.25], [1.25]])
    """

    network: MLP
    w: FloatArray
    prior: FloatArray
    noise_precision: float
    lower: FloatArray = field(repr=False)
    jacobian: FloatArray | None = field(default=None, repr=False)

    @classmethod
    def at(
        cls, problem: NetworkProblem, w: FloatArray, prior: FloatArray, noise_precision: float
    ) -> Posterior:
        """The posterior about w.

        Raises
        ------
        SingularSystemError
            When the Hessian is not numerically positive definite.
        MemoryError
            When its factor does not fit.
        """
        jacobian = problem.linearize(w).jacobian
        n, p = jacobian.shape
        _check_memory(n, p)
        dense = None
        if n < p:
            dense = jacobian.dense()
            matrix = jacobian.cogram(1.0 / prior)
            matrix.ravel()[:: n + 1] += 1.0
        else:
            matrix = jacobian.gram()
            matrix.ravel()[:: p + 1] += prior
        # the row-major upper triangle is the column-major lower one
        lower, info = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise SingularSystemError(f"leading minor {info} of the posterior is not positive definite")
        return cls(problem.network, w, prior, noise_precision, lower, dense)

    @property
    def noise_variance(self) -> float:
        """1/β, in the units of the targets squared."""
        return 1.0 / self.noise_precision

    def predictive_variance(self, X: ArrayLike) -> FloatArray:
        """Variance of the model at the rows of X, (n_samples, n_outputs), without the noise.

        Raises
        ------
        ValueError
            When X has the wrong shape, or NaN or infinite values.
        """
        X = as_float("X", X)
        if X.ndim != 2 or X.shape[1] != self.network.n_inputs:
            raise ValueError(
                f"X has shape {X.shape}, but the network needs (n_samples, {self.network.n_inputs})"
            )
        check_finite("X", X)
        variance = np.empty((len(X), self.network.n_outputs))
        # the dual has a second table of n numbers for each row of the Jacobian
        numbers = self.network.n_outputs * max(self.network.n_params, len(self.lower))
        size = max(1, _ROWS_BYTES // (8 * numbers))
        for start in range(0, len(X), size):
            rows = X[start : start + size]
            targets = np.zeros((len(rows), self.network.n_outputs))
            # the derivative of the residual, prediction minus target, is that of the prediction
            at = NetworkProblem(self.network, rows, targets).linearize(self.w)
            spread = self._quadratic(at.jacobian.dense()) / self.noise_precision
            variance[start : start + size] = spread.reshape(self.network.n_outputs, -1).T
        return variance

    def _quadratic(self, rows: FloatArray) -> FloatArray:
        """diag of rows (JᵀJ + S₀)⁻¹ rowsᵀ, (m,)."""
        if self.jacobian is None:
            half = dtrsm(1.0, self.lower, rows.T, lower=1)
            return np.einsum("ij,ij->j", half, half)
        scaled = rows / self.prior
        half = dtrsm(1.0, self.lower, self.jacobian @ scaled.T, lower=1)
        # the prior variance less what the data explain; rounding may leave a speck below zero
        explained = np.einsum("ij,ij->j", half, half)
        return np.maximum(np.einsum("ij,ij->i", rows, scaled) - explained, 0.0)


def _check_memory(n: int, p: int) -> None:
    need = 8.0 * (p * p if n >= p else n * n + 2 * n * p)
    free = available_bytes() if need > 100e6 else None
    if free is not None and need > free:
        raise MemoryError(
            f"the posterior of {p} parameters and {n} residuals needs {readable(need)}, and {readable(free)} "
            "are free: take fewer units or fewer rows"
        )
