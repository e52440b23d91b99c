"""`NARXRegressor`: nonlinear autoregression with external inputs, open and closed loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from marquardt import MLP, ClosedLoopProblem, LMRegressor, Result, Stopping
from marquardt.apps.sequences.closed_training import ClosedLoopFit, train_closed
from marquardt.apps.sequences.delays import Delays
from marquardt.apps.sequences.gradient_flow import GradientFlow
from marquardt.apps.sequences.preparation import Prepared, rows_of
from marquardt.apps.sequences.series import Series, arrays_of, checked_inputs, checked_series


class NARXRegressor(BaseEstimator):
    r"""A network of past inputs and outputs, for dynamic systems: ŷ(t) = f(u(t − d), ..., y(t − d), ...).

    Open loop (series-parallel), f sees measured outputs: prediction a few steps ahead.  Closed loop
    (parallel), it sees its own: simulation.  Names in brackets are those of MATLAB's `narxnet`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each hidden layer; () is a linear ARX model.  10 is that of `narxnet`.
    input_delays, output_delays : sequence of int
        d of u, from 0, and of y, from 1 (`inputDelays`, `feedbackDelays`; 1 and 2 are those of `narxnet`).
    training : str
        "open": least one-step error, the fit for noise in the plant.  "closed": open first, and from the best
        of its starts least simulation error, with the exact Jacobian through time: the fit for noise in the
        measurements, and for simulation (`closeloop` and `train`).
    horizon : int or None
        With "closed": the loop is opened again every so many rows, for predictions that far ahead, and for
        plants that are unstable; None never opens it.
    activation, regularization, alpha, max_iter, tol, random_state, n_starts, n_jobs, max_time, verbose
        As in `LMRegressor`, with regularization "auto", "bayesian" or "l2".  `max_iter` holds for every run,
        `max_time` for each open-loop start, and for all of the closed-loop training together.

    Attributes
    ----------
    open_loop_ : LMRegressor
        The open-loop fit of the scaled rows.
    network_, w_ : MLP, array (n_params,)
    result_ : Result
        Of the last training; with `history_`, `status_`, `message_`, `n_iter_`.
    evidence_ : EvidenceResult or None
        With Bayesian regularization, of the last training.
    u_scaler_, y_scaler_ : StandardScaler
        u_scaler_ is None without inputs.
    stability_ : GradientFlow or None
        How a change of the outputs goes on around the closed loop on the training rows.
    notes_ : tuple of str
        What was left out, what exploded.
    prepared_ : Prepared
        The training rows, in scaled units.
    n_inputs_, n_outputs_ : int
        Signals.

    Notes
    -----
    u and y are arrays (T,) or (T, number of signals), or lists of them: several series, each of which starts
    anew.  NaN in y is a gap: open loop leaves the rows out that touch it, closed loop the error there.

    Examples
    --------
    >>> u = np.random.default_rng(0).uniform(-1, 1, 300)
    >>> y = np.zeros(300)
    >>> for t in range(2, 300):
    ...     y[t] = 0.6 * y[t - 1] - 0.2 * y[t - 2] + np.sin(2 * u[t - 1])
    >>> model = NARXRegressor(6, [1], [1, 2], alpha=0.0, n_starts=1, random_state=0).fit(u[:200], y[:200])
    >>> model.score(u[200:], y[200:]) > 0.9999
    True
    >>> bool(abs(model.simulate(u[200:], y[200:202]) - y[200:]).max() < 0.05)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (10,),
        input_delays: Sequence[int] = (1, 2),
        output_delays: Sequence[int] = (1, 2),
        *,
        training: str = "open",
        horizon: int | None = None,
        activation: str = "tanh",
        regularization: str = "auto",
        alpha: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        n_starts: int = 4,
        n_jobs: int | None = None,
        max_time: float | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_delays = input_delays
        self.output_delays = output_delays
        self.training = training
        self.horizon = horizon
        self.activation = activation
        self.regularization = regularization
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_starts = n_starts
        self.n_jobs = n_jobs
        self.max_time = max_time
        self.verbose = verbose

    # -- training ------------------------------------------------------------------------------

    def fit(self, u: Any, y: Any) -> NARXRegressor:
        """Train on inputs u, None for none, and outputs y.

        Raises
        ------
        ValueError
            For lengths that differ, a series not longer than the longest delay, infinite values, NaN in u,
            bad delays or options.

        Warns
        -----
        ConvergenceWarning
            When a limit came before convergence.
        """
        delays = self._checked(u is None)
        series, _ = checked_series(u, y, delays.longest)
        self.n_inputs_, self.n_outputs_ = series[0].u.shape[1], series[0].y.shape[1]
        self.u_scaler_, self.y_scaler_, notes = _scalers(series)
        self.prepared_ = rows_of([self._scaled(one) for one in series], delays)
        complete = self.prepared_.take(self.prepared_.complete)
        left_out = len(self.prepared_.y) - len(complete.y)
        if len(complete.y) < 2:
            raise ValueError(
                f"{len(complete.y)} rows have all their delayed outputs measured, and it takes 2 or more: "
                "give longer series, fewer gaps, or shorter delays"
            )
        if left_out:
            notes.append(
                f"{left_out} of {len(self.prepared_.y)} rows touch a gap of y, and open-loop training leaves "
                "them out"
            )
        self._fit_open(complete)
        problem = self._problem(self.prepared_, None)
        closed = self._fit_closed() if self.training == "closed" else None
        if closed is None and self.training == "closed":
            notes.append("interrupted before the training in closed loop: the fit is that of the open loop")
        elif closed is not None:
            if closed.result.status.may_go_on or not closed.result.success:
                warnings.warn(
                    f"closed-loop training: {closed.result.message}", ConvergenceWarning, stacklevel=2
                )
            self._keep(closed.w, closed.result, closed.evidence)
            notes += closed.notes
        norms = problem.memory(self.w_)
        self.stability_ = GradientFlow(norms) if len(norms) > 1 else None
        if self.stability_ is not None and self.stability_.verdict == "exploding":
            remedy = "train with training='closed'" if self.training == "open" else "set a horizon"
            notes.append(
                "the closed loop amplifies its own errors: simulations drift away or overflow; "
                f"{remedy}, or predict a few steps ahead only"
            )
        self.notes_ = tuple(notes)
        return self

    def _checked(self, autonomous: bool) -> Delays:
        if self.training not in ("open", "closed"):
            raise ValueError(f"training={self.training!r} must be 'open' or 'closed'")
        if self.regularization not in ("auto", "bayesian", "l2"):
            raise ValueError(f"regularization={self.regularization!r} must be 'auto', 'bayesian' or 'l2'")
        if self.horizon is not None and not (float(self.horizon).is_integer() and self.horizon >= 1):
            raise ValueError(f"horizon={self.horizon!r} must be a whole number of rows >= 1, or None")
        if self.horizon is not None and self.training == "open":
            raise ValueError(
                f"horizon={self.horizon!r} is for training='closed': the open loop looks one step ahead"
            )
        return Delays(() if autonomous else self.input_delays, self.output_delays)

    @property
    def _delays(self) -> Delays:
        return Delays(self.input_delays if self.n_inputs_ else (), self.output_delays)

    @property
    def _bayesian(self) -> bool:
        return self.regularization == "bayesian" or (self.regularization == "auto" and self.alpha is None)

    def _fit_open(self, rows: Prepared) -> None:
        closed = self.training == "closed"
        self.open_loop_ = LMRegressor(
            self.hidden_layer_sizes,
            self.activation,
            regularization="bayesian" if self._bayesian else "l2",
            alpha=None if self._bayesian else self.alpha,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
            n_starts=self.n_starts,
            ensemble_size=self.n_starts if closed else 1,  # all are tried in the closed loop
            n_jobs=self.n_jobs,
            scale_inputs=False,
            scale_target=False,
            max_time=self.max_time,
            verbose=self.verbose,
        )
        self.open_loop_.fit(rows.X, rows.y[:, 0] if self.n_outputs_ == 1 else rows.y)
        self.network_: MLP = self.open_loop_.network_
        self._keep(self.open_loop_.w_, self.open_loop_.result_, self.open_loop_.evidence_)

    def _fit_closed(self) -> ClosedLoopFit | None:
        """None where Ctrl-C came before there was anything."""
        starts = self.open_loop_.starts_
        if len(starts) < self.n_starts or any(start.status.by_hand for start in starts):
            return None
        alpha = 0.0
        if not self._bayesian:
            alpha = LMRegressor.default_alpha if self.alpha is None else self.alpha
        stopping = Stopping(max_iter=self.max_iter, max_time=self.max_time, cost_tolerance=self.tol)
        try:
            return train_closed(
                lambda horizon: self._problem(self.prepared_, horizon, alpha),
                [member.w for member in self.open_loop_.committee_.members],
                stopping,
                bayesian=self._bayesian,
                horizon=self.horizon,
            )
        except KeyboardInterrupt:
            return None

    def _keep(self, w: np.ndarray, result: Result, evidence: Any) -> None:
        self.w_, self.result_, self.evidence_ = w, result, evidence
        self.history_, self.status_ = result.history, result.status
        self.message_, self.n_iter_ = result.message, result.n_iter

    def _problem(self, rows: Prepared, horizon: int | None, alpha: float = 0.0) -> ClosedLoopProblem:
        kept, feedback = rows.closed(horizon)
        weights = np.isfinite(kept.y).astype(float)
        plain = bool(weights.all())
        return ClosedLoopProblem(
            self.network_, kept.X, kept.y, feedback, sample_weight=None if plain else weights, alpha=alpha
        )

    def _scaled(self, one: Series) -> Series:
        u = one.u if self.u_scaler_ is None else np.asarray(self.u_scaler_.transform(one.u))
        return Series(u, np.asarray(self.y_scaler_.transform(one.y)))

    def _unscaled(self, y: np.ndarray) -> np.ndarray:
        """In the units of y; what overflowed as NaN."""
        with np.errstate(all="ignore"):
            own = np.asarray(self.y_scaler_.inverse_transform(np.where(np.isfinite(y), y, np.nan)))
        return np.where(np.isfinite(own), own, np.nan)

    # -- use -----------------------------------------------------------------------------------

    def predict(self, u: Any, y: Any, n_steps: int = 1) -> Any:
        """ŷ(t) from outputs up to t − n_steps, in the form of y; NaN where too little came before."""
        check_is_fitted(self)
        if not (float(n_steps).is_integer() and n_steps >= 1):
            raise ValueError(f"n_steps={n_steps!r} must be a whole number >= 1")
        delays = self._delays
        series, form = checked_series(u, y, delays.longest)
        self._check_signals(series[0].u.shape[1], series[0].y.shape[1])
        return form.of([self._ahead(self._scaled(one), delays, int(n_steps)) for one in series])

    def _ahead(self, one: Series, delays: Delays, n_steps: int) -> np.ndarray:
        rows, start = rows_of([one], delays), delays.longest
        k, first = self.n_outputs_, rows.X.shape[1] - self.n_outputs_ * len(delays.outputs)
        known = [one.y]  # j steps ahead, at every time
        for j in range(1, n_steps + 1):
            for i, lag in enumerate(delays.outputs):
                source = known[j - lag] if lag < j else one.y
                rows.X[:, first + i * k : first + (i + 1) * k] = source[start - lag : len(one) - lag]
            ahead = np.full_like(one.y, np.nan)
            with np.errstate(all="ignore"):
                ahead[start:] = self.network_.predict(self.w_, rows.X)
            known.append(ahead)
        return self._unscaled(known[-1])

    def simulate(self, u: Any, y_start: Any, n_steps: int | None = None) -> Any:
        """Outputs (T, k) in closed loop, from inputs alone.

        Parameters
        ----------
        u : array (T,) or (T, m), a list of them, or None
        y_start : array (longest delay or more,) or (..., k), or a list of them
            The outputs at the first times; of more rows the first are taken, and the answer begins with them.
        n_steps : int, optional
            T, without inputs.

        Warns
        -----
        UserWarning
            Where a simulation overflows; it is NaN from there on.
        """
        check_is_fitted(self)
        delays = self._delays
        starts, form = arrays_of("y_start", y_start)
        if u is None:
            if n_steps is None:
                raise ValueError("n_steps is needed where there is no u: how many times to simulate")
            inputs = [np.empty((n_steps, 0))] * len(starts)
        else:
            inputs = checked_inputs(u)[0]
        if len(inputs) != len(starts):
            raise ValueError(
                f"u has {len(inputs)} series and y_start {len(starts)}: give one start for every u"
            )
        begun = [
            self._begun(i, a, b, delays.longest) for i, (a, b) in enumerate(zip(inputs, starts, strict=True))
        ]
        rows = rows_of([self._scaled(one) for one in begun], delays)
        with np.errstate(all="ignore"):
            found = self._problem(rows, None).simulate(self.w_)
        answers = []
        for i, one in enumerate(begun):
            own = self._unscaled(found[rows.series == i])
            answers.append(np.vstack([one.y[: delays.longest], own]))
            lost = ~np.isfinite(own).all(axis=1)
            if lost.any():
                warnings.warn(
                    f"the simulation of series {i} overflows from time "
                    f"{delays.longest + int(lost.argmax())} on: its closed loop is unstable, see "
                    "stability_ and notes_",
                    UserWarning,
                    stacklevel=2,
                )
        return form.of(answers)

    def _begun(self, i: int, u: np.ndarray, y_start: np.ndarray, longest: int) -> Series:
        self._check_signals(u.shape[1], y_start.shape[1])
        if len(y_start) < longest:
            raise ValueError(
                f"y_start of series {i} has {len(y_start)} rows, but the longest delay is {longest}: give "
                f"{longest} or more"
            )
        if len(u) <= longest:
            raise ValueError(f"series {i} has {len(u)} times, and the start takes {longest}: give more")
        if np.isnan(y_start[:longest]).any():
            raise ValueError(
                f"y_start of series {i} holds NaN among its first {longest} rows: measure or guess them"
            )
        y = np.zeros((len(u), y_start.shape[1]))
        y[:longest] = y_start[:longest]
        return Series(u, y)

    def score(self, u: Any, y: Any, n_steps: int | None = None) -> float:
        """R² of the simulation of u from the first rows of y; or of the prediction `n_steps` ahead."""
        check_is_fitted(self)
        form = "simulate" if n_steps is None else "predict"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = self.simulate(u, y) if n_steps is None else self.predict(u, y, n_steps)
        outputs, guesses = np.vstack(arrays_of("y", y)[0]), _stacked(found)
        first = self._delays.longest
        times = np.concatenate([np.arange(len(part)) for part in arrays_of("y", y)[0]])
        counted = np.isfinite(outputs).all(axis=1) & (times >= first + ((n_steps or 1) - 1))
        if form == "predict":
            counted &= np.isfinite(guesses).all(axis=1)
        if not np.isfinite(guesses[counted]).all():
            return -np.inf
        return float(r2_score(outputs[counted], guesses[counted]))

    def _check_signals(self, n_inputs: int, n_outputs: int) -> None:
        if (n_inputs, n_outputs) != (self.n_inputs_, self.n_outputs_):
            raise ValueError(
                f"u has {n_inputs} signals and y {n_outputs}, but the model was trained on "
                f"{self.n_inputs_} and {self.n_outputs_}"
            )


def _scalers(series: Sequence[Series]) -> tuple[StandardScaler | None, StandardScaler, list[str]]:
    """Of u and y, over all times of all series; and what is constant."""
    y_all, u_all = np.vstack([one.y for one in series]), np.vstack([one.u for one in series])
    if np.isnan(y_all).all(axis=0).any():
        raise ValueError("y has a signal without any measured value: leave it out")
    notes = []
    for name, values in (("u", u_all), ("y", y_all)):
        constant = np.flatnonzero(np.nanmax(values, axis=0) == np.nanmin(values, axis=0))
        notes += [f"{name} signal {j + 1} is constant: nothing can be learned of it" for j in constant]
    return (
        StandardScaler().fit(u_all) if u_all.shape[1] else None,
        StandardScaler().fit(y_all),
        notes,
    )


def _stacked(found: Any) -> np.ndarray:
    parts = found if isinstance(found, list) else [found]
    return np.vstack([part.reshape(len(part), -1) for part in parts])
