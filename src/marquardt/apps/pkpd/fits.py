"""Fit a model to subjects: all as one (naive pooled), or each by itself and then together (two-stage)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marquardt import LeastSquaresFit, Result, Status
from marquardt.apps.pkpd.deadline import Deadline
from marquardt.apps.pkpd.error_models import Constant, ErrorModel
from marquardt.apps.pkpd.fitted_model import FittedModel, likeliest
from marquardt.apps.pkpd.input_checks import (
    check_absorption,
    check_endpoints,
    check_individual,
    check_names,
)
from marquardt.apps.pkpd.population_task import PopulationTask, Weighed, task_of
from marquardt.apps.pkpd.predictor import Individual, Model, Predictor
from marquardt.apps.pkpd.starts import SAME_COST, Starts
from marquardt.apps.pkpd.subjects import Subject, Subjects
from marquardt.apps.pkpd.twins import twins
from marquardt.apps.pkpd.two_stage import TwoStageFit

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
        Of `marquardt.least_squares`: stopping, callback, damping, ...  `Stopping(max_time=60)` is for all
        runs together, `max_iter` for each.

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
    cannot be fitted is named in `failed`, and the others go on.  Parameters as in `fit_pooled`; Ctrl-C, a
    callback that asks to stop, and `max_time` end all subjects, and those that are done are kept.
    """
    job = _Job.of(model, subjects, start, fixed, error, real, individual, covariates, options)
    known = subjects.observed()
    fits: dict[str, FittedModel] = {}
    failed: dict[str, str] = {}
    left = list(known.members)
    while left and not (fits and job.deadline.passed):
        member = left.pop(0)
        try:
            _check_enough(member, job)
            fits[member.id] = job.fit([member], job.first(start), _Search(n_starts, spread, random_state))
        except ValueError as trouble:
            failed[member.id] = str(trouble)
            continue
        except KeyboardInterrupt:  # before there was anything of this subject
            if not fits:
                raise
            failed[member.id] = "interrupted before a first fit"
            failed |= {other.id: "interrupted before its turn" for other in left}
            break
        if fits[member.id].interrupted:  # Ctrl-C means all subjects
            failed |= {other.id: "interrupted before its turn" for other in left}
            break
    else:
        failed |= {other.id: "the limit of time came before its turn" for other in left}
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
    deadline: Deadline

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
        check_names(model, free, held, individual)
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
        check_endpoints(model, known)
        for member in known.members:
            model.check(member.regimen)
        if individual is not None:
            check_individual(model, {**start, **held}, individual, covariates, known.members[0])
        given = error if isinstance(error, Mapping) else dict.fromkeys(known.endpoints, error or Constant())
        for kind in given.values():
            if isinstance(kind, str | type):
                raise TypeError(
                    f"error={kind!r} must be an object: Constant(), Proportional(), Combined() or LogNormal()"
                )
        lacking = [name for name in known.endpoints if name not in given]
        if lacking:
            raise ValueError(f"error has no error model of the endpoint {lacking[0]!r}")
        predictor = Predictor(model, free, tuple(held.items()), individual, tuple(covariates))
        n_times = max(len({t for o in m.observations.values() for t in o.times}) for m in known.members)
        padding = (max(len(m.regimen) for m in known.members), n_times)
        deadline = Deadline.of(options.get("stopping"))
        return cls(predictor, given, positive, dict(options), padding, known.notes, deadline)

    def first(self, start: Mapping[str, float]) -> np.ndarray:
        return np.array([float(start[name]) for name in self.predictor.free])

    def fit(self, members: Sequence[Subject], theta: np.ndarray, search: _Search) -> FittedModel:
        task = task_of(self.predictor, members, self.errors, self.positive, self.options, self.padding)
        if len(task.batch) < len(theta):
            raise ValueError(
                f"{len(task.batch)} observations do not determine {len(theta)} parameters "
                f"({', '.join(self.predictor.free[:6])}): measure more, or fix some"
            )
        check_absorption(task, theta)
        levels = task.first_levels()
        minima, starts = self._search(task, theta, task.first_sd(levels), search)
        if starts.interrupted:
            return self._fitted(task, task.in_weights(minima[0], levels), starts)
        found: list[FittedModel] = []
        for k, run in enumerate(minima):
            weighed = task.weigh(run, levels, self.deadline)
            found.append(self._fitted(task, weighed, starts))
            ended = _ended_by_hand(weighed.fit.result)
            if ended or self.deadline.passed:
                left = len(minima) - k - 1
                said = f"{ended or 'the limit of time came'}: {left} further minima were not weighed"
                best = likeliest(found)
                notes = (*best.notes_of_data, said) if left else best.notes_of_data
                return replace(best, notes_of_data=notes, cut_short=bool(ended))
        best = likeliest(found)
        return replace(best, twins=twins(best, self.deadline))

    def _fitted(self, task: PopulationTask, weighed: Weighed, starts: Starts) -> FittedModel:
        notes = [*self.notes, *starts.notes]
        if not (weighed.settled or starts.interrupted or weighed.fit.status.by_hand):
            late = self.deadline.passed
            why = "the limit of time came" if late else "take a simpler one, Constant() say"
            notes.append(f"the levels of the error model have not settled: {why}")
        return FittedModel(task, weighed.fit, weighed.levels, starts, tuple(notes))

    def _search(
        self, task: PopulationTask, theta: np.ndarray, sd: np.ndarray, search: _Search
    ) -> tuple[list[LeastSquaresFit], Starts]:
        """The different minima, the best first, for weights from the observations."""
        runs: list[LeastSquaresFit] = []
        n_failed, by_hand, ended = 0, False, ""
        try:
            for k, place in enumerate(search.places(theta, task)):
                try:
                    runs.append(task.run(place, sd, self.deadline))
                except ValueError as trouble:
                    if "NaN or infinite" not in str(trouble):
                        raise
                    n_failed += 1
                    continue
                if ended := _ended_by_hand(runs[-1].result):
                    by_hand = True
                    break
                if self.deadline.passed and k + 1 < search.n_starts:
                    ended = "the limit of time came"
                    break
        except KeyboardInterrupt:  # between two runs: the driver keeps what one has found
            if not runs:
                raise
            by_hand, ended = True, "interrupted"
        if not runs:
            raise ValueError(
                "the model has no finite predictions at any start: the solution explodes, or the equations "
                "are too stiff for their solver; look at model.solve(start, regimen, times).reason, take "
                "integration=stiff(), or another start"
            )
        costs = np.array([run.cost for run in runs])
        reached = costs <= costs.min() * (1 + SAME_COST)
        ends = np.array([task.theta(run.w) for run in runs])
        at_rest = np.array([run.status.converged for run in runs])
        return _minima(runs), Starts(
            costs, reached, ends, n_failed, self.predictor.free, by_hand, ended, at_rest
        )


def _minima(runs: Sequence[LeastSquaresFit]) -> list[LeastSquaresFit]:
    """The different ones that may prove likeliest, the best first."""
    minima: list[LeastSquaresFit] = []
    for run in sorted(runs, key=lambda run: run.cost):
        if all(abs(run.cost - known.cost) > SAME_COST * known.cost for known in minima):
            minima.append(run)
    return [run for run in minima if run.cost <= PROMISING * minima[0].cost][:MOST_MINIMA]


def _ended_by_hand(result: Result) -> str:
    """How, in words; empty where it ended by itself."""
    if not result.status.by_hand:
        return ""
    if result.status is Status.CALLBACK_FAILED:
        return f"the callback raised {result.error!r}"
    return "interrupted" if result.status is Status.INTERRUPTED else "the callback asked to stop"
