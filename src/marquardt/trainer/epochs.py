"""The epochs of a training by `LevenbergMarquardt`, with their events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from marquardt.method import Reason, State
from marquardt.problem import NetworkProblem
from marquardt.result import Status
from marquardt.trainer.settings import Samples, mean_squared_error

if TYPE_CHECKING:
    from marquardt.trainer.trainer import LevenbergMarquardt


def run_epochs(
    trainer: LevenbergMarquardt, problem: NetworkProblem, test: Samples | None, epochs: int
) -> Reason:
    """Run epochs until they are done or there is a reason to end, which is returned.

    Parameters
    ----------
    trainer : LevenbergMarquardt
    problem : NetworkProblem
        Its network with the training data.
    test : (X, y) or None
        Data to watch.  With `Stopping.max_fail`, the weights of the lowest error on them are restored.
    epochs : int
    """
    stepper, trigger = trainer.stepper, trainer.events.trigger
    state, lowest, best, fails = stepper.start(problem), np.inf, stepper.weights(), 0
    for _ in range(epochs):
        trigger("epoch_start", trainer)
        trainer.last_epoch += 1
        trigger("update_start", trainer)
        started = time.perf_counter()
        state = stepper.step(problem, state)
        _tell(trainer, "train_error", training_error(state), started, problem.n_samples)
        trigger("update_end", trainer)
        if test is not None:
            started = time.perf_counter()
            error, w = mean_squared_error(trainer.predict(test[0]), test[1]), state.at.w
            lowest, best, fails = (error, w, 0) if error < lowest else (lowest, best, fails + 1)
            _tell(trainer, "valid_error", error, started, len(test[0]))
        trigger("epoch_end", trainer)
        reason = state.stuck or _reason(trainer, state, fails)
        if state.at.w is not stepper.weights():  # a signal has set others
            state, reason = stepper.start(problem), None
        if reason is not None:
            if reason[0] is Status.MAX_FAIL:
                stepper.set_weights(best)
            return reason
    return Status.MAX_ITER, f"{epochs} epochs, error {training_error(state):.6g}"


def training_error(state: State) -> float:
    """The mean squared error at a state of the driver, from its cost ½‖r‖²."""
    return 2.0 * state.at.cost / state.at.residual.size


def _reason(trainer: LevenbergMarquardt, state: State, fails: int) -> Reason | None:
    return trainer.stopping.reason(trainer.history[-1], float(np.linalg.norm(state.at.w)), fails)


def _tell(trainer: LevenbergMarquardt, event: str, value: float, started: float, n_samples: int) -> None:
    eta = time.perf_counter() - started
    counts = {"epoch": trainer.last_epoch, "n_updates": trainer.n_updates_made, "n_samples": n_samples}
    trainer.events.trigger(event, trainer, value=value, eta=eta, **counts)
