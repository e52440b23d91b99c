"""torch-levenberg-marquardt: LevenbergMarquardtModule.training_step on the full batch, float64.

``solve_method="cholesky"`` is the fastest of its three; the damping strategy is its default (1e-3, x10,
/10).  When its own rule says stop (damping at 1e10) the run ends.
"""

from __future__ import annotations

import logging

import numpy as np

from adapters.run import Run, Stopwatch


def prepare(task):
    import torch
    import torch_levenberg_marquardt as tlm

    logging.getLogger("torch_levenberg_marquardt").setLevel(
        logging.ERROR
    )  # it warns at every failed Cholesky
    torch.set_num_threads(1)
    kinds = {"tanh": torch.nn.Tanh, "logistic": torch.nn.Sigmoid, "softmax": lambda: torch.nn.Softmax(dim=-1)}
    X, y = torch.tensor(task.X), torch.tensor(task.y)

    def model(w: np.ndarray) -> torch.nn.Sequential:
        parts: list[torch.nn.Module] = []
        layers = task.unpack(w)
        for k, (W, b) in enumerate(layers):
            linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
            linear.weight.data, linear.bias.data = torch.tensor(W), torch.tensor(b)
            parts.append(linear)
            kind = task.output if k == len(layers) - 1 else task.activation
            if kind != "linear":
                parts.append(kinds[kind]())
        return torch.nn.Sequential(*parts)

    def flat(net: torch.nn.Sequential) -> np.ndarray:
        blocks = [torch.cat([m.weight, m.bias[:, None]], 1) for m in net if isinstance(m, torch.nn.Linear)]
        return torch.cat([block.ravel() for block in blocks]).detach().numpy()

    def solve(w0: np.ndarray, cap: float) -> Run:
        net = model(w0)
        watch, steps, goal_mse = Stopwatch(cap), 0, task.goal_sse / task.n_residuals
        module = tlm.training.LevenbergMarquardtModule(net, tlm.loss.MSELoss(), solve_method="cholesky")
        while True:
            _, loss, stop, _ = module.training_step(X, y)
            steps += 1
            reached = float(loss) <= goal_mse
            if reached or stop or watch.expired:
                return watch.run(flat(net), steps, reached, "its own stop" if stop else "cap")

    solve(task.draw(10**6), 0.05)
    return solve
