"""What to know of the fit of a curve, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.result import Status

if TYPE_CHECKING:
    from marquardt.curves.curve_task import CurveRun
    from marquardt.curves.fitted_curve import CurveFit

WORSE = 1e-3
"""A start that ended with a cost higher by this fraction ended in another minimum."""


def notes(fit: CurveFit, runs: Sequence[CurveRun], n_failed: int) -> Iterator[str]:
    """See `CurveFit.notes`."""
    yield from _course(fit, runs, n_failed)
    yield from _bounds(fit)
    yield from _determined(fit)
    for optimum in fit.optima:
        listed = ", ".join(f"{name} = {value:.6g}" for name, value in optimum.params.items())
        why = f", {optimum.reason}" if optimum.reason else ""
        yield f"another optimum of equal cost{why}: {listed}; the data cannot tell them apart"


def _course(fit: CurveFit, runs: Sequence[CurveRun], n_failed: int) -> Iterator[str]:
    if fit.status is Status.INTERRUPTED or not fit.status.converged:
        yield f"the fit has not converged: {fit.message}"
    best = fit.least_squares.cost
    worse = sum(run.fit.cost > best * (1 + WORSE) for run in runs)
    if worse:
        yield f"{worse} of {len(runs)} starts ended in worse minima"
    if n_failed:
        yield f"{n_failed} starts had no finite residuals"


def _bounds(fit: CurveFit) -> Iterator[str]:
    params = fit.params
    for name, kind in fit.kinds.items():
        if kind == "at its bound":
            yield (
                f"{name} lies at its bound, {params[name]:.6g}: the data pull beyond it; the standard "
                f"errors of the "
                "others are with it held there"
            )


def _determined(fit: CurveFit) -> Iterator[str]:
    J, names = fit.least_squares.jacobian, fit.names
    lengths = np.linalg.norm(J, axis=0)
    idle = [name for name, length in zip(names, lengths, strict=True) if length == 0]
    for name in idle:
        yield f"{name} has no influence on the curve here: fix it, or start elsewhere"
    if fit.degrees_of_freedom <= 0 and not fit.absolute_sigma:
        yield "as many parameters as points: no standard errors without sigma and absolute_sigma=True"
        return
    variances = np.diag(fit.covariance)
    open_ends = [n for n, v in zip(names, variances, strict=True) if not np.isfinite(v) and n not in idle]
    if open_ends:
        yield f"the data do not determine {' and '.join(open_ends)}: fix or tie one of them"
        return
    yield from _boundless(fit, np.sqrt(variances))
    for first, second, value in fit.ill_posed_pairs()[:3]:
        yield (
            f"the data hardly tell {first} from {second} (correlation {value:.4f}): each is uncertain, "
            f"though the "
            "curve need not be"
        )


def _boundless(fit: CurveFit, errors: FloatArray) -> Iterator[str]:
    """Parameters that went so far that still further makes no difference, though zero would."""
    theta, task = fit.least_squares.w, fit.task
    here = task.model.value(task.x, theta)
    slight = 1e-3 * float(np.linalg.norm(task.data.weighted(here - task.data.y)))

    def matters(k: int, factor: float) -> bool:
        moved = theta.copy()
        moved[k] *= factor
        return not float(np.linalg.norm(task.data.weighted(task.model.value(task.x, moved) - here))) <= slight

    for k in np.flatnonzero(errors > 10 * np.abs(theta)).tolist():
        if not matters(k, 1e3) and matters(k, 0.0):
            yield (
                f"{fit.names[k]} ran off to {theta[k]:.3g}: the data set no limit to its size, and the "
                f"curve is that "
                "without it"
            )
