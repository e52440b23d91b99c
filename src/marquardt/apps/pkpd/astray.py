"""Whether a fit ended at a minimum at all.

A model whose solution explodes, or vanishes, around the parameters that a run has come to leaves no step that
decreases the cost, and the run ends as one that has converged does.  What tells them apart: at a minimum the
residuals are orthogonal to every column of the Jacobian (the test of MINPACK's gtol), the observations have a
weight, and errors are smaller than what is predicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from marquardt.apps.pkpd.fitted_model import FittedModel

GREATEST_COSINE = 0.01
"""Between residuals and columns of the Jacobian.  Fits at the rounding floor of equations solved to 1e-9 have
1e-4 or less, exploded ones 0.01 to 0.9."""
EXACT = 1e-6
"""Residuals below this fraction of the observations are noise of the integration, and point anywhere."""
MOST_WITHOUT_WEIGHT = 0.25
"""Of the measured observations: some before a dose, or late ones, are usual, a quarter is not."""
GREATEST_RELATIVE = 3.0
"""Of an error that is proportional, in part at least, to predictions and observations, or one of logarithms:
e³ is a factor of 20 up or down.  Half of the observations must have more."""
LEAST_COLUMN = 1e-6
"""Of the largest column of the Jacobian: of a parameter that ran to 0 or to infinity, as the data may
want it, what is left is rounding."""
ADVICE = (
    "do not use these parameters: begin nearer to them (a plot of model.concentration or model.solve at the "
    "start beside the data tells), try more starts (n_starts=20), or hold parameters by fixed="
)


def astray(fit: FittedModel) -> str:
    """Why its end is no minimum, in words; empty for a fit that is one, or was ended before its time."""
    if not fit.status.converged:
        return ""
    task = fit.task
    measured = ~task.batch.censored & (task.batch.values != 0)
    n_denied, n = int(fit.denied.sum()), int(measured.sum())
    if n_denied > MOST_WITHOUT_WEIGHT * n:
        return f"{n_denied} of {n} measured values have no weight, since nothing is predicted there: {ADVICE}"
    for name, error in task.errors.items():
        if not {"proportional", "log_sd"} & set(error.names):
            continue
        if (level := _relative_error(fit, name)) > GREATEST_RELATIVE:
            return f"the errors of {name} are {100 * level:.2g} % of what is predicted or measured: {ADVICE}"
    if not _exact(fit) and (cosine := _cosine(fit)) > GREATEST_COSINE:
        return (
            "no step decreases the cost, but this is no minimum (residuals and sensitivities have a cosine "
            f"of {cosine:.2g}): the model's solution explodes or vanishes nearby, or is too coarse for such "
            f"values (rtol, atol); {ADVICE}"
        )
    return ""


def _exact(fit: FittedModel) -> bool:
    y = np.where(fit.task.batch.censored, 0.0, fit.task.batch.values)
    return fit.rss <= EXACT**2 * float(y @ y)


def _relative_error(fit: FittedModel, endpoint: str) -> float:
    """The median over its observations with a weight."""
    task = fit.task
    mine = task.rows(endpoint) & fit.counted & ~task.batch.censored
    if not mine.any():
        return 0.0
    level = np.asarray(fit.levels[endpoint])
    if task.errors[endpoint].logarithmic:
        return float(level[0])
    size = np.maximum(np.abs(fit.predictions), np.abs(task.batch.values))[mine]
    return float(np.median(fit.noise[mine] / np.maximum(size, 1e-300)))


def _cosine(fit: FittedModel) -> float:
    """The largest |J_kᵀ r| / (|J_k| |r|)."""
    J, r = fit.statistics.jacobian, fit.statistics.residual
    sizes = np.linalg.norm(J, axis=0)
    told = sizes > LEAST_COLUMN * sizes.max()
    with np.errstate(all="ignore"):
        cosines = np.abs((J[:, told] / sizes[told]).T @ r) / np.linalg.norm(r)
    return float(np.max(cosines, initial=0.0, where=np.isfinite(cosines)))
