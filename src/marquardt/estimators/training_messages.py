"""What a training says while it runs and when it has ended."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from sklearn.exceptions import ConvergenceWarning

from marquardt.estimators.fits import Trained
from marquardt.estimators.starts import Runs
from marquardt.lm import Callback
from marquardt.reports.progress import progress_line
from marquardt.result import Iteration, Status

_NOT_CONVERGED = {Status.MAX_ITER, Status.MAX_TIME, Status.SINGULAR, Status.FUNCTION_FAILED}


@dataclass(frozen=True)
class Printing:
    """A callback that prints a line for every iteration, then calls the next one."""

    callback: Callback | None = None

    def __call__(self, iteration: Iteration) -> bool | None:
        print(progress_line(iteration), flush=True)
        return None if self.callback is None else self.callback(iteration)


def print_start(number: int, trained: Trained) -> None:
    """A line for a start that is done."""
    result, evidence = trained.result, trained.evidence
    line = f"start {number + 1:>3}   {progress_line(result.history[-1])}   {result.status.name}"
    print(line if evidence is None else f"{line}   log evidence {evidence.log_evidence:.6g}", flush=True)


def warn_of_end(runs: Runs, n_starts: int, stacklevel: int = 3) -> None:
    """Warn when the training did not end by itself."""
    best = runs.best.result
    if runs.interrupted:
        done = (
            f"training interrupted after {len(runs.trained)} of {n_starts} starts"
            if n_starts > 1
            else "training interrupted"
        )
        warnings.warn(f"{done}: the best weights so far are kept", UserWarning, stacklevel=stacklevel)
    elif runs.error is not None:
        warnings.warn(
            f"the callback raised {type(runs.error).__name__}: {runs.error}; training ended there, and the "
            f"best weights so far are kept",
            UserWarning,
            stacklevel=stacklevel,
        )
    elif best.status in _NOT_CONVERGED:
        warnings.warn(
            f"Levenberg-Marquardt has not converged. {best.message}",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
