"""Figure 7: closed-loop training of NARX networks beside pyrenn.

    python benchmarks/narx.py [--seeds 10] [--samples 500] [--picture docs/images/narx.png]

Both train the same network on the same scaled data, from the same start (pyrenn's own draw), for the same
sum of squares: that of the simulation from rest.  pyrenn runs for the iterations of its examples.  Ours
runs with its defaults: in closed loop from the start on; open loop first, from the same start, then closed;
and so as `NARXRegressor` does it, from three more starts too, the fit that simulates best being trained on.
Times are CPU times of one thread, noted whenever the error has fallen, with the closed-loop error of that
moment; in the open-loop part the error is that of the simulation, made afterwards.

Errors: root mean square of the simulation, in units of the standard deviation of y; "test" on another series.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adapters.run import Finished
from closed_loop_task import Task
from marquardt import Glorot, NetworkProblem, Stopping, minimize
from plants import PLANTS, Plant
from table import duration, ratio, save, table

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "narx.png"


@dataclass
class Curve:
    """Root mean square errors in the order of CPU time."""

    seconds: list[float]
    error: list[float]

    def at(self, seconds: float) -> float:
        """The error at a time; infinite before the first."""
        k = int(np.searchsorted(self.seconds, seconds, side="right"))
        return min(self.error[:k]) if k else float("inf")

    def reached(self, error: float) -> float:
        """When the error was first as low; infinite if never."""
        return next((t for t, e in zip(self.seconds, self.error, strict=True) if e <= error), float("inf"))


class Pyrenn:
    """pyrenn's network, with our parameters of the same numbers."""

    def __init__(self, task: Task) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # `is not 0` in its source
            import pyrenn
        self.library, self.task = pyrenn, task
        self.sizes = [1, *task.plant.hidden, 1]

    def create(self, seed: int) -> dict[str, Any]:
        np.random.seed(seed)  # noqa: NPY002 (its only way)
        plant = self.task.plant
        return self.library.CreateNN(self.sizes, dIn=list(plant.input_delays), dOut=list(plant.output_delays))

    def parameters(self, net: dict[str, Any]) -> np.ndarray:
        """In our order."""
        inputs, links, biases = self.library.w2Wb(net)
        plant, last = self.task.plant, len(self.sizes) - 1
        layers = []
        for m in range(1, last + 1):
            if m == 1:
                blocks = [inputs[1, 1, d] for d in plant.input_delays]
                W = np.hstack(blocks + [links[1, last, d] for d in plant.output_delays])
            else:
                W = links[m, m - 1, 0]
            layers.append((W, biases[m]))
        return self.task.network.pack(layers)

    def train(self, seed: int) -> tuple[Curve, np.ndarray, int]:
        """Errors against time, the best parameters, iterations."""
        library, task, net = self.library, self.task, self.create(seed)
        calc_error, curve, best = library.calc_error, Curve([], []), [np.inf, net["w"]]
        begun = time.process_time()

        def watched(net: dict[str, Any], data: dict[str, Any]) -> float:
            error = float(calc_error(net, data))
            if error < best[0]:
                best[:] = [error, net["w"]]
                curve.seconds.append(time.process_time() - begun)
                curve.error.append(task.rms(error / 2))
            tried[0] += 1
            if tried[0] - len(curve.error) > 3 * task.plant.iterations:
                raise Finished  # it would try for ever where no damping helps
            return error

        tried, library.calc_error = [0], watched
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                library.train_LM(task.u, task.y, net, k_max=task.plant.iterations, E_stop=0.0)
        except Finished:
            pass
        finally:
            library.calc_error = calc_error
        curve.seconds.append(time.process_time() - begun)
        curve.error.append(curve.error[-1])
        net["w"] = best[1]
        return curve, self.parameters(net), len(curve.error) - 1


def ours(task: Task, starts: list[np.ndarray], open_first: bool) -> tuple[Curve, np.ndarray, int]:
    """Errors against time, the best parameters, iterations in the closed loop."""
    stopping = Stopping(max_iter=task.plant.iterations)
    seconds, ws, begun = [], [], time.process_time()
    problem = task.closed(task.u, task.y)

    class Noted(NetworkProblem):
        def linearize(self, w: np.ndarray) -> Any:
            at = super().linearize(w)
            seconds.append(time.process_time() - begun)
            ws.append(w)
            return at

    w = starts[0]
    if open_first:
        X, y = task.rows(task.u, task.y)
        fits = [minimize(Noted(task.network, X, y), w, stopping=stopping).w for w in starts]
        with np.errstate(all="ignore"):
            w = fits[int(np.nanargmin([problem.cost(fit) for fit in fits]))]
    closed = []

    def note(record: Any) -> None:
        closed.append((time.process_time() - begun, record.cost))

    result = minimize(problem, w, stopping=stopping, callback=note)
    judge = task.closed(task.u, task.y)
    with np.errstate(all="ignore"):
        first = [task.rms(judge.cost(w)) for w in ws]
    kept = Curve([*seconds, *(t for t, _ in closed)], [*first, *(task.rms(c) for _, c in closed)])
    return kept, result.w, result.n_iter


