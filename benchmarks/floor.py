"""Figure 1: one accepted iteration of the dense solver over the least any such iteration must do.

    python benchmarks/floor.py [--large]

The floor is measured in the same process, in turn with the iterations: BLAS dsyrk of an N x p matrix, LAPACK
dpotrf of a p x p one, and one forward and one backward pass (the gradient) in plain NumPy.  The default
iteration does more than that: acceleration costs another pass and back-substitution, the re-solve of the
output layer another.  "float64" is the iteration by `Cholesky`, which is the default below 300 parameters;
above, that is `MixedCholesky`, whose factor in float32 goes below this floor.  "plain" is float64 without
acceleration and re-solve.  A ratio below 1 is possible there too, since the structured Gram matrix of a layer
takes half the flops of dsyrk.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf

from marquardt import MLP, Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.linsolve import Cholesky
from table import duration, save, table
from tasks import Task, xavier

FLOAT64 = {"solver": Cholesky()}
PLAIN = {**FLOAT64, "acceleration": None, "resolve_output": False}
SHAPES = [  # sizes, samples, limit of the ratio
    ((10, 8, 1), 1000, 2.0),
    ((4, 16, 1), 1000, 2.0),
    ((10, 50, 1), 4000, 1.3),
    ((8, 60, 1), 2500, 1.3),
    ((6, 20, 20, 1), 2500, 1.3),
    ((20, 40, 20, 1), 8000, 1.3),
    ((10, 30, 30, 1), 6000, 1.3),
]
LARGE = [((8, 64, 64, 1), 20000, 1.3)]


def make(sizes: tuple[int, ...], n_samples: int) -> Task:
    """A smooth function with a little noise, so that iterations go on."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (n_samples, sizes[0]))
    y = np.sin(3 * X[:, :2]).sum(1, keepdims=True) * np.cos(X @ rng.normal(size=(sizes[0], 1)))
    y += 0.05 * rng.normal(size=y.shape)
    return Task("floor", X, y, sizes[1:-1], 0.0, xavier)


