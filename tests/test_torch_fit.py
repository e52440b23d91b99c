"""`fit_module`: modules of every kind, data in every form, and what becomes of the parameters."""

import copy
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.func import functional_call, jacrev
from torch.utils.data import DataLoader, TensorDataset

from marquardt import Stopping, torch_models
from marquardt.linsolve import Auto, Dual
from marquardt.losses import Huber, cross_entropy
from marquardt.torch_models import module_on_data
from marquardt.torch_models.double_precision import double_precision
from marquardt.torch_models.parameter_layout import ParameterLayout
from marquardt.torch_models.problem_from_module import problem_from_module
from torch_modules import KINDS, SkipConnections, made, mlp

# What PyTorch computes; multilayer perceptrons of NumPy stand in `test_recognized_torch.py`.
fit_module = partial(torch_models.fit_module, structured=False)
FEW = Stopping(max_iter=15)
kinds = pytest.mark.parametrize("kind", KINDS)


def half_square(module, X, y):
    with torch.no_grad():
        return 0.5 * float(((copy.deepcopy(module).double()(X) - y) ** 2).sum())


@kinds
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_every_kind_trains(kind, mode):
    module, X, y = made(kind)
    module.train(mode == "train")
    fitted = fit_module(module, X, y, stopping=FEW)
    costs = fitted.result.history.column("cost")
    assert fitted.module is module and module.training == (mode == "train")
    assert not fitted.notes or "own precision" in fitted.notes[0]
    assert (np.diff(costs) < 0).all() and costs[-1] < 0.2 * costs[0]
    assert all(value.dtype == torch.float32 and value.grad is None for value in module.parameters())
    np.testing.assert_allclose(half_square(module, X, y), fitted.cost, rtol=1e-3, atol=1e-10)


