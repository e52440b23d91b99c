r"""The two levels of precision of a Bayesian fit, and their re-estimation by the evidence.

With weights w_g of prior precision α_g and noise of precision β, the posterior of w is Gaussian near its
mode, with the Hessian (Gauss-Newton)

    H = βJᵀJ + diag(α_g) = β (JᵀJ + S₀),      S₀ = α_g / β.

At the mode, with N the number of observations (weights counted),

    log evidence = −½β‖r‖² − ½ Σ α_g|w_g|² − ½ log|H| + ½ Σ n_g log α_g + ½ N log(β / 2π)
    γ_g = n_g − α_g tr_g H⁻¹                     parameters of the group that the data determine
    α_g = (γ_g + 2a) / (|w_g|² + 2b)             (Gamma hyperprior of shape a and rate b)
    β   = (N − Σ γ_g) / ‖r‖²

The last two are where the derivatives of the evidence with respect to log α_g and log β vanish.

References
----------
D. J. C. MacKay, "A practical Bayesian framework for backpropagation networks", Neural Computation 4, 1992.
F. D. Foresee, M. T. Hagan, "Gauss-Newton approximation to Bayesian learning", IJCNN 1997.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from marquardt._types import FloatArray
from marquardt.bayesian.curvature import Curvature
from marquardt.bayesian.prior_groups import PriorGroups
from marquardt.linsolve import Factor, SingularSystemError
from marquardt.problem import NetworkProblem


@dataclass(frozen=True)
class Precisions:
    """α (G,) of the groups and β of the noise."""

    weights: FloatArray
    noise: float

    @property
    def ratio(self) -> FloatArray:
        """S₀ of each group, α / β."""
        return self.weights / self.noise


@dataclass(frozen=True)
class Evidence:
    """What the evidence says about precisions at a point."""

    precisions: Precisions
    effective: FloatArray
    """γ (G,)."""
    log_evidence: float

    @property
    def total(self) -> float:
        """γ of all parameters."""
        return float(self.effective.sum())


@dataclass(frozen=True)
class PrecisionRule:
    """One re-estimation of the precisions, with its guards.

    Parameters
    ----------
    shape, rate : float
        a and b of the Gamma hyperprior of every α_g.  α_g of a group that the data do not need ends near a/b.
    initial : float
        α of every group at the start, with noise of a tenth of the variance of the targets.  Smaller values
        let the network overfit before the first re-estimation, larger ones drive its weights to zero
        (`benchmarks/evidence.py`).
    factor : float
        No precision changes by more than this in one re-estimation.
    least_freedom : float
        N − γ is held at this fraction of N or above, or the noise of an interpolating network would vanish.
    largest_noise_precision : float
        Limit of β in units of one over the variance of the targets: data without noise would send it off.
    smallest, largest : float
        Limits of α_g.
    """

    shape: float = 1e-3
    rate: float = 1e-5
    initial: float = 1.0
    factor: float = 10.0
    least_freedom: float = 0.05
    largest_noise_precision: float = 1e10
    smallest: float = 1e-10
    largest: float = 1e8

    def __post_init__(self) -> None:
        if not (self.shape >= 0 and self.rate >= 0 and self.factor > 1):
            raise ValueError(
                f"shape={self.shape!r} and rate={self.rate!r} must be >= 0, factor={self.factor!r} above 1"
            )
        if not (0 < self.least_freedom < 1 and self.largest_noise_precision > 0):
            raise ValueError(
                f"least_freedom={self.least_freedom!r} must be between 0 and 1, and "
                f"largest_noise_precision={self.largest_noise_precision!r} positive"
            )
        if not 0 < self.smallest <= self.initial <= self.largest:
            raise ValueError(
                f"smallest={self.smallest!r}, initial={self.initial!r} and largest={self.largest!r} must be "
                "positive and in this order"
            )


@dataclass(frozen=True)
class PrecisionModel:
    """The evidence of one data set: groups, number of observations, spread of the targets, and the rule."""

    groups: PriorGroups
    n_observations: float
    """N: sum of the row weights times outputs."""
    target_variance: float
    rule: PrecisionRule

    @classmethod
    def of(cls, problem: NetworkProblem, groups: PriorGroups, rule: PrecisionRule) -> PrecisionModel:
        """For the data of a problem."""
        weights = problem.sample_weight
        total = problem.n_samples if weights is None else float(weights.sum())
        variance = spread_of(problem.targets, weights)
        return cls(groups, float(total * problem.network.n_outputs), variance, rule)

    def prior(self, precisions: Precisions) -> FloatArray:
        """S₀ (p,)."""
        return self.groups.spread(precisions.ratio)

    @property
    def noise_limit(self) -> float:
        """Largest β."""
        return self.rule.largest_noise_precision / self.target_variance

    def start(self) -> Precisions:
        """Where the search for the precisions begins."""
        return Precisions(np.full(len(self.groups), self.rule.initial), 10.0 / self.target_variance)

    def evidence_of(
        self, curvature: Curvature, w: FloatArray, sse: float, precisions: Precisions, guards: Counter[str]
    ) -> Evidence:
        """The evidence at w, with β lowered where the Hessian would be singular.

        Raises
        ------
        SingularSystemError
            When no β helps.
        """
        while True:
            try:
                factor = curvature.factor(self.prior(precisions))
            except SingularSystemError:
                if not precisions.noise > 1e-300:
                    raise
                precisions = replace(precisions, noise=precisions.noise / self.rule.factor)
                guards["singular"] += 1
            else:
                return self.evidence(factor, w, sse, precisions)

    def evidence(self, factor: Factor, w: FloatArray, sse: float, precisions: Precisions) -> Evidence:
        """The evidence of `precisions` at w, from the factor of JᵀJ + S₀ there."""
        alpha, beta, counts = precisions.weights, precisions.noise, self.groups.counts
        trace = self.groups.sums(factor.inverse_diagonal())
        effective = np.clip(counts - precisions.ratio * trace, 0.0, counts)
        logdet = factor.logdet() + len(w) * np.log(beta)
        energy = beta * sse + float(alpha @ self.groups.sums(w * w))
        occam = float(counts @ np.log(alpha)) - logdet
        log_evidence = 0.5 * (occam - energy + self.n_observations * np.log(beta / (2.0 * np.pi)))
        return Evidence(precisions, effective, float(log_evidence))

    def reestimated(self, now: Evidence, w: FloatArray, sse: float, guards: Counter[str]) -> Precisions:
        """The next precisions; `guards` counts what kept them from where the formulas lead."""
        rule, old, N = self.rule, now.precisions, self.n_observations
        free = N - now.total
        if free < rule.least_freedom * N:
            free = rule.least_freedom * N
            guards["freedom"] += 1
        beta = self.noise_limit
        if sse * beta > free:
            beta = free / sse
        else:
            guards["noise"] += 1
        squares = self.groups.sums(w * w) + 2.0 * rule.rate
        # a group whose weights are all zero, without a hyperprior: as precise as it gets
        alpha = np.full_like(squares, rule.largest)
        np.divide(now.effective + 2.0 * rule.shape, squares, out=alpha, where=squares > 0)
        limited = np.clip(alpha, rule.smallest, rule.largest)
        for group in np.flatnonzero(limited != alpha):
            guards[self.groups.names[group]] += 1
        alpha = np.clip(limited, old.weights / rule.factor, old.weights * rule.factor)
        beta = float(np.clip(beta, old.noise / rule.factor, old.noise * rule.factor))
        return Precisions(alpha, beta)

    def notes(self, guards: Counter[str]) -> list[str]:
        """What the guards did, in sentences."""
        explained: dict[str, str] = {
            "freedom": f"degrees of freedom of the noise held at {self.rule.least_freedom:.0%} of the "
            "observations: the network can pass through nearly all rows; take fewer units",
            "noise": f"noise precision held at {self.noise_limit:.3g}, standard deviation "
            f"{self.noise_limit**-0.5:.2g}: the network fits the targets to rounding, there is no noise to "
            "estimate",
            "singular": "noise precision lowered, since the Hessian was singular at the next one",
        }
        return [
            f"{explained.get(name, f'precision of {name} held at its limit')} ({_times(count)})"
            for name, count in guards.items()
        ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def constant_log_evidence(targets: FloatArray, weights: FloatArray | None, noise_limit: float) -> float:
    """Log evidence of a model that predicts the mean of each output, each mean at the price ½ log N.

    Parameters
    ----------
    targets : array (K, N)
    weights : array (N,) or None
    noise_limit : float
        Largest noise precision.
    """
    centered = targets - np.average(targets, axis=1, weights=weights)[:, None]
    total = float(targets.shape[1] if weights is None else weights.sum())
    n = total * len(targets)
    sse = float(np.sum(centered**2 if weights is None else centered**2 * weights))
    beta = noise_limit if sse * noise_limit <= n else n / sse
    return 0.5 * (n * np.log(beta / (2.0 * np.pi)) - beta * sse - len(targets) * np.log(max(total, 1.0)))


def spread_of(targets: FloatArray, weights: FloatArray | None) -> float:
    """Variance of the targets (K, N) about the mean of each output; their mean square where they are
    constant, and 1 where they are zero: never 0."""
    centered = targets - np.average(targets, axis=1, weights=weights)[:, None]
    for values in (centered, targets):
        variance = float(np.average((values**2).mean(axis=0), weights=weights))
        if variance > 1e-24 * float(np.max(targets**2)):
            return variance
    return 1.0
