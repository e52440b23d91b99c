"""Goodness of fit and visual predictive checks: oracles, laws, bad input, and that the pictures are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from marquardt.apps.pkpd.goodness_of_fit import GoodnessOfFit, SubjectCurve
from marquardt.apps.pkpd.local_smooth import local_smooth
from marquardt.apps.pkpd.visual_check import (
    LogNormalSubjects,
    pooled_replicates,
    predictive_check,
    two_stage_replicates,
)
from marquardt.reports import png

TIMES = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
SUBJECT = np.repeat(np.arange(1, 31), len(TIMES))
TIME = np.tile(TIMES, 30)
TYPICAL = LogNormalSubjects(np.log([3.0, 30.0]), np.diag([0.09, 0.04]))
SPEED = np.array([4.0, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15,
                  15, 15, 16, 16, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24,
                  24, 24, 25.0])  # fmt: skip
DISTANCE = np.array([2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80,
                     20, 26, 54, 32, 40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54,
                     70, 92, 93, 120, 85.0])  # fmt: skip


def concentrations(theta):
    """Of all rows by parameters of their subjects (30, 2): a bolus of 100."""
    clearance, volume = theta[SUBJECT - 1].T
    return 100 / volume * np.exp(-clearance / volume * TIME)


def study(seed=0):
    rng = np.random.default_rng(seed)
    own = concentrations(TYPICAL.draw(30, rng))
    return own, own * (1 + 0.1 * rng.standard_normal(len(own)))


POPULATION = concentrations(np.tile([3.0, 30.0], (30, 1)))


# -- the smooth --------------------------------------------------------------------------------------------


def test_the_smooth_is_that_of_r():
    """lowess(cars), of R's own documentation."""
    places, smooth = local_smooth(SPEED, DISTANCE)
    np.testing.assert_array_equal(places, np.unique(SPEED))
    wanted = [4.965459, 13.124495, 15.858633, 18.579691, 21.280313, 24.129277, 27.119549, 30.027276,
              32.962506, 36.757728, 40.435075, 43.463492, 46.885479, 50.793152, 56.491224, 67.585824,
              73.079695, 78.643164, 84.328698]  # fmt: skip
    np.testing.assert_allclose(smooth, wanted, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 12, 700])
def test_the_smooth_of_a_line_is_the_line(n):
    x = np.random.default_rng(n).normal(size=n)
    places, smooth = local_smooth(x, 2 - 3 * x)
    # of very few points the second nearest may weigh next to nothing
    np.testing.assert_allclose(smooth, 2 - 3 * places, atol=1e-9 if n > 3 else 0.01)
    assert np.isfinite(smooth).all() and len(places) <= 200


def test_the_smooth_forgives_outliers_and_ties():
    x = np.linspace(0, 1, 60)
    y = x.copy()
    y[[10, 30, 50]] += [50, -80, 70]
    places, smooth = local_smooth(x, y)
    np.testing.assert_allclose(smooth, places, atol=1e-3)
    places, smooth = local_smooth(np.ones(6), np.arange(6.0))
    assert places.tolist() == [1.0] and np.isfinite(smooth).all()
    with pytest.raises(ValueError, match="equal length"):
        local_smooth([1.0], [1.0, 2.0])


# -- residuals ---------------------------------------------------------------------------------------------


def test_residuals_are_observed_minus_predicted_in_standard_deviations():
    own, observed = study()
    fit = GoodnessOfFit(TIME, observed, POPULATION, SUBJECT, 0.1 * own, own)
    np.testing.assert_allclose(fit.weighted_residuals, (observed - own) / (0.1 * own))
    assert abs(fit.weighted_residuals.std() - 1) < 0.15 and abs(fit.lag_correlation) < 0.2
    pooled = GoodnessOfFit(TIME, observed, POPULATION, SUBJECT)
    np.testing.assert_allclose(np.mean(pooled.weighted_residuals**2), 1.0)
    assert pooled.lag_correlation > 0.4  # a subject stays above or below the others
    assert "240 observations, 30 subjects" in str(fit) and "sigma was not given" in str(pooled)
    turned = GoodnessOfFit(TIME[::-1], observed[::-1], POPULATION[::-1], SUBJECT[::-1])
    np.testing.assert_allclose(turned.lag_correlation, pooled.lag_correlation)  # whatever the order of rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observed": []}, "observed is empty"),
        ({"observed": [1.0, np.nan]}, "observed is nan in row 1: leave out"),
        ({"predicted": [1.0]}, r"predicted has shape \(1,\), but must be \(2,\)"),
        ({"time": [0.0, np.inf]}, "time is inf in row 1"),
        ({"sigma": [1.0, 0.0]}, "sigma holds 0, but must be above 0"),
        ({"subject": ["a"]}, "subject has shape"),
        ({"observed": ["high", "low"]}, "observed must be numbers"),
    ],
)
def test_rows_that_cannot_be_drawn(change, message):
    rows = {"time": [0.0, 1.0], "observed": [1.0, 2.0], "predicted": [1.0, 2.0]}
    with pytest.raises(ValueError, match=message):
        GoodnessOfFit(**(rows | change))


