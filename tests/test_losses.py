"""Losses: residual, seed and second derivative against complex arithmetic, in every output activation."""

import numpy as np
import pytest

from dense_twin import FORMULAS
from exact_derivatives import cauchy_derivative
from marquardt.losses import SoftmaxSquaredError, SquaredError, cross_entropy, squared_error
from tables import ACTIVATIONS, OUTPUTS

K, N = 3, 4
KINDS = sorted(set(ACTIVATIONS) | set(OUTPUTS))


def setup(kind, weighted):
    """A loss, an argument, and the residual as a plain formula of it."""
    rng = np.random.default_rng(0)
    layer = OUTPUTS.get(kind) or ACTIVATIONS[kind]
    targets, roots = rng.uniform(size=(K, N)), rng.uniform(0, 2, N) if weighted else None
    loss = squared_error(layer.activation, targets, roots)
    z = rng.choice([-1, 1], (K, N)) * rng.uniform(0.2, 1.5, (K, N))

    def residual(z):
        value = np.stack([FORMULAS[kind](column) for column in z.T], axis=1)
        return (value - targets) * (1 if roots is None else roots)

    return loss, z, residual


kinds = pytest.mark.parametrize("kind", KINDS)
weights = pytest.mark.parametrize("weighted", [False, True])


def full(seed):
    """The seed as (K, K, N), residual first."""
    if seed.ndim == 3:
        return seed
    dense = np.zeros((K, K, N))
    dense[np.arange(K), np.arange(K)] = seed
    return dense


@kinds
@weights
def test_residual_and_cost(kind, weighted):
    loss, z, residual = setup(kind, weighted)
    kept = z.copy()
    np.testing.assert_allclose(loss.residual(z), residual(z), rtol=1e-14)
    np.testing.assert_allclose(loss.cost(z), 0.5 * np.square(residual(z)).sum())
    np.testing.assert_array_equal(z, kept)


@kinds
@weights
def test_the_seed_is_the_derivative_of_the_residual(kind, weighted):
    loss, z, residual = setup(kind, weighted)
    seed = full(loss.seed(z))
    for j in range(K):
        step = np.zeros((K, 1), dtype=complex)
        step[j] = 1e-30j
        np.testing.assert_allclose(seed[:, j], residual(z + step).imag / 1e-30, rtol=1e-13, atol=1e-15)


@kinds
@weights
def test_the_second_derivative_along_a_path(kind, weighted):
    loss, z, residual = setup(kind, weighted)
    z1, z2 = 0.3 * np.random.default_rng(1).normal(size=(2, K, N))
    wanted = cauchy_derivative(lambda t: residual(z + t * z1 + 0.5 * t**2 * z2), 2, radius=0.1)
    np.testing.assert_allclose(loss.second(z, z1, z2), wanted, rtol=1e-10, atol=1e-11)


@kinds
def test_only_the_identity_is_linear(kind):
    loss, _, _ = setup(kind, weighted=False)
    assert loss.linear == (kind == "Linear")
    assert isinstance(loss, SoftmaxSquaredError if kind == "Softmax" else SquaredError)


def test_seeds_share_what_is_equal_for_all_outputs():
    assert {
        kind: setup(kind, True)[0].seed(np.zeros((K, N))).shape for kind in ("Linear", "Tanh", "Softmax")
    } == {
        "Linear": (1, N),
        "Tanh": (K, N),
        "Softmax": (K, K, N),
    }


@pytest.mark.parametrize("kind", ["Softmax", "Logistic"])
def test_cross_entropy_of_a_hopeless_and_of_a_perfect_guess(kind):
    """Scores of ±800 make probabilities of e^-800, far below the smallest number."""
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])
    loss = cross_entropy(OUTPUTS[kind].activation, targets, None)
    right = np.array([[800.0, -800.0], [-800.0, 800.0]])
    assert loss.cost(right) == 0
    np.testing.assert_allclose(loss.cost(-right), 3200)
    for z in (right, -right):
        seed, r = loss.seed(z), loss.residual(z)
        assert np.isfinite(seed).all()
        assert np.isfinite(r).all()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"Softmax", "Logistic", "Sigmoid"}))
def test_outputs_that_are_no_probability(kind):
    with pytest.raises(ValueError, match="cross-entropy needs a Softmax or Logistic output layer, not "):
        cross_entropy(ACTIVATIONS[kind].activation, np.zeros((K, N)), None)
