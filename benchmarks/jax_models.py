"""Models in JAX: an iteration beside the NumPy network's, the first call, and time to the same cost against
the JAX peers.

    python benchmarks/jax_models.py                       # all three, 20 starts
    python benchmarks/jax_models.py --starts 5 --cap 5

The networks are multilayer perceptrons written in JAX, which `fit` recognises and trains by the network in
NumPy; `traced` is what JAX computes with ``structured=False``, as it does for any other model.  One
iteration: CPU time on one thread of an accepted iteration, the whole default step, traced and in turn with
the same network in NumPy, whose Jacobian is never formed.  First call: wall time of `fit` in a process of its
own, JAX imported before, compilation included.  Peers: as `peers.py`, ours being `jax_models.fit` with its
checks.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import json
import subprocess
import sys
import warnings
from itertools import product

import numpy as np

import peers
from adapters import SOLVERS, Entry
from floor import iteration, make
from table import duration, ratio, save, table
from tasks import PEER_TASKS, Task

SHAPES = [(10, 80, 1), (10, 160, 1), (10, 250, 1), (10, 30, 25, 1), (10, 40, 30, 1), (10, 50, 50, 1)]
N_SAMPLES = 10_000
FIRST_CALLS = [((1, 20, 1), 500), ((10, 50, 1), 4000), ((10, 40, 30, 1), 10_000), ((8, 64, 64, 64, 1), 2000)]
JAX_PEERS = ["optimistix qr", "optimistix normal", "jaxopt cholesky", "jaxopt default"]
TRACED = "marquardt, traced"
FIRST_CALL_COLUMNS = ["import", "first", "first_cpu", "second", "second_cpu"]

FIRST_CALL = """
import json, sys, time
sys.path.insert(0, {here!r})
import single_thread
import jax, jax.numpy as jnp, numpy as np
from floor import make
start = time.perf_counter()
from marquardt import Stopping
from marquardt.jax_models import fit
imported = time.perf_counter()
task = make({sizes!r}, {n_samples})
def network(params, X):
    for k, (W, b) in enumerate(params):
        X = X @ W.T + b
        X = jnp.tanh(X) if k < len(params) - 1 else X
    return X
calls = []
for _ in range(2):
    begin, cpu = time.perf_counter(), time.process_time()
    options = dict(stopping=Stopping(max_iter=1), structured={structured})
    fitted = fit((network, task.unpack(task.draw(0))), task.X, task.y, **options)
    calls += [time.perf_counter() - begin, time.process_time() - cpu]
