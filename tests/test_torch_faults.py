"""What is wrong with a module is found before training and said with the layer and the remedy."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from marquardt import Stopping
from marquardt.losses import cross_entropy
from marquardt.torch_models import ModuleLoss, WarmUp, fit_module, module_function
from marquardt.torch_models.module_on_data import ModuleOnData
from torch_modules import Recurrent, made

FEW = Stopping(max_iter=3)
X = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2)
y = X.sum(dim=1, keepdim=True)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Made(nn.Module):
    """A linear layer and something done to its output."""

    def __init__(self, do, **buffers):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.do = do
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, x):
        return self.do(self, self.linear(x))


def counted(module, z):
    module.calls.add_(1)
    return z


def replaced(module, z):
    module.calls = module.calls + 1.0
    return z


def remembered(module, z):
    module.__dict__["seen"] = module.__dict__.get("seen", 0) + 1
    return z + module.__dict__["seen"]


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


def integers():
    module = nn.Linear(2, 1)
    module.weight = nn.Parameter(torch.ones(1, 2, dtype=torch.int64), requires_grad=False)
    module.bias = None
    return module


def shifted_nan():
    module = nn.Linear(2, 1)
    nn.init.constant_(module.bias, float("nan"))
    return module


MODULES = {
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)),
        r"layer '1' \(BatchNorm1d\).*module.eval\(\)",
    ),
    "batch norm without averages": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(),
        r"layer '1' \(BatchNorm1d\).*no running averages.*LayerNorm",
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.3)),
        r"layer '1' \(Dropout\).*p=0.3.*eval",
    ),
    "dropout of an LSTM": (
        lambda: Recurrent(nn.LSTM, num_layers=2, dropout=0.1),
        r"layer 'cell' \(LSTM\).*drops at random",
    ),
    "dropout of attention": (
        lambda: nn.TransformerEncoderLayer(2, 1, 4),
        r"'self_attn' \(MultiheadAttention\).*drops at random",
    ),
    "functional dropout": (
        lambda: Made(lambda m, z: nn.functional.dropout(z, 0.5)),
        "the module gives different values for the same parameters",
    ),
    "noise": (
        lambda: nn.Sequential(nn.Linear(2, 1), Noise(), nn.Tanh()),
        "the layer '1' of the module gives different values",
    ),
    "a buffer changed in place": (
        lambda: Made(counted, calls=torch.zeros(1)),
        "stateful: its buffer 'calls' changes",
    ),
    "a buffer replaced": (
        lambda: Made(replaced, calls=torch.zeros(1)),
        "stateful: its buffer 'calls' changes",
    ),
    "state in Python": (lambda: Made(remembered), "different values for the same parameters"),
    "the batch's own mean": (
        lambda: Made(lambda m, z: z - z.mean()),
        "output for a sample depends on the other samples",
    ),
    "a fixed number of samples": (
        lambda: Made(lambda m, z: z if len(z) > 1 else z.reshape(3, 1)),
        "cannot take a single sample",
    ),
    "a tuple": (lambda: nn.LSTM(2, 1), "returns a tuple: wrap it in a module that returns one tensor"),
    "no axis of samples": (lambda: Made(lambda m, z: z.mean()), r"returns shape \(\) for 3 samples"),
    "integers out": (lambda: Made(lambda m, z: z.round().long()), "returns torch.int64"),
    "no outputs": (lambda: Made(lambda m, z: z[:, :0]), "no outputs to fit"),
    "wrong shape": (lambda: nn.Linear(2, 3), r"returns shape \(20, 3\), but y has shape \(20, 1\)"),
    "no parameters": (nn.Tanh, "has no parameters"),
    "all frozen": (
        lambda: nn.Linear(2, 1).requires_grad_(False),
        r"no parameter .* weight \(float32\), bias",
    ),
    "integer parameters": (integers, r"weight \(int64\).*integers have no derivative"),
    "complex parameters": (lambda: nn.Linear(2, 1, dtype=torch.complex64), "'weight' is complex"),
    "NaN parameters": (shifted_nan, "'bias' holds NaN"),
    "lazy": (lambda: nn.LazyLinear(1), "'weight' has no shape yet: call the module once"),
    "no device": (lambda: nn.Linear(2, 1, device="meta"), "'meta'"),
}


@pytest.mark.parametrize(("make", "message"), MODULES.values(), ids=MODULES)
def test_modules_that_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit_module(make(), X, y)


DATA = {
    "rows": ((X, y[:7]), {}, "X has 20 rows and y has 7"),
    "no y": ((X,), {}, "y is missing"),
    "NaN in X": ((X * float("nan"), y), {}, "X holds 40 NaN"),
    "NaN in y": ((X, y * float("inf")), {}, "y holds .* infinite"),
    "no rows": ((X[:0], y[:0]), {}, "X has no rows"),
    "different lengths": (((X, X[:3]), y), {}, "the first axis of each must count the samples"),
    "complex": ((X + 1j, y), {}, "X is complex"),
    "words": ((["a", "b"], y), {}, "X must be numbers"),
    "a number": ((torch.tensor(1.0), y), {}, "X is one number"),
    "negative weights": ((X, y), {"sample_weight": -torch.ones(20)}, "negative"),
    "too few weights": ((X, y), {"sample_weight": torch.ones(3)}, "sample_weight has shape"),
    "alpha": ((X, y), {"alpha": -1.0}, "alpha=-1.0 must be"),
    "alpha of nothing": ((X, y), {"alpha": {"head": 1.0}}, "alpha names 'head'.*weight, bias"),
    "a loss by name": ((X, y), {"loss": "mse"}, "loss='mse' must be"),
    "a loss of torch": ((X, y), {"loss": nn.L1Loss()}, r"loss=L1Loss\(\) must be"),
    "class weights": ((X, y), {"loss": nn.BCEWithLogitsLoss(pos_weight=torch.ones(1))}, "has pos_weight"),
    "an option": ((X, y), {"stoping": None}, "stoping"),
    "a shuffled loader": (
        (DataLoader(TensorDataset(X, y)),),
        {"sample_weight": torch.ones(20)},
        "which may shuffle",
    ),
    "a loader of inputs": ((DataLoader(TensorDataset(X)),), {}, "its dataset needs targets"),
    "an empty loader": ((DataLoader(TensorDataset(X[:0], y[:0])),), {}, "gives no batch"),
}


@pytest.mark.parametrize(("data", "options", "message"), DATA.values(), ids=DATA)
def test_data_that_are_refused(data, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit_module(nn.Linear(2, 1), *data, **options)


def test_dicts_without_a_named_target_and_labels_that_are_none():
    loader = DataLoader([{"x": X[0], "label": y[0]}])
    with pytest.raises(ValueError, match=r"dicts with 'x', 'label': name the target, y=\"...\""):
        fit_module(nn.Linear(2, 1), loader, "target")
    with pytest.raises(ValueError, match="class labels from 0 to 2"):
        fit_module(nn.Linear(2, 3), X, torch.arange(20), loss=cross_entropy)
    with pytest.raises(ValueError, match=r"needs outputs \(n_samples, n_classes\)"):
        fit_module(nn.Conv1d(1, 2, 1), X[:, None], y, loss=cross_entropy)
    with pytest.raises(ValueError, match="one weight a sample"):
        loss = ModuleLoss(lambda z, y: ((z - y) ** 2).sum())
        fit_module(nn.Linear(2, 2), X, X, loss=loss, sample_weight=torch.rand(20, 2))


def test_a_start_that_is_not_finite_ends_with_a_status_and_changes_nothing():
    module = Made(lambda m, z: torch.log(z - 100))
    before = module.linear.weight.clone()
    fitted = fit_module(module, X, y)
    assert not fitted.success and "NaN or infinity for 20 of 20 samples" in fitted.message
    assert torch.equal(before, module.linear.weight)


def test_nan_on_the_way_is_a_rejected_step():
    module = Made(lambda m, z: torch.log(z - m.edge), edge=torch.tensor([-3.0]))
    target = torch.log(X @ torch.tensor([[0.7], [0.2]], dtype=torch.float64) + 3.0)
    fitted = fit_module(module.double(), X, target, stopping=Stopping(max_iter=50))
    assert fitted.cost < 1e-20 and np.isfinite(fitted.result.w).all()


@pytest.mark.parametrize("structured", [True, False])
def test_parameters_without_influence_are_named(structured):
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        module[0].bias[:] = torch.tensor([10.0, -100.0])
    fitted = fit_module(module, X, y, stopping=FEW, structured=structured)
    assert (fitted.network is not None) == structured
    assert "4 of 9 parameters have no influence" in fitted.message
    assert "0.weight[1, 0], 0.weight[1, 1], 0.bias[1], 2.weight[0, 1]" in fitted.message


def test_a_module_that_ignores_its_input():
    fitted = fit_module(Made(lambda m, z: z * 0 + m.linear.bias), X, y, stopping=FEW)
    assert "ignores its inputs" in fitted.message
    assert "2 of 3 parameters have no influence on the outputs: linear.weight[0, 0]" in fitted.message


def test_outputs_in_single_precision_are_noted():
    fitted = fit_module(Made(lambda m, z: z.float()), X, y, stopping=FEW)
    assert "returns torch.float32" in fitted.message


class Own(torch.autograd.Function):
    """Without a rule for vmap, and without a forward mode."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, g):
        return g * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2)


