r"""Noise that differs from row to row: a second network for the logarithm of its variance.

Of squares q whose expectation is σ²(x), the log-likelihood −½ Σ s_n (log σ²(x_n) + q_n / σ²(x_n)) is
maximised over a network for log σ², regularised by the evidence as any other: where q does not depend on x,
it ends as a constant.

A fit has taken a part of the noise of its own training rows: with leverages h, E r_n² = (1 − h_n) σ² for a
least-squares fit (`corrected_squares`).

References
----------
D. A. Nix, A. S. Weigend, "Estimating the mean and variance of the target probability distribution", ICNN
1994; C. M. Bishop, C. S. Qazaz, "Regression with input-dependent noise: a Bayesian treatment", NIPS 1996.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite, check_weights
from marquardt._types import FloatArray
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.noise import known_noise, usual_noise
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import Grouping, input_groups
from marquardt.initialization import Glorot
from marquardt.losses.log_variance import log_variance
from marquardt.models.layers import Input, Linear, Tanh
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.stopping import Stopping

_SMALLEST_SQUARE = 1e-10
"""Squares are at least this fraction of their mean: an error of exactly 0 says nothing about its scale."""
_LARGEST_LEVERAGE = 0.99
"""Of a row that the fit passes through, whose residual says nothing."""
_SMALLEST_VARIANCE = 1e-4
"""As a fraction of its mean, in the weights of the next fit: no row may rule it alone."""
_RULE = PrecisionRule(smallest=0.25)
"""No group of weights may spread by more than 2: log σ² needs no more, and a variance extrapolates badly."""


@dataclass(frozen=True)
class NoiseNetwork:
    """σ²(x) = scale · exp(f(x)).

    Parameters
    ----------
    scale : float
    network : MLP
        f.
    w : array (n_params,)
        Its parameters; all zero for one σ².
    fit : EvidenceResult or None
        Of f, even where one σ² was found the better; None from a file.

    Examples
    --------
    >>> rng, x = np.random.default_rng(0), np.linspace(-1, 1, 400)[:, None]
    >>> squares = (np.exp(x[:, 0]) * rng.normal(size=400)) ** 2
    >>> noise = fit_noise_network(x, squares, n_hidden=3)
    >>> np.sqrt(noise.variance([[-1.0], [0.0], [1.0]])).round(1)
    array([0.4, 1. , 2.4])
    """

    scale: float
    network: MLP
    w: FloatArray
    fit: EvidenceResult | None = field(default=None, repr=False)

    @property
    def is_constant(self) -> bool:
        """Whether all rows have the same noise."""
        return not self.w.any()

    def variance(self, X: ArrayLike) -> FloatArray:
        """σ² (n_samples,) at the rows of X (n_samples, n_inputs)."""
        return self.scale * np.exp(self.network.predict(self.w, X)[:, 0])

    def log_variance_std(self, X: ArrayLike) -> FloatArray:
        """Standard deviation of log σ² (n_samples,), from the posterior of the parameters; 0 for one σ²."""
        X = as_float("X", X)
        if self.is_constant or self.fit is None or self.fit.posterior is None:
            return np.zeros(len(X))
        return np.sqrt(self.fit.posterior.predictive_variance(X)[:, 0])


def fit_noise_network(
    X: ArrayLike,
    squares: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    n_hidden: int = 10,
    groups: Grouping = input_groups,
    rule: PrecisionRule = _RULE,
    max_iter: int = 60,
    random_state: int = 0,
) -> NoiseNetwork:
    """Train a network for log σ² on squares of expectation σ².

    Parameters
    ----------
    X : array (n_samples, n_inputs)
        Inputs of about unit spread.
    squares : array (n_samples,)
        q, of expectation σ²; of a fit see `corrected_squares`.
    sample_weight : array (n_samples,), optional
        A weight of 2 equals a repeated row.
    n_hidden : int
        Units of the hidden layer; 0 makes log σ² linear.
    groups, rule
        As in `maximize_evidence`.
    max_iter : int
    random_state : int
        Of the start.

    Returns
    -------
    NoiseNetwork
        One σ² where the evidence prefers that.

    Raises
    ------
    ValueError
        For wrong shapes, NaN or infinite values, negative squares or weights, squares that are all zero.
    """
    X, q = as_float("X", X), as_float("squares", squares)
    weights = check_weights(sample_weight, len(X))
    scale = _checked_mean(q, weights, len(X))
    targets = np.maximum(q / scale, _SMALLEST_SQUARE)
    hidden = [Tanh(n_hidden)] if n_hidden else []
    network = MLP([Input(X.shape[1]), *hidden, Linear(1)])
    problem = NetworkProblem(network, X, targets, sample_weight=weights, loss=log_variance)
    start = Glorot().draw(network, np.random.default_rng(random_state))
    network.matrices(start)[-1][:] *= 0.1  # begin near the constant
    fit = maximize_evidence(
        problem, start, groups=groups, noise=_squares, rule=rule, stopping=Stopping(max_iter=max_iter)
    )
    w = fit.w if fit.log_evidence > fit.constant_log_evidence else np.zeros_like(fit.w)
    return NoiseNetwork(scale, network, w, fit)


def corrected_squares(
    residual: FloatArray, model_variance: FloatArray, noise_variance: float | FloatArray
) -> FloatArray:
    """Squares of expectation σ² from the training rows of a fit: ½ (r² + v) + ½ r² / (1 − h).

    With v the variance of the fit at its own rows and h = v/σ² their leverages, E r² = (1 − h)σ² for a
    least-squares fit.  Both halves put that right.  The first is the expectation over the posterior, and is
    slow to leave one σ² where h is large; the second is wild there.  On four UCI tables a noise network
    gained in log-likelihood on new rows, over one σ², 0.02 to 0.10 from the first, -0.01 to 0.20 from the
    second, and 0.02 to 0.15 from their mean.

    Parameters
    ----------
    residual : array (n_samples,)
    model_variance : array (n_samples,)
        v, without noise.
    noise_variance : float or array (n_samples,)
        σ² that the fit assumed.
    """
    squared, leverage = residual**2, np.minimum(model_variance / noise_variance, _LARGEST_LEVERAGE)
    return 0.5 * (squared + model_variance) + 0.5 * squared / (1.0 - leverage)


@dataclass(frozen=True)
class VaryingNoiseFit:
    """A fit with a noise variance of its own for every row."""

    fit: EvidenceResult
    """Of the last round, its row weights 1/σ²."""
    noise: NoiseNetwork
    """Of the inputs and the prediction."""

    def predict(self, X: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean, variance of the model and variance of the noise at the rows of X, (n_samples,) each."""
        posterior = self.fit.posterior
        if posterior is None:
            raise ValueError(f"this fit has no error bars. {self.fit.message}")
        mean = posterior.network.predict(posterior.w, X)[:, 0]
        model = posterior.predictive_variance(X)[:, 0]
        return mean, model, self.noise.variance(np.column_stack([as_float("X", X), mean]))