WAYS: dict[str, Callable[[Task, list[np.ndarray]], tuple[Curve, np.ndarray, int]]] = {
    "closed loop": lambda task, starts: ours(task, starts[:1], False),
    "open, then closed": lambda task, starts: ours(task, starts[:1], True),
    "open from 4 starts, then closed": lambda task, starts: ours(task, starts, True),
}


def compared(task: Task, seeds: int) -> dict[str, Any]:
    """All runs of one plant."""
    peer, found = Pyrenn(task), {name: [] for name in ("pyrenn", *WAYS)}
    ours(task, [peer.parameters(peer.create(seeds))], True)  # to load what is loaded when first used
    for seed in range(seeds):
        found["pyrenn"].append(peer.train(seed))
        starts = [peer.parameters(peer.create(seed + 1000 * k)) for k in range(4)]
        for name, way in WAYS.items():
            found[name].append(way(task, starts))
    return found


def report(task: Task, found: dict[str, Any]) -> tuple[list[list[Any]], dict[str, Any]]:
    theirs = found["pyrenn"]
    median = np.median
    rows, data = [], {}
    for name, runs in found.items():
        final, total = [c.error[-1] for c, _, _ in runs], [c.seconds[-1] for c, _, _ in runs]
        tests = [task.tested(w) for _, w, _ in runs]
        tenth = [c.at(t.seconds[-1] / 10) for (c, _, _), (t, _, _) in zip(runs, theirs, strict=True)]
        reached = [c.reached(t.error[-1]) for (c, _, _), (t, _, _) in zip(runs, theirs, strict=True)]
        speed = [t.seconds[-1] / r for r, (t, _, _) in zip(reached, theirs, strict=True)]
        better = sum(e <= t.error[-1] for e, (t, _, _) in zip(tenth, theirs, strict=True))
        own = name == "pyrenn"
        rows.append(
            [
                task.plant.name,
                name,
                f"{median([n for _, _, n in runs]):.0f}",
                duration(float(median(total))),
                f"{median(final):.2g}",
                f"{median(tests):.2g}",
                "-" if own else f"{median(tenth):.2g}",
                "-" if own else f"{better} of {len(runs)}",
                "-" if own else duration(float(median(reached))),
                "-" if own else ratio(float(median(speed))),
            ]
        )
        data[name] = {
            "iterations": [n for _, _, n in runs],
            "cpu_seconds": total,
            "train_rms": final,
            "test_rms": tests,
            "train_rms_at_a_tenth_of_pyrenns_time": tenth,
            "cpu_seconds_to_pyrenns_error": [r if np.isfinite(r) else None for r in reached],
            "median_error_against_cpu_seconds": [
                [float(t), float(e)]
                for t in np.geomspace(1e-3, max(total), 40)
                if np.isfinite(e := median([c.at(t) for c, _, _ in runs]))
            ],
        }
    return rows, data


def parts(tasks: list[Task], seeds: int) -> tuple[str, dict[str, Any]]:
    """What the parts of the step bring: errors after so many iterations."""
    marks, options = (
        (20, 50, 100, 200),
        {
            "default": {},
            "without the output re-solve": {"resolve_output": False},
            "without either second-order term or re-solve": {"resolve_output": False, "acceleration": None},
        },
    )
    rows, data = [], {}
    for task in tasks:
        for name, chosen in options.items():
            begun, costs = time.process_time(), []
            for seed in range(seeds):
                w0 = Glorot().draw(task.network, np.random.default_rng(seed))
                problem = task.closed(task.u, task.y)
                history = minimize(problem, w0, stopping=Stopping(max_iter=200), **chosen).history
                column = history.column("cost")
                costs.append([task.rms(column[min(k, len(column) - 1)]) for k in marks])
            mean = np.exp(np.mean(np.log(costs), axis=0))
            spent = (time.process_time() - begun) / seeds
            rows.append([task.plant.name, name, *(f"{v:.2g}" for v in mean), duration(spent)])
            data[f"{task.plant.name}, {name}"] = mean.tolist()
    head = ["plant", "step", *(f"after {k}" for k in marks), "CPU time"]
    return table(head, rows), data


