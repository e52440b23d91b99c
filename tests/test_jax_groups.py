"""Groups of residuals over shared parameters: one problem, exact derivatives, and the same steps however it
is stored."""

import numpy as np
import pytest

pytest.importorskip("jax")
import jax
import jax.numpy as jnp

import marquardt.jax_models.stacked_problem as room
from marquardt import QR, Stopping
from marquardt.jax_models import DeviceCholesky, ResidualGroup, WarmUp, double_precision, fit_groups
from marquardt.jax_models.parameter_tree import ParameterTree
from marquardt.jax_models.residual_groups import renewed, stacked_problem

RNG = np.random.default_rng(0)
POINTS, ENDS = RNG.uniform(-1, 1, 30), np.array([-1.0, 1.0])


def network(params, x):
    hidden = jnp.tanh(params["in"] * x + params["bias"])
    return params["out"] @ hidden


def start():
    rng = np.random.default_rng(1)
    return {"in": rng.normal(size=6), "bias": rng.normal(size=6), "out": rng.normal(size=6)}


def linear_equation(params, x):
    """u'' + u = x."""
    return jax.grad(jax.grad(network, 1), 1)(params, x) + network(params, x) - x


def cubic_equation(params, x):
    """u'' + u³ = x, two residuals of it."""
    r = jax.grad(jax.grad(network, 1), 1)(params, x) + network(params, x) ** 3 - x
    return jnp.stack([r, 0.5 * r])


def groups(equation):
    return {
        "interior": ResidualGroup(equation, POINTS, 1 / len(POINTS)),
        "ends": ResidualGroup(network, ENDS, np.array([3.0, 5.0])),
    }


def problem_of(equation, alpha=0.0):
    tree = ParameterTree(start())
    return stacked_problem(groups(equation), tree, tree.prior(alpha))[0], tree


def all_residuals(equation, w, tree):
    params = tree.layout.assemble(tree.layout.pieces(w), tree.fixed)
    inner = jax.vmap(lambda x: jnp.atleast_1d(equation(params, x)))(POINTS) / np.sqrt(len(POINTS))
    ends = jax.vmap(lambda x: network(params, x))(ENDS) * np.sqrt([3.0, 5.0])
    return jnp.concatenate([inner.T.ravel(), ends])


