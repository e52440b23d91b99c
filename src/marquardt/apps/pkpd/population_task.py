"""The least-squares problem of a model over subjects: logarithms of parameters, weights of an error model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from marquardt import LeastSquaresFit, Status, Stopping, least_squares
from marquardt.apps.pkpd.deadline import NEVER, Deadline
from marquardt.apps.pkpd.error_models import ErrorModel
from marquardt.apps.pkpd.predictor import Predictor
from marquardt.apps.pkpd.subjects import Batch, Subject
from marquardt.apps.pkpd.weighted_residuals import expected_squares, information, residual, slope

MOST_ROUNDS = 25
"""Of weights and fits in turn: 4 to 12 are usual."""
SAME_LEVELS = 1e-5
"""Levels of the error that change by less than this fraction have converged: far below their own errors."""
MOST_ITERATIONS = 300
"""Of a run: usual ones take 10 to 40; a parameter that the data do not limit runs on for ever."""

SHIFT = 1e-4
"""Of an observation y: log(f + shift y) is compared with log(y + shift y), so that predictions of nothing,
and the rounding of an integration near it, have a smooth logarithm.  Weights change by that fraction."""

Levels = Mapping[str, np.ndarray]
"""Of the error model of each endpoint."""


class Weighed(NamedTuple):
    """A fit in the weights that belong to it."""

    fit: LeastSquaresFit
    levels: Levels
    settled: bool
    """Whether the levels stayed in the last round."""


@dataclass(frozen=True)
class PopulationTask:
    """Parameters u = log θ, or θ itself where `positive` is false.

    Parameters
    ----------
    predictor : Predictor
    members : sequence of Subject
    batch : Batch
        Of the members.
    errors : mapping of endpoint to ErrorModel
    endpoints : tuple of str
        In the order of the batch.
    positive : array of bool (p,)
    options : mapping
        Further arguments of `least_squares`.
    """

    predictor: Predictor
    members: tuple[Subject, ...]
    batch: Batch
    errors: Mapping[str, ErrorModel]
    endpoints: tuple[str, ...]
    positive: np.ndarray
    options: Mapping[str, Any] = field(default_factory=dict)

    # -- scales --------------------------------------------------------------------------------------

    def theta(self, u: np.ndarray) -> np.ndarray:
        """Parameters in their own units (p,)."""
        with np.errstate(over="ignore"):
            return np.where(self.positive, np.exp(np.where(self.positive, u, 0.0)), u)

    def free(self, theta: np.ndarray) -> np.ndarray:
        """u of parameters."""
        return np.where(self.positive, np.log(np.where(self.positive, theta, 1.0)), theta)

    def stretch(self, theta: np.ndarray) -> np.ndarray:
        """∂θ/∂u (p,)."""
        return np.where(self.positive, theta, 1.0)

    # -- predictions and their errors ----------------------------------------------------------------

    def predictions(self, u: np.ndarray) -> np.ndarray:
        """(n,); NaN where the model has no solution."""
        return self.predictor.values(self.theta(u), self.batch, self.members)

    def weighed(self, f: np.ndarray) -> np.ndarray:
        """Which observations the error models give a weight at predictions f (n,)."""
        answer = np.ones(len(self.batch), dtype=bool)
        for name, error in self.errors.items():
            mine = self.rows(name)
            answer[mine] = np.isfinite(error.sd(f[mine], np.ones(len(error.names))))
        return answer

    def rows(self, endpoint: str) -> np.ndarray:
        """Which observations are of an endpoint (n,)."""
        return self.batch.endpoint == self.endpoints.index(endpoint)

    def sd(self, f: np.ndarray, levels: Levels) -> np.ndarray:
        """Standard deviations (n,) at predictions f."""
        sd = np.ones(len(self.batch))
        for name, error in self.errors.items():
            mine = self.rows(name)
            sd[mine] = error.sd(f[mine], levels[name])
        # a prediction of nothing agrees with "below the limit"
        return np.where(np.isinf(sd) & self.batch.censored, 1e-3 * np.abs(self.batch.values), sd)

    @cached_property
    def on_logs(self) -> np.ndarray:
        """Which observations are compared as logarithms (n,)."""
        chosen = np.zeros(len(self.batch), dtype=bool)
        for name, error in self.errors.items():
            if error.logarithmic:
                chosen |= self.rows(name)
        if (bad := chosen & (self.batch.values <= 0)).any():
            raise ValueError(
                f"{int(bad.sum())} observations are 0 or less, and have no logarithm: leave them out, say "
                "what lies below the limit of quantification (limit=), or take error=Proportional()"
            )
        return chosen

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Predictions or observations as they are compared (n,)."""
        if not self.on_logs.any():
            return values
        shifted = np.where(self.on_logs, values + SHIFT * np.abs(self.batch.values), 1.0)
        with np.errstate(invalid="ignore"):
            return np.where(self.on_logs, np.log(shifted), values)

    def scale_slope(self, f: np.ndarray) -> np.ndarray:
        """∂scaled(f)/∂f (n,)."""
        if not self.on_logs.any():
            return np.ones(len(f))
        shifted = np.where(self.on_logs, f + SHIFT * np.abs(self.batch.values), 1.0)
        return np.where(self.on_logs, 1 / shifted, 1.0)

    def scaled_sd(self, f: np.ndarray, levels: Levels) -> np.ndarray:
        """Standard deviations of what is compared (n,)."""
        sd = self.sd(f, levels)
        for name, error in self.errors.items():
            if error.logarithmic:
                sd[self.rows(name)] = levels[name][0]
        return sd

    def first_levels(self) -> dict[str, np.ndarray]:
        """From the observations alone."""
        return {name: error.first(self.batch.values[self.rows(name)]) for name, error in self.errors.items()}

    def first_sd(self, levels: Levels) -> np.ndarray:
        """From the observations in place of predictions; tiny ones count as a tenth of the median."""
        sizes = np.abs(self.batch.values)
        for name in self.errors:
            mine = self.rows(name)
            sizes[mine] = np.maximum(sizes[mine], 0.1 * np.median(sizes[mine]) + 1e-300)
        return self.scaled_sd(sizes, levels)

    def levels(self, f: np.ndarray, sd: np.ndarray, n_params: int) -> dict[str, np.ndarray]:
        """From the residuals, for degrees of freedom rather than points; sd of what is compared."""
        y = self.scaled(self.batch.values)
        squares = expected_squares(self.scaled(f), y, self.batch.censored, sd)
        # Rows without weight are none of the n.  Censored ones are: with n/(n − p) on their expected squares
        # too, the level comes to rest where those that tell nothing of it no longer count.
        n = int(self.weighed(f).sum())
        squares = squares * (n / max(n - n_params, 1)) * np.where(self.on_logs, f * f, 1.0)
        found = {}
        for name, error in self.errors.items():
            mine = self.rows(name)
            level = error.levels(f[mine], squares[mine])
            # a perfect fit has no error to weigh by
            found[name] = np.maximum(level, 1e-12 * error.first(self.batch.values[mine]))
        return found

    # -- fits ----------------------------------------------------------------------------------------

    def run(
        self, u: np.ndarray, sd: np.ndarray, deadline: Deadline = NEVER, **options: Any
    ) -> LeastSquaresFit:
        """The minimum near u, for known standard deviations of what is compared."""
        y, censored = self.scaled(self.batch.values), self.batch.censored

        def r(u: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                return residual(self.scaled(self.predictions(u)), y, censored, sd)

        def jacobian(u: np.ndarray) -> np.ndarray:
            theta = self.theta(u)
            with np.errstate(all="ignore"):
                along = self.predictor.slopes(theta, self.batch, self.members) * self.stretch(theta)
                if not censored.any() and not self.on_logs.any():
                    return along / sd[:, None]
                f = self.predictions(u)
                return along * (slope(self.scaled(f), y, censored, sd) * self.scale_slope(f))[:, None]

        chosen = {**self.options, **options}
        stopping = chosen.pop("stopping", None) or Stopping(max_iter=MOST_ITERATIONS)
        return least_squares(
            r, u, jacobian, names=self.predictor.free, stopping=deadline.within(stopping), **chosen
        )

    def weigh(self, fit: LeastSquaresFit, first: Levels, deadline: Deadline = NEVER) -> Weighed:
        """Levels and fits in turn, until the levels stay, or someone or the deadline ends the fits."""
        levels = first
        try:
            for _ in range(MOST_ROUNDS):
                f = self.predictions(fit.w)
                new = self.levels(f, self.scaled_sd(f, levels), len(fit.w))
                change = max(
                    float(np.abs(np.log(new[name] / np.maximum(levels[name], 1e-300))).max()) for name in new
                )
                fit, levels = self.run(fit.w, self.scaled_sd(f, new), deadline), new
                if change < SAME_LEVELS:
                    return Weighed(fit, levels, True)
                if fit.status.by_hand or deadline.passed:
                    break
        except KeyboardInterrupt as error:  # between two fits: the driver keeps those within one
            return self.in_weights(interrupted(fit, error), levels)
        return Weighed(fit, levels, False)

    def in_weights(self, fit: LeastSquaresFit, first: Levels) -> Weighed:
        """A fit that was ended by hand, with the levels of its residuals; its parameters stay."""
        f = self.predictions(fit.w)
        levels = self.levels(f, self.scaled_sd(f, first), len(fit.w))
        at = self.run(fit.w, self.scaled_sd(f, levels), stopping=Stopping(max_iter=0), callback=None)
        return Weighed(replace(at, result=fit.result), levels, False)

    def information(self, fit: LeastSquaresFit, levels: Levels) -> np.ndarray:
        """How much of a measured value each observation is to the parameters (n,), 0 to 1."""
        f = self.predictions(fit.w)
        with np.errstate(all="ignore"):
            sd, y = self.scaled_sd(f, levels), self.scaled(self.batch.values)
            return information(self.scaled(f), y, self.batch.censored, sd)

    def informative(self, fit: LeastSquaresFit, levels: Levels) -> LeastSquaresFit:
        """The fit with the Jacobian whose JᵀJ is the information: rows of censored values have √(λ(λ + z))/σ
        in place of λ/(σ r)."""
        censored = self.batch.censored
        if not censored.any():
            return fit
        f = self.predictions(fit.w)
        with np.errstate(all="ignore"):
            sd, y = self.scaled_sd(f, levels), self.scaled(self.batch.values)
            share = np.sqrt(self.information(fit, levels)) / (slope(self.scaled(f), y, censored, sd) * sd)
        share = np.where(censored, np.where(np.isfinite(share), share, 0.0), 1.0)
        return replace(fit, jacobian=fit.jacobian * share[:, None])


def interrupted(fit: LeastSquaresFit, error: BaseException) -> LeastSquaresFit:
    """A fit after which Ctrl-C came."""
    status = Status.INTERRUPTED
    return replace(fit, result=replace(fit.result, status=status, message=status.value, error=error))


def task_of(
    predictor: Predictor,
    members: Sequence[Subject],
    errors: Mapping[str, ErrorModel],
    positive: np.ndarray,
    options: Mapping[str, Any],
    padding: tuple[int, int] = (1, 1),
) -> PopulationTask:
    """Of these subjects; doses and times padded to at least `padding`."""
    outputs = predictor.model.outputs
    batch = Batch.of(members, outputs, *padding)
    present = {name: errors[name] for k, name in enumerate(outputs) if (batch.endpoint == k).any()}
    return PopulationTask(predictor, tuple(members), batch, present, outputs, positive, options)
