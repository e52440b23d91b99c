"""What a fit by the evidence returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from marquardt._types import FloatArray
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import Evidence
from marquardt.bayesian.prior_groups import PriorGroups
from marquardt.problem import NetworkProblem
from marquardt.result import Result


@dataclass(frozen=True)
class EvidenceResult:
    """The outcome of `maximize_evidence`: parameters and precisions of the highest evidence seen."""

    result: Result
    """Parameters, status and history; costs are C_D + ½wᵀS₀w under the S₀ = α/β of their time."""
    groups: PriorGroups
    weight_precision: FloatArray
    """α (G,)."""
    noise_precision: float
    """β; 1 for known noise and for classes."""
    effective_parameters: FloatArray
    """γ (G,), between 0 and the number of parameters in the group."""
    log_evidence: float
    constant_log_evidence: float
    """That of the mean of the targets, the frequencies of the classes, or zero: a network below it has
    found nothing."""
    updates: tuple[Evidence, ...] = field(repr=False)
    """The evidence at every re-estimation, in order."""
    notes: tuple[str, ...]
    """What the guards did, in sentences."""
    posterior: Posterior | None = field(repr=False)
    """For error bars; None when the run could not start or its Hessian is singular."""

    @property
    def w(self) -> FloatArray:
        """The parameters (n_params,)."""
        return self.result.w

    @property
    def prior(self) -> FloatArray:
        """S₀ = α/β (n_params,)."""
        return self.groups.spread(self.weight_precision / self.noise_precision)

    def posterior_at(self, problem: NetworkProblem) -> Posterior:
        """The posterior about `w` on the rows of a problem, made again.

        Raises
        ------
        SingularSystemError, MemoryError
            As `Posterior.at`.
        """
        prior = self.prior
        return Posterior.at(problem.with_prior(prior), self.w, prior, self.noise_precision)

    @property
    def n_effective(self) -> float:
        """γ of all parameters."""
        return float(self.effective_parameters.sum())

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise, 1/√β, in the units of the targets; of a row of weight 1."""
        return self.noise_precision**-0.5

    @property
    def relevance(self) -> FloatArray | None:
        """Of each input: the prior spread 1/√α of its weights over the largest one, (n_inputs,); None unless
        every input has a precision of its own."""
        if not self.groups.inputs:
            return None
        spread = self.weight_precision[list(self.groups.inputs)] ** -0.5
        return spread / np.max(spread)

    @property
    def message(self) -> str:
        """Why the run ended, and what the guards did."""
        return " ".join([self.result.message, *(f"Note: {note}." for note in self.notes)])