@pytest.mark.parametrize("equation", [linear_equation, cubic_equation])
def test_derivatives_are_those_of_all_residuals_together(equation):
    problem, tree = problem_of(equation)
    w = tree.start
    d = np.random.default_rng(2).normal(size=w.shape)
    at = problem.linearize(w)
    with double_precision():

        def whole(v):
            return all_residuals(equation, v, tree)

        def bent(v):
            return jax.jvp(lambda v: jax.jvp(whole, (v,), (d,))[1], (v,), (d,))[1]

        r, J, rdd = map(np.asarray, jax.jit(lambda v: (whole(v), jax.jacfwd(whole)(v), bent(v)))(w))
    np.testing.assert_allclose(at.residual, r, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(at.jacobian.dense(), J, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(at.gradient, J.T @ r, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(problem.gradient(w), at.gradient, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(problem.second_derivative(at, d), rdd, rtol=1e-9, atol=1e-9)
    assert problem.cost(w) == pytest.approx(0.5 * float(r @ r), rel=1e-13)
    assert problem.costs(w).sum() == pytest.approx(problem.cost(w), rel=1e-13)


@pytest.mark.parametrize("equation", [linear_equation, cubic_equation])
def test_streamed_and_kept_jacobians_take_the_same_steps(equation, monkeypatch):
    kept = fit_groups(groups(equation), start(), stopping=Stopping(max_iter=8))
    monkeypatch.setattr(room, "KEPT_BYTES", 0)
    streamed = fit_groups(groups(equation), start(), stopping=Stopping(max_iter=8))
    assert streamed.cost == pytest.approx(kept.cost, rel=1e-6)


def test_the_solver_of_the_device_takes_the_same_step(monkeypatch):
    monkeypatch.setattr(room, "KEPT_BYTES", 0)
    problem, tree = problem_of(cubic_equation)
    at = problem.linearize(tree.start)
    steps = [
        solver.prepare(at.jacobian, None, None).factorize(0.1).solve(at.residual)
        for solver in (DeviceCholesky(), QR())
    ]
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-8, atol=1e-10)


def test_the_output_layer_is_found_and_solved_exactly_where_the_equation_is_linear():
    problem, tree = problem_of(linear_equation)
    problem.find_output_layer(tree.start)
    assert problem.output_layer is not None and problem.exact
    assert [tree.layout.trained[i].path for i in problem.output_layer.leaves] == ["out"]
    w = problem.resolve_output(tree.start, 1e-12, None)
    gradient = problem.gradient(w)[problem.output_layer.entries]
    assert np.abs(gradient).max() < 1e-8 * np.abs(problem.gradient(tree.start)).max()
    known = problem.cost(w)  # remembered, not computed
    assert known == pytest.approx(problem.cost(w.copy()), rel=1e-9)


def test_the_output_layer_of_a_nonlinear_equation_never_raises_the_cost():
    problem, tree = problem_of(cubic_equation)
    problem.find_output_layer(tree.start)
    assert problem.output_layer is not None and not problem.exact
    rng = np.random.default_rng(3)
    for _ in range(20):
        w = tree.start * rng.uniform(0.2, 5.0)
        assert problem.cost(problem.resolve_output(w, 1e-6, None)) <= problem.cost(w)


def test_with_a_prior():
    problem, tree = problem_of(linear_equation, {"out": 0.5})
    w = tree.start
    expected = 0.25 * np.sum(start()["out"] ** 2)
    assert problem.cost(w) - problem.costs(w).sum() == pytest.approx(expected)
    problem.find_output_layer(w)
    resolved = problem.resolve_output(w, 1e-12, None)
    assert np.abs(problem.gradient(resolved)[problem.output_layer.entries]).max() < 1e-8


def test_a_boundary_value_problem_to_rounding():
    fitted = fit_groups(groups(linear_equation), start(), solver=QR(), stopping=Stopping(max_iter=300))
    grid = np.linspace(-1, 1, 50)
    exact = grid - np.sin(grid) / np.sin(1)  # u'' + u = x, u(±1) = 0
    with double_precision():
        u = jax.vmap(lambda x: network(fitted.params, x))(grid)
    assert np.abs(np.asarray(u) - exact).max() < 1e-7
    assert set(fitted.costs) == {"interior", "ends"} and sum(fitted.costs.values()) == pytest.approx(
        fitted.cost
    )
    assert fitted.residuals()["interior"].shape == (30, 1)


def test_renewed_groups_compile_nothing():
    problem, tree = problem_of(linear_equation)
    problem.linearize(tree.start)
    traces = [part.model.functions.n_traces for part in problem.parts]
    others = {
        "interior": ResidualGroup(linear_equation, np.linspace(-1, 1, 30), 1.0),
        "ends": ResidualGroup(network, ENDS),
    }
    again = renewed(problem, others)
    again.linearize(tree.start)
    assert [part.model.functions.n_traces for part in again.parts] == traces
    assert again.cost(tree.start) != problem.cost(tree.start)


def test_points_that_change_from_step_to_step():
    seen = []

    def regroup(count, params):
        seen.append(count)
        points = np.random.default_rng(count).uniform(-1, 1, 30)
        return {**groups(linear_equation), "interior": ResidualGroup(linear_equation, points, 1 / 30)}

    fitted = fit_groups(
        groups(linear_equation),
        start(),
        regroup=regroup,
        every=3,
        stopping=Stopping(max_iter=30, max_fail=None),
    )
    assert seen == list(range(0, 31, 3))
    assert (
        fitted.cost < 1e-4 * fit_groups(groups(linear_equation), start(), stopping=Stopping(max_iter=0)).cost
    )


def test_a_warm_up_comes_first():
    pytest.importorskip("optax")
    plain = fit_groups(groups(linear_equation), start(), stopping=Stopping(max_iter=0))
    warm = fit_groups(groups(linear_equation), start(), warm_up=WarmUp(50), stopping=Stopping(max_iter=0))
    assert warm.cost < plain.cost


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "groups is empty"),
        ({"a": ResidualGroup(lambda p, x: jnp.zeros((0,)), POINTS)}, "group 'a': .*no residuals"),
        ({"a": ResidualGroup(network, np.array([]))}, "group 'a': X has no rows"),
        ({"a": ResidualGroup(network, np.array([1.0, np.nan]))}, "group 'a': X"),
        ({"a": ResidualGroup(network, POINTS, -1.0)}, "group 'a': .*negative"),
        ({"a": ResidualGroup(network, POINTS, 0.0)}, "group 'a': .*zero"),
    ],
)
def test_bad_groups_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        fit_groups(change, start())


def test_renamed_groups_are_refused():
    with pytest.raises(ValueError, match="regroup returned the groups"):
        fit_groups(groups(linear_equation), start(), regroup=lambda count, params: {"other": None})


def test_random_residuals_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="group 'noisy' differs from call to call"):
        fit_groups({"noisy": ResidualGroup(lambda p, x: network(p, x) + rng.normal(), POINTS)}, start())
