"""Cross-entropy: its seed is a square root of the Hessian, and LM on it behaves."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt import MLP, Input, Linear, Logistic, NetworkProblem, Softmax, Stopping, Tanh, minimize
from marquardt.losses import LogisticCrossEntropy, SoftmaxCrossEntropy, cross_entropy, squared_error

LOSSES = {"softmax": SoftmaxCrossEntropy, "logistic": LogisticCrossEntropy}


def example(kind: str, weighted: bool):
    rng = np.random.default_rng(3)
    z = 2.0 * rng.standard_normal((3, 6))
    if kind == "softmax":
        targets = np.eye(3)[rng.integers(0, 3, 6)].T.copy()
    else:
        targets = rng.integers(0, 2, (3, 6)).astype(float)
    roots = np.sqrt(rng.uniform(0.5, 2.0, 6)) if weighted else None
    return LOSSES[kind](targets, roots), z


def gradient_by_differences(loss, z, h=1e-6):
    gradient = np.empty_like(z)
    for index in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (loss.cost(up) - loss.cost(down)) / (2 * h)
    return gradient


def pulled_back(loss, z, residual):
    """Sᵀ-transposed: what the residual is in the space of z."""
    seed = loss.seed(z)
    return seed * residual if seed.ndim == 2 else np.einsum("kjn,kn->jn", seed, residual)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", LOSSES)
def test_residual_and_seed_give_the_gradient(kind, weighted):
    loss, z = example(kind, weighted)
    np.testing.assert_allclose(
        pulled_back(loss, z, loss.residual(z)), gradient_by_differences(loss, z), atol=1e-8
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", LOSSES)
def test_seed_is_a_root_of_the_hessian(kind, weighted):
    loss, z = example(kind, weighted)
    direction = np.random.default_rng(0).standard_normal(z.shape)
    h = 1e-6
    change = [pulled_back(loss, at, loss.residual(at)) for at in (z + h * direction, z - h * direction)]
    seed = loss.seed(z)
    if seed.ndim == 2:
        product = seed * seed * direction
    else:
        product = np.einsum("kin,kjn,jn->in", seed, seed, direction)
    np.testing.assert_allclose(product, (change[0] - change[1]) / (2 * h), atol=1e-7)


@pytest.mark.parametrize("kind", LOSSES)
def test_saturated_outputs_stay_finite(kind):
    loss, z = example(kind, False)
    for scale in (1e2, 1e4):
        at = scale * np.sign(z)
        assert np.isfinite(loss.cost(at))
        assert np.isfinite(pulled_back(loss, at, loss.residual(at))).all()


def test_a_linear_output_is_refused():
    with pytest.raises(ValueError, match="needs a Softmax or Logistic output"):
        cross_entropy(Linear(1).activation, np.zeros((1, 2)), None)


@pytest.mark.parametrize("output", [Softmax(2), Logistic(2)])
def test_network_on_cross_entropy_descends_and_separates(output):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    labels = (X[:, 0] * X[:, 1] > 0).astype(int)
    network = MLP([Input(2), Tanh(8), output])
    problem = NetworkProblem(network, X, np.eye(2)[labels], loss=cross_entropy, alpha=1e-3)
    result = minimize(problem, 0.5 * rng.standard_normal(network.n_params), stopping=Stopping(max_iter=200))
    costs = result.history.column("cost")
    assert (np.diff(costs) < 0).all()
    assert (network.predict(result.w, X).argmax(axis=1) == labels).all()


def test_gauss_newton_direction_agrees_with_the_gradient_of_the_cost():
    rng = np.random.default_rng(1)
    network = Input(3) >> Tanh(4) >> Softmax(3)
    y = np.eye(3)[rng.integers(0, 3, 20)]
    problem = NetworkProblem(network, rng.standard_normal((20, 3)), y, loss=cross_entropy)
    w = 0.3 * rng.standard_normal(network.n_params)
    gradient = np.empty_like(w)
    for i in range(len(w)):
        step = np.zeros_like(w)
        step[i] = 1e-6
        gradient[i] = (problem.cost(w + step) - problem.cost(w - step)) / 2e-6
    np.testing.assert_allclose(problem.linearize(w).gradient, gradient, atol=1e-7)


@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_output_layer_is_resolved_by_a_damped_gauss_newton_step(loss, units, weighted):
    """Against dense algebra on the columns of the Jacobian that belong to it."""
    rng = np.random.default_rng(2)
    network = MLP([Input(2), Tanh(3), Logistic(units)])
    y = rng.integers(0, 2, (30, units)).astype(float)
    weights = rng.uniform(0.5, 2.0, 30) if weighted else None
    problem = NetworkProblem(
        network, rng.standard_normal((30, 2)), y, sample_weight=weights, alpha=0.1, loss=loss
    )
    w = 0.3 * rng.standard_normal(network.n_params)
    w.flags.writeable = False
    at, block = problem.linearize(w), network.blocks[-1]
    J = at.jacobian.dense()[:, block]
    prior = problem.prior[block]
    step = np.linalg.solve(J.T @ J + np.diag(prior + 0.3), J.T @ at.residual + prior * w[block])
    resolved = problem.resolve_output(w, 0.3, None)
    np.testing.assert_allclose(resolved[block], w[block] - step, rtol=1e-9)
    np.testing.assert_array_equal(resolved[: block.start], w[: block.start])
    np.testing.assert_allclose(problem.resolve_output(w, 0.3, np.ones(len(w))), resolved, rtol=1e-9)
