"""A training, epoch by epoch, with its events."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import ArrayLike

from marquardt.blas_threads import one_thread_if_small
from marquardt.method import Reason, State
from marquardt.problem import NetworkProblem
from marquardt.result import Status
from marquardt.trainer.settings import (
    Samples,
    as_count,
    as_samples,
    as_test_samples,
    mean_squared_error,
    warn_out_of_reach,
)
from marquardt.trainer.signals import StopTraining, Trainer


def run_training(
    trainer: Trainer,
    train: tuple[ArrayLike, ArrayLike | None],
    test: tuple[ArrayLike | None, ArrayLike | None],
    epochs: int,
    batch_size: None,
) -> None:
    """The whole of `train`: checks, epochs, and status and message at the end.

    Parameters
    ----------
    trainer : Trainer
    train, test : (X, y)
        As the user gave them.
    epochs, batch_size
        Likewise.
    """
    epochs = as_count("epochs", epochs)
    if batch_size is not None:
        raise ValueError(f"batch_size={batch_size!r}: every step needs all rows; leave it out")
    problem = problem_of(trainer, *train)
    warn_out_of_reach(trainer.network, problem.targets)
    samples = as_test_samples(*test, trainer.network)
    trainer.status, trainer.message = None, "Ended by an exception."
    data = {"X_train": train[0], "y_train": train[1], "epochs": epochs, "batch_size": None}
    with one_thread_if_small(trainer.network.n_params):
        try:
            trainer.events.trigger("train_start", trainer, **data)
            status, numbers = run_epochs(trainer, problem, samples, epochs)
            advice = "" if status is Status.MAX_ITER else f" {status.value}"
        except StopTraining as stop:
            status, advice = Status.STOPPED_BY_CALLBACK, ""
            numbers = f"stopped in epoch {trainer.last_epoch}{': ' if str(stop) else ''}{stop}"
        trainer.stepper.finish((status, numbers))
    trainer.status, trainer.message = status, f"{numbers[:1].upper()}{numbers[1:]}.{advice}"
    trainer.events.trigger("train_end", trainer)


def one_update(trainer: Trainer, X: ArrayLike, y: ArrayLike) -> float:
    """One step without events; the error after it."""
    problem = problem_of(trainer, X, y)
    return training_error(trainer.stepper.step(problem, trainer.stepper.start(problem)))


def problem_of(trainer: Trainer, X: ArrayLike, y: ArrayLike | None) -> NetworkProblem:
    """The problem of the trainer's network on data as the user gives them; draws the weights."""
    X, y = as_samples(X, y, trainer.network)
    trainer.stepper.weights(X)
    return NetworkProblem(trainer.network, X, y)


def run_epochs(trainer: Trainer, problem: NetworkProblem, test: Samples | None, epochs: int) -> Reason:
    """Run epochs until they are done or there is a reason to end, which is returned.

    Parameters
    ----------
    trainer : Trainer
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
        reason = state.stuck or stepper.reason(state, fails)
        if state.at.w is not stepper.weights():  # a signal has set others
            state, reason = stepper.start(problem), None
        if reason is not None:
            if reason[0] is Status.MAX_FAIL:
                stepper.set_weights(best)
            return reason
    return Status.MAX_ITER, f"{epochs} epochs, error {training_error(state):.6g}"


def training_error(state: State) -> float:
    """The mean squared error at a state of the driver."""
    r = state.at.residual
    with np.errstate(over="ignore", invalid="ignore"):
        return float(r @ r) / r.size


def _tell(trainer: Trainer, event: str, value: float, started: float, n_samples: int) -> None:
    eta = time.perf_counter() - started
    counts = {"epoch": trainer.last_epoch, "n_updates": trainer.n_updates_made, "n_samples": n_samples}
    trainer.events.trigger(event, trainer, value=value, eta=eta, **counts)
