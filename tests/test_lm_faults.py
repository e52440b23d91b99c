"""Problems that are degenerate, badly scaled, or undefined in part of space."""

from dataclasses import dataclass

import numpy as np
import pytest

from marquardt import (
    FirstImprovement,
    Input,
    Linear,
    Logistic,
    NetworkProblem,
    Nielsen,
    RatioProbing,
    Softmax,
    Status,
    Stopping,
    Tanh,
    minimize,
)
from marquardt.linsolve import SingularSystemError
from marquardt.problem import Linearization
from marquardt.residual_problem import ResidualProblem
from tables import ACCELERATIONS, DAMPINGS, METRICS, PROBLEMS, SOLVERS, exponential_curve

solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
metrics = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
accelerations = pytest.mark.parametrize("acceleration", ACCELERATIONS.values(), ids=ACCELERATIONS)

NET = Input(2) >> Tanh(4) >> Linear(1)


def data(n=30, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 2))
    y = np.sin(2 * X[:, :1]) + X[:, 1:] ** 2 + 0.05 * rng.normal(size=(n, n_outputs))
    return X, y, 0.5 * rng.normal(size=NET.n_params)


# -- undefined in part of space ------------------------------------------------------------------------


def root_curve(failure):
    """√(w₀ + w₁t) − y, undefined where the root is; the first Gauss-Newton step leads far into it."""
    t = np.linspace(0, 1, 10)
    y = np.sqrt(0.01 + 0.02 * t)

    def residual(w):
        inside = w[0] + w[1] * t
        if (inside < 0).any():
            return failure()
        return np.sqrt(inside) - y

    def jacobian(w):
        slope = 0.5 / np.sqrt(w[0] + w[1] * t)
        return np.column_stack([slope, slope * t])

    return ResidualProblem(residual, 2, jacobian)


def divide_by_zero():
    return 1 // 0


@solvers
@accelerations
@pytest.mark.parametrize(
    "failure",
    [lambda: np.full(10, np.nan), lambda: np.full(10, np.inf), lambda: np.full(10, -np.inf), divide_by_zero],
    ids=["NaN", "inf", "-inf", "ArithmeticError"],
)
def test_a_residual_undefined_in_half_of_space(solver, acceleration, failure):
    """Trial points there are rejected, and the fit converges in the other half."""
    damping = Nielsen(initial=1e-8)
    problem = root_curve(failure)
    result = minimize(problem, [4.0, 3.0], solver=solver, acceleration=acceleration, damping=damping)
    assert result.history.column("rejected").sum() > 0
    np.testing.assert_allclose(result.w, [0.01, 0.02], rtol=1e-5)
    assert np.isfinite(result.history.column("cost")).all()


def test_a_jacobian_that_fails_arithmetically_is_not_finite():
    def jacobian(w):
        return np.array([[1 / float(w[0])]]) if w[0] != 0 else 1 // 0

    problem = ResidualProblem(lambda w: np.ones(1), 1, jacobian)
    assert minimize(problem, [0.0]).status is Status.NO_FINITE_START


@pytest.mark.parametrize("search", [FirstImprovement(), RatioProbing()])
@pytest.mark.parametrize("damping", DAMPINGS.values(), ids=DAMPINGS)
def test_a_point_without_a_finite_jacobian_is_never_the_end(damping, search):
    """The cost falls on beyond 1, but there is no derivative there: the run must come to rest before."""
    calls = []

    def jacobian(w):
        calls.append(1)
        return np.eye(1) if w[0] > 1 else np.full((1, 1), np.nan)

    problem = ResidualProblem(lambda w: w, 1, jacobian)
    result = minimize(problem, [5.0], damping=damping, search=search)
    assert 1 < result.w[0] < 1.1
    assert result.cost == problem.cost(result.w)
    assert result.n_jacobians == len(calls)


def test_a_cost_that_is_never_finite_beyond_the_start():
    problem = ResidualProblem(lambda w: np.ones(1) * (1 if w[0] == 3 else np.nan), 1, lambda w: np.eye(1))
    result = minimize(problem, [3.0])
    assert result.status is Status.DAMPING_LIMIT
    np.testing.assert_array_equal(result.w, [3.0])


# -- singular Jacobians --------------------------------------------------------------------------------


@solvers
@metrics
@accelerations
@pytest.mark.parametrize("fault", ["two equal columns", "zero column", "constant column"])
def test_columns_that_say_nothing(solver, metric, acceleration, fault):
    """The normal equations are singular, the damped ones are not."""
    X, y, w0 = data()
    X[:, 1] = {"two equal columns": X[:, 0], "zero column": 0.0, "constant column": 3.0}[fault]
    problem = NetworkProblem(NET, X, y)
    options = {"solver": solver, "metric": metric, "acceleration": acceleration}
    result = minimize(problem, w0, stopping=Stopping(max_iter=30), **options)
    assert result.success
    assert result.cost < 0.5 * problem.cost(w0)


@solvers
@metrics
def test_parameters_without_any_influence_stay_where_they_are(solver, metric):
    def residual(w):
        return np.array([w[0] - 3, 2 * w[0] - 6, 0.0])

    problem = ResidualProblem(residual, 2, lambda w: np.array([[1.0, 0], [2, 0], [0, 0]]))
    result = minimize(problem, [1.0, 7.0], solver=solver, metric=metric)
    np.testing.assert_allclose(result.w, [3.0, 7.0], rtol=1e-6)