def fit_varying_noise(
    network: MLP,
    X: ArrayLike,
    y: ArrayLike,
    w0: ArrayLike,
    *,
    rounds: int = 2,
    n_hidden: int = 10,
    groups: Grouping = input_groups,
    rule: PrecisionRule | None = None,
    stopping: Stopping | None = None,
) -> VaryingNoiseFit:
    """Fit a network and its noise in alternation: the first fit has one σ², each later one the σ²(x) that
    the residuals of the fit before show.

    Parameters
    ----------
    network : MLP
        With one output.
    X, y : arrays (n_samples, n_inputs) and (n_samples,)
        Of about unit spread.
    w0 : array (n_params,)
        The start of the first fit; a later one starts where that before ended.
    rounds : int
        Fits.
    n_hidden : int
        Units of the noise network.
    groups, rule, stopping
        As in `maximize_evidence`.

    Examples
    --------
    >>> rng, x = np.random.default_rng(0), np.linspace(-1, 1, 200)[:, None]
    >>> y = np.sin(3 * x[:, 0]) + np.exp(x[:, 0] - 2) * rng.normal(size=200)
    >>> network = MLP([Input(1), Tanh(5), Linear(1)])
    >>> found = fit_varying_noise(network, x, y, Glorot().draw(network, rng))
    >>> _, _, noise = found.predict([[-1.0], [1.0]])
    >>> np.sqrt(noise).round(2)
    array([0.05, 0.36])
    """
    if network.n_outputs != 1:
        raise ValueError(f"the network has {network.n_outputs} outputs: fit one network for each")
    if rounds < 1:
        raise ValueError(f"rounds={rounds!r} must be an integer >= 1")
    X, w = as_float("X", X), np.asarray(w0, dtype=float)
    weights, found = None, None
    for _ in range(rounds):
        problem = NetworkProblem(network, X, y, sample_weight=weights)
        noise_of = usual_noise if weights is None else known_noise
        fit = maximize_evidence(problem, w, groups=groups, noise=noise_of, rule=rule, stopping=stopping)
        w = fit.w
        own = 1.0 / (fit.noise_precision * problem.entry_weights[0])
        found = VaryingNoiseFit(fit, _noise_of(fit, problem.errors(w)[0], X, own, n_hidden))
        variance = found.noise.variance(np.column_stack([X, network.predict(w, X)[:, 0]]))
        weights = 1.0 / np.maximum(variance, _SMALLEST_VARIANCE * variance.mean())
    assert found is not None
    return found


