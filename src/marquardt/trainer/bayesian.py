"""`BayesianRegularization`: MATLAB's `trainbr` with NeuPy's manners, trained by `EvidenceRun`.

For users of `trainbr`:

===================  ==================================================================================
trainbr              here
===================  ==================================================================================
epochs               ``train(..., epochs=1000)``
mu, mu_inc, mu_dec   ``mu=0.005, mu_update_factor=10``: mu_inc = 1 / mu_dec
mu_max               ``damping=Multiplicative(0.005, maximum=1e10)``; else far beyond
goal                 ``stopping=Stopping(cost_goal=...)``: the cost under the precisions of its time
min_grad             none: where the gradient has vanished, only the precisions move on
max_fail             none, as by default there: the evidence ends the training
time                 ``stopping=Stopping(max_time=60)``, in seconds
show                 ``show_epoch=25, verbose=True``
tr.gamk              ``effective_parameters``
tr.ssX               ``weight_precision``: not the sum of squares, but what is found from it
one penalty for all  ``groups="one"``; the default has one for each input, each layer and its biases
mapminmax            none: give inputs and targets of about unit spread
===================  ==================================================================================

What differs on purpose: a step that does not lower the cost is rejected, as with `LevenbergMarquardt`; the
precisions are re-estimated with guards, and the training ends when the evidence no longer rises, with the
weights of its highest value.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import GROUPINGS
from marquardt.bayesian.schedule import Schedule
from marquardt.damping import DampingRule, Metric
from marquardt.initialization import Initialization, default_initialization
from marquardt.linsolve import LinearSolver
from marquardt.result import History, Status
from marquardt.stopping import Stopping
from marquardt.trainer.epochs import one_update, run_training
from marquardt.trainer.evidence_stepper import EvidenceStepper
from marquardt.trainer.settings import (
    Network,
    architecture_text,
    as_count,
    as_damping,
    as_inputs,
    as_method,
    as_network,
    as_samples,
    mean_squared_error,
)
from marquardt.trainer.signals import EpochPrinter, Errors, Events, Signals, as_signals
from marquardt.trainer.stepper import UNLIMITED
from marquardt.trainer.weights_file import load_weights, save_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BayesianRegularization:
    """Train a network by Bayesian regularization (`trainbr`), epoch by epoch.

    The weight penalties and the noise are found from the training data while the network is trained, and
    predictions have error bars.  For a squared error; give inputs and targets of about unit spread.

    Parameters
    ----------
    network, show_epoch, shuffle_data, signals, verbose, loss, damping, acceleration, resolve_output
        As in `LevenbergMarquardt`.
    mu, mu_update_factor : float, float or None
        Likewise; the values of `trainbr`.  On Friedman's function they do as well as any of five rules.
    metric, solver, initialization, random_state, w
        Likewise.
    stopping : Stopping, optional
        Limits of the training; its tolerances end the fit under one set of precisions only, and `max_iter`
        and `max_fail` are not used.
    groups : {"input", "layer", "one"}
        What shares a precision: the weights of one input, then each later layer and each vector of biases;
        each layer and each vector of biases; or everything, as in `trainbr`.  On Friedman's function, with
        five of ten inputs irrelevant, "input" has half the error of "one".
    rule : PrecisionRule, optional
        A re-estimation, and its guards.
    schedule : Schedule, optional
        When to re-estimate, and when to end.

    Attributes
    ----------
    evidence : EvidenceResult or None
        The outcome of the last training; the following are parts of it.
    effective_parameters : float
        γ: how many parameters the data determine.
    log_evidence : float
    noise_sd : float
        Standard deviation of the noise, in the units of the targets.
    relevance : array (n_inputs,) or None
        Of each input, between 0 and 1; with ``groups="input"``.
    weight_precision : array (n_groups,)
        α of each group; their names are in ``evidence.groups.names``.
    errors, last_epoch, n_updates_made, history, status, message
        As in `LevenbergMarquardt`; the errors are without penalty, the costs of the history with it.

    Raises
    ------
    TypeError, ValueError
        For settings that cannot be; each message names the setting and its value.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import BayesianRegularization, Input, Linear, Tanh
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (80, 2))
    >>> y = np.sin(3 * X[:, 0]) + 0.1 * rng.normal(size=80)  # the second input does nothing
    >>> trainer = BayesianRegularization(Input(2) >> Tanh(8) >> Linear(1), random_state=0)
    >>> trainer.train(X, y, epochs=300)
    >>> trainer.effective_parameters < 15, round(trainer.noise_sd, 1), (trainer.relevance > 0.1).tolist()
    (True, 0.1, [True, False])
    >>> mean, sd = trainer.predict([[0.5, 0.0]], return_std=True)
    >>> bool(abs(mean[0, 0] - np.sin(1.5)) < 2 * sd[0, 0])
    True
    """

    def __init__(
        self,
        network: Network,
        mu: float = 0.005,
        mu_update_factor: float | None = 10.0,
        show_epoch: int = 1,
        shuffle_data: bool = False,
        signals: Signals = None,
        verbose: bool = False,
        *,
        groups: str = "input",
        loss: str = "mse",
        damping: DampingRule | None = None,
        acceleration: bool = True,
        resolve_output: bool = True,
        metric: Metric | None = None,
        solver: LinearSolver | None = None,
        stopping: Stopping | None = None,
        rule: PrecisionRule | None = None,
        schedule: Schedule | None = None,
        initialization: Initialization | None = None,
        random_state: int | np.random.Generator | None = None,
        w: ArrayLike | None = None,
    ) -> None:
        if loss != "mse":
            raise ValueError(f"loss={loss!r}: the noise is Gaussian, so loss must be 'mse'")
        if groups not in GROUPINGS:
            raise ValueError(f"groups={groups!r} must be one of {', '.join(map(repr, GROUPINGS))}")
        self.network = as_network(network)
        self.mu, self.mu_update_factor, self.groups = mu, mu_update_factor, groups
        self.show_epoch = as_count("show_epoch", show_epoch)
        self.shuffle_data, self.verbose = bool(shuffle_data), bool(verbose)
        rule_of_damping = damping or as_damping(mu, mu_update_factor)
        self.method = as_method(rule_of_damping, metric, solver, acceleration, resolve_output)
        self.errors, self.last_epoch = Errors(), 0
        self.status: Status | None = None
        self.message = "Not trained yet."
        self.events = Events([EpochPrinter(), self.errors, *as_signals(signals)])
        self.stepper = EvidenceStepper(
            self.network,
            self.method,
            GROUPINGS[groups],
            rule,
            schedule,
            replace(stopping or UNLIMITED, max_iter=sys.maxsize),
            initialization or default_initialization(self.network),
            np.random.default_rng(random_state),
            w,
        )
        if self.verbose:
            print(f"{self!r}, {self.network.n_params} parameters")

    # -- training ------------------------------------------------------------------------------

    def train(
        self,
        X_train: ArrayLike,
        y_train: ArrayLike | None = None,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        epochs: int = 1000,
        batch_size: None = None,
    ) -> None:
        """Train for some epochs: each a re-estimation of the precisions, where it is due, and a step.

        In training the weights are those of the last step; after it those of the highest evidence.  Called
        again with the same data it goes on where it ended; with others it begins anew from the weights.
        Exceptions of signals, and Ctrl-C, pass through, with the weights of the last step.

        Parameters
        ----------
        X_train, y_train, X_test, y_test, batch_size
            As in `LevenbergMarquardt.train`; the test data are only watched.
        epochs : int
            The evidence usually ends the training within 100.

        Raises
        ------
        ValueError
            As `LevenbergMarquardt.train`.
        """
        run_training(self, (X_train, y_train), (X_test, y_test), epochs, batch_size)

    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, *args: Any, **kwargs: Any
    ) -> BayesianRegularization:
        """`train`, returning the trainer."""
        self.train(X, y, *args, **kwargs)
        return self

    def one_training_update(self, X_train: ArrayLike, y_train: ArrayLike) -> float:
        """One epoch without events, for loops of one's own; returns the error after it."""
        return one_update(self, X_train, y_train)

    @property
    def w(self) -> FloatArray:
        """The weights (n_params,), a copy.  Setting them forgets precisions and error bars."""
        return self.stepper.weights().copy()

    @w.setter
    def w(self, value: ArrayLike) -> None:
        self.stepper.set_weights(value)

    @property
    def history(self) -> History:
        return self.stepper.history

    @property
    def n_updates_made(self) -> int:
        return self.stepper.n_steps

    # -- what was found ------------------------------------------------------------------------

    @property
    def evidence(self) -> EvidenceResult | None:
        return self.stepper.fit

    @property
    def effective_parameters(self) -> float:
        return self._found().n_effective

    @property
    def log_evidence(self) -> float:
        return self._found().log_evidence

    @property
    def noise_sd(self) -> float:
        return self._found().noise_sd

    @property
    def relevance(self) -> FloatArray | None:
        return self._found().relevance

    @property
    def weight_precision(self) -> FloatArray:
        return self._found().weight_precision

    # -- predictions ---------------------------------------------------------------------------

    def predict(self, X: ArrayLike, return_std: bool = False) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Outputs (n_samples, n_outputs) for inputs (n_samples, n_inputs).

        With `return_std` also, in the same shape, the standard deviation of a new measurement: noise and
        uncertainty of the weights.

        Raises
        ------
        ValueError
            With `return_std`, when there are no error bars; the message says why.
        """
        inputs = as_inputs(X, self.network)
        mean = self.network.predict(self.stepper.weights(), inputs)
        if not return_std:
            return mean
        posterior = self._posterior()
        return mean, np.sqrt(posterior.predictive_variance(inputs) + posterior.noise_variance)

    transform = predict

    def predict_interval(self, X: ArrayLike, coverage: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends, (n_samples, n_outputs) each, of intervals that hold a new measurement with
        probability `coverage`.

        Raises
        ------
        ValueError
            When `coverage` is not between 0 and 1, or there are no error bars.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage!r} must be between 0 and 1, e.g. 0.95")
        mean, sd = self.predict(X, return_std=True)
        half = float(ndtri(0.5 + 0.5 * coverage)) * sd
        return mean - half, mean + half

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """The mean squared error on data: lower is better."""
        X, y = as_samples(X, y, self.network)
        return mean_squared_error(self.network.predict(self.stepper.weights(), X), y)

    # -- the rest ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to a file, without pickle."""
        save_weights(path, self.network, self.w)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the weights to those that `save` wrote for the same network."""
        self.w = load_weights(path, self.network)

    def plot_errors(self, logx: bool = False, show: bool = True, **figkwargs: Any) -> Figure:
        """As `LevenbergMarquardt.plot_errors`."""
        from marquardt.trainer.error_plot import errors_figure

        return errors_figure(self.errors, logx, show, **figkwargs)

    def architecture(self) -> None:
        """Print the layers with their numbers of parameters."""
        print(architecture_text(self.network))

    def __repr__(self) -> str:
        damping = self.method.damping
        return (
            f"BayesianRegularization({self.network!r}, {damping!r}, groups={self.groups!r}, "
            f"show_epoch={self.show_epoch})"
        )

    def _found(self) -> EvidenceResult:
        if self.stepper.fit is None:
            raise ValueError(
                "there is no evidence yet, or the weights were changed since: call train(X_train, y_train)"
            )
        return self.stepper.fit

    def _posterior(self) -> Posterior:
        found = self._found()
        if found.posterior is None:
            raise ValueError(f"this training has no error bars. {found.message}")
        return found.posterior
