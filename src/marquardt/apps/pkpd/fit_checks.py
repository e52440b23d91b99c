"""The checks of a fit of `fit_pooled` or `fit_two_stage`: goodness of fit, visual predictive check."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

try:
    import jax  # pyright: ignore[reportMissingImports]
except ImportError as _error:
    raise ImportError(
        "fits of pharmacometric models need JAX, which is not installed: pip install 'marquardt[pkpd]'"
    ) from _error

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pkpd.error_models import ErrorModel
from marquardt.apps.pkpd.fitted_model import FittedModel
from marquardt.apps.pkpd.goodness_of_fit import GoodnessOfFit, SubjectCurve
from marquardt.apps.pkpd.predictor import Predictor
from marquardt.apps.pkpd.subjects import Batch, Subject
from marquardt.apps.pkpd.two_stage import TwoStageFit
from marquardt.apps.pkpd.visual_check import VisualCheck, predictive_check
from marquardt.jax_models import double_precision

_MOST_CURVES = 40
"""Subjects that get smooth lines, twice as many as a picture shows."""


def goodness_of(
    fit: FittedModel | TwoStageFit, endpoint: str | None = None, *, unit: str = "", time_unit: str = ""
) -> GoodnessOfFit:
    """Observations beside predictions, of one endpoint.

    Of a two-stage fit population predictions are by the geometric means, individual ones by each subject's
    own parameters, with its own error.  Values below the limit of quantification are left out.

    Examples
    --------
    >>> from marquardt.apps.pkpd import Observations, Regimen, Subjects, fit_pooled, one_compartment
    >>> t, dose = np.array([1.0, 2.0, 4.0, 8.0]), Regimen.bolus(100.0)
    >>> y = 10 * np.exp(-0.2 * t) + 0.1 * np.array([1, -1, 1, -1])
    >>> subjects = Subjects([Subject("a", dose, {"conc": Observations(t, y)})])
    >>> fit = fit_pooled(one_compartment(), subjects, {"cl": 1.0, "v": 5.0})
    >>> goodness_of(fit).observed.round(3)
    array([8.287, 6.603, 4.593, 1.919])
    """
    parts = _parts(fit)
    tasks = [fit.task] if isinstance(fit, FittedModel) else [one.task for one in fit.values()]
    endpoint = _chosen(endpoint, list(dict.fromkeys(name for task in tasks for name in task.errors)))
    rows = [p.rows(endpoint) for p in parts]
    return GoodnessOfFit(
        _joined(p.time[r] for p, r in zip(parts, rows, strict=True)),
        _joined(p.batch.values[r] for p, r in zip(parts, rows, strict=True)),
        _joined(p.population[r] for p, r in zip(parts, rows, strict=True)),
        _joined(p.labels[r] for p, r in zip(parts, rows, strict=True)),
        _joined(p.sd[r] for p, r in zip(parts, rows, strict=True)),
        None
        if isinstance(fit, FittedModel)
        else _joined(p.individual[r] for p, r in zip(parts, rows, strict=True)),
        quantity=endpoint,
        unit=unit,
        time_unit=time_unit,
        curves=_curves(fit, parts, endpoint),
        weighted=_joined(p.weighted[r] for p, r in zip(parts, rows, strict=True)),
    )


def predictive_check_of(
    fit: FittedModel | TwoStageFit,
    endpoint: str | None = None,
    *,
    n_replicates: int = 500,
    bins: int | ArrayLike | None = None,
    corrected: bool = False,
    coverage: float = 0.95,
    random_state: int = 0,
) -> VisualCheck:
    """Simulate the study from its fit, and set the percentiles beside those observed.

    A pooled fit has residual error only.  Of a two-stage fit each replicate has new subjects: their
    parameters, logarithms as a rule, are normal with the covariance between subjects (errors of estimation
    taken off), and the residual error has the root mean square of the subjects' levels.  Errors are drawn by
    the error model: log-normal ones stay above 0.  A limit of quantification cuts observations and replicates
    alike.  Rows where the typical subject has no prediction to err from, before the first dose as a rule, are
    left out, and a note says so.

    Parameters
    ----------
    corrected : bool
        Prediction-corrected, for studies with several doses.
    bins, coverage
        As in `predictive_check`.
    """
    if n_replicates < 2:
        raise ValueError(f"n_replicates={n_replicates!r} must be at least 2, e.g. 500")
    tasks = [fit.task] if isinstance(fit, FittedModel) else [one.task for one in fit.values()]
    members = tuple(member for task in tasks for member in task.members)
    endpoint = _chosen(endpoint, list(dict.fromkeys(name for task in tasks for name in task.errors)))
    predictor = tasks[0].predictor
    batch = Batch.of(members, predictor.model.outputs)
    rng = np.random.default_rng(random_state)
    typical = _typical(fit)
    rows = np.flatnonzero(batch.endpoint == predictor.model.outputs.index(endpoint))
    error, levels = _error_of(fit, endpoint)
    typically = _courses(predictor, np.broadcast_to(typical, (1, len(members), len(typical))), batch, members)
    expected = batch.observed_of(typically)[0, rows]
    if not np.isfinite(expected).all():
        raise ValueError("the model has no solution for the typical parameters: nothing can be simulated")
    # of a prediction of nothing, before a dose, a relative error is none; nor can one divide by it
    told = np.isfinite(error.sd(expected, levels)) & ((expected > 0) | (not corrected))
    rows, expected, remarks = rows[told], expected[told], _left_out(told, corrected)
    simulated = np.broadcast_to(expected, (n_replicates, len(rows)))
    if isinstance(fit, TwoStageFit):
        drawn = _new_subjects(fit, n_replicates, rng)
        simulated = batch.observed_of(_courses(predictor, drawn, batch, members))[:, rows]
    simulated = error.draw(simulated, levels, rng)
    observed, censored = batch.values[rows], batch.censored[rows]
    if censored.any():
        limit = float(observed[censored].max())
        observed, simulated = np.maximum(observed, limit), np.maximum(simulated, limit)
    time = batch.times[batch.subject, batch.moment][rows]
    check = predictive_check(time, observed, simulated, bins=bins, coverage=coverage,
                             predicted=expected if corrected else None)  # fmt: skip
    return replace(check, remarks=remarks)


def _left_out(told: np.ndarray, corrected: bool) -> tuple[str, ...]:
    n = int((~told).sum())
    if not n:
        return ()
    if not told.any():
        raise ValueError(f"the model predicts nothing at all {n} observations: there is nothing to check")
    why = "the check divides by that" if corrected else "the error is proportional to that"
    return (f"{n} observations are left out: the typical prediction there is 0, and {why}",)


# -- what is in a fit --------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """The observations of a pooled fit, or of one subject (n,)."""

    predictor: Predictor
    endpoints: tuple[str, ...]
    batch: Batch
    labels: np.ndarray
    population: np.ndarray
    individual: np.ndarray
    sd: np.ndarray
    weighted: np.ndarray
    """Residuals of the individual predictions, as the error model weighs them."""

    def has(self, endpoint: str) -> bool:
        return endpoint in self.endpoints

    def rows(self, endpoint: str) -> np.ndarray:
        if not self.has(endpoint):
            return np.zeros(0, dtype=np.intp)
        own = (self.batch.endpoint == self.endpoints.index(endpoint)) & ~self.batch.censored
        return np.flatnonzero(own & np.isfinite(self.sd))

    @property
    def time(self) -> np.ndarray:
        return self.batch.times[self.batch.subject, self.batch.moment]


def _parts(fit: FittedModel | TwoStageFit) -> list[_Part]:
    typical = _typical(fit)
    answer = []
    for one in [fit] if isinstance(fit, FittedModel) else fit.values():
        task = one.task
        labels = np.array([str(member.id) for member in task.members])[task.batch.subject]
        population = task.predictor.values(typical, task.batch, task.members)
        weighted = np.zeros(len(task.batch))
        for name, error in task.errors.items():
            mine = task.rows(name)
            weighted[mine] = error.residual(
                task.batch.values[mine], one.predictions[mine], np.asarray(one.levels[name])
            )
        answer.append(
            _Part(
                task.predictor,
                task.endpoints,
                task.batch,
                labels,
                population,
                one.predictions,
                one.noise,
                weighted,
            )
        )
    return answer


def _typical(fit: FittedModel | TwoStageFit) -> np.ndarray:
    return fit.theta if isinstance(fit, FittedModel) else np.array([fit.mean[name] for name in fit.names])


def _curves(
    fit: FittedModel | TwoStageFit, parts: list[_Part], endpoint: str
) -> dict[Hashable, SubjectCurve]:
    typical, curves = _typical(fit), {}
    if isinstance(fit, FittedModel):
        pairs = [(member, typical) for member in fit.subjects]
    else:
        pairs = [(one.subjects[0], one.theta) for one in fit.values()]
    predictor = parts[0].predictor
    column = predictor.model.outputs.index(endpoint)
    last = max(float(part.batch.times.max()) for part in parts)
    for member, theta in pairs[:_MOST_CURVES]:
        if endpoint not in member.observations:
            continue
        begin = min(float(member.observations[endpoint].times.min()), _first_dose(member))
        grid = np.linspace(begin, last, 121)
        population = predictor.course(typical, member, grid)[:, column]
        own = None if theta is typical else predictor.course(theta, member, grid)[:, column]
        curves[str(member.id)] = SubjectCurve(grid, population, own)
    return curves


def _first_dose(member: Subject) -> float:
    return min((dose.time for dose in member.regimen.doses), default=0.0)


def _new_subjects(fit: TwoStageFit, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Parameters (n_replicates, s, p) of new subjects."""
    if len(fit) < 2:
        raise ValueError("one subject does not tell how subjects differ: check a pooled fit instead")
    covariance = fit.between_variance(corrected=True)
    if not np.isfinite(covariance).all():
        covariance = fit.between_variance()
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    u = fit.free.mean(axis=0) + rng.standard_normal((n_replicates, len(fit), len(root))) @ root.T
    return next(iter(fit.values())).task.theta(u)


