"""Robust losses and masked targets in `LMRegressor`; the losses themselves: test_robust_losses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from marquardt import LMRegressor, load, save
from marquardt.losses import PENALTIES, Cauchy, Quantile
from marquardt.losses.robust import Robust

ROBUST = [name for name in PENALTIES if name != "quantile"]


def sine(n_samples=120, wrong=0.15, seed=0):
    """A noisy sine of which a share of the rows is grossly wrong; the truth; which rows those are."""
    rng = np.random.default_rng(seed)
    X = np.sort(rng.uniform(-3, 3, size=n_samples))[:, None]
    truth = 50.0 + 20.0 * np.sin(X[:, 0])
    bad = rng.random(n_samples) < wrong
    return X, truth + rng.normal(size=n_samples) + 80.0 * bad, truth, bad


def rmse(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


@parametrize_with_checks(
    [LMRegressor((4,), loss="cauchy", n_starts=1), LMRegressor((4,), loss="huber", n_starts=2)]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("loss", ROBUST)
def test_gross_errors_hardly_count(loss):
    X, y, truth, bad = sine()
    plain = LMRegressor((6,), alpha=0.01, random_state=0).fit(X, y)
    robust = LMRegressor((6,), loss=loss, random_state=0).fit(X, y)
    assert rmse(robust.predict(X), truth) < 0.25 * rmse(plain.predict(X), truth)
    assert robust.robust_.outliers()[:, 0][bad].all()
    assert robust.robust_.outliers()[:, 0][~bad].mean() < 0.1
    assert 0.5 < robust.robust_.scale[0] * robust.y_scaler_.scale[0] < 2.5
    assert plain.robust_ is None and robust.evidence_ is None


def test_quantiles_hold_their_share():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(600, 1))
    y = X[:, 0] + (1 + np.abs(X[:, 0])) * rng.normal(size=600)
    for level in (0.1, 0.5, 0.9):
        model = LMRegressor((4,), loss=Quantile(level=level), random_state=0, max_iter=200).fit(X, y)
        assert np.mean(y < model.predict(X)) == pytest.approx(level, abs=0.03)


def test_starts_are_ranked_by_likelihood_whatever_the_processes():
    X, y, *_ = sine()
    model = LMRegressor((6,), loss="cauchy", n_starts=3, random_state=1).fit(X, y)
    values = [start.log_likelihood for start in model.starts_]
    assert model.robust_.log_likelihood == max(values)
    assert "best log likelihood" in repr(model.starts_)
    other = clone(model).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(other.w_, model.w_)


def test_early_stopping_and_files(tmp_path):
    X, y, *_ = sine()
    model = LMRegressor((6,), loss=Cauchy(), early_stopping=True, random_state=0).fit(X, y)
    assert model.validation_scores_ is not None
    save(model, tmp_path / "m.marquardt")
    loaded = load(tmp_path / "m.marquardt")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert isinstance(loaded.loss, Robust) and loaded.robust_ is None


def test_the_evidence_refuses_a_robust_loss():
    with pytest.raises(ValueError, match=r"the evidence is that of Gaussian noise; set regularization='l2'"):
        LMRegressor((2,), loss="huber", regularization="bayesian").fit(np.eye(4), np.arange(4.0))


# -- masked targets --------------------------------------------------------------------------------


def two_targets(n_samples=80, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n_samples, 2))
    Y = np.column_stack([np.sin(X[:, 0]), 100 + 10 * X[:, 1] ** 2]) + 0.05 * rng.normal(size=(n_samples, 2))
    return X, Y


@pytest.mark.parametrize(
    "params", [{"alpha": 0.01}, {}, {"loss": "cauchy"}, {"early_stopping": True}], ids=str
)
def test_gaps_in_the_targets(params):
    X, Y = two_targets()
    gaps = Y.copy()
    gaps[::3, 0], gaps[1::4, 1] = np.nan, np.nan
    model = LMRegressor((8,), random_state=0, **params).fit(X, gaps)
    predicted = model.predict(X)
    assert np.isfinite(predicted).all()
    assert (1 - np.mean((predicted - Y) ** 2, axis=0) / Y.var(axis=0) > 0.95).all()


def test_what_stands_in_a_gap_does_not_matter_and_the_rows_of_nothing_but_gaps_neither():
    X, Y = two_targets()
    gaps = Y.copy()
    gaps[::3, 0] = np.nan
    gaps[7] = np.nan
    kept = np.arange(len(Y)) != 7
    model, without = (LMRegressor((4,), alpha=0.1, random_state=0, tol=0.01) for _ in range(2))
    model.fit(X, gaps)
    without.fit(X[kept], gaps[kept])
    np.testing.assert_array_equal(model.w_, without.w_)
    measured = Y[:, 0][~np.isnan(gaps[:, 0])]
    assert model.y_scaler_.offset[0] == pytest.approx(measured.mean())
    assert model.y_scaler_.scale[0] == pytest.approx(measured.std())


def test_bayesian_noise_is_that_of_what_was_measured():
    """As many entries as in a fit of half of the rows, all measured."""
    X, Y = two_targets(200)
    gaps = Y.copy()
    gaps[100:] = np.nan
    gaps[100, 0] = Y[100, 0]  # else the rows would just be left out
    masked = LMRegressor((6,), random_state=0, n_starts=2).fit(X, gaps)
    half = LMRegressor((6,), random_state=0, n_starts=2).fit(X[:100], Y[:100])
    assert masked.evidence_.noise_sd == pytest.approx(half.evidence_.noise_sd, rel=0.2)


def test_gaps_that_are_refused():
    X, Y = two_targets(20)
    gaps = Y.copy()
    gaps[:, 1] = np.nan
    with pytest.raises(ValueError, match="y has no measured value of positive weight in column 1"):
        LMRegressor((2,)).fit(X, gaps)
    with pytest.raises(ValueError, match="NaN"):
        LMRegressor((2,)).fit(X, gaps[:, 1])
