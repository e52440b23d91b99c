"""A network under another order of its parameters gives the numbers of the network."""

import numpy as np
import pytest

from marquardt import Input, Linear, NetworkProblem, Softmax, Stopping, Tanh, minimize
from marquardt.dense_model import DenseModel, agree, layer_of
from marquardt.losses import Huber, cross_entropy, squared_error
from marquardt.models.layers import LAYERS, Relu
from marquardt.models.mlp import MLP
from marquardt.reordered_jacobian import ReorderedJacobian

NETWORK = Input(3) >> Tanh(4) >> Linear(2)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(17, 3)), RNG.normal(size=(17, 2))
ORDER = RNG.permutation(NETWORK.n_params)
MODEL = DenseModel(NETWORK, ORDER)
W = RNG.normal(size=NETWORK.n_params)
PRIOR = RNG.uniform(size=NETWORK.n_params)
WEIGHTS = RNG.uniform(0.5, 2.0, size=17)
TIGHT = {"rtol": 1e-12, "atol": 1e-12}


def pair(loss=squared_error):
    """The training in the order of the model, and the network's own; w of the network is w[ORDER]."""
    y = np.eye(2)[np.arange(17) % 2] if loss is cross_entropy else Y
    network = MLP([*NETWORK.layers[:-1], Softmax(2)]) if loss is cross_entropy else NETWORK
    own = NetworkProblem(network, X, y, sample_weight=WEIGHTS, prior=PRIOR[ORDER], loss=loss)
    problem = MODEL.problem(X, y, WEIGHTS, PRIOR, loss)
    assert problem is not None
    return problem, own


@pytest.mark.parametrize("loss", [squared_error, cross_entropy, Huber(0.5)])
def test_the_numbers_of_a_problem(loss):
    problem, own = pair(loss)
    np.testing.assert_allclose(problem.cost(W), own.cost(W[ORDER]), **TIGHT)
    np.testing.assert_allclose(problem.gradient(W)[ORDER], own.linearize(W[ORDER]).gradient, **TIGHT)
    np.testing.assert_allclose(problem.outputs(W), NETWORK.predict(W[ORDER], X).T, **TIGHT)  # of logits


@pytest.mark.parametrize("loss", [squared_error, cross_entropy, Huber(0.5)])
def test_a_run_is_that_of_the_network(loss):
    problem, own = pair(loss)
    seen = []

    def validation(w):
        seen.append(w)
        return -float(len(seen))

    options = {"stopping": Stopping(max_iter=6)}
    found = problem.minimize(W, validation=validation, **options)
    expected = minimize(own, W[ORDER], **options)
    np.testing.assert_array_equal(found.history.column("cost"), expected.history.column("cost"))
    np.testing.assert_array_equal(found.w[ORDER], expected.w)
    np.testing.assert_array_equal(seen[0], W)
    np.testing.assert_array_equal(seen[-1], found.w_last)
    assert found.linearization is not None and expected.linearization is not None
    np.testing.assert_array_equal(found.linearization.w, found.w)
    for name in ("gradient", "offset"):
        mine, theirs = getattr(found.linearization, name), getattr(expected.linearization, name)
        np.testing.assert_array_equal(mine[ORDER], theirs)
    np.testing.assert_array_equal(found.linearization.residual, expected.linearization.residual)


def test_a_jacobian_in_another_order():
    inner = NetworkProblem(NETWORK, X, Y).linearize(W[ORDER]).jacobian
    J = ReorderedJacobian(inner, ORDER)
    dense = np.empty(J.shape)
    dense[:, ORDER] = inner.dense()
    n, p = dense.shape
    v, u, weights = RNG.normal(size=p), RNG.normal(size=n), RNG.uniform(1, 2, p)
    groups, matrix = np.arange(p) % 3, np.cov(RNG.normal(size=(n, 2 * n)))
    np.testing.assert_array_equal(J.dense(), dense)
    np.testing.assert_allclose(np.vstack(list(J.row_chunks())), dense, **TIGHT)
    np.testing.assert_allclose(J.mv(v), dense @ v, **TIGHT)
    np.testing.assert_allclose(J.rmv(u), dense.T @ u, **TIGHT)
    np.testing.assert_allclose(np.triu(J.gram()), np.triu(dense.T @ dense), **TIGHT)
    single = J.gram(np.empty((p, p), dtype=np.float32))
    np.testing.assert_allclose(np.triu(single), np.triu(dense.T @ dense), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.triu(J.cogram(weights)), np.triu((dense * weights) @ dense.T), **TIGHT)
    np.testing.assert_allclose(J.column_sqnorms(), (dense**2).sum(0), **TIGHT)
    forms = np.bincount(groups, np.einsum("ij,ij->j", dense, matrix @ dense))
    np.testing.assert_allclose(J.column_forms(matrix, groups, 3), forms, **TIGHT)
    assert (J.gram_flops(), J.cogram_flops()) == (inner.gram_flops(), inner.cogram_flops())


def test_outputs_and_derivatives():
    d, h = RNG.normal(size=W.shape), 1e-5
    values, slopes = MODEL.outputs_along(W, d, X)
    sides = [NETWORK.predict((W + t * d)[ORDER], X).T for t in (h, -h)]
    np.testing.assert_allclose(slopes, (sides[0] - sides[1]) / (2 * h), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(values, NETWORK.predict(W[ORDER], X).T, **TIGHT)
    u = RNG.normal(size=values.shape)
    np.testing.assert_allclose(MODEL.pulled(W, u, X) @ d, (u * slopes).sum(), rtol=1e-12)
    assert not agree(values, np.full_like(values, np.nan))
    assert not agree(values, values[:, :3])


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("Input", "Softmax", "Sigmoid")])
def test_every_activation_is_told_from_the_others(name):
    kind = LAYERS[name]
    assert layer_of(lambda z: kind.activation.value(z, np.empty_like(z))) is kind
    assert layer_of(lambda z: kind.activation.value(z, np.empty_like(z)) * 1.001) is None


def test_a_bent_output_is_of_the_squared_error_alone():
    model = DenseModel(Input(3) >> Tanh(2) >> Relu(2), np.arange(14))
    problem = model.problem(X, Y, None, None, squared_error)
    assert problem is not None
    assert len(problem.output_layer) == 0
    assert model.problem(X, Y, None, None, Huber()) is None


def test_a_network_that_needs_too_much_memory_is_left_alone(monkeypatch):
    monkeypatch.setattr("marquardt.dense_model.available_bytes", lambda: 1000)
    monkeypatch.setattr("marquardt.dense_model._SMALL", 0)
    assert MODEL.problem(X, Y, None, None, squared_error) is None
