"""Units of data and parameters, weights of rows: what must not change a run, and what must not break it."""

import numpy as np
import pytest

from marquardt import (
    Input,
    Linear,
    Logistic,
    MoreMetric,
    NetworkProblem,
    Softmax,
    Stopping,
    Tanh,
    minimize,
)
from marquardt.residual_problem import ResidualProblem
from tables import SOLVERS, exponential_curve

solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)

NET = Input(2) >> Tanh(4) >> Linear(1)


def data(n=30, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 2))
    y = np.sin(2 * X[:, :1]) + X[:, 1:] ** 2 + 0.05 * rng.normal(size=(n, n_outputs))
    return X, y, 0.5 * rng.normal(size=NET.n_params)


# -- scales --------------------------------------------------------------------------------------------


@solvers
@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_tiny_and_huge_targets_do_not_break_a_run(solver, size):
    """The output layer is solved at once; the hidden one starts from output weights of zero."""
    X, y, w0 = data()
    w0[12:] = 0
    problem = NetworkProblem(NET, X, y * size)
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=200))
    assert result.success
    assert result.n_iter > 3
    assert result.cost < 0.1 * problem.cost(w0)


@solvers
@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_tiny_and_huge_inputs_do_not_break_a_run(solver, size):
    X, y, w0 = data()
    problem = NetworkProblem(NET, X * size, y)
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=50))
    assert result.success
    assert result.cost < problem.cost(w0)


@solvers
@pytest.mark.parametrize("size", [1e-100, 1e-12, 1e12, 1e100])
def test_the_scale_of_residuals_changes_nothing_but_the_cost(solver, size):
    """Every threshold is relative, so a run in other units is the same run."""
    problem, w0 = exponential_curve()
    scaled = ResidualProblem(
        lambda w: size * problem.residual(w), 3, lambda w: size * problem.linearize(w).jacobian.dense()
    )
    stopping = Stopping(max_iter=6)
    plain, other = (minimize(p, w0, solver=solver, stopping=stopping) for p in (problem, scaled))
    np.testing.assert_allclose(other.w, plain.w, rtol=1e-6)
    costs, others = plain.history.column("cost"), other.history.column("cost") / size**2
    length = min(len(costs), len(others))  # one of them may see the last rounding as progress
    np.testing.assert_allclose(others[:length], costs[:length], rtol=1e-6)


@pytest.mark.parametrize("units", [[1e-12, 1.0, 1e12], [1e8, 1e-8, 1.0]])
def test_the_more_metric_makes_a_run_independent_of_the_units_of_the_parameters(units):
    units = np.array(units)
    problem, w0 = exponential_curve()
    other = ResidualProblem(
        lambda v: problem.residual(v * units),
        3,
        lambda v: problem.linearize(v * units).jacobian.dense() * units,
    )
    stopping = Stopping(max_iter=6)
    plain = minimize(problem, w0, metric=MoreMetric(), solver=SOLVERS["qr"], stopping=stopping)
    scaled = minimize(other, w0 / units, metric=MoreMetric(), solver=SOLVERS["qr"], stopping=stopping)
    np.testing.assert_allclose(scaled.w * units, plain.w, rtol=1e-5)


# -- rows ----------------------------------------------------------------------------------------------


@solvers
@pytest.mark.parametrize("output", [Linear(2), Logistic(2), Softmax(2)])
def test_integer_weights_are_repeated_rows(solver, output):
    network = Input(2) >> Tanh(3) >> output
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(15, 2)), rng.uniform(size=(15, 2))
    weights = rng.integers(0, 4, 15)
    w0, stopping = 0.5 * rng.normal(size=network.n_params), Stopping(max_iter=5)
    weighted = NetworkProblem(network, X, y, sample_weight=weights, alpha=0.01)
    repeated = NetworkProblem(network, X.repeat(weights, 0), y.repeat(weights, 0), alpha=0.01)
    first, second = (minimize(p, w0, solver=solver, stopping=stopping) for p in (weighted, repeated))
    np.testing.assert_allclose(first.history.column("cost"), second.history.column("cost"), rtol=1e-7)
    np.testing.assert_allclose(first.w, second.w, rtol=1e-5, atol=1e-7)


@solvers
def test_every_row_many_times(solver):
    X, y, w0 = data(5)
    problem = NetworkProblem(NET, np.tile(X, (8, 1)), np.tile(y, (8, 1)))
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=50))
    assert result.cost < 1e-12


def test_rows_of_weight_zero_change_nothing():
    X, y, w0 = data()
    stopping = Stopping(max_iter=5)
    weights = np.r_[np.ones(20), np.zeros(10)]
    first = minimize(NetworkProblem(NET, X, y, sample_weight=weights), w0, stopping=stopping)
    second = minimize(NetworkProblem(NET, X[:20], y[:20]), w0, stopping=stopping)
    np.testing.assert_allclose(first.w, second.w, rtol=1e-6)
