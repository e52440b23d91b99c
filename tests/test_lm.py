"""The driver: laws that every combination of parts obeys, and problems whose answers are known."""

import itertools

import numpy as np
import pytest

from marquardt import (
    Eigen,
    Geodesic,
    Input,
    Linear,
    Method,
    NetworkProblem,
    Nielsen,
    RatioProbing,
    Status,
    Stopping,
    Tanh,
    minimize,
)
from tables import ACCELERATIONS, DAMPINGS, DIRECT_SOLVERS, EXPLICIT_SOLVERS, METRICS, PROBLEMS, SOLVERS

STOPPING = Stopping(max_iter=12)


def check_laws(problem, w0, **options):
    """Run, and check what must hold whatever the parts of the method are."""
    kept = w0.copy()
    result = minimize(problem, w0, **({"stopping": STOPPING} | options))
    history = result.history
    cost = history.column("cost")
    np.testing.assert_array_equal(w0, kept)
    assert (np.diff(cost) < 0).all()
    np.testing.assert_allclose(cost[0], problem.cost(w0), rtol=1e-14)
    np.testing.assert_allclose(result.cost, problem.cost(result.w), rtol=1e-12)
    assert result.cost == cost[-1]
    assert result.n_iter == len(history) - 1 > 0
    assert result.n_jacobians == history[-1].n_jacobians == result.n_iter + 1
    assert result.n_costs >= history[-1].n_costs >= result.n_jacobians
    np.testing.assert_array_equal(history.column("iteration"), np.arange(len(history)))
    np.testing.assert_allclose(history.column("decrease")[1:], -np.diff(cost), rtol=1e-9)
    predicted, decrease = history.column("predicted")[1:], history.column("decrease")[1:]
    assert (predicted > -1e-15 * cost[1:]).all()  # positive but for rounding
    ratio = np.where(predicted > 0, decrease / predicted, np.inf)
    np.testing.assert_allclose(history.column("gain_ratio")[1:], ratio, rtol=1e-9)
    assert (np.diff(history.column("time")) >= 0).all()
    assert (history.column("damping") > 0).all()
    gradient = problem.linearize(result.w).gradient
    np.testing.assert_allclose(history[-1].gradient_norm, np.abs(gradient).max(), rtol=1e-9, atol=1e-15)
    result.w[:] = 0  # belongs to the caller
    return result


@pytest.mark.parametrize(
    ("solver", "damping", "acceleration", "resolve_output"),
    list(itertools.product(SOLVERS, DAMPINGS, ACCELERATIONS, (False, True))),
)
def test_laws_for_every_combination_of_parts(solver, damping, acceleration, resolve_output):
    problem, w0 = PROBLEMS["all"]()
    result = check_laws(
        problem,
        w0,
        solver=SOLVERS[solver],
        damping=DAMPINGS[damping],
        acceleration=ACCELERATIONS[acceleration],
        resolve_output=resolve_output,
    )
    if acceleration == "plain":
        assert not any(entry.accelerated for entry in result.history)
    else:
        assert any(entry.accelerated for entry in result.history)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_laws_for_every_problem_solver_and_metric(make, solver, metric):
    check_laws(*make(), solver=solver, metric=metric)


@pytest.mark.parametrize("damping", DAMPINGS.values(), ids=DAMPINGS)
@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_laws_for_every_problem_and_damping(make, damping):
    check_laws(*make(), damping=damping)


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_laws_of_ratio_probing(make):
    check_laws(*make(), solver=Eigen(), search=RatioProbing())


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("acceleration", ACCELERATIONS.values(), ids=ACCELERATIONS)
@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_all_solvers_take_the_same_path(make, acceleration, metric):
    """Damping acts in parameter space, so primal, dual, QR and eigen are one method."""
    paths, ends = [], []
    for solver in EXPLICIT_SOLVERS.values():
        problem, w0 = make()
        options = {"solver": solver, "metric": metric, "acceleration": acceleration}
        result = minimize(problem, w0, stopping=Stopping(max_iter=5), **options)
        paths.append(result.history.column("cost"))
        ends.append(result.w)
    length = min(map(len, paths))  # one of them may see the last rounding of a converged cost as progress
    for path, end in zip(paths, ends, strict=True):
        np.testing.assert_allclose(path[:length], paths[0][:length], rtol=1e-6, atol=1e-9 * path[0])
        np.testing.assert_allclose(end, ends[0], rtol=1e-5, atol=1e-6)