def typical(call: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds: on one thread that is the wall time of an idle machine."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def gradient(task: Task, w: np.ndarray) -> list[np.ndarray]:
    """One forward and one backward pass, as everybody writes them."""
    layers = task.unpack(w)
    inputs = [task.X]
    for W, b in layers[:-1]:
        inputs.append(np.tanh(inputs[-1] @ W.T + b))
    delta = inputs[-1] @ layers[-1][0].T + layers[-1][1] - task.y
    parts = []
    for k in range(len(layers) - 1, -1, -1):
        parts += [delta.T @ inputs[k], delta.sum(0)]
        if k:
            delta = (delta @ layers[k][0]) * (1 - inputs[k] ** 2)
    return parts


def floor_parts(task: Task, repeats: int) -> dict[str, float]:
    rng = np.random.default_rng(1)
    p, n = task.n_params, len(task.X)
    rows, columns = np.asfortranarray(rng.normal(size=(n, p))), np.asfortranarray(rng.normal(size=(p, n)))
    gram = np.zeros((p, p), order="F")
    layouts = [
        lambda: dsyrk(1.0, rows, c=gram, trans=1, overwrite_c=1),
        lambda: dsyrk(1.0, columns, c=gram, trans=0, overwrite_c=1),
    ]
    parts = {"dsyrk": min(typical(layout, repeats) for layout in layouts)}
    gram += p * np.eye(p)
    work, w = np.empty_like(gram, order="F"), task.draw(0)

    def factor() -> None:
        np.copyto(work, gram)
        dpotrf(work, overwrite_a=1, clean=0)

    parts["dpotrf"] = typical(factor, repeats)
    parts["gradient"] = typical(lambda: gradient(task, w), repeats)
    return parts


def iteration(task: Task, problem: NetworkProblem, iterations: int, options: dict) -> float:
    """Median CPU seconds of an iteration without rejected trials."""
    clock: list[float] = []
    stopping = Stopping(max_iter=iterations, cost_tolerance=0, step_tolerance=0, gradient_tolerance=0)
    history = minimize(
        problem,
        task.draw(0),
        stopping=stopping,
        callback=lambda _: clock.append(time.process_time()),
        **options,
    ).history
    clean = history.column("rejected")[1:] == 0
    return float(np.median(np.diff(clock)[clean])) if clean.any() else np.nan


def driver_parts(task: Task, problem: NetworkProblem, repeats: int) -> dict[str, float]:
    """What each piece of an iteration costs, called one by one."""
    w = task.draw(0)
    at = problem.linearize(w)
    system = Cholesky().prepare(at.jacobian, None, None)
    damping = 1e-3 * float(at.jacobian.column_sqnorms().max())
    factor = system.factorize(damping)
    step = factor.solve(at.residual)
    second = problem.second_derivative(at, step)
    return {
        "forward + backward": typical(lambda: problem.linearize(w), repeats),
        "gram": typical(lambda: Cholesky().prepare(at.jacobian, None, None, system.release()), repeats),
        "factor": typical(lambda: system.factorize(damping), repeats),
        "solve": typical(lambda: factor.solve(at.residual, None, at.gradient), repeats),
        "2nd derivative": typical(lambda: problem.second_derivative(at, step), repeats),
        "2nd solve": typical(lambda: factor.solve(second), repeats),
        "cost": typical(lambda: problem.cost(w), repeats),
        "cost + re-solve": typical(
            lambda: problem.cost(problem.resolve_output(w + step, damping, None)), repeats
        ),
    }


def measure(sizes: tuple[int, ...], n_samples: int, limit: float) -> tuple[list[str], list[str], dict]:
    task = make(sizes, n_samples)
    net = MLP([Input(sizes[0]), *[Tanh(units) for units in sizes[1:-1]], Linear(1)])
    problem = NetworkProblem(net, task.X, task.y)
    p, work = task.n_params, n_samples * task.n_params**2
    rounds, repeats, iterations = (9, 15, 15) if work < 1e9 else (5, 5, 8) if work < 1e11 else (2, 2, 4)
    iteration(task, problem, 2, {})
    floors, default, double, plain = [], [], [], []
    for _ in range(rounds):  # in turn
        floors.append(floor_parts(task, repeats))
        default.append(iteration(task, problem, iterations, {}))
        double.append(iteration(task, problem, iterations, FLOAT64))
        plain.append(iteration(task, problem, iterations, PLAIN))
    parts = {key: float(np.median([one[key] for one in floors])) for key in floors[0]}
    bottoms = np.array([sum(one.values()) for one in floors])
    ratios = [float(np.nanmedian(np.array(times) / bottoms)) for times in (default, double, plain)]
    pieces = driver_parts(task, problem, repeats)
    name = "-".join(map(str, sizes))
    row = [name, p, n_samples, duration(np.median(bottoms)), *[f"{r:.2f}" for r in ratios], limit]
    row.append("yes" if max(ratios[:2]) <= limit else "no")
    detail = [name, *[duration(v) for v in [*parts.values(), *pieces.values()]]]
    data = {"sizes": sizes, "n": n_samples, "p": p, "floor": parts, "pieces": pieces, "limit": limit}
    return row, detail, {**data, "default": ratios[0], "float64": ratios[1], "plain": ratios[2]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also 4801 parameters, 20000 rows (minutes)")
    options = parser.parse_args()
    rows, details, data = [], [], []
    for shape in SHAPES + (LARGE if options.large else []):
        row, detail, record = measure(*shape)
        rows.append(row)
        details.append(detail)
        data.append(record)
        print(row, flush=True)
    over = ["default / floor", "float64 / floor", "plain / floor"]
    head = ["network", "p", "N", "floor", *over, "limit", "reached"]
    parts = ["network", "dsyrk", "dpotrf", "gradient", *list(data[0]["pieces"])]
    text = "# One accepted iteration over the floor\n\n" + table(head, rows)
    text += "\n\n## The floor's parts, and the iteration's\n\n" + table(parts, details)
    save("floor", {"shapes": data}, text)


if __name__ == "__main__":
    main()
