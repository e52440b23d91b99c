"""A model in JAX gives the numbers of the NumPy network with the same weights."""

import numpy as np
import pytest

pytest.importorskip("jax")

from jax_networks import twin
from marquardt import Input, Linear, Logistic, NetworkProblem, Softmax, Stopping, Swish, Tanh, minimize
from marquardt.jax_models import DeviceCholesky, SampleProblem, model_on_data
from marquardt.jax_models.streamed_jacobian import StreamedJacobian
from marquardt.linsolve import QR, Cholesky, Dual
from marquardt.losses import Huber, cross_entropy, squared_error
from marquardt.problem import Linearization

CASES = {
    "robust": (Input(3) >> Tanh(4) >> Linear(2), Huber(0.5)),
    "one output": (Input(3) >> Tanh(4) >> Linear(1), squared_error),
    "deep, two outputs": (Input(3) >> Swish(5) >> Tanh(4) >> Linear(2), squared_error),
    "softmax": (Input(3) >> Logistic(4) >> Softmax(3), cross_entropy),
    "logistic": (Input(3) >> Tanh(4) >> Logistic(1), cross_entropy),
}
N = 23
cases = pytest.mark.parametrize(("network", "loss"), CASES.values(), ids=CASES)
chunked = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "in chunks"])
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def data(network, loss):
    rng = np.random.default_rng(0)
    X, K = rng.normal(size=(N, network.n_inputs)), network.n_outputs
    y = rng.normal(size=(N, K))
    if loss is cross_entropy:
        y = np.eye(K)[rng.integers(K, size=N)] if K > 1 else rng.integers(2, size=(N, 1)).astype(float)
    w = 0.5 * rng.normal(size=network.n_params)
    w.flags.writeable = False
    return w, X, y, rng.uniform(0.5, 2.0, N)


def pair(network, loss, streamed=False, monkeypatch=None, weighted=True):
    """The NumPy problem and its twin, with a prior; `streamed` makes chunks of 5 samples."""
    w, X, y, weights = data(network, loss)
    own = NetworkProblem(network, X, y, sample_weight=weights if weighted else None, alpha=0.3, loss=loss)
    if streamed:
        monkeypatch.setattr(model_on_data, "ROW_BYTES", 5 * 8 * network.n_params * network.n_outputs)
        monkeypatch.setattr(model_on_data, "PASS_SAMPLES", 9)
    return w, own, twin(network, w, X, y, weights if weighted else None, own.prior, loss)


@cases
@chunked
def test_first_and_second_order(network, loss, streamed, monkeypatch):
    w, own, problem = pair(network, loss, streamed, monkeypatch)
    expected, at = own.linearize(w), problem.linearize(w)
    assert isinstance(at.jacobian, StreamedJacobian) == streamed
    np.testing.assert_allclose(problem.cost(w), own.cost(w), rtol=1e-12)
    for name in ("cost", "residual", "gradient", "offset"):
        np.testing.assert_allclose(getattr(at, name), getattr(expected, name), **TIGHT, err_msg=name)
    np.testing.assert_allclose(problem.gradient(w), expected.gradient, **TIGHT)
    d = np.random.default_rng(1).normal(size=len(w))
    np.testing.assert_allclose(problem.second_derivative(at, d), own.second_derivative(expected, d), **TIGHT)


@cases
@chunked
def test_the_jacobian_and_its_products(network, loss, streamed, monkeypatch):
    w, own, problem = pair(network, loss, streamed, monkeypatch)
    expected, J = own.linearize(w).jacobian, problem.linearize(w).jacobian
    rng = np.random.default_rng(2)
    n, p = expected.shape
    v, u, weights = rng.normal(size=p), rng.normal(size=n), rng.uniform(1, 2, p)
    groups = np.arange(p) % 3
    matrix = np.cov(rng.normal(size=(n, 2 * n)))
    dense = expected.dense()
    assert J.shape == dense.shape
    np.testing.assert_allclose(J.dense(), dense, **TIGHT)
    np.testing.assert_allclose(np.vstack(list(J.row_chunks())), dense, **TIGHT)
    np.testing.assert_allclose(J.mv(v), dense @ v, **TIGHT)
    np.testing.assert_allclose(J.rmv(u), dense.T @ u, **TIGHT)
    np.testing.assert_allclose(np.triu(J.gram()), np.triu(dense.T @ dense), **TIGHT)
    np.testing.assert_allclose(np.triu(J.cogram()), np.triu(dense @ dense.T), **TIGHT)
    np.testing.assert_allclose(np.triu(J.cogram(weights)), np.triu((dense * weights) @ dense.T), **TIGHT)
    np.testing.assert_allclose(J.column_sqnorms(), (dense**2).sum(0), **TIGHT)
    forms = np.bincount(groups, np.einsum("ij,ij->j", dense, matrix @ dense))
    np.testing.assert_allclose(J.column_forms(matrix, groups, 3), forms, **TIGHT)


