"""Figure 3: how many Jacobians the default step needs, against its parts and against MATLAB's rule.

    python benchmarks/jacobian_counts.py [--starts 20] [--table-starts 100]

Five small tasks: Jacobian evaluations to the target (starts that miss it count as infinite in the median).
Three UCI tables, one hidden layer of 20 units, standardized: the median cost after 20 and after 60
Jacobians, as mean squared error, and the CPU time the default needs to come below what a plain rule has
reached by then.  These rules end in minima of their own, so that the median of 20 starts is uncertain by 1 %
and more, as much as they differ by on concrete: hence 100.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from marquardt.damping import Multiplicative, Nielsen
from marquardt.lm import minimize
from marquardt.stopping import Stopping
from table import duration, ratio, save, table
from tasks import SMALL_TASKS, Task, uci

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "without re-solve": {"resolve_output": False},
    "without acceleration": {"acceleration": None},
    "Nielsen": {"damping": Nielsen(), "acceleration": None, "resolve_output": False},
    "trainlm rule": {"damping": Multiplicative(1e-3, 10, 10), "acceleration": None, "resolve_output": False},
}
TO_REACH = {"sine": 26, "deep": 26, "friedman": 11, "noisy": 8, "parity": 22}
TABLES = ("energy", "concrete", "yacht")
MARKS = (20, 60)


@dataclass(frozen=True)
class Trace:
    """One run: Jacobians so far, sum of squared errors and CPU seconds, iteration by iteration."""

    jacobians: np.ndarray
    sse: np.ndarray
    cpu: np.ndarray

    def jacobians_to(self, goal_sse: float) -> float:
        below = np.flatnonzero(self.sse <= goal_sse)
        return float(self.jacobians[below[0]]) if len(below) else np.inf

    def cpu_to(self, goal_sse: float) -> float:
        below = np.flatnonzero(self.sse <= goal_sse)
        return float(self.cpu[below[0]]) if len(below) else np.inf

    def sse_at(self, jacobians: int) -> float:
        return float(self.sse[self.jacobians <= jacobians].min())


def trace(task: Task, problem: Any, seed: int, max_jacobians: int, goal_sse: float, options: dict) -> Trace:
    cpu: list[float] = []
    start = time.process_time()

    def note(_: Any) -> None:
        cpu.append(time.process_time() - start)

    stopping = Stopping(max_iter=max_jacobians - 1, cost_goal=goal_sse / 2)  # the start has a Jacobian too
    result = minimize(problem, task.draw(seed), stopping=stopping, callback=note, **options)
    history = result.history
    return Trace(history.column("n_jacobians"), 2 * history.column("cost"), np.array(cpu))


def traces(task: Task, starts: int, max_jacobians: int, goal_sse: float) -> dict[str, list[Trace]]:
    """Variants take turns start by start."""
    problem = task.problem()
    found: dict[str, list[Trace]] = {name: [] for name in VARIANTS}
    for options in VARIANTS.values():  # first use of every path is not timed
        trace(task, problem, 10**6, 3, 0.0, options)
    for seed in range(starts):
        for name, options in VARIANTS.items():
            found[name].append(trace(task, problem, seed, max_jacobians, goal_sse, options))
    return found


def median(values: list[float]) -> float:
    return float(np.median(values))


def small(starts: int) -> tuple[str, dict]:
    """Jacobians to target."""
    rows, data = [], {}
    for name, make in SMALL_TASKS.items():
        task = make()
        runs = traces(task, starts, task.max_jacobians, task.goal_sse)
        cells, record = [], {}
        for variant, several in runs.items():
            counts = [run.jacobians_to(task.goal_sse) for run in several]
            cpu = [run.cpu_to(task.goal_sse) for run in several]
            reached = float(np.isfinite(counts).mean())
            record[variant] = {"jacobians": counts, "cpu": cpu}
            cells.append(f"{median(counts):g} ({reached:.0%}), {duration(median(cpu))}")
        data[name] = {"goal_sse": task.goal_sse, **record}
        rows.append([name, "-".join(map(str, task.sizes)), TO_REACH[name], *cells])
        print(f"{name} done", flush=True)
    head = ["task", "network", "to reach", *VARIANTS]
    return "## Jacobians to the target: median (share of starts), CPU time\n\n" + table(head, rows), data


def real(starts: int) -> tuple[str, dict]:
    """Cost after 20 and 60 Jacobians."""
    costs, speed, data = [], [], {}
    for name in TABLES:
        task = uci(name, 20)
        n = task.n_residuals
        runs = traces(task, starts, max(MARKS), 0.0)
        data[name] = {v: {str(m): [r.sse_at(m) / n for r in rs] for m in MARKS} for v, rs in runs.items()}
        for mark in MARKS:
            costs.append([name, mark, *[f"{median(data[name][v][str(mark)]):.3g}" for v in VARIANTS]])
            for rule in ("Nielsen", "trainlm rule"):
                speed.append([name, mark, rule, *catch_up(runs["default"], runs[rule], mark)])
        wall = [f"{duration(median([r.cpu[-1] for r in rs]))}" for rs in runs.values()]
        costs.append([name, "CPU", *wall])
        print(f"{name} done", flush=True)
    text = "## Tables: median mean squared error (target variance 1), and CPU time of the whole run\n\n"
    text += table(["table", "Jacobians", *VARIANTS], costs)
    text += "\n\n## CPU time for the default to come below what a plain rule reached\n\n"
    head = [
        "table",
        "Jacobians",
        "rule",
        "rule's CPU time",
        "default's",
        "default faster",
        "starts where lower",
    ]
    return text + table(head, speed), data


def catch_up(ours: list[Trace], theirs: list[Trace], mark: int) -> list[str]:
    """CPU time of the rule to `mark` Jacobians, of the default to the same cost, their median ratio by start,
    and on how many starts the default's cost after `mark` Jacobians is the lower."""
    goals = [run.sse_at(mark) for run in theirs]
    their_cpu = [run.cpu_to(goal) for run, goal in zip(theirs, goals, strict=True)]
    our_cpu = [run.cpu_to(goal) for run, goal in zip(ours, goals, strict=True)]
    ratios = [b / a for a, b in zip(our_cpu, their_cpu, strict=True)]
    lower = sum(run.sse_at(mark) <= goal for run, goal in zip(ours, goals, strict=True))
    return [
        duration(median(their_cpu)),
        duration(median(our_cpu)),
        ratio(median(ratios)),
        f"{lower}/{len(ours)}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--table-starts", type=int, default=100)
    options = parser.parse_args()
    parts = [small(options.starts), real(options.table_starts)]
    data = {"starts": vars(options), "small": parts[0][1], "tables": parts[1][1]}
    title = f"# Jacobian evaluations, {options.starts} starts, {options.table_starts} of the tables"
    save("jacobian_counts", data, "\n\n".join([title, *[text for text, _ in parts]]))


if __name__ == "__main__":
    main()