# -- the pictures ------------------------------------------------------------------------------------------


def test_the_panel():
    own, observed = study()
    axes = GoodnessOfFit(TIME, observed, POPULATION, SUBJECT, 0.1 * own, own, unit="mg/L").plot().axes
    labels = [axis.get_xlabel() for axis in axes]
    assert labels[:2] == ["population prediction (mg/L)", "individual prediction (mg/L)"]
    points = axes[1].lines[0]
    np.testing.assert_array_equal(points.get_xdata(), own)
    np.testing.assert_array_equal(points.get_ydata(), observed)
    identity = axes[1].lines[-1]
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())
    assert axes[1].get_xlim() == axes[1].get_ylim()
    low, high = axes[3].get_ylim()
    assert low == -high  # zero is in the middle
    pooled = GoodnessOfFit(TIME, observed, POPULATION).plot()
    assert pooled.axes[1].get_xscale() == "log" and len(png(pooled)) > 10_000


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(n):
    fit = GoodnessOfFit(np.arange(n), np.arange(n) + 1.0, np.ones(n), np.full(n, "a"))
    assert len(png(fit.plot())) > 1000 and len(png(fit.plot_individuals())) > 1000


@pytest.mark.parametrize("observed", [np.ones(6), np.zeros(6)], ids=["constant", "zero"])
def test_an_exact_fit(observed):
    fit = GoodnessOfFit(np.arange(6), observed, observed * (1 + 1e-16))
    assert not fit.weighted_residuals.any() and np.isnan(fit.lag_correlation)
    assert len(png(fit.plot())) > 1000


def test_individuals():
    own, observed = study()
    grid = np.linspace(0, 24, 50)
    curves = {1: SubjectCurve(grid, np.exp(-grid), np.exp(-0.5 * grid))}
    fit = GoodnessOfFit(TIME, observed, POPULATION, SUBJECT, None, own, curves=curves)
    figure = fit.plot_individuals(most=7)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == [str(k) for k in range(1, 8)]
    np.testing.assert_array_equal(shown[0].lines[0].get_xdata(), grid)
    assert len({axis.get_ylim() for axis in shown}) == 1
    assert figure.legends[0].get_title().get_text() == "the first 7 of 30 subjects"
    logarithmic = fit.plot_individuals(most=3, logarithmic=True)
    assert logarithmic.axes[0].get_yscale() == "log" and len(png(logarithmic)) > 1000
    with pytest.raises(ValueError, match="needs subject="):
        GoodnessOfFit(TIME, observed, POPULATION).plot_individuals()
    with pytest.raises(ValueError, match="no observation is above 0"):
        GoodnessOfFit([1.0], [0.0], [1.0], ["a"]).plot_individuals(logarithmic=True)


# -- visual predictive check -------------------------------------------------------------------------------


def test_replicates_have_their_distribution():
    replicates = pooled_replicates(POPULATION, 0.1, 4000, random_state=1)
    np.testing.assert_allclose(replicates.mean(axis=0), POPULATION, atol=0.01)
    np.testing.assert_allclose(replicates.std(axis=0), 0.1, rtol=0.1)
    np.testing.assert_array_equal(replicates, pooled_replicates(POPULATION, 0.1, 4000, random_state=1))
    drawn = TYPICAL.draw(20_000, np.random.default_rng(2))
    again = LogNormalSubjects.of(drawn)
    np.testing.assert_allclose(again.typical, [3.0, 30.0], rtol=0.01)
    np.testing.assert_allclose(again.covariance, TYPICAL.covariance, atol=0.003)
    # what is known of the errors of estimation is taken off
    less = LogNormalSubjects.of(drawn, np.tile(np.diag([0.04, 0.09]), (3, 1, 1)))
    np.testing.assert_allclose(np.diag(less.covariance), [0.05, 0.0], atol=0.003)


def test_percentiles_of_the_bins():
    """Those of the normal distribution, for a model without subjects."""
    time = np.repeat([1.0, 2.0, 3.0], 400)
    mean = np.repeat([5.0, 3.0, 1.0], 400)
    check = predictive_check(
        time, pooled_replicates(mean, 0.5, 2, 1)[0], pooled_replicates(mean, 0.5, 400, 2)
    )
    np.testing.assert_array_equal(check.counts, 400)
    np.testing.assert_array_equal(check.center, [1.0, 2.0, 3.0])
    exact = np.array([5.0, 3.0, 1.0]) + 0.5 * norm.ppf([[0.05], [0.5], [0.95]])
    np.testing.assert_allclose(check.median, exact, atol=0.02)
    # the standard error of a quantile, √(p(1 − p)/n) / density, sets the width of its band
    p = np.array([0.05, 0.5, 0.95])
    error = 0.5 * np.sqrt(p * (1 - p) / 400) / norm.pdf(norm.ppf(p))
    np.testing.assert_allclose((check.high - check.low).mean(axis=1), 2 * 1.96 * error, rtol=0.15)
    assert not check.notes and "of 9 percentiles" in str(check)


