r"""The likelihood of the data given the parameters, and what is not known of it: the noise precision β.

    log p(y | w) = −β C_D(w) + normalizer(β),        C_D the cost without its prior.

Three kinds: Gaussian noise whose β is found by the evidence, Gaussian noise that is known, and classes,
which have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import xlogy

from marquardt._types import FloatArray, IntArray
from marquardt.models.activations import SoftmaxActivation
from marquardt.problem import NetworkProblem


class Noise(Protocol):
    """The contract of a likelihood."""

    @property
    def start(self) -> float:
        """β where the search begins."""
        ...

    def normalizer(self, precision: float) -> float:
        """log p(y | w) at C_D = 0."""
        ...

    def reestimated(
        self, precision: float, effective: float, data_cost: float, guards: Counter[str]
    ) -> float:
        """The next β, from γ and C_D; `guards` counts what kept it from where the formula leads."""
        ...

    def lowered(self, precision: float, factor: float) -> float | None:
        """β over `factor`, against a singular Hessian; None where β is given."""
        ...

    def constant_log_evidence(self) -> float:
        """Log evidence of a model that predicts the same for every row: of its mean, at the price of ½ log N,
        or of zero, which a network of zero weights predicts for nothing; the higher of the two."""
        ...

    def free(self, effective: float) -> float | None:
        """Observations beyond the γ effective parameters, which tell the noise; None where it is given."""
        ...

    def explained(self, guard: str, count: str) -> str | None:
        """A guard of this likelihood in a sentence; None when it is not one."""
        ...


NoiseOf = Callable[[NetworkProblem], Noise]
"""What is assumed of the noise: `estimated_noise`, `known_noise`, `no_noise`, or your own."""


def estimated_noise(problem: NetworkProblem) -> Noise:
    """Gaussian noise, the same for all rows, its precision found by the evidence.

    A row weight of 2 is a repeated row.
    """
    _check_squares(problem)
    return EstimatedNoise(*_entries(problem))


def known_noise(problem: NetworkProblem) -> Noise:
    """Gaussian noise that is known: the row weights are 1/σ², β stays 1.

    Examples
    --------
    >>> from marquardt import Input, Linear, NetworkProblem
    >>> from marquardt.bayesian.evidence import maximize_evidence
    >>> x, sigma = np.linspace(-1, 1, 9)[:, None], np.full(9, 0.5)
    >>> problem = NetworkProblem(Input(1) >> Linear(1), x, 2 * x[:, 0], sample_weight=1 / sigma**2)
    >>> maximize_evidence(problem, [0.0, 0.0], noise=known_noise).noise_precision
    1.0
    """
    _check_squares(problem)
    return KnownNoise(*_entries(problem))


def no_noise(problem: NetworkProblem) -> Noise:
    """Classes: the cost is a cross-entropy, the negative log likelihood itself."""
    if not problem.is_cross_entropy:
        raise ValueError("noise=no_noise is for a cross-entropy: take estimated_noise or known_noise")
    targets, weights = _entries(problem)
    exclusive = isinstance(problem.network.layers[-1].activation, SoftmaxActivation)
    return Classes(targets, weights, exclusive)


def usual_noise(problem: NetworkProblem) -> Noise:
    """`no_noise` for a cross-entropy, `estimated_noise` for a squared error."""
    return no_noise(problem) if problem.is_cross_entropy else estimated_noise(problem)


@dataclass(frozen=True)
class EstimatedNoise:
    """Gaussian, β = (N − γ) / ‖r‖² (the derivative of the evidence with respect to log β vanishes there).

    Parameters
    ----------
    targets, weights : array (K, N)
        Weights count: 2 is a repeated row, 0 none.
    least_freedom : float
        N − γ is held at this fraction of N or above, or the noise of an interpolating network would vanish.
    largest : float
        Limit of β in units of one over the variance of the targets: data without noise would send it off.
    """

    targets: FloatArray
    weights: FloatArray
    least_freedom: float = 0.05
    largest: float = 1e10

    @cached_property
    def n_observations(self) -> float:
        """N: sum of the weights of all entries."""
        return float(self.weights.sum())

    @cached_property
    def limit(self) -> float:
        """Largest β."""
        return self.largest / spread_of(self.targets, self.weights)

    @property
    def start(self) -> float:
        """For noise of a tenth of the variance of the targets."""
        return 10.0 / spread_of(self.targets, self.weights)

    def normalizer(self, precision: float) -> float:
        return 0.5 * self.n_observations * float(np.log(precision / (2.0 * np.pi)))

    def reestimated(
        self, precision: float, effective: float, data_cost: float, guards: Counter[str]
    ) -> float:
        del precision
        N = self.n_observations
        free = N - effective
        if free < self.least_freedom * N:
            free = self.least_freedom * N
            guards["freedom"] += 1
        if 2.0 * data_cost * self.limit > free:
            return free / (2.0 * data_cost)
        guards["noise"] += 1
        return self.limit

    def lowered(self, precision: float, factor: float) -> float | None:
        return precision / factor

    def constant_log_evidence(self) -> float:
        N, totals = self.n_observations, self.weights.sum(axis=1)
        found = []
        for cost, price in _constants(self.targets, self.weights, totals):
            beta = self.limit if 2.0 * cost * self.limit <= N else N / (2.0 * cost)
            found.append(self.normalizer(beta) - beta * cost - price)
        return float(max(found))

    def free(self, effective: float) -> float | None:
        return self.n_observations - effective

    def explained(self, guard: str, count: str) -> str | None:
        return {
            "freedom": f"degrees of freedom of the noise held at {self.least_freedom:.0%} of the "
            f"observations: the network can pass through nearly all rows; take fewer units ({count})",
            "noise": f"noise precision held at {self.limit:.3g}, standard deviation {self.limit**-0.5:.2g}: "
            f"the network fits the targets to rounding, there is no noise to estimate ({count})",
            "singular": f"noise precision lowered, since the Hessian was singular at the next one ({count})",
        }.get(guard)


@dataclass(frozen=True)
class KnownNoise:
    """Gaussian of variance 1/weight, entry by entry, with β = 1.

    Parameters
    ----------
    targets, weights : array (K, N)
        An entry of weight 0 was not measured.
    """

    targets: FloatArray
    weights: FloatArray
    start = 1.0

    def normalizer(self, precision: float) -> float:
        measured = self.weights[self.weights > 0]
        return 0.5 * float(np.log(precision * measured / (2.0 * np.pi)).sum())

    def reestimated(
        self, precision: float, effective: float, data_cost: float, guards: Counter[str]
    ) -> float:
        del effective, data_cost, guards
        return precision

    def lowered(self, precision: float, factor: float) -> float | None:
        del precision, factor

    def constant_log_evidence(self) -> float:
        counts = (self.weights > 0).sum(axis=1)
        constants = _constants(self.targets, self.weights, counts)
        return self.normalizer(1.0) - min(cost + price for cost, price in constants)

    def free(self, effective: float) -> float | None:
        del effective

    def explained(self, guard: str, count: str) -> str | None:
        return _stiffened(guard, count)


@dataclass(frozen=True)
class Classes:
    """Labels, of which the cross-entropy is the negative log likelihood; β = 1.

    Parameters
    ----------
    targets, weights : array (K, N)
        Shares of the classes; weights count.
    exclusive : bool
        Whether a row has one class of K (softmax), or K labels of their own (logistic).

    References
    ----------
    D. J. C. MacKay, "The evidence framework applied to classification networks", Neural Computation
    4(5):720, 1992.
    """

    targets: FloatArray
    weights: FloatArray
    exclusive: bool
    start = 1.0

    def normalizer(self, precision: float) -> float:
        del precision
        return 0.0

    def reestimated(
        self, precision: float, effective: float, data_cost: float, guards: Counter[str]
    ) -> float:
        del effective, data_cost, guards
        return precision

    def lowered(self, precision: float, factor: float) -> float | None:
        del precision, factor

    def constant_log_evidence(self) -> float:
        """That of the frequencies of the classes, or of equal shares."""
        totals = self.weights.sum(axis=1)
        counts = (self.weights * self.targets).sum(axis=1)
        p = counts / np.maximum(totals, np.finfo(float).tiny)
        price = 0.5 * np.log(np.maximum(totals, 1.0))
        if self.exclusive:  # K − 1 shares are free
            frequencies = xlogy(counts, p).sum() - price[1:].sum()
            return float(max(frequencies, -totals[0] * np.log(len(totals))))
        frequencies = xlogy(counts, p) + xlogy(totals - counts, 1.0 - p) - price
        return float(np.maximum(frequencies, -totals * np.log(2.0)).sum())

    def free(self, effective: float) -> float | None:
        del effective

    def explained(self, guard: str, count: str) -> str | None:
        return _stiffened(guard, count)


def spread_of(targets: FloatArray, weights: FloatArray) -> float:
    """Variance of the targets (K, N) about the mean of each output; their mean square where they are
    constant, and 1 where they are zero: never 0."""
    total = float(weights.sum())
    for values in (targets - _means(targets, weights)[:, None], targets):
        variance = float((weights * values**2).sum()) / total
        if variance > 1e-24 * float(np.max(targets**2)):
            return variance
    return 1.0


def _entries(problem: NetworkProblem) -> tuple[FloatArray, FloatArray]:
    """Targets and weights of all entries, (K, N) each; targets are 0 where they were not measured."""
    weights = problem.entry_weights
    return np.where(weights > 0, problem.targets, 0.0), weights


def _means(targets: FloatArray, weights: FloatArray) -> FloatArray:
    totals = np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
    return (weights * targets).sum(axis=1) / totals


def _constants(
    targets: FloatArray, weights: FloatArray, totals: FloatArray | IntArray
) -> list[tuple[float, float]]:
    """C_D and price of two models: the mean of each output, ½ log of its observations each; and zero."""
    centered = targets - _means(targets, weights)[:, None]
    price = 0.5 * float(np.log(np.maximum(totals, 1.0)).sum())
    costs = [0.5 * float((weights * values**2).sum()) for values in (centered, targets)]
    return [(costs[0], price), (costs[1], 0.0)]


def _stiffened(guard: str, count: str) -> str | None:
    if guard != "singular":
        return None
    return f"precisions of the weights raised, since the Hessian was singular at the next ones ({count})"


def _check_squares(problem: NetworkProblem) -> None:
    if not problem.sums_squares:
        raise ValueError(
            "the noise of the evidence is that of a squared error; for classes take loss=cross_entropy, and "
            "for outliers fit without the evidence"
        )
