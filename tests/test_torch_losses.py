"""A loss of the user's own by its curvature, and what `fit_module` makes of it."""

import copy
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from marquardt import Stopping, torch_models
from marquardt.losses import cross_entropy
from marquardt.models.activations import Identity
from marquardt.torch_models import ModuleLoss
from marquardt.torch_models.targets import Targets

# What PyTorch computes; multilayer perceptrons of NumPy stand in `test_recognized_torch.py`.
fit_module = partial(torch_models.fit_module, structured=False)
FUNCTIONS = {
    "Poisson": lambda z, y: (z.exp() - y * z - y + y * y.log()).sum(),
    "softmax": lambda z, y: torch.logsumexp(z, 0) - (y * z).sum(),
    "coupled squares": lambda z, y: 0.5 * (z.sum() - y.sum()) ** 2 + ((z - y) ** 2).sum(),
    "quartic": lambda z, y: ((z - y) ** 4).sum(),
}
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_residual_and_seed_give_gradient_and_curvature(function, weighted):
    K, N = 3, 6
    z, y = RNG.normal(size=(K, N)), RNG.dirichlet(np.ones(K), N).T.copy()
    weights = RNG.uniform(0.5, 2, N) if weighted else np.ones(N)
    loss = ModuleLoss(function)(Identity(), y, np.sqrt(weights) if weighted else None)
    seed, residual = loss.seed(z), loss.residual(z)
    values = []
    for n in range(N):
        own, target = torch.tensor(z[:, n]), torch.tensor(y[:, n])
        slope = torch.func.grad(function)(own, target).numpy()
        curvature = torch.func.hessian(function)(own, target).numpy()
        values.append(float(function(own, target)))
        np.testing.assert_allclose(
            seed[:, :, n].T @ residual[:, n], weights[n] * slope, rtol=1e-9, atol=1e-12
        )
        gap = 1e-6 * weights[n] * np.abs(curvature).max()
        np.testing.assert_allclose(seed[:, :, n].T @ seed[:, :, n], weights[n] * curvature, atol=gap)
    np.testing.assert_allclose(loss.cost(z), weights @ values, rtol=1e-12)
    second = loss.second(z, z, z)
    np.testing.assert_allclose(second, np.einsum("kjn,jn->kn", seed, z), rtol=1e-12)


def test_the_cross_entropy_of_ones_own_is_ours():
    """The same Gauss-Newton matrix, whatever its root: the same steps."""
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    X = torch.randn(40, 2)
    y = nn.functional.one_hot((X[:, 0] > 0).long() + (X[:, 1] > 0.5).long())
    options = {"alpha": 0.1, "resolve_output": False, "stopping": Stopping(max_iter=12)}
    own = fit_module(copy.deepcopy(start), X, y, loss=ModuleLoss(FUNCTIONS["softmax"]), **options)
    expected = fit_module(copy.deepcopy(start), X, y, loss=cross_entropy, **options)
    np.testing.assert_allclose(
        own.result.history.column("cost"), expected.result.history.column("cost"), rtol=1e-5
    )


def test_a_poisson_regression_finds_its_rates():
    X = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    rates = torch.exp(1 + 2 * X)
    line = nn.Linear(1, 1).double()
    fitted = fit_module(line, X, rates, loss=ModuleLoss(FUNCTIONS["Poisson"]))
    assert fitted.success
    np.testing.assert_allclose([line.weight.item(), line.bias.item()], [2, 1], rtol=1e-7)


@pytest.mark.parametrize("shift", [1e9, 1.0])
def test_a_loss_below_zero_is_an_error_at_the_start_and_ends_a_run_later(shift):
    line = nn.Linear(1, 1).double()
    nn.init.constant_(line.bias, 1e3)

    def fit():
        loss = ModuleLoss(lambda z, y: ((z - y) ** 2).sum() - shift)
        return fit_module(line, [[1.0], [2.0]], [3.0, 5.0], loss=loss)

    if shift > 1e6:
        with pytest.raises(ValueError, match="the loss is negative"):
            fit()
    else:
        fitted = fit()
        assert not fitted.success and "the loss is negative" in fitted.message


def test_targets_of_images_and_of_one_column():
    images = Targets.of(torch.ones(4, 1, 2, 2), (4, 1, 2, 2), torch.ones(4, 1, 2, 2) * 2, nn.MSELoss())
    assert images.values.shape == (4, 4) and images.weights.shape == (4,)
    column = Targets.of([1, 2, 3], (3, 1), None, nn.MSELoss())
    assert column.values.shape == (3, 1) and column.over_all().cost(np.zeros((1, 3))) == 7.0