def _error_of(fit: FittedModel | TwoStageFit, endpoint: str) -> tuple[ErrorModel, np.ndarray]:
    """With its levels; those of subjects in the mean of their squares."""
    if isinstance(fit, FittedModel):
        return fit.task.errors[endpoint], np.asarray(fit.levels[endpoint])
    measured = [one for one in fit.values() if endpoint in one.levels]
    levels = np.sqrt(np.mean([np.asarray(one.levels[endpoint]) ** 2 for one in measured], axis=0))
    return measured[0].task.errors[endpoint], levels


def _courses(
    predictor: Predictor, thetas: np.ndarray, batch: Batch, members: Sequence[Subject]
) -> np.ndarray:
    """Predictions (r, s, t, k) of replicates with parameters (r, s, p)."""
    known = {
        name: np.array([float(member.covariates[name]) for member in members])
        for name in predictor.covariates
    }
    run, nothing = _compiled(predictor), np.full((*batch.times.shape, len(predictor.model.outputs)), np.nan)
    answer = []
    with double_precision():
        for theta in thetas:
            try:
                answer.append(np.asarray(run(theta, known, batch.dosing, batch.times)))
            except RuntimeError as trouble:
                # of an implicit solver: its equations had no finite solution
                if "non-finite" not in str(trouble):
                    raise
                answer.append(nothing)
    return np.stack(answer)


@lru_cache(maxsize=16)
def _compiled(predictor: Predictor) -> Any:
    """Every subject with parameters of its own."""

    def one(theta: Any, known: Any, dosing: Any, times: Any) -> Any:
        params = {name: theta[k] for k, name in enumerate(predictor.free)} | dict(predictor.fixed)
        own = params if predictor.individual is None else dict(predictor.individual(params, known))
        return predictor.model.predict(own, dosing, times)

    return jax.jit(jax.vmap(one))


def _chosen(endpoint: str | None, names: list[str]) -> str:
    if endpoint is None and len(names) == 1:
        return names[0]
    if endpoint not in names:
        raise ValueError(f"endpoint={endpoint!r}: choose one of {', '.join(names)}")
    return endpoint


def _joined(columns: Any) -> np.ndarray:
    return np.concatenate(list(columns))
