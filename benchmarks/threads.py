"""Two BLAS libraries in one process: NumPy's and SciPy's threads as they come, one thread, and one pool.

    python benchmarks/threads.py

The wheels of NumPy and SciPy each bring an OpenBLAS.  Milliseconds an iteration of `minimize`, best of three
in turn; leave the thread variables of the environment unset.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits

import marquardt.run_record as run_record
from marquardt import Input, Linear, NetworkProblem, NguyenWidrow, Stopping, Tanh, minimize
from table import save, table

SHAPES = ((10, 50, 5000), (10, 100, 8000), (20, 64, 1000))
ITERATIONS = 12


def milliseconds(shape: tuple[int, int, int], pool: bool, limit: int | None) -> float:
    """Of an iteration."""
    inputs, width, rows = shape
    X = np.random.default_rng(0).normal(size=(rows, inputs))
    network = Input(inputs) >> Tanh(width) >> Tanh(width // 4) >> Linear(1)
    problem = NetworkProblem(network, X, np.sin(X[:, 0]) + X[:, 1] ** 2, alpha=1e-3)
    start = NguyenWidrow().draw(network, np.random.default_rng(0))
    limits: AbstractContextManager[Any] = (
        nullcontext() if limit is None else threadpool_limits(limits=limit, user_api="blas")
    )
    without = nullcontext() if pool else patch.object(run_record, "one_pool", nullcontext)
    with limits, without:
        result = minimize(problem, start, stopping=Stopping(max_iter=ITERATIONS))
    return 1e3 * result.time / result.n_iter


def main() -> None:
    ways = {"as they come": (False, None), "one thread": (False, 1), "one pool": (True, None)}
    rows, data = [], []
    for shape in SHAPES:
        times = {name: min(milliseconds(shape, *way) for _ in range(3)) for name, way in ways.items()}
        inputs, width, count = shape
        p = (Input(inputs) >> Tanh(width) >> Tanh(width // 4) >> Linear(1)).n_params
        rows.append([f"{inputs}-{width}-{width // 4}-1", p, count, *[f"{t:.3g} ms" for t in times.values()]])
        data.append({"shape": shape, "milliseconds": times})
    header = ["network", "parameters", "rows", *ways]
    save("threads", {"rows": data}, "# Threads of BLAS\n\nAn iteration.\n\n" + table(header, rows))


if __name__ == "__main__":
    main()
