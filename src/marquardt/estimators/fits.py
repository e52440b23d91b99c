"""How a network is trained from one start: at a given penalty, or at the one that the evidence asks for.

A fit is a problem with everything settled but the start.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from marquardt._types import FloatArray
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.noise import NoiseOf, usual_noise
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import Grouping, input_groups
from marquardt.bayesian.schedule import Schedule
from marquardt.growing_rows import GrowingRows
from marquardt.linsolve import SingularSystemError
from marquardt.lm import Callback, minimize_by
from marquardt.losses import Robust
from marquardt.method import Method
from marquardt.problem import NetworkProblem
from marquardt.result import Result, Status
from marquardt.robust_fit import RobustFit, fit_robustly
from marquardt.run_record import Checkpoints
from marquardt.stopping import Stopping


@dataclass(frozen=True)
class Trained:
    """What one start gave."""

    result: Result
    evidence: EvidenceResult | None = None
    robust: RobustFit | None = None

    def light(self) -> Trained:
        """Without what is large and quick to make again: linearization, posterior."""
        result = replace(self.result, linearization=None)
        evidence = self.evidence
        return Trained(
            result,
            None if evidence is None else replace(evidence, result=result, posterior=None),
            None if self.robust is None else replace(self.robust, result=result),
        )

    def posterior(self, problem: NetworkProblem) -> Posterior | None:
        """About its parameters, on the rows of `problem`: under the penalty that the evidence found, else
        under that of `problem`.

        None where the Hessian is singular or does not fit into memory.
        """
        if self.result.status is Status.NO_FINITE_START:
            return None
        with suppress(SingularSystemError, MemoryError):  # the notes of the evidence have said so
            if self.evidence is not None:
                return self.evidence.posterior_at(problem)
            return Posterior.under_own_prior(problem, self.result.w)
        return None


class Fit(Protocol):
    """The contract of a fit."""

    def __call__(
        self, w0: FloatArray, callback: Callback | None, checkpoint: Checkpoints | None = None
    ) -> Trained:
        """Train from w0 (n_params,), or go on from a checkpoint."""
        ...


@dataclass(frozen=True)
class PlainFit:
    """The cost of a problem minimized as it is, penalty included."""

    problem: NetworkProblem
    method: Method
    stopping: Stopping
    validation: NetworkProblem | None = None
    rows: GrowingRows | None = None

    def __call__(
        self, w0: FloatArray, callback: Callback | None, checkpoint: Checkpoints | None = None
    ) -> Trained:
        validation = None if self.validation is None else self.validation.cost
        return Trained(
            minimize_by(
                self.method,
                self.problem,
                w0,
                stopping=self.stopping,
                callback=callback,
                validation=validation,
                checkpoint=checkpoint,
                rows=self.rows,
            )
        )


@dataclass(frozen=True)
class ReweightedFit:
    """A robust penalty in place of the square, its scale estimated from the errors."""

    problem: NetworkProblem
    penalty: Robust
    method: Method
    stopping: Stopping
    validation: NetworkProblem | None = None

    def __call__(
        self, w0: FloatArray, callback: Callback | None, checkpoint: Checkpoints | None = None
    ) -> Trained:
        fit = fit_robustly(
            self.problem,
            w0,
            self.penalty,
            minimizer=partial(minimize_by, self.method),
            stopping=self.stopping,
            callback=callback,
            validation=self.validation,
            checkpoint=checkpoint,
        )
        return Trained(fit.result, robust=fit)


@dataclass(frozen=True)
class EvidenceFit:
    """Penalty and noise found together with the parameters.

    The tolerance on the cost ends a fit under one set of precisions; the schedule ends the whole.
    """

    problem: NetworkProblem
    method: Method
    stopping: Stopping
    groups: Grouping = input_groups
    rule: PrecisionRule | None = None
    schedule: Schedule | None = None
    noise: NoiseOf = usual_noise
    rows: GrowingRows | None = None

    def __call__(
        self, w0: FloatArray, callback: Callback | None, checkpoint: Checkpoints | None = None
    ) -> Trained:
        fit = maximize_evidence(
            self.problem,
            w0,
            groups=self.groups,
            noise=self.noise,
            method=self.method,
            rule=self.rule,
            schedule=self.schedule,
            stopping=self.stopping,
            callback=callback,
            checkpoint=checkpoint,
            rows=self.rows,
            posterior=False,  # of the best starts alone, later
        )
        return Trained(fit.result, fit)
