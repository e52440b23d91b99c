"""The laws of the starting parameters."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt import Elu, Gelu, Input, Linear, Logistic, NetworkProblem, Relu, Sine, Stopping, Tanh, minimize
from marquardt.initialization import (
    INITIALIZATIONS,
    LSUV,
    Glorot,
    He,
    NguyenWidrow,
    Uniform,
    default_initialization,
)

NETWORKS = [
    Input(3) >> Tanh(12) >> Linear(1),
    Input(1) >> Logistic(5) >> Tanh(4) >> Linear(2),
    Input(6) >> Relu(7) >> Linear(1),
    Input(4) >> Linear(2),
    Input(2) >> Tanh(1) >> Linear(1),
]


def inputs(network, n_samples=40, seed=1):
    return np.random.default_rng(seed).normal(3.0, 2.0, size=(n_samples, network.n_inputs))


@pytest.mark.parametrize("law", [law() for law in INITIALIZATIONS.values()], ids=repr)
@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_every_law_fills_every_network_and_follows_its_generator(law, network):
    X = inputs(network)
    w = law.draw(network, np.random.default_rng(5), X)
    assert w.shape == (network.n_params,) and w.dtype == np.float64
    assert np.isfinite(w).all()
    assert np.array_equal(w, law.draw(network, np.random.default_rng(5), X))
    assert not np.array_equal(w, law.draw(network, np.random.default_rng(6), X))


def test_uniform_fills_its_interval():
    w = Uniform(0.3).draw(Input(20) >> Tanh(200) >> Linear(1), np.random.default_rng(0))
    assert np.abs(w).max() <= 0.3
    assert np.abs(w).max() > 0.299
    assert w.std() == pytest.approx(0.3 / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan, np.inf])
def test_uniform_refuses_a_limit_that_is_none(limit):
    with pytest.raises(ValueError, match="must be a positive finite number"):
        Uniform(limit)


def test_glorot_has_its_variance_in_every_layer():
    network = Input(60) >> Tanh(150) >> Tanh(90) >> Linear(40)
    for W, b in network.unpack(Glorot().draw(network, np.random.default_rng(0))):
        n_out, n_in = W.shape
        assert W.var() == pytest.approx(2 / (n_in + n_out), rel=0.06)
        assert np.abs(W).max() <= np.sqrt(6 / (n_in + n_out))
        assert 0 < np.abs(b).max() <= 1 / np.sqrt(n_in)
    for _, b in network.unpack(Glorot(bias=0.0).draw(network, np.random.default_rng(0))):
        assert not b.any()


def test_he_keeps_the_mean_square_through_rectifiers():
    network = Input(100) >> Relu(800) >> Relu(800) >> Linear(300)
    w = He(bias=0.0).draw(network, np.random.default_rng(0))
    X = np.random.default_rng(1).normal(size=(200, 100))
    for W, _ in network.unpack(w)[:-1]:
        assert W.var() * W.shape[1] == pytest.approx(2, rel=0.05)
    # half of the last arguments' mean square is lost at each rectifier and given back by the factor 2; the
    # output layer has the factor 1, so it sees the mean square of rectified values: half of 2
    assert np.mean(network.predict(w, X) ** 2) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("n_inputs", [1, 2, 5])
def test_nguyen_widrow_magnitudes_and_biases(n_inputs):
    """‖w‖ = 0.7 h^(1/n) for every unit, biases spread over [−‖w‖, ‖w‖]."""
    network = Input(n_inputs) >> Tanh(16) >> Linear(1)
    W, b = network.unpack(NguyenWidrow().draw(network, np.random.default_rng(2)))[0]
    beta = 0.7 * 16 ** (1 / n_inputs)
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), beta, rtol=1e-12)
    np.testing.assert_allclose(np.sort(b * np.sign(W[:, 0])), np.linspace(-beta, beta, 16), atol=1e-12)


def test_nguyen_widrow_covers_the_range_of_the_inputs():
    """With one input the centers −b/w of the units are evenly spread over the data, wherever they lie."""
    network = Input(1) >> Tanh(11) >> Linear(1)
    X = np.linspace(100.0, 140.0, 30)[:, None]
    W, b = network.unpack(NguyenWidrow().draw(network, np.random.default_rng(0), X))[0]
    np.testing.assert_allclose(np.sort(-b / W[:, 0]), np.linspace(100, 140, 11), rtol=1e-12)


def test_nguyen_widrow_makes_logistic_units_the_same_functions_as_tanh_units():
    """σ(2z) = (1 + tanh z) / 2."""
    a, b = Input(2) >> Tanh(5) >> Linear(1), Input(2) >> Logistic(5) >> Linear(1)
    first = a.unpack(NguyenWidrow().draw(a, np.random.default_rng(0)))[0]
    second = b.unpack(NguyenWidrow().draw(b, np.random.default_rng(0)))[0]
    np.testing.assert_allclose(second[0], 2 * first[0])
    np.testing.assert_allclose(second[1], 2 * first[1])


def test_nguyen_widrow_leaves_a_constant_input_finite_and_centered():
    network = Input(2) >> Tanh(6) >> Linear(1)
    X = np.column_stack([np.linspace(0, 1, 9), np.full(9, 7.0)])
    W, b = network.unpack(NguyenWidrow().draw(network, np.random.default_rng(0), X))[0]
    plain = network.unpack(NguyenWidrow().draw(network, np.random.default_rng(0)))[0]
    np.testing.assert_allclose(W[:, 1], plain[0][:, 1])
    np.testing.assert_allclose(X[[0, -1]].mean(axis=0) @ W.T + b, plain[1], atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS[:4], ids=repr)
def test_lsuv_gives_every_layer_unit_variance(network):
    X = inputs(network)
    w = LSUV().draw(network, np.random.default_rng(0), X)
    a = X
    for layer, (W, b) in zip(network.layers[1:], network.unpack(w), strict=True):
        z = a @ W.T + b
        assert z.std() == pytest.approx(1.0, rel=1e-12)
        assert not b.any()
        rows_or_columns = W @ W.T if len(W) <= W.shape[1] else W.T @ W
        unit = rows_or_columns[0, 0]
        np.testing.assert_allclose(rows_or_columns, unit * np.eye(len(rows_or_columns)), atol=1e-12 * unit)
        a = layer.activation.value(z, np.empty_like(z))


def test_lsuv_says_what_it_needs():
    network = NETWORKS[0]
    with pytest.raises(ValueError, match="LSUV needs the inputs"):
        LSUV().draw(network, np.random.default_rng(0))
    assert np.isfinite(LSUV().draw(network, np.random.default_rng(0), np.zeros((5, 3)))).all()


@pytest.mark.parametrize("law", [LSUV(), NguyenWidrow()], ids=repr)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 2)), "X has shape"),
        (np.zeros(3), "X has shape"),
        (np.zeros((0, 3)), "X has shape"),
        (np.full((5, 3), np.nan), "X holds 15 NaN"),
    ],
)
def test_bad_inputs_are_named(law, X, message):
    with pytest.raises(ValueError, match=message):
        law.draw(NETWORKS[0], np.random.default_rng(0), X)


@pytest.mark.parametrize(
    ("network", "law"),
    [
        (Input(1) >> Tanh(9) >> Linear(1), NguyenWidrow()),
        (Input(3) >> Logistic(9) >> Linear(1), NguyenWidrow()),
        (Input(2) >> Sine(9) >> Linear(1), NguyenWidrow()),
        (Input(3) >> Elu(9) >> Linear(1), NguyenWidrow()),
        (Input(4) >> Tanh(9) >> Linear(1), Glorot()),
        (Input(2) >> Relu(9) >> Linear(1), He()),
        (Input(8) >> Gelu(9) >> Linear(1), He()),
        (Input(2) >> Linear(1), Glorot()),
        (Input(2) >> Linear(3) >> Linear(1), Glorot()),
    ],
)
def test_the_default_depends_on_inputs_and_first_layer(network, law):
    assert default_initialization(network) == law


def test_the_default_is_worth_its_name_in_two_dimensions():
    """Nguyen-Widrow reaches the same cost in at most as many iterations as Glorot, on the median."""
    X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    y = np.sin(3 * X[:, 0]) * np.exp(X[:, 1])
    network = Input(2) >> Tanh(10) >> Linear(1)
    problem = NetworkProblem(network, X, y)

    def iterations(law, seed):
        w = law.draw(network, np.random.default_rng(seed), X)
        return minimize(problem, w, stopping=Stopping(max_iter=80, cost_goal=1e-3)).n_iter

    few, many = ([iterations(law, seed) for seed in range(5)] for law in (NguyenWidrow(), Glorot()))
    assert np.median(few) < np.median(many)
