"""Figure 4: what the structure of a network saves, over the same solver on a Jacobian that is formed.

    python benchmarks/structure.py [--rounds 5]

Dual: [1024-128-64-1], 139 521 parameters, 1000 rows.  Primal: [64-32-10], 1500 rows, ten outputs.
An iteration here is: linearise, build the system, factorise, solve, and the cost at the new point.  "formed"
does the same with the Jacobian as a matrix: written whole into a buffer that is kept, then BLAS dsyrk and
LAPACK dpotrf.  The two take turns.  Memory is the peak that tracemalloc sees beyond the data.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from marquardt import MLP, Input, Linear, NetworkProblem, Tanh
from marquardt.jacobian import KhatriRaoJacobian
from marquardt.linsolve import Cholesky, Dual
from marquardt.problem import Linearization
from table import duration, ratio, save, table

DAMPING = 1e-2
CASES = {
    "dual": ((1024, 128, 64, 1), 1000, Dual, 50.0, 30.0),
    "primal": ((64, 32, 10), 1500, Cholesky, 6.0, None),
}


def write_jacobian(jacobian: KhatriRaoJacobian, out: np.ndarray) -> None:
    """The whole Jacobian, transposed, (p, K * N), into a buffer that is kept: no copies, no page faults."""
    for layer in jacobian.layers:
        rows, columns = layer.shape
        target = out[layer.block].reshape(rows, columns, jacobian.n_outputs, -1)
        if layer.diagonal:
            target[...] = 0.0
            for k in range(rows):
                np.multiply(layer.inputs, layer.sensitivity[k % len(layer.sensitivity)], out=target[k, :, k])
        else:
            by_unit = layer.sensitivity.transpose(1, 0, 2)  # (rows, K, N)
            np.multiply(by_unit[:, None], layer.inputs[:, None, :], out=target)


def formed_step(at: Linearization, buffer: np.ndarray, dual: bool, damping: float) -> np.ndarray:
    """The damped step by dsyrk and dpotrf on the matrix."""
    write_jacobian(at.jacobian, buffer)
    system = dsyrk(1.0, buffer.T, trans=0 if dual else 1, lower=1)
    system.ravel(order="K")[:: len(system) + 1] += damping
    lower, _ = dpotrf(system, lower=1, clean=0, overwrite_a=1)
    if dual:
        return -(buffer @ dpotrs(lower, at.residual, lower=1)[0])
    return -dpotrs(lower, at.gradient, lower=1)[0]


def make(case: str) -> tuple[NetworkProblem, np.ndarray]:
    sizes, n, _, _, _ = CASES[case]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
    net = MLP([Input(sizes[0]), *[Tanh(units) for units in sizes[1:-1]], Linear(sizes[-1])])
    return NetworkProblem(net, X, y), rng.normal(size=net.n_params) / 30


def structured(case: str) -> Callable[[], float]:
    """One iteration of marquardt, as a function to call again and again; it returns the cost reached."""
    (problem, w), solver = make(case), CASES[case][2]()
    system = None

    def iterate() -> float:
        nonlocal system
        at = problem.linearize(w)
        system = solver.prepare(at.jacobian, None, None, None if system is None else system.release())
        step = system.factorize(DAMPING).solve(at.residual, None, at.gradient)
        return problem.cost(w + step)

    return iterate


def formed(case: str) -> Callable[[], float]:
    """The same with the Jacobian as a matrix."""
    (problem, w), (sizes, n, _, _, _) = make(case), CASES[case]
    buffer = np.ones((len(w), n * sizes[-1]))

    def iterate() -> float:
        at = problem.linearize(w)
        return problem.cost(w + formed_step(at, buffer, case == "dual", DAMPING))

    return iterate


def peak(maker: Callable[[str], Callable[[], float]], case: str) -> float:
    """Bytes at the peak of three iterations, beyond X and y."""
    tracemalloc.start()
    data = make(case)[0]  # the size of the data, twice: once here, once in the maker
    size, _ = tracemalloc.get_traced_memory()
    del data
    tracemalloc.reset_peak()
    iterate = maker(case)
    for _ in range(3):
        iterate()
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return float(highest - size)


def measure(case: str, rounds: int) -> tuple[list[str], dict]:
    sizes, n, _, faster, smaller = CASES[case]
    peaks = [peak(maker, case) for maker in (structured, formed)]
    calls = [structured(case), formed(case)]
    costs = [call() for call in calls]
    seconds = np.empty((rounds, 2))
    for k in range(rounds):  # in turn; CPU time, which on one thread leaves other programs out
        for j, (call, times) in enumerate(zip(calls, (10, 1), strict=True)):
            start = time.process_time()
            for _ in range(times):
                call()
            seconds[k, j] = (time.process_time() - start) / times
    speed, memory = float(np.median(seconds[:, 1] / seconds[:, 0])), peaks[1] / peaks[0]
    agree = abs(costs[0] - costs[1]) <= 1e-9 * abs(costs[1])
    reached = agree and speed >= faster and (smaller is None or memory >= smaller)
    goal = f"{faster:g}x" + (f", {smaller:g}x memory" if smaller else "")
    row = [
        case,
        "-".join(map(str, sizes)),
        n,
        *[duration(t) for t in np.median(seconds, axis=0)],
        ratio(speed),
    ]
    row += [f"{b / 2**20:.0f} MB" for b in peaks] + [ratio(memory), goal, "yes" if reached else "no"]
    data = {"seconds": seconds.tolist(), "peaks": peaks, "costs": costs, "faster": speed, "smaller": memory}
    return row, data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows, data = [], {}
    for case in CASES:
        row, data[case] = measure(case, options.rounds)
        rows.append(row)
    head = ["solver", "network", "N", "structured", "formed", "faster"]
    head += ["structured", "formed", "less memory", "to reach", "reached"]
    save("structure", data, "# One iteration, structured over Jacobian formed\n\n" + table(head, rows))


if __name__ == "__main__":
    main()
