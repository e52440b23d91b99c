"""A model fitted to subjects: its parameters, how sure they are, what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from scipy.stats import t as student

from marquardt import LeastSquaresFit, Status
from marquardt.apps.pkpd.astray import astray
from marquardt.apps.pkpd.identifiability import Identifiability, identifiability
from marquardt.apps.pkpd.population_task import Levels, PopulationTask
from marquardt.apps.pkpd.predictor import Model
from marquardt.apps.pkpd.regimen import Regimen
from marquardt.apps.pkpd.starts import Starts
from marquardt.apps.pkpd.subjects import Subject

if TYPE_CHECKING:
    import pandas as pd

FARTHEST = 100.0
"""Of a logarithm: no unit makes a parameter of e¹⁰⁰ or e⁻¹⁰⁰."""


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
    cut_short: bool = False
    """Whether Ctrl-C or a callback came before all that was to be fitted had been."""
    twins: tuple[np.ndarray, ...] = ()
    """Other optima of equal cost, in the weights of this fit: parameters (p,) in their own units."""

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
    def _informative(self) -> LeastSquaresFit:
        return self.task.informative(self.statistics, self.levels)

    @cached_property
    def free_covariance(self) -> np.ndarray:
        """Of the parameters as they are fitted, logarithms as a rule (p, p): the inverse of the information.

        The levels of the error are estimated already, so that residuals have the standard deviation 1.
        """
        return self._informative.covariance(absolute_sigma=True)

    @property
    def covariance(self) -> np.ndarray:
        """Of the fitted parameters in their own units (p, p), by the delta method."""
        stretch = self.task.stretch(self.theta)
        with np.errstate(invalid="ignore"):  # a parameter that ran to 0 has an infinite relative error
            return self.free_covariance * np.outer(stretch, stretch)

    @cached_property
    def degrees_of_freedom(self) -> float:
        """n − p: a censored value is as much of an observation as it tells of the parameters, one without
        weight is none."""
        return float(self.task.information(self.statistics, self.levels).sum()) - len(self.names)

    @property
    def standard_errors(self) -> dict[str, float]:
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def relative_errors(self) -> dict[str, float]:
        """Standard errors over estimates."""
        with np.errstate(all="ignore"):  # of a parameter that ran to 0
            relative = np.sqrt(np.diag(self.covariance)) / np.abs(self.theta)
        return dict(zip(self.names, relative.tolist(), strict=True))

    def correlations(self) -> np.ndarray:
        """Of the fitted parameters (p, p)."""
        return self._informative.correlations()

    def intervals(self, *names: str, coverage: float = 0.95) -> dict[str, tuple[float, float]]:
        """By the profile likelihood, with the weights of this fit held; of all parameters without names.

        Ends lie where Student's t of `degrees_of_freedom` puts them.  An end is infinite (or 0) where the
        data set no limit.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage!r} must lie between 0 and 1, e.g. 0.95")
        if not self.degrees_of_freedom > 0:
            raise ValueError(
                f"{self.degrees_of_freedom:.3g} degrees of freedom: measure more, or fix parameters"
            )
        # the levels are in the residuals, so that τ is to be held against a number: that of t, as a coverage
        # of the normal (which ends at 8, so that with one degree of freedom 95 % have 8 errors, not 12.7)
        known = 1 - 2 * norm.sf(student.ppf(0.5 + 0.5 * coverage, self.degrees_of_freedom))
        known = min(float(known), 1 - 1e-15)
        found = self.statistics.conf_interval(*names, coverage=known, absolute_sigma=True)
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
        return identifiability(self._informative, sizes, absolute_sigma=True)

    # -- quality -------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return self.statistics.status

    @property
    def message(self) -> str:
        return "\n".join([self.statistics.message, *(f"Note: {note}." for note in self.notes)])

    @property
    def success(self) -> bool:
        """False where the run failed, and where its end is no minimum: a note says why, and what to do."""
        return self.statistics.success and not self.astray

    @cached_property
    def astray(self) -> str:
        """Why the end of the run is no minimum, in words; empty where it is one."""
        return astray(self)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C, or a callback, ended it."""
        return self.cut_short or self.starts.interrupted or self.status.by_hand

    @cached_property
    def predictions(self) -> np.ndarray:
        """Of the observations (n,)."""
        return self.task.predictions(self.statistics.w)

    @cached_property
    def noise(self) -> np.ndarray:
        """Standard deviations of the observations (n,)."""
        return self.task.sd(self.predictions, self.levels)

    @property
    def weighted_residuals(self) -> np.ndarray:
        """Observed beside predicted (n,), as the error model weighs them: standard normal when all is right,
        0 without weight."""
        answer = np.zeros(len(self.task.batch))
        for name, error in self.task.errors.items():
            mine = self.task.rows(name)
            y, f = self.task.batch.values[mine], self.predictions[mine]
            answer[mine] = error.residual(y, f, np.asarray(self.levels[name]))
        return answer

    @property
    def rss(self) -> float:
        """Σ (y − f)² of measured values, without weights."""
        batch = self.task.batch
        return float(((batch.values - self.predictions)[~batch.censored] ** 2).sum())

    @property
    def residual_sd(self) -> float:
        """√(rss / (n − p)), n measured values: of one endpoint with constant error."""
        dof = int((~self.task.batch.censored).sum()) - len(self.names)
        return float(np.sqrt(self.rss / dof)) if dof > 0 else float("nan")

    @cached_property
    def counted(self) -> np.ndarray:
        """Which observations have a weight (n,), and count in the likelihood."""
        return self.task.batch.censored | np.isfinite(self.noise)

    @cached_property
    def denied(self) -> np.ndarray:
        """Which have none although something was measured there (n,): the model says nothing of them."""
        return ~self.counted & (self.task.batch.values != 0)

    @cached_property
    def deviances(self) -> np.ndarray:
        """−2 log of the likelihood of each observation (n,): r² + 2 log σ + log 2π of measured values,
        −2 log Φ of censored ones, 0 of those without weight."""
        measured = ~self.task.batch.censored & self.counted
        sd = self.task.scaled_sd(self.predictions, self.levels)
        sd = sd * np.where(self.task.on_logs, np.abs(self.task.batch.values), 1.0)  # d log y = dy/y
        width = 2 * np.log(np.where(measured, sd, 1.0)) + np.log(2 * np.pi)
        return self.statistics.residual**2 + np.where(measured, width, 0.0)

    @property
    def minus_twice_log_likelihood(self) -> float:
        """The sum of `deviances`."""
        return float(self.deviances.sum())

    @property
    def _n_estimated(self) -> int:
        """The levels of the error model count as parameters."""
        return len(self.names) + sum(len(level) for level in self.levels.values())

    @property
    def aic(self) -> float:
        """−2 log L + 2 k, k parameters and levels of the error (H. Akaike 1974).  Fits are comparable when
        the same observations count."""
        return self.minus_twice_log_likelihood + 2 * self._n_estimated

    @property
    def bic(self) -> float:
        """−2 log L + k log n, n observations that count (G. Schwarz 1978)."""
        return self.minus_twice_log_likelihood + float(np.log(self.counted.sum())) * self._n_estimated

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know of this fit, in sentences."""
        said = list(self.notes_of_data)
        if not self.status.converged:
            said.append(f"the fit has not converged: {self.statistics.message}")
        if self.astray:
            said.append(f"the fit went astray: {self.astray}")
        said += self._run_away()
        batch = self.task.batch
        if batch.censored.any() and not any("(M3)" in note for note in said):  # the data's own notes may tell
            said.append(
                f"{int(batch.censored.sum())} of {len(batch)} observations lie below the limit of "
                "quantification; they count by their likelihood (M3)"
            )
        idle = int((~self.counted).sum())
        if idle:
            said.append(
                f"{idle} observations have no weight: the model predicts nothing there, and their error is "
                "proportional to the prediction; likelihood, AIC and BIC do not count them either: compare "
                "them with those of fits that leave out the same only"
            )
        said += self._negative_values()
        for twin in self.twins:
            listed = ", ".join(f"{n} = {v:.4g}" for n, v in zip(self.names, twin, strict=True))
            said.append(f"another optimum of equal cost: {listed}; the data cannot tell them apart")
        return tuple(dict.fromkeys(said))

    def _run_away(self) -> list[str]:
        """Parameters without a limit on one side."""
        u, positive = self.statistics.w, self.task.positive
        return [
            f"{name} has run to {theta:.3g}: the data set it no limit there, or the start was far off; try "
            f"other starts (n_starts=20), or hold it by fixed={{{name!r}: ...}}"
            for name, theta, far in zip(
                self.names, self.theta, positive & (np.abs(u) > FARTHEST), strict=True
            )
            if far
        ]

    def _negative_values(self) -> list[str]:
        """Where the model predicts none."""
        said = []
        for name in self.task.errors:
            mine = self.task.rows(name)
            y, f = self.task.batch.values[mine], self.predictions[mine]
            if (y < 0).any() and not (f < 0).any():
                said.append(
                    f"{int((y < 0).sum())} of {len(y)} values of {name} are negative, down to {y.min():.3g}, "
                    "and the model predicts none below 0: if they are no errors of the table, say what lies "
                    "below the limit of quantification (limit=)"
                )
        return said

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
                "weighted_residual": self.weighted_residuals,
                "censored": batch.censored,
            }
        )

    # -- reports -------------------------------------------------------------------------------------

    def report(self) -> str:
        """Estimates with errors, residual error, what is determined and what is not, notes."""
        n, p = len(self.task.batch), len(self.names)
        lines = [
            f"{len(self.subjects)} subjects, {n} observations, {p} parameters; {self.status.name}, "
            f"-2 log L = {self.minus_twice_log_likelihood:.6g}, AIC = {self.aic:.6g}, BIC = {self.bic:.6g}",
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


def likeliest(fits: Sequence[FittedModel]) -> FittedModel:
    """Of fits to the same observations: the one that leaves fewest of them without a prediction, and of those
    the likeliest for the observations that count in all.

    A likelihood alone would favor the fit that predicts nothing where another predicts badly.
    """
    counted = np.all([fit.counted for fit in fits], axis=0)
    return min(fits, key=lambda fit: (int(fit.denied.sum()), float(fit.deviances[counted].sum())))
