"""Networks with feedback: simulation, Jacobian through time, second derivative, and what explodes."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt import (
    MLP,
    ClosedLoopProblem,
    Elu,
    Feedback,
    Gelu,
    Huber,
    Input,
    Linear,
    Logistic,
    NetworkProblem,
    Nielsen,
    Relu,
    Sine,
    Softplus,
    Status,
    Stopping,
    Swish,
    Tanh,
    maximize_evidence,
    minimize,
)

N = 40
# outputs, hidden layers, rows before each row of its series, weights of the entries
CASES = {
    "one output": (1, (3, 3), None, False),
    "two outputs, two series": (2, (4,), np.r_[0:25, 0:15], False),
    "weights, three series": (3, (5, 4), np.r_[0:7, 0:1, 0:32], True),
    "linear": (1, (), None, True),
    "linear, two outputs": (2, (), np.r_[0:20, 0:20], False),
}


def made(name, alpha=0.1, **options):
    k, hidden, steps, weighted = CASES[name]
    rng = np.random.default_rng(0)
    network = MLP([Input(2 + 2 * k), *(Tanh(h) for h in hidden), Linear(k)])
    X, y = rng.normal(size=(N, 2 + 2 * k)), rng.normal(size=(N, k))
    feedback = Feedback(range(2, 2 + 2 * k), [*range(k), *range(k)], [1] * k + [3] * k, steps)
    weights = rng.uniform(0.5, 2, (N, k)) if weighted else None
    problem = ClosedLoopProblem(network, X, y, feedback, sample_weight=weights, alpha=alpha, **options)
    w = 0.4 * rng.normal(size=network.n_params)
    return problem, frozen(w), X, feedback


def frozen(w):
    w = np.array(w, dtype=float)
    w.flags.writeable = False
    return w


def by_hand(problem, w, X, feedback):
    """The recursion, row by row, without anything clever."""
    y = np.zeros((N, problem.network.n_outputs))
    steps = np.arange(N) if feedback.steps is None else feedback.steps
    for n in range(N):
        x = X[n].copy()
        for column, output, lag in zip(feedback.columns, feedback.outputs, feedback.lags, strict=True):
            if steps[n] >= lag:
                x[column] = y[n - lag, output]
        y[n] = problem.network.predict(w, x[None])[0]
    return y


def residual(problem, w):
    return problem.linearize(frozen(w)).residual


@pytest.mark.parametrize("name", CASES)
def test_simulation_is_the_recursion(name):
    problem, w, X, feedback = made(name)
    expected = by_hand(problem, w, X, feedback)
    np.testing.assert_allclose(problem.simulate(w), expected, atol=1e-13)
    np.testing.assert_allclose(problem._recursion(w).arguments[-1].T, expected, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_jacobian_and_gradient_through_time(name):
    problem, w, _, _ = made(name)
    at, h = problem.linearize(w), 1e-6
    J = at.jacobian.dense()
    columns = [
        (residual(problem, w + h * e) - residual(problem, w - h * e)) / (2 * h) for e in np.eye(len(w))
    ]
    np.testing.assert_allclose(J, np.column_stack(columns), atol=1e-6 * abs(J).max())
    np.testing.assert_allclose(at.gradient, J.T @ at.residual + problem.prior * w, atol=1e-12 * abs(J).max())
    assert at.cost == pytest.approx(0.5 * at.residual @ at.residual + 0.5 * problem.prior @ w**2, rel=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_second_derivative(name):
    problem, w, _, _ = made(name)
    d, h = np.random.default_rng(1).normal(size=len(w)), 1e-4
    at = problem.linearize(w)
    second = problem.second_derivative(at, d)
    ahead, behind = residual(problem, w + h * d), residual(problem, w - h * d)
    np.testing.assert_allclose(
        second, (ahead - 2 * at.residual + behind) / h**2, atol=1e-5 * abs(second).max()
    )


@pytest.mark.parametrize("name", CASES)
def test_output_resolve_never_raises_the_cost(name):
    problem, w, _, _ = made(name)
    for damping in (1e-8, 1.0, 1e8):
        resolved = problem.resolve_output(w, damping, None)
        assert problem.cost(frozen(resolved)) <= problem.cost(w)
    assert problem.cost(problem.resolve_output(w, 1e5, None)) < problem.cost(w)


@pytest.mark.parametrize("kind", [Elu, Gelu, Logistic, Relu, Sine, Softplus, Swish, Tanh])
def test_every_activation(kind):
    whole, _, X, feedback = made("one output", alpha=0.0)
    problem = ClosedLoopProblem(Input(4) >> kind(5) >> Linear(1), X, whole.targets.T, feedback)
    w = frozen(0.3 * np.random.default_rng(3).normal(size=problem.n_params))
    expected = by_hand(problem, w, X, feedback)
    np.testing.assert_allclose(problem.simulate(w), expected, atol=1e-12)
    np.testing.assert_allclose(problem._recursion(w).arguments[-1].T, expected, atol=1e-12)


def test_without_feedback_it_is_the_network_problem():
    """Series of one row each: nothing is ever fed back."""
    problem, w, X, feedback = made("one output")
    alone = Feedback(feedback.columns, feedback.outputs, feedback.lags, np.zeros(N, int))
    closed = ClosedLoopProblem(problem.network, X, problem.targets.T, alone, alpha=0.1)
    plain = NetworkProblem(problem.network, X, problem.targets.T, alpha=0.1)
    a, b = closed.linearize(w), plain.linearize(w)
    np.testing.assert_allclose(a.jacobian.dense(), b.jacobian.dense(), atol=1e-14)
    np.testing.assert_allclose(a.gradient, b.gradient, atol=1e-13)
    assert a.cost == pytest.approx(b.cost, rel=1e-14)


def test_series_add_up():
    problem, w, X, feedback = made("two outputs, two series", alpha=0.0)
    costs = []
    for part in (slice(0, 25), slice(25, 40)):
        own = Feedback(feedback.columns, feedback.outputs, feedback.lags)
        costs.append(ClosedLoopProblem(problem.network, X[part], problem.targets.T[part], own).cost(w))
    assert problem.cost(w) == pytest.approx(sum(costs), rel=1e-13)


def test_robust_loss_through_time():
    problem, w, _, _ = made("one output", alpha=0.0, loss=Huber())
    at, h, d = problem.linearize(w), 1e-6, np.random.default_rng(2).normal(size=len(w))
    slope = (problem.cost(frozen(w + h * d)) - problem.cost(frozen(w - h * d))) / (2 * h)
    assert at.gradient @ d == pytest.approx(slope, rel=1e-5)


def test_jacobian_is_that_of_jax():
    jax = pytest.importorskip("jax")
    from marquardt.jax_models import double_precision

    whole, w, X, feedback = made("one output", alpha=0.0)
    network, n_rows = whole.network, 12
    problem = ClosedLoopProblem(network, X[:n_rows], whole.targets.T[:n_rows], feedback)

    with double_precision():
        jnp = jax.numpy

        def simulate(v):
            layers = [v[b].reshape(s) for b, s in zip(network.blocks, network.shapes, strict=True)]
            outputs = []
            for n in range(n_rows):
                x = jnp.asarray(X[n])
                for column, lag in zip(feedback.columns, feedback.lags, strict=True):
                    if n >= lag:
                        x = x.at[column].set(outputs[n - lag])
                for W in layers[:-1]:
                    x = jnp.tanh(W[:, :-1] @ x + W[:, -1])
                outputs.append((layers[-1][:, :-1] @ x + layers[-1][:, -1])[0])
            return jnp.stack(outputs)

        expected = np.asarray(jax.jit(jax.jacfwd(simulate))(jnp.asarray(np.array(w))))
    np.testing.assert_allclose(problem.linearize(w).jacobian.dense(), expected, atol=1e-11)


def test_gradient_is_that_of_torch():
    torch = pytest.importorskip("torch")
    problem, w, X, feedback = made("two outputs, two series", alpha=0.0)
    network = problem.network
    v = torch.tensor(np.array(w), requires_grad=True)
    layers = [v[b].reshape(s) for b, s in zip(network.blocks, network.shapes, strict=True)]
    outputs, cost = [], 0.0
    for n in range(N):
        x = list(torch.tensor(X[n]))
        for column, output, lag in zip(feedback.columns, feedback.outputs, feedback.lags, strict=True):
            if feedback.steps[n] >= lag:
                x[column] = outputs[n - lag][output]
        a = torch.stack(x)
        for W in layers[:-1]:
            a = torch.tanh(W[:, :-1] @ a + W[:, -1])
        outputs.append(layers[-1][:, :-1] @ a + layers[-1][:, -1])
        cost = cost + 0.5 * (outputs[-1] - torch.tensor(problem.targets[:, n])).square().sum()
    cost.backward()
    at = problem.linearize(w)
    assert at.cost == pytest.approx(cost.item(), rel=1e-12)
    np.testing.assert_allclose(at.gradient, v.grad.numpy(), atol=1e-11)


# -- fits --------------------------------------------------------------------------------------------


def first_order(n=400, a=0.8, noise=0.0, seed=0):
    """y' = a y + u as a linear network: w = (weight of u, a, offset)."""
    rng = np.random.default_rng(seed)
    u, y = rng.normal(size=n), np.zeros(n)
    for t in range(1, n):
        y[t] = a * y[t - 1] + u[t]
    X = np.column_stack([u, np.zeros(n)])
    return Input(2) >> Linear(1), X, y + noise * rng.normal(size=n)


