"""`fit_module`: multilayer perceptrons are recognised, and trained by the network in NumPy as by PyTorch."""

import copy
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F

from marquardt import Stopping
from marquardt.damping import MoreMetric
from marquardt.losses import Huber, cross_entropy, squared_error
from marquardt.torch_models import ModuleLoss, WarmUp, fit_module
from marquardt.torch_models.parameter_layout import ParameterLayout
from marquardt.torch_models.problem_from_module import problem_from_module
from marquardt.torch_models.recognition import recognized

RNG = np.random.default_rng(0)
X = torch.tensor(RNG.normal(size=(50, 3)))
Y = torch.sin(X[:, :1] * X[:, 1:2]) + X[:, 2:]
SOME = {"stopping": Stopping(max_iter=8)}


def layered(*sizes, activation=nn.Tanh, dtype=torch.float64):
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        parts += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*parts[:-1]).to(dtype)


class Own(nn.Module):
    """Two layers, and what a user makes of them."""

    def __init__(self, forward, n_hidden=4, n_outputs=1):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, n_hidden), nn.Linear(n_hidden, n_outputs)
        self._forward = forward
        self.double()

    def forward(self, x):
        return self._forward(self, x)


def network_of(module, data=X, loss=squared_error):
    """What `fit_module` would train, without training; None for a module that PyTorch computes."""
    layout = ParameterLayout(module)
    with torch.no_grad():
        y = torch.zeros_like(copy.deepcopy(module).double()(data))
    problem, _ = problem_from_module(module, layout, data, y, loss=loss)
    found = recognized(problem, layout.pack())
    return None if found is None else repr(found.model.network)


# -- which modules -----------------------------------------------------------------------------------


def remembering(m, x):
    m.latest = torch.tanh(m.a(x))
    return m.b(m.latest)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.3, -1.0, 2.0]))
        self.register_buffer("deviation", torch.tensor([[1.0, 2.0, 0.5]]))

    def forward(self, x):
        return (x - self.mean) / self.deviation


TANH = "Input(3) >> Tanh(4) >> Linear(1)"
MODULES = {
    "sequential": (layered(3, 4, 1), TANH),
    "in single precision": (layered(3, 4, 1, dtype=torch.float32), TANH),
    "one layer": (nn.Linear(3, 2).double(), "Input(3) >> Linear(2)"),
    "deep": (layered(3, 5, 4, 2), "Input(3) >> Tanh(5) >> Tanh(4) >> Linear(2)"),
    "nested": (
        nn.Sequential(
            nn.Flatten(), nn.Sequential(nn.Linear(3, 4), nn.Tanh()), nn.Linear(4, 1), nn.Identity()
        ),
        TANH,
    ),
    "in place": (
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 1)),
        "Input(3) >> Relu(4) >> Linear(1)",
    ),
    "dropout that is off": (
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1)).eval(),
        TANH,
    ),
    "a bent output": (
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid()),
        "Input(3) >> Tanh(4) >> Logistic(1)",
    ),
    "softmax": (nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1)), "Input(3) >> Softmax(4)"),
    "softmax as a function": (
        Own(lambda m, x: F.softmax(m.b(torch.tanh(m.a(x))), dim=-1), 4, 2),
        "Input(3) >> Tanh(4) >> Softmax(2)",
    ),
    "softmax by place": (
        Own(lambda m, x: torch.softmax(m.b(m.a(x)), 1), 4, 2),
        "Input(3) >> Linear(4) >> Softmax(2)",
    ),
    "functions": (Own(lambda m, x: m.b(torch.tanh(m.a(x)))), TANH),
    "methods": (Own(lambda m, x: m.b(m.a(x).tanh()).squeeze(-1)), TANH),
    "remembering": (Own(remembering), TANH),
    "another order": (Own(lambda m, x: m.a(torch.tanh(m.b(x))), 3, 3), "Input(3) >> Tanh(3) >> Linear(3)"),
    "scaled inputs": (Own(lambda m, x: m.b(torch.tanh(m.a(1.0 - 2 * x)))), TANH),
    "scaled by a layer": (nn.Sequential(Scaled(), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), TANH),
    "softplus": (
        Own(lambda m, x: m.b(F.softplus(m.a(x), threshold=40.0))),
        "Input(3) >> Softplus(4) >> Linear(1)",
    ),
}
ACTIVATIONS = {
    "Tanh": nn.Tanh(),
    "Logistic": nn.Sigmoid(),
    "Relu": nn.ReLU(),
    "Elu": nn.ELU(),
    "Softplus": nn.Softplus(threshold=40.0),
    "Gelu": nn.GELU(),
    "Swish": nn.SiLU(),
    "Linear": nn.Identity(),
}
FUNCTIONS = {
    "Tanh": [torch.tanh, F.tanh],
    "Logistic": [torch.sigmoid, F.sigmoid, lambda z: z.sigmoid()],
    "Relu": [torch.relu, F.relu, lambda z: z.relu()],
    "Elu": [F.elu],
    "Softplus": [lambda z: F.softplus(z, threshold=40)],
    "Sine": [torch.sin, lambda z: z.sin()],
    "Gelu": [F.gelu],
    "Swish": [F.silu, lambda z: 1.0 * z * torch.sigmoid(z)],
}


