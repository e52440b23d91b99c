"""The scikit-learn face: `LMRegressor`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.noise import known_noise, usual_noise
from marquardt.committee import Committee
from marquardt.damping import DampingRule
from marquardt.estimators.checks import REGRESSOR_CONSTRAINTS, checked_rows
from marquardt.estimators.choices import REGRESSION_LOSSES, chosen
from marquardt.estimators.network_training import (
    drawn_seeds,
    keep_training,
    keep_validation,
    last_weights,
    planned_network,
    train,
)
from marquardt.estimators.predictions import Predictions
from marquardt.estimators.regression_task import Scalers, r2_scores
from marquardt.estimators.regularization import Regularization
from marquardt.estimators.scaling import Scaler
from marquardt.estimators.starts import Starts
from marquardt.estimators.training_rows import TrainingRows
from marquardt.estimators.training_task import TrainingTask
from marquardt.estimators.validation_split import Splitter, set_aside
from marquardt.growing_rows import GrowingRows
from marquardt.initialization import Initialization
from marquardt.linsolve import LinearSolver
from marquardt.lm import Callback
from marquardt.losses import Robust
from marquardt.method import Geodesic
from marquardt.models.layers import Linear
from marquardt.models.mlp import MLP
from marquardt.predictive_noise import UnknownNoise, VaryingNoise
from marquardt.result import History, Result, Status
from marquardt.robust_fit import RobustFit
from marquardt.run_record import Checkpoints


class LMRegressor(Predictions, MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Neural-network regression, trained by the Levenberg-Marquardt method.

    Minimizes, in standardized inputs and targets,

        C(w) = ½ Σₙ sₙ |f(xₙ; w) − yₙ|² + ½ α |weights|²

    Names and manners are those of `sklearn.neural_network.MLPRegressor`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each hidden layer; () is a linear model.  One layer of 20 had the best or nearly the best
        held-out score on the energy, concrete and yacht tables among (10,), (20,), (50,), (10, 10).
    activation : str
        Of the hidden layers: "tanh", "logistic" or "sigmoid", "relu", "elu", "softplus", "sine", "gelu",
        "swish", "identity".  Smooth ones suit a second-order method.
    loss : str or Robust
        "squared_error"; or, for targets with gross errors, "cauchy", "tukey", "huber", "soft_l1", the scale
        of the noise estimated (see `robust_`); "quantile" for the median, `Quantile(level=0.9)` for another.
    regularization : str or Bayesian
        "bayesian": the penalty and the noise are found from the rows by the evidence; with error bars (see
        `predict`), and no validation rows.  "l2": the penalty `alpha`.  "auto": the first, unless `alpha` is
        given, `early_stopping` is on or the loss is robust.  Or `Bayesian(groups=...)`.
    alpha : float or None
        With "l2": weight penalty, in the meaning of `MLPRegressor`; biases are free.  None is 0.01; for data
        without noise 0 fits to the last digits.
    max_iter : int
        Largest number of iterations.  On the same tables fits converged within 30 to 200; Bayesian ones of
        targets without noise may take several hundred.
    tol : float
        Training ends when an iteration lowers the loss by less than this fraction of it; with Bayesian
        regularization, training under one penalty, and the evidence ends the whole.
    random_state : int, RandomState or None
        Of the starting weights and of the validation split.
    init : str, Initialization or array (n_params,)
        "auto" (see `default_initialization`), "nguyen-widrow", "glorot", "he", "lsuv", "uniform", an object
        of `marquardt.initialization`, or the starting parameters themselves, for the scaled data: one start.
    n_starts : int
        Random starts; the best is kept: of lowest loss, or lowest validation loss with early stopping, or
        highest evidence.  See `starts_`.  With Bayesian regularization 4 have 0.78 of the error of one, in
        the geometric mean over ten tasks (`benchmarks/defaults.py`), in 4 times its time.
    ensemble_size : int
        How many of the starts, best first, predict together, as their mean.
    n_jobs : int or None
        Processes for the starts, in joblib's meaning.  The result does not depend on it, bit for bit: with
        more than one start BLAS is held to one thread.
    early_stopping : bool
        Stop where the loss on a random `validation_fraction` of the rows is lowest, and keep those weights.
    validation_split : str or splitter
        Which rows those are: "random"; "last", for rows in the order of time; or a splitter of scikit-learn,
        `PredefinedSplit` for rows of your choice, whose first split is taken.
    validation_fraction : float
    n_iter_no_change : int
        With early stopping: iterations without improvement after which training ends.
    damping : str or DampingRule
        "auto", "nielsen", "trainlm" (MATLAB's), "gain-ratio", or an object of `marquardt.damping`; with early
        stopping also "validation": λ moved to where the validation error is lowest.
    solver : str or LinearSolver
        "auto", "cholesky", "qr", "dual", "eigen", "iterative", or an object of `marquardt.linsolve`.
    acceleration : bool or Geodesic
        Second-order term of the step.
    resolve_output : bool
        Whether the output layer is solved again at every trial point.
    growing_rows : bool, "auto" or GrowingRows
        Begin on a random part of the rows, which grows when its progress no longer carries over to all; the
        last iterations are always on all rows.  "auto": with "l2", where rows times outputs are at least 64
        times the parameters; not for robust losses and warm starts.  With "bayesian" True takes
        0.8 of the time on some tables and 1.25 on others.
    noise : str
        "constant", one variance for all rows; or "varying", a second network
        for its logarithm, for error bars that are longer where the measurements are worse.  On four UCI
        tables that, with a factor on the variance, raised the log-likelihood of new rows by 0.07 to 0.22
        (`benchmarks/uci.py`).
    scale_inputs, scale_target : bool
        Whether columns are standardized inside; a constant column is only shifted.
    max_time : float or None
        Limit for each start, in seconds.
    warm_start : bool
        Begin at the weights of the last `fit`, in its scaling.
    verbose : bool or int
        Print a line for every iteration; with several starts, for every start.

    Attributes
    ----------
    network_ : MLP
    w_ : array (n_params,)
        Trained parameters, for scaled data: predictions are
        `y_scaler_.inverse(network_.predict(w_, x_scaler_.transform(X)))`.
    coefs_, intercepts_ : list of arrays (n_in, n_out) and (n_out,)
        The same layer by layer, in the orientation of scikit-learn; for scaled data, too.
    x_scaler_, y_scaler_ : Scaler
        With `offset` and `scale`, one value a column.
    result_ : Result
        Of the best start; `history_`, `status_`, `message_`, `n_iter_` are its parts.
    loss_ : float
        C(w) / Σₙ sₙ: half the mean squared error plus penalty, in scaled units; for one target times
        `y_scaler_.scale[0]**2` it is in squares of the target's units.
    loss_curve_ : list of float
        The same after each iteration.
    validation_scores_, best_validation_score_ : list of float, float
        With early stopping, else None: R² on the validation rows after each iteration, and the best.
        For several targets the scaled squares are added first.
    starts_ : Starts
        A record of each start: cost, status, n_iter, log evidence; and how many reached the best.
    committee_ : Committee
        The `ensemble_size` best starts.
    evidence_ : EvidenceResult or None
        With Bayesian regularization: precisions, effective number of parameters, log evidence, of the best
        start.
    robust_ : RobustFit or None
        With a robust loss: scale of the noise and `outliers()`, in scaled units.
    relevance_ : array (n_features,) or None
        With Bayesian regularization by inputs: how far each input can move the network, as a share of the
        most relevant one; near 0 for inputs that the data do not need.
    noise_std_ : array (n_outputs,) or None
        With Bayesian regularization: standard deviation of the noise, in the units of y.
    n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As in `MLPRegressor`.

    Notes
    -----
    Differences from `MLPRegressor`: (1) scaling is done inside; (2) `tol` is relative; (3) integer weights
    equal repeated rows, in the scaling too (not with early stopping, whose split draws rows); (4) y of shape
    (n, 1) is predicted in that shape; (5) the options of its stochastic solvers do not exist; (6) the penalty
    is found from the rows, unless given.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 60)[:, None]
    >>> y = np.sin(3 * X[:, 0])
    >>> model = LMRegressor((8,), alpha=0.0, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.999999
    True
    """

    _parameter_constraints = REGRESSOR_CONSTRAINTS
    default_alpha = 0.01

    network_: MLP
    w_: FloatArray
    x_scaler_: Scaler
    y_scaler_: Scaler
    result_: Result
    history_: History
    status_: Status
    message_: str
    n_iter_: int
    loss_: float
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    starts_: Starts
    committee_: Committee
    evidence_: EvidenceResult | None
    robust_: RobustFit | None
    n_layers_: int
    n_outputs_: int

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (20,),
        activation: str = "tanh",
        *,
        loss: str | Robust = "squared_error",
        regularization: str | Regularization = "auto",
        alpha: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        init: str | Initialization | ArrayLike = "auto",
        n_starts: int = 4,
        ensemble_size: int = 1,
        n_jobs: int | None = None,
        early_stopping: bool = False,
        validation_split: str | Splitter = "random",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        damping: str | DampingRule = "auto",
        solver: str | LinearSolver = "auto",
        acceleration: bool | Geodesic = True,
        resolve_output: bool = True,
        growing_rows: bool | str | GrowingRows = "auto",
        noise: str = "constant",
        scale_inputs: bool = True,
        scale_target: bool = True,
        max_time: float | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.regularization = regularization
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.init = init
        self.n_starts = n_starts
        self.ensemble_size = ensemble_size
        self.n_jobs = n_jobs
        self.early_stopping = early_stopping
        self.validation_split = validation_split
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.damping = damping
        self.solver = solver
        self.acceleration = acceleration
        self.resolve_output = resolve_output
        self.growing_rows = growing_rows
        self.noise = noise
        self.scale_inputs = scale_inputs
        self.scale_target = scale_target
        self.max_time = max_time
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        sigma: ArrayLike | None = None,
        callback: Callback | None = None,
        checkpoint: Checkpoints | str | None = None,
    ) -> LMRegressor:
        """Train on inputs X (n_samples, n_features) and targets y (n_samples,) or (n_samples, n_outputs).

        NaN in a y of several columns means "not measured": such an entry counts nowhere.

        Parameters
        ----------
        sample_weight : array (n_samples,), optional
            A weight of 2 equals a repeated row, 0 leaves the row out.
        groups : array (n_samples,), optional
            With early stopping: rows that belong together, such as those of one patient or batch, which
            are all set aside or all trained on.
        sigma : array like y, optional
            Standard deviation of the noise of every value, in its units, where it is known: rows count by
            1/sigma², and Bayesian regularization takes the noise for given.  `alpha` is then the precision of
            the weights themselves.  Error bars of predictions leave the noise of new rows out.
        callback : callable, optional
            Called with the `Iteration` record after the start and after every iteration; a true answer ends
            the training with the best so far.
        checkpoint : Checkpoint or path, optional
            A file to go on from after an interruption; takes a `random_state` that is a number.

        Raises
        ------
        ValueError
            For NaN, infinite or non-numeric values, fewer than two rows, unequal lengths, a bad parameter.
        MemoryError
            When the network is too large; the message says what would fit.

        Warns
        -----
        ConvergenceWarning
            When a limit came before convergence.
        UserWarning
            After Ctrl-C or an exception in the callback, with the best so far kept.
        """
        self._validate_params()
        if self.noise == "varying" and self._penalty is not None:
            raise ValueError(f"noise='varying' is for loss='squared_error', not {self.loss!r}")
        if self.noise == "varying" and sigma is not None:
            raise ValueError(
                "noise='varying' is found from the rows, and sigma gives it: set noise='constant'"
            )
        rows, y_ndim = checked_rows(self, X, y, sample_weight, groups, sigma)
        network = planned_network(self, rows.X.shape[1], Linear(rows.y.shape[1]), len(rows))
        split_seed, *seeds = drawn_seeds(self)
        validation = None
        if self.early_stopping:
            rng = np.random.default_rng(split_seed)
            rows, validation = set_aside(rows, self.validation_split, self.validation_fraction, rng)
        if self._penalty is None:  # a robust fit tells of its rows, one by one
            rows = rows.merged()
        last = last_weights(self, network)
        scalers = self._scalers(rows, last)
        scaled = None if validation is None else validation.scaled(scalers.x, scalers.y)
        training = rows.scaled(scalers.x, scalers.y)
        if sigma is not None:
            squares = scalers.y.scale**2
            training, scaled = training.weighted_by(squares), scaled and scaled.weighted_by(squares)
        assumed = usual_noise if sigma is None else known_noise
        task = TrainingTask(network, training, scaled, penalty=self._penalty, noise=assumed)
        runs = train(self, task, seeds, last, callback, checkpoint)
        losses = task.validation_losses(runs.best.result)
        keep_validation(self, None if scaled is None or losses is None else r2_scores(scaled, losses))
        self.y_ndim_, self.y_scaler_, self.out_activation_ = y_ndim, scalers.y, "identity"
        self.robust_ = runs.best.robust
        keep_training(
            self,
            task,
            scalers.x,
            runs,
            with_posterior=runs.best.evidence is not None or self.noise == "varying",
        )
        if sigma is not None:
            self.committee_ = replace(self.committee_, noise=UnknownNoise())
        elif self.noise == "varying":
            self.committee_ = self._with_varying_noise(task)
        return self

    def _with_varying_noise(self, task: TrainingTask) -> Committee:
        committee, rows = self.committee_, task.rows
        posteriors = [member.posterior for member in committee.members if member.posterior is not None]
        if len(posteriors) < len(committee):  # a warning has said so
            return committee
        weights = np.ones_like(rows.y) if rows.weights is None else rows.weights.reshape(len(rows), -1)
        weights = np.broadcast_to(weights, rows.y.shape)
        errors = np.where(weights > 0, rows.y, 0.0)
        try:
            return replace(committee, noise=VaryingNoise.of(posteriors, rows.X, errors, weights))
        except ValueError as error:  # an output without any error: its noise does not vary
            warnings.warn(f"one noise for all rows: {error}", UserWarning, stacklevel=3)
            return committee

    def _scalers(self, rows: TrainingRows, last: FloatArray | None) -> Scalers:
        if last is not None:  # the weights belong to their scaling
            return Scalers(self.x_scaler_, self.y_scaler_)
        return Scalers.of(rows, self.scale_inputs, self.scale_target, robust=self._penalty is not None)

    @property
    def _penalty(self) -> Robust | None:
        return chosen(self.loss, REGRESSION_LOSSES)