@solvers
@metrics
def test_a_jacobian_of_zeros_is_a_stationary_point(solver, metric):
    problem = ResidualProblem(lambda w: np.ones(3), 2, lambda w: np.zeros((3, 2)))
    result = minimize(problem, [1.0, 2.0], solver=solver, metric=metric)
    assert result.status is Status.GRADIENT_TOLERANCE
    np.testing.assert_array_equal(result.w, [1.0, 2.0])


@solvers
def test_hidden_units_all_alike(solver):
    X, y, _ = data()
    problem = NetworkProblem(NET, X, y)
    assert minimize(problem, np.zeros(17), solver=solver, stopping=Stopping(max_iter=30)).success


@solvers
def test_saturated_units(solver):
    X, y, w0 = data()
    problem = NetworkProblem(NET, X, y)
    w0[:12] *= 1e3
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=30))
    assert result.success
    assert result.cost < problem.cost(w0)


# -- little to fit -------------------------------------------------------------------------------------


@solvers
@pytest.mark.parametrize("output", [Linear, Logistic])
def test_nothing_left_to_do_at_the_start(solver, output):
    network = Input(2) >> Tanh(4) >> output(1)
    X, _, w0 = data()
    problem = NetworkProblem(network, X, network.predict(w0, X))
    result = minimize(problem, w0, solver=solver)
    assert (result.status, result.n_iter, result.cost) == (Status.COST_GOAL, 0, 0.0)
    np.testing.assert_array_equal(result.w, w0)


@solvers
@pytest.mark.parametrize("value", [0.0, 5.0, 1e6])
def test_a_constant_target(solver, value):
    X, _, w0 = data()
    problem = NetworkProblem(NET, X, np.full(30, value))
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=50))
    assert result.success
    np.testing.assert_allclose(NET.predict(result.w, X), value, atol=1e-6 * max(1, value))


@solvers
@pytest.mark.parametrize("n", [1, 2, 10])
def test_more_parameters_than_rows(solver, n):
    X, y, w0 = data(n)
    result = minimize(NetworkProblem(NET, X, y), w0, solver=solver, stopping=Stopping(max_iter=50))
    assert result.success
    assert result.cost < 1e-12


@pytest.mark.parametrize("output", [Softmax(1), Softmax(2), Logistic(2)])
def test_outputs_that_saturate(output):
    """Targets at the very ends of the range, which only infinite weights reach."""
    X, _, _ = data()
    labels = np.eye(2)[(X[:, 0] > 0).astype(int)][:, : output.units]
    network = Input(2) >> Tanh(4) >> output
    problem = NetworkProblem(network, X, labels)
    w0 = 0.5 * np.random.default_rng(0).normal(size=network.n_params)
    result = minimize(problem, w0, stopping=Stopping(max_iter=100))
    assert result.success
    assert np.isfinite(result.w).all()
    assert output.units == 1 or result.cost < 1e-3


# -- models without the extras -------------------------------------------------------------------------


@dataclass(frozen=True)
class WithoutSecondDerivative:
    """A problem whose model has no second derivative and no output layer."""

    inner: object

    n_params = property(lambda self: self.inner.n_params)
    prior = property(lambda self: self.inner.prior)

    def cost(self, w):
        return self.inner.cost(w)

    def linearize(self, w):
        at = self.inner.linearize(w)
        return Linearization(w, at.cost, at.residual, at.jacobian, at.offset, at.gradient)

    def second_derivative(self, at, direction):
        return None

    def resolve_output(self, w, damping, scale):
        return w


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_acceleration_and_resolve_fall_away_where_a_model_has_none(make):
    problem, w0 = make()
    stopping = Stopping(max_iter=6)
    bare = minimize(WithoutSecondDerivative(problem), w0, stopping=stopping)
    off = minimize(problem, w0, acceleration=None, resolve_output=False, stopping=stopping)
    np.testing.assert_allclose(bare.w, off.w, rtol=1e-9)
    assert not bare.history.column("accelerated").any()


# -- solvers that break down ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Breaking:
    """A solver that fails while it prepares, while it factorizes, or by a step of NaN."""

    where: str

    def prepare(self, jacobian, prior, scale, recycle=None):
        if self.where == "prepare":
            raise SingularSystemError("the matrix is beyond repair")
        return self

    def factorize(self, damping):
        if self.where == "factorize":
            raise SingularSystemError("not positive definite")
        return self

    def release(self):
        return None

    def solve(self, residual, offset=None, gradient=None):
        return np.full(3, np.nan)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "prepare",
            "The matrix is beyond repair. The damped system could not be factorised or gave no finite",
        ),
        ("factorize", "No finite step up to damping "),
        ("solve", "No finite step up to damping "),
    ],
)
def test_a_system_that_cannot_be_solved_ends_the_run_with_advice(where, message):
    problem, w0 = exponential_curve()
    result = minimize(problem, w0, solver=Breaking(where))
    assert result.status is Status.SINGULAR
    assert result.message.startswith(message)
    assert "choose solver='qr'" in result.message
    assert not result.success
    np.testing.assert_array_equal(result.w, w0)
