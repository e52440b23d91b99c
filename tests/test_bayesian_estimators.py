"""Bayesian regularization in the estimators: error bars, ranking, committees, files."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from marquardt import LMClassifier, LMRegressor, Stopping, load, save
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.prior_groups import input_groups
from marquardt.estimators.regularization import GROUPINGS, Bayesian
from marquardt.problem import NetworkProblem


def noisy(n_samples=80, seed=0, noise=0.3, n_outputs=1):
    """Three inputs, of which the third does nothing."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n_samples, 3))
    y = np.column_stack([np.sin(X[:, 0]) + X[:, 1], 10 * np.cos(X[:, 1])])[:, :n_outputs]
    y = y + noise * np.array([1.0, 10.0])[:n_outputs] * rng.normal(size=y.shape)
    return X, (y[:, 0] if n_outputs == 1 else y)


def bayesian(**params):
    return LMRegressor((6,), regularization="bayesian", random_state=0, **params)


@pytest.fixture(scope="module")
def fitted():
    return bayesian(n_starts=3, ensemble_size=2).fit(*noisy())


@parametrize_with_checks([bayesian(n_starts=3, ensemble_size=2, max_iter=2000)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("groups", GROUPINGS)
def test_it_is_the_evidence_of_the_scaled_rows(groups):
    X, y = noisy()
    start = 0.3 * np.random.default_rng(0).normal(size=31)
    model = bayesian(init=start).set_params(regularization=Bayesian(groups=groups)).fit(X, y)
    order = np.lexsort(np.column_stack([X, y]).T[::-1])  # that of a fit: rounding depends on it
    X, y = X[order], y[order]
    scaled = model.x_scaler_.transform(X), model.y_scaler_.transform(y[:, None])
    problem = NetworkProblem(model.network_, *scaled)
    limits = {"gradient_tolerance": 1e-6 * model.tol * len(y), "cost_tolerance": model.tol}
    stopping = Stopping(max_iter=model.max_iter, **limits)
    again = maximize_evidence(problem, start, groups=GROUPINGS[groups], stopping=stopping)
    assert again.log_evidence == pytest.approx(model.evidence_.log_evidence, abs=1e-6)
    posterior = model.evidence_.posterior_at(problem)
    _, std = model.predict(X, return_std=True)
    variance = posterior.predictive_variance(scaled[0])[:, 0] + 1 / model.evidence_.noise_precision
    np.testing.assert_allclose(std, model.y_scaler_.scale[0] * np.sqrt(variance), rtol=1e-10)


def test_a_linear_network_is_a_bayesian_ridge():
    """Its bias is free in scikit-learn and has a wide prior here; rows are many enough for both."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.normal(size=200)
    ours = LMRegressor((), regularization=Bayesian(groups="layer"), random_state=0).fit(X, y)
    theirs = BayesianRidge(tol=1e-8).fit(X, y)
    new = rng.normal(size=(50, 4))
    mean, std = ours.predict(new, return_std=True)
    mean_theirs, std_theirs = theirs.predict(new, return_std=True)
    np.testing.assert_allclose(mean, mean_theirs, atol=0.02)
    np.testing.assert_allclose(std, std_theirs, rtol=0.02)


def test_error_bars_hold_and_widen_away_from_the_data(fitted):
    X, y = noisy(2000, seed=1)
    low, high = fitted.predict_interval(X)
    assert 0.92 < np.mean((low < y) & (y < high)) < 0.98
    wide, narrow = (fitted.predict(scale * X, return_std=True)[1].mean() for scale in (5.0, 1.0))
    assert wide > 2 * narrow
    assert 0.25 < fitted.noise_std_[0] < 0.35


def test_the_input_that_does_nothing_is_told(fitted):
    assert fitted.relevance_[2] < 0.1 * fitted.relevance_[:2].min()


def test_intervals_are_nested_and_like_y(fitted):
    X, _ = noisy(10)
    inner, outer = fitted.predict_interval(X, 0.5), fitted.predict_interval(X, 0.9)
    assert inner[0].shape == (10,)
    assert (outer[0] < inner[0]).all() and (inner[0] < inner[1]).all() and (inner[1] < outer[1]).all()


def test_parts_of_the_variance_add_up(fitted):
    X, _ = noisy(10)
    moments, (mean, std) = fitted.predict_moments(X), fitted.predict(X, return_std=True)
    np.testing.assert_array_equal(moments.mean[:, 0], mean)
    np.testing.assert_allclose((moments.noise + moments.model + moments.spread)[:, 0], std**2)
    assert (moments.spread > 0).all() and (moments.model > 0).all()
    np.testing.assert_allclose(fitted.predict(X), mean)


def test_every_output_has_its_own_scale():
    X, y = noisy(n_outputs=2)
    model = bayesian().fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    np.testing.assert_allclose(model.noise_std_ / model.y_scaler_.scale, model.evidence_.noise_sd)


def test_starts_are_ranked_by_evidence_whatever_the_number_of_processes(fitted):
    values = [start.log_evidence for start in fitted.starts_]
    assert fitted.evidence_.log_evidence == max(values)
    assert len(fitted.committee_) == 2
    other = clone(fitted).set_params(n_jobs=2).fit(*noisy())
    np.testing.assert_array_equal(other.w_, fitted.w_)
    X, _ = noisy(10, seed=3)
    np.testing.assert_array_equal(other.predict(X, return_std=True), fitted.predict(X, return_std=True))


def test_repeated_rows_are_weights():
    X, y = noisy(60)
    counts = np.random.default_rng(0).integers(0, 3, size=60)
    repeated = bayesian()
    weighted = clone(repeated).fit(X, y, sample_weight=counts)
    repeated.fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.evidence_.log_evidence, repeated.evidence_.log_evidence, rtol=1e-3)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), atol=0.02)


def test_a_model_file_keeps_the_error_bars(fitted, tmp_path):
    save(fitted, tmp_path / "a.marquardt")
    loaded = load(tmp_path / "a.marquardt")
    X, _ = noisy(10, seed=5)
    np.testing.assert_array_equal(loaded.predict(X, return_std=True), fitted.predict(X, return_std=True))
    assert loaded.evidence_.log_evidence == fitted.evidence_.log_evidence
    np.testing.assert_array_equal(loaded.relevance_, fitted.relevance_)
    assert loaded.starts_.ranking == fitted.starts_.ranking
    assert loaded.get_params() == fitted.get_params()


def test_in_the_hands_of_scikit_learn():
    X, y = noisy(60)
    search = GridSearchCV(bayesian(), {"hidden_layer_sizes": [(2,), (6,)]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.5
    scores = cross_val_score(make_pipeline(StandardScaler(), bayesian()), X, y, cv=2)
    assert (scores > 0.5).all()


def test_what_is_refused():
    X, y = noisy(20)
    with pytest.raises(ValueError, match="no error bars: set regularization='bayesian'"):
        LMRegressor((2,), alpha=0.01).fit(X, y).predict(X, return_std=True)
    with pytest.raises(ValueError, match="early_stopping=True: with Bayesian"):
        bayesian(early_stopping=True).fit(X, y)
    with pytest.raises(ValueError, match=r"ensemble_size=4 of n_starts=2 starts: raise n_starts"):
        bayesian(n_starts=2, ensemble_size=4).fit(X, y)
    with pytest.raises(ValueError, match=r"coverage=95 must be between 0 and 1"):
        bayesian().fit(X, y).predict_interval(X, 95)
    with pytest.raises(ValueError, match="groups='inputs' must be one of 'input'"):
        Bayesian(groups="inputs")


@pytest.mark.parametrize("y", [np.full(20, 3.0), np.zeros(20)], ids=["constant", "zero"])
def test_constant_targets(y):
    X, _ = noisy(20)
    mean, std = bayesian().fit(X, y).predict(X, return_std=True)
    np.testing.assert_allclose(mean, y, atol=1e-6)
    assert np.isfinite(std).all()


def test_targets_without_noise_and_more_parameters_than_rows():
    X, y = noisy(20, noise=0.0)
    mean, std = LMRegressor((100,), random_state=0).fit(X, y).predict(X, True)
    assert np.isfinite(mean).all() and np.isfinite(std).all()
    assert np.mean((mean - y) ** 2) < 0.1 * np.var(y)


def test_the_relevance_is_that_of_the_groups():
    X, y = noisy(40)
    model = bayesian().fit(X, y)
    assert model.relevance_.shape == (3,) and model.relevance_.max() == 1.0
    assert input_groups(model.network_).names[:3] == ("input 1", "input 2", "input 3")
    assert bayesian().set_params(regularization="l2").fit(X, y).relevance_ is None


# -- classes ---------------------------------------------------------------------------------------


def blobs(n_classes, n_samples=90, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_samples)
    angle = 2 * np.pi * y / n_classes
    return np.column_stack([np.cos(angle), np.sin(angle)]) + 0.6 * rng.normal(size=(n_samples, 2)), y


@pytest.mark.parametrize("params", [{}, {"regularization": "bayesian"}], ids=["l2", "bayesian"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_laplace_makes_probabilities_less_sure_away_from_the_rows(params, n_classes):
    X, y = blobs(n_classes)
    plain = LMClassifier((5,), random_state=0, **params).fit(X, y)
    laplace = clone(plain).set_params(laplace=True).fit(X, y)
    np.testing.assert_array_equal(plain.w_, laplace.w_)
    far = 6 * np.column_stack([np.cos(np.arange(12)), np.sin(np.arange(12))])
    shares = laplace.predict_proba(far)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert shares.max(axis=1).mean() < plain.predict_proba(far).max(axis=1).mean()
    np.testing.assert_allclose(np.exp(laplace.predict_log_proba(far)), shares)
    if n_classes == 2:  # MacKay's formula moves no probability across one half
        np.testing.assert_array_equal(laplace.predict(X), plain.predict(X))


@parametrize_with_checks([LMClassifier((4,), laplace=True, regularization="bayesian")])
def test_scikit_learns_checks_of_a_classifier(estimator, check):
    check(estimator)


def test_a_committee_of_classifiers():
    X, y = blobs(3)
    model = LMClassifier((5,), n_starts=3, ensemble_size=3, random_state=0, laplace=True).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)
    assert model.score(X, y) > 0.7


def test_laplace_is_for_cross_entropy():
    X, y = blobs(2)
    with pytest.raises(ValueError, match="laplace=True needs loss='cross_entropy'"):
        LMClassifier((2,), laplace=True, loss="squared_error").fit(X, y)


def test_a_penalty_beside_the_evidence_is_told():
    """No error: scikit-learn's checks set alpha."""
    X, y = noisy(60)
    model = bayesian(alpha=0.1, n_starts=1).fit(X, y)
    said = "alpha=0.1 is not used: with regularization='bayesian' the penalty is found from the rows"
    assert said in model.message_ and any(said in note for note in model.evidence_.notes)
    plain = bayesian(n_starts=1).fit(X, y)
    assert "alpha=" not in plain.message_
    np.testing.assert_array_equal(plain.w_, model.w_)


def test_targets_transformed_by_scikit_learn():
    X, y = noisy(60)
    model = TransformedTargetRegressor(bayesian(), func=np.arcsinh, inverse_func=np.sinh).fit(X, y)
    assert model.score(X, y) > 0.7


def test_weights_are_routed():
    X, y = noisy(60)
    weights = np.r_[np.ones(30), np.zeros(30)]
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True).set_transform_request(copy=False)
        model = make_pipeline(scaler, bayesian().set_fit_request(sample_weight=True))
        routed = model.fit(X, y, sample_weight=weights)
    alone = make_pipeline(StandardScaler(), bayesian()).fit(X[:30], y[:30])
    np.testing.assert_allclose(routed.predict(X), alone.predict(X), rtol=1e-3)


def test_functions_drawn_from_a_committee(fitted):
    """Their variance is that of `predict_moments`, the noise of new rows left out."""
    X, _ = noisy(n_samples=7, seed=9)
    drawn = fitted.sample_y(X, 20_000, random_state=1)
    moments = fitted.predict_moments(X)
    assert drawn.shape == (7, 20_000)
    ratio = drawn.var(axis=1) / (moments.model + moments.spread)[:, 0]
    np.testing.assert_allclose(ratio, 1.0, atol=5 * np.sqrt(2 / 20_000))
    std = np.sqrt((moments.model + moments.spread)[:, 0])
    assert (np.abs(drawn.mean(axis=1) - moments.mean[:, 0]) < 5 * std / np.sqrt(20_000)).all()
    np.testing.assert_array_equal(
        fitted.sample_y(X, 2, random_state=4), fitted.sample_y(X, 2, random_state=4)
    )
    two = bayesian(n_starts=1).fit(*noisy(n_outputs=2))
    assert two.sample_y(X, 5).shape == (7, 2, 5)


def test_functions_that_cannot_be_drawn(fitted):
    X, y = noisy(40)
    with pytest.raises(ValueError, match="n_samples=0 must be at least 1"):
        fitted.sample_y(X, 0)
    with pytest.raises(ValueError, match="no error bars: set regularization='bayesian'"):
        LMRegressor((4,), alpha=0.1, n_starts=1, random_state=0).fit(X, y).sample_y(X)
    # without posteriors the members of a committee are its only functions
    several = LMRegressor((4,), alpha=0.1, n_starts=2, ensemble_size=2, random_state=0).fit(X, y)
    assert len(np.unique(several.sample_y(X, 9)[0])) == 2
