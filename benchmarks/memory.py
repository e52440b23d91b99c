"""Figure 5: the dense solver's peak memory, in p x p matrices, whatever the number of rows.

    python benchmarks/memory.py

tracemalloc sees every NumPy array.  Counted is the peak during three iterations of the default step, minus
what is there before it, minus the activations: for every weight layer its input, argument, slope and
sensitivity, at the old point and at the trial point.  What is left should be under 3 p x p + 64 MB.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import itertools
import tracemalloc

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


def peak(sizes: tuple[int, ...], n: int) -> int:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
    net = MLP([Input(sizes[0]), *[Tanh(units) for units in sizes[1:-1]], Linear(sizes[-1])])
    problem = NetworkProblem(net, X, y)
    w = rng.normal(size=net.n_params) / 10
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    minimize(problem, w, stopping=Stopping(max_iter=3), solver=Cholesky())
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest - before


def main() -> None:
    rows, data = [], []
    for sizes, counts in CASES:
        p = sum(o * (i + 1) for i, o in itertools.pairwise(sizes))
        for n in counts:
            total, passes = peak(sizes, n), 2 * activations(sizes, n)
            rest = max(total - passes, 0)
            matrices, allowed = (rest - CHUNK) / (8 * p * p), 3 * 8 * p * p + CHUNK
            rows.append(
                [
                    "-".join(map(str, sizes)),
                    p,
                    n,
                    *[f"{v / 2**20:.0f}" for v in (total, passes, rest, allowed)],
                    f"{max(matrices, 0):.2f}",
                    "yes" if rest <= allowed else "no",
                ]
            )
            data.append(
                {"sizes": sizes, "n": n, "p": p, "peak": total, "activations": passes, "allowed": allowed}
            )
            print(rows[-1], flush=True)
    head = ["network", "p", "N", "peak MB", "activations MB", "rest MB", "allowed MB"]
    head += ["p x p beyond 64 MB", "reached"]
    save("memory", {"cases": data}, "# Peak memory of the dense solver\n\n" + table(head, rows))


if __name__ == "__main__":
    main()