@kinds
@pytest.mark.parametrize("by_sample", [True, False], ids=["vmap", "one by one"])
def test_derivatives_are_those_of_the_whole_batch(kind, by_sample, monkeypatch):
    """Against the reverse derivative of all outputs at once, and a difference of the cost."""
    monkeypatch.setattr(module_on_data, "PASS_SAMPLES", 5)
    module, X, y = made(kind, n_samples=6, dtype=torch.float64)
    layout = ParameterLayout(module)
    problem, notes = problem_from_module(module, layout, X, y)
    assert not notes and problem.model.function.by_sample
    problem.model.function.by_sample = by_sample
    w = layout.pack()
    at = problem.linearize(w)
    params = {name: value.detach() for name, value in module.named_parameters()}
    with double_precision():  # attention written out
        whole = jacrev(lambda own: functional_call(module, own, (X,)).flatten(1).T.reshape(-1))(params)
    dense = layout.fill(whole, torch.empty(at.jacobian.shape, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(at.jacobian.dense(), dense, rtol=1e-9, atol=1e-12)
    d = np.random.default_rng(0).normal(size=len(w))
    h = 1e-4
    numeric = (
        problem.linearize(w + h * d).residual - 2 * at.residual + problem.linearize(w - h * d).residual
    ) / h**2
    second = problem.second_derivative(at, d)
    np.testing.assert_allclose(second, numeric, atol=2e-5 * max(1, np.abs(numeric).max()))


def two_inputs(n=30):
    rng = np.random.default_rng(0)
    x, t = torch.tensor(rng.normal(size=(n, 2))), torch.tensor(rng.normal(size=(n, 3)))
    return x, t, torch.stack([torch.sin(x[:, 0] * t[:, 1]), t[:, 2] ** 2], dim=1)


class Dicts(torch.utils.data.Dataset):
    def __len__(self):
        return 30

    def __getitem__(self, i):
        x, t, y = two_inputs()
        return {"x": x[i], "t": t[i], "label": y[i]}


def test_data_in_every_form_is_the_same_fit():
    x, t, y = two_inputs()
    forms = {
        "tuple": ((x, t), y),
        "arrays": ([x.numpy(), t.numpy()], y.numpy()),
        "dict": ({"x": x, "t": t}, y),
        "loader": (DataLoader(TensorDataset(x, t, y), batch_size=8), None),
        "loader of dicts": (DataLoader(Dicts(), batch_size=7), "label"),
    }
    torch.manual_seed(0)
    module = SkipConnections().double()
    costs = {}
    for form, data in forms.items():
        fitted = fit_module(copy.deepcopy(module), *data, stopping=FEW)
        costs[form] = fitted.cost
        assert fitted.problem.layers is not None and fitted.problem.output_layer is not None
    np.testing.assert_allclose(list(costs.values()), costs["tuple"], rtol=1e-9)


def test_a_graph_of_linear_layers_has_the_derivatives_of_the_module():
    x, t, y = two_inputs()
    torch.manual_seed(0)
    module = SkipConnections().double()
    layout = ParameterLayout(module)
    problem, _ = problem_from_module(module, layout, (x, t), y)
    w = layout.pack()
    plain = problem.linearize(w)
    problem.find_structure(w)
    assert problem.layers is not None
    by_layers = problem.linearize(w)
    np.testing.assert_allclose(by_layers.jacobian.dense(), plain.jacobian.dense(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("inplace", "last"),
    [(False, nn.Identity()), (True, nn.Identity()), (True, nn.ReLU(inplace=True))],
    ids=str,
)
def test_operations_in_place(inplace, last):
    """They write over what a linear layer gave: then rows of the Jacobian are made."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 6), nn.ReLU(inplace), nn.Linear(6, 1), last).double()
    nn.init.constant_(module[2].bias, 50.0)  # the last unit is active everywhere near the start
    X = torch.randn(50, 2)
    fitted = fit_module(module, X, X.abs().sum(1), stopping=FEW)
    assert (fitted.problem.layers is None) == inplace
    assert (fitted.problem.output_layer is None) == isinstance(last, nn.ReLU)
    own = half_square(module, X.double(), X.double().abs().sum(1)[:, None])
    np.testing.assert_allclose(own, fitted.cost, atol=1e-9)
    assert fitted.cost < 0.01 * fitted.result.history[0].cost


def test_what_is_frozen_stays_and_only_the_rest_is_w():
    module, X, y = made("MLP", 30)
    module[0].weight.requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    fitted = fit_module(module, X, y, stopping=FEW)
    assert fitted.problem.n_params == sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert torch.equal(module[0].weight, before["0.weight"])
    assert not torch.equal(module[0].bias, before["0.bias"])
    assert fitted.cost < fitted.result.history[0].cost


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.register_buffer("shift", torch.tensor([0.5, -0.5]))

    def forward(self, x):
        return self.second(torch.tanh(self.first(x))) + self.shift


def test_tied_weights_are_one_parameter_and_buffers_are_kept():
    torch.manual_seed(0)
    module, X = Tied(), torch.randn(20, 2)
    y = torch.sin(X)
    fitted = fit_module(module, X, y, stopping=FEW)
    assert fitted.problem.n_params == 4 + 2 + 2
    assert module.second.weight is module.first.weight
    assert torch.equal(module.shift, torch.tensor([0.5, -0.5]))
    np.testing.assert_allclose(half_square(module, X.double(), y.double()), fitted.cost, rtol=1e-3)
    assert fitted.cost < fitted.result.history[0].cost


def test_dtypes_and_devices_are_each_their_own():
    module = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).to(torch.bfloat16)
    module[2].double()
    X = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    fit_module(module, X, torch.sin(X[:, :1]), stopping=FEW)
    assert [value.dtype for value in module.parameters()] == [torch.bfloat16] * 2 + [torch.float64] * 2


def test_a_batch_norm_in_evaluation_mode_trains_its_own_parameters():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1))
    X = torch.randn(40, 2)
    module(X)
    average = module.eval()[1].running_mean.clone()
    fitted = fit_module(module, X, torch.sin(X[:, 0]), stopping=FEW)
    assert fitted.cost < 0.1 * fitted.result.history[0].cost
    assert torch.equal(module[1].running_mean, average) and fitted.problem.output_layer is not None


def test_classes_by_label_or_one_hot_and_the_losses_of_torch():
    torch.manual_seed(0)
    X = torch.randn(60, 2)
    labels = (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long()
    start = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    options = {"alpha": 0.01, "stopping": FEW}
    fits = [
        fit_module(copy.deepcopy(start), X, y, loss=loss, **options)
        for y in (labels, nn.functional.one_hot(labels))
        for loss in (cross_entropy, nn.CrossEntropyLoss())
    ]
    np.testing.assert_allclose([fitted.cost for fitted in fits], fits[0].cost, rtol=1e-12)
    with torch.no_grad():
        z = fits[0].module(X.double())
        expected = nn.functional.cross_entropy(z, labels, reduction="sum")
        expected += 0.005 * sum(
            (start[i].weight ** 2).sum() * 0 + (fits[0].module[i].weight ** 2).sum() for i in (0, 2)
        )
    np.testing.assert_allclose(float(expected), fits[0].cost, rtol=1e-9)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (nn.HuberLoss(delta=0.3), Huber(0.3)),
        (nn.BCEWithLogitsLoss(), cross_entropy),
    ],
    ids=["Huber", "logits"],
)
def test_losses_of_torch_are_those_of_ours(theirs, ours):
    module, X, y = made("MLP", 30, torch.float64)
    y = torch.sigmoid(y) if ours is cross_entropy else y
    costs = [fit_module(copy.deepcopy(module), X, y, loss=loss, stopping=FEW).cost for loss in (theirs, ours)]
    assert costs[0] == costs[1]


def test_alpha_by_name_and_validation():
    module, X, y = made("MLP", 40)
    fitted = fit_module(
        module,
        X[:30],
        y[:30],
        alpha={"0": 0.5, "4.bias": 2.0},
        validation_data=(X[30:], y[30:]),
        stopping=FEW,
    )
    expected = np.zeros(fitted.problem.n_params)
    expected[: 5 * 3], expected[-1] = 0.5, 2.0
    np.testing.assert_array_equal(fitted.problem.prior, expected)
    assert np.isfinite(fitted.result.history.column("validation_cost")).all()


def test_validation_by_a_loader_and_a_module_that_is_compiled():
    module, X, y = made("MLP", 40)
    held_out = DataLoader(TensorDataset(X[30:], y[30:]), batch_size=4)
    options = {"stopping": FEW}
    expected = fit_module(copy.deepcopy(module), X[:30], y[:30], validation_data=(X[30:], y[30:]), **options)
    compiled = nn.Module()  # as torch.compile wraps one
    compiled._orig_mod = module
    fitted = fit_module(compiled, X[:30], y[:30], validation_data=held_out, **options)
    assert fitted.module is compiled
    np.testing.assert_allclose(
        fitted.result.history.column("validation_cost"), expected.result.history.column("validation_cost")
    )


def test_settings_of_the_user_are_untouched():
    module, X, y = made("MLP", 20)
    seed = torch.get_rng_state()
    with torch.inference_mode():
        fit_module(module, X, y, stopping=Stopping(max_iter=2))
    with torch.no_grad():
        fit_module(module, X, y, stopping=Stopping(max_iter=2))
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert torch.equal(seed, torch.get_rng_state())
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())


@kinds
def test_acceleration_by_default_and_by_choice(kind):
    module, X, y = made(kind, dtype=torch.float64)
    by_default = fit_module(copy.deepcopy(module), X, y, stopping=FEW)
    chosen = fit_module(copy.deepcopy(module), X, y, acceleration=True, stopping=FEW)
    taken = [any(one.result.history.column("accelerated")) for one in (by_default, chosen)]
    assert taken == [kind == "MLP", True] and chosen.problem.model.function.bends


def test_many_parameters_and_few_rows_take_the_dual():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv1d(1, 40, 5), nn.Tanh(), nn.Flatten(), nn.Linear(40 * 4, 1))
    X = torch.randn(15, 1, 8)
    fitted = fit_module(module.double(), X, X.sum((1, 2)), alpha=1e-6, stopping=FEW)
    at = fitted.result.linearization
    assert isinstance(Auto().choose(at.jacobian), Dual)
    assert fitted.cost < 1e-3 * fitted.result.history[0].cost


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_run_keeps_the_best(error):
    module, X, y = made("MLP", 30, torch.float64)

    def stop(record):
        if record.iteration == 3:
            raise error

    fitted = fit_module(module, X, y, callback=stop)
    assert fitted.result.n_iter == 3
    np.testing.assert_allclose(half_square(module, X, y), fitted.cost, rtol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_fit_is_that_of_the_cpu():
    torch.manual_seed(0)
    module, X, y = made("CNN", 200, torch.float64)
    expected = fit_module(copy.deepcopy(module), X, y, resolve_output=False, stopping=Stopping(max_iter=5))
    found = fit_module(
        copy.deepcopy(module).cuda(), X, y, resolve_output=False, stopping=Stopping(max_iter=5)
    )
    np.testing.assert_allclose(found.cost, expected.cost, rtol=1e-7)
    assert next(found.module.parameters()).is_cuda
    assert mlp  # the MLP has no path of its own there
