"""A module in PyTorch gives the numbers of the NumPy network with the same weights."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from marquardt import Input, Linear, Logistic, NetworkProblem, Softmax, Stopping, Swish, Tanh, minimize
from marquardt.jacobian import DenseJacobian, KhatriRaoJacobian
from marquardt.linsolve import QR, Cholesky, Dual
from marquardt.losses import Huber, cross_entropy, squared_error
from marquardt.output_seed import OutputSeed
from marquardt.torch_models import DeviceCholesky, fit_module, module_on_data
from marquardt.torch_models.streamed_jacobian import StreamedJacobian
from torch_modules import twin

CASES = {
    "robust": (Input(3) >> Tanh(4) >> Linear(2), Huber(0.5)),
    "one output": (Input(3) >> Tanh(4) >> Linear(1), squared_error),
    "deep, two outputs": (Input(3) >> Swish(5) >> Tanh(4) >> Linear(2), squared_error),
    "softmax": (Input(3) >> Logistic(4) >> Softmax(3), cross_entropy),
    "logistic": (Input(3) >> Tanh(4) >> Logistic(1), cross_entropy),
}
KINDS = {"by layers": KhatriRaoJacobian, "whole": DenseJacobian, "in chunks": StreamedJacobian}
N = 23
cases = pytest.mark.parametrize(("network", "loss"), CASES.values(), ids=CASES)
kinds = pytest.mark.parametrize("kind", KINDS)
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def pair(network, loss, kind="by layers", monkeypatch=None, weights="rows"):
    """The NumPy problem and its twin, with a prior; in chunks means 5 samples of rows, 9 of a pass."""
    rng = np.random.default_rng(0)
    X, K = rng.normal(size=(N, network.n_inputs)), network.n_outputs
    y = rng.normal(size=(N, K))
    if loss is cross_entropy:
        y = np.eye(K)[rng.integers(K, size=N)] if K > 1 else rng.integers(2, size=(N, 1)).astype(float)
    w = 0.5 * rng.normal(size=network.n_params)
    w.flags.writeable = False
    sample_weight = {
        "rows": rng.uniform(0.5, 2.0, N),
        "none": None,
        "entries": rng.uniform(0, 2, (N, K)).round(),
    }
    if kind == "in chunks":
        monkeypatch.setattr(module_on_data, "ROW_BYTES", 5 * 8 * network.n_params * network.n_outputs)
        monkeypatch.setattr(module_on_data, "PASS_SAMPLES", 9)
    own = NetworkProblem(network, X, y, sample_weight=sample_weight[weights], alpha=0.3, loss=loss)
    problem = twin(network, w, X, y, sample_weight[weights], 0.3, loss)
    problem.find_structure(w)
    assert problem.layers is not None and problem.output_layer is not None
    if kind != "by layers":
        problem.layers = None
    return w, own, problem


@cases
@kinds
def test_first_and_second_order(network, loss, kind, monkeypatch):
    w, own, problem = pair(network, loss, kind, monkeypatch)
    expected, at = own.linearize(w), problem.linearize(w)
    assert isinstance(at.jacobian, KINDS[kind])
    np.testing.assert_allclose(problem.cost(w), own.cost(w), rtol=1e-12)
    for name in ("cost", "residual", "gradient", "offset"):
        np.testing.assert_allclose(getattr(at, name), getattr(expected, name), **TIGHT, err_msg=name)
    np.testing.assert_allclose(problem.gradient(w), expected.gradient, **TIGHT)
    d = np.random.default_rng(1).normal(size=len(w))
    np.testing.assert_allclose(problem.second_derivative(at, d), own.second_derivative(expected, d), **TIGHT)


@cases
@kinds
def test_the_jacobian_and_its_products(network, loss, kind, monkeypatch):
    w, own, problem = pair(network, loss, kind, monkeypatch)
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
    """Cost by cost, with acceleration."""
    w, own, problem = pair(network, loss, "whole")
    options = {"solver": solver, "resolve_output": False, "stopping": Stopping(max_iter=15)}
    expected, found = minimize(own, w, **options), minimize(problem, w, **options)
    assert found.n_iter == expected.n_iter
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)
    np.testing.assert_allclose(found.w, expected.w, rtol=1e-7, atol=1e-9)


@cases
@kinds
def test_the_same_training_with_the_output_layer_solved_again(network, loss, kind, monkeypatch):
    w, own, problem = pair(network, loss, kind, monkeypatch)
    options = {"stopping": Stopping(max_iter=15)}
    expected, found = minimize(own, w, **options), minimize(problem, w, **options)
    assert found.n_iter == expected.n_iter
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)


@pytest.mark.parametrize("weights", ["none", "entries"])
def test_other_weights(weights):
    w, own, problem = pair(*CASES["deep, two outputs"], weights=weights)
    expected, found = (minimize(one, w, stopping=Stopping(max_iter=9)) for one in (own, problem))
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)


@cases
def test_the_device_solver_gives_the_same_step_and_determinants(network, loss):
    w, own, problem = pair(network, loss, "whole")
    at = problem.linearize(w)
    scale = np.linspace(0.5, 2.0, len(w))
    mine = DeviceCholesky().prepare(at.jacobian, own.prior, scale).factorize(0.7)
    theirs = Cholesky().prepare(at.jacobian, own.prior, scale).factorize(0.7)
    rhs = (at.residual, at.offset)
    np.testing.assert_allclose(mine.solve(*rhs), theirs.solve(*rhs), rtol=1e-9)
    np.testing.assert_allclose(mine.logdet(), theirs.logdet(), rtol=1e-12)
    np.testing.assert_allclose(mine.trace_inverse(), theirs.trace_inverse(), rtol=1e-10)
    np.testing.assert_allclose(mine.inverse_diagonal(), theirs.inverse_diagonal(), rtol=1e-10)


def test_the_jacobian_on_a_device(monkeypatch):
    """The Gram matrix summed by PyTorch, as on an accelerator."""
    w, own, problem = pair(*CASES["deep, two outputs"], "in chunks", monkeypatch)
    monkeypatch.setattr(problem.model, "on_host", False)
    gram = problem.linearize(w).jacobian.gram()
    np.testing.assert_allclose(np.triu(gram), np.triu(own.linearize(w).jacobian.gram()), **TIGHT)
    options = {"resolve_output": False, "stopping": Stopping(max_iter=9)}
    found = minimize(problem, w, solver=DeviceCholesky(), **options)
    expected = minimize(own, w, **options)
    np.testing.assert_allclose(found.history.column("cost"), expected.history.column("cost"), rtol=1e-10)


def images():
    parts = [torch.nn.Conv2d(1, 3, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(48, 1)]
    return torch.nn.Sequential(*parts)


class AsksForFloat64(torch.nn.Module):
    """Runs in float64 only: a constant is made in it by name."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(3, 8), torch.nn.Linear(8, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)) @ torch.eye(8, dtype=torch.float64))


@pytest.mark.parametrize(("make", "runs"), [(images, True), (AsksForFloat64, False)])
def test_rows_in_float32_where_the_module_runs_in_it(make, runs):
    """Rounded once or at every operation: what `MixedCholesky` keeps is J to a few units of float32."""
    torch.manual_seed(0)
    module = make()
    X = torch.randn(7, *((1, 6, 6) if runs else (3,)), dtype=torch.float64)
    problem = fit_module(module, X, torch.zeros(7, 1), stopping=Stopping(max_iter=0)).problem
    w = problem.model.function.layout.pack()
    jacobian = StreamedJacobian(problem.model, w, OutputSeed(np.ones((1, 7)), 1))
    kept = jacobian.in_single()
    assert kept.rows.dtype == np.float32 and problem.model.runs_in_single is runs
    J = jacobian.dense()
    np.testing.assert_allclose(kept.rows, J, atol=1e-5 * np.abs(J).max())
    v = np.random.default_rng(0).normal(size=J.shape[1])
    np.testing.assert_allclose(kept.mv(v), J @ v, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kept.rmv(J @ v), J.T @ (J @ v), rtol=1e-4, atol=1e-4)