def test_a_right_model_passes_and_a_wrong_one_does_not():
    _, observed = study(3)

    def sd(mean):
        return 0.1 * mean

    right = two_stage_replicates(concentrations, TYPICAL, 30, sd, 200, random_state=4)
    assert predictive_check(TIME, observed, right).outside.mean() < 0.15
    for wrong in (LogNormalSubjects(np.log([2.0, 30.0]), TYPICAL.covariance),
                  LogNormalSubjects(TYPICAL.mean, 0.01 * TYPICAL.covariance)):  # fmt: skip
        replicates = two_stage_replicates(concentrations, wrong, 30, sd, 200, random_state=4)
        assert predictive_check(TIME, observed, replicates).outside.mean() > 0.3


def test_correction_by_the_prediction_undoes_the_dose():
    """Proportional errors and a linear drug: with doses of 1 and 10 the check is that of one dose."""
    dose = np.where(SUBJECT % 2 == 0, 1.0, 10.0)
    _, observed = study()
    replicates = two_stage_replicates(concentrations, TYPICAL, 30, lambda m: 0.1 * m, 50)
    same = predictive_check(TIME, observed, replicates, predicted=POPULATION)
    mixed = predictive_check(TIME, dose * observed, dose * replicates, predicted=dose * POPULATION)
    factor = np.median(dose)
    np.testing.assert_allclose(mixed.observed, factor * same.observed)
    np.testing.assert_allclose(mixed.low, factor * same.low)
    assert mixed.corrected and str(mixed).startswith("prediction-corrected")


def test_bins():
    _, observed = study()
    replicates = pooled_replicates(POPULATION, 0.3, 5)
    jitter = TIME * (1 + 0.05 * np.random.default_rng(0).standard_normal(len(TIME)))
    by_quantiles = predictive_check(jitter, observed, replicates, bins=6)
    assert len(by_quantiles.counts) == 6 and by_quantiles.counts.min() > 30
    assert len(predictive_check(jitter, observed, replicates).counts) == 10
    assert len(predictive_check(TIME, observed, replicates).counts) == len(TIMES)
    # rows of one time stay together, however many bins are asked for
    assert len(predictive_check(TIME, observed, replicates, bins=50).counts) <= len(TIMES)
    assert predictive_check(TIME, observed, replicates, bins=[0, 3, 30]).counts.tolist() == [120, 120]
    one = predictive_check(np.ones(5), observed[:5], replicates[:, :5])
    assert one.counts.tolist() == [5] and "fewer than 10 rows" in str(one)
    assert len(png(one.plot())) > 1000
    single = predictive_check([1.0], [2.0], [[1.0], [3.0]])
    np.testing.assert_array_equal(single.observed, 2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"simulated": np.ones((1, 3))}, "with two and more"),
        ({"simulated": np.ones((4, 2))}, r"must be \(n_replicates, 3\)"),
        ({"simulated": np.full((4, 3), np.nan)}, "4 of 4 replicates hold NaN"),
        ({"observed": [1.0, np.nan, 1.0]}, "observed is nan in row 1"),
        ({"time": []}, "two columns of equal length"),
        ({"bins": [0, 1]}, "bins from 0 to 1 leave out rows"),
        ({"bins": [3, 0]}, "increasing order"),
        ({"bins": [0, 1.1, 1.2, 5]}, "holds no row"),
        ({"bins": 0}, "bins=0 must be at least 1"),
        ({"coverage": 95}, "coverage=95 must be between 0 and 1"),
        ({"predicted": [1.0, 0.0, 1.0]}, "predicted must be finite and above 0"),
    ],
)
def test_checks_that_cannot_be_made(change, message):
    rows = {"time": [1.0, 2.0, 3.0], "observed": [3.0, 2.0, 1.0], "simulated": np.ones((4, 3))}
    with pytest.raises(ValueError, match=message):
        predictive_check(**(rows | change))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pooled_replicates([1.0], 0.1, 0), "n_replicates=0"),
        (lambda: LogNormalSubjects.of([[1.0, 2.0]]), "at least two subjects"),
        (lambda: LogNormalSubjects.of([[1.0, 2.0], [1.0, -2.0]]), "finite and above 0"),
        (lambda: LogNormalSubjects([0.0], [[-1.0]]), "negative eigenvalue"),
        (lambda: LogNormalSubjects([0.0], [[1.0, 0.0]]), "covariance has shape"),
        (lambda: LogNormalSubjects([np.nan], [[1.0]]), "must be finite"),
    ],
)
def test_subjects_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_picture_of_the_check():
    _, observed = study()
    check = predictive_check(TIME, observed, pooled_replicates(POPULATION, 0.05, 50))
    figure = check.plot(unit="mg/L", time_unit="h")
    axes = figure.axes[0]
    assert axes.get_ylabel() == "concentration (mg/L)" and axes.get_xlabel() == "time (h)"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"outside the band: {check.outside.sum()} of 24" in labels
    assert len(png(check.plot(logarithmic=True))) > 10_000
    nothing = predictive_check(TIME, 0 * observed, pooled_replicates(POPULATION, 0.05, 5))
    with pytest.raises(ValueError, match="no observation is above 0"):
        nothing.plot(logarithmic=True)
