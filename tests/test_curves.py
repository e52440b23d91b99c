"""Curves: published estimates, laws of fits, options, groups, comparison."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from scipy.stats import shapiro, t

from curve_points import CONC, CONC_2, DECAY, RATE_2, STATE_2, TREATED, UNTREATED, X, case, decay
from marquardt.curves import SHAPES, Curve, CurveFit, GroupFits, compare, curve_fit, polynomial, shape
from marquardt.differences import CentralDifferences

# -- the built-in curves -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, c in SHAPES.items() if c.exact])
def test_gradients_are_exact(name):
    curve, theta, x = case(name)
    wanted = CentralDifferences().jacobian(lambda w: curve.value(x, w), theta, curve.value(x, theta))
    np.testing.assert_allclose(curve.jacobian(x, theta), wanted, rtol=2e-7, atol=2e-8 * np.abs(wanted).max())


@pytest.mark.parametrize("name", SHAPES)
def test_the_start_from_the_data_leads_to_the_truth(name):
    curve, theta, x = case(name)
    fit = curve_fit(name, x, curve.value(x, theta))
    assert fit.success
    np.testing.assert_allclose(list(fit.params.values()), theta, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", [n for n, c in SHAPES.items() if c.canonical])
def test_canonical_parameters_draw_the_same_curve_and_stay(name):
    curve, theta, x = case(name)
    for values in (theta, -theta, theta[::-1].copy()):
        moved = curve.canonical(values)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(curve.value(x, moved), curve.value(x, values), rtol=1e-12)
        np.testing.assert_array_equal(curve.canonical(moved), moved)


# -- R's numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "estimates", "errors", "sd"),
    [
        (TREATED, (212.7, 0.06412), (6.947, 0.008281), 10.93),
        (UNTREATED, (160.3, 0.04771), (6.480, 0.007782), 9.773),
    ],
)
def test_puromycin_as_r_prints_it(rate, estimates, errors, sd):
    fit = curve_fit("michaelis_menten", CONC[: len(rate)], rate)
    np.testing.assert_allclose(list(fit.params.values()), estimates, rtol=2e-4)
    np.testing.assert_allclose(list(fit.standard_errors.values()), errors, rtol=1e-4)
    assert fit.residual_sd == pytest.approx(sd, rel=5e-4)


def test_all_digits_against_minpack():
    fit = curve_fit(decay, X, DECAY)
    theirs, covariance = scipy.optimize.curve_fit(decay, X, DECAY, [3, 1, 0.5], xtol=1e-15, ftol=1e-15)
    np.testing.assert_allclose(list(fit.params.values()), theirs, rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-5)


# -- options -----------------------------------------------------------------------------------------


def test_starts_come_from_defaults_and_p0():
    seen = []

    def line(x, a=4.0, b=5.0):
        seen.append((a, b))
        return a + b * x

    curve_fit(line, X, DECAY)
    assert seen[0] == (4.0, 5.0)
    seen.clear()
    curve_fit(line, X, DECAY, {"b": 7.0})
    assert seen[0] == (4.0, 7.0)
    seen.clear()
    curve_fit(line, X, DECAY, [1.0, 2.0])
    assert seen[0] == (1.0, 2.0)


def test_fixed_and_tied_parameters():
    fit = curve_fit(decay, X, DECAY, fixed={"c": 0.5})
    direct = curve_fit(lambda x, a, k: decay(x, a, k, 0.5), X, DECAY)
    assert fit.names == ("a", "k") and fit.params["c"] == 0.5 and fit.standard_errors["c"] == 0
    np.testing.assert_allclose(fit.covariance, direct.covariance, rtol=1e-5)

    tied = curve_fit("exponential_decay", X, DECAY, tied={"c": "a / 6 + 0 * k"})
    direct = curve_fit(lambda x, a, k: decay(x, a, k, a / 6), X, DECAY)
    assert tied.params["c"] == tied.params["a"] / 6
    assert tied.rss == pytest.approx(direct.rss, rel=1e-9)
    assert tied.standard_errors["c"] == pytest.approx(tied.standard_errors["a"] / 6)
    assert tied.kinds == {"c": "= a / 6 + 0 * k"} and "(= a / 6" in tied.report()


@pytest.mark.parametrize("bounds", [{"k": (0.1, 3.0)}, {"k": (0, None)}, {"k": (None, 9)}, {}])
def test_bounds_that_do_not_hold_change_nothing(bounds):
    free = curve_fit("exponential_decay", X, DECAY)
    fit = curve_fit("exponential_decay", X, DECAY, bounds=bounds, positive=["a"])
    np.testing.assert_allclose(list(fit.params.values()), list(free.params.values()), rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, free.covariance, rtol=1e-5)
    assert fit.kinds == {} and fit.names == ("a", "k", "c")


@pytest.mark.parametrize(
    ("name", "pair", "edge"), [("k", (0, 0.5), 0.5), ("c", (None, 0.2), 0.2), ("c", (0.7, 9), 0.7)]
)
def test_a_bound_that_holds_is_said(name, pair, edge):
    fit = curve_fit("exponential_decay", X, DECAY, bounds={name: pair})
    held = curve_fit("exponential_decay", X, DECAY, fixed={name: edge})
    assert fit.params[name] == edge and fit.kinds == {name: "at its bound"}
    assert np.isnan(fit.standard_errors[name])
    np.testing.assert_allclose(fit.covariance, held.covariance, rtol=1e-5)
    assert any(name in note and "at its bound" in note for note in fit.notes)


def test_sigma_and_weights():
    sigma = np.linspace(0.01, 0.05, 24)
    by_sigma = curve_fit("exponential_decay", X, DECAY, sigma=sigma)
    by_weight = curve_fit("exponential_decay", X, DECAY, weights=sigma**-2)
    assert by_sigma.params == pytest.approx(by_weight.params, rel=1e-10)
    absolute = curve_fit("exponential_decay", X, DECAY, sigma=sigma, absolute_sigma=True)
    _, covariance = scipy.optimize.curve_fit(decay, X, DECAY, [3, 1, 0.5], sigma=sigma, absolute_sigma=True)
    np.testing.assert_allclose(absolute.covariance, covariance, rtol=1e-5)
    with pytest.raises(ValueError, match="sigma="):
        by_sigma.predict([1.0], band="prediction")
    assert by_sigma.predict([1.0], band="prediction", sigma=0.02).low < by_sigma.predict([1.0])


def test_a_robust_loss_ignores_an_outlier():
    spoiled = np.where(X[3] == X, 9.0, DECAY)
    clean, robust = (
        curve_fit("exponential_decay", X, DECAY),
        curve_fit("exponential_decay", X, spoiled, loss="tukey"),
    )
    assert robust.params["k"] == pytest.approx(clean.params["k"], abs=0.02)
    assert np.isnan(robust.aic) and "[[Parameters]]" in robust.report()
    with pytest.raises(ValueError, match="no sum of squares"):
        compare(robust, clean)


def test_many_starts_find_the_better_minimum():
    x = np.linspace(0, 5, 40)
    fit = curve_fit(lambda x, a, w: a * np.sin(w * x), x, 2 * np.sin(4 * x), {"a": 1, "w": 1}, n_starts=20)
    assert abs(fit.params["w"]) == pytest.approx(4, rel=1e-6)
    assert any("worse minima" in note for note in fit.notes)
    again = curve_fit(lambda x, a, w: a * np.sin(w * x), x, 2 * np.sin(4 * x), {"a": 1, "w": 1}, n_starts=20)
    assert fit.params == again.params


# -- what a fit tells --------------------------------------------------------------------------------


def test_bands_against_the_delta_method():
    fit = curve_fit("michaelis_menten", CONC, TREATED)
    at = np.array([0.05, 0.5])
    vmax, km = fit.params.values()
    J = np.column_stack([at / (km + at), -vmax * at / (km + at) ** 2])
    sd = np.sqrt(np.einsum("ni,ij,nj->n", J, fit.covariance, J))
    y, std = fit.predict(at, return_std=True)
    np.testing.assert_allclose(std, sd, rtol=1e-9)
    quantile = t.ppf(0.95, 10)
    np.testing.assert_allclose(fit.predict(at, band="confidence", coverage=0.9).high, y + quantile * sd)
    wide = quantile * np.hypot(sd, fit.residual_sd)
    np.testing.assert_allclose(fit.predict(at, band="prediction", coverage=0.9).low, y - wide)


def test_intervals_bootstrap_and_report():
    fit = curve_fit("michaelis_menten", CONC, TREATED)
    interval = fit.conf_interval()["vmax"]
    for end in (interval.low, interval.high):  # where the best sum of squares has risen by F

        def rss(km, vmax=end):
            return float(np.sum((vmax * CONC / (km + CONC) - TREATED) ** 2))

        best = scipy.optimize.minimize_scalar(
            rss, bounds=(0.01, 0.2), method="bounded", options={"xatol": 1e-10}
        )
        assert (best.fun / fit.rss - 1) * 10 == pytest.approx(t.ppf(0.975, 10) ** 2, rel=1e-4)
    assert fit.bootstrap(100, random_state=0).standard_errors.shape == (2,)
    for kind in ("linear", "profile"):
        text = fit.report(kind)
        for section in ("Model", "Fit", "Statistics", "Parameters", "Residuals"):
            assert f"[[{section}]]" in text
    with pytest.raises(ValueError, match="must be one of 'linear', 'profile', 'bootstrap'"):
        fit.report("wald")
    record = json.loads(json.dumps(fit.to_dict()))
    assert record["parameters"]["vmax"]["value"] == fit.params["vmax"]
    tests = fit.residual_tests
    assert tests.shapiro_p == pytest.approx(shapiro(fit.residual).pvalue)
    assert 0 < tests.durbin_watson < 4


def test_residual_tests_see_a_pattern():
    tests = curve_fit("linear", X, X**2).residual_tests
    assert tests.runs == 3 and tests.runs_p < 0.01 and tests.durbin_watson < 0.5


def test_criteria_against_their_formulas():
    fit = curve_fit("michaelis_menten", CONC, TREATED)
    n, p, rss = 12, 2, float(fit.residual @ fit.residual)
    assert fit.aic == pytest.approx(n * np.log(rss / n) + 2 * p)
    assert fit.bic == pytest.approx(n * np.log(rss / n) + p * np.log(n))
    assert fit.aicc - fit.aic == pytest.approx(2 * 3 * 4 / (n - 3 - 1))


def test_pictures():
    fit = curve_fit("michaelis_menten", CONC, TREATED)
    assert fit.plot().axes[0].get_xscale() == "log"
    assert len(fit.plot().axes[0].collections) == 2  # the two bands
    assert fit.plot_correlations().axes
    assert curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2).plot().axes
    assert curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2, shared="km").plot().axes
    plane = curve_fit(lambda x, a, b: x @ [a, b], np.random.default_rng(0).random((30, 2)), np.arange(30.0))
    assert plane.plot().axes[0].get_xlabel() == "predicted"


# -- groups ------------------------------------------------------------------------------------------


def test_groups_apart_are_the_single_fits():
    fits = curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2)
    single = [
        curve_fit("michaelis_menten", CONC, TREATED),
        curve_fit("michaelis_menten", CONC[:11], UNTREATED),
    ]
    assert isinstance(fits, GroupFits) and list(fits) == ["treated", "untreated"]
    assert fits["untreated"].params == single[1].params
    assert fits.rss == sum(fit.rss for fit in single) and fits.degrees_of_freedom == 19
    assert fits.table().loc["treated", "vmax"] == single[0].params["vmax"]
    assert "[[Together]]" in fits.report()
    np.testing.assert_array_equal(
        fits.predict([1.0, 1.0], by=["treated", "untreated"]), [f.predict([1.0])[0] for f in single]
    )


def test_shared_parameters_against_one_function_of_all():
    treated = np.array([s == "treated" for s in STATE_2])
    fit = curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2, shared="km")
    direct = curve_fit(
        lambda x, a, b, km: np.where(treated, a, b) * x / (km + x),
        CONC_2,
        RATE_2,
        {"a": 200, "b": 160, "km": 0.05},
    )
    assert fit.names == ("vmax[treated]", "vmax[untreated]", "km")
    np.testing.assert_allclose(list(fit.params.values()), list(direct.params.values()), rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, direct.covariance, rtol=1e-5)
    assert fit.predict([1.0], by="treated") > fit.predict([1.0], by="untreated")
    # all shared is one curve
    pooled = curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2, shared=["km", "vmax"])
    assert pooled.params == pytest.approx(curve_fit("michaelis_menten", CONC_2, RATE_2).params, rel=1e-9)


def test_groups_with_fixed_tied_and_bounded_parameters():
    fit = curve_fit(
        "hill", CONC_2, RATE_2, by=STATE_2, shared=["ec50"], fixed={"n": 1.0}, tied={"bottom": "top / 10"},
        bounds={"top": (0, 200)},
    )  # fmt: skip
    assert fit.params["top[treated]"] == 200 and fit.kinds["top[treated]"] == "at its bound"
    assert fit.params["bottom[untreated]"] == fit.params["top[untreated]"] / 10
    assert fit.params["n"] == 1.0


def test_a_group_with_too_few_points_is_named_and_the_others_go_on():
    by = ["many"] * 22 + ["few"] * 2
    apart = curve_fit("exponential_decay", X, DECAY, by=by)
    assert list(apart) == ["many"] and "2 points do not determine 3 parameters" in apart.failed["few"]
    by = ["many"] * 23 + ["few"]
    together = curve_fit("exponential_decay", X, DECAY, by=by, shared="k")
    assert together.groups == ("many",) and "group 'few' is left out" in together.notes[0]


def test_twin_optima_are_told():
    x = np.column_stack([np.linspace(0.2, 24, 12), np.full(12, 5.0)])
    y = SHAPES["one_compartment"].value(x, np.array([-2.2, -0.2, -3.2])) + 0.3 * np.sin(37 * np.arange(12))
    fit = curve_fit("one_compartment", x, y)
    (twin,) = fit.optima
    assert twin.params["lKe"] == pytest.approx(fit.params["lKa"], rel=1e-6)
    assert twin.cost == pytest.approx(fit.least_squares.cost, rel=1e-9)
    assert any("flip-flop" in note for note in fit.notes)


# -- comparison --------------------------------------------------------------------------------------


def test_the_f_test_against_its_formula():
    line, parabola = curve_fit("linear", X, DECAY), curve_fit(polynomial(2), X, DECAY)
    compared = compare(line, parabola)
    (test,) = compared.f_tests
    assert test.statistic == pytest.approx((line.rss - parabola.rss) / (parabola.rss / 21))
    assert compared.best == "polynomial2" and test.p_value < 1e-6
    assert sum(compared.weights.values()) == pytest.approx(1)
    assert compared.table().shape == (2, 7) and "polynomial2 is needed" in str(compared)


@pytest.mark.parametrize(
    ("simple", "full", "tests"),
    [
        ({"shared": ["km", "vmax"]}, {"shared": "km"}, 1),
        ({"shared": "km"}, {}, 1),
        ({"fixed": {"km": 0.06}, "shared": "vmax"}, {"shared": "vmax"}, 1),
        ({"shared": "km"}, {"shared": "vmax"}, 0),
    ],
)
def test_what_is_nested_in_what(simple, full, tests):
    fits = [curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2, **o) for o in (simple, full)]
    assert len(compare(*fits).f_tests) == tests


def test_fits_of_other_points_are_not_compared():
    with pytest.raises(ValueError, match="different points"):
        compare(curve_fit("linear", X, DECAY), curve_fit("linear", X[1:], DECAY[1:]))
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(curve_fit("linear", X, DECAY))


def test_a_fit_by_name_travels_between_processes():
    fit = curve_fit("hill", CONC, TREATED, fixed={"bottom": 0.0})
    back = pickle.loads(pickle.dumps(fit))
    assert back.params == fit.params and back.curve is SHAPES["hill"]
    np.testing.assert_array_equal(back.predict(CONC), fit.predict(CONC))
    with pytest.raises(ValueError, match="no residual function"):
        back.bootstrap(10)


def test_frames_and_columns():
    frame = pd.DataFrame({"dose": CONC, "rate": TREATED})
    fit = curve_fit("michaelis_menten", frame[["dose"]], frame["rate"])
    assert isinstance(fit, CurveFit) and fit.data.x_names == ("dose",) and fit.data.y_name == "rate"
    both = curve_fit(Curve(lambda x, a, b: a * x[:, 0] + b * x[:, 1], ["a", "b"], start=(0.0, 0.0)),
                     np.column_stack([X, X**2]), 2 * X + 3 * X**2)  # fmt: skip
    assert both.params == pytest.approx({"a": 2, "b": 3})
    assert shape("4-pl".replace("-", "")).name == "4pl"
