"""First-order steps before Levenberg-Marquardt: the cost never rises on the way."""

import copy
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from marquardt import Stopping, torch_models
from marquardt.torch_models import WarmUp

# What PyTorch computes; multilayer perceptrons of NumPy stand in `test_recognized_torch.py`.
fit_module = partial(torch_models.fit_module, structured=False)
X = torch.linspace(-1, 1, 25, dtype=torch.float64)[:, None]


def draw(seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, generator=generator, dtype=torch.float64)
    y = a * torch.sin((1 + 3 * b) * X) + 0.1 * torch.randn(X.shape, generator=generator, dtype=torch.float64)
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype), y


def cost(module, y):
    with torch.no_grad():
        return 0.5 * float(((copy.deepcopy(module).double()(X) - y) ** 2).sum())


def trained_by_adam(module, y, rate, n_steps=5):
    """The usual loop, in the module's own precision."""
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    own = module[0].weight.dtype
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(X.to(own)), y.to(own)).backward()
        optimizer.step()
    return module


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_hand_over_never_raises_the_cost(dtype):
    """100 modules trained by Adam, at learning rates that are too large too; half of them warmed up again."""
    for seed in range(50):
        module, y = draw(seed, dtype)
        trained_by_adam(module, y, 1e-2 if seed % 2 else 1.0)
        before = cost(module, y)
        warm_up = WarmUp(3, lambda params: torch.optim.Adam(params, lr=0.5)) if seed % 4 < 2 else None
        fitted = fit_module(module, X, y, warm_up=warm_up, stopping=Stopping(max_iter=2))
        assert cost(module, y) <= before * (1 + 1e-12)
        assert fitted.result.history[0].cost <= before * (1 + 1e-12)


def test_a_trained_module_that_cannot_gain_stays_as_it_is():
    """At the optimum rounding to float32 would lose more than the last steps gain."""
    module, y = draw(0, torch.float32)
    fit_module(module, X, y, stopping=Stopping(max_iter=200))
    once = cost(module, y)
    fit_module(module, X, y)
    assert cost(module, y) <= once


def test_the_warm_up_lowers_the_cost_and_returns_the_best():
    still = Stopping(max_iter=0)
    module, y = draw(1)
    start = fit_module(copy.deepcopy(module), X, y, stopping=still).cost
    warm = fit_module(copy.deepcopy(module), X, y, warm_up=WarmUp(100), stopping=still).cost
    wild = WarmUp(20, lambda params: torch.optim.SGD(params, lr=1e6))
    assert warm < 0.5 * start
    assert fit_module(copy.deepcopy(module), X, y, warm_up=wild, stopping=still).cost <= start


def test_it_is_the_path_of_adam():
    """Step for step that of a loop over the module itself, when the loss is the mean over residuals."""
    module, y = draw(2)
    by_hand = copy.deepcopy(module)
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        (0.5 * ((by_hand(X) - y) ** 2).mean()).backward()
        optimizer.step()
    fit_module(module, X, y, warm_up=WarmUp(20), stopping=Stopping(max_iter=0))
    np.testing.assert_allclose(cost(module, y), cost(by_hand, y), rtol=1e-9)
