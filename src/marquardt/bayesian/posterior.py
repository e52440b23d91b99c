r"""The Gaussian posterior of the parameters about their mode, and the uncertainty of predictions.

Cov(w) = H⁻¹ = (JᵀJ + S₀)⁻¹ / β, and for a prediction linearised in w, with J* its Jacobian (K, p),

    variance of the model = diag(J* H⁻¹ J*ᵀ),        variance of the noise = 1 / β.

For classes β = 1, and what is linearised is the argument of the output layer (`marquardt.bayesian.probit`).

References
----------
D. J. C. MacKay, "A practical Bayesian framework for backpropagation networks", Neural Computation 4, 1992.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite
from marquardt._lapack import dpotrf, dtrsm
from marquardt._memory import available_bytes, readable
from marquardt._types import FloatArray
from marquardt.bayesian.packed_triangle import packed, unpacked
from marquardt.jacobian import Jacobian
from marquardt.linsolve import SingularSystemError
from marquardt.linsolve.triangle import inverse_column_sqnorms
from marquardt.models.layers import Linear
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
        S₀ = α/β; for the n × n factor positive.
    noise_precision : float
        β; 1 for classes.
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
        return cls.of(problem.network, problem.linearize(w).jacobian, w, prior, noise_precision)

    @classmethod
    def under_own_prior(cls, problem: NetworkProblem, w: FloatArray) -> Posterior:
        """The posterior about a minimum w under the prior of the problem, which may be zero: for a fixed
        `alpha`.

        β = (N − γ)/‖r‖² for a squared error, with γ = tr (JᵀJ + S₀)⁻¹JᵀJ and N the sum of the weights; 1
        for a cross-entropy.

        Raises
        ------
        SingularSystemError, MemoryError
            As `at`.
        """
        prior = np.zeros(problem.n_params) if problem.prior is None else problem.prior
        jacobian = problem.linearize(w).jacobian
        if problem.is_cross_entropy:
            # a softmax does not see what its biases have in common: without a prior, nothing would hold it
            prior = np.maximum(prior, 1e-8 * float(np.max(jacobian.column_sqnorms(), initial=0.0)))
        unscaled = cls.of(problem.network, jacobian, w, prior, 1.0)
        if problem.is_cross_entropy:
            return unscaled
        n = float(problem.entry_weights.sum())
        free = n - unscaled.n_effective
        precision = free / (2.0 * problem.data_cost(w)) if free > 0 else 0.0
        if not 0 < precision < np.inf:
            raise SingularSystemError(
                f"{n:g} observations and {unscaled.n_effective:.3g} effective parameters leave no noise to "
                "estimate"
            )
        return cls(problem.network, w, prior, precision, unscaled.lower, unscaled.jacobian)

    @classmethod
    def of(
        cls, network: MLP, jacobian: Jacobian, w: FloatArray, prior: FloatArray, noise_precision: float
    ) -> Posterior:
        """From the Jacobian (n, p) at w.  Raises as `at`."""
        n, p = jacobian.shape
        by_rows = n < p and bool((prior > 0).all())  # S₀⁻¹ is needed there
        _check_memory(n, p, by_rows)
        dense = None
        if by_rows:
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
        return cls(network, w, prior, noise_precision, lower, dense)

    # -- what it says --------------------------------------------------------------------------------

    @property
    def noise_variance(self) -> float:
        """1/β, in the units of the targets squared."""
        return 1.0 / self.noise_precision

    @property
    def n_effective(self) -> float:
        """γ = tr (JᵀJ + S₀)⁻¹JᵀJ: how many parameters the data determine."""
        inverse = inverse_column_sqnorms(self.lower)  # diag (LLᵀ)⁻¹
        return len(inverse) - float(inverse.sum() if self.jacobian is not None else inverse @ self.prior)

    def predictive_variance(self, X: ArrayLike) -> FloatArray:
        """Variance of the model at the rows of X, (n_samples, n_outputs), without the noise.

        Raises
        ------
        ValueError
            When X has the wrong shape, or NaN or infinite values.
        """
        return self._variance(self.network, X)

    def arguments(self, X: ArrayLike) -> FloatArray:
        """The argument of the output layer at w, (n_samples, n_outputs): the logits of a classifier."""
        return _with_bare_output(self.network).predict(self.w, X)

    def argument_variance(self, X: ArrayLike) -> FloatArray:
        """Variance of the arguments of the output layer, likewise."""
        return self._variance(_with_bare_output(self.network), X)

    def argument_covariance(self, X: ArrayLike) -> FloatArray:
        """Between the arguments of the output layer at each row of X, (n_samples, n_outputs, n_outputs)."""
        K = self.network.n_outputs
        chunks = []
        for rows in self._jacobians(_with_bare_output(self.network), X):
            left = rows if self.jacobian is None else rows / np.sqrt(self.prior)
            half = self._half(rows).reshape(-1, K, rows.shape[0] // K)
            explained = np.einsum("ikn,ijn->nkj", half, half)
            if self.jacobian is not None:
                left = left.reshape(K, -1, rows.shape[1])
                explained = np.einsum("kni,jni->nkj", left, left) - explained
            chunks.append(explained / self.noise_precision)
        return np.concatenate(chunks) if chunks else np.empty((0, K, K))

    def _variance(self, network: MLP, X: ArrayLike) -> FloatArray:
        K = network.n_outputs
        chunks = [self._quadratic(rows).reshape(K, -1).T for rows in self._jacobians(network, X)]
        return np.concatenate(chunks) / self.noise_precision if chunks else np.empty((0, K))

    def _jacobians(self, network: MLP, X: ArrayLike) -> Iterator[FloatArray]:
        """J* of chunks of rows of X, output-major, (K·rows, p)."""
        X = as_float("X", X)
        if X.ndim != 2 or X.shape[1] != network.n_inputs:
            raise ValueError(f"X has shape {X.shape}, but the network needs (n_samples, {network.n_inputs})")
        check_finite("X", X)
        # the dual has a second table of n numbers for each row of the Jacobian
        numbers = network.n_outputs * max(network.n_params, len(self.lower))
        size = max(1, _ROWS_BYTES // (8 * numbers))
        for start in range(0, len(X), size):
            rows = X[start : start + size]
            targets = np.zeros((len(rows), network.n_outputs))
            # the derivative of the residual, prediction minus target, is that of the prediction
            yield NetworkProblem(network, rows, targets).linearize(self.w).jacobian.dense()

    def _half(self, rows: FloatArray) -> FloatArray:
        """L⁻¹ rowsᵀ, or L⁻¹ J S₀⁻¹ rowsᵀ, (len(lower), m)."""
        right = rows.T if self.jacobian is None else self.jacobian @ (rows / self.prior).T
        return dtrsm(1.0, self.lower, right, lower=1)

    def _quadratic(self, rows: FloatArray) -> FloatArray:
        """diag of rows (JᵀJ + S₀)⁻¹ rowsᵀ, (m,)."""
        half = self._half(rows)
        explained = np.einsum("ij,ij->j", half, half)
        if self.jacobian is None:
            return explained
        # the prior variance less what the data explain; rounding may leave a speck below zero
        return np.maximum(np.einsum("ij,ij->i", rows, rows / self.prior) - explained, 0.0)

    # -- what it could have been ---------------------------------------------------------------------

    def draw_functions(self, X: ArrayLike, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Functions drawn from the posterior, at the rows of X: (n_draws, n_samples, n_outputs).

        Linearized in w, f(x; w) + J(x) d with d ~ N(0, H⁻¹), so that their variance is
        `predictive_variance`: a network at drawn weights, far from w, fits the rows worse than any of these
        (Immer, Korzepa & Bauer 2021, "Improving predictions of Bayesian neural nets via local
        linearization").

        Raises
        ------
        ValueError
            As `predictive_variance`.
        """
        offsets = self._offsets(n_draws, rng)
        K = self.network.n_outputs
        chunks = [
            (offsets @ rows.T).reshape(n_draws, K, -1).transpose(0, 2, 1)
            for rows in self._jacobians(self.network, X)
        ]
        moved = np.concatenate(chunks, axis=1) if chunks else np.empty((n_draws, 0, K))
        return self.network.predict(self.w, X) + moved

    def _offsets(self, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draws of N(0, H⁻¹), (n_draws, p)."""
        noise = rng.standard_normal((len(self.lower), n_draws))
        if self.jacobian is None:  # H⁻¹ = L⁻ᵀL⁻¹ / β
            return dtrsm(1.0, self.lower, noise, lower=1, trans_a=1).T / np.sqrt(self.noise_precision)
        # a draw u of the prior, less what a measurement of 0 = J u + noise makes of it (Matheron's rule)
        u = rng.standard_normal((n_draws, len(self.prior))) / np.sqrt(self.prior)
        half = dtrsm(1.0, self.lower, self.jacobian @ u.T + noise, lower=1)
        seen = dtrsm(1.0, self.lower, half, lower=1, trans_a=1)
        return (u - (self.jacobian.T @ seen).T / self.prior) / np.sqrt(self.noise_precision)

    # -- to a file and back --------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Bytes of `arrays`; with fewer residuals than parameters most of them are J, 8np."""
        m, rows = len(self.lower), 0 if self.jacobian is None else self.jacobian.size
        return 8 * (m * (m + 1) // 2 + rows + len(self.prior) + 1)

    def arrays(self) -> dict[str, FloatArray]:
        """All but network and w, to be stored: `prior` (p,), `noise_precision` (), `factor`, the packed
        triangle, and `jacobian` (n, p) where n < p."""
        arrays = {
            "prior": self.prior,
            "noise_precision": np.array(self.noise_precision),
            "factor": packed(self.lower),
        }
        return arrays if self.jacobian is None else arrays | {"jacobian": self.jacobian}

    @classmethod
    def from_arrays(cls, network: MLP, w: ArrayLike, arrays: Mapping[str, ArrayLike]) -> Posterior:
        """The inverse of `arrays`.

        Raises
        ------
        ValueError
            When an array is missing, has a wrong shape, or a value that no posterior has.
        """
        missing = {"prior", "noise_precision", "factor"} - set(arrays)
        if missing:
            raise ValueError(f"the arrays of a posterior lack {', '.join(sorted(missing))}")
        p = network.n_params
        w, prior = network.check_parameters(w), np.asarray(arrays["prior"], dtype=float)
        precision = np.asarray(arrays["noise_precision"], dtype=float)
        lower = unpacked(np.asarray(arrays["factor"], dtype=float))
        jacobian = None
        if "jacobian" in arrays:
            jacobian = np.asarray(arrays["jacobian"], dtype=float)
            if jacobian.shape != (len(lower), p) or not np.isfinite(jacobian).all():
                raise ValueError(f"jacobian has shape {jacobian.shape}: finite {(len(lower), p)} needed")
        elif len(lower) != p:
            raise ValueError(f"factor is of side {len(lower)}, but the network has {p} parameters")
        lowest = 0.0 if jacobian is None else np.finfo(float).tiny
        if prior.shape != (p,) or not (np.isfinite(prior).all() and (prior >= lowest).all()):
            raise ValueError(f"prior must be {p} finite values >= 0, one a parameter, > 0 with a jacobian")
        if precision.shape != () or not 0 < precision < np.inf:
            raise ValueError(f"noise_precision={precision} must be one positive number")
        return cls(network, w, prior, float(precision), lower, jacobian)


def _with_bare_output(network: MLP) -> MLP:
    """The same network up to the argument of its output layer."""
    return MLP([*network.layers[:-1], Linear(network.n_outputs)])


def _check_memory(n: int, p: int, by_rows: bool) -> None:
    need = 8.0 * (n * n + 2 * n * p if by_rows else p * p)
    free = available_bytes() if need > 100e6 else None
    if free is not None and need > free:
        raise MemoryError(
            f"the posterior of {p} parameters and {n} residuals needs {readable(need)}, and {readable(free)} "
            "are free: take fewer units or fewer rows"
        )
