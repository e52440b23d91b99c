"""Residual functions that fail, and arguments that make no fit."""

import math

import numpy as np
import pytest

from decay import START, T, Y, analytic, curve, jacobians, residual
from marquardt import Multiplicative, Status, least_squares


@jacobians
def test_a_residual_undefined_in_half_of_space(jac):
    """√ of a line, fitted where it touches zero; the first steps lead to the other side."""
    y = np.sqrt(0.04 * T)

    def rooted(w):
        with np.errstate(invalid="ignore"):
            return np.sqrt(w[0] + w[1] * T) - y

    def slopes(w):
        half = 0.5 / np.sqrt(w[0] + w[1] * T)
        return np.column_stack([half, half * T])

    fit = least_squares(rooted, [3.0, 4.0], slopes if callable(jac) else jac)
    assert fit.success
    np.testing.assert_allclose(fit.w, [0.0, 0.04], atol=1e-4)


def test_python_arithmetic_that_fails_at_a_trial_point():
    """From -8 the first Gauss-Newton step leads to 6000, whose exponential Python refuses to compute."""
    fit = least_squares(lambda w: [math.exp(w[0]) - 2.0], [-8.0], damping=Multiplicative(initial=1e-12))
    np.testing.assert_allclose(fit.w, [math.log(2)], rtol=1e-9)
    assert fit.history.column("rejected").sum() > 0
    with pytest.raises(ZeroDivisionError):
        least_squares(lambda w: [1 / float(w[0])], [0.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_residual_that_is_not_finite_at_the_start(bad):
    with pytest.raises(
        ValueError, match=r"residual\(w0\) has 1 NaN or infinite values of 2: take another w0"
    ):
        least_squares(lambda w: np.array([bad, w[0]]), [1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_jacobian_that_is_not_finite_at_the_start(bad):
    fit = least_squares(residual, START, lambda w: np.where(analytic(w) == 1, bad, analytic(w)))
    assert fit.status is Status.NO_FINITE_START
    assert not fit.success
    np.testing.assert_array_equal(fit.w, START)
    assert np.isnan(fit.covariance()).all()
    assert np.isnan(fit.standard_errors()).all()
    assert "± nan" in fit.summary()


def test_a_callback_that_raises_and_one_that_stops():
    def failing(record):
        raise RuntimeError("disk full")

    fit = least_squares(residual, START, callback=failing)
    assert fit.status is Status.CALLBACK_FAILED
    assert isinstance(fit.result.error, RuntimeError)
    fit = least_squares(residual, START, callback=lambda record: record.iteration == 2)
    assert fit.status is Status.STOPPED_BY_CALLBACK
    assert fit.cost == fit.history[2].cost


@pytest.mark.parametrize(
    ("w0", "message"),
    [
        ([], r"w0 has shape \(0,\): it must be one row of parameters, \(p,\)"),
        (1.0, r"w0 has shape \(\): it must be one row"),
        ([[1.0, 2.0, 3.0]], r"w0 has shape \(1, 3\): it must be one row"),
        (["a"], "w0 must be numbers"),
        (
            [1.0, np.nan, 2.0],
            r"w0 holds 1 NaN and 0 infinite values, the first at index \(1,\): start from finite",
        ),
    ],
)
def test_starts_that_are_no_row_of_numbers(w0, message):
    with pytest.raises(ValueError, match=message):
        least_squares(residual, w0)


@pytest.mark.parametrize("jac", ["2 point", "cs", 3, [[1.0]], np.eye(3), True])
def test_a_jac_that_is_none(jac):
    with pytest.raises(ValueError, match=r"(?s)jac=.* must be a function, '2-point', '3-point' or None"):
        least_squares(residual, START, jac)


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "c", "d"]])
def test_names_of_the_wrong_number(names):
    with pytest.raises(ValueError, match=f"names has {len(names)} entries, but w0 has 3 parameters"):
        least_squares(residual, START, names=names)


def test_a_residual_that_broadcast_by_mistake():
    """(n,) against (n, 1) makes (n, n) in NumPy: the commonest slip there is."""
    with pytest.raises(
        ValueError, match=r"residual returned shape \(40, 40\): it must be one row of numbers"
    ):
        least_squares(lambda w: curve(T, *w) - Y[:, None], START)


def test_a_jacobian_transposed_by_mistake():
    with pytest.raises(ValueError, match=r"jac returned shape \(3, 40\), but the residual needs \(40, 3\)"):
        least_squares(residual, START, lambda w: analytic(w).T)


@jacobians
@pytest.mark.parametrize("call", [12, 16, 20])
@pytest.mark.parametrize("loss", [{}, {"loss": "cauchy"}, {"loss": "huber", "f_scale": None}])
def test_a_residual_that_raises_in_mid_run_says_so_and_loses_nothing(jac, call, loss):
    calls = []

    def breaks(w):
        calls.append(w.copy())
        if len(calls) >= call:
            raise OSError("the license server is gone")
        return residual(w)

    fit = least_squares(breaks, START, jac, **loss)
    assert fit.status is Status.FUNCTION_FAILED and not fit.success
    assert isinstance(fit.result.error, OSError)
    assert "OSError: the license server is gone" in fit.summary()
    if fit.loss is None:
        assert fit.cost == fit.history[-1].cost == min(fit.history.column("cost"))
        assert np.isfinite(fit.standard_errors()).all()
    assert np.isfinite(fit.w).all()


def test_a_jacobian_that_raises_in_mid_run():
    calls = []

    def breaks(w):
        calls.append(1)
        if len(calls) == 4:
            raise ValueError("no such state")
        return analytic(w)

    fit = least_squares(residual, START, breaks)
    assert fit.status is Status.FUNCTION_FAILED and fit.result.n_iter == 2
    assert "ValueError: no such state" in fit.report()


def test_a_residual_that_raises_in_the_refinement():
    plain = least_squares(residual, START, analytic, refinement=False)
    calls = []

    def breaks(w):
        calls.append(1)
        if len(calls) > plain.n_evaluations:
            raise OSError("the license server is gone")
        return residual(w)

    fit = least_squares(breaks, START, analytic)
    assert fit.success and fit.cost == plain.cost
    assert "The refinement of its last digits was ended by OSError" in fit.message