# -- one step, by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one output", "all", "softmax", "curve", "wide prior"])
def test_a_plain_first_step_is_the_textbook_formula(name):
    problem, w0 = PROBLEMS[name]()
    at = problem.linearize(w0)
    J = at.jacobian.dense()
    matrix = J.T @ J + (0 if problem.prior is None else np.diag(problem.prior))
    damping = np.square(J).sum(axis=0).max()
    step = -np.linalg.solve(matrix + damping * np.eye(len(w0)), at.gradient)
    predicted = -(at.gradient @ step + 0.5 * step @ matrix @ step)
    assert problem.cost(w0 + step) < at.cost, "the rest needs a first step that is accepted"
    method = Method(damping=Nielsen(initial=1.0), acceleration=None, resolve_output=False)
    state = method.step(problem, method.start(problem, w0))
    np.testing.assert_allclose(state.at.w - w0, step, rtol=1e-7, atol=1e-10)
    trial = state.found.trial
    np.testing.assert_allclose(trial.predicted, predicted, rtol=1e-7)
    np.testing.assert_allclose(trial.gain_ratio, (at.cost - state.at.cost) / predicted, rtol=1e-7)
    np.testing.assert_allclose(state.step_norm, np.linalg.norm(step), rtol=1e-7)
    ratio = trial.gain_ratio
    np.testing.assert_allclose(
        state.damping.damping, damping * max(1 / 3, 1 - (2 * min(ratio, 1) - 1) ** 3), rtol=1e-7
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_predicted_decrease_is_that_of_the_model_in_any_metric(metric):
    problem, w0 = PROBLEMS["all"]()
    method = Method(metric=metric, acceleration=None, resolve_output=False)
    start = method.start(problem, w0)
    state = method.step(problem, start)
    J, g, d = start.at.jacobian.dense(), start.at.gradient, state.at.w - w0
    model = -(g @ d + 0.5 * d @ (J.T @ J + np.diag(problem.prior)) @ d)
    np.testing.assert_allclose(state.found.trial.predicted, model, rtol=1e-8)


def test_geodesic_acceleration_adds_half_of_the_second_order_term():
    problem, w0 = PROBLEMS["one output"]()
    rule = Nielsen(initial=0.1)
    start = Method(rule).start(problem, w0)
    at, damping = start.at, start.damping.damping
    J = at.jacobian.dense()
    A = J.T @ J + damping * np.eye(len(w0))
    velocity = -np.linalg.solve(A, at.gradient)
    t = 1e-4
    second = (
        problem.linearize(w0 + t * velocity).residual
        - 2 * at.residual
        + problem.linearize(w0 - t * velocity).residual
    ) / t**2
    acceleration = -np.linalg.solve(A, J.T @ second)
    ratio = 2 * np.linalg.norm(acceleration) / np.linalg.norm(velocity)
    method = Method(rule, acceleration=Geodesic(limit=1.001 * ratio), resolve_output=False)
    state = method.step(problem, start)
    np.testing.assert_allclose(state.at.w - w0, velocity + 0.5 * acceleration, rtol=1e-4, atol=1e-6)
    stricter = Method(rule, acceleration=Geodesic(limit=0.999 * ratio), resolve_output=False)
    state = stricter.step(problem, start)
    assert state.found.rejected >= 1


def test_a_limit_of_the_acceleration_must_be_positive():
    with pytest.raises(ValueError, match=r"limit=0 must be positive; use acceleration=None to switch it off"):
        Geodesic(limit=0)


def test_states_are_immutable_and_steps_are_pure():
    problem, w0 = PROBLEMS["two outputs"]()
    method = Method()
    start = method.start(problem, w0)
    first, second = method.step(problem, start), method.step(problem, start)
    np.testing.assert_array_equal(first.at.w, second.at.w)
    assert first.damping == second.damping
    np.testing.assert_array_equal(start.at.w, w0)
    with pytest.raises(ValueError, match="read-only"):
        first.at.w[0] = 1


def test_the_switches_of_minimize():
    problem, w0 = PROBLEMS["one output"]()
    runs = [
        minimize(problem, w0, acceleration=switch, stopping=STOPPING).history.column("cost")
        for switch in (True, Geodesic(), None, False)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[2], runs[3])
    assert not np.array_equal(runs[0], runs[2])


# -- known answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_linear_network_finds_the_solution_of_the_normal_equations(solver, weighted, alpha):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(25, 3)), rng.normal(size=(25, 2))
    weights = rng.uniform(0, 2, 25) if weighted else np.ones(25)
    problem = NetworkProblem(Input(3) >> Linear(2), X, y, sample_weight=weights, alpha=alpha)
    result = minimize(problem, rng.normal(size=8), solver=solver)
    design = np.column_stack([X, np.ones(25)])
    matrix = design.T @ (design * weights[:, None]) + alpha * np.diag([1, 1, 1, 0])
    wanted = np.linalg.solve(matrix, design.T @ (weights[:, None] * y))
    np.testing.assert_allclose(result.w.reshape(2, 4), wanted.T, rtol=1e-6, atol=1e-8)
    assert result.status.converged


def test_the_output_resolve_solves_a_linear_network_at_once():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(25, 3)), rng.normal(size=25)
    problem = NetworkProblem(Input(3) >> Linear(1), X, y)
    result = minimize(problem, np.zeros(4), damping=Nielsen(initial=1e-10))
    best = minimize(problem, result.w).cost
    assert result.history[1].cost <= best * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("solver", DIRECT_SOLVERS.values(), ids=DIRECT_SOLVERS)
def test_a_network_learns_what_a_smaller_one_made(solver, seed):
    """Superfluous units leave the Jacobian singular at the solution, and the cost falls to nothing still."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (40, 2))
    teacher, network = Input(2) >> Tanh(2) >> Linear(1), Input(2) >> Tanh(6) >> Linear(1)
    y = teacher.predict(rng.normal(size=teacher.n_params), X)
    problem = NetworkProblem(network, X, y)
    stopping = Stopping(max_iter=300, cost_goal=1e-14)
    result = minimize(problem, 0.5 * rng.normal(size=network.n_params), solver=solver, stopping=stopping)
    assert result.status is Status.COST_GOAL


def test_the_same_start_gives_the_same_run():
    problem, w0 = PROBLEMS["all"]()
    first, second = (minimize(problem, w0, stopping=STOPPING) for _ in range(2))
    np.testing.assert_array_equal(first.w, second.w)
    fresh, _ = PROBLEMS["all"]()
    np.testing.assert_array_equal(minimize(fresh, w0, stopping=STOPPING).w, first.w)
