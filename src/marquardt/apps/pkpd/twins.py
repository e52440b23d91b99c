"""Other optima that the data cannot tell from the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from marquardt.apps.pkpd.deadline import Deadline
from marquardt.apps.pkpd.starts import SAME_COST

if TYPE_CHECKING:
    from marquardt.apps.pkpd.fitted_model import FittedModel

APART = 0.1
"""Two ends of runs are two minima when a parameter differs by more than this many standard errors."""
MOST_TWINS = 3


def twins(fit: FittedModel, deadline: Deadline) -> tuple[np.ndarray, ...]:
    """Parameters (p,) of other optima, of equal cost in the weights of the fit.

    The ends of the starts were found in the weights of the first round.  Those that had converged at the
    best cost begin a run in the weights of the fit, and count if it converges at the cost of the fit.
    """
    errors = np.sqrt(np.diag(fit.covariance))
    if not np.isfinite(errors).all() or not fit.success:
        return ()
    scale = np.where(errors > 0, errors, np.abs(fit.theta) + 1e-300)

    def apart(theta: np.ndarray, others: list[np.ndarray]) -> bool:
        return all((np.abs(theta - other) > APART * scale).any() for other in others)

    first = fit.starts.ends[fit.starts.costs.argmin()]
    tried, known = [first, fit.theta], [fit.theta]
    sd = fit.task.scaled_sd(fit.predictions, fit.levels)
    at_rest = fit.starts.reached if fit.starts.at_rest is None else fit.starts.reached & fit.starts.at_rest
    for end in fit.starts.ends[at_rest]:
        if deadline.passed or len(known) > MOST_TWINS:
            break
        if not apart(end, tried):
            continue
        tried.append(end)
        run = fit.task.run(fit.task.free(end), sd, deadline)
        theta = fit.task.theta(run.w)
        if run.status.converged and run.cost <= fit.statistics.cost * (1 + SAME_COST) and apart(theta, known):
            known.append(theta)
    return tuple(known[1:])
