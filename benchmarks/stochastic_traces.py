"""Log determinant and effective parameters by random probes, beside the exact ones.

    python benchmarks/stochastic_traces.py [--seeds 10]

A network 10-50-50-1 (3151 parameters) after 20 steps by the evidence on 2500 rows of Friedman's function,
noise 0.2, one precision for each input: error over 10 seeds in root mean square, the standard error that is
told in the mean, and CPU time, by the number of probes.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time

import numpy as np

from marquardt import Input, Linear, NetworkProblem, Stopping, Tanh
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.initialization import Glorot
from marquardt.linsolve import Dual, Iterative
from marquardt.method import Method
from table import duration, save, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (2500, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    y = (y - 14.4) / 4.9 + 0.2 * rng.standard_normal(2500)
    network = Input(10) >> Tanh(50) >> Tanh(50) >> Linear(1)
    problem = NetworkProblem(network, 2 * X - 1, y)
    start = Glorot().draw(network, rng)
    fit = maximize_evidence(problem, start, method=Method(solver=Dual()), stopping=Stopping(max_iter=20))
    jacobian, groups = problem.linearize(fit.w).jacobian, fit.groups
    prior = groups.spread(fit.weight_precision / fit.noise_precision)

    begun = time.process_time()
    factor = Dual().prepare(jacobian, None, prior).factorize(1.0)
    logdet, gamma = factor.logdet(), factor.determined(prior, groups.index, len(groups)).sum()
    rows = [["exact (dual)", f"{logdet:.1f}", "-", "-", f"{gamma:.1f}", "-", "-"]]
    rows[0].append(duration(time.process_time() - begun))
    data: dict[str, list[list[float]]] = {}
    one = np.zeros(len(prior), dtype=int)
    for probes in (4, 16, 64):
        found, begun = [], time.process_time()
        for seed in range(seeds):
            near = Iterative(probes=probes, seed=seed).prepare(jacobian, None, prior).factorize(1.0)
            of_logdet, of_gamma = near.estimate_logdet(), near.estimate_determined(one, 1)
            found.append(
                [*map(float, (of_logdet.value, of_logdet.error, of_gamma.value[0], of_gamma.error[0]))]
            )
        seconds = (time.process_time() - begun) / seeds
        values = np.array(found)
        cells = []
        for k, exact in ((0, logdet), (2, gamma)):
            error = np.sqrt(np.mean((values[:, k] - exact) ** 2))
            cells += [f"{values[:, k].mean():.1f}", f"{error:.1f}", f"{values[:, k + 1].mean():.1f}"]
        rows.append([f"{probes} probes", *cells, duration(seconds)])
        data[str(probes)] = found
    head = ["", "log det", "error", "told", "γ", "error", "told", "CPU"]
    title = "# Traces by random probes, 10-50-50-1, 2500 rows"
    save(
        "stochastic_traces",
        {"logdet": logdet, "gamma": float(gamma), "found": data},
        f"{title}\n\n{table(head, rows)}",
    )


if __name__ == "__main__":
    main()
