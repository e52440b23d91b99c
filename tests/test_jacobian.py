"""What a Jacobian offers, each operation against the matrix itself, and both ways to the Gram matrix."""

import numpy as np
import pytest

import marquardt.cogram
import marquardt.gram
import marquardt.jacobian
from marquardt import Cholesky, Input, Linear, Tanh
from marquardt.gram import Scratch, rank_k_cost, rank_k_gram, structured_cost, structured_gram
from marquardt.jacobian import DenseJacobian
from tables import LAYOUTS, case

WEIGHTS = {
    "none": lambda network, rng: None,
    "per layer": lambda network, rng: np.concatenate(
        [np.full(rows * columns, rng.uniform(0.1, 2)) for rows, columns in network.shapes]
    ),
    "per input": lambda network, rng: np.concatenate(
        [np.tile(rng.uniform(0.1, 2, columns), rows) for rows, columns in network.shapes]
    ),
    "per parameter": lambda network, rng: rng.uniform(0.1, 2, network.n_params),
    "with zeros": lambda network, rng: (np.arange(network.n_params) % 3).astype(float),
}


def both_kinds(network, weighted, n_samples=7):
    data = case(network, weighted, n_samples)
    structured = data.problem.linearize(data.w).jacobian
    return structured, DenseJacobian(structured.dense())


@pytest.fixture(params=["one chunk", "chunks of a few rows", "single rows"])
def chunks(request, monkeypatch):
    """Sizes so that sums run over one chunk or tile, over uneven ones, and row by row."""
    size, tile = {"one chunk": (2**24, 256), "chunks of a few rows": (1500, 3), "single rows": (1, 1)}[
        request.param
    ]
    monkeypatch.setattr(marquardt.gram, "CHUNK_BYTES", size)
    monkeypatch.setattr(marquardt.jacobian, "CHUNK_BYTES", size)
    monkeypatch.setattr(marquardt.cogram, "TILE", tile)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)
def test_products_agree_with_the_matrix_and_are_adjoint(network, weighted):
    rng = np.random.default_rng(1)
    for J in both_kinds(network, weighted):
        dense = J.dense()
        assert J.shape == dense.shape == (7 * network.n_outputs, network.n_params)
        v, u = rng.normal(size=J.shape[1]), rng.normal(size=J.shape[0])
        np.testing.assert_allclose(J.mv(v), dense @ v, atol=1e-13)
        np.testing.assert_allclose(J.rmv(u), dense.T @ u, atol=1e-13)
        np.testing.assert_allclose(J.mv(v) @ u, v @ J.rmv(u))
        np.testing.assert_allclose(J.column_sqnorms(), np.square(dense).sum(axis=0), atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)
def test_row_chunks_are_the_matrix_in_order(network, weighted, chunks):
    for J in both_kinds(network, weighted):
        np.testing.assert_array_equal(np.vstack(list(J.row_chunks())), J.dense())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)
def test_every_way_to_the_gram_matrix(network, weighted, chunks):
    J, dense = both_kinds(network, weighted)
    wanted = np.triu(dense.matrix.T @ dense.matrix)
    p, scratch = network.n_params, Scratch()
    for _ in range(2):  # the second time every buffer holds old numbers
        structured, plain, recycled = np.full((3, p, p), np.nan)
        structured_gram(J.layers, structured, scratch)
        rank_k_gram(J.layers, J.n_outputs, plain, scratch)
        assert J.gram(recycled) is recycled
        for got in (structured, plain, recycled, J.gram(), dense.gram()):
            np.testing.assert_allclose(np.triu(got), wanted, atol=1e-13)


def test_the_cheaper_way_to_the_gram_matrix_is_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(marquardt.jacobian, "structured_gram", lambda *_: taken.append("structured"))
    monkeypatch.setattr(marquardt.jacobian, "rank_k_gram", lambda *_: taken.append("rank k"))
    for network in (Input(2) >> Tanh(30) >> Linear(10), Input(20) >> Tanh(2) >> Tanh(2) >> Linear(1)):
        J, _ = both_kinds(network, weighted=False)
        J.gram()
        prices = structured_cost(J.layers), rank_k_cost(network.n_params, network.n_outputs)
        assert (taken.pop() == "structured") == (prices[0] < prices[1])
        assert J.gram_flops() == J.n_samples * min(prices)


def test_the_structured_price_does_not_grow_with_the_number_of_outputs():
    def price(n_outputs):
        J, _ = both_kinds(Input(5) >> Tanh(20) >> Linear(n_outputs), weighted=False)
        return structured_cost(J.layers) / rank_k_cost(J.shape[1], n_outputs)

    assert price(10) < price(2) / 4


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)
def test_the_cogram_matrix_for_every_kind_of_weights(network, weighted, weights, chunks):
    values = WEIGHTS[weights](network, np.random.default_rng(2))
    for J in both_kinds(network, weighted):
        dense = J.dense()
        wanted = np.triu((dense if values is None else dense * values) @ dense.T)
        for _ in range(2):  # the second time the products of the data are remembered
            buffer = np.full((len(wanted), len(wanted)), np.nan)
            assert J.cogram(values, buffer) is buffer
            for got in (J.cogram(values), buffer):
                np.testing.assert_allclose(np.triu(got), wanted, atol=1e-12)
        assert J.cogram_flops() > 0


def test_the_jacobian_of_one_step_does_not_change_with_the_next():
    """Buffers are shared from step to step; what a step handed out must stay."""
    data = case(Input(2) >> Tanh(3) >> Linear(2))
    problem = data.problem
    at = problem.linearize(data.w)
    dense, gradient, r = at.jacobian.dense(), at.gradient.copy(), at.residual.copy()
    system = Cholesky().prepare(at.jacobian, None, None)
    gram = np.triu(system.gram)
    problem.resolve_output(data.w + 1, 0.1, None)
    problem.linearize(data.w + 1).jacobian.gram()
    np.testing.assert_array_equal(at.jacobian.dense(), dense)
    np.testing.assert_array_equal(at.gradient, gradient)
    np.testing.assert_array_equal(at.residual, r)
    np.testing.assert_array_equal(np.triu(system.gram), gram)
