"""Uncertainty of parameters, against closed forms, nested SciPy and published intervals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares as scipy_least_squares

from certified.nist import load
from decay import START, T, Y, analytic, curve, residual
from marquardt import Stopping, least_squares
from marquardt.uncertainty import bootstrap, conf_interval, contour, fit_report, profile
from marquardt.uncertainty.fit_report import FitStatistics

# Treated cells, Bates & Watts 1988, table A1.3.
CONCENTRATION = np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.1], 2)
RATE = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200.0])


def puromycin(**options):
    def michaelis_menten(w):
        return w[0] * CONCENTRATION / (w[1] + CONCENTRATION) - RATE

    return least_squares(michaelis_menten, [200.0, 0.05], names=["Vmax", "Km"], **options)


RNG = np.random.default_rng(0)
DESIGN = np.column_stack([np.ones(30), RNG.normal(size=30), RNG.normal(size=30)])
TARGET = DESIGN @ [1.0, -2.0, 0.5] + 0.3 * RNG.normal(size=30)


def linear():
    return least_squares(lambda w: DESIGN @ w - TARGET, np.zeros(3), lambda w: DESIGN, names=["a", "b", "c"])


# -- profiles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absolute_sigma", [False, True])
@pytest.mark.parametrize("coverage", [0.683, 0.95, 0.99])
def test_the_profile_of_a_linear_model_is_the_usual_interval(coverage, absolute_sigma):
    fit = linear()
    errors = fit.standard_errors(absolute_sigma)
    law = stats.norm if absolute_sigma else stats.t(fit.degrees_of_freedom)
    half = law.ppf(0.5 + 0.5 * coverage) * errors
    found = fit.conf_interval(coverage=coverage, absolute_sigma=absolute_sigma)
    assert list(found) == ["a", "b", "c"]
    for i, interval in enumerate(found.values()):
        np.testing.assert_allclose(
            [interval.low, interval.high], fit.w[i] + half[i] * np.array([-1, 1]), rtol=1e-6
        )
        assert interval.notes == ()
    traced = fit.profile("b", coverage=coverage, absolute_sigma=absolute_sigma)
    np.testing.assert_allclose(traced.tau, (traced.values - fit.w[1]) / errors[1], rtol=1e-6, atol=1e-6)
    assert (np.diff(traced.values) > 0).all() and len(traced.values) >= 15
    np.testing.assert_array_equal(traced.parameters[:, 1], traced.values)


def test_the_published_intervals_of_puromycin():
    """R 4: confint(nls(rate ~ Vm*conc/(K + conc), Puromycin, state == "treated"))."""
    fit = puromycin()
    np.testing.assert_allclose(fit.w, [212.7, 0.0641], rtol=1e-3)
    vmax, km = fit.conf_interval().values()
    np.testing.assert_allclose([vmax.low, vmax.high], [197.30, 229.29], atol=5e-3)
    np.testing.assert_allclose([km.low, km.high], [0.04692, 0.08615], atol=1e-5)
    assert str(km) == "Km = 0.0641213, 0.95 interval 0.0469203 to 0.0861569"


@pytest.mark.parametrize(
    ("name", "index"),
    [("Misra1a", 0), ("Rat43", 0), ("Rat43", 3), ("DanWood", 1), ("MGH09", 2), ("Chwirut2", 1)],
)
def test_asymmetric_profiles_are_those_of_nested_scipy(name, index):
    """At both ends SciPy, with the parameter held, finds the cost that the threshold asks for."""
    problem = load(name, np.float64)
    fit = least_squares(problem.residual, problem.certified, problem.jacobian)
    free = np.delete(np.arange(problem.n_params), index)
    target = stats.f(1, fit.degrees_of_freedom).ppf(0.95) * fit.residual_sd**2
    traced = fit.profile(index)
    for end, start in (
        (traced.interval.low, traced.parameters[0]),
        (traced.interval.high, traced.parameters[-1]),
    ):

        def reduced(v, end=end):
            w = np.empty(problem.n_params)
            w[free], w[index] = v, end
            return problem.residual(w)

        tight = {"x_scale": np.abs(fit.w[free]), "xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
        costs = [scipy_least_squares(reduced, v, **tight).cost for v in (start[free], fit.w[free])]
        np.testing.assert_allclose(2 * (min(costs) - fit.cost), target, rtol=1e-5)


def flat_part():
    """All points lie where the curve is flat: any large rate will do."""
    t = np.linspace(3, 8, 12)
    y = 2.0 + 0.05 * np.random.default_rng(3).normal(size=12)
    return least_squares(lambda w: w[0] * (1 - np.exp(-w[1] * t)) - y, [2.0, 1.0], names=["a", "k"])


def test_an_end_that_the_data_do_not_set_is_infinite():
    found = flat_part().conf_interval()
    assert found["k"].high == np.inf and np.isfinite(found["k"].low)
    assert found["k"].notes[0].startswith("above: the height levels off at ")
    assert np.isfinite([found["a"].low, found["a"].high]).all()
    assert "to inf; above: the height levels off" in str(found["k"])


def test_parameters_that_only_appear_as_a_sum_have_no_ends():
    fit = least_squares(lambda w: (w[0] + w[1]) * T + w[2] - Y, [0.0, 1, 0], names=["a", "b", "c"])
    found = fit.conf_interval()
    assert [found["a"].low, found["a"].high] == [-np.inf, np.inf]
    errors = fit.standard_errors()
    np.testing.assert_allclose(found["c"].high - fit.w[2], stats.t(37).ppf(0.975) * errors[2], rtol=1e-4)


def test_a_model_with_an_edge():
    """The square root ends before the interval does."""
    x = np.linspace(1, 2, 8)
    y = np.sqrt(x - 0.999) + 0.2 * np.random.default_rng(0).normal(size=8)
    fit = least_squares(lambda w: np.sqrt(x - w[0]) - y, [0.0], names=["edge"])
    interval = fit.conf_interval()["edge"]
    assert interval.high <= 1.0
    assert interval.notes and interval.notes[0].startswith("above: no finite cost beyond")


def test_a_better_minimum_on_the_way_is_told():
    """Started at the wrong frequency, the profile of the frequency finds the right one."""
    t = np.linspace(0, 6, 60)
    y = np.sin(2.0 * t) + 0.3 * np.random.default_rng(0).normal(size=60)
    fit = least_squares(lambda w: w[1] * np.sin(w[0] * t) - y, [3.3, 1.0], names=["f", "size"])
    assert abs(fit.w[0] - 2.0) > 0.5
    notes = fit.profile("f").interval.notes
    assert any(
        "a lower cost than that of the fit" in note and "fit again from there" in note for note in notes
    )


def test_a_profile_is_seen_by_its_name_or_position():
    fit = puromycin()
    by_name, by_position = fit.profile("Km"), profile(fit, 1)
    np.testing.assert_array_equal(by_name.tau, by_position.tau)
    assert by_name.n_refits < 60
    assert conf_interval(fit, 1) == fit.conf_interval("Km")


# -- contours --------------------------------------------------------------------------------------------


def test_the_contour_of_a_linear_model_is_its_ellipse():
    fit = linear()
    edge = fit.contour("a", "c", n_points=16).edge
    inverse = np.linalg.inv(fit.covariance()[np.ix_([0, 2], [0, 2])])
    away = edge - fit.w[[0, 2]]
    height = np.einsum("ij,jk,ik->i", away, inverse, away)
    np.testing.assert_allclose(height, 2 * stats.f(2, 27).ppf(0.95), rtol=1e-6)


def test_the_contour_of_puromycin_holds_its_cost():
    fit = puromycin()
    found = fit.contour("Vmax", "Km", coverage=0.9)
    level = fit.cost + fit.residual_sd**2 * stats.f(2, 10).ppf(0.9)
    costs = [0.5 * np.sum((w[0] * CONCENTRATION / (w[1] + CONCENTRATION) - RATE) ** 2) for w in found.edge]
    np.testing.assert_allclose(costs, level, rtol=1e-6)
    assert found.names == ("Vmax", "Km") and found.notes == () and len(found.edge) == 48


def test_an_open_contour_says_so():
    found = contour(flat_part(), "a", "k", n_points=8)
    assert np.isinf(found.edge).any() and found.notes[0].startswith("open or cut in ")


def test_the_contour_of_a_sum_starts_without_a_covariance():
    fit = least_squares(lambda w: (w[0] + w[1]) * T + w[2] - Y, [0.0, 1, 0])
    assert contour(fit, 0, 1, n_points=4).edge.shape == (4, 2)


# -- bootstrap -------------------------------------------------------------------------------------------


def test_rows_drawn_by_hand_give_the_same_estimates():
    fit = linear()
    found = fit.bootstrap(20, random_state=5)
    for seed, w in zip(np.random.SeedSequence(5).spawn(20), found.estimates, strict=True):
        rows = np.random.default_rng(seed).integers(0, 30, 30)
        expected = np.linalg.lstsq(DESIGN[rows], TARGET[rows], rcond=None)[0]
        np.testing.assert_allclose(w, expected, rtol=1e-6)


def test_residuals_drawn_by_hand_give_the_same_estimates():
    fit = linear()
    found = fit.bootstrap(20, resample="residuals", random_state=5)
    hat = DESIGN @ np.linalg.pinv(DESIGN)
    e = fit.residual / np.sqrt(1 - np.diag(hat))
    e -= e.mean()
    for seed, w in zip(np.random.SeedSequence(5).spawn(20), found.estimates, strict=True):
        drawn = e[np.random.default_rng(seed).integers(0, 30, 30)]
        expected = np.linalg.lstsq(DESIGN, DESIGN @ fit.w - drawn, rcond=None)[0]
        np.testing.assert_allclose(w, expected, rtol=1e-6)


@pytest.mark.parametrize("resample", ["rows", "residuals"])
def test_standard_errors_and_correlations_come_near_the_formula(resample):
    fit = least_squares(residual, START, analytic)
    found = fit.bootstrap(400, resample=resample, random_state=0)
    assert found.n_failed == 0 and found.estimates.shape == (400, 3)
    np.testing.assert_allclose(found.standard_errors, fit.standard_errors(), rtol=0.35)
    np.testing.assert_allclose(found.correlations, fit.correlations(), atol=0.2)
    assert (np.abs(found.bias) < 0.3 * found.standard_errors).all()
    assert str(found).startswith(f"Bootstrap of {resample}, 400 refits, 0 failed\n")


def test_intervals_are_those_of_scipy():
    """The mean of a skewed sample; BCa and plain."""
    y = np.random.default_rng(0).exponential(size=40)
    fit = least_squares(lambda w: w[0] - y, [0.0], lambda w: np.ones((40, 1)))
    found = fit.bootstrap(4000, random_state=1)
    for bca, method in ((True, "BCa"), (False, "percentile")):
        interval = found.interval(0, 0.9, bca=bca)
        options = {"confidence_level": 0.9, "n_resamples": 40_000, "method": method, "rng": 2}
        expected = stats.bootstrap((y,), np.mean, **options).confidence_interval
        np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.02)
    plain = np.quantile(found.estimates[:, 0], [0.05, 0.95])
    np.testing.assert_allclose([interval.low, interval.high], plain, rtol=1e-12)
    # the acceleration of a mean: skewness / (6 √n) (Efron 1987, section 4)
    np.testing.assert_allclose(found.acceleration, stats.skew(y) / 6 / np.sqrt(40), rtol=1e-10)


def test_the_same_in_one_process_and_in_two():
    fit = puromycin()
    one, two = (fit.bootstrap(40, random_state=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one.estimates, two.estimates)


def test_refits_that_fail_are_counted():
    """One row alone tells of b: a third of the draws do not have it."""
    x = np.r_[np.zeros(9), 1.0]
    y = np.random.default_rng(0).normal(size=10)
    fit = least_squares(lambda w: w[0] + w[1] * x - y, [0.0, 0.0], names=["a", "b"])
    found = bootstrap(fit, 200, random_state=0)
    assert 40 < found.n_failed < 100
    assert len(found.estimates) + found.n_failed == 200


def test_rows_with_a_loss_against_outliers():
    y = Y.copy()
    y[10] += 3.0
    fit = least_squares(lambda w: curve(T, *w) - y, START, loss="cauchy", f_scale=0.02)
    found = fit.bootstrap(60, random_state=0)
    assert np.abs(found.estimates - [2.5, 1.3, 0.5]).max() < 0.3
    assert np.abs(found.acceleration).max() < 1


def test_few_refits_are_told():
    found = puromycin().bootstrap(50, random_state=0)
    assert any("take more" in note for note in found.interval("Km", 0.99).notes)


def test_estimates_on_one_side_have_no_bca():
    y = np.array([0.0, 0.0, 0.0, 0.0])
    fit = least_squares(lambda w: w[0] - y + np.array([0.0, 0.0, 0.0, 1e-3]), [0.0])
    found = fit.bootstrap(30, random_state=0)
    one_sided = type(found)(found.names, found.estimate - 1.0, found.estimates, 0, "rows", found.acceleration)
    assert any("no BCa" in note for note in one_sided.interval(0).notes)


# -- the report ------------------------------------------------------------------------------------------


def test_the_report():
    fit = puromycin()
    text = fit.report(RATE, intervals=fit.conf_interval())
    assert [line for line in text.splitlines() if line.startswith("[[")] == [
        "[[Fit]]",
        "[[Statistics]]",
        "[[Parameters]]",
        "[[Correlations of 0.1 and more]]",
    ]
    for piece in (
        "12 residuals, 2 parameters, 10 degrees of freedom",
        "chi-square    1195.4488, reduced 119.54488, residual standard deviation 10.9337",
        "R²            0.96126",
        "Vmax   212.684 ± 6.947 (3.27%), 0.95 interval 197.302 to 229.289",
        "C(Vmax, Km) =  0.765",
    ):
        assert piece in text, text
    wald = fit_report(fit)
    assert "0.95 interval 197.205 to 228.163" in wald and "R²" not in wald
    assert "Correlations" not in fit.report(least_correlation=0.8)


def test_statistics_are_their_formulas():
    fit = linear()
    s = FitStatistics.of(fit, TARGET)
    chi = fit.residual @ fit.residual
    np.testing.assert_allclose([s.chi_square, s.reduced_chi_square], [chi, chi / 27])
    np.testing.assert_allclose([s.aic, s.bic], 30 * np.log(chi / 30) + np.array([6, 3 * np.log(30)]))
    np.testing.assert_allclose(s.r_squared, 1 - chi / np.sum((TARGET - TARGET.mean()) ** 2))
    known = FitStatistics.of(fit, absolute_sigma=True)
    np.testing.assert_allclose([known.aic, known.bic], chi + np.array([6, 3 * np.log(30)]))
    assert np.isnan(FitStatistics.of(fit, np.ones(30)).r_squared)


def test_reports_of_odd_fits():
    undetermined = least_squares(lambda w: (w[0] + w[1]) * T + w[2] - Y, [0.0, 1, 0])
    assert "± inf" in undetermined.report() and "-inf to inf" in undetermined.report()
    exact = least_squares(lambda w: w - np.array([1.0, 2.0]), [0.0, 0.0])
    assert "No degrees of freedom" in exact.report(np.array([1.0, 2.0]))
    assert "0.95 interval" in exact.report(absolute_sigma=True)
    many = least_squares(lambda w: np.vander(T, 7) @ w - Y, np.zeros(7))
    assert "... and " in many.report()


# -- refusals --------------------------------------------------------------------------------------------


def loaded():
    return pickle.loads(pickle.dumps(puromycin()))


def exact_fit():
    return least_squares(lambda w: DESIGN @ w - DESIGN @ [1.0, 0, 0], [1.0, 0, 0], lambda w: DESIGN)


REFUSALS = {
    "name": (lambda: puromycin().profile("vmax"), "name='vmax' is no parameter: there are Vmax, Km"),
    "position": (lambda: puromycin().profile(2), "name=2 must be a name, or a position from 0 to 1"),
    "coverage": (lambda: puromycin().profile(0, coverage=95), "coverage=95 must lie between 0 and 1"),
    "points": (lambda: puromycin().profile(0, n_points=0), "n_points=0 must be at least 1"),
    "loaded": (lambda: loaded().profile(0), "no residual function: it was loaded"),
    "freedom": (
        lambda: least_squares(lambda w: w - 1.0, [0.0]).profile(0),
        "the fit has 0 degrees of freedom: measure more points",
    ),
    "exact": (lambda: exact_fit().profile(0), "residual standard deviation is 0.0: an exact fit has no"),
    "same": (lambda: puromycin().contour(0, "Vmax"), "first and second are both 'Vmax'"),
    "rays": (lambda: puromycin().contour(0, 1, n_points=2), "n_points=2 must be at least 3"),
    "resample": (
        lambda: puromycin().bootstrap(9, resample="cols"),
        "resample='cols' must be one of 'rows', 're",
    ),
    "count": (lambda: puromycin().bootstrap(1), "n_resamples=1 must be a whole number of at least 2"),
    "none left": (
        lambda: least_squares(lambda w: w - 1.0, [0.0]).bootstrap(9),
        "the fit has 0 degrees of freedom",
    ),
    "bootstrap coverage": (
        lambda: puromycin().bootstrap(9, random_state=0).interval(0, 1.0),
        "coverage=1.0 must lie between 0 and 1",
    ),
    "y": (lambda: puromycin().report(RATE[:3]), r"y has shape \(3,\), but there are 12 residuals"),
    "profile of a loss": (lambda: puromycin(loss="huber").profile(0), "a profile compares sums of squares"),
    "residuals of a loss": (
        lambda: puromycin(loss="huber").bootstrap(9, resample="residuals"),
        "take resample='rows'",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, message = REFUSALS[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_loaded_fit_still_reports():
    fit = puromycin()
    again = pickle.loads(pickle.dumps(fit))
    assert again.report(RATE) == fit.report(RATE) and again.summary() == fit.summary()
    np.testing.assert_array_equal(loaded().covariance(), puromycin().covariance())


@pytest.mark.parametrize("refits", [lambda fit: fit.bootstrap(50), lambda fit: fit.profile("Km")])
def test_one_interrupt_ends_all_refits(refits):
    calls = 0

    def impatient(w):
        nonlocal calls
        calls += 1
        if calls == 300:
            raise KeyboardInterrupt
        return w[0] * CONCENTRATION / (w[1] + CONCENTRATION) - RATE

    fit = least_squares(impatient, [200.0, 0.05], names=["Vmax", "Km"])
    calls = 280
    with pytest.raises(KeyboardInterrupt):
        refits(fit)
    assert calls == 300


def test_refits_cut_short_are_told(monkeypatch):
    monkeypatch.setattr("marquardt.uncertainty.refits._STOPPING", Stopping(max_iter=1))
    problem = load("Rat43", np.float64)
    fit = least_squares(problem.residual, problem.certified, problem.jacobian)
    notes = fit.profile(3).interval.notes
    assert any("refits came to their limit of iterations" in note for note in notes)
