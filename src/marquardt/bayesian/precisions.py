r"""The two levels of precision of a Bayesian fit, and their re-estimation by the evidence.

With weights w_g of prior precision α_g and noise of precision β (1 for classes), the posterior of w is
Gaussian near its mode, with the Hessian (Gauss-Newton)

    H = βJᵀJ + diag(α_g) = β (JᵀJ + S₀),      S₀ = α_g / β.

At the mode, with C_D the cost without its prior (`marquardt.bayesian.noise`),

    log evidence = −βC_D − ½ Σ α_g|w_g|² − ½ log|H| + ½ Σ n_g log α_g + normalizer(β)
    γ_g = tr_g (H⁻¹ βJᵀJ) = n_g − α_g tr_g H⁻¹   parameters of the group that the data determine
    α_g = (γ_g + 2a) / (|w_g|² + 2b)             (Gamma hyperprior of shape a and rate b)

The last is where the derivative of the evidence with respect to log α_g vanishes.

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
from marquardt.bayesian.noise import Noise
from marquardt.bayesian.prior_groups import PriorGroups
from marquardt.linsolve import Factor, SingularSystemError


@dataclass(frozen=True)
class Precisions:
    """α (G,) of the groups and β of the noise, 1 for classes."""

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
    n_iter: int = 0
    """Steps of the run before it."""

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
        α of every group at the start.  Smaller values let the network overfit before the first
        re-estimation, larger ones drive its weights to zero (`benchmarks/evidence.py`).
    factor : float
        No precision changes by more than this in one re-estimation.
    smallest, largest : float
        Limits of α_g.  Without the lower one the formulas can run away, first weights towards zero and last
        ones towards infinity, which cancel (60 inputs, 2 of which count: 6 times the error).  0.05, weights
        of a standard deviation of 4.5, is the largest of 0.05, 0.1, 0.2, 0.35 and 0.5 that still let 20 units
        follow 5 periods of a sine.
    """

    shape: float = 1e-3
    rate: float = 1e-5
    initial: float = 1.0
    factor: float = 10.0
    smallest: float = 0.05
    largest: float = 1e8

    def __post_init__(self) -> None:
        if not (self.shape >= 0 and self.rate >= 0 and self.factor > 1):
            raise ValueError(
                f"shape={self.shape!r} and rate={self.rate!r} must be >= 0, factor={self.factor!r} above 1"
            )
        if not 0 < self.smallest <= self.initial <= self.largest:
            raise ValueError(
                f"smallest={self.smallest!r}, initial={self.initial!r} and largest={self.largest!r} must be "
                "positive and in this order"
            )


CLASS_RULE = PrecisionRule(smallest=0.25)
"""For classes: no group of weights may spread by more than 2, or classes that can be separated would send the
weights, and with them the uncertainty of the logits, far off.  The mean log loss of the five sets of
`benchmarks/evidence.py` over 5 folds, one precision an input, is 0.279 without the limit and 0.234 with it;
0.5 and 1 do as well."""


@dataclass(frozen=True)
class PrecisionModel:
    """The evidence of one data set: groups, likelihood, and the rule."""

    groups: PriorGroups
    noise: Noise
    rule: PrecisionRule

    def prior(self, precisions: Precisions) -> FloatArray:
        """S₀ (p,)."""
        return self.groups.spread(precisions.ratio)

    def start(self) -> Precisions:
        """Where the search for the precisions begins."""
        return Precisions(np.full(len(self.groups), self.rule.initial), self.noise.start)

    def evidence_of(
        self,
        curvature: Curvature,
        w: FloatArray,
        data_cost: float,
        precisions: Precisions,
        guards: Counter[str],
    ) -> Evidence:
        """The evidence at w, with S₀ raised where the Hessian would be singular.

        Raises
        ------
        SingularSystemError
            When no S₀ helps.
        """
        while True:
            try:
                factor = curvature.factor(self.prior(precisions))
            except SingularSystemError:
                if not precisions.ratio.max() < 1e300:
                    raise
                precisions = self._stiffer(precisions)
                guards["singular"] += 1
            else:
                return self.evidence(factor, w, data_cost, precisions)

    def _stiffer(self, precisions: Precisions) -> Precisions:
        """S₀ times the factor of the rule: by the noise where it is free, else by the weights."""
        factor = self.rule.factor
        noise = self.noise.lowered(precisions.noise, factor)
        if noise is None:
            return replace(precisions, weights=precisions.weights * factor)
        return replace(precisions, noise=noise)

    def evidence(self, factor: Factor, w: FloatArray, data_cost: float, precisions: Precisions) -> Evidence:
        """The evidence of `precisions` at w, from the factor of JᵀJ + S₀ there, which may be used up."""
        alpha, beta, counts = precisions.weights, precisions.noise, self.groups.counts
        logdet = factor.logdet() + len(w) * np.log(beta)
        determined = factor.determined(self.prior(precisions), self.groups.index, len(counts))
        effective = np.clip(determined, 0.0, counts)
        energy = beta * data_cost + 0.5 * float(alpha @ self.groups.sums(w * w))
        occam = 0.5 * (float(counts @ np.log(alpha)) - logdet)
        return Evidence(precisions, effective, float(occam - energy + self.noise.normalizer(beta)))

    def reestimated(self, now: Evidence, w: FloatArray, data_cost: float, guards: Counter[str]) -> Precisions:
        """The next precisions; `guards` counts what kept them from where the formulas lead."""
        rule, old = self.rule, now.precisions
        beta = self.noise.reestimated(old.noise, now.total, data_cost, guards)
        squares = self.groups.sums(w * w) + 2.0 * rule.rate
        # a group whose weights are all zero, without a hyperprior: as precise as it gets
        alpha = np.full_like(squares, rule.largest)
        np.divide(now.effective + 2.0 * rule.shape, squares, out=alpha, where=squares > 0)
        limited = np.clip(alpha, rule.smallest, rule.largest)
        for group in np.flatnonzero(alpha > rule.largest):  # at the lower limit sound fits stand too
            guards[self.groups.names[group]] += 1
        alpha = np.clip(limited, old.weights / rule.factor, old.weights * rule.factor)
        beta = float(np.clip(beta, old.noise / rule.factor, old.noise * rule.factor))
        return Precisions(alpha, beta)

    def notes(self, guards: Counter[str]) -> list[str]:
        """What the guards did, in sentences."""
        return [
            self.noise.explained(name, _times(count))
            or f"precision of {name} held at its limit ({_times(count)})"
            for name, count in guards.items()
        ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
