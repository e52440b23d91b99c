"""Where the fit of a curve begins: what the user says, what the data say, or many places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.curves.bounds import Bounds
from marquardt.curves.curve import Curve, Model
from marquardt.curves.curve_data import CurveData
from marquardt.curves.curve_task import CurveRun, CurveTask
from marquardt.curves.grouped import Grouped
from marquardt.result import Status

SCREENED = 256
"""Random places whose cost is looked at for a curve without any start; four of them are fitted."""


@dataclass(frozen=True)
class Optimum:
    """A minimum that a fit found."""

    params: dict[str, float]
    cost: float
    reason: str = ""
    """What makes it equal to another."""


def guessed(curve: Curve, data: CurveData) -> FloatArray | None:
    """All parameters of the curve (p,) from the data of one group; None where nothing is known."""
    if curve.guess is not None:
        y = data.y[None]
        theta = np.asarray(curve.guess(data.x, y), dtype=float)[0]
        if np.isfinite(theta).all():
            return theta
    return None if curve.start is None else np.array(curve.start)


def first_start(
    model: Model, curve: Curve, data: CurveData, codes: IntArray | None, given: Mapping[str, float]
) -> tuple[FloatArray, bool]:
    """The start of the free parameters, and whether anything is known of all of them."""
    if isinstance(model, Grouped):
        assert codes is not None
        return _grouped_start(model, curve, data, codes, given)
    whole = guessed(curve, data)
    known = whole is not None
    begun = [1.0] * len(curve.names) if whole is None else whole.tolist()
    values: dict[str, float] = dict(zip(curve.names, begun, strict=True))
    values.update(given)
    known = known or all(name in given for name in model.names)
    return np.array([values[name] for name in model.names], dtype=float), known


def _grouped_start(
    model: Grouped, curve: Curve, data: CurveData, codes: IntArray, given: Mapping[str, float]
) -> tuple[FloatArray, bool]:
    """Each group by itself; what is shared starts at the median."""
    pooled, known = first_start(model.inner, curve, data, None, _plain(given))
    single = []
    for g in range(len(model.groups)):
        rows = np.flatnonzero(codes == g)
        part = data.rows(rows)
        enough = len(rows) >= len(model.inner.names) and len(np.unique(part.x, axis=0)) > 1
        own = first_start(model.inner, curve, part, None, _plain(given))[0] if enough else pooled
        single.append(own)
    start = np.empty(len(model.names))
    for k, name in enumerate(model.inner.names):
        values = np.array([theta[k] for theta in single])
        start[model.index[:, k]] = np.median(values) if name in model.shared else values
    for k, name in enumerate(model.names):
        if name in given:
            start[k] = given[name]
    return start, known


def _plain(given: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in given.items() if not name.endswith("]")}


def starts(
    task: CurveTask,
    curve: Curve,
    first: FloatArray,
    known: bool,
    n_starts: int | None,
    rng: np.random.Generator,
) -> Iterator[FloatArray]:
    """The first start, and around it as many as asked for; where nothing is known, the best of many
    places."""
    first = task.bounds.inside(first)
    if n_starts is None and not known:
        places = [first, *(_anywhere(first, task.bounds, rng) for _ in range(SCREENED))]
        yield from sorted(places, key=task.cost)[:4]
        return
    yield first
    if curve.second_start is not None:
        other = task.model.moved(first, curve.second_start)
        if other is not None and np.isfinite(other).all():
            yield task.bounds.inside(other)
    for _ in range((n_starts or 1) - 1):
        yield _around(first, task.bounds, rng) if known else _anywhere(first, task.bounds, rng)


def _around(theta: FloatArray, bounds: Bounds, rng: np.random.Generator) -> FloatArray:
    """Each parameter times a random factor, half of them within 2; a zero becomes a normal number."""
    factors = np.exp(rng.normal(size=len(theta)))
    return bounds.inside(np.where(theta == 0, rng.normal(size=len(theta)), theta * factors))


def _anywhere(theta: FloatArray, bounds: Bounds, rng: np.random.Generator) -> FloatArray:
    """Evenly between bounds, otherwise any size from 1e-3 to 1e3 and either sign."""
    size = 10 ** rng.uniform(-3, 3, len(theta)) * rng.choice([-1.0, 1.0], len(theta))
    low, high = bounds.low, bounds.high
    with np.errstate(invalid="ignore"):
        between = low + rng.random(len(theta)) * (high - low)
    below, above = np.isfinite(low), np.isfinite(high)
    place = np.where(below, low + np.abs(size), np.where(above, high - np.abs(size), size))
    return bounds.inside(np.where(below & above, between, place))


def best_run(task: CurveTask, places: Iterator[FloatArray]) -> tuple[CurveRun, list[CurveRun], int]:
    """The run of least cost, all runs, and how many starts had no finite residual."""
    runs: list[CurveRun] = []
    failed = 0
    trouble: ValueError | None = None
    for place in places:
        try:
            runs.append(task.run(place))
        except ValueError as error:
            if "NaN or infinite" not in str(error):
                raise
            failed, trouble = failed + 1, error
        if runs and runs[-1].fit.status is Status.INTERRUPTED:
            break  # Ctrl-C means all starts
    if not runs:
        assert trouble is not None
        raise ValueError(
            "the curve has NaN or infinite values at every start: give other starts with p0, or bounds "
            "that keep "
            "the parameters where the curve is defined"
        ) from trouble
    usable = [run for run in runs if run.fit.success] or runs
    return min(usable, key=lambda run: run.fit.cost), runs, failed
