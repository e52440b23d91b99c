"""A recurrent network in PyTorch on a short series, its gradient watched through time, beside Adam.

    pip install torch
    python examples/recurrent_torch.py

300 values of the Mackey-Glass series; `nn.GRU` reads 20 of them and predicts the next.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from marquardt import Stopping, minimize
from marquardt.apps.sequences import Watched
from marquardt.torch_models import fit_module


def mackey_glass(n: int) -> np.ndarray:
    """x' = 0.2 x(t − 17) / (1 + x(t − 17)¹⁰) − 0.1 x, every second unit of time, less its mean."""
    x, substeps = [1.2] * 171, 10
    for _ in range(2 * substeps * (n + 50)):
        x.append(x[-1] + (0.2 * x[-171] / (1 + x[-171] ** 10) - 0.1 * x[-1]) / substeps)
    series = np.array(x[-2 * substeps * n :: 2 * substeps])
    return series - series.mean()


def windows(series: np.ndarray, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, length, 1) values, and the next one (n, 1)."""
    views = torch.tensor(series).unfold(0, length + 1, 1)
    return views[:, :-1, None].clone(), views[:, -1:].clone()


class Recurrent(nn.Module):
    """A GRU, and a linear answer from its last state."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(1, units, batch_first=True)
        self.head = nn.Linear(units, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(x)[0][:, -1])


def through_time(module: Recurrent, X: torch.Tensor) -> np.ndarray:
    """Norms of ∂ŷ/∂(state j steps before), root mean squares over the windows."""
    state = torch.zeros(1, len(X), module.gru.hidden_size, dtype=X.dtype)
    states = []
    for t in range(X.shape[1]):
        state = module.gru(X[:, t : t + 1], state)[1]  # step by step, to have the states
        states.append(state)
    slopes = torch.autograd.grad(module.head(state[0]).sum(), states)
    return np.array([s.square().sum(-1).mean().sqrt().item() for s in reversed(slopes)])


def root_mean_square(module: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return (module(X) - y).square().mean().sqrt().item()


def by_adam(module: nn.Module, X: torch.Tensor, y: torch.Tensor, seconds: float) -> int:
    """The usual training loop, for so long; how many steps it took."""
    optimizer, begun, steps = torch.optim.Adam(module.parameters(), lr=1e-2), time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        optimizer.zero_grad()
        (module(X) - y).square().mean().backward()
        optimizer.step()
        steps += 1
    return steps


def main(units: int = 5, max_iter: int = 60) -> float:
    X, y = windows(mackey_glass(300), 20)
    X, y, new_X, new_y = X[:200], y[:200], X[200:], y[200:]
    torch.manual_seed(0)
    module, other = Recurrent(units).double(), Recurrent(units).double()
    other.load_state_dict(module.state_dict())

    begun = fit_module(module, X, y, stopping=Stopping(max_iter=0))

    def flow(w: np.ndarray) -> np.ndarray:
        begun.layout.write(w)
        return through_time(module, X)

    watched = Watched(begun.problem, flow)
    start = time.perf_counter()
    result = minimize(watched, begun.result.w, acceleration=None, stopping=Stopping(max_iter=max_iter))
    seconds = time.perf_counter() - start
    begun.layout.write(result.w)
    steps = by_adam(other, X, y, seconds)

    print(result.message)
    print(watched)
    spread = new_y.std().item()
    error = root_mean_square(module, new_X, new_y)
    print(f"Next value of {len(new_y)} new windows, spread {spread:.2g}; {seconds:.1f} s each")
    print(f"  Levenberg-Marquardt, {result.n_iter} iterations: error {error:.2g}")
    print(f"  Adam, {steps} steps: error {root_mean_square(other, new_X, new_y):.2g}")
    return error / spread


if __name__ == "__main__":
    torch.set_num_threads(1)  # so small a network gains nothing from more
    main()
