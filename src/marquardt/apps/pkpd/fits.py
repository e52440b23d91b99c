"""Fit a model to subjects: all as one (naive pooled), or each by itself and then together (two-stage)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from marquardt import LeastSquaresFit, Status
from marquardt.apps.pkpd.error_models import Constant, ErrorModel
from marquardt.apps.pkpd.fitted_model import FittedModel, Starts
from marquardt.apps.pkpd.population_task import Levels, PopulationTask, task_of
from marquardt.apps.pkpd.predictor import Individual, Model, Predictor
from marquardt.apps.pkpd.subjects import Subject, Subjects
from marquardt.apps.pkpd.two_stage import TwoStageFit

SAME_COST = 1e-4
"""Costs within this fraction of the best have reached it: beyond the noise of integration, well below what
tells two minima apart."""

PROMISING, MOST_MINIMA = 1.1, 4
"""Other minima whose cost is so near the best one are weighed too, so many of them: with the weights of an
error model their order may change, and the likeliest is kept."""


def fit_pooled(
    model: Model,
    subjects: Subjects,
    start: Mapping[str, float],
    *,
    fixed: Mapping[str, float] | None = None,
    error: ErrorModel | Mapping[str, ErrorModel] | None = None,
    real: Iterable[str] = (),
    individual: Individual | None = None,
    covariates: Sequence[str] = (),
    n_starts: int = 1,
    spread: float = 3.0,
    random_state: int | None = 0,
    **options: Any,
) -> FittedModel:
    """One set of parameters for all subjects; differences between subjects count as residual error.

    Parameters
    ----------
    model : CompartmentModel, OdeModel, DirectEffect, ...
    subjects : Subjects
        Observations below the limit of quantification enter by their likelihood (M3).
    start : mapping of name to value
        Of the parameters to be fitted.
    fixed : mapping of name to value, optional
        The others.
    error : ErrorModel, or mapping of endpoint to ErrorModel, optional
        `Constant()`, `Proportional()` or `Combined()`; their levels are estimated.
    real : names, optional
        Parameters that may be negative.  All others are positive, and fitted as logarithms.
    individual : callable, optional
        (parameters, covariates of a subject) -> parameters of the model, in JAX: ``lambda p, c: p | {"cl":
        p["cl"] * (c["wt"] / 70) ** 0.75}``.
    covariates : names, optional
        That `individual` reads.
    n_starts : int
        Runs, the first from `start`, the others from it times random factors.
    spread : float
        Those factors lie between 1/spread and spread, evenly in their logarithm.
    random_state : int, optional
    **options
        Of `marquardt.least_squares`: stopping, callback, damping, ...

    Returns
    -------
    FittedModel

    Raises
    ------
    ValueError
        For parameters that are missing or unknown, endpoints that the model does not have, a start where it
        has no solution; the message says what to do.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt.apps.pkpd import (
    ...     Observations, Proportional, Regimen, Subject, Subjects, one_compartment)
    >>> t, regimen = np.array([1.0, 2.0, 4.0, 8.0, 12.0]), Regimen.bolus(100.0)
    >>> model = one_compartment()
    >>> truth = model.concentration({"cl": 2.0, "v": 10.0}, regimen, t)
    >>> measured = truth * (1 + 0.05 * np.sin(37 * np.arange(5)))
    >>> subjects = Subjects([Subject("1", regimen, {"conc": Observations(t, measured)})])
    >>> fit = fit_pooled(model, subjects, {"cl": 1.0, "v": 5.0}, error=Proportional())
    >>> {name: round(value, 3) for name, value in fit.params.items()}
    {'cl': 2.058, 'v': 10.26}
    """
    job = _Job.of(model, subjects, start, fixed, error, real, individual, covariates, options)
    return job.fit(subjects.observed().members, job.first(start), _Search(n_starts, spread, random_state))


def fit_two_stage(
    model: Model,
    subjects: Subjects,
    start: Mapping[str, float],
    *,
    fixed: Mapping[str, float] | None = None,
    error: ErrorModel | Mapping[str, ErrorModel] | None = None,
    real: Iterable[str] = (),
    individual: Individual | None = None,
    covariates: Sequence[str] = (),
    n_starts: int = 1,
    spread: float = 3.0,
    random_state: int | None = 0,
    **options: Any,
) -> TwoStageFit:
    """Each subject by itself, then the distribution of the parameters over subjects.

    Needs about as many observations a subject as there are parameters, and more for errors.  A subject that
    cannot be fitted is named in `failed`, and the others go on.  Parameters as in `fit_pooled`.
    """
    job = _Job.of(model, subjects, start, fixed, error, real, individual, covariates, options)
    known = subjects.observed()
    fits: dict[str, FittedModel] = {}
    failed: dict[str, str] = {}
    left = list(known.members)
    while left:
        member = left.pop(0)
        try:
            _check_enough(member, job)
            fits[member.id] = job.fit([member], job.first(start), _Search(n_starts, spread, random_state))
        except ValueError as trouble:
            failed[member.id] = str(trouble)
            continue
        if fits[member.id].interrupted:  # Ctrl-C means all subjects
            failed |= {other.id: "interrupted before its turn" for other in left}
            break
    if not fits:
        name, reason = next(iter(failed.items()))
        raise ValueError(f"no subject could be fitted; {name}: {reason}")
    return TwoStageFit(fits, failed, known.notes)


def _check_enough(member: Subject, job: _Job) -> None:
    p = len(job.predictor.free)
    if member.n_observations < p:
        raise ValueError(
            f"{member.n_observations} observations do not determine {p} parameters: fix some, or fit all "
            "subjects pooled"
        )


@dataclass(frozen=True)
class _Search:
    """From how many places, and how far apart."""

    n_starts: int
    spread: float
    random_state: int | None

    def __post_init__(self) -> None:
        if self.n_starts < 1:
            raise ValueError(f"n_starts={self.n_starts!r} must be at least 1")
        if not (np.isfinite(self.spread) and self.spread > 1):
            raise ValueError(f"spread={self.spread!r} must be a finite number above 1: starts are multiplied "
                             "by factors between 1/spread and spread")  # fmt: skip

    def places(self, theta: np.ndarray, task: PopulationTask) -> Iterable[np.ndarray]:
        yield task.free(theta)
        rng = np.random.default_rng(self.random_state)
        for _ in range(self.n_starts - 1):
            log = rng.uniform(-1, 1, len(theta)) * np.log(self.spread)
            other = theta + log * np.maximum(np.abs(theta), 1.0)
            yield task.free(np.where(task.positive, theta * np.exp(log), other))


@dataclass(frozen=True)
class _Job:
    """What is fitted, apart from the subjects."""

    predictor: Predictor
    errors: Mapping[str, ErrorModel]
    positive: np.ndarray
    options: Mapping[str, Any]
    padding: tuple[int, int]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        model: Model,
        subjects: Subjects,
        start: Mapping[str, float],
        fixed: Mapping[str, float] | None,
        error: ErrorModel | Mapping[str, ErrorModel] | None,
        real: Iterable[str],
        individual: Individual | None,
        covariates: Sequence[str],
        options: Mapping[str, Any],
    ) -> _Job:
        held = dict(fixed or {})
        free = tuple(start)
        _check_names(model, free, held, individual)
        signed = {real} if isinstance(real, str) else set(real)
        if signed - set(free):
            raise ValueError(f"real={sorted(signed - set(free))[0]!r} is no parameter of start")
        positive = np.array([name not in signed for name in free])
        for name, value in {**start, **held}.items():
            if not np.isfinite(float(value)):
                raise ValueError(f"{name}={value!r} must be a finite number")
            if name in start and name not in signed and not float(value) > 0:
                raise ValueError(
                    f"start[{name!r}]={value!r} must be above 0: it is fitted as a logarithm; where it may "
                    f"be negative, real=[{name!r}]; to hold it, fixed={{{name!r}: {value!r}}}"
                )
        known = subjects.observed()
        _check_endpoints(model, known)
        for member in known.members:
            model.check(member.regimen)
        given = error if isinstance(error, Mapping) else dict.fromkeys(known.endpoints, error or Constant())
        lacking = [name for name in known.endpoints if name not in given]
        if lacking:
            raise ValueError(f"error has no error model of the endpoint {lacking[0]!r}")
        predictor = Predictor(model, free, tuple(held.items()), individual, tuple(covariates))
        n_times = max(len({t for o in m.observations.values() for t in o.times}) for m in known.members)
        padding = (max(len(m.regimen) for m in known.members), n_times)
        return cls(predictor, given, positive, dict(options), padding, known.notes)

    def first(self, start: Mapping[str, float]) -> np.ndarray:
        return np.array([float(start[name]) for name in self.predictor.free])

    def fit(self, members: Sequence[Subject], theta: np.ndarray, search: _Search) -> FittedModel:
        task = task_of(self.predictor, members, self.errors, self.positive, self.options, self.padding)
        if len(task.batch) < len(theta):
            raise ValueError(
                f"{len(task.batch)} observations do not determine {len(theta)} parameters "
                f"({', '.join(self.predictor.free[:6])}): measure more, or fix some"
            )
        levels = task.first_levels()
        sd = task.first_sd(levels)
        minima, starts = self._search(task, theta, sd, search)
        notes = (*self.notes, *starts.notes)
        if starts.interrupted:
            levels = task.levels(task.predictions(minima[0].w), sd, len(theta))
            return FittedModel(task, minima[0], levels, starts, notes)
        weighted = [self._weighted(task, run, levels, starts, notes) for run in minima]
        return min(weighted, key=lambda fit: fit.minus_twice_log_likelihood)

    def _weighted(
        self,
        task: PopulationTask,
        run: LeastSquaresFit,
        first: Levels,
        starts: Starts,
        notes: tuple[str, ...],
    ) -> FittedModel:
        """A minimum of the first round, in the weights that belong to it."""
        fit, levels, stays = task.weigh(run, first)
        if not stays and fit.status is not Status.INTERRUPTED:
            said = "the levels of the error model have not settled: take a simpler one, Constant() say"
            notes = (*notes, said)
        return FittedModel(task, fit, levels, starts, notes)

    def _search(
        self, task: PopulationTask, theta: np.ndarray, sd: np.ndarray, search: _Search
    ) -> tuple[list[LeastSquaresFit], Starts]:
        """The different minima, the best first, for weights from the observations."""
        runs: list[LeastSquaresFit] = []
        n_failed = 0
        for place in search.places(theta, task):
            try:
                runs.append(task.run(place, sd))
            except ValueError as trouble:
                if "NaN or infinite" not in str(trouble):
                    raise
                n_failed += 1
                continue
            if runs[-1].status is Status.INTERRUPTED:
                break
        if not runs:
            raise ValueError(
                "the model has no finite predictions at any start: the solution explodes, or the equations "
                "are too stiff for their solver; look at model.solve(start, regimen, times).reason, take "
                "integration=stiff(), or another start"
            )
        best = min(runs, key=lambda run: run.cost)
        minima: list[LeastSquaresFit] = []
        for run in sorted(runs, key=lambda run: run.cost):
            if all(abs(run.cost - known.cost) > SAME_COST * known.cost for known in minima):
                minima.append(run)
        minima = [run for run in minima if run.cost <= PROMISING * best.cost][:MOST_MINIMA]
        costs = np.array([run.cost for run in runs])
        reached = costs <= best.cost * (1 + SAME_COST)
        ends = np.array([task.theta(run.w) for run in runs])
        interrupted = runs[-1].status is Status.INTERRUPTED
        return minima, Starts(costs, reached, ends, n_failed, self.predictor.free, interrupted)


def _check_names(
    model: Model, free: Sequence[str], fixed: Mapping[str, float], individual: Individual | None
) -> None:
    if not free:
        raise ValueError("start is empty: name the parameters to be fitted, with their starting values")
    double = [name for name in free if name in fixed]
    if double:
        raise ValueError(f"{double[0]!r} stands in start and in fixed: leave it out of one of them")
    if individual is not None:
        return  # may make the model's parameters from any others
    given = {*free, *fixed}
    missing = [name for name in model.parameters if name not in given]
    if missing:
        raise ValueError(
            f"start lacks {missing[0]!r}: give all of {', '.join(model.parameters)} in start or fixed"
        )
    unknown = sorted(given - set(model.parameters))
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is no parameter of the model: there are {', '.join(model.parameters)}"
        )


def _check_endpoints(model: Model, subjects: Subjects) -> None:
    unknown = [name for name in subjects.endpoints if name not in model.outputs]
    if unknown:
        raise ValueError(
            f"the subjects have observations of {unknown[0]!r}, but the model gives "
            f"{', '.join(model.outputs)}: rename the endpoint, or leave it out by subjects.only(...)"
        )
