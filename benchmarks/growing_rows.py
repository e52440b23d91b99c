"""Runs that begin on a part of the rows beside runs on all: time to the same cost, where they end, and Adam.

    python benchmarks/growing_rows.py [--starts 10] [--parts runs evidence peers]

One thread, CPU time, the same starts for both ways, which take turns.

- `runs`: `minimize(..., rows=GrowingRows())` beside `minimize(...)`, each to a relative decrease of 1e-4 a
  step.  The goals are 1.1 and 1.01 times the cost where the run on all rows ended *from the same start*, and
  1.01 times the lowest cost of all starts and both ways; without noise, mean squared errors, within a limit
  of time.
- `evidence`: `maximize_evidence` likewise: log evidence, error on 5000 rows that were kept out, time.
- `peers`: estimators on 100 000 rows: error on 20 000 others against time, scikit-learn's Adam and L-BFGS
  beside.

The data are drawn: Friedman's function of ten inputs, half of which do nothing; five products of a tanh and a
sine of six inputs; four classes of six inputs with random labels (the largest of four curved scores with
Gumbel noise); the distance that an arm of four joints reaches, and a table of correlated inputs with heavy
tails.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from sklearn.neural_network import MLPRegressor

from marquardt import (
    GrowingRows,
    Input,
    Linear,
    LMRegressor,
    NetworkProblem,
    Softmax,
    Stopping,
    Tanh,
    maximize_evidence,
    minimize,
)
from marquardt.initialization import default_initialization
from marquardt.losses import cross_entropy
from table import RESULTS, duration, ratio, save, table

Array = np.ndarray
Draw = Callable[[int, np.random.Generator], tuple[Array, Array]]
WAYS = {"all rows": None, "growing": GrowingRows()}
KEPT_OUT = 5000


# -- data ------------------------------------------------------------------------------------------


def friedman(noise: float) -> Draw:
    def draw(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        X = rng.uniform(0, 1, (n, 10))
        curved = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
        y = (curved + 10 * X[:, 3] + 5 * X[:, 4] - 14.4) / 4.9  # about unit variance
        return 2 * X - 1, y[:, None] + noise * rng.standard_normal((n, 1))

    return draw


def products(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    fixed = np.random.default_rng(7)
    X, A, B = rng.uniform(-1, 1, (n, 6)), fixed.standard_normal((6, 5)), fixed.standard_normal((6, 5))
    return X, np.tanh(X @ A) * np.sin(X @ B) + 0.05 * rng.standard_normal((n, 5))


def classes(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    fixed = np.random.default_rng(7)
    X = rng.uniform(-1, 1, (n, 6))
    scores = 4 * np.sin(3 * X @ fixed.standard_normal((6, 4))) + 2 * X @ fixed.standard_normal((6, 4))
    return X, np.eye(4)[(scores + rng.gumbel(size=scores.shape)).argmax(axis=1)]


def arm(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    X = rng.uniform(-1, 1, (n, 8))
    angles, lengths = np.cumsum(1.5 * X[:, :4], axis=1), 1 + 0.5 * X[:, 4:]
    reach = np.hypot((lengths * np.cos(angles)).sum(axis=1), (lengths * np.sin(angles)).sum(axis=1))
    return X, ((reach - 2.4) + 0.15 * rng.standard_normal(n))[:, None]


def tails(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    Z, mix = rng.standard_normal((n, 4)), np.random.default_rng(3).standard_normal((4, 5))
    X = np.c_[Z, Z @ mix + 0.3 * rng.standard_normal((n, 5))]
    X = np.sign(X) * np.abs(X) ** 1.5
    y = np.sin(2 * Z[:, 0]) + Z[:, 1] * Z[:, 2] + np.maximum(Z[:, 3], 0) ** 2 + 0.6 * rng.standard_t(4, n)
    return X / X.std(axis=0), y[:, None] / y.std()


@dataclass(frozen=True)
class Task:
    name: str
    draw: Draw
    n_samples: int
    is_classes: bool = False
    exact: bool = False
    """Without noise: run for `seconds`, goals are mean squared errors."""
    seconds: float = np.inf
    starts: int | None = None

    def problem(self, seed: int) -> tuple[NetworkProblem, Array, Array]:
        """The problem of a seed, and rows that were kept out."""
        X, y = self.draw(self.n_samples + KEPT_OUT, np.random.default_rng(seed))
        n, output = self.n_samples, Softmax(4) if self.is_classes else Linear(y.shape[1])
        network = Input(X.shape[1]) >> Tanh(20) >> output
        options = {"loss": cross_entropy, "alpha": 1.0} if self.is_classes else {}
        return NetworkProblem(network, X[:n], y[:n], **options), X[n:], y[n:]


RUNS = [
    Task("Friedman, noise 0.1", friedman(0.1), 5_000),
    Task("Friedman, noise 0.1", friedman(0.1), 20_000),
    Task("Friedman, noise 0.1", friedman(0.1), 100_000, starts=5),
    Task("Friedman, no noise", friedman(0.0), 20_000, exact=True, seconds=3.0),
    Task("five outputs", products, 20_000),
    Task("four classes", classes, 20_000),
]
EVIDENCE = [
    Task("Friedman, noise 0.2", friedman(0.2), 10_000, starts=6),
    Task("Friedman, noise 0.2", friedman(0.2), 40_000, starts=4),
    Task("arm", arm, 20_000, starts=6),
    Task("heavy tails", tails, 20_000, starts=6),
]
ERRORS = (1e-2, 1e-3, 1e-4)


# -- runs ------------------------------------------------------------------------------------------


@dataclass
class Course:
    """Lowest cost so far over CPU time."""

    times: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    begun: float = field(default_factory=time.process_time)

    def note(self, cost: float, limit: float) -> bool:
        self.times.append(time.process_time() - self.begun)
        self.costs.append(cost)
        return self.times[-1] >= limit

    @property
    def end(self) -> float:
        return min(self.costs)

    def as_dict(self) -> dict[str, list[float]]:
        return {"seconds": [round(t, 4) for t in self.times], "cost": [float(f"{c:.5g}") for c in self.costs]}

    def time_to(self, cost: float) -> float:
        return next((t for t, c in zip(self.times, self.costs, strict=True) if c <= cost), np.inf)


def course(task: Task, seed: int, rows: GrowingRows | None) -> Course:
    problem, *_ = task.problem(seed)
    rng = np.random.default_rng(seed + 1000)
    w0 = default_initialization(problem.network).draw(problem.network, rng, problem.identity()["X"])
    kept = Course()
    tolerance = 1e-9 if task.exact else 1e-4
    minimize(
        problem,
        w0,
        rows=rows,
        stopping=Stopping(cost_tolerance=tolerance),
        callback=lambda now: kept.note(now.cost, task.seconds),
    )
    return kept


def measured_run(task: Task, n_starts: int) -> tuple[list[list], list, dict]:
    courses = {way: [] for way in WAYS}
    n_starts = min(n_starts, task.starts or n_starts)
    for seed in range(n_starts):
        for way, rows in WAYS.items():
            courses[way].append(course(task, seed, rows))
    plain = courses["all rows"]
    n = task.n_samples
    lowest = min(one.end for all_of in courses.values() for one in all_of)
    if task.exact:
        goals = [(f"MSE {error:g}", [0.5 * n * error] * n_starts) for error in ERRORS]
    else:
        own = [one.end for one in plain]
        goals = [(f"{f:g} x own end", [f * cost for cost in own]) for f in (1.1, 1.01)]
        goals.append(("1.01 x lowest", [1.01 * lowest] * n_starts))
    rows = []
    for way, found in courses.items():
        cells = []
        for _, costs in goals:
            times = [one.time_to(cost) for one, cost in zip(found, costs, strict=True)]
            reached = np.isfinite(times)
            cells += [duration(float(np.median(times))), f"{reached.sum()}/{n_starts}"]
        ends = np.array([one.end for one in found]) / np.array([one.end for one in plain])
        spread = f"{np.exp(np.log(ends).mean()):.3f} ({ends.min():.2f}-{ends.max():.2f})"
        total = duration(float(np.median([one.times[-1] for one in found])))
        rows.append([f"{task.name}, {n} rows", way, *cells, spread, total])
    data = {way: [one.as_dict() for one in found] for way, found in courses.items()}
    return rows, [name for name, _ in goals], data


def runs(n_starts: int) -> tuple[str, dict]:
    texts, data = [], {}
    for exact in (False, True):
        lines, names = [], []
        for task in (task for task in RUNS if task.exact is exact):
            found, names, kept = measured_run(task, n_starts)
            lines += found
            data[f"{task.name}, {task.n_samples} rows"] = kept
            print(*(" | ".join(map(str, line)) for line in found), sep="\n", flush=True)
        head = ["task", "way", *(cell for name in names for cell in (name, "reached"))]
        texts.append(table([*head, "end / own end (range)", "whole run"], lines))
    return "\n\n".join(texts), data


# -- the evidence ----------------------------------------------------------------------------------


def measured_evidence(task: Task, n_starts: int) -> tuple[list, dict]:
    found = {way: [] for way in WAYS}
    for seed in range(min(n_starts, task.starts or n_starts)):
        problem, X, y = task.problem(seed)
        rng = np.random.default_rng(seed + 1000)
        w0 = default_initialization(problem.network).draw(problem.network, rng, problem.identity()["X"])
        for way, rows in WAYS.items():
            begun = time.process_time()
            fit = maximize_evidence(problem, w0, rows=rows, stopping=Stopping(cost_tolerance=1e-4))
            seconds = time.process_time() - begun
            error = np.sqrt(np.mean((problem.network.predict(fit.result.w, X).reshape(y.shape) - y) ** 2))
            found[way].append((fit.log_evidence, float(error), seconds))
    plain, grown = (np.array(found[way]) for way in WAYS)
    differences = grown[:, 0] - plain[:, 0]
    errors, times = grown[:, 1] / plain[:, 1], plain[:, 2] / grown[:, 2]
    line = [
        f"{task.name}, {task.n_samples} rows",
        f"{np.median(differences):+.1f} ({differences.min():+.0f} to {differences.max():+.0f})",
        f"{np.exp(np.log(errors).mean()):.4f} ({errors.min():.3f}-{errors.max():.3f})",
        duration(float(np.median(plain[:, 2]))),
        f"{ratio(float(np.median(times)))} ({times.min():.2f}-{times.max():.2f})",
    ]
    print(" | ".join(line), flush=True)
    return line, {way: np.array(values).tolist() for way, values in found.items()}


def evidence(n_starts: int) -> tuple[str, dict]:
    lines, data = [], {}
    for task in EVIDENCE:
        line, data[f"{task.name}, {task.n_samples} rows"] = measured_evidence(task, n_starts)
        lines.append(line)
    head = ["task", "log evidence, growing - all", "test RMSE, growing / all", "all rows", "sooner"]
    return table(head, lines), data


# -- peers -----------------------------------------------------------------------------------------


def peers(n_starts: int) -> tuple[str, dict]:
    del n_starts
    n, noise = 100_000, 0.1
    X, y = friedman(noise)(n, np.random.default_rng(0))
    truth = friedman(0.0)(20_000, np.random.default_rng(1))
    one = {"n_starts": 1, "random_state": 0}
    ways = {
        "LMRegressor(alpha=0.01), growing": LMRegressor((20,), alpha=0.01, growing_rows=True, **one),
        "LMRegressor(alpha=0.01), all rows": LMRegressor((20,), alpha=0.01, growing_rows=False, **one),
        "LMRegressor(), evidence, growing": LMRegressor((20,), growing_rows=True, **one),
        "LMRegressor(), evidence, all rows": LMRegressor((20,), growing_rows=False, **one),
        "Adam, its defaults: 100 relu": MLPRegressor(random_state=0),
        "Adam, 20 tanh": MLPRegressor(hidden_layer_sizes=(20,), activation="tanh", random_state=0),
        "Adam, 20 tanh, tol=1e-6, 200 epochs": MLPRegressor(
            hidden_layer_sizes=(20,), activation="tanh", random_state=0, tol=1e-6
        ),
        "L-BFGS, 20 tanh": MLPRegressor(
            hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", random_state=0
        ),
        "L-BFGS, 20 tanh, 2000 iterations": MLPRegressor(
            hidden_layer_sizes=(20,),
            activation="tanh",
            solver="lbfgs",
            max_iter=2000,
            max_fun=10**6,
            random_state=0,
        ),
    }
    lines, data = [], {}
    for name, model in ways.items():
        begun = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's limit of iterations
            model.fit(X, y[:, 0])
        seconds = time.process_time() - begun
        error = float(np.sqrt(np.mean((model.predict(truth[0]) - truth[1][:, 0]) ** 2)))
        lines.append([name, duration(seconds), model.n_iter_, f"{error:.5f}"])
        data[name] = {"seconds": seconds, "rmse_to_truth": error, "n_iter": int(model.n_iter_)}
        print(" | ".join(map(str, lines[-1])), flush=True)
    return table(
        ["100 000 rows, Friedman, noise 0.1", "CPU time", "iterations", "RMSE to the truth"], lines
    ), data


PARTS = {"runs": runs, "evidence": evidence, "peers": peers}
TITLES = {
    "runs": "## Runs\n\nMedian CPU times to a cost, a start that does not reach it being infinitely late, "
    "and how many reach it; 20 tanh units.",
    "evidence": "## The evidence",
    "peers": "## Estimators",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    kept = RESULTS / "growing_rows.json"
    data = json.loads(kept.read_text()) if kept.exists() else {}  # of parts measured before
    texts = data.get("texts", {})
    for name in options.parts:
        texts[name], data[name] = PARTS[name](options.starts)
        ordered = [part for known in PARTS if known in texts for part in (TITLES[known], texts[known])]
        save("growing_rows", {**data, "texts": texts}, "\n\n".join(["# Growing rows", *ordered]))


if __name__ == "__main__":
    main()
