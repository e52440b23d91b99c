"""What a scientist with a few hundred rows and no opinion should get: ways against overfitting, side by side.

    python benchmarks/defaults.py [--repeats 20] [--units 20]

Four real tables (rows drawn at random, the rest held out) and six functions with noise, at most 300 rows.
RMSE on the rows held out, or to the true function; each over that of `LMRegressor()` as it comes, in the
geometric mean over the repeats.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from marquardt import Bayesian, LMRegressor
from marquardt.datasets import load_concrete, load_energy, load_yacht
from table import duration, save, table

Array = np.ndarray
Task = tuple[str, Array, Array, Array, Array]
"""Name, X and y to train on, X and y to judge by."""

OURS = "as it comes: evidence, 4 starts, 2 from small weights"


@dataclass(frozen=True)
class FullStarts(Bayesian):
    """All starts from the full weights."""

    @property
    def start_scales(self) -> tuple[float, ...]:
        return (1.0,)


def ways(units: int) -> dict[str, Callable[[], Any]]:
    def lm(**params: Any) -> LMRegressor:
        return LMRegressor((units,), random_state=0, **params)

    def scaled(model: Any) -> Any:
        return TransformedTargetRegressor(
            make_pipeline(StandardScaler(), model), transformer=StandardScaler()
        )

    adam = MLPRegressor(hidden_layer_sizes=units, max_iter=2000, random_state=0)
    return {
        OURS: lambda: lm(),
        "evidence, 1 start": lambda: lm(n_starts=1),
        "evidence, 4 starts from the full weights": lambda: lm(regularization=FullStarts(), n_starts=4),
        "evidence, one penalty a layer, 4 starts": lambda: lm(regularization=Bayesian("layer"), n_starts=4),
        "evidence, one penalty, 4 starts": lambda: lm(regularization=Bayesian("one"), n_starts=4),
        "evidence, 4 starts, mean of 2": lambda: lm(n_starts=4, ensemble_size=2),
        "evidence, 8 starts, mean of 4": lambda: lm(n_starts=8, ensemble_size=4),
        "alpha = 0.01": lambda: lm(alpha=0.01, n_starts=1),
        "alpha = 1": lambda: lm(alpha=1.0, n_starts=1),
        "early stopping": lambda: lm(early_stopping=True, n_starts=1),
        "early stopping, 8 starts, mean of 4": lambda: lm(early_stopping=True, n_starts=8, ensemble_size=4),
        "MLPRegressor, scaled, up to 2000 epochs": lambda: scaled(adam),
        "RandomForestRegressor()": lambda: RandomForestRegressor(random_state=0),
        "RidgeCV": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))),
    }  # fmt: skip


def tables(rng: np.random.Generator) -> Iterator[Task]:
    diabetes = np.column_stack(load_diabetes(return_X_y=True))
    named = {
        "concrete": load_concrete(),
        "energy": load_energy(),
        "yacht": load_yacht(),
        "diabetes": diabetes,
    }
    for name, frame in named.items():
        values = rng.permutation(np.asarray(frame, dtype=float))
        n = 200 if name == "yacht" else 300
        yield f"{name}, {n} rows", values[:n, :-1], values[:n, -1], values[n:, :-1], values[n:, -1]


FUNCTIONS: dict[str, tuple[Callable[[Array], Array], int, int, float, float]] = {
    # function, rows, inputs, half width of the inputs, noise
    "Friedman": (lambda X: 10 * np.sin(np.pi * (X[:, 0] + 1) * (X[:, 1] + 1) / 4) + 5 * X[:, 2] ** 2
                 + 5 * X[:, 3] + 2.5 * X[:, 4], 200, 10, 1.0, 1.0),
    "sine": (lambda X: np.sin(np.pi * X[:, 0]), 41, 1, 1.0, 0.1),
    "waves": (lambda X: np.sin(8 * X[:, 0]) * X[:, 1], 200, 2, 1.0, 0.1),
    "linear": (lambda X: X.sum(axis=1), 100, 5, 1.7, 0.5),
    "noise": (lambda X: np.zeros(len(X)), 100, 5, 1.7, 1.0),
    "60 inputs, 2 count": (lambda X: X[:, 0] + np.sin(2 * X[:, 1]), 60, 60, 1.7, 0.1),
}  # fmt: skip


def functions(rng: np.random.Generator) -> Iterator[Task]:
    for name, (f, n, d, width, noise) in FUNCTIONS.items():
        X, new = rng.uniform(-width, width, (n, d)), rng.uniform(-width, width, (1000, d))
        yield name, X, f(X) + noise * rng.standard_normal(n), new, f(new)


def measured(units: int, repeats: int) -> list[dict[str, Any]]:
    rows = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        for name, X, y, new, truth in [*tables(rng), *functions(rng)]:
            for way, make in ways(units).items():
                started = time.process_time()
                model = make().fit(X, y)
                seconds = time.process_time() - started
                rmse = float(np.sqrt(np.mean((model.predict(new) - truth) ** 2)))
                rows.append({"task": name, "way": way, "repeat": repeat, "rmse": rmse, "seconds": seconds})
        print(f"repeat {repeat + 1} of {repeats} done", flush=True)
    return rows


def summary(rows: list[dict[str, Any]], units: int) -> str:
    names = list(ways(units))
    tasks = list(dict.fromkeys(row["task"] for row in rows))

    def logs(task: str, way: str) -> float:
        return float(np.mean([np.log(r["rmse"]) for r in rows if (r["task"], r["way"]) == (task, way)]))

    lines = []
    for way in names:
        ratios = [np.exp(logs(task, way) - logs(task, OURS)) for task in tasks]
        overall = float(np.exp(np.mean(np.log(ratios))))
        seconds = float(np.median([row["seconds"] for row in rows if row["way"] == way]))
        lines.append([way, *(f"{value:.2f}" for value in ratios), f"{overall:.2f}", duration(seconds)])
    return table(["", *tasks, "all", "median CPU"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--units", type=int, default=20)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Adam's, about its epochs
    rows = measured(options.units, options.repeats)
    title = f"# Ways against overfitting, {options.units} tanh units, {options.repeats} repeats"
    about = "RMSE over that of the first line (geometric means); below 1 is better."
    save("defaults", {"rows": rows}, f"{title}\n\n{about}\n\n{summary(rows, options.units)}\n")


if __name__ == "__main__":
    main()