def prices(plant: Plant, lengths: tuple[int, ...] = (200, 500, 2000, 10_000)) -> tuple[str, dict[str, Any]]:
    """One simulation, one Jacobian, ours and pyrenn's, against the length of the series."""
    rows, data = [], {}
    for n in lengths:
        task = Task(plant, n)
        problem, peer = task.closed(task.u, task.y), Pyrenn(task)
        w0 = Glorot().draw(task.network, np.random.default_rng(0))
        w = minimize(problem, w0, stopping=Stopping(max_iter=20)).w
        near = [w * (1 + 1e-3 * np.random.default_rng(k).normal(size=len(w))) for k in range(20)]
        for v in (w, *near):
            v.flags.writeable = False
        problem.linearize(w)
        newton, recursion = timed(problem.cost, near), timed(problem._recursion, near[:3])
        problem.cost(w)  # so that it is at hand
        jacobian = timed(problem.linearize, [w] * 20)
        data_, net = peer.library.prepare_data(task.u, task.y, peer.create(0))
        nets = [net] * (3 if n <= 500 else 1)
        pyrenn = [
            timed(partial(function, data=data_), nets)
            for function in (peer.library.calc_error, peer.library.RTRL)
        ]
        own = [newton, recursion, jacobian]
        rows.append([n, *(duration(t) for t in (*own, *pyrenn)), ratio(pyrenn[1] / (newton + jacobian))])
        data[str(n)] = [*own, *pyrenn]
    head = [
        "samples", "simulation", "by the recursion", "Jacobian after it", "pyrenn: simulation",
        "pyrenn: both", "ratio of both",
    ]  # fmt: skip
    return table(head, rows), data


def timed(function: Callable[[Any], object], arguments: Any) -> float:
    """CPU seconds a call, the best of three rounds."""
    best = np.inf
    for _ in range(3):
        begun = time.process_time()
        for argument in arguments:
            function(argument)
        best = min(best, (time.process_time() - begun) / len(arguments))
    return float(best)


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Error against time, every run, and the median."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colors = dict(zip(("pyrenn", *WAYS), ("#dd6b20", "#2b6cb0", "#2f855a", "#805ad5"), strict=True))
    figure = Figure(figsize=(12.6, 4.4), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (plant, runs) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        for name, several in runs.items():
            ends = [curve.seconds[-1] for curve, _, _ in several]
            grid = np.geomspace(1e-3, max(ends), 200)
            values = np.array([[curve.at(t) for t in grid] for curve, _, _ in several])
            for line in values:
                axes.plot(
                    grid, np.where(np.isfinite(line), line, np.nan), color=colors[name], lw=0.7, alpha=0.3
                )
            middle = np.median(values, axis=0)
            middle[~np.isfinite(middle)] = np.nan
            axes.plot(grid, middle, color=colors[name], lw=2.4, label=name)
        axes.set(xscale="log", yscale="log", xlabel="CPU time, s")
        axes.set_title(plant, fontsize=13, fontweight="bold", color="#1f2933")
        axes.grid(which="major", color="#e4e7eb", lw=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        top = 3.0
        axes.set_ylim(max(axes.get_ylim()[0], 1e-9), top)
    first = figure.axes[0]
    first.set_ylabel("error of the simulation / standard deviation")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    tasks = [Task(plant, options.samples) for plant in PLANTS]
    rows, data, curves = [], {}, {}
    for task in tasks:
        found = compared(task, options.seeds)
        more, data[task.plant.name] = report(task, found)
        rows += more
        curves[task.plant.name] = found
        print(table([""] * 10, more), flush=True)
    draw(curves, options.picture)
    bring, bring_data = parts(tasks, options.seeds)
    price, price_data = prices(PLANTS[1])
    head = [
        "plant", "training", "iterations", "CPU time", "error", "test error",
        "error at 1/10 of pyrenn's time", "as low as pyrenn's at its end", "time to pyrenn's error",
        "pyrenn's time over that",
    ]  # fmt: skip
    about = [
        [p.name, p.about, "-".join(map(str, (len(p.input_delays) + len(p.output_delays), *p.hidden, 1))),
         task.network.n_params, ", ".join(map(str, p.input_delays)), ", ".join(map(str, p.output_delays))]
        for p, task in zip(PLANTS, tasks, strict=True)
    ]  # fmt: skip
    text = f"""# NARX in closed loop

{options.seeds} starts, {options.samples} samples, no noise; medians. `python benchmarks/narx.py`.
Errors are root mean squares of the simulation over the standard deviation of y.

{table(["plant", "", "network", "parameters", "delays of u", "delays of y"], about)}

## Beside pyrenn

{table(head, rows)}

## What the parts of the step bring

Closed loop from random starts, ours; geometric means of the error.

{bring}

## Prices

{PLANTS[1].name}: one simulation near the last linearization, the same by the recursion, the Jacobian, the
gradient and all else of a linearization; pyrenn's simulation, and its RTRL, which simulates too.

{price}
"""
    save("narx", {"runs": data, "parts": bring_data, "prices": price_data}, text)


if __name__ == "__main__":
    main()
