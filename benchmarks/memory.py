"""Figure 5: the dense solver's peak memory, in p x p matrices, whatever the number of rows.

    python benchmarks/memory.py

tracemalloc sees every NumPy array.  "solver" is the peak while the system is built, factorised and solved,
beyond what the linearised problem holds before (inputs and activations).  It should stay under 3 p x p and
64 MB.  "iterations" is the peak of three whole iterations of the default step beyond the data, and
"activations" the part of it that any such driver holds: input, argument, slope and sensitivity of every
layer, at the old point and at the trial point.  A whole run should stay below these and what the solver is
allowed.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import tracemalloc
from collections.abc import Callable

import numpy as np

from marquardt import MLP, Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.linsolve import Cholesky
from table import save, table

CHUNK = 64 * 2**20
CASES = [
    ((10, 50, 1), (1000, 10_000, 100_000)),
    ((20, 40, 20, 1), (2000, 20_000, 100_000)),
    ((16, 50, 40, 1), (4000, 40_000)),
    ((20, 30, 5), (2000, 20_000, 100_000)),
]


def activations(sizes: tuple[int, ...], n: int) -> int:
    """Bytes of one pass: [A; 1] into each layer after the first, Z, slope, and one sensitivity an output."""
    hidden, outputs = sum(sizes[1:-1]), sizes[-1]
    inputs = sum(units + 1 for units in sizes[1:-1])
    return 8 * n * (inputs + 2 * (hidden + outputs) + outputs * hidden)


def make(sizes: tuple[int, ...], n: int) -> tuple[NetworkProblem, np.ndarray]:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
    net = MLP([Input(sizes[0]), *[Tanh(units) for units in sizes[1:-1]], Linear(sizes[-1])])
    return NetworkProblem(net, X, y), rng.normal(size=net.n_params) / 10


def peak(call: Callable[[], object]) -> int:
    """Bytes at the peak of `call`, beyond what is there before."""
    tracemalloc.start()
    call()
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def solver_peak(sizes: tuple[int, ...], n: int) -> int:
    problem, w = make(sizes, n)
    at = problem.linearize(w)

    def solve_twice() -> None:
        buffers = None
        for damping in (1.0, 2.0):
            system = Cholesky().prepare(at.jacobian, None, None, buffers)
            system.factorize(damping).solve(at.residual, None, at.gradient)
            buffers = system.release()

    return peak(solve_twice)


def iterations_peak(sizes: tuple[int, ...], n: int) -> int:
    problem, w = make(sizes, n)
    return peak(lambda: minimize(problem, w, stopping=Stopping(max_iter=3), solver=Cholesky()))


def _limits(solver: int, whole: int, passes: int, p: int) -> list[tuple[int, int]]:
    """Peak and limit, of the solver and of a whole run."""
    allowed = 3 * 8 * p * p + CHUNK
    return [(solver, allowed), (whole, passes + allowed)]


def main() -> None:
    rows, data = [], []
    for sizes, counts in CASES:
        p = make(sizes, 1)[0].n_params
        for n in counts:
            solver, whole, passes = (
                solver_peak(sizes, n),
                iterations_peak(sizes, n),
                2 * activations(sizes, n),
            )
            allowed = 3 * 8 * p * p + CHUNK
            megabytes = [f"{v / 2**20:.0f}" for v in (solver, allowed, whole, passes)]
            name = "-".join(map(str, sizes))
            reached = ["yes" if used <= limit else "no" for used, limit in _limits(solver, whole, passes, p)]
            rows.append([name, p, n, *megabytes[:2], reached[0], *megabytes[2:], reached[1]])
            data.append({"sizes": sizes, "n": n, "p": p, "solver": solver, "iterations": whole})
            print(rows[-1], flush=True)
    head = [
        "network",
        "p",
        "N",
        "solver MB",
        "allowed MB",
        "reached",
        "iterations MB",
        "activations MB",
        "reached",
    ]
    save("memory", {"cases": data}, "# Peak memory of the dense solver\n\n" + table(head, rows))


if __name__ == "__main__":
    main()
