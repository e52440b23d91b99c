"""`LevenbergMarquardt`: NeuPy's class of that name, on the driver of this package.

A script written for NeuPy runs with its imports changed: ``import marquardt as algorithms``, and layers and
`StopTraining` from `marquardt`.  What differs from NeuPy 0.8, on purpose:

1. The residuals are prediction − target.  NeuPy feeds the *squared* errors to the Jacobian and squares them
   again: it minimizes the sum of fourth powers, and its system becomes singular as the fit becomes good.
2. A step that does not decrease the error is rejected, mu is raised and the step tried again.  NeuPy keeps
   every step, and adapts mu to the error of the epoch before.
3. The step has two more parts, `acceleration` and `resolve_output`; each can be switched off.
4. `errors.train` holds the error *after* each update, of the weights that you have; NeuPy's is one update
   older.
5. Training ends before `epochs` when no step decreases the error any more; `message` says why.
6. `shuffle_data` changes nothing: every step sees all rows, and their order does not matter.
7. All is float64.  Weights are drawn at the first use, by a law that may look at the inputs, and not from
   NumPy's global generator: set `random_state`.
8. mu must be above 0 and `mu_update_factor` above 1: a rejected step has to have a successor.

For users of MATLAB's `trainlm`:

===================  ==================================================================================
trainlm              here
===================  ==================================================================================
epochs               ``train(..., epochs=1000)``
mu, mu_inc, mu_dec   ``damping=Multiplicative(initial=0.001, up=10, down=10)``: mu_dec = 1 / down
mu_max               ``Multiplicative(maximum=1e10)``
goal                 ``stopping=Stopping(cost_goal=...)``: half the sum of squared errors, not their mean
min_grad             ``stopping=Stopping(gradient_tolerance=...)``, in the same units
max_fail             ``stopping=Stopping(max_fail=6)`` with X_test, y_test as the validation rows
time                 ``stopping=Stopping(max_time=60)``, in seconds
show                 ``show_epoch=25, verbose=True``
===================  ==================================================================================
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, Metric
from marquardt.initialization import Initialization, default_initialization
from marquardt.linsolve import LinearSolver
from marquardt.result import History, Status
from marquardt.stopping import Stopping
from marquardt.trainer.epochs import one_update, run_training
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
from marquardt.trainer.stepper import UNLIMITED, Stepper
from marquardt.trainer.weights_file import load_weights, save_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LevenbergMarquardt:
    """Train a network by Levenberg-Marquardt, epoch by epoch, with NeuPy's vocabulary.

    Parameters
    ----------
    network : MLP, sequence of layers, or sequence of int
        ``Input(2) >> Sigmoid(3) >> Sigmoid(1)``, or a list of these layers, or their sizes ``(2, 3, 1)``.
    mu : float
        First damping, in the units of JᵀJ; scale inputs and targets to the order of 1.
    mu_update_factor : float or None
        mu is divided by it after an accepted step and multiplied by it after a rejected one.  None takes
        Nielsen's gain-ratio rule instead, with `mu` relative to the largest diagonal entry of JᵀJ.
    show_epoch : int
        With `verbose`, print every so many epochs.
    shuffle_data : bool
        Without effect.
    signals : function, object, class, or list of these, optional
        What to call at the events of `marquardt.trainer.signals`.
    verbose : bool
    loss : {"mse"}
    damping : DampingRule, optional
        Any rule of `marquardt.damping`, in place of `mu` and `mu_update_factor`.
    acceleration, resolve_output : bool
        The two parts of the step that NeuPy has not.
    metric, solver : Metric, LinearSolver, optional
        As in `minimize`.
    stopping : Stopping, optional
        When to end before `epochs`.  Its `max_iter` is not used; with `max_fail`, the weights of the lowest
        error on the test data are restored.
    initialization : Initialization, optional
        How weights are drawn; `default_initialization` of the network by default.
    random_state : int, Generator or None
        Seed of the weights.
    w : array (n_params,), optional
        The weights to start from, in the order of `MLP`; also an attribute that can be set at any time.

    Attributes
    ----------
    errors : Errors
        ``errors.train`` and ``errors.valid``: mean squared errors, one an epoch.
    last_epoch, n_updates_made : int
    history : History
        One record a step, for `marquardt.reports.plots.training_state`.
    status, message : Status or None, str
        Why the last training ended.

    Raises
    ------
    TypeError, ValueError
        For settings that cannot be; each message names the setting and its value.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import Input, LevenbergMarquardt, Sigmoid
    >>> x_train = np.array([[1, 2], [3, 4]])
    >>> y_train = np.array([[1], [0]])
    >>> network = Input(2) >> Sigmoid(3) >> Sigmoid(1)
    >>> optimizer = LevenbergMarquardt(network, random_state=0)
    >>> optimizer.train(x_train, y_train)
    >>> optimizer.predict(x_train).round(2)
    array([[1.], [0.]])
    """

    def __init__(
        self,
        network: Network,
        mu: float = 0.01,
        mu_update_factor: float | None = 1.2,
        show_epoch: int = 1,
        shuffle_data: bool = False,
        signals: Signals = None,
        verbose: bool = False,
        *,
        loss: str = "mse",
        damping: DampingRule | None = None,
        acceleration: bool = True,
        resolve_output: bool = True,
        metric: Metric | None = None,
        solver: LinearSolver | None = None,
        stopping: Stopping | None = None,
        initialization: Initialization | None = None,
        random_state: int | np.random.Generator | None = None,
        w: ArrayLike | None = None,
    ) -> None:
        if loss != "mse":
            raise ValueError(f"loss={loss!r}: the method minimizes a sum of squares, so loss must be 'mse'")
        self.network = as_network(network)
        self.mu, self.mu_update_factor = mu, mu_update_factor
        self.show_epoch = as_count("show_epoch", show_epoch)
        self.shuffle_data, self.verbose = bool(shuffle_data), bool(verbose)
        self.method = as_method(
            damping or as_damping(mu, mu_update_factor), metric, solver, acceleration, resolve_output
        )
        self.errors, self.last_epoch = Errors(), 0
        self.status: Status | None = None
        self.message = "Not trained yet."
        self.events = Events([EpochPrinter(), self.errors, *as_signals(signals)])
        law = initialization or default_initialization(self.network)
        limits = replace(stopping or UNLIMITED, max_iter=sys.maxsize)
        self.stepper = Stepper(self.network, self.method, law, np.random.default_rng(random_state), w, limits)
        if self.verbose:
            print(f"{self!r}, {self.network.n_params} parameters")

    @property
    def w(self) -> FloatArray:
        """The weights (n_params,), a copy; drawn now when there are none yet.  Setting them resets mu."""
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to a file, without pickle."""
        save_weights(path, self.network, self.w)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the weights to those that `save` wrote for the same network."""
        self.w = load_weights(path, self.network)

    def train(
        self,
        X_train: ArrayLike,
        y_train: ArrayLike | None = None,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        epochs: int = 100,
        batch_size: None = None,
    ) -> None:
        """Train for some epochs, each one accepted Levenberg-Marquardt step.

        Called again, it goes on from the weights and the mu that it has.  Exceptions of signals, and Ctrl-C,
        pass through; the weights are then those of the last update.

        Parameters
        ----------
        X_train : array (n_samples, n_inputs), or (n_samples,) for one input
        y_train : array (n_samples, n_outputs), or (n_samples,) for one output
        X_test, y_test : arrays, optional
            Data to watch `errors.valid` on.
        epochs : int
        batch_size : None
            There are no batches: every step needs all rows.

        Raises
        ------
        ValueError
            For a number of epochs below 1, data of wrong shape, NaN or infinite values, X_test without
            y_test, or a batch size.
        """
        run_training(self, (X_train, y_train), (X_test, y_test), epochs, batch_size)

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *args: Any, **kwargs: Any) -> LevenbergMarquardt:
        """`train`, returning the trainer."""
        self.train(X, y, *args, **kwargs)
        return self

    def one_training_update(self, X_train: ArrayLike, y_train: ArrayLike) -> float:
        """One accepted step without events, for loops of one's own; returns the error after it.

        The weights stay as they are when no step decreases the error.
        """
        return one_update(self, X_train, y_train)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Outputs (n_samples, n_outputs) for inputs (n_samples, n_inputs)."""
        return self.network.predict(self.stepper.weights(), as_inputs(X, self.network))

    transform = predict

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """The mean squared error on data, as in NeuPy: lower is better, unlike scikit-learn's R²."""
        X, y = as_samples(X, y, self.network)
        return mean_squared_error(self.predict(X), y)

    def plot_errors(self, logx: bool = False, show: bool = True, **figkwargs: Any) -> Figure:
        """Draw `errors` and return the figure; with `show`, in a window where matplotlib can open one."""
        from marquardt.trainer.error_plot import errors_figure

        return errors_figure(self.errors, logx, show, **figkwargs)

    def architecture(self) -> None:
        """Print the layers with their numbers of parameters."""
        print(architecture_text(self.network))

    def __repr__(self) -> str:
        damping = self.method.damping
        return f"LevenbergMarquardt({self.network!r}, {damping!r}, show_epoch={self.show_epoch})"
