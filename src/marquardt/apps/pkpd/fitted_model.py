"""A model fitted to subjects: its parameters, how sure they are, what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt import LeastSquaresFit, Status
from marquardt.apps.pkpd.identifiability import Identifiability, identifiability
from marquardt.apps.pkpd.population_task import Levels, PopulationTask
from marquardt.apps.pkpd.predictor import Model
from marquardt.apps.pkpd.regimen import Regimen
from marquardt.apps.pkpd.subjects import Subject

if TYPE_CHECKING:
    import pandas as pd

APART = 0.1
"""Two ends of runs are two minima when a parameter differs by more than this many standard errors."""


@dataclass(frozen=True)
class Starts:
    """Where runs from several starts ended."""

    costs: np.ndarray
    """(m,), in the weights of the first round."""
    reached: np.ndarray
    """Which ended at the best cost (m,)."""
    ends: np.ndarray
    """Parameters in their own units (m, p)."""
    n_failed: int
    """Starts where the model has no finite predictions."""
    names: tuple[str, ...]
    interrupted: bool = False
    """Whether Ctrl-C, or a callback, ended them before their number was full."""

    @property
    def share(self) -> float:
        """Of all starts, the failed ones included, those that reached the best cost."""
        return float(self.reached.sum()) / (len(self.costs) + self.n_failed)

    @property
    def notes(self) -> list[str]:
        said = []
        n = len(self.costs) + self.n_failed
        if n > 1 and self.reached.sum() < n:
            said.append(f"{int(self.reached.sum())} of {n} starts reached the best cost")
        if self.n_failed:
            said.append(f"{self.n_failed} starts had no finite predictions")
        if self.interrupted:
            said.append(
                "interrupted: the weights are those of the first round, and no further start was tried"
            )
        return said


@dataclass(frozen=True)
class FittedModel:
    """A model fitted by `fit_pooled`, or to one subject by `fit_two_stage`."""

    task: PopulationTask
    """The problem: subjects, predictor, error models."""
    statistics: LeastSquaresFit
    """In the parameters of the task: logarithms, apart from those named in real=."""
    levels: Levels
    """Of the error model of each endpoint."""
    starts: Starts
    notes_of_data: tuple[str, ...] = ()

    # -- estimates -----------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        return self.task.predictor.model

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return self.task.members

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fitted parameters (p,)."""
        return self.task.predictor.free

    @cached_property
    def theta(self) -> np.ndarray:
        """Fitted parameters (p,)."""
        return self.task.theta(self.statistics.w)

    @property
    def params(self) -> dict[str, float]:
        """All parameters, fixed ones included."""
        fitted = dict(zip(self.names, self.theta.tolist(), strict=True))
        return fitted | dict(self.task.predictor.fixed)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the fitted parameters in their own units (p, p), by the delta method."""
        stretch = self.task.stretch(self.theta)
        return self.statistics.covariance() * np.outer(stretch, stretch)

    @property
    def standard_errors(self) -> dict[str, float]:
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def relative_errors(self) -> dict[str, float]:
        """Standard errors over estimates."""
        return {name: abs(e / self.params[name]) for name, e in self.standard_errors.items()}

    def correlations(self) -> np.ndarray:
        """Of the fitted parameters (p, p)."""
        return self.statistics.correlations()

    def intervals(self, *names: str, coverage: float = 0.95) -> dict[str, tuple[float, float]]:
        """By the profile likelihood, with the weights of this fit held; of all parameters without names.

        An end is infinite (or 0) where the data set no limit.
        """
        found = self.statistics.conf_interval(*names, coverage=coverage)
        answer = {}
        for name, interval in found.items():
            signed = not self.task.positive[self.names.index(name)]
            low, high = float(interval.low), float(interval.high)
            with np.errstate(over="ignore"):
                answer[name] = (low, high) if signed else (float(np.exp(low)), float(np.exp(high)))
        return answer

    def derived(self, function: Callable[[dict[str, Any]], Any]) -> tuple[float, float]:
        """A number made of parameters, and its standard error by the delta method.

        ``fit.derived(lambda p: p["v"] / p["cl"] * np.log(2))`` is a half-life.
        """
        p = len(self.names)
        held = dict(self.task.predictor.fixed)

        def at(theta: np.ndarray) -> float:
            return float(function(dict(zip(self.names, theta.tolist(), strict=True)) | held))

        slopes = np.empty(p)
        for k in range(p):
            step = np.zeros(p)
            step[k] = 1e-5 * (abs(self.theta[k]) or 1.0)
            slopes[k] = (at(self.theta + step) - at(self.theta - step)) / (2 * step[k])
        touched = slopes != 0
        variance = slopes[touched] @ self.covariance[np.ix_(touched, touched)] @ slopes[touched]
        return at(self.theta), float(np.sqrt(variance))

    def identifiability(self) -> Identifiability:
        """What the data say of each parameter, in words."""
        sizes = np.where(self.task.positive, 1.0, np.maximum(np.abs(self.theta), 1e-300))
        return identifiability(self.statistics, sizes)

    # -- quality -------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return self.statistics.status

    @property
    def message(self) -> str:
        return "\n".join([self.statistics.message, *(f"Note: {note}." for note in self.notes)])

    @property
    def success(self) -> bool:
        return self.statistics.success

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C, or a callback, ended it."""
        return self.starts.interrupted or self.status is Status.INTERRUPTED

    @cached_property
    def predictions(self) -> np.ndarray:
        """Of the observations (n,)."""
        return self.task.predictions(self.statistics.w)

    @cached_property
    def noise(self) -> np.ndarray:
        """Standard deviations of the observations (n,)."""
        return self.task.sd(self.predictions, self.levels)

    @property
    def rss(self) -> float:
        """Σ (y − f)² of measured values, without weights."""
        batch = self.task.batch
        return float(((batch.values - self.predictions)[~batch.censored] ** 2).sum())

    @property
    def residual_sd(self) -> float:
        """√(rss / (n − p)): of one endpoint with constant error."""
        dof = self.statistics.degrees_of_freedom
        return float(np.sqrt(self.rss / dof)) if dof > 0 else float("nan")

    @property
    def minus_twice_log_likelihood(self) -> float:
        """Σ r² + 2 log σ + log 2π of measured values, −2 log Φ of censored ones."""
        measured = ~self.task.batch.censored & np.isfinite(self.noise)
        r = self.statistics.residual
        sd = self.task.scaled_sd(self.predictions, self.levels)
        sd = sd * np.where(self.task.on_logs, np.abs(self.task.batch.values), 1.0)  # d log y = dy/y
        return float((r**2).sum() + (2 * np.log(sd[measured]) + np.log(2 * np.pi)).sum())

    @property
    def aic(self) -> float:
        """The levels of the error model count as parameters."""
        n_levels = sum(len(level) for level in self.levels.values())
        return self.minus_twice_log_likelihood + 2 * (len(self.names) + n_levels)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know of this fit, in sentences."""
        said = list(self.notes_of_data)
        if not self.status.converged:
            said.append(f"the fit has not converged: {self.statistics.message}")
        batch = self.task.batch
        if batch.censored.any():
            said.append(
                f"{int(batch.censored.sum())} of {len(batch)} observations lie below the limit of "
                "quantification; they count by their likelihood (M3)"
            )
        idle = int(np.isinf(self.noise).sum())
        if idle:
            said.append(
                f"{idle} observations have no weight: the model predicts nothing there, and their error is "
                "proportional to the prediction; so likelihood and AIC do not count them either"
            )
        said += self._other_optima()
        return tuple(dict.fromkeys(said))

    def _other_optima(self) -> list[str]:
        """Runs that ended at the same cost elsewhere."""
        errors = np.sqrt(np.diag(self.covariance))
        scale = np.where(np.isfinite(errors) & (errors > 0), errors, np.abs(self.theta) + 1e-300)
        known, said = [self.starts.ends[self.starts.costs.argmin()]], []
        for end in self.starts.ends[self.starts.reached]:
            if np.isfinite(errors).all() and all((np.abs(end - w) > APART * scale).any() for w in known):
                known.append(end)
                listed = ", ".join(f"{n} = {v:.4g}" for n, v in zip(self.names, end, strict=True))
                said.append(f"another optimum of equal cost: {listed}; the data cannot tell them apart")
        return said[:3]

    # -- predictions ---------------------------------------------------------------------------------

    def predict(
        self, subject: Subject | Regimen, times: ArrayLike, covariates: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Every endpoint at `times` (n,), after the regimen of a subject or any other."""
        if isinstance(subject, Regimen):
            subject = Subject("new", subject, {}, covariates or {})
        self.model.check(subject.regimen)
        t = np.atleast_1d(np.asarray(times, dtype=float))
        if not (np.isfinite(t).all() and (t >= 0).all()):
            raise ValueError(f"times={times!r} must be finite numbers of at least 0")
        course = self.task.predictor.course(self.theta, subject, t)
        return {name: course[:, k] for k, name in enumerate(self.model.outputs)}

    def noise_of(self, endpoint: str, predicted: ArrayLike) -> np.ndarray:
        """Standard deviations of new observations of an endpoint at predictions (n,)."""
        if endpoint not in self.levels:
            raise ValueError(f"there is no endpoint {endpoint!r}: there are {', '.join(self.levels)}")
        return self.task.errors[endpoint].sd(np.asarray(predicted, dtype=float), self.levels[endpoint])

    def table(self) -> pd.DataFrame:
        """One row an observation: id, time, endpoint, observed, predicted, sd, residual, weighted_residual,
        censored."""
        import pandas as pd

        batch, outputs = self.task.batch, self.model.outputs
        return pd.DataFrame(
            {
                "id": [self.subjects[s].id for s in batch.subject],
                "time": batch.times[batch.subject, batch.moment],
                "endpoint": [outputs[k] for k in batch.endpoint],
                "observed": batch.values,
                "predicted": self.predictions,
                "sd": self.noise,
                "residual": batch.values - self.predictions,
                "weighted_residual": (batch.values - self.predictions) / self.noise,
                "censored": batch.censored,
            }
        )

    # -- reports -------------------------------------------------------------------------------------

    def report(self) -> str:
        """Estimates with errors, residual error, what is determined and what is not, notes."""
        n, p = len(self.task.batch), len(self.names)
        lines = [
            f"{len(self.subjects)} subjects, {n} observations, {p} parameters; {self.status.name}, "
            f"-2 log L = {self.minus_twice_log_likelihood:.6g}, AIC = {self.aic:.6g}",
            f"{'parameter':<12}{'estimate':>12}{'std. error':>12}{'RSE %':>9}",
        ]
        errors, relative = self.standard_errors, self.relative_errors
        for name in self.names:
            lines.append(
                f"{name:<12}{self.params[name]:>12.5g}{errors[name]:>12.4g}{100 * relative[name]:>9.3g}"
            )
        lines += [f"{name:<12}{value:>12.5g}       fixed" for name, value in self.task.predictor.fixed]
        for name, level in self.levels.items():
            shown = ", ".join(
                f"{word} {v:.4g}" for word, v in zip(self.task.errors[name].names, level, strict=True)
            )
            lines.append(f"error of {name}: {shown}")
        lines += ["identifiability", str(self.identifiability())]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.6g}" for name, value in list(self.params.items())[:8])
        return f"FittedModel({self.status.name}, rss={self.rss:.6g}, {shown})"
