"""Bad input to curves: each message names the argument, the value and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from curve_points import DECAY, X, decay
from marquardt.curves import Curve, curve_fit, fit_many, polynomial
from marquardt.curves.expressions import Expression
from marquardt.curves.transforms import HalfLine, Interval


def broken(**changes):
    """`curve_fit` of the decay with something wrong."""
    arguments = {"f": "exponential_decay", "x": X, "y": DECAY, **changes}
    return curve_fit(arguments.pop("f"), arguments.pop("x"), arguments.pop("y"), **arguments)


FAULTS = [
    ({"f": "hil"}, "there is no curve 'hil': did you mean 'hill'"),
    ({"f": "Michaelis-Menten"}, "did you mean 'michaelis_menten'"),
    ({"f": lambda x, *w: x}, "which name no parameters"),
    ({"f": lambda x: x}, "at least one parameter"),
    ({"f": lambda x, a: np.ones(3)}, r"returned shape \(3,\), but x has 24 rows"),
    ({"f": lambda x, a: 1j * a * x}, "complex numbers"),
    ({"f": lambda x, a: np.full(len(x), np.nan)}, "NaN or infinite values at every start"),
    ({"f": "hill", "x": X - 1}, "hill needs values of at least 0"),
    ({"f": "one_compartment"}, "x has 1 columns, but one_compartment needs 2"),
    ({"x": X[:3]}, "x has 3 rows and y has 24"),
    ({"x": X[:2], "y": DECAY[:2]}, r"2 points do not determine 3 parameters \(a, k, c\)"),
    ({"x": np.ones(24)}, "all x are 1.: one place does not determine 3 parameters"),
    ({"y": np.where(X > 4, np.nan, DECAY)}, "y holds .* NaN .* keep = np.isfinite"),
    ({"x": np.where(X > 4, np.inf, X)}, "x holds 0 NaN and"),
    ({"y": ["a"] * 24}, "y must be numbers"),
    ({"y": np.zeros((24, 2))}, "y has shape"),
    ({"y": []}, "y has no values"),
    ({"bounds": {"k": (5, 0)}}, "the bounds of 'k', 5 and 0, are crossed"),
    ({"bounds": {"k": (1, 1)}}, "are equal: low must be below high; to hold a parameter, fixed="),
    ({"bounds": {"k": 3}}, r"must be a pair \(low, high\)"),
    ({"bounds": {"k": (float("nan"), 1)}}, "holds NaN"),
    ({"bounds": {"kk": (0, 1)}}, "bounds names 'kk', which is no parameter: there are a, k, c"),
    ({"p0": {"k": 3}, "bounds": {"k": (0, 1)}}, r"p0\['k'\]=3 lies outside its bounds, 0 to 1"),
    ({"p0": {"q": 1}}, "p0 names 'q'"),
    ({"p0": [1, 2]}, "p0 has 2 values"),
    ({"p0": {"k": np.nan}}, "must be a finite number"),
    ({"positive": ["z"]}, "positive names 'z'"),
    ({"fixed": {"z": 1}}, "fixed names 'z'"),
    ({"fixed": {"a": 1, "k": 1, "c": 1}}, "every parameter is fixed or tied"),
    ({"fixed": {"a": 1}, "tied": {"a": "c"}}, "both fixed and tied"),
    ({"fixed": {"a": np.inf}}, "must be a finite number"),
    ({"tied": {"c": "z / 6"}}, "names 'z': there are a, k, c"),
    ({"tied": {"c": "a", "a": "c"}}, "depend on one another"),
    ({"sigma": np.ones(3)}, "sigma has shape"),
    ({"sigma": np.zeros(24)}, "must be above 0"),
    ({"weights": -np.ones(24)}, "must be >= 0"),
    ({"weights": 1, "sigma": 1}, "give one of them"),
    ({"absolute_sigma": True}, "needs the standard deviations"),
    ({"shared": "k"}, "needs the groups, by="),
    ({"by": ["a"] * 3}, "by has 3 labels"),
    ({"by": [None] * 24}, "no label in row 0"),
    ({"by": ["a"] * 24, "shared": "q"}, "shared names 'q'"),
    ({"by": list(range(24))}, "no group could be fitted"),
    ({"n_starts": 0}, "n_starts=0 must be at least 1"),
    ({"loss": "hubber"}, "loss='hubber' must be"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_each_fault_has_its_message(changes, message):
    with pytest.raises(ValueError, match=message):
        broken(**changes)


@pytest.mark.parametrize(
    "text",
    ["__import__('os')",
     "a.b", "a[0]", "[a]", "lambda: a", "a if b else c", "a < b", "'a'", "True",
     "a and b", "exp(a, b)", "exp(x=a)", "exp", "f(a)", "(a := 1)", "a //", "", "a" * 600, 
     "{a}", "f'{a}'", "a @ b", "~a"],
)  # fmt: skip
def test_expressions_are_arithmetic_and_nothing_else(text):
    if text == "exp":  # a name like any other
        assert Expression(text).names == ("exp",)
        return
    with pytest.raises(ValueError, match="expression"):
        Expression(text)


def test_the_gradient_of_an_expression():
    text = "-a ** 2 / (1 + sqrt(b)) + log(a) * exp(-b) - sin(a) + cos(b) * tan(a) + pi * log10(b) + 2 ** a"
    tie, at, h = Expression(text), {"a": 1.3, "b": 0.7}, 1e-6
    value, slope = tie.dual({"a": (1.3, np.array([1.0, 0.0])), "b": (0.7, np.array([0.0, 1.0]))})
    assert value == tie.value(at)
    for k, name in enumerate(at):
        up, down = ({**at, name: at[name] + s * h} for s in (1, -1))
        assert slope[k] == pytest.approx((tie.value(up) - tie.value(down)) / (2 * h), rel=1e-8)
    assert np.isnan(Expression("log(a)").value({"a": -1.0}))
    assert np.isnan(Expression("9 ** 9 ** 9 ** a").value({"a": 9.0}))  # at once, in floating point


@pytest.mark.parametrize("map", [HalfLine(1.0, 2.0), HalfLine(1.0, -2.0), Interval(-1.0, 3.0)])
def test_transforms_and_their_slopes(map):
    for u in (-30.0, -2.0, 0.0, 0.5, 4.0):
        h = 1e-6 * max(abs(u), 1)
        numeric = (map.value(u + h) - map.value(u - h)) / (2 * h)
        assert map.slope(u) == pytest.approx(numeric, rel=1e-6, abs=1e-9)
        if u > -20:
            assert map.inverse(map.value(u)) == pytest.approx(u, rel=1e-9, abs=1e-9)


def test_integers_are_numbers():
    fit = curve_fit("michaelis_menten", np.array([1, 2, 4, 8]), np.array([10, 15, 20, 24]))
    assert fit.params == pytest.approx({"vmax": 30, "km": 2})


def test_a_parameter_without_influence_is_named():
    fit = curve_fit(lambda x, a, b: a * x + 0 * b, X, DECAY)
    assert np.isinf(fit.standard_errors["b"]) and np.isfinite(fit.standard_errors["a"])
    assert fit.notes == ("b has no influence on the curve here: fix it, or start elsewhere",)


def test_parameters_that_cannot_be_told_apart_are_named():
    fit = curve_fit(lambda x, a, b: (a + b) * x, X, DECAY)
    assert fit.notes == ("the data do not determine a and b: fix or tie one of them",)


def test_as_many_points_as_parameters():
    fit = curve_fit("exponential_decay", X[:3], DECAY[:3])
    assert fit.rss < 1e-20 and "as many parameters as points" in fit.notes[0]
    assert np.isnan(fit.standard_errors["a"]) and "[[Parameters]]" in fit.report()


@pytest.mark.parametrize("y", [np.zeros(24), np.full(24, 2.0)])
@pytest.mark.parametrize("name", ["hill", "exponential_decay", "gaussian", "logistic4", "biexponential"])
def test_flat_data_do_no_harm(name, y):
    fit = curve_fit(name, X, y)
    np.testing.assert_allclose(fit.predict(X), y, atol=0.05 * (name == "biexponential") + 1e-6)


def test_an_interruption_ends_all_groups_and_keeps_what_there_is():
    def interrupt(record):
        if record.iteration == 1:
            raise KeyboardInterrupt

    fits = curve_fit(
        "exponential_decay", np.tile(X, 2), np.tile(DECAY, 2), by=[0.0] * 24 + [1.0] * 24, callback=interrupt
    )
    assert list(fits) == ["0"] and fits.failed == {"1": "interrupted before its turn"}
    assert fits["0"].status.name == "INTERRUPTED" and "has not converged" in fits["0"].notes[0]
    one = curve_fit("exponential_decay", X, DECAY, n_starts=9, callback=interrupt)
    assert one.status.name == "INTERRUPTED" and np.isfinite(one.rss)


def test_curves_refuse_nonsense():
    with pytest.raises(ValueError, match="different, and at least one"):
        Curve(decay, ["a", "a"])
    with pytest.raises(ValueError, match="start has 1 values"):
        Curve(decay, ["a", "k", "c"], start=(1.0,))
    with pytest.raises(ValueError, match="degree=-1"):
        polynomial(-1)


def test_predictions_refuse_nonsense():
    fit = curve_fit("exponential_decay", X, DECAY)
    with pytest.raises(ValueError, match="band='both'"):
        fit.predict(X, band="both")
    with pytest.raises(ValueError, match="no groups"):
        fit.predict(X, by="a")
    grouped = broken(by=["a", "b"] * 12, shared="k")
    with pytest.raises(ValueError, match="name the group"):
        grouped.predict(X)
    with pytest.raises(ValueError, match="by has the group 'c': there are a, b"):
        grouped.predict(X, by="c")


# -- many at once ------------------------------------------------------------------------------------


def test_many_fits_are_the_single_fits():
    rng = np.random.default_rng(0)
    Y = DECAY + 0.05 * rng.normal(size=(12, 24))
    fits = fit_many("exponential_decay", X, Y)
    assert fits.converged.all() and fits.table().shape == (12, 8)
    own = fit_many(decay, X, Y, {"a": 2, "k": 1, "c": 0})
    np.testing.assert_allclose(own.params, fits.params, rtol=1e-5)
    for k in (0, 11):
        single = curve_fit("exponential_decay", X, Y[k])
        np.testing.assert_allclose(fits.params[k], list(single.params.values()), rtol=1e-7)
        np.testing.assert_allclose(fits.standard_errors[k], list(single.standard_errors.values()), rtol=1e-6)
        np.testing.assert_allclose(fits.predict(X)[k], single.predict(X), rtol=1e-7)


def test_many_fits_with_gaps_and_places_of_their_own():
    Y = np.tile(DECAY, (3, 1))
    Y[1, 20:] = np.nan
    Y[2, 2:] = np.nan
    fits = fit_many("exponential_decay", np.tile(X, (3, 1)), Y)
    single = curve_fit("exponential_decay", X[:20], DECAY[:20])
    np.testing.assert_allclose(fits.params[1], list(single.params.values()), rtol=1e-7)
    np.testing.assert_allclose(fits.standard_errors[1], list(single.standard_errors.values()), rtol=1e-6)
    assert fits.converged.tolist() == [True, True, False] and np.isnan(fits.params[2]).all()


def test_many_fits_refuse_nonsense():
    for arguments, message in [
        (("linear", X, DECAY), "Y has shape"),
        (("linear", X[:3], DECAY[None]), "x has shape"),
        (("linear", np.where(X > 2, np.nan, X), DECAY[None]), "x holds NaN"),
        (("linear", X, np.full((1, 24), np.inf)), "infinite values"),
        (("linear", X, DECAY[None], {"slope": 1}), "p0 lacks 'intercept'"),
        (("linear", X, DECAY[None], [1, 2, 3]), "p0 has shape"),
        ((lambda x, a: np.ones(7), X, DECAY[None]), "entry by entry"),
    ]:
        with pytest.raises(ValueError, match=message):
            fit_many(*arguments)
