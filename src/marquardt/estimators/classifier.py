"""The scikit-learn face for classes: `LMClassifier`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.committee import Committee
from marquardt.damping import DampingRule
from marquardt.estimators.checks import CLASSIFIER_CONSTRAINTS, checked_inputs, checked_labels
from marquardt.estimators.choices import CLASSIFICATION_LOSSES
from marquardt.estimators.labels import Labels
from marquardt.estimators.network_training import (
    drawn_seeds,
    keep_training,
    keep_validation,
    last_weights,
    planned_network,
    train,
)
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
from marquardt.method import Geodesic
from marquardt.models.mlp import MLP, augmented
from marquardt.result import History, Result, Status
from marquardt.run_record import Checkpoints


class LMClassifier(ClassifierMixin, BaseEstimator):
    r"""Neural-network classification, trained by the Levenberg-Marquardt method.

    Minimizes, in standardized inputs, the cross-entropy by its generalized Gauss-Newton matrix:

        C(w) = −Σₙ sₙ log p(yₙ | xₙ; w) + ½ α |weights|²

    Two classes have one logistic output, more a softmax; an indicator matrix y (several labels a row, or
    none) has one logistic output a label.  Names and manners are those of
    `sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each hidden layer; () is logistic regression.
    activation : str
        Of the hidden layers, as in `LMRegressor`.
    loss : str
        "cross_entropy", or "squared_error": ½ Σₙ sₙ |p(xₙ) − tₙ|² with targets t of 0 and 1.  Squared error
        shrugs off wrong labels, but has plateaus where wrong answers are certain: use several starts.
    regularization : str or Bayesian
        "l2", the penalty `alpha`; "bayesian", the penalty found from the rows by the evidence, and
        probabilities that count the uncertainty of the parameters; or `Bayesian(groups=...)`.
    alpha : float or None
        With "l2": weight penalty, in the meaning of `MLPClassifier`; biases are free.  None is 1, that of
        `LogisticRegression`, and of 0.01 to 3 it had the lowest, or nearly the lowest, held-out log-loss on
        the breast-cancer, wine and iris tables.  Lower it where classes are interleaved and labels are sure,
        as on the two spirals.
    class_weight : dict, "balanced" or None
        A factor > 0 of the row weights for each class; "balanced" gives all classes the same total.  Not for
        indicator matrices.
    laplace : bool
        Whether probabilities are averaged over the uncertainty of the parameters (linearized Laplace and
        probit formula, see `marquardt.bayesian.probit`): less sure far from the rows and with few of them.
        Not for squared error.  Where classes are nearly separable its log-loss was higher than without.
    tol : float
        Training ends when an iteration lowers the loss by less than this fraction of it.  With 0.0001 the
        held-out log-loss of the same tables was the same or higher, after twice the time.
    max_iter, random_state, init, n_starts, ensemble_size, n_jobs
        As in `LMRegressor`.
    early_stopping : bool
        Stop where the loss on a `validation_fraction` of the rows is lowest, and keep those weights.  The
        fraction is random, stratified by class (not for indicator matrices).
    validation_split, validation_fraction, n_iter_no_change, max_time, verbose
        As in `LMRegressor`.
    damping, solver, acceleration, resolve_output, scale_inputs
        As in `LMRegressor`.
    growing_rows : bool, "auto" or GrowingRows
        As in `LMRegressor`; "auto" is False with cross-entropy, which gained nothing by it.
    warm_start : bool
        Begin at the weights of the last `fit`, in its scaling; y must have the same classes.

    Attributes
    ----------
    classes_ : array (n_classes,)
        Sorted; for an indicator matrix the numbers of its columns.
    multilabel_ : bool
        Whether y was an indicator matrix.
    loss_ : float
        C(w) / Σₙ sₙ: mean loss plus penalty.
    loss_curve_ : list of float
        The same after each iteration.
    validation_scores_, best_validation_score_ : list of float, float
        With early stopping, else None: minus the mean loss on the validation rows, after each iteration and
        at best.
    network_, w_, coefs_, intercepts_, x_scaler_, result_, history_, status_, message_, n_iter_, starts_
        As in `LMRegressor`; `network_.predict(w_, x_scaler_.transform(X))` gives the probabilities.
    n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As in `MLPClassifier`.

    Notes
    -----
    Differences from `MLPClassifier`: (1) scaling is done inside; (2) `tol` is relative; (3) integer weights
    equal repeated rows, in the scaling too (not with early stopping, whose split draws rows), so a class
    whose rows all have weight 0 does not exist; (4) validation scores are losses, which tell more than
    accuracies; (5) `alpha` is larger by default; (6) sparse X and `partial_fit` are not offered.

    References
    ----------
    N. N. Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural
    Computation 14 (2002), for the Gauss-Newton matrix of a loss that is no sum of squares.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0, "same", "different")
    >>> model = LMClassifier((8,), alpha=0.01, random_state=0).fit(X, y)
    >>> model.predict([[1.0, 1.0], [1.0, -1.0]])
    array(['same', 'different'], dtype='<U9')
    >>> model.score(X, y) > 0.98
    True
    """

    _parameter_constraints = CLASSIFIER_CONSTRAINTS
    default_alpha = 1.0

    network_: MLP
    w_: FloatArray
    x_scaler_: Scaler
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
    n_layers_: int
    n_outputs_: int

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (20,),
        activation: str = "tanh",
        *,
        loss: str = "cross_entropy",
        regularization: str | Regularization = "l2",
        alpha: float | None = None,
        class_weight: Mapping | str | None = None,
        laplace: bool = False,
        max_iter: int = 300,
        tol: float = 1e-3,
        random_state: int | np.random.RandomState | None = None,
        init: str | Initialization | ArrayLike = "auto",
        n_starts: int = 1,
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
        scale_inputs: bool = True,
        max_time: float | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.regularization = regularization
        self.alpha = alpha
        self.class_weight = class_weight
        self.laplace = laplace
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
        self.scale_inputs = scale_inputs
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
        callback: Callback | None = None,
        checkpoint: Checkpoints | str | None = None,
    ) -> LMClassifier:
        """Train on inputs X (n_samples, n_features) and labels y (n_samples,), of any kind that can be
        sorted, or an indicator matrix (n_samples, n_labels) of zeros and ones.

        Parameters
        ----------
        sample_weight : array (n_samples,), optional
            A weight of 2 equals a repeated row, 0 leaves the row out.
        groups : array (n_samples,), optional
            With early stopping: rows that belong together, such as those of one patient or batch, which
            are all set aside or all trained on.
        callback : callable, optional
            As in `LMRegressor.fit`.
        checkpoint : Checkpoint or path, optional
            A file to go on from after an interruption; takes a `random_state` that is a number.

        Raises
        ------
        ValueError
            For NaN or infinite values, fewer than two rows, only one class, unequal lengths, a bad parameter.
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
        if self.laplace and self.loss != "cross_entropy":
            raise ValueError(f"laplace=True needs loss='cross_entropy', not {self.loss!r}: set laplace=False")
        inputs, y, weights, named = checked_labels(self, X, y, sample_weight, groups)
        labels = Labels.of(y)
        if self.warm_start and hasattr(self, "w_"):
            self._labels.check_same(labels)
        weights = labels.weights(self.class_weight, y, weights)
        rows = TrainingRows(inputs, labels.targets(y), weights, named)
        network = planned_network(self, inputs.shape[1], labels.output_layer(), len(rows))
        split_seed, *seeds = drawn_seeds(self)
        validation = None
        if self.early_stopping:
            rng = np.random.default_rng(split_seed)
            fraction, strata = self.validation_fraction, labels.strata(rows.y)
            rows, validation = set_aside(rows, self.validation_split, fraction, rng, strata)
        last = last_weights(self, network)
        scaler = self._scaler(rows, last)
        scaled = None if validation is None else validation.scaled_inputs(scaler)
        task = TrainingTask(network, rows.scaled_inputs(scaler), scaled, CLASSIFICATION_LOSSES[self.loss])
        runs = train(self, task, seeds, last, callback, checkpoint)
        losses = task.validation_losses(runs.best.result)
        keep_validation(self, None if losses is None else -losses)
        self.classes_, self.multilabel_ = labels.classes, labels.multilabel
        self.out_activation_ = "softmax" if labels.exclusive else "logistic"
        keep_training(self, task, scaler, runs, with_posterior=self.laplace)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Labels (n_samples,), or an indicator matrix (n_samples, n_labels), like y, for X (n_samples,
        n_features)."""
        return self._labels.decoded(self._outputs(X))

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Probabilities (n_samples, n_classes), in the order of `classes_`, for X (n_samples, n_features).

        Those of a row add to 1; for an indicator matrix each is that of its own label.
        """
        return self._labels.probabilities(self._outputs(X))

    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """Logarithms of the probabilities (n_samples, n_classes); finite even where a probability is 0."""
        labels, scaled = self._labels, self._scaled(X)
        if self.laplace or len(self.committee_) > 1:
            tiny = np.finfo(float).tiny
            return np.log(np.maximum(labels.probabilities(self.committee_.probabilities(scaled)), tiny))
        return labels.log_probabilities(self.network_.forward(self.w_, augmented(scaled)).arguments[-1].T)

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of each layer, (n_in, n_out), for scaled data."""
        return [weights.T for weights, _ in self.network_.unpack(self.w_)]

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of each layer, (n_out,), for scaled data."""
        return [bias for _, bias in self.network_.unpack(self.w_)]

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @property
    def _labels(self) -> Labels:
        check_is_fitted(self)
        return Labels(self.classes_, self.multilabel_)

    def _scaled(self, X: ArrayLike) -> FloatArray:
        return self.x_scaler_.transform(checked_inputs(self, X))

    def _outputs(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        return self.committee_.probabilities(self._scaled(X))

    def _scaler(self, rows: TrainingRows, last: FloatArray | None) -> Scaler:
        if last is not None:  # the weights belong to their scaling
            return self.x_scaler_
        if not self.scale_inputs:
            return Scaler.identity(rows.X.shape[1])
        return Scaler.standard(rows.X, rows.weights)
