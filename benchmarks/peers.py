"""Figure 2: time to the same cost, from the same starts, on the same float64 data, against five other
libraries.

    python benchmarks/peers.py                                 # all tasks, all solvers installed, 20 starts
    python benchmarks/peers.py --tasks sinc --starts 5 --cap 5

Solvers take turns start by start, so that a slow minute of the machine hits all of them.  A start that does
not reach the target within the cap counts as infinitely slow in the medians.  Whether it did is decided by
an independent NumPy evaluation of the parameters each solver hands back.

The last table says how many Jacobians a twentieth of the fastest peer's time would pay, if each took no
longer than the float64 floor of `floor.py`: one dsyrk of rows x parameters, one dpotrf, a forward and a
backward pass.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
import warnings
from dataclasses import asdict

import numpy as np

from adapters import SOLVERS, Solver, Unsupported
from floor import floor_parts
from table import duration, ratio, save, table
from tasks import PEER_TASKS, Task

OURS = "marquardt"
HEADER = [
    "solver",
    "reached",
    "median",
    "with compilation",
    "ours faster",
    "with compilation",
    "paired",
    "CPU time",
    "steps",
]


def prepare(task: Task, names: list[str]) -> tuple[dict[str, Solver], dict[str, float], dict[str, str]]:
    """Ready solvers, seconds of compilation, and for those missing the reason."""
    ready, compilation, missing = {}, {}, {}
    for name in names:
        try:
            SOLVERS[name].prepare(task)  # imports the library, which is not counted
            start = time.perf_counter()
            ready[name] = SOLVERS[name].prepare(task)
            compiled = time.perf_counter()
            ready[name](task.draw(10**6), 0.0)  # what `prepare` ran to warm up, now without compilation
            seconds = 2 * compiled - start - time.perf_counter()
            compilation[name] = max(seconds, 0.0) if SOLVERS[name].compiles else 0.0
        except ImportError as error:
            missing[name] = f"not installed ({error})"
        except Unsupported as error:
            missing[name] = str(error)
    return ready, compilation, missing


def measure(task: Task, solvers: dict[str, Solver], starts: int, cap: float) -> dict[str, list[dict]]:
    runs: dict[str, list[dict]] = {name: [] for name in solvers}
    for seed in range(starts):
        w0 = task.draw(seed)
        for name, solve in solvers.items():
            run = solve(w0, cap)
            record = {key: value for key, value in asdict(run).items() if key != "w"}
            record["sse"] = task.sse(run.w)
            record["reached"] = record["sse"] <= task.goal_sse * (1 + 1e-6)
            runs[name].append(record)
        print(
            f"  start {seed}: " + "  ".join(f"{n} {runs[n][-1]['seconds']:.3g}" for n in solvers), flush=True
        )
    return runs


def times(runs: list[dict], key: str = "seconds") -> np.ndarray:
    return np.array([run[key] if run["reached"] else np.inf for run in runs])


def row(name: str, runs: dict[str, list[dict]], compilation: float, cap: float) -> list[str]:
    """One line of the table; a median beyond the cap makes the ratio a lower bound."""
    mine, ours = times(runs[name]), times(runs[OURS])
    reached = int(np.isfinite(mine).sum())
    middle, our_middle = float(np.median(mine)), float(np.median(ours))
    capped, sign = (middle, "") if np.isfinite(middle) else (cap, "> ")
    both = np.isfinite(mine) & np.isfinite(ours)
    paired = f"{np.median(mine[both] / ours[both]):.3g}x ({both.sum()})" if both.any() else "-"
    cpu = np.median(times(runs[name], "cpu_seconds")) / np.median(times(runs[OURS], "cpu_seconds"))
    steps = [run["steps"] for run in runs[name] if run["reached"]]
    return [
        name,
        f"{reached}/{len(mine)}",
        sign + duration(capped),
        sign + duration(capped + compilation),
        "" if name == OURS else sign + ratio(capped / our_middle),
        "" if name == OURS else sign + ratio((capped + compilation) / our_middle),
        "" if name == OURS else paired,
        "" if name == OURS else ratio(cpu),
        f"{np.median(steps):.0f}" if steps else "-",
    ]


def report(task: Task, runs: dict, compilation: dict, missing: dict, cap: float) -> str:
    size = "-".join(map(str, task.sizes))
    goal = f"target SSE {task.goal_sse:g}"
    head = f"### {task.name}: {size}, {task.n_params} parameters, {len(task.X)} rows, {goal}"
    rows = [row(name, runs, compilation[name], cap) for name in runs]
    notes = [f"{name}: {reason}" for name, reason in missing.items()]
    return "\n\n".join([head, table(HEADER, rows), *notes])


def twentieth(task: Task, runs: dict[str, list[dict]]) -> list[str]:
    """What 20 times the speed of the fastest compiled peer would take."""
    peers = [name for name in runs if name != OURS and not name.startswith("scipy")]
    middle = {name: float(np.median(times(runs[name]))) for name in peers}
    fastest = min(middle, key=lambda name: middle[name])
    floor = sum(floor_parts(task, 15).values())
    steps = np.median([run["steps"] for run in runs[OURS] if run["reached"]])
    share = middle[fastest] / 20
    return [
        task.name,
        fastest,
        duration(middle[fastest]),
        duration(share),
        duration(floor),
        f"{share / floor:.1f}",
        f"{steps:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", default=",".join(PEER_TASKS))
    parser.add_argument("--solvers", default=";".join(SOLVERS), help="separated by semicolons")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--cap", type=float, default=20.0, help="seconds a run may take")
    parser.add_argument("--name", default="peers", help="of the files under results/")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    names = options.solvers.split(";")
    if OURS not in names:
        names.insert(0, OURS)
    texts, bounds, data = [], [], {}
    for task_name in options.tasks.split(","):
        task = PEER_TASKS[task_name]()
        print(f"{task_name} ...", flush=True)
        solvers, compilation, missing = prepare(task, names)
        runs = measure(task, solvers, options.starts, options.cap)
        texts.append(report(task, runs, compilation, missing, options.cap))
        if len(runs) > 1:
            bounds.append(twentieth(task, runs))
        data[task_name] = {
            "goal_sse": task.goal_sse,
            "compilation": compilation,
            "missing": missing,
            "runs": runs,
        }
    if bounds:
        head = [
            "task",
            "fastest peer",
            "its median",
            "a twentieth",
            "floor of a Jacobian",
            "pays",
            "ours takes",
        ]
        texts.append(
            "### Jacobians that a twentieth of the fastest peer's time pays\n\n" + table(head, bounds)
        )
    title = (
        "# Time to the same cost, same starts, float64\n\n"
        f"{options.starts} starts, at most {options.cap:g} s each, solvers in turn.  'ours faster' is the "
        "ratio of median times; 'paired' the median ratio over the starts that both bring to the target."
    )
    save(
        options.name,
        {"starts": options.starts, "cap": options.cap, "tasks": data},
        "\n\n".join([title, *texts]),
    )


if __name__ == "__main__":
    main()