def test_a_linear_plant_is_found_exactly():
    network, X, y = first_order()
    problem = ClosedLoopProblem(network, X[1:], y[1:], Feedback([1], [0], [1]))
    result = minimize(problem, [0.1, 0.1, 0.1])
    np.testing.assert_allclose(result.w, [1.0, 0.8, 0.0], atol=1e-9)


def test_evidence_through_time_finds_the_noise_of_the_measurements():
    network, X, y = first_order(noise=0.1)
    fit = maximize_evidence(
        ClosedLoopProblem(network, X[1:], y[1:], Feedback([1], [0], [1])), [0.1, 0.1, 0.0]
    )
    assert fit.noise_sd == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(fit.w, [1.0, 0.8, 0.0], atol=0.02)


@pytest.mark.parametrize("a", [0.5, -0.9, 1.0, 1.2])
def test_memory_of_a_first_order_loop(a):
    network, X, y = first_order(n=200)
    problem = ClosedLoopProblem(network, X, y, Feedback([1], [0], [1]))
    np.testing.assert_allclose(problem.memory([1.0, a, 0.0], 10), abs(a) ** np.arange(10), rtol=1e-12)


def test_what_explodes_is_a_rejected_step():
    network, X, y = first_order(n=3000)
    problem = ClosedLoopProblem(network, X, y, Feedback([1], [0], [1]))
    unstable = frozen([1.0, 1.5, 0.0])
    assert np.isnan(problem.simulate(unstable)[-1])
    result = minimize(problem, unstable)
    assert result.status is Status.NO_FINITE_START
    assert problem.n_exploded > 0
    # a first step without damping leads far out: it is tried, rejected, and the fit goes on
    wild = ClosedLoopProblem(network, X[1:], y[1:], Feedback([1], [0], [1]))
    result = minimize(wild, [0.0, -0.9, 0.0], damping=Nielsen(1e-12), acceleration=None, resolve_output=False)
    assert wild.n_exploded > 0
    np.testing.assert_allclose(result.w, [1.0, 0.8, 0.0], atol=1e-6)
    assert all(np.isfinite(result.history.column("cost")))


