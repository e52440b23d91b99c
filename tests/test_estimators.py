"""`LMRegressor`: scikit-learn's contract, and what it adds to it."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from marquardt import QR, Geodesic, Glorot, LMRegressor, Multiplicative, Nielsen, Status
from marquardt.datasets import load_energy
from marquardt.estimators.choices import ACTIVATIONS, DAMPINGS, INITIALIZATION_NAMES, SOLVERS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def small(**options):
    usual = {"hidden_layer_sizes": (6,), "alpha": 0.01, "n_starts": 1, "random_state": 0}
    return LMRegressor(**{**usual, **options})


# -- scikit-learn's contract ---------------------------------------------------------------------------


@parametrize_with_checks([LMRegressor(), LMRegressor((4,), early_stopping=True, n_starts=2)])
def test_scikit_learn_checks(estimator, check):
    if estimator.early_stopping and "sample_weight_equivalence" in str(check):
        pytest.skip("the validation split draws rows, so repeated rows are split differently")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def test_it_works_in_pipelines_searches_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(pipeline, {"lmregressor__alpha": [0.001, 0.1]}, cv=3).fit(X, Y)
    assert search.best_score_ > 0.8
    assert cross_val_score(small(), X, Y, cv=3).min() > 0.8
    assert clone(small(damping=Nielsen(initial=0.5))).damping == Nielsen(initial=0.5)


def test_a_user_of_mlp_regressor_changes_one_import():
    options = {
        "hidden_layer_sizes": (10, 5),
        "activation": "logistic",
        "alpha": 1e-3,
        "max_iter": 250,
        "tol": 1e-4,
        "random_state": 1,
        "early_stopping": True,
        "validation_fraction": 0.2,
        "n_iter_no_change": 10,
        "warm_start": False,
        "verbose": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = MLPRegressor(**options).fit(X, Y)
    ours = LMRegressor(**options).fit(X, Y)
    assert [W.shape for W in ours.coefs_] == [W.shape for W in theirs.coefs_]
    assert [b.shape for b in ours.intercepts_] == [b.shape for b in theirs.intercepts_]
    for name in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "best_validation_score_"):
        assert type(getattr(ours, name)) is type(getattr(theirs, name)), name
    assert len(ours.loss_curve_) == len(ours.validation_scores_) == ours.n_iter_
    assert ours.score(X, Y) > theirs.score(X, Y)


def test_energy_with_default_settings():
    table = load_energy().to_numpy(float)
    parts = train_test_split(table[:, :-1], table[:, -1], test_size=0.2, random_state=0)
    model = LMRegressor(random_state=0).fit(parts[0], parts[2])
    assert model.score(parts[1], parts[3]) > 0.995
    assert model.status_.converged


# -- what is minimized, and in which units -------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_half_the_mean_squared_error_plus_the_penalty_of_mlp_regressor(weighted):
    weights = RNG.uniform(0.5, 2, len(X)) if weighted else None
    model = small(scale_inputs=False, scale_target=False, alpha=0.3).fit(X, Y, weights)
    squares = np.average((model.predict(X) - Y) ** 2, weights=weights)
    total = len(X) if weights is None else weights.sum()
    penalty = 0.3 * sum(np.sum(W**2) for W in model.coefs_) / total
    assert model.loss_ == pytest.approx(0.5 * (squares + penalty), rel=1e-12)
    assert model.loss_curve_[-1] == model.loss_
    assert np.all(np.diff(model.loss_curve_) < 0)


def test_without_scaling_the_network_is_that_of_scikit_learn():
    """Our weights in its network give our predictions."""
    model = small(scale_inputs=False, scale_target=False).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = MLPRegressor(hidden_layer_sizes=(6,), activation="tanh", max_iter=1).fit(X, Y)
    theirs.coefs_, theirs.intercepts_ = model.coefs_, model.intercepts_
    np.testing.assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-12)


def test_parameters_scalers_and_network_are_the_model():
    model = small().fit(X, np.column_stack([Y, -2 * Y]))
    inside = model.network_.predict(model.w_, model.x_scaler_.transform(X))
    np.testing.assert_array_equal(model.y_scaler_.inverse(inside), model.predict(X))
    assert model.loss_ == pytest.approx(model.result_.cost / len(X))


@pytest.mark.parametrize(("x_size", "y_size"), [(1e-12, 1e12), (1e12, 1e-12), (1e-150, 1e150)])
def test_units_do_not_matter(x_size, y_size):
    model, scaled = small().fit(X, Y), small().fit(X * x_size, Y * y_size)
    np.testing.assert_allclose(scaled.predict(X * x_size), model.predict(X) * y_size, rtol=1e-8)


def test_an_offset_much_larger_than_the_spread_does_not_matter():
    model, moved = small().fit(X, Y), small().fit(X + 1e8, Y + 1e8)
    np.testing.assert_allclose(moved.predict(X + 1e8) - 1e8, model.predict(X), atol=1e-5)


def test_exact_data_are_fitted_exactly_without_penalty():
    x = np.linspace(-1, 1, 50)[:, None]
    y = np.sin(4 * x[:, 0])
    model = LMRegressor((20,), alpha=0.0, tol=0.0, max_iter=100, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    assert np.abs(model.predict(x) - y).max() < 1e-7


# -- weights of rows -----------------------------------------------------------------------------------


def test_integer_weights_are_repeated_rows():
    weights = RNG.integers(0, 4, len(X))
    weighted = small().fit(X, Y, sample_weight=weights)
    repeated = small().fit(X.repeat(weights, axis=0), Y.repeat(weights))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_the_size_of_all_weights_cancels_with_the_penalty(size):
    plain = small(alpha=0.01).fit(X, Y)
    scaled = small(alpha=0.01 * size).fit(X, Y, sample_weight=np.full(len(X), size))
    np.testing.assert_allclose(scaled.predict(X), plain.predict(X), rtol=1e-8)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(60), "sample_weight has a negative value"),
        (np.zeros(60), "sample_weight is zero for every row"),
        (np.ones(59), "sample_weight has shape"),
        (np.full(60, np.nan), "sample_weight holds 60 NaN"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, Y, sample_weight=weights)


# -- shapes --------------------------------------------------------------------------------------------


def test_targets_keep_their_shape_and_never_broadcast():
    one, column = small().fit(X, Y), small().fit(X, Y[:, None])
    assert one.predict(X).shape == (60,)
    assert column.predict(X).shape == (60, 1)
    np.testing.assert_array_equal(one.predict(X), column.predict(X)[:, 0])
    several = small().fit(X, np.column_stack([Y, Y**2, X[:, 0]]))
    assert several.predict(X[:7]).shape == (7, 3)
    assert several.n_outputs_ == 3
    assert several.score(X, np.column_stack([Y, Y**2, X[:, 0]])) > 0.9


@pytest.mark.parametrize(("sizes", "hidden"), [((), []), (5, [5]), ([4, 3], [4, 3]), (np.array([2]), [2])])
def test_hidden_layers_by_number_list_or_none(sizes, hidden):
    model = small(hidden_layer_sizes=sizes).fit(X, Y)
    assert [layer.units for layer in model.network_.layers] == [3, *hidden, 1]


def test_data_frames_are_remembered_by_column_name():
    frame = pd.DataFrame(X, columns=["dose", "time", "dye"])
    model = small().fit(frame, pd.Series(Y))
    assert model.feature_names_in_.tolist() == ["dose", "time", "dye"]
    np.testing.assert_array_equal(model.predict(frame), small().fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["time", "dose", "dye"]])


# -- unusual data --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 3.3, -1e12, 1e-12])
def test_a_constant_target_is_predicted_exactly(value):
    model = small().fit(X, np.full(60, value))
    assert np.array_equal(model.predict(10 * X), np.full(60, value))
    both = small().fit(X, np.column_stack([Y, np.full(60, value)]))
    assert np.array_equal(both.predict(10 * X)[:, 1], np.full(60, value))
    assert both.predict(X)[:, 0].std() > 0.5


def test_constant_columns_are_no_harm():
    model = small().fit(np.column_stack([X, np.full(60, 1e9)]), Y)
    assert model.score(np.column_stack([X, np.full(60, 1e9)]), Y) > 0.95
    nothing = small().fit(np.ones((60, 2)), Y)
    np.testing.assert_allclose(nothing.predict(np.ones((3, 2))), Y.mean(), rtol=1e-3)


def test_duplicate_rows_and_more_parameters_than_rows():
    assert small().fit(X.repeat(5, axis=0), Y.repeat(5)).score(X, Y) > 0.95
    wide = small(hidden_layer_sizes=(300,)).fit(X, Y)
    assert wide.network_.n_params > 20 * len(X)
    assert wide.score(X, Y) > 0.999


def test_two_rows_are_enough():
    model = small().fit(X[:2], Y[:2])
    np.testing.assert_allclose(model.predict(X[:2]), Y[:2], atol=0.01)


BROKEN = X.copy()
BROKEN[4, 1] = np.nan


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (BROKEN, Y, "Input X contains NaN"),
        (np.where(X[0, 0] == X, np.inf, X), Y, "Input X contains infinity"),
        (X, np.where(Y[0] == Y, np.nan, Y), "Input y contains NaN"),
        (X[:0], Y[:0], "0 sample"),
        (X[:1], Y[:1], "1 sample"),
        (X, Y[:-1], "inconsistent numbers of samples"),
        (X[:, 0], Y, "Reshape your data"),
        (X, np.zeros((60, 0)), "0 feature"),
        (np.array([["a", 1]] * 5, dtype=object), Y[:5], "must be numbers. Encode text first"),
        (X[:2], ["a", "b"], "must be numbers. Encode text first"),
    ],
)
def test_bad_data_are_refused_with_advice(inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        small().fit(inputs, targets)


def test_predict_refuses_what_does_not_fit():
    with pytest.raises(NotFittedError):
        small().predict(X)
    model = small().fit(X, Y)
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="contains NaN"):
        model.predict(BROKEN)


# -- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    assert small(activation=name).fit(X, Y).score(X, Y) > (0.4 if name in ("identity", "linear") else 0.9)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "iterative"])
def test_every_solver_takes_the_same_way(name):
    model = small(solver=name).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), small().fit(X, Y).predict(X), rtol=1e-5, atol=1e-7)


def test_the_iterative_solver_goes_its_own_way_and_gets_there_too():
    assert small(solver="iterative").fit(X, Y).score(X, Y) > 0.95


@pytest.mark.parametrize("name", DAMPINGS)
def test_every_damping_rule(name):
    guided = {"early_stopping": True} if name == "validation" else {}
    assert small(damping=name, **guided).fit(X, Y).score(X, Y) > (0.9 if guided else 0.95)


@pytest.mark.parametrize("name", INITIALIZATION_NAMES)
def test_every_initialization(name):
    assert small(init=name).fit(X, Y).score(X, Y) > 0.8


def test_objects_stand_for_their_names():
    named = small(solver="qr", damping="trainlm", init="glorot").fit(X, Y)
    objects = small(solver=QR(), damping=Multiplicative(), init=Glorot(), acceleration=Geodesic()).fit(X, Y)
    np.testing.assert_array_equal(named.w_, objects.w_)
    plain = small(acceleration=False, resolve_output=False).fit(X, Y)
    assert not plain.history_.column("accelerated").any()


def test_given_weights_are_the_start():
    w = 0.1 * RNG.normal(size=6 * 4 + 7)
    model = small(init=w, random_state=None).fit(X, Y)
    again = small(init=w.tolist(), random_state=None).fit(X, Y)
    np.testing.assert_array_equal(model.w_, again.w_)
    scaled = model.x_scaler_.transform(X), model.y_scaler_.transform(Y[:, None])
    start = model.network_.predict(w, scaled[0]) - scaled[1]
    penalty = 0.01 * sum(np.sum(W**2) for W, _ in model.network_.unpack(w))
    assert model.history_[0].cost == pytest.approx(0.5 * (np.sum(start**2) + penalty))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layer_sizes": (0,)}, "must be positive integers"),
        ({"hidden_layer_sizes": (2.5,)}, "must be positive integers"),
        ({"hidden_layer_sizes": 0}, "'hidden_layer_sizes' parameter"),
        ({"activation": "step"}, "'activation' parameter"),
        ({"alpha": -1.0}, "'alpha' parameter"),
        ({"alpha": np.nan}, "alpha"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"tol": -1}, "'tol' parameter"),
        ({"solver": "adam"}, "'solver' parameter"),
        ({"damping": 0.1}, "'damping' parameter"),
        ({"n_starts": 0}, "'n_starts' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"max_time": 0}, "'max_time' parameter"),
        ({"acceleration": "yes"}, "'acceleration' parameter"),
        ({"init": np.zeros(4)}, r"w has shape \(4,\)"),
        ({"init": np.full(31, np.nan)}, "w holds NaN"),
        ({"init": np.full(31, 1e200)}, "training cannot start"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(X, Y)


# -- ends ----------------------------------------------------------------------------------------------


def test_limits_warn_as_in_scikit_learn():
    with pytest.warns(ConvergenceWarning, match="3 iterations, limit 3.*raise max_iter"):
        model = small(max_iter=3).fit(X, Y)
    assert (model.n_iter_, model.status_) == (3, Status.MAX_ITER)
    assert len(model.loss_curve_) == 3
    with pytest.warns(ConvergenceWarning, match="raise max_time"):
        small(max_time=1e-9).fit(X, Y)


def interrupt(record):
    if record.iteration == 4:
        raise KeyboardInterrupt


def fail(record):
    if record.iteration == 4:
        raise RuntimeError("no paper")


def test_ctrl_c_keeps_the_best_so_far():
    with pytest.warns(UserWarning, match="interrupted: the best weights so far are kept"):
        model = small().fit(X, Y, callback=interrupt)
    assert (model.n_iter_, model.status_) == (4, Status.INTERRUPTED)
    assert model.loss_ == min(model.loss_curve_)
    assert model.predict(X).shape == (60,)


def test_a_failing_callback_keeps_the_best_so_far():
    with pytest.warns(UserWarning, match="the callback raised RuntimeError: no paper"):
        model = small().fit(X, Y, callback=fail)
    assert (model.n_iter_, model.status_) == (4, Status.CALLBACK_FAILED)


def test_the_callback_sees_every_iteration_and_may_stop():
    seen = []
    model = small().fit(X, Y, callback=seen.append)
    assert seen == list(model.history_)
    assert small().fit(X, Y, callback=lambda record: record.iteration == 2).n_iter_ == 2


def test_verbose_prints_a_line_for_each_iteration(capsys):
    model = small(verbose=True).fit(X, Y)
    assert len(capsys.readouterr().out.splitlines()) == model.n_iter_ + 1
    small(verbose=True, n_starts=3).fit(X, Y)
    assert len(capsys.readouterr().out.splitlines()) == 3


# -- early stopping ------------------------------------------------------------------------------------


def test_early_stopping_restores_the_weights_of_the_best_validation_score():
    noisy = Y + RNG.normal(size=60)
    model = small(hidden_layer_sizes=(15,), early_stopping=True, validation_fraction=0.3, alpha=0)
    model.fit(X, noisy)
    assert model.status_ is Status.MAX_FAIL
    scores = np.array(model.validation_scores_)
    assert model.best_validation_score_ == scores.max()
    assert len(scores) - 1 - scores.argmax() == model.n_iter_no_change
    assert np.array_equal(model.w_, model.result_.w)
    assert not np.array_equal(model.w_, model.result_.w_last)


def test_the_validation_score_is_r2_on_rows_kept_out():
    model = small(early_stopping=True, validation_fraction=0.25).fit(X, Y)
    entropy = np.random.RandomState(0).randint(0, 2**31 - 1, size=4).tolist()
    order = np.random.default_rng(np.random.SeedSequence(entropy).spawn(2)[0]).permutation(60)
    held_out, train = order[:15], order[15:]
    np.testing.assert_allclose(model.x_scaler_.offset, X[train].mean(axis=0))
    assert model.best_validation_score_ == pytest.approx(model.score(X[held_out], Y[held_out]), rel=1e-9)


def test_early_stopping_on_few_rows():
    small(early_stopping=True).fit(X[:2], Y[:2])
    with pytest.raises(ValueError, match=r"validation_fraction=0.9 of 3 rows leaves none to train on"):
        small(early_stopping=True, validation_fraction=0.9).fit(X[:3], Y[:3])


# -- warm start ----------------------------------------------------------------------------------------


def test_warm_start_goes_on_from_the_last_weights():
    model = small(warm_start=True, max_iter=3)
    losses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(4):
            losses.append(model.fit(X, Y).loss_)
    assert np.all(np.diff(losses) < 0)
    assert model.history_[0].cost / len(X) == pytest.approx(losses[-2], rel=1e-12)


def test_warm_start_keeps_the_scaling_that_its_weights_belong_to():
    model = small(warm_start=True).fit(X, Y)
    offset = model.x_scaler_.offset
    model.fit(X + 0.1, Y)
    np.testing.assert_array_equal(model.x_scaler_.offset, offset)


def test_warm_start_refuses_another_network():
    model = small(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=r"warm_start: the last fit trained .*set warm_start=False"):
        model.set_params(hidden_layer_sizes=(9,)).fit(X, Y)


# -- many starts ---------------------------------------------------------------------------------------


def test_the_best_of_many_starts_is_kept():
    model = small(n_starts=5).fit(X, Y)
    costs = [start.cost for start in model.starts_]
    assert len(costs) == 5 and len(set(costs)) > 1
    assert model.result_.cost == min(costs)
    assert 1 <= model.starts_.n_at_best <= 5
    assert small(n_starts=1).fit(X, Y).result_.cost == pytest.approx(costs[0], rel=1e-6)


def test_with_early_stopping_the_best_start_is_that_of_the_validation_rows():
    model = small(n_starts=5, early_stopping=True, validation_fraction=0.3).fit(X, Y + RNG.normal(size=60))
    values = [start.validation_cost for start in model.starts_]
    assert model.starts_.best == int(np.argmin(values))
    assert model.result_.cost == model.starts_[model.starts_.best].cost


@pytest.mark.parametrize("early_stopping", [False, True])
def test_results_do_not_depend_on_the_number_of_processes(early_stopping):
    one, two = (
        small(n_starts=3, n_jobs=n_jobs, early_stopping=early_stopping).fit(X, Y) for n_jobs in (None, 2)
    )
    assert np.array_equal(one.w_, two.w_)
    assert [(s.cost, s.status, s.n_iter) for s in one.starts_] == [
        (s.cost, s.status, s.n_iter) for s in two.starts_
    ]
    assert one.loss_curve_ == two.loss_curve_


def test_a_fitted_model_is_small_when_pickled():
    model = small().fit(X, Y)
    data = pickle.dumps(model)
    assert len(data) < 30_000
    np.testing.assert_array_equal(pickle.loads(data).predict(X), model.predict(X))