def _noise_of(
    fit: EvidenceResult, errors: FloatArray, X: FloatArray, variance: FloatArray, n_hidden: int
) -> NoiseNetwork:
    """From the errors of a fit at its rows and the noise variances (n_samples,) that it assumed."""
    if fit.posterior is None:
        raise ValueError(f"the noise cannot be told from a fit without error bars. {fit.message}")
    model = fit.posterior.predictive_variance(X)[:, 0]
    prediction = fit.posterior.network.predict(fit.w, X)[:, 0]
    squares = corrected_squares(errors, model, variance)
    return fit_noise_network(np.column_stack([X, prediction]), squares, n_hidden=n_hidden)


@dataclass(frozen=True)
class _Squares:
    """The likelihood of deviations with squares q (N,): log p = −cost − ½ Σ s (1 + log 2πq); β = 1."""

    squares: FloatArray
    weights: FloatArray
    start = 1.0

    def normalizer(self, precision: float) -> float:
        del precision
        counted = self.weights > 0
        logs = 1.0 + np.log(2.0 * np.pi * self.squares[counted])
        return -0.5 * float(self.weights[counted] @ logs)

    def reestimated(
        self, precision: float, effective: float, data_cost: float, guards: Counter[str]
    ) -> float:
        del effective, data_cost, guards
        return precision

    def lowered(self, precision: float, factor: float) -> float | None:
        del precision, factor

    def constant_log_evidence(self) -> float:
        """Of the mean of the squares, at the price of ½ log of its information ½N."""
        total = float(self.weights.sum())
        mean = float(self.weights @ self.squares) / total
        return -0.5 * total * (np.log(2.0 * np.pi * mean) + 1.0) - 0.5 * np.log(max(0.5 * total, 1.0))

    def free(self, effective: float) -> float | None:
        del effective

    def explained(self, guard: str, count: str) -> str | None:
        if guard != "singular":
            return None
        return f"precisions of the weights raised, since the Hessian was singular at the next ones ({count})"


def _squares(problem: NetworkProblem) -> _Squares:
    return _Squares(problem.targets[0], problem.entry_weights[0])


def _checked_mean(q: FloatArray, weights: FloatArray | None, n_samples: int) -> float:
    if q.shape != (n_samples,):
        raise ValueError(f"squares has shape {q.shape}, but X has {n_samples} rows")
    check_finite("squares", q)
    if (q < 0).any():
        raise ValueError(f"squares has a negative value, {q.min():g}: give r² + v, not r")
    mean = float(np.average(q, weights=weights))
    if mean == 0:
        raise ValueError("squares are all zero: a fit without errors has no noise to learn from")
    return mean
