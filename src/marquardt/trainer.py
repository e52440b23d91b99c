"""`LevenbergMarquardt`: NeuPy's class of that name, on the driver of this package.

A script written for NeuPy runs with its import changed.  What differs from NeuPy 0.8, on purpose:

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
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import check_samples
from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.damping import DampingRule, DampingState, Nielsen
from marquardt.escalating import Escalating
from marquardt.initialization import Initialization, default_initialization
from marquardt.linsolve import Auto, LinearSolver
from marquardt.lm import Geodesic, Method, Reason, State
from marquardt.models.layers import Input, Layer, Sigmoid
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import History, Status
from marquardt.signals import EpochPrinter, Errors, Events, Signals, StopTraining, as_signals, mean_squared_error
from marquardt.stopping import Stopping
from marquardt.weights_file import load_weights, save_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Network: TypeAlias = "MLP | Sequence[Layer] | Sequence[int]"
TestData: TypeAlias = "tuple[FloatArray, FloatArray] | None"


class LevenbergMarquardt:
    """Train a network by Levenberg-Marquardt, epoch by epoch, with NeuPy's vocabulary.

    Parameters
    ----------
    network : MLP, sequence of layers, or sequence of int
        ``Input(2) >> Sigmoid(3) >> Sigmoid(1)``, ``[Input(2), Sigmoid(3), Sigmoid(1)]`` or ``(2, 3, 1)``,
        which all mean the same.
    mu : float
        First damping, in the units of JᵀJ; scale inputs and targets to the order of 1.
    mu_update_factor : float or None
        mu is divided by it after an accepted step and multiplied by it after a rejected one.  None takes
        Nielsen's gain-ratio rule instead, with `mu` relative to the largest diagonal entry of JᵀJ.
    show_epoch : int
        With `verbose`, print every so many epochs.
    shuffle_data : bool
        Without effect: every step sees all rows.
    signals : function, object, class, or list of these, optional
        What to call at the events of `marquardt.signals`.
    verbose : bool
        Whether to print the settings and the errors.
    loss : {"mse"}
    damping : DampingRule, optional
        Any rule of `marquardt.damping`, in place of `mu` and `mu_update_factor`.
    acceleration, resolve_output : bool
        The two parts of the step that NeuPy has not.
    solver : LinearSolver, optional
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
    last_epoch : int
        Number of the last epoch; goes on counting when `train` is called again.
    n_updates_made : int
        Steps taken.
    history : History
        One record a step, for `marquardt.plots.training_state`.
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
        solver: LinearSolver | None = None,
        stopping: Stopping | None = None,
        initialization: Initialization | None = None,
        random_state: int | np.random.Generator | None = None,
        w: ArrayLike | None = None,
    ) -> None:
        if loss != "mse":
            raise ValueError(f"loss={loss!r}: the method minimizes a sum of squares, so loss must be 'mse'")
        if not (hasattr(show_epoch, "__index__") and show_epoch >= 1):
            raise ValueError(f"show_epoch={show_epoch!r} must be an integer >= 1")
        self.network = as_network(network)
        self.mu, self.mu_update_factor = mu, mu_update_factor
        self.show_epoch, self.shuffle_data, self.verbose = int(show_epoch), bool(shuffle_data), bool(verbose)
        self.method = Method(
            damping=damping or _damping(mu, mu_update_factor),
            solver=solver or Auto(),
            acceleration=Geodesic() if acceleration else None,
            resolve_output=resolve_output,
        )
        self.stopping = replace(stopping or Stopping(max_fail=None), max_iter=sys.maxsize)
        self.initialization = initialization or default_initialization(self.network)
        self.errors, self.history = Errors(), History()
        self.last_epoch = self.n_updates_made = 0
        self.status: Status | None = None
        self.message = "Not trained yet."
        self.events = Events([EpochPrinter(), self.errors, *as_signals(signals)])
        self._rng = np.random.default_rng(random_state)
        self._w: FloatArray | None = None if w is None else self.network.check_parameters(w).copy()
        self._damping: DampingState | None = None
        self._run: tuple[NetworkProblem, State] | None = None
        self._clock = time.perf_counter()
        if self.verbose:
            print(repr(self))

    # -- weights -------------------------------------------------------------------------------

    @property
    def w(self) -> FloatArray:
        """The weights (n_params,), a copy; drawn now when there are none yet.  Setting them restarts mu."""
        return self._weights(None).copy()

    @w.setter
    def w(self, value: ArrayLike) -> None:
        self._w = self.network.check_parameters(value).copy()
        self._damping = self._run = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to a file (no pickle); `load` of a trainer of the same network reads them."""
        save_weights(path, self.network, self.w)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the weights to those of a file written by `save`."""
        self.w = load_weights(path, self.network)

    # -- training ------------------------------------------------------------------------------

    def train(
        self,
        X_train: ArrayLike,
        y_train: ArrayLike | None = None,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        epochs: int = 100,
        batch_size: int | None = None,
    ) -> None:
        """Train for some epochs: one accepted Levenberg-Marquardt step each.

        Called again, it goes on from the weights and the mu that it has.  An exception in a signal, Ctrl-C
        among them, passes through; the weights are then those of the last epoch.

        Parameters
        ----------
        X_train : array (n_samples, n_inputs), or (n_samples,) for one input
        y_train : array (n_samples, n_outputs), or (n_samples,) for one output
        X_test, y_test : arrays, optional
            Data to watch `errors.valid` on.
        epochs : int
        batch_size : None
            The method needs all rows at once.

        Raises
        ------
        ValueError
            For a number of epochs below 1, data of wrong shape, NaN or infinite values, X_test without
            y_test, or a batch_size.
        """
        epochs = _checked_epochs(epochs)
        if batch_size is not None:
            raise ValueError(f"batch_size={batch_size!r}: every step needs all rows; leave it out")
        if y_train is None:
            raise ValueError("y_train is missing: the method learns from targets")
        problem = self._problem(X_train, y_train)
        test = self._test_data(X_test, y_test)
        data = {"X_train": X_train, "y_train": y_train, "epochs": epochs, "batch_size": None}
        with one_thread_if_small(self.network.n_params):
            reason = self._epochs(problem, test, epochs, data)
        self.status, self.message = reason[0], _message(reason)
        self.events.trigger("train_end", self)

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *args: Any, **kwargs: Any) -> LevenbergMarquardt:
        """`train`, returning the trainer."""
        self.train(X, y, *args, **kwargs)
        return self

    def one_training_update(self, X_train: ArrayLike, y_train: ArrayLike) -> float:
        """One accepted step, without events; returns the mean squared error after it.

        For loops of one's own.  The weights stay when no step decreases the error.
        """
        self._update(self._problem(X_train, y_train))
        return self._error()

    # -- use -----------------------------------------------------------------------------------

    def predict(self, X: ArrayLike) -> FloatArray:
        """Outputs (n_samples, n_outputs) for inputs (n_samples, n_inputs)."""
        X = self._inputs(X)
        return self.network.predict(self._weights(None), X)

    transform = predict

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """The mean squared error on data, as in NeuPy (lower is better; scikit-learn's score is R²)."""
        X, y = check_samples(self._inputs(X), y, self.network.n_inputs, self.network.n_outputs)
        return mean_squared_error(self.network.predict(self._weights(None), X), y)

    def plot_errors(self, logx: bool = False, show: bool = True, **figkwargs: Any) -> Figure:
        """Draw `errors`; opens a window with `show`, where matplotlib can, and returns the figure."""
        from marquardt.error_plot import errors_figure

        return errors_figure(self.errors, logx, show, **figkwargs)

    def architecture(self) -> str:
        """Print the layers with their numbers of parameters, and return the text."""
        rows = [(type(layer).__name__, layer.units, 0) for layer in self.network.layers]
        for i, (n_out, columns) in enumerate(self.network.shapes, start=1):
            rows[i] = (*rows[i][:2], n_out * columns)
        lines = [f"{'#':>3}  {'layer':<10}{'units':>8}{'parameters':>12}"]
        lines += [f"{i:>3}  {kind:<10}{units:>8}{count:>12}" for i, (kind, units, count) in enumerate(rows, 1)]
        lines += [f"{'':>3}  {'total':<10}{'':>8}{self.network.n_params:>12}"]
        print("\n".join(lines))
        return "\n".join(lines)

    def __repr__(self) -> str:
        rule = f"mu={self.mu!r}, mu_update_factor={self.mu_update_factor!r}"
        if not isinstance(self.method.damping, Escalating | Nielsen):
            rule = f"damping={self.method.damping!r}"
        return f"LevenbergMarquardt({self.network!r}, {rule}, show_epoch={self.show_epoch})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None}  # what a step leaves behind is large, and made again

    # -- within --------------------------------------------------------------------------------

    def _epochs(self, problem: NetworkProblem, test: TestData, epochs: int, data: dict[str, Any]) -> Reason:
        best, fails = (np.inf, self._weights(problem)), 0
        try:
            self.events.trigger("train_start", self, **data)
            for _ in range(epochs):
                reason = self._epoch(problem)
                if test is not None:
                    error = self._validate(test)
                    best, fails = ((error, self._weights(problem)), 0) if error < best[0] else (best, fails + 1)
                self.events.trigger("epoch_end", self)
                norm = float(np.linalg.norm(self._weights(problem)))
                reason = reason or self.stopping.reason(self.history[-1], norm, fails)
                if reason is not None and reason[0] is Status.MAX_FAIL:
                    self.w = best[1]
                if reason is not None:
                    return reason
        except StopTraining as stop:
            return Status.STOPPED_BY_CALLBACK, f"epoch #{self.last_epoch} was stopped: {stop or 'StopTraining'}"
        return Status.MAX_ITER, f"{epochs} epochs done, error {self.errors.train[-1]:.6g}"

    def _epoch(self, problem: NetworkProblem) -> Reason | None:
        """One update with its events; the reason when there was no step to take."""
        trigger = self.events.trigger
        trigger("epoch_start", self)
        self.last_epoch += 1
        trigger("update_start", self)
        started = time.perf_counter()
        reason = self._update(problem)
        self._tell("train_error", self._error(), started, problem.n_samples)
        trigger("update_end", self)
        return reason

    def _validate(self, test: tuple[FloatArray, FloatArray]) -> float:
        started = time.perf_counter()
        error = mean_squared_error(self.network.predict(self._weights(None), test[0]), test[1])
        self._tell("valid_error", error, started, len(test[0]))
        return error

    def _tell(self, event: str, value: float, started: float, n_samples: int) -> None:
        self.events.trigger(event, self, value=value, eta=time.perf_counter() - started,
                            epoch=self.last_epoch, n_updates=self.n_updates_made, n_samples=n_samples)  # fmt: skip

    def _update(self, problem: NetworkProblem) -> Reason | None:
        """One step of the driver; weights, damping and records follow it."""
        state = self._state(problem)
        if state.stuck is None:
            state = self.method.step(problem, state)
        self._run, self._w = (problem, replace(state, stuck=None)), state.at.w
        if state.stuck is not None:
            # At the largest mu there is no way on; whoever trains again begins with the first one.
            self._damping = self._run = None
            return state.stuck
        self._damping = state.damping
        self.n_updates_made += 1
        self.history.append(state.record(self.n_updates_made, time.perf_counter() - self._clock))
        return None
