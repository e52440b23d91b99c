"""Gross errors in the data: least squares against robust penalties, and the first fit that their scale needs.

    python benchmarks/robust.py [--seeds 20]

A sine, 1-10-1, 200 rows, noise 0.1; a share of the rows is off by 3 to 8, all to one side.  Median and 90 %
quantile over the seeds of the RMSE to the true function at 400 points.  The scale is estimated, except where
"known" is said.  "First" is the penalty of the first round.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

import marquardt.robust_fit as robust_fit
from marquardt import Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.initialization import default_initialization
from marquardt.losses import PENALTIES, Cauchy, Huber, SoftL1, Tukey
from marquardt.robust_fit import fit_robustly
from table import save, table

Array = np.ndarray
NETWORK = Input(1) >> Tanh(10) >> Linear(1)
STOPPING = Stopping(max_iter=500, cost_tolerance=1e-9)
GRID = np.linspace(-1, 1, 400)[:, None]
ROBUST = {name: PENALTIES[name] for name in ("huber", "soft_l1", "cauchy", "tukey")}
FIRST = {
    "Cauchy(0.1)": Cauchy(threshold=0.1),
    "Cauchy(0.2)": Cauchy(threshold=0.2),
    "Cauchy(0.4)": Cauchy(threshold=0.4),
    "SoftL1(0.05)": SoftL1(threshold=0.05),
    "Huber(1.345)": Huber(),
}
Fit = Callable[[NetworkProblem, Array], tuple[Array, int, float]]
"""Problem, start -> w, Jacobians, scale."""


def truth(X: Array) -> Array:
    return np.sin(3 * np.pi * X[:, 0]) * np.exp(-X[:, 0])


def case(seed: int, share: float) -> tuple[NetworkProblem, Array]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (200, 1))
    y = truth(X) + 0.1 * rng.standard_normal(200)
    gross = rng.random(200) < share
    y[gross] += rng.uniform(3, 8, gross.sum())
    start = default_initialization(NETWORK).draw(NETWORK, np.random.default_rng(50 + seed), X)
    return NetworkProblem(NETWORK, X, y, alpha=1e-4), start


def squares(problem: NetworkProblem, start: Array) -> tuple[Array, int, float]:
    result = minimize(problem, start, stopping=STOPPING)
    return result.w, result.n_jacobians, np.nan


def robust(penalty: Any, scale: float | None = None) -> Fit:
    def fit(problem: NetworkProblem, start: Array) -> tuple[Array, int, float]:
        found = fit_robustly(problem, start, penalty, scale=scale, stopping=STOPPING)
        return found.w, found.result.n_jacobians, float(found.scale[0])

    return fit


def row(name: str, share: float, fit: Fit, seeds: int) -> list[Any]:
    found = []
    for seed in range(seeds):
        w, n_jacobians, scale = fit(*case(seed, share))
        rmse = np.sqrt(np.mean((NETWORK.predict(w, GRID)[:, 0] - truth(GRID)) ** 2))
        found.append((rmse, n_jacobians, scale))
    rmse, n_jacobians, scale = np.array(found).T
    return [
        f"{share:.0%}",
        name,
        f"{np.median(rmse):.3f}",
        f"{np.quantile(rmse, 0.9):.3f}",
        f"{np.median(n_jacobians):.0f}",
        f"{np.median(scale):.3f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    rows = []
    for share in (0.0, 0.15, 0.3):
        rows.append(row("least squares", share, squares, seeds))
        for name, penalty in ROBUST.items():
            rows.append(row(name, share, robust(penalty), seeds))
            rows.append(row(f"{name}, scale known", share, robust(penalty, 0.1), seeds))
    first_rows = []
    for name, first in FIRST.items():
        with patch.object(robust_fit, "FIRST_PENALTY", first):
            first_rows += [row(name, share, robust(Tukey()), seeds) for share in (0.15, 0.3)]
    head = ["in error", "penalty", "RMSE", "90 %", "Jacobians", "scale"]
    text = f"{table(head, rows)}\n\nTukey's penalty after a first round by another:\n\n"
    text += table(["in error", "first", *head[2:]], first_rows)
    save("robust", {"seeds": seeds, "rows": rows, "first": first_rows}, text)


if __name__ == "__main__":
    main()