def test_a_rectifying_network_that_explodes():
    rng = np.random.default_rng(0)
    network = Input(2) >> Relu(4) >> Linear(1)
    X, y = rng.normal(size=(2000, 2)), rng.normal(size=2000)
    problem = ClosedLoopProblem(network, X, y, Feedback([1], [0], [1]))
    result = minimize(problem, 0.3 * rng.normal(size=network.n_params), stopping=Stopping(max_iter=5))
    assert np.isfinite(result.cost)


# -- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "of one length"),
        (([0], [0, 0], [1]), "of one length"),
        (([0], [0], [0]), "cannot depend on itself"),
        (([0, 0], [0, 0], [1, 2]), "twice"),
        (([0, 1], [0, 0], [1, 1]), "twice"),
        (([0], [0], [1], [[0]]), "whole numbers"),
        (([0], [0], [1], [0.5]), "whole numbers"),
        (([0], [0], [1], [0, 2]), "must count"),
        (([0], [0], [1], [1, 2]), "must count"),
    ],
)
def test_bad_feedback(arguments, message):
    with pytest.raises(ValueError, match=message):
        Feedback(*arguments)


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        (Feedback([3], [0], [1]), "among 2 inputs"),
        (Feedback([-1], [0], [1]), "among 2 inputs"),
        (Feedback([1], [1], [1]), "among 1 outputs"),
        (Feedback([1], [0], [1], [0, 1, 2]), "3 values, but there are 5 rows"),
    ],
)
def test_feedback_that_does_not_fit(feedback, message):
    with pytest.raises(ValueError, match=message):
        ClosedLoopProblem(Input(2) >> Linear(1), np.zeros((5, 2)), np.zeros(5), feedback)


def test_the_output_must_be_linear():
    with pytest.raises(ValueError, match="last layer must be Linear"):
        ClosedLoopProblem(Input(1) >> Tanh(1), np.zeros((5, 1)), np.zeros(5), Feedback([0], [0], [1]))


def test_lag_longer_than_the_series():
    problem = ClosedLoopProblem(Input(1) >> Linear(1), [[1.0], [2.0]], [1.0, 2.0], Feedback([0], [0], [5]))
    np.testing.assert_allclose(problem.simulate([2.0, 0.0]).ravel(), [2.0, 4.0])


def test_explosions_are_counted_over_copies():
    network, X, y = first_order(n=3000)
    problem = ClosedLoopProblem(network, X, y, Feedback([1], [0], [1]))
    problem.with_prior([1.0, 1.0, 1.0]).simulate([1.0, 1.5, 0.0])
    assert problem.n_exploded == 1
