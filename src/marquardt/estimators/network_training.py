"""What every estimator does between checked rows and a trained network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.committee import Committee, Member
from marquardt.damping import DampingRule
from marquardt.estimators.checks import checked_sizes
from marquardt.estimators.choices import (
    ACTIVATIONS,
    DAMPINGS,
    SOLVERS,
    chosen,
    chosen_growth,
    chosen_regularization,
)
from marquardt.estimators.fits import Trained
from marquardt.estimators.regularization import L2, Regularization
from marquardt.estimators.scaling import Scaler
from marquardt.estimators.starts import Runs, n_processes, run_starts
from marquardt.estimators.training_memory import check_training_memory
from marquardt.estimators.training_messages import Printing, print_start, warn_of_end
from marquardt.estimators.training_task import TrainingTask
from marquardt.growing_rows import GrowingRows
from marquardt.initialization import Initialization
from marquardt.linsolve import LinearSolver
from marquardt.lm import Callback
from marquardt.method import Geodesic, Method
from marquardt.models.layers import Input, Layer
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import Status
from marquardt.run_record import Checkpoints
from marquardt.stopping import Stopping
from marquardt.validation_damping import ValidationGuided


class NetworkEstimator(Protocol):
    """The parameters that all estimators have."""

    hidden_layer_sizes: int | Sequence[int]
    activation: str
    regularization: str | Regularization
    alpha: float | None
    default_alpha: float
    max_iter: int
    tol: float
    random_state: int | np.random.RandomState | None
    init: str | Initialization | ArrayLike
    n_starts: int
    ensemble_size: int
    n_jobs: int | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    damping: str | DampingRule
    solver: str | LinearSolver
    acceleration: bool | Geodesic
    resolve_output: bool
    growing_rows: bool | str | GrowingRows
    scale_inputs: bool
    max_time: float | None
    warm_start: bool
    verbose: bool | int


def planned_network(estimator: NetworkEstimator, n_inputs: int, output: Layer, n_samples: int) -> MLP:
    """The network of the estimator's parameters.

    Raises
    ------
    ValueError
        When the ensemble is larger than the number of starts.
    MemoryError
        When its training on `n_samples` rows is too large.
    """
    layer = ACTIVATIONS[estimator.activation]
    hidden = [layer(units) for units in checked_sizes(estimator.hidden_layer_sizes)]
    network = MLP([Input(n_inputs), *hidden, output])
    if estimator.ensemble_size > estimator.n_starts:
        raise ValueError(
            f"ensemble_size={estimator.ensemble_size} of n_starts={estimator.n_starts} starts: raise "
            f"n_starts, to about twice the size of the ensemble"
        )
    copies = n_processes(estimator.n_jobs, estimator.n_starts)
    check_training_memory(network, n_samples, chosen(estimator.solver, SOLVERS), copies)
    return network


def drawn_seeds(estimator: NetworkEstimator) -> list[np.random.SeedSequence]:
    """One for the split, one for each start: the first starts are the same for every `n_starts`."""
    entropy = check_random_state(estimator.random_state).randint(0, 2**31 - 1, size=4)
    return np.random.SeedSequence(entropy.tolist()).spawn(1 + estimator.n_starts)


def last_weights(estimator: NetworkEstimator, network: MLP) -> FloatArray | None:
    """The weights that a warm start begins at (n_params,), or None.

    Raises
    ------
    ValueError
        When the last fit trained another network.
    """
    if not (estimator.warm_start and hasattr(estimator, "w_")):
        return None
    trained: Any = estimator
    if network != trained.network_:
        was = f"the last fit trained {trained.network_!r}, this one needs {network!r}"
        raise ValueError(f"warm_start: {was}; set warm_start=False")
    return trained.w_


def train(
    estimator: NetworkEstimator,
    task: TrainingTask,
    seeds: Sequence[np.random.SeedSequence],
    last: FloatArray | None,
    callback: Callback | None,
    checkpoint: Checkpoints | str | os.PathLike[str] | None = None,
) -> Runs:
    """Train from every start of the estimator, printing what it asks for."""
    another = estimator.alpha is not None or estimator.early_stopping or task.penalty is not None
    regularization = chosen_regularization(estimator.regularization, another)
    starts = task.starts(estimator.init, seeds, last, regularization.start_scales)
    if estimator.verbose and len(starts) == 1:
        callback = Printing(callback)
    damping = chosen(estimator.damping, DAMPINGS)
    if isinstance(damping, ValidationGuided) and not estimator.early_stopping:
        raise ValueError(
            f"damping={estimator.damping!r} is guided by validation rows: set early_stopping=True, or take "
            "another damping"
        )
    task = _growing(estimator, task, suited=last is None and isinstance(regularization, L2))
    fit = regularization.fit(
        task,
        _alpha(estimator),
        Method(
            damping=damping,
            solver=chosen(estimator.solver, SOLVERS),
            acceleration=Geodesic() if estimator.acceleration is True else estimator.acceleration or None,
            resolve_output=estimator.resolve_output,
        ),
        _stopping(estimator, task.rows.total_weight),
    )
    after_each = print_start if estimator.verbose and len(starts) > 1 else None
    runs = run_starts(
        fit,
        starts,
        n_jobs=estimator.n_jobs,
        callback=callback,
        after_each=after_each,
        checkpoint=_checkpoint(checkpoint),
    )
    if runs.best.result.status is Status.NO_FINITE_START:
        raise ValueError(f"training cannot start. {runs.best.result.message}")
    return runs


def _growing(estimator: NetworkEstimator, task: TrainingTask, suited: bool) -> TrainingTask:
    """With the growth of the rows; by itself only where suited: the weights of a warm start know all rows,
    and the evidence gains little.  None in the rounds of a robust fit."""
    wanted = estimator.growing_rows
    if wanted is False or (wanted == "auto" and (task.penalty is not None or not suited)):
        return task
    if task.penalty is not None:
        raise ValueError(
            f"growing_rows={estimator.growing_rows!r}: the rounds of a robust fit need all rows; set "
            "growing_rows='auto', or loss='squared_error'"
        )
    problem = task.problem(0.0)
    growth = chosen_growth(wanted, problem)
    if growth is not None and estimator.verbose and (parts := growth.counts_of(problem)):
        print(f"begins on {parts[0]} of {problem.n_samples} rows, which grow", flush=True)
    return replace(task, growth=growth)


def _checkpoint(given: Checkpoints | str | os.PathLike[str] | None) -> Checkpoints | None:
    """A path stands for the checkpoint of that name."""
    if isinstance(given, str | os.PathLike):
        from marquardt.files.checkpoint import Checkpoint

        return Checkpoint(given)
    return given


def keep_training(
    estimator: NetworkEstimator, task: TrainingTask, x_scaler: Scaler, runs: Runs, with_posterior: bool
) -> None:
    """Set the fitted attributes that all estimators share, and warn when no training converged."""
    result, network = runs.best.result, task.network
    fitted: Any = estimator
    fitted.network_, fitted.w_, fitted.x_scaler_ = network, result.w, x_scaler
    problem = task.problem(_alpha(estimator)) if with_posterior else None
    fitted.committee_ = _committee(network, runs.ranked[: estimator.ensemble_size], problem)
    evidence = _noted(estimator, runs.best.evidence)
    fitted.result_, fitted.starts_, fitted.evidence_ = result, runs.starts, evidence
    fitted.history_, fitted.status_ = result.history, result.status
    fitted.message_ = result.message if evidence is None else evidence.message
    fitted.n_iter_, fitted.loss_ = result.n_iter, result.cost / task.rows.total_weight
    fitted.loss_curve_ = task.losses(result)[1:].tolist()
    fitted.n_layers_, fitted.n_outputs_ = len(network.layers), network.n_outputs
    if with_posterior and not fitted.committee_.has_posterior:
        warnings.warn(
            f"no error bars: the Hessian is singular or does not fit into memory; {result.message}",
            UserWarning,
            stacklevel=3,
        )
    warn_of_end(runs, estimator.n_starts, stacklevel=4)


def _committee(network: MLP, best: Sequence[Trained], problem: NetworkProblem | None) -> Committee:
    """The best starts as one, with their posteriors on the rows of a problem."""
    posteriors = [None if problem is None else trained.posterior(problem) for trained in best]
    members = zip(best, posteriors, strict=True)
    return Committee(network, tuple(Member(trained.result.w, posterior) for trained, posterior in members))


def _noted(estimator: NetworkEstimator, evidence: EvidenceResult | None) -> EvidenceResult | None:
    """With a note where a penalty was given that the evidence does not ask for; no error, since
    scikit-learn's checks set both."""
    if evidence is None or estimator.alpha is None:
        return evidence
    said = (
        f"alpha={estimator.alpha!r} is not used: with regularization={estimator.regularization!r} the "
        "penalty is found from the rows; to give it, regularization='l2'"
    )
    return replace(evidence, notes=(*evidence.notes, said))


def _alpha(estimator: NetworkEstimator) -> float:
    return estimator.default_alpha if estimator.alpha is None else estimator.alpha


def keep_validation(estimator: NetworkEstimator, scores: FloatArray | None) -> None:
    """Set the scores on the validation rows, at the start and after each iteration."""
    fitted: Any = estimator
    fitted.validation_scores_ = None if scores is None else scores[1:].tolist()
    fitted.best_validation_score_ = None if scores is None else float(np.max(scores))


def _stopping(estimator: NetworkEstimator, total_weight: float) -> Stopping:
    return Stopping(
        max_iter=estimator.max_iter,
        max_time=estimator.max_time,
        gradient_tolerance=1e-6 * estimator.tol * total_weight,  # the cost is a sum over rows
        max_fail=estimator.n_iter_no_change,
        cost_tolerance=estimator.tol,
    )
