"""Figure 4: what the structure of a network saves, over the same solver on a Jacobian that is formed.

    python benchmarks/structure.py [--repeats 3]

Dual: [1024-128-64-1], 139 521 parameters, 1000 rows.  Primal: [64-32-10], 1500 rows, ten outputs.
An iteration here is: linearise, prepare, factorise, solve, and the cost at the new point.  "formed" does the
same with the Jacobian as a matrix, JJ' and J'J by BLAS dsyrk (NumPy's ``A @ A.T``).  Each runs in a process
of its own; memory is the peak that tracemalloc sees beyond the data, from the second iteration on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tracemalloc

import numpy as np

import single_thread  # noqa: F401 (sets the thread limits before NumPy loads)
from marquardt import MLP, Input, Linear, NetworkProblem, Tanh
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve import Cholesky, Dual
from table import duration, ratio, save, table

CASES = {
    "dual": ((1024, 128, 64, 1), 1000, Dual, 50.0, 30.0),
    "primal": ((64, 32, 10), 1500, Cholesky, 6.0, None),
}


def one(case: str, formed: bool, repeats: int) -> dict[str, float]:
    sizes, n, solver, _, _ = CASES[case]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
    net = MLP([Input(sizes[0]), *[Tanh(units) for units in sizes[1:-1]], Linear(sizes[-1])])
    problem = NetworkProblem(net, X, y)
    w = rng.normal(size=net.n_params) / 30
    system = None

    def iterate() -> float:
        nonlocal system
        at = problem.linearize(w)
        jacobian = DenseJacobian(at.jacobian.dense()) if formed else at.jacobian
        system = solver().prepare(jacobian, None, None, system)
        step = system.factorize(1e-2).solve(at.residual, None, at.gradient)
        return problem.cost(w + step)

    cost = iterate()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        iterate()
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    system = None
    iterate()
    _, peak = tracemalloc.get_traced_memory()
    return {"seconds": float(np.min(seconds)), "peak": float(peak), "cost": cost}


def apart(case: str, formed: bool, repeats: int) -> dict[str, float]:
    """`one` in a fresh process."""
    command = [sys.executable, __file__, "--one", case, "--repeats", str(repeats)]
    command += ["--formed"] if formed else []
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--formed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one, options.formed, options.repeats)))
        return
    rows, data = [], {}
    for case, (sizes, n, _, faster, smaller) in CASES.items():
        runs = {formed: [apart(case, formed, options.repeats) for _ in range(2)] for formed in (False, True)}
        ours, theirs = (
            {key: min(r[key] for r in runs[f]) for key in ("seconds", "peak", "cost")} for f in runs
        )
        speed, memory = theirs["seconds"] / ours["seconds"], theirs["peak"] / ours["peak"]
        agree = abs(ours["cost"] - theirs["cost"]) <= 1e-9 * abs(theirs["cost"])
        reached = speed >= faster and (smaller is None or memory >= smaller)
        rows.append(
            [
                case,
                "-".join(map(str, sizes)),
                n,
                duration(ours["seconds"]),
                duration(theirs["seconds"]),
                ratio(speed),
                f"{ours['peak'] / 2**20:.0f} MB",
                f"{theirs['peak'] / 2**20:.0f} MB",
                ratio(memory),
                f"{faster:g}x" + (f", {smaller:g}x memory" if smaller else ""),
                "yes" if reached and agree else "no",
            ]
        )
        data[case] = {"structured": ours, "formed": theirs, "same_cost": agree}
    head = [
        "solver",
        "network",
        "N",
        "structured",
        "formed",
        "faster",
        "structured",
        "formed",
        "less memory",
        "to reach",
        "reached",
    ]
    save("structure", data, "# One iteration, structured over Jacobian formed\n\n" + table(head, rows))


if __name__ == "__main__":
    main()
