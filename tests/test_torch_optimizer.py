"""Levenberg-Marquardt as an optimizer of PyTorch."""

import copy
import io

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from marquardt import Stopping, minimize
from marquardt.damping import MarquardtMetric, MoreMetric, Nielsen
from marquardt.linsolve import QR
from marquardt.torch_models import LevenbergMarquardt
from marquardt.torch_models.closure_problem import ClosureProblem
from torch_modules import made, module_of, twin


def data(n=30, dtype=torch.float64):
    return made("MLP", n, dtype)


def closure_of(module, X, y):
    own = next(module.parameters()).dtype
    return lambda: module(X.to(own)) - y.to(own)


def cost(module, X, y):
    with torch.no_grad():
        return 0.5 * float((closure_of(module, X, y)() ** 2).sum())


@pytest.mark.parametrize("n", [4, 30, 300], ids=["wide", "rows", "columns"])
def test_the_jacobian_is_that_of_the_network(n):
    """By rows, and, where they are many, by columns."""
    from marquardt import Input, Linear, NetworkProblem, Tanh

    network = Input(2) >> Tanh(3) >> Linear(2)
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), rng.normal(size=network.n_params)
    expected = NetworkProblem(network, X, y).linearize(w)
    module = module_of(network, w)
    params = [parameter for layer in (module[0], module[2]) for parameter in layer.parameters()]
    problem = ClosureProblem(lambda: (module(torch.tensor(X)) - torch.tensor(y)).T, params)
    order = twin(network, w, X, y).model.function.layout
    table = torch.arange(len(w), dtype=torch.float64)
    places = [int(i) for value in order.tensors(table).values() for i in value.flatten()]
    at = problem.linearize(problem.pack())
    np.testing.assert_allclose(at.cost, expected.cost, rtol=1e-13)
    np.testing.assert_allclose(at.gradient, expected.gradient[places], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        at.jacobian.dense(), expected.jacobian.dense()[:, places], rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"damping": Nielsen()}, {"metric": MoreMetric()}, {"metric": MarquardtMetric()}, {"solver": QR()}],
    ids=["default", "Nielsen", "More", "Marquardt", "QR"],
)
def test_steps_are_those_of_the_driver(options):
    """A loop of steps on the full batch is a run of `minimize` on the same residuals."""
    module, X, y = data()
    twin_module = copy.deepcopy(module)
    problem = ClosureProblem(closure_of(twin_module, X, y), list(twin_module.parameters()))
    expected = minimize(
        problem, problem.pack(), resolve_output=False, stopping=Stopping(max_iter=10), **options
    )
    optimizer = LevenbergMarquardt(module.parameters(), **options)
    costs = [float(optimizer.step(closure_of(module, X, y))) for _ in range(10)]
    np.testing.assert_allclose(costs, expected.history.column("cost")[:10], rtol=1e-9)
    np.testing.assert_allclose(cost(module, X, y), expected.cost, rtol=1e-9)
    assert optimizer.record.cost == pytest.approx(expected.cost) and optimizer.message == ""


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_cost_of_a_batch_never_rises(dtype):
    module, X, y = data(60, dtype)
    optimizer = LevenbergMarquardt(module.parameters())
    start = cost(module, X, y)
    for epoch in range(10):
        for rows in torch.randperm(60, generator=torch.Generator().manual_seed(epoch)).split(20):
            before = cost(module, X[rows], y[rows])
            optimizer.step(closure_of(module, X[rows], y[rows]))
            assert cost(module, X[rows], y[rows]) <= before * (1 + 1e-6)
    assert cost(module, X, y) < 0.2 * start
    assert all(parameter.dtype == dtype and parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("metric", [None, MoreMetric()], ids=["identity", "More"])
def test_a_state_dict_goes_on_where_it_was(metric):
    module, X, y = data()
    optimizer = LevenbergMarquardt(module.parameters(), metric=metric)
    for _ in range(4):
        optimizer.step(closure_of(module, X, y))
    file = io.BytesIO()
    torch.save({"module": module.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    kept = torch.load(file, weights_only=True)
    other = data()[0]
    other.load_state_dict(kept["module"])
    again = LevenbergMarquardt(other.parameters(), metric=metric)
    again.load_state_dict(kept["optimizer"])
    costs = [
        [float(one.step(closure_of(own, X, y))) for _ in range(4)]
        for own, one in ((module, optimizer), (other, again))
    ]
    assert costs[0] == costs[1]
    assert again.record.iteration == 8


def test_groups_have_their_own_alpha_and_frozen_parameters_stay():
    module, X, y = data()
    module[0].bias.requires_grad_(False)
    before = module[0].bias.clone()
    groups = [{"params": module[0].parameters(), "alpha": 1e6}, {"params": module[2].parameters()}]
    optimizer = LevenbergMarquardt(groups, alpha=1e-3)
    for _ in range(5):
        optimizer.step(closure_of(module, X, y))
    assert torch.equal(module[0].bias, before)
    sizes = [float(layer.weight.detach().abs().max()) for layer in (module[0], module[2])]
    assert sizes[0] < 1e-3 < sizes[1]


def test_a_schedule_of_the_loop_and_residuals_of_any_shape():
    rate = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    t = torch.linspace(0, 1, 8, dtype=torch.float64).reshape(2, 2, 2)
    optimizer = LevenbergMarquardt([rate])
    for _ in range(10):
        optimizer.step(lambda: torch.exp(-rate * t) - torch.exp(-3 * t))
    assert rate.item() == pytest.approx(3, rel=1e-9)
    optimizer.step(lambda: torch.exp(-rate * t) - torch.exp(-3 * t))
    assert optimizer.message


def test_where_nothing_is_gained_nothing_moves():
    module, X, y = data()
    optimizer = LevenbergMarquardt(module.parameters())
    for _ in range(60):
        optimizer.step(closure_of(module, X, y))
    before = [parameter.clone() for parameter in module.parameters()]
    optimizer.step(lambda: closure_of(module, X, y)() * float("nan"))
    assert all(map(torch.equal, before, module.parameters()))
    assert "not finite" in optimizer.message


FAULTS = {
    "a loss": (lambda module, X, y: (module(X) - y).square().mean(), "returned one number"),
    "nothing": (lambda module, X, y: None, "a NoneType"),
    "constants": (lambda module, X, y: y, "do not depend on the parameters"),
    "random": (lambda module, X, y: module(X) - y + torch.randn_like(y), "gives different residuals"),
}


@pytest.mark.parametrize(("wrong", "message"), FAULTS.values(), ids=FAULTS)
def test_closures_that_are_refused(wrong, message):
    module, X, y = data()
    before = [parameter.clone() for parameter in module.parameters()]
    with pytest.raises(ValueError, match=message):
        LevenbergMarquardt(module.parameters()).step(lambda: wrong(module, X, y))
    assert all(map(torch.equal, before, module.parameters()))


def test_an_exception_of_the_closure_leaves_the_parameters():
    module, X, y = data()
    optimizer, calls = LevenbergMarquardt(module.parameters()), []

    def closure():
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return module(X) - y

    before = [parameter.clone() for parameter in module.parameters()]
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert all(map(torch.equal, before, module.parameters()))


def test_other_faults():
    module, _, _ = data()
    with pytest.raises(ValueError, match="alpha=-1"):
        LevenbergMarquardt(module.parameters(), alpha=-1)
    with pytest.raises(ValueError, match="step needs a closure"):
        LevenbergMarquardt(module.parameters()).step()
    with pytest.raises(TypeError, match="write Nielsen"):
        LevenbergMarquardt(module.parameters(), damping=Nielsen)