@cases
@pytest.mark.parametrize("solver", [Cholesky(), Dual(), QR(), DeviceCholesky()], ids=repr)
def test_the_same_training(network, loss, solver):
    """Cost by cost, with acceleration; from here on the output layer is solved again as well."""
    w, own, problem = pair(network, loss)
    options = {"solver": solver, "resolve_output": False, "stopping": Stopping(max_iter=15)}
    expected, found = minimize(own, w, **options), minimize(problem, w, **options)
    assert found.n_iter == expected.n_iter
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)
    np.testing.assert_allclose(found.w, expected.w, rtol=1e-7, atol=1e-9)


@cases
@chunked
def test_the_same_training_with_the_output_layer_solved_again(network, loss, streamed, monkeypatch):
    w, own, problem = pair(network, loss, streamed, monkeypatch)
    monkeypatch.setattr("marquardt.jax_models.affine_block._pays", lambda model, q: True)
    problem.find_affine_block(w)
    assert problem.affine is not None
    assert list(problem.affine.entries) == list(range(len(w))[network.blocks[-1]])
    options = {"stopping": Stopping(max_iter=15)}
    expected, found = minimize(own, w, **options), minimize(problem, w, **options)
    assert found.n_iter == expected.n_iter
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)


@cases
def test_the_device_solver_gives_the_same_step_and_determinants(network, loss):
    w, own, problem = pair(network, loss)
    at: Linearization = problem.linearize(w)
    scale = np.linspace(0.5, 2.0, len(w))
    mine = DeviceCholesky().prepare(at.jacobian, own.prior, scale).factorize(0.7)
    theirs = Cholesky().prepare(at.jacobian, own.prior, scale).factorize(0.7)
    rhs = (at.residual, at.offset)
    np.testing.assert_allclose(mine.solve(*rhs), theirs.solve(*rhs), rtol=1e-9)
    np.testing.assert_allclose(mine.logdet(), theirs.logdet(), rtol=1e-12)
    np.testing.assert_allclose(mine.trace_inverse(), theirs.trace_inverse(), rtol=1e-10)
    np.testing.assert_allclose(mine.inverse_diagonal(), theirs.inverse_diagonal(), rtol=1e-10)


def test_the_jacobian_on_a_device(monkeypatch):
    """The Gram matrix summed by JAX, as on an accelerator."""
    network, loss = CASES["deep, two outputs"]
    w, own, problem = pair(network, loss)
    monkeypatch.setattr(problem.model, "on_host", False)
    at = problem.linearize(w)
    assert isinstance(at.jacobian, StreamedJacobian)
    np.testing.assert_allclose(
        np.triu(at.jacobian.gram()), np.triu(own.linearize(w).jacobian.gram()), **TIGHT
    )
    found = minimize(problem, w, solver=DeviceCholesky(), resolve_output=False, stopping=Stopping(max_iter=9))
    expected = minimize(own, w, resolve_output=False, stopping=Stopping(max_iter=9))
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)


def test_compiled_once_and_never_again():
    """Neither from iteration to iteration nor from one problem to the next of the same shape."""
    network, loss = Input(3) >> Tanh(7) >> Linear(1), squared_error  # in no other test
    w, _, problem = pair(network, loss)
    problem.find_affine_block(w)
    minimize(problem, w, stopping=Stopping(max_iter=3))
    functions = problem.model.functions
    compiled = functions.n_traces
    assert compiled <= 4  # outputs, rows, second derivative, rows of the output layer
    minimize(problem, 0.9 * w, stopping=Stopping(max_iter=30))
    assert functions.n_traces == compiled
    _, X, y, _ = data(network, loss)
    other = SampleProblem(
        model_on_data.ModelOnData(functions, problem.model.constants, X[::-1], N, 1),
        squared_error(network.layers[-1].activation, y.T, None),
    )
    minimize(other, w, stopping=Stopping(max_iter=3))
    assert functions.n_traces == compiled
