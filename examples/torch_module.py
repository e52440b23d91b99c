"""A PyTorch CNN trained by Adam, and handed over to Levenberg-Marquardt.

    pip install marquardt torch
    python examples/torch_module.py

The network tells where a bright spot lies in a noisy picture.  It stays a float32 module: `fit_module`
computes in float64 and writes the parameters back.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from marquardt import Stopping
from marquardt.torch_models import fit_module


def spots(n_samples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (n, 1, 10, 10) of a spot, and its center (n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    center = 2 + 5 * torch.rand(n_samples, 2, generator=generator)
    pixels = torch.arange(10.0)
    x, y = ((pixels[None] - c[:, None]) ** 2 for c in center.T)
    spot = torch.exp(-(x[:, None, :] + y[:, :, None]) / 4)
    return spot[:, None] + 0.01 * torch.randn(n_samples, 1, 10, 10, generator=generator), center


def by_adam(module: nn.Module, X: torch.Tensor, y: torch.Tensor, n_steps: int) -> None:
    """The usual training loop."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(X), y).backward()
        optimizer.step()


def error(module: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float((module(X) - y).square().mean().sqrt())


def main() -> None:
    torch.manual_seed(0)
    train, test = spots(600, seed=1), spots(2000, seed=2)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(24, 2),
    )
    start = time.perf_counter()
    by_adam(module, *train, n_steps=1000)
    middle = time.perf_counter()
    print("root mean squared error in pixels: training, new pictures")
    print(f"  Adam, 1000 steps             {error(module, *train):.4f} {error(module, *test):.4f}", end="")
    print(f"   {middle - start:.1f} s")
    fitted = fit_module(module, *train, alpha=1e-3, stopping=Stopping(max_iter=40))
    steps = fitted.result.n_iter
    print(
        f"  and Levenberg-Marquardt, {steps:3d} {error(module, *train):.4f} {error(module, *test):.4f}",
        end="",
    )
    print(f"   {time.perf_counter() - middle:.1f} s")


if __name__ == "__main__":
    main()
