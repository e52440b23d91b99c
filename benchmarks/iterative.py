"""The iterative solver on large networks: beside the dense ones, L-BFGS and Adam, for the same CPU time.

    python benchmarks/iterative.py [--cases 0 1 2] [--budget 1.0]

Friedman's function of 10 inputs without noise, float64, one thread, the same start for all.

- `iterative`: `Iterative()`, conjugate gradients preconditioned by a sample of the rows; with a sample of
  500 or 2000, with a tolerance of 0.01, and with the geodesic acceleration, where the case is small.
- `dense`: the cheaper of primal and dual that fits.
- `L-BFGS`: SciPy's, 20 pairs, its own line search, with our gradient.
- `Adam`: batches of 256 rows, step 3e-3 falling to 0 over the budget as a cosine, with our gradient.

The time of the error measured is not counted.  A dense iteration that takes longer than the budget is let
finish.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize as scipy_minimize

from marquardt import Input, Linear, NetworkProblem, Tanh, minimize
from marquardt._memory import available_bytes, readable
from marquardt.initialization import Glorot
from marquardt.linsolve import Auto, Iterative, LinearSolver
from table import duration, save, table

Array = np.ndarray
BATCH = 256


@dataclass(frozen=True)
class Case:
    units: int
    n_samples: int
    seconds: float
    variants: bool = False
    dense: bool = True


CASES = [
    Case(64, 20_000, 20.0, variants=True),
    Case(135, 20_000, 60.0),
    Case(310, 40_000, 150.0, dense=False),
]


@dataclass
class Course:
    """Mean squared error over CPU time, without the time it took to note it."""

    seconds: float
    times: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    begun: float = field(default_factory=time.process_time)

    @property
    def now(self) -> float:
        return time.process_time() - self.begun

    def note(self, error: Callable[[], float]) -> bool:
        """True when the time is up."""
        now = self.now
        self.times.append(now)
        self.errors.append(error())
        self.begun += self.now - now
        return now >= self.seconds

    def at(self, seconds: float) -> float:
        """The error reached by then."""
        done = [e for t, e in zip(self.times, self.errors, strict=True) if t <= seconds]
        return min(done) if done else np.nan

    def time_to(self, error: float) -> float:
        return next((t for t, e in zip(self.times, self.errors, strict=True) if e <= error), np.inf)

    @property
    def per_iteration(self) -> float:
        """Between two notes, in the mean."""
        return self.times[-1] / max(1, len(self.times) - 1)


class _OutOfTime(Exception):
    pass


def friedman(case: Case) -> tuple[NetworkProblem, Array, Array, Array]:
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (case.n_samples, 10))
    curved = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    y = (curved + 10 * X[:, 3] + 5 * X[:, 4] - 14.4) / 4.9  # about unit variance
    X = 2 * X - 1
    network = Input(10) >> Tanh(case.units) >> Tanh(case.units) >> Linear(1)
    return NetworkProblem(network, X, y), Glorot().draw(network, rng), X, y


def by_solver(solver: LinearSolver) -> Callable[[Case], Course]:
    def run(case: Case) -> Course:
        problem, w0, _, y = friedman(case)
        course = Course(case.seconds)
        minimize(
            problem,
            w0,
            solver=solver,
            callback=lambda now: course.note(lambda: 2 * now.cost / len(y)),
        )
        return course

    return run


def by_lbfgs(case: Case) -> Course:
    problem, w0, _, y = friedman(case)
    course = Course(case.seconds)

    def value(w: Array) -> tuple[float, Array]:
        at = problem.linearize(w.copy())
        if course.note(lambda: 2 * at.cost / len(y)):
            raise _OutOfTime
        return at.cost, at.gradient

    try:
        limits = {"maxcor": 20, "maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0}
        scipy_minimize(value, w0, jac=True, method="L-BFGS-B", options=limits)
    except _OutOfTime:
        pass
    return course


def by_adam(case: Case) -> Course:
    problem, w, X, y = friedman(case)
    rng, course = np.random.default_rng(1), Course(case.seconds)
    w, first, second = w.copy(), np.zeros_like(w), np.zeros_like(w)

    def error() -> float:
        return 2 * problem.cost(w.copy()) / len(y)

    course.note(error)
    step, next_note = 0, 0.0
    while course.now < case.seconds:
        rows = rng.integers(0, len(y), BATCH)
        gradient = NetworkProblem(problem.network, X[rows], y[rows]).linearize(w.copy()).gradient / BATCH
        step += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * min(course.now / case.seconds, 1.0)))
        w -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        if course.now > next_note:
            course.note(error)
            next_note += case.seconds / 40
    course.note(error)
    return course


def ways(case: Case) -> dict[str, Callable[[Case], Course]]:
    found = {"iterative": by_solver(Iterative())}
    if case.variants:
        found |= {
            "iterative, 500 rows": by_solver(Iterative(sample=500)),
            "iterative, 2000 rows": by_solver(Iterative(sample=2000)),
            "iterative, tolerance 0.01": by_solver(Iterative(tolerance=0.01)),
            "iterative, accelerated": by_solver(Iterative(accelerate=True)),
        }
    if case.dense:
        found["dense"] = by_solver(Auto(margin=np.inf))
    return found | {"L-BFGS": by_lbfgs, "Adam": by_adam}


def measured(case: Case) -> tuple[str, dict]:
    problem, *_ = friedman(case)
    p, n = problem.n_params, case.n_samples
    courses = {}
    for name, run in ways(case).items():
        courses[name] = run(case)
        print(name, courses[name].at(np.inf), flush=True)
    rows = []
    goal = courses["dense"].at(np.inf) if case.dense else courses["L-BFGS"].at(case.seconds)
    for name, course in courses.items():
        shares = [f"{course.at(share * case.seconds):.1e}" for share in (0.25, 0.5, 1.0)]
        # the batch of Adam and the line search of L-BFGS are no iterations of ours
        own = duration(course.per_iteration) if name not in ("Adam", "L-BFGS") else "-"
        rows.append([name, own, *shares, f"{course.at(np.inf):.1e}", duration(course.time_to(goal))])
    marks = [f"MSE at {share * case.seconds:.3g} s" for share in (0.25, 0.5, 1.0)]
    what = "dense" if case.dense else "L-BFGS"
    head = ["", "an iteration", *marks, "MSE in the end", f"time to the end of {what}"]
    side = min(n, p)
    free = available_bytes()
    title = (
        f"## 10-{case.units}-{case.units}-1, {p} parameters, {n} rows\n\nThe smaller dense system takes "
        f"{readable(24.0 * side**2)}"
        + ("" if free is None else f" of {readable(free)} free")
        + ("." if case.dense else ": it does not fit.")
    )
    data = {name: {"seconds": c.times, "mse": c.errors} for name, c in courses.items()}
    return f"{title}\n\n{table(head, rows)}", data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", type=float, default=1.0, help="factor of the time of each case")
    options = parser.parse_args()
    texts, data = [], {}
    for number in options.cases:
        case = CASES[number]
        case = Case(case.units, case.n_samples, case.seconds * options.budget, case.variants, case.dense)
        text, found = measured(case)
        texts.append(text)
        data[f"10-{case.units}-{case.units}-1, {case.n_samples} rows"] = found
        print(text, flush=True)
    save("iterative", data, "\n\n".join(["# The iterative solver", *texts]))


if __name__ == "__main__":
    main()
