"""Modules of every kind for the tests, small and smooth, and the twins of networks in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from marquardt.losses import squared_error
from marquardt.torch_models.module_problem import ModuleProblem
from marquardt.torch_models.parameter_layout import ParameterLayout
from marquardt.torch_models.problem_from_module import problem_from_module

ACTIVATIONS = {"Tanh": nn.Tanh, "Logistic": nn.Sigmoid, "Swish": nn.SiLU}


def module_of(network, w) -> nn.Sequential:
    """An MLP in NumPy as a module with the same weights, up to the argument of its output layer."""
    layers = []
    for k, W in enumerate(network.matrices(np.array(w))):
        linear = nn.Linear(W.shape[1] - 1, W.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(W[:, :-1]))
            linear.bias.copy_(torch.tensor(W[:, -1]))
        layers.append(linear)
        if k < len(network.shapes) - 1:
            layers.append(ACTIVATIONS[type(network.layers[k + 1]).__name__]())
    return nn.Sequential(*layers)


def twin(network, w, X, y, sample_weight=None, alpha=0.0, loss=squared_error) -> ModuleProblem:
    """The `ModuleProblem` that equals `NetworkProblem(network, X, y, ...)`, w in the same order."""
    module = module_of(network, w)
    return problem_from_module(module, ParameterLayout(module), X, y, sample_weight, loss, alpha)[0]


class UNet(nn.Module):
    """One level: down, up, and a skip connection; image in, image out."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 3, 3, padding=1)
        self.middle = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        a = torch.tanh(self.down(x))
        b = torch.tanh(self.middle(F.avg_pool2d(a, 2)))
        return self.out(torch.cat([a, self.up(b)], dim=1))


class Recurrent(nn.Module):
    """The mean output of an LSTM, a GRU or a plain recurrence, through a linear head."""

    def __init__(self, kind, **options) -> None:
        super().__init__()
        self.cell = kind(2, 4, batch_first=True, **options)
        self.head = nn.Linear(8 if options.get("bidirectional") else 4, 1)

    def forward(self, x):
        return self.head(self.cell(x)[0].mean(dim=1))


class OwnState(nn.Module):
    """An LSTM whose first state is made by its user, and steps of a cell after it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.cell = nn.GRUCell(3, 2)
        self.head = nn.Linear(2, 1)

    def forward(self, x):
        h = torch.zeros(1, len(x), 3, dtype=x.dtype)
        outputs, _ = self.lstm(x, (h, torch.ones_like(h)))
        state = outputs.new_zeros(len(x), 2)
        for t in range(outputs.shape[1]):
            state = self.cell(outputs[:, t], state)
        return self.head(state)


class Attention(nn.Module):
    """A transformer's encoder layer over a short sequence, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, activation=F.gelu, batch_first=True)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.layer(self.embed(x)).mean(dim=1))


class SkipConnections(nn.Module):
    """Linear layers in a graph, two inputs, one layer without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(2, 4)
        self.b = nn.Linear(3, 4, bias=False)
        self.c = nn.Linear(4, 4)
        self.head = nn.Linear(6, 2)

    def forward(self, x, t):
        h = torch.tanh(self.a(x)) * torch.sigmoid(self.b(t))
        return self.head(torch.cat([x, h + torch.tanh(self.c(h))], dim=1))


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 2, 2),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(8, 1),
    )


def normed() -> nn.Sequential:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    return nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 1))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.SiLU(), nn.Linear(3, 1))


KINDS = {
    "MLP": (mlp, (2,)),
    "CNN": (cnn, (1, 8, 8)),
    "U-Net": (UNet, (1, 4, 4)),
    "LSTM": (lambda: Recurrent(nn.LSTM), (6, 2)),
    "LSTM, two ways, two layers": (
        lambda: Recurrent(nn.LSTM, bidirectional=True, num_layers=2, proj_size=0),
        (4, 2),
    ),
    "GRU": (lambda: Recurrent(nn.GRU), (6, 2)),
    "RNN": (lambda: Recurrent(nn.RNN), (6, 2)),
    "LSTM, own state": (OwnState, (4, 2)),
    "weight norm": (normed, (3,)),
    "attention": (Attention, (5, 2)),
}
"""name -> (maker, shape of a sample)"""


def made(kind, n_samples=12, dtype=torch.float32):
    """A module of the kind, its inputs and targets."""
    torch.manual_seed(0)
    make, shape = KINDS[kind]
    module = make().to(dtype)
    X = torch.randn(n_samples, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        outputs = module(X.to(dtype)).double()
    return (
        module,
        X,
        torch.sin(3 * outputs)
        + 0.3 * torch.cos(X.reshape(n_samples, -1).sum(1)).reshape(-1, *[1] * (outputs.dim() - 1)),
    )