print(json.dumps([imported - start, *calls]))
"""


def jax_problem(task: Task):
    """The task as a `SampleProblem`, which JAX computes, parameters in the order of `tasks`."""
    import jax.numpy as jnp

    from marquardt import Stopping
    from marquardt.jax_models import fit

    def network(params, X):
        a = X
        for k, W in enumerate(params):
            z = a @ W[:, :-1].T + W[:, -1]
            a = jnp.tanh(z) if k < len(params) - 1 else z
        return a

    start = [np.hstack([W, b[:, None]]) for W, b in task.unpack(task.draw(0))]
    return fit((network, start), task.X, task.y, stopping=Stopping(max_iter=0), structured=False).problem


def iterations(rounds: int) -> tuple[str, list[dict]]:
    rows, data = [], []
    for sizes in SHAPES:
        task = make(sizes, N_SAMPLES)
        own, theirs = task.problem(), jax_problem(task)
        pairs = [(iteration(task, theirs, 6, {}), iteration(task, own, 6, {})) for _ in range(rounds)]
        in_jax, in_numpy = np.nanmedian(pairs, axis=0)
        rows.append(
            [
                "-".join(map(str, sizes)),
                task.n_params,
                duration(in_jax),
                duration(in_numpy),
                ratio(in_jax / in_numpy),
            ]
        )
        data.append({"sizes": sizes, "jax": in_jax, "numpy": in_numpy, "pairs": pairs})
        print(rows[-1], flush=True)
    return table(["network", "parameters", "traced", "NumPy", "ratio"], rows), data


def first_calls() -> tuple[str, list[dict]]:
    rows, data = [], []
    for (sizes, n_samples), structured in product(FIRST_CALLS, (True, False)):
        code = FIRST_CALL.format(here=sys.path[0], sizes=sizes, n_samples=n_samples, structured=structured)
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds = json.loads(ran.stdout.splitlines()[-1])
        way = "recognized" if structured else "traced"
        size = "-".join(map(str, sizes))
        rows.append([size, n_samples, way, *map(duration, seconds[1:]), duration(seconds[0])])
        found = dict(zip(FIRST_CALL_COLUMNS, seconds, strict=True))
        data.append({"sizes": sizes, "structured": structured, **found})
        print(rows[-1], flush=True)
    header = [
        "network",
        "rows",
        "way",
        "first fit",
        "CPU time",
        "second fit",
        "CPU time",
        "import, beyond JAX",
    ]
    return table(header, rows), data


def peer_table(task: Task, runs: dict, compilation: dict[str, float], cap: float) -> str:
    """Like that of `peers.py`, but we compile too: the second ratio counts it on both sides."""
    ours = peers.times(runs[peers.OURS])
    rows = []
    for name, own in runs.items():
        mine = peers.times(own)
        middle, our_middle = min(float(np.median(mine)), cap), float(np.median(ours))
        with_compilation = middle + compilation[name]
        both = np.isfinite(mine) & np.isfinite(ours)
        ratios = [
            ratio(middle / our_middle),
            ratio(with_compilation / (our_middle + compilation[peers.OURS])),
            f"{np.median(mine[both] / ours[both]):.3g}x ({both.sum()})",
        ]
        reached = f"{np.isfinite(mine).sum()}/{len(mine)}"
        steps = f"{np.median([run['steps'] for run in own if run['reached']]):.0f}"
        columns = [name, reached, duration(middle), duration(with_compilation), *ratios, steps]
        rows.append([*columns[:4], "", "", "", steps] if name == peers.OURS else columns)
    header = ["solver", "reached", "median", "with compilation", "ours faster", "with compilation"]
    size = "-".join(map(str, task.sizes))
    head = f"### {task.name}: {size}, {task.n_params} parameters, {len(task.X)} rows"
    return f"{head}, target SSE {task.goal_sse:g}\n\n{table([*header, 'paired', 'steps'], rows)}"


def against_peers(tasks: list[str], starts: int, cap: float) -> tuple[str, dict]:
    SOLVERS[peers.OURS] = Entry("own_jax", {}, compiles=True)
    SOLVERS[TRACED] = Entry("own_jax", {"structured": False}, compiles=True)
    texts, data = [], {}
    for name in tasks:
        task = PEER_TASKS[name]()
        solvers, compilation, missing = peers.prepare(task, [peers.OURS, TRACED, *JAX_PEERS])
        runs = peers.measure(task, solvers, starts, cap)
        texts.append(peer_table(task, runs, compilation, cap))
        texts += [f"{peer}: {reason}" for peer, reason in missing.items()]
        data[name] = {"compilation": compilation, "runs": runs}
    return "\n\n".join(texts), data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", default=",".join(PEER_TASKS))
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--cap", type=float, default=20.0, help="seconds a run may take")
    parser.add_argument("--rounds", type=int, default=3, help="of the iteration table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    iteration_text, iteration_data = iterations(options.rounds)
    first_text, first_data = first_calls()
    peer_text, peer_data = against_peers(options.tasks.split(","), options.starts, options.cap)
    text = "\n\n".join(
        [
            "# Models in JAX, on a CPU, float64",
            f"## One iteration, {N_SAMPLES} rows, traced, beside the NumPy network (goal: at most 1.5x)",
            iteration_text,
            "## The first call of `fit`, compilation included (goal: under 3 s)",
            first_text,
            f"## Time to the same cost, {options.starts} starts, at most {options.cap:g} s each",
            peer_text,
        ]
    )
    save(
        "jax_models",
        {"iterations": iteration_data, "first_calls": first_data, "peers": peer_data},
        text,
    )


if __name__ == "__main__":
    main()
