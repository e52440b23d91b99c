"""Figure: train RMSE on data sets of NNbenchmark (R, CRAN), beside the algorithms it lists.

    python benchmarks/nnbenchmark.py [--starts 10] [--samples 5]

One hidden layer of tanh, of the size that NNbenchmark recommends; 200 iterations, as its second-order
algorithms have; inputs and targets standardized; best and median of ten runs.

- uGauss1, uGauss2, uGauss3 are NIST's Gauss1, Gauss2 and Gauss3: the same numbers, so RMSEs compare.
- mDette, mFriedman and mIshigami are formulas, of which the package holds one sample of 500 rows each.  Here
  they are sampled anew, uniformly and without noise, so RMSEs compare in size only; the spread over several
  samples is given.

A run is one training from a Glorot start, or the best of 20 of them ("of 20"), as `n_starts=20` gives; the
seconds are those of all of it.  Published figures: results of 2020 by C. Dutang et al., github.com/pkR-pkR/
NNbenchmarkTemplates, folder results_2020_gsoc2020.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marquardt import MLP, Glorot, Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from table import duration, save, table

Array = np.ndarray
NIST = Path(__file__).parents[1] / "tests" / "certified" / "nist_strd"
STOPPING = Stopping(max_iter=200)
TRIES = 20


@dataclass(frozen=True)
class Published:
    """Train RMSE as listed: best of all algorithms, and best and median of two of them."""

    best: float
    by: str
    nlsr: tuple[float, float]
    brnn: tuple[float, float]


@dataclass(frozen=True)
class Task:
    sample: Callable[[int], tuple[Array, Array]]
    """seed -> X (n, inputs), y (n,)."""
    hidden: int
    same_data: bool
    published: Published


def gauss(number: int) -> Callable[[int], tuple[Array, Array]]:
    def sample(seed: int) -> tuple[Array, Array]:
        del seed
        rows = np.loadtxt(NIST / f"Gauss{number}.dat", skiprows=60)  # y, x
        return rows[:, 1:], rows[:, 0]

    return sample


def dette(seed: int) -> tuple[Array, Array]:
    """Dette & Pepelyshev (2010), the curved function."""
    X = np.random.default_rng(seed).uniform(size=(500, 3))
    x1, x2, x3 = X.T
    return X, 4 * (x1 - 2 + 8 * x2 - 8 * x2**2) ** 2 + (3 - 4 * x2) ** 2 + 16 * np.sqrt(x3 + 1) * (
        2 * x3 - 1
    ) ** 2


def friedman(seed: int) -> tuple[Array, Array]:
    """Friedman, Grosse & Stuetzle (1983)."""
    X = np.random.default_rng(seed).uniform(size=(500, 5))
    return X, 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]


def ishigami(seed: int) -> tuple[Array, Array]:
    """Ishigami & Homma (1990), a = 7, b = 0.1."""
    X = np.pi * np.random.default_rng(seed).uniform(-1, 1, (500, 3))
    x1, x2, x3 = X.T
    return X, np.sin(x1) + 7 * np.sin(x2) ** 2 + 0.1 * x3**4 * np.sin(x1)


TASKS = {
    "uGauss1": Task(gauss(1), 5, True, Published(2.2321, "nlsr", (2.232, 2.613), (2.243, 2.437))),
    "uGauss2": Task(gauss(2), 4, True, Published(2.3327, "nlsr", (2.333, 2.975), (2.378, 3.551))),
    "uGauss3": Task(gauss(3), 4, True, Published(2.2976, "traineR", (2.299, 2.819), (2.827, 3.197))),
    "mDette": Task(dette, 5, False, Published(0.140, "nlsr", (0.140, 0.450), (0.458, 1.954))),
    "mFriedman": Task(friedman, 5, False, Published(0.0045, "nlsr", (0.0045, 0.0061), (0.0046, 0.0052))),
    "mIshigami": Task(ishigami, 10, False, Published(0.4934, "radiant", (0.660, 2.231), (0.659, 0.664))),
}


def trained(X: Array, y: Array, hidden: int, seed: int) -> float:
    """Train RMSE of one training, in the units of y."""
    X, sd = (X - X.mean(axis=0)) / X.std(axis=0), y.std()
    network = MLP([Input(X.shape[1]), Tanh(hidden), Linear(1)])
    start = Glorot().draw(network, np.random.default_rng(seed))
    fit = minimize(NetworkProblem(network, X, (y - y.mean()) / sd), start, stopping=STOPPING)
    return float(np.sqrt(2.0 * fit.cost / len(y)) * sd)


def measured(task: Task, starts: int, samples: int) -> dict[str, list]:
    """RMSE of every run (samples, starts) of one training and of the best of 20, and CPU seconds of each."""
    found = []
    begun = time.process_time()
    for seed in range(1 if task.same_data else samples):
        X, y = task.sample(seed)
        found.append([trained(X, y, task.hidden, number) for number in range(starts * TRIES)])
    seconds = (time.process_time() - begun) / (len(found) * starts * TRIES)
    rmse = np.array(found)
    several = rmse.reshape(len(rmse), starts, TRIES).min(axis=2)
    return {
        "one": rmse[:, :starts].tolist(),
        "several": several.tolist(),
        "seconds": [seconds, TRIES * seconds],
    }


def cells(values: list[list[float]]) -> list[str]:
    """Best and median, the median of them over the samples."""
    rmse = np.array(values)
    return [f"{np.median(rmse.min(axis=1)):.4f}", f"{np.median(np.median(rmse, axis=1)):.4f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--samples", type=int, default=5)
    options = parser.parse_args()
    data = {name: measured(task, options.starts, options.samples) for name, task in TASKS.items()}
    rows = []
    for name, task in TASKS.items():
        listed, own = task.published, data[name]
        rows.append(
            [
                f"{name}, {task.hidden} units",
                *cells(own["one"]),
                duration(own["seconds"][0]),
                *cells(own["several"]),
                duration(own["seconds"][1]),
                f"{listed.best:.4f} ({listed.by})",
                "{:.4g} / {:.4g}".format(*listed.nlsr),
                "{:.4g} / {:.4g}".format(*listed.brnn),
                "the same" if task.same_data else "sampled anew",
            ]
        )
    head = ["", "best", "median", "a run", "of 20: best", "of 20: median", "a run", "best of all listed"]
    text = f"# NNbenchmark: train RMSE, {options.starts} runs\n\n"
    text += table([*head, "nlsr best / median", "brnn best / median", "data"], rows)
    save("nnbenchmark", {"tasks": data}, text)


if __name__ == "__main__":
    main()
