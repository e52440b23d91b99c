"""A plain residual function as a problem: counting, remembering, refusing."""

import numpy as np
import pytest

from exact_derivatives import cauchy_derivative
from marquardt import minimize
from marquardt.differences import CentralDifferences, ForwardDifferences
from marquardt.residual_problem import ResidualProblem
from tables import exponential_curve


def frozen(*values):
    w = np.array(values, dtype=float)
    w.flags.writeable = False
    return w


def test_a_point_is_evaluated_once():
    calls = []
    problem = ResidualProblem(lambda w: calls.append(1) or w, 2, lambda w: np.eye(2))
    w = frozen(1, 2)
    problem.cost(w)
    problem.linearize(w)
    assert len(calls) == problem.n_evaluations == 1
    problem.cost(frozen(1, 2))
    assert problem.n_evaluations == 2


def test_a_point_that_may_still_change_is_not_remembered():
    problem = ResidualProblem(lambda w: 1.0 * w, 1, lambda w: np.eye(1))
    w = np.array([1.0])
    first = problem.cost(w)
    w[0] = 2
    assert (first, problem.cost(w)) == (0.5, 2.0)


@pytest.mark.parametrize("jacobian", ["analytic", ForwardDifferences(), CentralDifferences()], ids=str)
def test_functions_that_write_into_one_buffer(jacobian):
    """Fast user code returns the same array from every call; what was returned before must stay."""
    plain, w0 = exponential_curve()
    values, slopes = np.empty(20), np.empty((20, 3))

    def residual(w):
        values[:] = plain.residual(np.array(w))
        return values

    def analytic(w):
        slopes[:] = plain.linearize(np.array(w)).jacobian.dense()
        return slopes

    reused = ResidualProblem(residual, 3, analytic if jacobian == "analytic" else jacobian)
    wanted, _ = exponential_curve(None if jacobian == "analytic" else jacobian)
    np.testing.assert_array_equal(minimize(reused, w0).w, minimize(wanted, w0).w)


@pytest.mark.parametrize("values", [[1, 2], (1.0, 2.0), np.array([1, 2]), np.float32([1, 2])])
def test_residuals_of_other_types(values):
    problem = ResidualProblem(lambda w: values, 1, lambda w: [[1], [1]])
    at = problem.linearize(frozen(0))
    assert at.residual.dtype == at.jacobian.dense().dtype == float
    assert at.cost == 2.5


def test_the_second_derivative_by_one_more_evaluation():
    problem, w = exponential_curve()
    at, direction = problem.linearize(w), np.array([0.3, -0.2, 0.1])
    evaluations = problem.n_evaluations
    got = problem.second_derivative(at, direction)
    assert problem.n_evaluations == evaluations + 1
    t = np.linspace(0, 3, 20)
    exact = cauchy_derivative(
        lambda s: (w[0] + s * direction[0]) * np.exp(-(w[1] + s * direction[1]) * t), 2, radius=0.3
    )
    np.testing.assert_allclose(got, exact, atol=0.05 * np.abs(exact).max())


def test_no_second_derivative_where_it_is_rounding_or_not_finite():
    line = ResidualProblem(lambda w: np.array([1e6 + w[0], 3 * w[0]]), 1, lambda w: np.array([[1.0], [3.0]]))
    assert line.second_derivative(line.linearize(frozen(1.0)), np.array([0.1])) is None
    edge = ResidualProblem(lambda w: np.log(w), 1, lambda w: 1 / w[:, None])
    assert edge.second_derivative(edge.linearize(frozen(0.1)), np.array([-2.0])) is None
    assert edge.second_derivative(edge.linearize(frozen(0.1)), np.array([-0.1])) is not None


def test_functions_warn_nobody():
    """NumPy's warnings of an overflow at a trial point are no news; the point is rejected."""
    problem = ResidualProblem(lambda w: np.exp(w), 1, lambda w: np.exp(w)[:, None])
    with np.errstate(over="ignore"):
        assert problem.cost(frozen(1e4)) == np.inf
    assert np.isfinite(minimize(problem, [3.0]).cost)


def test_an_arithmetic_error_is_nan_once_the_number_of_residuals_is_known():
    problem = ResidualProblem(lambda w: [1 / float(w[0]), 2.0], 1, lambda w: [[1.0], [0.0]])
    with pytest.raises(ZeroDivisionError):
        problem.residual(frozen(0))
    assert np.isfinite(problem.residual(frozen(1))).all()
    np.testing.assert_array_equal(problem.residual(frozen(0)), [np.nan, np.nan])
    assert np.isnan(problem.cost(frozen(0)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 1)), r"residual returned shape \(3, 1\): it must be one row of numbers, \(n,\)"),
        (1.0, r"residual returned shape \(\): it must be one row of numbers"),
        ([], r"residual returned shape \(0,\)"),
        (None, r"residual returned shape \(\)"),
        (["a"], "the value of residual must be numbers: could not convert"),
        ([1j], "the value of residual must be numbers: they are complex; take real and imaginary parts"),
    ],
)
def test_residuals_that_are_no_row_of_numbers(values, message):
    with pytest.raises(ValueError, match=message):
        ResidualProblem(lambda w: values, 1, lambda w: np.eye(1)).cost(frozen(0))


def test_residuals_that_change_their_number():
    problem = ResidualProblem(lambda w: np.zeros(int(w[0])), 1, lambda w: np.eye(1))
    problem.cost(frozen(3))
    with pytest.raises(ValueError, match="residual returned 4 values, but 3 before"):
        problem.cost(frozen(4))


@pytest.mark.parametrize("shape", [(2, 3), (3,), (3, 2, 1), ()])
def test_jacobians_of_the_wrong_shape(shape):
    problem = ResidualProblem(lambda w: np.ones(3), 2, lambda w: np.zeros(shape))
    with pytest.raises(ValueError, match=r"jac returned shape .*, but the residual needs \(3, 2\)"):
        problem.linearize(frozen(0, 0))


def test_jacobians_that_are_no_numbers():
    problem = ResidualProblem(lambda w: np.ones(1), 1, lambda w: [["a"]])
    with pytest.raises(ValueError, match="the value of jac must be numbers"):
        problem.linearize(frozen(0))
