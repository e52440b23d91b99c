"""Modules in PyTorch against torch-levenberg-marquardt: one iteration, and the demonstrations of its README.

    python benchmarks/torch_models.py                  # all, 3 starts of each demonstration
    python benchmarks/torch_models.py --starts 1

Both train copies of the same module, solvers in turn, on one thread.  Ours is `fit_module`, with all its
checks, in float64, which recognises multilayer perceptrons and trains them by the network in NumPy; `ours,
unrecognized` is the same with ``structured=False``, as for any other module.  Theirs is
`LevenbergMarquardtModule.training_step`, in the precision said.  Losses are those of the module handed back,
computed in float64 outside of either library.

One iteration: CPU and wall time of a full-batch step, medians.  Demonstrations: CPU time, with its settings,
sinc(10x) on 20 000 points, 61 parameters, batches of 1000, 50 epochs, `solve`; and its network of 1026
parameters for digits (scikit-learn's, 1437 to train on, brought to the 28 x 28 pixels it needs), `qr`,
learning rate 0.05, 120 steps, as many as its 10 epochs of 12 batches.  Ours fits sinc to every tenth point
first, 100 iterations, and then to all, 10; the digits at once, 12.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import copy
import logging
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from marquardt import Stopping
from marquardt.losses import cross_entropy
from marquardt.torch_models import fit_module
from table import duration, ratio, save, table

N_SAMPLES = 4000
STEPS = 8
THEIRS = [
    ("cholesky", torch.float64),
    ("qr", torch.float64),
    ("cholesky", torch.float32),
    ("qr", torch.float32),
]


def dense() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 40), nn.Tanh(), nn.Linear(40, 36), nn.Tanh(), nn.Linear(36, 1))


def wide() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 166), nn.Tanh(), nn.Linear(166, 1))


def images() -> nn.Sequential:
    parts = [nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Conv2d(8, 16, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 1))


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "10-40-36-1": (dense, (10,)),
    "10-166-1": (wide, (10,)),
    "CNN on 8 x 8": (images, (1, 8, 8)),
}


def their_steps(module: nn.Module, method: str, loss: str = "MSELoss", **options):
    """Their trainer of a module, ready to step."""
    import torch_levenberg_marquardt as tlm

    logging.getLogger("torch_levenberg_marquardt").setLevel(logging.ERROR)
    return tlm.training.LevenbergMarquardtModule(
        module, getattr(tlm.loss, loss)(), solve_method=method, **options
    ).training_step


def half_square(module: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return 0.5 * float(((copy.deepcopy(module).double()(X) - y) ** 2).sum())


def their_iteration(start: nn.Module, X, y, method: str, dtype: torch.dtype) -> tuple[float, float, float]:
    """Median CPU and wall seconds of a step, and the cost at the end."""
    module = copy.deepcopy(start).to(dtype)
    step, X_own, y_own = their_steps(module, method), X.to(dtype), y.to(dtype)
    cpu, wall = [], []
    for _ in range(STEPS):
        begin = (time.process_time(), time.perf_counter())
        step(X_own, y_own)
        cpu.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    return float(np.median(cpu)), float(np.median(wall)), half_square(module, X, y)


def our_iteration(start: nn.Module, X, y, structured: bool = True) -> tuple[float, float, float]:
    module, cpu = copy.deepcopy(start), []
    fitted = fit_module(
        module,
        X,
        y,
        structured=structured,
        stopping=Stopping(max_iter=STEPS),
        callback=lambda _: cpu.append(time.process_time()),
    )
    wall = np.diff(fitted.result.history.column("time"))
    return float(np.median(np.diff(cpu))), float(np.median(wall)), half_square(module, X, y)


def iterations(rounds: int) -> tuple[str, list[dict]]:
    rows, data = [], []
    for name, (make, shape) in MODULES.items():
        torch.manual_seed(0)
        start = make()
        X = torch.randn(N_SAMPLES, *shape, dtype=torch.float64)
        flat = X.flatten(1)
        y = torch.sin(flat[:, :1]) * flat[:, 1:2] + torch.cos(2 * flat[:, 2:3])
        solvers = {"ours": partial(our_iteration, start, X, y)}
        if X.dim() == 2:
            solvers["ours, unrecognized"] = partial(our_iteration, start, X, y, structured=False)
        for method, dtype in THEIRS:
            label = f"theirs, {method}, {str(dtype).removeprefix('torch.')}"
            solvers[label] = partial(their_iteration, start, X, y, method, dtype)
        found = {label: [] for label in solvers}
        for _ in range(rounds):
            for label, run in solvers.items():
                found[label].append(run())
        middle = {label: np.median(runs, axis=0) for label, runs in found.items()}
        n_params = sum(parameter.numel() for parameter in start.parameters())
        for label, (cpu, wall, cost) in middle.items():
            mine = label == "ours"
            shorter = (
                "" if mine else ratio(cpu / middle["ours"][0]),
                "" if mine else ratio(wall / middle["ours"][1]),
            )
            rows.append([name, n_params, label, duration(cpu), duration(wall), *shorter, f"{cost:.3g}"])
            print(rows[-1], flush=True)
        data.append({"module": name, "n_params": n_params, "runs": found})
    header = [
        "module",
        "parameters",
        "solver",
        "CPU",
        "wall",
        "CPU ratio",
        "wall ratio",
        f"cost, {STEPS} steps",
    ]
    return table(header, rows), data


def their_demonstration(module, batches, loss, method, options, mean) -> dict:
    step = their_steps(module, method, loss, **options)
    begin = time.process_time()
    for X, y in batches:
        if step(X, y)[2]:  # its own rule says stop
            break
    seconds = time.process_time() - begin
    return {"seconds": seconds, "loss": mean(module)}


def our_demonstration(module, X, y, goal: float, mean, stages, **options) -> dict:
    """Fits to every k-th row with so many iterations, one `stage` after the other, the last to all; and the
    CPU time at which the mean loss of all rows fell below `goal`."""
    passed: list[float] = []
    begin = time.process_time()

    def note(record):
        if record.cost / len(X) < goal and not passed:
            passed.append(time.process_time() - begin)

    for every, steps in stages:
        stopping, callback = Stopping(max_iter=steps), note if every == 1 else None
        fitted = fit_module(module, X[::every], y[::every], stopping=stopping, callback=callback, **options)
    seconds = time.process_time() - begin
    after = passed[0] if passed else float("inf")
    return {"seconds": seconds, "loss": mean(module), "passed": after, "message": fitted.message}


def shuffled(X, y, size: int, epochs: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(X), generator=generator)
        for start in range(0, len(X), size):
            yield X[order[start : start + size]], y[order[start : start + size]]


def sinc(seed: int) -> tuple[dict, dict]:
    X = torch.linspace(-1, 1, 20_000)[:, None]
    y = torch.sinc(10 * X)
    torch.manual_seed(seed)
    start = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))

    def mean(module):
        return 2 * half_square(module, X.double(), y.double()) / len(X)

    batches = shuffled(X, y, 1000, 50, seed)
    theirs = their_demonstration(copy.deepcopy(start), batches, "MSELoss", "solve", {}, mean)
    ours = our_demonstration(copy.deepcopy(start), X, y, theirs["loss"] / 2, mean, [(10, 100), (1, 10)])
    return theirs, ours


def digits_network() -> nn.Sequential:
    parts: list[nn.Module] = [nn.Conv2d(1, 8, 4, stride=2), nn.ELU(), nn.Conv2d(8, 4, 4, stride=2), nn.ELU()]
    for _ in range(3):
        parts += [nn.Conv2d(4, 4, 2), nn.ELU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(16, 10))


def digits(seed: int) -> tuple[dict, dict]:
    data = load_digits()
    X = F.interpolate(torch.tensor(data.images / 16, dtype=torch.float32)[:, None], (28, 28), mode="bilinear")
    y = torch.tensor(data.target)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(seed))
    train, test = order[:1437], order[1437:]
    torch.manual_seed(seed)
    start = digits_network()

    def outputs(module, rows):
        with torch.no_grad():
            return copy.deepcopy(module).double()(X[rows].double())

    def mean(module):
        return float(F.cross_entropy(outputs(module, train), y[train]))

    options = {"learning_rate": 0.05, "attempts_per_step": 10, "max_batch_size": 200}
    modules = copy.deepcopy(start), copy.deepcopy(start)
    batches = ((X[train], y[train]) for _ in range(120))
    theirs = their_demonstration(modules[0], batches, "CrossEntropyLoss", "qr", options, mean)
    ours = our_demonstration(
        modules[1],
        X[train],
        y[train],
        theirs["loss"],
        mean,
        [(1, 12)],
        loss=cross_entropy,
    )
    for module, result in zip(modules, (theirs, ours), strict=True):
        right = outputs(module, test).argmax(dim=1) == y[test]
        result["accuracy"] = float(right.double().mean())
    return theirs, ours


def demonstrations(starts: int) -> tuple[str, dict]:
    rows, data = [], {}
    for name, run in {"sinc, mean squared error": sinc, "digits, cross-entropy": digits}.items():
        data[name] = [run(seed) for seed in range(starts)]
        for seed, (theirs, ours) in enumerate(data[name]):
            accuracy = f"{theirs['accuracy']:.3f} / {ours['accuracy']:.3f}" if "accuracy" in ours else ""
            rows.append(
                [
                    name,
                    seed,
                    f"{theirs['loss']:.3g}",
                    duration(theirs["seconds"]),
                    f"{ours['loss']:.3g}",
                    duration(ours["seconds"]),
                    duration(ours["passed"]),
                    accuracy,
                ]
            )
            print(rows[-1], flush=True)
    header = [
        "demonstration",
        "start",
        "their loss",
        "CPU time",
        "our loss",
        "CPU time",
        "their loss passed after",
        "right on test rows",
    ]
    return table(header, rows), data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="of the iteration table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peer's own
    torch.set_num_threads(1)
    iteration_text, iteration_data = iterations(options.rounds)
    demonstration_text, demonstration_data = demonstrations(options.starts)
    text = "\n\n".join(
        [
            f"# Modules in PyTorch {torch.__version__}, on a CPU, against torch-levenberg-marquardt",
            f"## One iteration, {N_SAMPLES} rows (goal: at least 3x), and the cost after {STEPS}",
            iteration_text,
            "## The demonstrations of its README (goal: a lower loss in less time)",
            demonstration_text,
            "No GPU was at hand: the way of `fit_module` on one is tested on the CPU only.",
        ]
    )
    save("torch_models", {"iterations": iteration_data, "demonstrations": demonstration_data}, text)


if __name__ == "__main__":
    main()
