"""What is refused before a fit: names, endpoints, functions of covariates, absorption without oral doses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marquardt.apps.pkpd.compartments import ABSORPTION
from marquardt.apps.pkpd.population_task import PopulationTask
from marquardt.apps.pkpd.predictor import Individual, Model
from marquardt.apps.pkpd.subjects import Subject, Subjects


def check_absorption(task: PopulationTask, theta: np.ndarray) -> None:
    """ValueError for parameters of absorption where nothing is absorbed: no dose is oral, and no prediction
    changes with them."""
    if any(member.regimen.has_oral for member in task.members):
        return
    names = task.predictor.free
    own = [k for k, name in enumerate(names) if name in ABSORPTION]
    if not own:
        return
    with np.errstate(all="ignore"):
        slopes = task.predictor.slopes(theta, task.batch, task.members)[:, own]
    idle = [names[k] for k, column in zip(own, slopes.T, strict=True) if not column.any()]
    if idle:
        raise ValueError(
            f"no dose is oral, and so nothing tells of {', '.join(idle)}: where the doses were oral, say so, "
            "Regimen.oral(...) or subjects_from_table(..., route=Route.ORAL); else take a model without "
            f"absorption, or fixed={{{idle[0]!r}: ...}}"
        )


def check_individual(
    model: Model,
    params: Mapping[str, float],
    individual: Individual,
    covariates: Sequence[str],
    member: Subject,
) -> None:
    """ValueError for a function of covariates that does not give the parameters of the model."""
    known = {name: float(member.covariates[name]) for name in covariates}
    try:
        own = dict(individual({name: float(value) for name, value in params.items()}, known))
    except KeyError as error:
        raise ValueError(
            f"individual= asks for {error.args[0]!r}: there are the parameters {', '.join(params)} and the "
            f"covariates {', '.join(known) or '(none: name them with covariates=[...])'}"
        ) from None
    missing = [name for name in model.parameters if name not in own]
    strange = [name for name in own if name not in model.parameters and name not in params]
    if missing or strange:
        what = f"lacks {missing[0]!r}" if missing else f"returns {strange[0]!r}, which is no parameter"
        raise ValueError(f"individual= {what}: the model has {', '.join(model.parameters)}")


def check_names(
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


def check_endpoints(model: Model, subjects: Subjects) -> None:
    unknown = [name for name in subjects.endpoints if name not in model.outputs]
    if unknown:
        raise ValueError(
            f"the subjects have observations of {unknown[0]!r}, but the model gives "
            f"{', '.join(model.outputs)}: rename the endpoint, or leave it out by subjects.only(...)"
        )
