"""Shares sum to one, so that one row of each sample follows from the others: JᵀJ from K − 1 rows."""

import numpy as np
import pytest

from marquardt import Input, Linear, NetworkProblem, Softmax, Tanh
from marquardt.gram import rank_k_cost, structured_cost
from marquardt.losses import cross_entropy, squared_error


def shares_problem(K, n_hidden=25, n_samples=30, **options):
    rng = np.random.default_rng(K)
    X, y = rng.normal(size=(n_samples, 2)), np.eye(K)[rng.integers(K, size=n_samples)]
    network = Input(2) >> Tanh(n_hidden) >> Softmax(K)
    return NetworkProblem(network, X, y, **options), rng.normal(size=network.n_params)


@pytest.mark.parametrize("K", [2, 3, 6])
@pytest.mark.parametrize("weights", ["none", "rows", "entries"])
def test_the_gram_matrix_is_that_of_all_rows(K, weights):
    rng = np.random.default_rng(0)
    own = {"none": None, "rows": rng.uniform(0, 2, 30), "entries": rng.uniform(0.5, 2, (30, K))}[weights]
    problem, w = shares_problem(K, sample_weight=own)
    J = problem.linearize(w).jacobian
    assert J.balanced == (weights != "entries")
    dense = J.dense()
    sums = dense.reshape(K, 30, -1).sum(axis=0)
    assert (np.abs(sums).max() < 1e-12) == J.balanced
    np.testing.assert_allclose(np.triu(J.gram()), np.triu(dense.T @ dense), rtol=1e-11, atol=1e-13)


def test_the_case_is_one_of_explicit_rows():
    problem, w = shares_problem(2)
    J = problem.linearize(w).jacobian
    assert rank_k_cost(problem.n_params, 1) < structured_cost(J.layers)


@pytest.mark.parametrize("K", [2, 3, 6])
def test_contrasts_have_the_products_of_rows_that_sum_to_zero(K):
    problem, w = shares_problem(K)
    layer = problem.linearize(w).jacobian.layers[0]
    contrasts = layer.contrasts().sensitivity
    assert contrasts.shape == (K - 1, *layer.sensitivity.shape[1:])
    products = [np.einsum("kan,kbn->abn", rows, rows) for rows in (contrasts, layer.sensitivity)]
    np.testing.assert_allclose(*products, atol=1e-13)


@pytest.mark.parametrize("loss", [squared_error, cross_entropy])
def test_other_rows_are_left_alone(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9, 2))
    output = Linear(2) if loss is squared_error else Softmax(2)
    network = Input(2) >> Tanh(3) >> output
    y = np.eye(2)[rng.integers(2, size=9)]
    J = NetworkProblem(network, X, y, loss=loss).linearize(rng.normal(size=network.n_params)).jacobian
    assert not J.balanced
