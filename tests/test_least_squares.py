"""Fits of plain residual functions: estimates and their uncertainty against SciPy, and every refusal."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from decay import START, T, Y, analytic, curve, jacobians, residual
from marquardt import (
    Cholesky,
    Geodesic,
    Identity,
    Multiplicative,
    Status,
    Stopping,
    least_squares,
)


@jacobians
@pytest.mark.parametrize("absolute_sigma", [False, True])
def test_estimates_and_covariance_are_those_of_scipy(jac, absolute_sigma):
    fit = least_squares(residual, START, jac)
    w, covariance = curve_fit(
        curve, T, Y, START, absolute_sigma=absolute_sigma, sigma=np.ones(40), jac=lambda t, *w: analytic(w)
    )
    np.testing.assert_allclose(fit.w, w, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance(absolute_sigma), covariance, rtol=1e-4)
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(fit.standard_errors(absolute_sigma), errors, rtol=1e-4)
    np.testing.assert_allclose(fit.correlations(), covariance / np.outer(errors, errors), rtol=1e-4)


@jacobians
def test_what_a_fit_knows(jac):
    fit = least_squares(residual, START, jac)
    assert fit.success
    assert fit.status.converged
    np.testing.assert_array_equal(fit.residual, residual(fit.w))
    np.testing.assert_allclose(fit.jacobian, analytic(fit.w), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(fit.cost, 0.5 * fit.residual @ fit.residual)
    assert fit.degrees_of_freedom == 37
    np.testing.assert_allclose(fit.residual_sd, np.sqrt(fit.residual @ fit.residual / 37))
    assert fit.message.endswith(fit.status.value)
    assert fit.history[-1].cost <= fit.history[0].cost
    assert fit.n_evaluations >= fit.result.n_costs


def test_a_standard_error_covers_the_truth_as_often_as_it_should():
    """The share of 300 fits whose estimate of k lies within one standard error."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        y = curve(T, 2.5, 1.3, 0.5) + 0.02 * rng.normal(size=40)
        fit = least_squares(lambda w, y=y: curve(T, *w) - y, [2.5, 1.3, 0.5], analytic, refinement=False)
        hits += abs(fit.w[1] - 1.3) < fit.standard_errors()[1]
    assert 0.62 < hits / 300 < 0.74


def test_further_arguments_reach_both_functions():
    fit = least_squares(
        lambda w, t, y: curve(t, *w) - y,
        START,
        lambda w, t, y: analytic(w),
        args=(T, Y),
        names=["a", "k", "c"],
    )
    np.testing.assert_allclose(fit.w, least_squares(residual, START, analytic).w, rtol=1e-9)
    assert fit.names == ("a", "k", "c")


def test_parts_of_the_method_can_be_chosen():
    seen = []
    fit = least_squares(
        residual,
        START,
        damping=Multiplicative(),
        metric=Identity(),
        solver=Cholesky(),
        acceleration=Geodesic(limit=0.3),
        stopping=Stopping(max_iter=4),
        callback=lambda record: seen.append(record.iteration),
    )
    assert fit.status is Status.MAX_ITER
    assert seen == [0, 1, 2, 3, 4]
    assert fit.history[0].damping == Multiplicative().initial
    plain = least_squares(residual, START, acceleration=False)
    assert not plain.history.column("accelerated").any()


def test_the_arguments_are_left_alone():
    start = START.copy()
    fit = least_squares(residual, start)
    np.testing.assert_array_equal(start, START)
    assert fit.w.flags.writeable


# -- what the data do not determine --------------------------------------------------------------------


@pytest.mark.parametrize("jac", [lambda w: np.column_stack([T, T, np.ones(40)]), "2-point", "3-point"])
def test_parameters_that_only_appear_as_a_sum(jac):
    fit = least_squares(lambda w: (w[0] + w[1]) * T + w[2] - Y, [0.0, 1.0, 0.0], jac)
    assert fit.success
    np.testing.assert_array_equal(np.isinf(fit.standard_errors()), [True, True, False])
    assert np.isnan(fit.covariance()[0, 2])
    assert np.isfinite(fit.covariance()[2, 2])
    assert "w[0]" in fit.summary()
    assert "± inf" in fit.summary()


def test_a_parameter_without_influence():
    fit = least_squares(lambda w: w[0] * T - Y, [1.0, 7.0])
    errors = fit.standard_errors()
    assert np.isfinite(errors[0])
    assert errors[1] == np.inf
    assert fit.w[1] == 7.0
    assert np.isnan(fit.correlations()[0, 1])


def test_nothing_has_influence():
    fit = least_squares(lambda w: np.ones(3), [1.0, 2.0])
    assert np.isinf(fit.standard_errors()).all()
    assert "Estimates" in fit.summary()


def test_scaling_a_parameter_scales_its_error_even_by_1e15():
    fit = least_squares(residual, START, analytic)
    units = np.array([1e-15, 1.0, 1e15])
    scaled = least_squares(
        lambda w: residual(w * units), START / units, lambda w: analytic(w * units) * units
    )
    np.testing.assert_allclose(scaled.w * units, fit.w, rtol=1e-6)
    np.testing.assert_allclose(scaled.standard_errors() * units, fit.standard_errors(), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_degrees_of_freedom(n):
    fit = least_squares(lambda w: curve(T[:n], *w) - Y[:n], START)
    assert fit.success
    assert fit.cost < 1e-20
    assert np.isnan(fit.residual_sd)
    assert not np.isfinite(fit.standard_errors()).any()
    assert f"degrees of freedom {n - 3}" in fit.summary()


def test_a_fit_without_noise():
    y = curve(T, 2.5, 1.3, 0.5)
    fit = least_squares(lambda w: curve(T, *w) - y, START)
    assert fit.success
    np.testing.assert_allclose(fit.w, [2.5, 1.3, 0.5], rtol=1e-12)
    assert fit.standard_errors().max() < 1e-12


# -- the summary ---------------------------------------------------------------------------------------


def test_the_summary_as_text():
    fit = least_squares(residual, START, analytic, names=["amplitude", "rate", "offset"])
    lines = fit.summary().splitlines()
    assert lines[0] == fit.message
    assert lines[1] == "  residuals 40, parameters 3, degrees of freedom 37"
    assert lines[2].startswith(f"  sum of squares {2 * fit.cost:.10g}, residual standard deviation ")
    assert " Jacobians, " in lines[3]
    assert lines[4] == "  Estimates"
    errors = fit.standard_errors()
    assert lines[5].startswith(
        f"    amplitude   {fit.w[0]:.5f} ± {errors[0]:.4g} ({errors[0] / fit.w[0]:.2%})"
    )
    assert lines[6].startswith("    rate       ")
    assert len(lines) == 8


def test_the_summary_names_strong_correlations():
    fit = least_squares(lambda w: w[0] + w[1] * (T + 100) - Y, [0.0, 0.0], names=["a", "b"])
    assert fit.summary().endswith("  Correlations of 0.9 and more\n    C(a, b) = -0.9999")
    assert least_squares(lambda w: w - 1.0, [0.0]).summary().count("Correlations") == 0


def test_an_estimate_of_zero_has_no_relative_error():
    fit = least_squares(lambda w: np.array([w[0], w[0] + 1e-3, w[0] - 1e-3]), [0.0])
    assert fit.w[0] == 0
    assert fit.summary().splitlines()[-1].endswith(f"± {fit.standard_errors()[0]:.4g}")