def test_a_function_that_vmap_cannot_take_falls_back_to_single_rows():
    torch.manual_seed(0)
    own = Made(lambda m, z: Own.apply(z)).double()
    plain = Made(lambda m, z: torch.tanh(z)).double()
    plain.load_state_dict(own.state_dict())
    options = {"alpha": 0.1, "stopping": Stopping(max_iter=20)}
    found, expected = (
        fit_module(module, X, 0.5 * y, acceleration=False, **options) for module in (own, plain)
    )
    assert "one by one" in found.message and not expected.notes
    np.testing.assert_allclose(found.cost, expected.cost, rtol=1e-9)
    J, twin = (fitted.problem.linearize(fitted.result.w).jacobian for fitted in (found, expected))
    v = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(J.mv(v), J.dense() @ v, rtol=1e-12)
    np.testing.assert_allclose(J.dense(), twin.dense(), rtol=1e-6)
    accelerated = fit_module(own, X, 0.5 * y, alpha=0.2, acceleration=True, stopping=FEW)
    assert "no second directional derivative" in accelerated.message


def test_memory_that_runs_out_makes_smaller_chunks(monkeypatch):
    module, inputs, targets = made("CNN", 150, torch.float64)
    expected = fit_module(made("CNN", 150, torch.float64)[0], inputs, targets, stopping=FEW)
    for name in ("_rows", "outputs"):
        whole = getattr(module_function.ModuleFunction, name)

        def small(self, params, call, *more, whole=whole):
            if len(call[0][0]) > 70:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(self, params, call, *more)

        monkeypatch.setattr(module_function.ModuleFunction, name, small)
    fitted = fit_module(module, inputs, targets, stopping=FEW)
    assert "ran out of memory for 150 samples at once: went on with 75" in fitted.message
    assert "with 37" in fitted.message
    np.testing.assert_allclose(fitted.cost, expected.cost, rtol=1e-9)


def test_memory_that_runs_out_for_one_sample_is_an_error(monkeypatch):
    module, inputs, targets = made("CNN", 4)

    def none(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ModuleOnData, "outputs", none)
    with pytest.raises(torch.OutOfMemoryError):
        fit_module(module, inputs, targets)


def test_a_warm_up_of_a_negative_number_of_steps():
    with pytest.raises(ValueError, match="n_steps=-1"):
        WarmUp(-1)


def test_without_torch_the_message_gives_the_command():
    code = "import sys; sys.modules['torch'] = None\nimport marquardt.torch_models"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install torch" in ran.stderr.splitlines()[-1]


def test_the_package_does_not_import_torch():
    code = "import marquardt, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
