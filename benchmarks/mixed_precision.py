"""Mixed precision against float64: time of an iteration, and where whole fits come to.

    python benchmarks/mixed_precision.py [--rounds 3] [--starts 4]

Both take the same starts, in turn, on one thread; only `solver` differs.  The first table counts 12
iterations, the second 60, in which fits without noise pass to dampings for which float32 is too coarse.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from collections.abc import Callable

import numpy as np

from marquardt import MLP, Glorot, Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.linsolve import Cholesky, LinearSolver, MixedCholesky
from table import duration, ratio, save, table
from tasks import friedman1000, uci

Array = np.ndarray
SOLVERS: dict[str, LinearSolver] = {"float64": Cholesky(), "mixed": MixedCholesky()}
SIZES = [((25,), 2000), ((50,), 4000), ((90,), 4000), ((166,), 4000), ((30, 25), 4000), ((40, 36), 4000)]
Start = Callable[[int], Array]


def friedman(hidden: tuple[int, ...], rows: int, noise: float, alpha: float) -> tuple[NetworkProblem, Start]:
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(rows, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    network = MLP([Input(10), *map(Tanh, hidden), Linear(1)])
    y = (y - 14.4) / 4.9 + noise * rng.standard_normal(rows)
    problem = NetworkProblem(network, 2 * X - 1, y, alpha=alpha)
    return problem, lambda seed: Glorot().draw(network, np.random.default_rng(seed))


def fits() -> dict[str, tuple[NetworkProblem, Start]]:
    small, energy, concrete = friedman1000(), uci("energy", 50), uci("concrete", 50)
    return {
        "Friedman 10-20-1, 1000 rows": (small.problem(), small.draw),
        "energy 8-50-1, 768 rows": (energy.problem(), energy.draw),
        "concrete 8-50-1, 1030 rows": (concrete.problem(), concrete.draw),
        "Friedman 10-50-1, 4000 rows, noise": friedman((50,), 4000, 0.1, 0.0),
        "the same, alpha 0.01": friedman((50,), 4000, 0.1, 0.01),
        "Friedman 10-20-20-1, 4000 rows, noise": friedman((20, 20), 4000, 0.1, 0.0),
    }


def run(problem: NetworkProblem, w0: Array, solver: LinearSolver, iterations: int) -> tuple[float, float]:
    """CPU seconds and cost."""
    begun = time.process_time()
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=iterations))
    return time.process_time() - begun, result.cost


def iterations(rounds: int) -> tuple[list[list[str]], dict]:
    rows, data = [], {}
    for hidden, n in SIZES:
        problem, start = friedman(hidden, n, 0.1, 0.01)
        found = {name: [] for name in SOLVERS}
        for _ in range(rounds):
            for name, solver in SOLVERS.items():
                found[name].append(run(problem, start(1), solver, 12)[0] / 12)
        double, mixed = (min(found[name]) for name in SOLVERS)
        name = "-".join(map(str, (10, *hidden, 1)))
        data[f"{name}, {n} rows"] = found
        cells = [duration(double), duration(mixed), ratio(double / mixed)]
        rows.append([name, str(n), str(problem.n_params), *cells])
        print(rows[-1], flush=True)
    return rows, data


def whole(starts: int) -> tuple[list[list[str]], dict]:
    rows, data = [], {}
    for name, (problem, start) in fits().items():
        found = {kind: [] for kind in SOLVERS}
        for seed in range(starts):
            for kind, solver in SOLVERS.items():
                found[kind].append(run(problem, start(seed), solver, 60))
        seconds = [float(np.median([one for one, _ in found[kind]])) for kind in SOLVERS]
        costs = [f"{np.median([cost for _, cost in found[kind]]):.4g}" for kind in SOLVERS]
        data[name] = found
        cells = [*map(duration, seconds), ratio(seconds[0] / seconds[1]), *costs]
        rows.append([name, str(problem.n_params), *cells])
        print(rows[-1], flush=True)
    return rows, data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=4)
    options = parser.parse_args()
    first, one = iterations(options.rounds)
    second, other = whole(options.starts)
    head = ["network", "rows", "parameters", "float64", "mixed", "faster"]
    fit_head = ["fit of 60 iterations", "parameters", "float64", "mixed", "faster", "cost, float64", "mixed"]
    tables = f"## An iteration\n\n{table(head, first)}\n\n## A fit\n\n{table(fit_head, second)}"
    save("mixed_precision", {"iterations": one, "fits": other}, f"# Mixed precision\n\n{tables}")


if __name__ == "__main__":
    main()
