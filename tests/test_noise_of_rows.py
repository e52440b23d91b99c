"""Noise that differs from row to row: known, or found by a second network."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from marquardt import LMRegressor, load, save
from marquardt.calibration import Calibration


def rows(n_samples=300, seed=0):
    """Noise that grows from 0.1 to 1 along the input; the true function; the standard deviations."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n_samples, 1))
    sigma = 10 * np.exp(1.15 * (X[:, 0] - 1))
    truth = 100 + 20 * np.sin(3 * X[:, 0])
    return X, truth + sigma * rng.normal(size=n_samples), truth, sigma


@parametrize_with_checks([LMRegressor((3,), noise="varying", n_starts=1)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_varying_noise_is_found_and_the_error_bars_are_better():
    X, y, truth, sigma = rows()
    constant = LMRegressor((6,), random_state=0).fit(X, y)
    varying = LMRegressor((6,), noise="varying", random_state=0).fit(X, y)
    np.testing.assert_array_equal(varying.w_, constant.w_)
    found = np.sqrt(varying.predict_moments(X).noise[:, 0])
    assert np.corrcoef(np.log(found), np.log(sigma))[0, 1] > 0.95
    assert 0.6 < np.median(found / sigma) < 1.5
    new = rows(2000, seed=1)
    scores = [
        Calibration(new[1], *model.predict(new[0], return_std=True)).log_likelihood
        for model in (constant, varying)
    ]
    assert scores[1] > scores[0] + 0.1
    assert np.sqrt(np.mean((varying.predict(X) - truth) ** 2)) < 3


def test_noise_that_does_not_vary_stays_constant():
    X, _, truth, _ = rows()
    y = truth + np.random.default_rng(3).normal(size=len(X))
    noise = LMRegressor((6,), noise="varying", random_state=0).fit(X, y).predict_moments(X).noise
    assert noise.max() < 3 * noise.min()  # of 10 before


def test_a_file_keeps_it(tmp_path):
    X, y, *_ = rows(120)
    Y = np.column_stack([y, -y])
    model = LMRegressor((4,), noise="varying", n_starts=2, ensemble_size=2, random_state=0).fit(X, Y)
    save(model, tmp_path / "m.marquardt")
    again = load(tmp_path / "m.marquardt")
    np.testing.assert_array_equal(again.predict(X, return_std=True), model.predict(X, return_std=True))


def test_known_noise_weighs_the_rows_and_is_left_out_of_predictions(tmp_path):
    errors = np.zeros(2)
    for seed in range(6):
        X, y, truth, sigma = rows(seed=seed)
        known = LMRegressor((6,), random_state=0, n_starts=2).fit(X, y, sigma=sigma)
        plain = LMRegressor((6,), random_state=0, n_starts=2).fit(X, y)
        sure = X[:, 0] < 0
        errors += [np.mean((model.predict(X) - truth)[sure] ** 2) for model in (known, plain)]
    assert errors[0] < errors[1]
    assert known.evidence_.noise_precision == 1.0
    mean, std = known.predict(X, return_std=True)
    assert (known.predict_moments(X).noise == 0).all()
    assert np.mean(np.abs(mean - truth) < 3 * std) > 0.9
    save(known, tmp_path / "m.marquardt")
    np.testing.assert_array_equal(load(tmp_path / "m.marquardt").predict(X, return_std=True)[1], std)


def test_equal_sigmas_are_a_known_noise_whatever_the_units():
    X, y, *_ = rows(80)
    one = LMRegressor((4,), random_state=0, n_starts=2).fit(X, y, sigma=np.full(80, 5.0))
    other = LMRegressor((4,), random_state=0, n_starts=2).fit(X, 1024 * y, sigma=np.full(80, 5120.0))
    np.testing.assert_allclose(other.predict(X, True), 1024 * np.array(one.predict(X, True)), rtol=1e-6)


def test_sigma_of_two_targets_with_gaps():
    X, y, _, sigma = rows(80)
    Y, S = np.column_stack([y, y]), np.column_stack([sigma, 2 * sigma])
    Y[::3, 1] = np.nan
    model = LMRegressor((4,), random_state=0, n_starts=1).fit(X, Y, sigma=S)
    assert np.isfinite(model.predict(X, True)).all()
    assert (
        LMRegressor((4,), alpha=1.0, random_state=0).fit(X, Y, sigma=S).score(X, np.nan_to_num(Y, nan=100))
        > 0
    )


@pytest.mark.parametrize(
    ("params", "more", "message"),
    [
        ({}, {"sigma": np.zeros(20)}, "sigma has the value 0: a standard deviation must be positive"),
        ({}, {"sigma": np.ones(3)}, r"sigma has shape \(3,\), but y has shape \(20,\)"),
        ({}, {"sigma": np.full(20, np.nan)}, "sigma holds 20 NaN"),
        ({}, {"sigma": np.ones(20), "sample_weight": np.ones(20)}, "both weigh the rows"),
        ({"noise": "varying"}, {"sigma": np.ones(20)}, "set noise='constant'"),
        ({"noise": "varying", "loss": "huber"}, {}, "noise='varying' is for loss='squared_error'"),
    ],
)
def test_what_is_refused(params, more, message):
    X, y, *_ = rows(20)
    with pytest.raises(ValueError, match=message):
        LMRegressor((2,), n_starts=1, **params).fit(X, y, **more)


def test_exact_targets():
    X = np.linspace(-1, 1, 30)[:, None]
    model = LMRegressor((2,), noise="varying", n_starts=1).fit(X, np.full(30, 7.0))
    assert np.isfinite(model.predict(X, return_std=True)).all()
