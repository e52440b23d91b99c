"""`LMClassifier`: scikit-learn's contract, the loss it minimizes, and what it does with odd labels."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from marquardt import LMClassifier, Status, load, save
from marquardt.datasets import two_spirals
from marquardt.estimators.choices import ACTIVATIONS, SOLVERS
from marquardt.estimators.labels import Labels
from marquardt.estimators.training_rows import TrainingRows
from marquardt.files.archive import ModelFileError, read_archive, write_archive

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2))
NOISY = X[:, 0] * X[:, 1] + 0.2 * RNG.normal(size=120)
TWO = np.where(NOISY > 0, "same", "other")
THREE = np.digitize(NOISY, [-0.3, 0.3])
MANY = np.column_stack([NOISY > 0, X[:, 0] > 0.5, X[:, 1] ** 2 > 1]).astype(int)
KINDS = {"two": TWO, "three": THREE, "many": MANY}


def small(**options):
    return LMClassifier(**{"hidden_layer_sizes": (6,), "alpha": 0.1, "random_state": 0, **options})


@pytest.fixture(params=KINDS)
def y(request):
    return KINDS[request.param]


# -- scikit-learn's contract ---------------------------------------------------------------------------


@parametrize_with_checks([LMClassifier(), LMClassifier((4,), early_stopping=True, n_starts=2)])
def test_scikit_learn_checks(estimator, check):
    if estimator.early_stopping and "sample_weight_equivalence" in str(check):
        pytest.skip("the validation split draws rows, so repeated rows are split differently")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def test_it_works_in_pipelines_searches_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(pipeline, {"lmclassifier__alpha": [0.01, 0.1]}, cv=3, scoring="neg_log_loss")
    assert search.fit(X, TWO).best_score_ > -0.5
    assert cross_val_score(small(), X, THREE, cv=3).mean() > 0.7
    assert clone(small(class_weight={"same": 2.0})).class_weight == {"same": 2.0}


def test_a_user_of_mlp_classifier_changes_one_import(y):
    options = {
        "hidden_layer_sizes": (10, 5),
        "activation": "tanh",
        "alpha": 1e-3,
        "max_iter": 250,
        "tol": 1e-4,
        "random_state": 1,
        "early_stopping": y.ndim == 1,
        "validation_fraction": 0.2,
        "n_iter_no_change": 10,
        "warm_start": False,
        "verbose": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = MLPClassifier(**options).fit(X, y)
    ours = LMClassifier(**options).fit(X, y)
    assert [W.shape for W in ours.coefs_] == [W.shape for W in theirs.coefs_]
    assert [b.shape for b in ours.intercepts_] == [b.shape for b in theirs.intercepts_]
    assert (ours.n_layers_, ours.n_outputs_, ours.out_activation_) == (
        theirs.n_layers_,
        theirs.n_outputs_,
        theirs.out_activation_,
    )
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        mine, other = getattr(ours, method)(X[:5]), getattr(theirs, method)(X[:5])
        assert (mine.shape, mine.dtype.kind) == (other.shape, other.dtype.kind), method
    assert ours.score(X, y) > theirs.score(X, y)


# -- what is minimized ---------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_mean_cross_entropy_plus_the_penalty_of_mlp_classifier(y, weighted):
    weights = RNG.uniform(0.5, 2, len(X)) if weighted else None
    model = small(alpha=0.3).fit(X, y, weights)
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    if y.ndim == 2:
        entropies = -np.where(y == 1, log_p, np.log1p(-p)).sum(axis=1)
    else:
        entropies = -log_p[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    total = len(X) if weights is None else weights.sum()
    penalty = 0.3 * sum(np.sum(W**2) for W in model.coefs_) / total
    assert model.loss_ == pytest.approx(np.average(entropies, weights=weights) + 0.5 * penalty, rel=1e-12)
    assert model.loss_curve_[-1] == model.loss_
    assert np.all(np.diff(model.loss_curve_) < 0)
    assert model.status_.converged


@pytest.mark.parametrize("kind", ["two", "three"])
def test_squared_error_is_that_of_the_probabilities(kind):
    y = KINDS[kind]
    model = small(loss="squared_error", alpha=0.0, max_iter=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    targets = Labels.of(y).targets(y)
    p = model.predict_proba(X)
    outputs = p[:, 1:] if targets.shape[1] == 1 else p
    assert model.loss_ == pytest.approx(0.5 * np.sum((outputs - targets) ** 2) / len(y), rel=1e-12)
    assert model.score(X, y) > 0.85


@pytest.mark.parametrize("kind", ["two", "three"])
def test_without_hidden_layers_it_is_logistic_regression(kind):
    """Same penalty: alpha = 1 / C; theirs shares our standardized inputs."""
    y = KINDS[kind]
    model = small(hidden_layer_sizes=(), alpha=1.0, tol=1e-12).fit(X, y)
    scaled = model.x_scaler_.transform(X)
    theirs = LogisticRegression(C=1.0, tol=1e-12, max_iter=2000, solver="newton-cg").fit(scaled, y)
    if kind == "three":
        np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(scaled), atol=1e-5)
    else:
        np.testing.assert_allclose(model.coefs_[0].ravel(), theirs.coef_.ravel(), atol=1e-6)


def test_probabilities_add_to_one_and_agree_with_their_logarithms(y):
    model = small().fit(X, y)
    p = model.predict_proba(X)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p, rtol=1e-12, atol=1e-15)
    if y.ndim == 1:
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
        np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))
    else:
        np.testing.assert_array_equal(p > 0.5, model.predict(X) == 1)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "iterative"])
def test_every_solver_takes_the_same_way(name):
    p = small(solver=name, tol=1e-8).fit(X, THREE).predict_proba(X)
    np.testing.assert_allclose(p, small(tol=1e-8).fit(X, THREE).predict_proba(X), rtol=1e-3, atol=1e-4)


def test_the_iterative_solver_goes_its_own_way_and_gets_there_too():
    model = small(solver="iterative").fit(X, THREE)
    assert model.score(X, THREE) == pytest.approx(small().fit(X, THREE).score(X, THREE), abs=0.05)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    score = small(activation=name, alpha=0.01).fit(X, TWO).score(X, TWO)
    assert score > (0.4 if name in ("identity", "linear") else 0.85)


# -- weights of rows and classes -----------------------------------------------------------------------


def test_integer_weights_are_repeated_rows(y):
    weights = RNG.integers(0, 4, len(X))
    weighted = small().fit(X, y, weights)
    repeated = small().fit(X.repeat(weights, axis=0), y.repeat(weights, axis=0))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_weights_of_rows(weighted):
    weights = RNG.integers(1, 4, len(X)).astype(float) if weighted else None
    given = np.ones(len(X)) if weights is None else weights
    by_class = small(class_weight={0: 2.0, 2: 3.0}).fit(X, THREE, weights)
    by_row = small().fit(X, THREE, given * np.array([2.0, 1.0, 3.0])[THREE])
    np.testing.assert_array_equal(by_class.w_, by_row.w_)


@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_classes_have_equal_weight_in_total(weighted):
    weights = RNG.integers(0, 3, len(X)).astype(float) if weighted else None
    counts = np.bincount(THREE, weights)
    balanced = small(class_weight="balanced").fit(X, THREE, weights)
    by_hand = small(class_weight=dict(enumerate(counts.sum() / (3 * counts)))).fit(X, THREE, weights)
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize(
    ("class_weight", "targets", "message"),
    [
        ({0: -1.0}, THREE, "finite values > 0"),
        ({0: 0.0}, THREE, "finite values > 0"),
        ({0: np.nan}, THREE, "finite values > 0"),
        ({7: 2.0}, THREE, "not in class_weight"),
        ("equal", THREE, "'class_weight' parameter"),
        ("balanced", MANY, "class_weight needs one label a row"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, targets, message):
    with pytest.raises(ValueError, match=message):
        small(class_weight=class_weight).fit(X, targets)


# -- labels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [["a", "b", "c"], [-1, 5, 7], [0.0, 1.0, 2.0], [False, True]],
    ids=["text", "integers", "whole floats", "booleans"],
)
def test_labels_of_any_kind_come_back(names):
    y = np.array(names)[np.minimum(THREE, len(names) - 1)]
    model = small().fit(X, y)
    np.testing.assert_array_equal(model.classes_, names)
    assert model.predict(X).dtype == model.classes_.dtype
    assert model.score(X, y) > 0.8


def test_pandas_labels_and_columns():
    frame = pd.DataFrame(X, columns=["dose", "time"])
    for labels in (pd.Series(TWO), pd.Series(TWO, dtype="category"), pd.Series(TWO, dtype=object)):
        model = small().fit(frame, labels)
        assert model.classes_.tolist() == ["other", "same"]
        np.testing.assert_array_equal(model.predict(frame), small().fit(X, TWO).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["time", "dose"]])


def test_a_column_of_labels_is_flattened_with_a_warning():
    with pytest.warns(DataConversionWarning):
        model = small().fit(X, THREE[:, None])
    assert model.predict(X).shape == (120,)


def test_several_labels_a_row():
    inputs, labels = make_multilabel_classification(150, 5, n_classes=4, random_state=0)
    model = small(early_stopping=True).fit(inputs, labels)
    assert model.predict(inputs).shape == model.predict_proba(inputs).shape == (150, 4)
    assert set(np.unique(model.predict(inputs))) <= {0, 1}
    assert (model.predict(inputs) == labels).mean() > 0.75


def test_a_label_that_no_row_has_is_never_predicted():
    model = small().fit(X, np.column_stack([MANY, np.zeros(120, int), np.ones(120, int)]))
    assert not model.predict(3 * X)[:, 3].any()
    assert model.predict(3 * X)[:, 4].all()
    assert np.isfinite(model.w_).all() and np.isfinite(model.predict_log_proba(X)).all()


BROKEN = X.copy()
BROKEN[4, 1] = np.nan


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X, np.full(120, "a"), "only one class, .*a.*at least two"),
        (X, np.ones(120), "only one class, 1.0, among"),
        (BROKEN, TWO, "Input X contains NaN"),
        (X, np.where(THREE == 1, np.nan, THREE), "Input y contains NaN"),
        (X, NOISY, "continuous"),
        (X, np.column_stack([THREE, THREE]), "no matrix of zeros and ones"),
        (X[:1], TWO[:1], "1 sample"),
        (X, TWO[:-1], "inconsistent numbers of samples"),
        (np.array([["a", 1]] * 5, dtype=object), TWO[:5], "X must be numbers. Encode text first"),
    ],
)
def test_bad_data_are_refused_with_advice(inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        small().fit(inputs, targets)


def test_a_class_whose_rows_have_no_weight_does_not_exist():
    model = small().fit(X, THREE, (THREE != 1).astype(float))
    assert model.classes_.tolist() == [0, 2]
    with pytest.raises(ValueError, match="only one class"):
        small().fit(X, TWO, (TWO == "same").astype(float))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"loss": "hinge"}, "'loss' parameter"), ({"alpha": -1}, "'alpha' parameter")],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(X, TWO)


def test_predict_refuses_what_does_not_fit():
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(small(), method)(X)
    with pytest.raises(ValueError, match="contains NaN"):
        small().fit(X, TWO).predict(BROKEN)


# -- separable classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1e-6])
@pytest.mark.parametrize("units", [(), (4,), (100,)], ids=["no layer", "small", "more weights than rows"])
@pytest.mark.parametrize("kind", ["two", "three", "many"])
def test_perfectly_separable_classes_stay_finite(kind, units, alpha):
    y = {
        "two": (X[:, 0] > 0).astype(int),
        "three": np.digitize(X[:, 0], [-0.5, 0.5]),
        "many": (X > 0).astype(int),
    }[kind]
    inputs = X + 3.0 * np.sign(X) if kind != "three" else 9.0 * y[:, None] + X
    model = small(hidden_layer_sizes=units, alpha=alpha).fit(inputs, y)  # a warning would be an error
    assert model.status_.converged
    assert np.isfinite(model.w_).all() and np.abs(model.w_).max() < 1e4
    for far in (inputs, 1e6 * inputs):
        assert np.isfinite(model.predict_proba(far)).all()
        assert np.isfinite(model.predict_log_proba(far)).all()
    assert model.score(inputs, y) == 1.0


def test_a_wrong_and_certain_start_is_left():
    """Weights so large that every probability is 0 or 1, half of them wrong."""
    w = 30.0 * np.random.default_rng(1).normal(size=6 * 3 + 7)
    model = small(init=w).fit(X, TWO)
    assert model.status_.converged
    assert model.result_.history[0].cost / len(X) > 10.0  # where it began
    assert model.loss_ < 1.0


# -- early stopping, warm start, starts ----------------------------------------------------------------


def test_early_stopping_restores_the_best_weights_on_a_stratified_part():
    rare = np.where(np.arange(120) % 20 == 0, 2, (NOISY > 0).astype(int))
    model = small(hidden_layer_sizes=(15,), alpha=0, early_stopping=True, validation_fraction=0.25)
    model.fit(X, rare)
    assert model.status_ is Status.MAX_FAIL
    scores = np.array(model.validation_scores_)
    assert model.best_validation_score_ == scores.max()
    assert len(scores) - 1 - scores.argmax() == model.n_iter_no_change
    entropy = np.random.RandomState(0).randint(0, 2**31 - 1, size=4).tolist()
    rng = np.random.default_rng(np.random.SeedSequence(entropy).spawn(2)[0])
    _, held_out = TrainingRows(X, rare[:, None].astype(float)).split(0.25, rng, rare)
    labels = held_out.y[:, 0].astype(int)
    assert -model.best_validation_score_ == pytest.approx(log_loss(labels, model.predict_proba(held_out.X)))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_a_stratified_split_keeps_proportions_and_a_row_of_each_class(fraction):
    strata = np.repeat([0, 1, 2, 3], [60, 30, 9, 1])
    rows = TrainingRows(np.arange(100.0)[:, None], strata[:, None].astype(float))
    first, second = rows.split(fraction, np.random.default_rng(3), strata)
    assert sorted([*first.X[:, 0], *second.X[:, 0]]) == list(range(100))
    counts = np.bincount(second.y[:, 0].astype(int), minlength=4)
    assert counts.sum() == np.ceil(100 * fraction)
    assert np.abs(counts - fraction * np.array([60, 30, 9, 1])).max() <= 1.5
    assert set(first.y[:, 0]) == {0, 1, 2, 3}


def test_early_stopping_needs_rows_of_every_class():
    with pytest.raises(ValueError, match="leaves fewer than the 2 classes to train on"):
        small(early_stopping=True).fit(X[:2], ["a", "b"])


def test_warm_start_goes_on_with_the_same_classes_only():
    model = small(warm_start=True, max_iter=3)
    losses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(3):
            losses.append(model.fit(X, THREE).loss_)
        offset = model.x_scaler_.offset
        model.fit(X + 0.1, THREE)
    assert np.all(np.diff(losses) < 0)
    np.testing.assert_array_equal(model.x_scaler_.offset, offset)
    with pytest.raises(ValueError, match=r"new are \[3\], missing are \[\]. Set warm_start=False"):
        model.fit(X, np.where(np.arange(120) == 5, 3, THREE))
    with pytest.raises(ValueError, match=r"new are \['other', 'same'\], missing are \[0, 1, 2\]"):
        model.fit(X, TWO)
    with pytest.raises(ValueError, match="y is an indicator matrix, and in the last fit it was one label"):
        model.fit(X, MANY)
    with pytest.raises(ValueError, match="warm_start: the last fit trained"):
        model.set_params(hidden_layer_sizes=(3,)).fit(X, THREE)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_results_do_not_depend_on_the_number_of_processes(early_stopping):
    one, two = (
        small(n_starts=3, n_jobs=n_jobs, early_stopping=early_stopping).fit(X, THREE) for n_jobs in (None, 2)
    )
    assert np.array_equal(one.w_, two.w_)
    assert [(s.cost, s.status, s.n_iter) for s in one.starts_] == [
        (s.cost, s.status, s.n_iter) for s in two.starts_
    ]
    assert one.result_.cost == one.starts_[one.starts_.best].cost


def test_limits_warn_as_in_scikit_learn():
    with pytest.warns(ConvergenceWarning, match="3 iterations, limit 3.*raise max_iter"):
        small(max_iter=3).fit(X, TWO)


# -- known data ----------------------------------------------------------------------------------------


def test_iris_at_its_default_beats_logistic_regression():
    inputs, labels = load_iris(return_X_y=True)
    model = LMClassifier(random_state=0)
    ours = cross_val_score(model, inputs, labels, cv=5, scoring="neg_log_loss").mean()
    theirs = make_pipeline(StandardScaler(), LogisticRegression())
    assert ours > cross_val_score(theirs, inputs, labels, cv=5, scoring="neg_log_loss").mean()


def test_the_two_spirals_are_solved():
    task = two_spirals()
    y = task.T_train.argmax(axis=1)
    for seed in range(2):
        model = LMClassifier((25,), alpha=1e-3, max_iter=600, random_state=seed).fit(task.X_train, y)
        assert np.sum(model.predict(task.X_train) == y) == len(y) - 1  # both begin at the same point
        assert model.score(task.X_test, task.T_test.argmax(axis=1)) > 0.95


# -- files ---------------------------------------------------------------------------------------------


def test_a_fitted_model_is_small_when_pickled():
    model = small().fit(X, TWO)
    data = pickle.dumps(model)
    assert len(data) < 30_000
    np.testing.assert_array_equal(pickle.loads(data).predict_proba(X), model.predict_proba(X))


LABELS = {
    **KINDS,
    "booleans": NOISY > 0,
    "floats": np.where(NOISY > 0, 1.0, -2.0),
    "objects": np.where(NOISY > 0, "so", "not so").astype(object),
}


@pytest.mark.parametrize("kind", LABELS)
def test_a_model_file_brings_it_back(tmp_path, kind):
    y = LABELS[kind]
    model = small(n_starts=2, tol=0.01).fit(pd.DataFrame(X, columns=["a", "b"]), y)
    save(model, tmp_path / "model.marquardt")
    back = load(tmp_path / "model.marquardt")
    rows = pd.DataFrame(X, columns=["a", "b"])
    assert isinstance(back, LMClassifier) and back.get_params() == model.get_params()
    for ask in ("predict", "predict_proba", "predict_log_proba"):
        np.testing.assert_array_equal(getattr(back, ask)(rows), getattr(model, ask)(rows))
    assert (
        back.classes_.dtype == model.classes_.dtype and back.predict(rows).dtype == model.predict(rows).dtype
    )
    names = {name for name in vars(model) if name.endswith("_")}
    assert names == {name for name in vars(back) if name.endswith("_")}
    assert back.message_ == model.message_ and list(back.starts_) == list(model.starts_)
    assert back.score(rows, y) == model.score(rows, y) and clone(back).get_params() == model.get_params()


def test_a_model_file_keeps_weights_of_classes_and_posteriors(tmp_path):
    options = {"laplace": True, "regularization": "bayesian", "ensemble_size": 2, "n_starts": 2}
    model = small(class_weight={"same": 2.0, "other": 1.0}, alpha=None, **options).fit(X, TWO)
    save(model, tmp_path / "model.marquardt")
    back = load(tmp_path / "model.marquardt")
    assert back.class_weight == {"same": 2.0, "other": 1.0}
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    assert back.evidence_.log_evidence == model.evidence_.log_evidence
    assert back.set_params(warm_start=True).fit(X, TWO).score(X, TWO) > 0.8


def test_a_model_file_that_was_tampered_with(tmp_path):
    path = tmp_path / "model.marquardt"
    with pytest.raises(ModelFileError, match="LMClassifier is not fitted"):
        save(small(), path)
    dates = np.where(NOISY > 0, np.datetime64("2020-01-01"), np.datetime64("2021-01-01")).astype(object)
    model = small(tol=0.01).fit(X, THREE)
    model.classes_ = np.array(list(np.unique(dates)) * 2)[:3]
    with pytest.raises(ModelFileError, match="give numbers or text as labels"):
        save(model, path)
    assert not list(tmp_path.iterdir())
    save(small(tol=0.01).fit(X, THREE), path)
    header, arrays = read_archive(path)
    for classes in (
        {"dtype": "|V8", "values": [0, 1, 2]},
        {"dtype": "<i8", "values": [0, 1]},
        {"dtype": "<i8"},
    ):
        write_archive(path, {**header, "classes": classes}, arrays)
        with pytest.raises(ModelFileError, match="is a damaged model file"):
            load(path)
