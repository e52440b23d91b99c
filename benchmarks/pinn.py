"""Differential equations by networks: error against time, L-BFGS and Adam beside for the same time.

    OMP_NUM_THREADS=2 python benchmarks/pinn.py [poisson heat ... burgers] [--seeds 10] [--rivals 1]

Errors are those of a grid that is not trained on (101 points a side; 10 000 random points in 5-D), in the
median and the worst of the seeds, at given times of the run: compilation is left out and shown apart, and
left out is the time to measure the error.  Start, points, weights and residual code are the same for all;
where ours draws new points on the way, the rivals keep the first.  The rivals (L-BFGS by SciPy with 50
pairs, Adam by optax with a cosine schedule from 5e-3) run for the first `--rivals` seeds.  A picture of
error against time goes to docs/images/pinn_<task>.png.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize

from marquardt.apps.pinn import Dense
from marquardt.apps.pinn.problems import (
    Ready,
    burgers,
    convection,
    heat_1d,
    poisson_2d,
    poisson_5d,
    reaction,
    wave,
)
from marquardt.apps.pinn.samples import Samples
from marquardt.jax_models import double_precision
from marquardt.reports import COLORS, draw_legend, empty_figure
from table import RESULTS, save, table

IMAGES = Path(__file__).parents[1] / "docs" / "images"


@dataclass(frozen=True)
class Task:
    """A problem, the times to look at, and the errors asked for at them."""

    make: Callable[[], Ready]
    marks: tuple[float, ...]
    goals: Mapping[float, float]
    relative: bool = True
    seeds: int = 10
    published: str = ""


def deep(ready: Ready) -> Ready:
    return replace(ready, network=Dense((32, 32)))


TASKS = {
    "poisson": Task(
        poisson_2d,
        (1, 3, 10),
        {3: 1e-6, 10: 1e-8, 60: 1e-9},
        relative=False,
        published="GPU: 1e-5 in 59 s, 6e-8 in 1000 s (best of ENGD, KFAC, Hessian-free)",
    ),
    "heat": Task(
        heat_1d, (1, 3, 10, 30), {3: 1e-6, 30: 1e-8}, relative=False, published="GPU: 2.8e-8 in 1000 s"
    ),
    "poisson_5d": Task(
        poisson_5d, (1, 3, 10, 20), {60: 1e-5}, relative=False, seeds=3, published="GPU: 5.6e-8 in 3000 s"
    ),
    "deep_poisson": Task(lambda: deep(poisson_2d()), (1, 3, 10, 30), {3: 1e-7, 10: 2e-9, 30: 1e-9}),
    "deep_heat": Task(lambda: deep(heat_1d()), (1, 3, 10, 30), {10: 1e-8, 30: 5e-9}),
    "convection": Task(
        convection,
        (10, 30, 100, 300),
        {600: 1.9e-3},
        seeds=1,
        published="1.9e-3 (NNCG, 41 000 iterations on a GPU)",
    ),
    "reaction": Task(reaction, (10, 30, 60), {600: 9.9e-3}, seeds=1, published="9.9e-3 (NNCG)"),
    "wave": Task(wave, (10, 30, 100, 240), {600: 1.3e-2}, seeds=1, published="1.3e-2 (NNCG)"),
    "burgers": Task(
        burgers, (10, 30, 100, 300, 600), {600: 1e-6}, seeds=1, published="8e-14 in 346 s on an H100 (DSGNAR)"
    ),
}


@dataclass
class Track:
    """Parameters on the way, by time; the clock stands still while they are kept."""

    points: list[tuple[float, Any]] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)
    step: float = 1.05

    def note_params(self, params: Any) -> None:
        now = time.perf_counter() - self.begun
        if not self.points or now > self.points[-1][0] * self.step + 0.02:
            self.points.append((now, params))


Curve = list[tuple[float, float]]
"""Time and error."""


class Watch(Track):
    """The same as a place for checkpoints of `minimize`, which shows it w after every step."""

    def begin(self, identity: Mapping[str, object]) -> None:
        del identity
        if not self.points:  # the clock runs on through the runs of a solution
            self.begun = time.perf_counter()

    def note(self, iteration: int, snapshot: Any) -> None:
        del iteration
        self.note_params(snapshot.position.w)

    def end(self, outcome: Any, status: Any) -> None:
        del status
        self.points.append((time.perf_counter() - self.begun, outcome.w_last))


class Judge:
    """Errors on a grid that is not trained on; the exact solution is computed once."""

    def __init__(self, ready: Ready, relative: bool) -> None:
        begun = time.perf_counter()
        self.template = ready.solve(max_iter=1)  # compiles
        self.compilation = time.perf_counter() - begun
        box = ready.pde.box
        corners = box.grid(101) if box.dimension <= 2 else None
        random = np.random.default_rng(0).uniform(size=(10_000, box.dimension))
        self.points = box.scaled(random) if corners is None else corners
        self.truth = np.asarray(ready.exact(**dict(zip(box.names, self.points.T, strict=True))))
        self.size = np.linalg.norm(self.truth) if relative else np.sqrt(len(self.points))

    def error(self, params: Any) -> float:
        run = self.template.runs[-1]
        run = replace(run, fit=replace(run.fit, params=params))
        found = replace(self.template, runs=(run,)).predict(self.points)
        return float(np.linalg.norm(found[self.template.pde.fields[0]] - self.truth) / self.size)


def ours(ready: Ready, judge: Judge, seed: int, seconds: float) -> tuple[Curve, dict[str, Any]]:
    watch = Watch()
    solution = ready.solve(
        random_state=seed, max_time=seconds, max_iter=1_000_000, patience=10_000, checkpoint=watch
    )
    tree = solution.fit.tree
    curve = [(when, judge.error(tree.restore(w))) for when, w in watch.points]
    about = {
        "parameters": solution.fit.problem.n_params,
        "residuals": solution.fit.problem.n_residuals,
        "iterations": len(solution.history) - len(solution.runs),
        "compilation": judge.compilation,
    }
    return curve, about


def loss_of(ready: Ready, seed: int) -> tuple[Any, Any, Any]:
    """(flat start, unflatten, compiled value and gradient of the same cost)."""
    rng = np.random.default_rng(seed)
    model = ready.pde.model(ready.network)
    params = model.start(ready.pde.unknowns, rng)
    samples = Samples(ready.pde, model, seed=int(rng.integers(2**31)))
    groups = samples.fixed_groups()
    with double_precision():
        w0, unflatten = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, params))

        def cost(w: Any) -> Any:
            tree = unflatten(w)
            return sum(
                0.5 * group.weight * jnp.sum(jax.vmap(group.residual, in_axes=(None, 0))(tree, group.X) ** 2)
                for group in groups.values()
            )

        both = jax.jit(jax.value_and_grad(cost))
        both(w0)[0].block_until_ready()
    return np.asarray(w0), unflatten, both


class _Enough(Exception):
    pass


def lbfgs(ready: Ready, seed: int, seconds: float) -> list[tuple[float, Any]]:
    w0, unflatten, both = loss_of(ready, seed)
    track = Track()

    def call(w: Any) -> tuple[float, Any]:
        if time.perf_counter() - track.begun > seconds:
            raise _Enough
        value, gradient = both(w)
        return float(value), np.asarray(gradient)

    settings = {"maxcor": 50, "maxiter": 10**7, "maxfun": 10**8, "ftol": 0, "gtol": 1e-16}
    with double_precision():
        with suppress(_Enough):
            scipy.optimize.minimize(
                call,
                w0,
                jac=True,
                method="L-BFGS-B",
                options=settings,
                callback=lambda w: track.note_params(w.copy()),
            )
        return [(when, unflatten(jnp.asarray(w))) for when, w in track.points]


def adam(ready: Ready, seed: int, seconds: float) -> list[tuple[float, Any]]:
    w0, unflatten, both = loss_of(ready, seed)
    with double_precision():
        begun = time.perf_counter()
        for _ in range(5):
            both(w0)[0].block_until_ready()
        steps = max(100, int(5 * seconds / (1.1 * (time.perf_counter() - begun))))
        optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, steps))

        @jax.jit
        def advance(w: Any, state: Any) -> Any:
            _, gradient = both(w)
            updates, state = optimizer.update(gradient, state)
            return optax.apply_updates(w, updates), state

        w, state = jnp.asarray(w0), optimizer.init(jnp.asarray(w0))
        advance(w, state)[0].block_until_ready()
        track = Track()
        while time.perf_counter() - track.begun < seconds:
            w, state = advance(w, state)
            track.note_params(w.block_until_ready())
        return [(when, unflatten(w)) for when, w in track.points]


def run(name: str, task: Task, seeds: int, rivals: int) -> dict[str, Any]:
    ready, seconds = task.make(), float(task.marks[-1])
    judge = Judge(ready, task.relative)
    curves: dict[str, list[Any]] = {"Levenberg-Marquardt": []}
    about: dict[str, Any] = {}
    for seed in range(min(seeds, task.seeds)):
        curve, about = ours(ready, judge, seed, seconds)
        curves["Levenberg-Marquardt"].append(curve)
        print(name, seed, [f"{error_at(curve, mark):.1e}" for mark in task.marks], about, flush=True)
    for label, rival in {"L-BFGS": lbfgs, "Adam": adam}.items():
        curves[label] = []
        for seed in range(min(rivals, task.seeds)):
            points = rival(ready, seed, seconds)
            curves[label].append([(when, judge.error(params)) for when, params in points])
            print(
                name, label, [f"{error_at(curves[label][-1], mark):.1e}" for mark in task.marks], flush=True
            )
    draw(name, task, curves)
    return {
        "curves": curves,
        "about": about,
        "marks": task.marks,
        "goals": {str(k): v for k, v in task.goals.items()},
    }


def error_at(curve: list[tuple[float, float]], mark: float) -> float:
    """The error of the latest parameters known at that time."""
    known = [error for when, error in curve if when <= mark * 1.02]
    return known[-1] if known else float("nan")


COLORED = dict(zip(("Levenberg-Marquardt", "L-BFGS", "Adam"), COLORS.values(), strict=True))


def draw(name: str, task: Task, curves: dict[str, list[Any]]) -> None:
    figure, axes = empty_figure(5.6, 4.0)
    for label, runs in curves.items():
        for index, curve in enumerate(runs):
            times, errors = zip(*curve, strict=True)
            shown = label if index == 0 else None
            axes.loglog(np.maximum(times, 0.02), errors, color=COLORED[label], lw=1.2, label=shown)
    for index, (when, goal) in enumerate(task.goals.items()):
        shown = "asked" if index == 0 else None
        axes.plot(min(when, task.marks[-1]), goal, "kv", ms=6, ls="none", label=shown)
    axes.set_xlabel("time in s, without compilation")
    axes.set_ylabel("relative L2 error" if task.relative else "L2 error")
    axes.set_title(task.make().about, fontsize=10)
    draw_legend(axes)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / f"pinn_{name}.png", dpi=110)


def report(results: dict[str, Any]) -> str:
    parts = []
    for name, result in results.items():
        task, about = TASKS[name], result["about"]
        marks = task.marks
        rows = []
        for label, runs in result["curves"].items():
            for what, pick in (("median", np.nanmedian), ("worst", np.max)):
                if len(runs) == 1 and what == "worst":
                    continue
                cells = [f"{pick([error_at(run, mark) for run in runs]):.1e}" for mark in marks]
                rows.append([f"{label}, {what} of {len(runs)}" if len(runs) > 1 else label, *cells])
        goals = ", ".join(f"{goal:g} after {when:g} s" for when, goal in task.goals.items())
        parts.append(
            f"## {name}: {task.make().about}\n\n{about['parameters']} parameters, "
            f"{about['residuals']} residuals; {'relative ' if task.relative else ''}L2 error after a time. "
            f"{about['iterations']} iterations in the last run; compilation took "
            f"{about['compilation']:.1f} s. Asked: {goals}."
            + (f" Published: {task.published}." if task.published else "")
            + "\n\n"
            + table(["method", *[f"{mark:g} s" for mark in marks]], rows)
        )
    return "# Differential equations by networks\n\n" + "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=[], metavar="task")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rivals", type=int, default=1)
    parser.add_argument("--draw", action="store_true", help="only draw and write again what was measured")
    arguments = parser.parse_args()
    kept = RESULTS / "pinn.json"
    results: dict[str, Any] = json.loads(kept.read_text())["results"] if arguments.draw else {}
    for name, result in results.items():
        draw(name, TASKS[name], result["curves"])
    if arguments.draw:
        save("pinn", {"results": results}, report(results))
        return
    for name in arguments.tasks or TASKS:
        result = run(name, TASKS[name], arguments.seeds, arguments.rivals)
        known = json.loads(kept.read_text())["results"] if kept.exists() else {}
        results = {task: {**known, name: result}[task] for task in TASKS if task in {**known, name: 0}}
        save("pinn", {"results": results}, report(results))


if __name__ == "__main__":
    main()