@pytest.mark.parametrize(("module", "expected"), MODULES.values(), ids=MODULES)
def test_recognized(module, expected):
    module = copy.deepcopy(module)
    before = [dict(vars(part)) for part in module.modules()]
    assert network_of(module) == expected
    after = [dict(vars(part)) for part in module.modules()]
    assert [sorted(own) for own in after] == [
        sorted({*own, "latest"} if "latest" in now else own) for own, now in zip(before, after, strict=True)
    ]
    assert not any(isinstance(value, torch.fx.Proxy) for own in after for value in own.values())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    module = nn.Sequential(nn.Linear(3, 4), copy.deepcopy(ACTIVATIONS[name]), nn.Linear(4, 1))
    assert network_of(module) == f"Input(3) >> {name}(4) >> Linear(1)"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    for function in FUNCTIONS[name][:2]:
        module = Own(lambda m, x, function=function: m.b(function(m.a(x))))
        expected = f"Input(3) >> {name}(4) >> Linear(1)"
        assert network_of(module) == (None if name == "Swish" and function is not F.silu else expected)


# -- which not ---------------------------------------------------------------------------------------


class Subclass(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Straight(torch.autograd.Function):
    """tanh, and its derivative is said to be 1."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z):
        return torch.tanh(z)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad


def without_gradient(m, x):
    with torch.no_grad():
        hidden = torch.tanh(m.a(x))
    return m.b(hidden)


def tied():
    module = layered(3, 3, 3)
    module[2].weight = module[0].weight
    return module


def frozen():
    module = layered(3, 4, 1)
    module[0].weight.requires_grad_(False)
    return module


def hooked():
    module = layered(3, 4, 1)
    module[1].register_forward_hook(lambda layer, args, output: 2 * output)
    return module


def idle():
    module = layered(3, 4, 1)
    module.register_parameter("idle", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    return module


def after(*parts):
    return lambda: nn.Sequential(nn.Linear(3, 4), *parts, nn.Linear(4, 1))


OTHERS = {
    "a bias that is missing": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1, bias=False)),
    "tied": tied,
    "frozen": frozen,
    "hooked": hooked,
    "an idle parameter": idle,
    "a layer twice": lambda: Own(lambda m, x: m.b(m.a(m.a(x))), 3),
    "skip connection": lambda: Own(lambda m, x: m.b(torch.tanh(m.a(x))) + x[:, :1]),
    "residual": lambda: Own(lambda m, x: m.b(x + torch.tanh(m.a(x))), 3),
    "layers side by side": lambda: Own(lambda m, x: m.a(x) * m.b(x), 3, 3),
    "scaled output": lambda: Own(lambda m, x: 2 * m.b(torch.tanh(m.a(x)))),
    "scaled on the way": lambda: Own(lambda m, x: m.b(2 * m.a(x))),
    "without gradient": lambda: Own(without_gradient),
    "detached": lambda: Own(lambda m, x: m.b(torch.tanh(m.a(x)).detach())),
    "straight through": lambda: Own(lambda m, x: m.b(Straight.apply(m.a(x)))),
    "a branch": lambda: Own(lambda m, x: m.b(torch.tanh(m.a(x))) if x.sum() > 1e9 else m.b(m.a(x))),
    "rounded on the way": lambda: Own(lambda m, x: m.b(torch.tanh(m.a(x)).float().double())),
    "weight norm": lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 1)
    ),
    "subclass": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), Subclass(4, 1)),
    "layer norm": after(nn.LayerNorm(4)),
    "batch norm": lambda: after(nn.BatchNorm1d(4))().eval(),
    "another elu": after(nn.ELU(0.5)),
    "leaky": after(nn.LeakyReLU()),
    "gelu by tanh": after(nn.GELU("tanh")),
    "softplus that is straight beyond 20": after(nn.Softplus()),
    "trained activation": after(nn.PReLU()),
    "softmax within": after(nn.Softmax(dim=1)),
    "softmax of one": lambda: Own(lambda m, x: torch.softmax(m.b(torch.tanh(m.a(x))), 1)),
    "softmax of a function": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Softmax(dim=1)),
    "softmax in another precision": lambda: Own(
        lambda m, x: F.softmax(m.b(m.a(x)), dim=1, dtype=torch.float32), 4, 2
    ),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_not_recognized(make):
    torch.manual_seed(0)
    assert network_of(make().double()) is None


def test_inputs_of_another_shape():
    data = torch.randn(9, 2, 3, dtype=torch.float64)
    assert network_of(nn.Sequential(nn.Flatten(), nn.Linear(6, 1)).double(), data) is None
    assert network_of(nn.Linear(3, 1).double(), data) is None


def test_inputs_that_are_not_finite_are_left_to_torch():
    data = X.abs()
    module = Own(lambda m, x: m.b(torch.tanh(m.a(1 / x))))
    assert network_of(module, data) == TANH
    data[3, 1] = 0.0
    assert network_of(module, data) is None


def test_a_cross_entropy_of_probabilities_is_left_to_torch():
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid()).double()
    assert network_of(module, loss=cross_entropy) is None
    assert network_of(module, loss=Huber()) is None


# -- the same training -------------------------------------------------------------------------------


LABELS = (X[:, 0] > 0).long() + (X[:, 1] > 0)
WEIGHTS = RNG.uniform(0.0, 2.0, size=50).round()
TWO = torch.cat([Y, Y**2], dim=1)
ENTRIES = RNG.uniform(0.5, 2.0, size=(50, 2))
POISSON = ModuleLoss(lambda z, y: (z.exp() - y * z - y + y * y.log()).sum())
FITS = {
    "plain": (layered(3, 6, 1), Y, {}),
    "column": (layered(3, 6, 1), Y[:, 0], {"alpha": {"2": 0.1}, "sample_weight": WEIGHTS}),
    "two outputs": (
        layered(3, 7, 2, activation=nn.SiLU),
        TWO,
        {"alpha": 0.1, "sample_weight": ENTRIES},
    ),
    "three classes": (
        layered(3, 6, 5, 3),
        LABELS,
        {"loss": nn.CrossEntropyLoss(), "alpha": 0.01, "sample_weight": WEIGHTS},
    ),
    "two classes": (layered(3, 6, 1), (Y > 0).double(), {"loss": cross_entropy, "alpha": 0.01}),
    "two labels": (layered(3, 6, 2), (TWO > 0).double(), {"loss": nn.BCEWithLogitsLoss(), "alpha": 0.01}),
    "robust": (layered(3, 6, 1, activation=nn.ELU), Y, {"loss": Huber(0.3)}),
    "a loss of one's own": (layered(3, 6, 1), Y.exp(), {"loss": POISSON}),
    "metric": (layered(3, 6, 1, activation=nn.GELU), Y, {"metric": MoreMetric()}),
    "not solved again": (
        layered(3, 6, 1, activation=nn.ReLU),
        Y,
        {"resolve_output": False, "acceleration": None},
    ),
    "single precision": (layered(3, 6, 1, activation=nn.Sigmoid, dtype=torch.float32), Y, {}),
    "held out": (layered(3, 6, 1), Y, {"validation_data": (X[::2] + 0.1, Y[::2])}),
    "another order": (Own(lambda m, x: m.a(torch.tanh(m.b(x))), 3, 3), X.sin(), {}),
    "a bent output": (layered(3, 6, 2)[:2].append(nn.Linear(6, 1)).append(nn.Sigmoid()).double(), Y, {}),
    "scaled inputs": (
        nn.Sequential(Scaled(), *layered(3, 6, 1)).double(),
        Y,
        {"validation_data": (X[::2] + 0.1, Y[::2])},
    ),
    "shares": (layered(3, 6, 3).append(nn.Softmax(1)), F.one_hot(LABELS).double(), {"alpha": 0.01}),
    "warm-up": (layered(3, 6, 1), Y, {"warm_up": WarmUp(20), "alpha": 0.1}),
}


@pytest.mark.parametrize(("module", "y", "options"), FITS.values(), ids=FITS)
def test_the_same_training(module, y, options):
    modules = copy.deepcopy(module), copy.deepcopy(module)
    found = fit_module(modules[0], X, y, **SOME, **options)
    expected = fit_module(modules[1], X, y, structured=False, **SOME, **options)
    assert found.network is not None and expected.network is None
    assert found.result.status is expected.result.status
    for column in ("cost", "damping", "gradient_norm", "validation_cost"):
        mine, theirs = (fitted.result.history.column(column) for fitted in (found, expected))
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-9, err_msg=column)
    np.testing.assert_allclose(found.result.w, expected.result.w, rtol=1e-6, atol=1e-8)
    at, other = found.result.linearization, expected.result.linearization
    np.testing.assert_allclose(at.gradient, other.gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(at.jacobian.dense(), other.jacobian.dense(), rtol=1e-5, atol=1e-7)
    assert found.notes == expected.notes
    for mine, theirs in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine.detach(), theirs.detach(), rtol=1e-5, atol=1e-6)
    # the problem is the module's own, as ever
    np.testing.assert_allclose(found.problem.cost(found.result.w), found.cost, rtol=1e-10)
    assert (found.problem.layers is None) == (expected.problem.layers is None)
