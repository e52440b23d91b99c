"""Bayesian regularisation: noisy data, by the evidence, by `trainbr`'s formulas, and by early stopping.

    python benchmarks/evidence.py [--seeds 20] [--sines 100]

- Friedman's function, 200 rows, noise 0.2, 10-15-1: RMSE to the true function on 1000 new rows, and how many
  of 1000 new noisy targets lie in their 95 % interval; one start, and the best of five by evidence.
- A noisy sine, 1-20-1, as in Foresee & Hagan (1997): effective parameters, and how often the fit is worse
  than the noise allows.
- Classes: test log loss over 10 folds, by logistic regression and by the evidence, at the mode and averaged
  over the posterior of the logits.
- How often to re-estimate once the precisions have settled: time of an iteration and of a fit.
- Time of an iteration over that of a plain fit, without a penalty and with fixed ones, whole fits of up to
  100 iterations, from 300 parameters up.

`trainbr`'s formulas are the documented ones: one α, both precisions re-estimated after every step, λ times
or over 10, from the same start.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from marquardt import MLP, Input, Linear, Logistic, NetworkProblem, Softmax, Stopping, Tanh, minimize
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.prior_groups import Grouping, input_groups, one_group
from marquardt.bayesian.probit import mean_probabilities
from marquardt.bayesian.schedule import Schedule
from marquardt.damping import Multiplicative
from marquardt.initialization import Glorot, NguyenWidrow
from marquardt.linsolve import Cholesky, Dual
from marquardt.lm import minimize_by
from marquardt.losses import cross_entropy
from marquardt.method import Method
from table import duration, save, table

Array = np.ndarray
STOPPING = Stopping(max_iter=400)


@dataclass(frozen=True)
class Data:
    X: Array
    y: Array
    new: Array
    truth: Array
    """The function at `new`."""
    noise: float
    network: MLP
    start: Array


@dataclass(frozen=True)
class Outcome:
    """RMSE to the function, coverage of noisy targets, effective parameters, noise, evidence, seconds."""

    rmse: float
    coverage: float = np.nan
    gamma: float = np.nan
    noise: float = np.nan
    evidence: float = np.nan
    seconds: float = np.nan
    collapsed: bool = False


def friedman_data(seed: int, start: int = 0) -> Data:
    rng, network = np.random.default_rng(seed), Input(10) >> Tanh(15) >> Linear(1)

    def f(X: Array) -> Array:
        curved = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
        return (curved + 10 * X[:, 3] + 5 * X[:, 4] - 14.4) / 4.9  # about unit variance

    X, new = rng.uniform(0, 1, (200, 10)), rng.uniform(0, 1, (1000, 10))
    y = f(X) + 0.2 * rng.standard_normal(200)
    w0 = Glorot().draw(network, np.random.default_rng(77 + seed + 1000 * start))
    return Data(2 * X - 1, y, 2 * new - 1, f(new), 0.2, network, w0)


def sine_data(seed: int) -> Data:
    """Foresee & Hagan's example: sin(2πx) at 41 points of [−1, 1], noise of variance 0.01, 1-20-1."""
    rng, network = np.random.default_rng(seed), Input(1) >> Tanh(20) >> Linear(1)
    X, new = np.linspace(-1, 1, 41)[:, None], np.linspace(-1, 1, 401)[:, None]
    y = np.sin(2 * np.pi * X[:, 0]) + 0.1 * rng.standard_normal(41)
    w0 = NguyenWidrow().draw(network, rng, X)
    return Data(X, y, new, np.sin(2 * np.pi * new[:, 0]), 0.1, network, w0)


def judged(data: Data, w: Array, variance: Array | float = np.nan, **known: Any) -> Outcome:
    """`variance` is that of a new target, noise included."""
    prediction = data.network.predict(w, data.new)[:, 0]
    rmse = float(np.sqrt(np.mean((prediction - data.truth) ** 2)))
    targets = data.truth + data.noise * np.random.default_rng(9).standard_normal(len(data.truth))
    inside = np.abs(targets - prediction) <= 1.96 * np.sqrt(variance)
    coverage = np.nan if np.isnan(variance).all() else float(inside.mean())
    return Outcome(rmse, coverage, **known)


def by_evidence(groups: Grouping) -> Callable[[Data], Outcome]:
    def run(data: Data) -> Outcome:
        begun = time.process_time()
        problem = NetworkProblem(data.network, data.X, data.y)
        fit = maximize_evidence(problem, data.start, groups=groups, stopping=STOPPING)
        seconds = time.process_time() - begun
        assert fit.posterior is not None
        variance = fit.posterior.predictive_variance(data.new)[:, 0] + fit.posterior.noise_variance
        known = {"gamma": fit.n_effective, "noise": fit.noise_sd, "evidence": fit.log_evidence}
        return judged(data, fit.w, variance, seconds=seconds, **known)

    return run


def by_trainbr(data: Data) -> Outcome:
    """MATLAB's documented order: α = γ/2E_W and β = (N − γ)/2E_D after every accepted step."""
    begun = time.process_time()
    method = Method(Multiplicative(0.005), acceleration=None, resolve_output=False)
    plain = NetworkProblem(data.network, data.X, data.y)
    n, p, w = len(data.y), data.network.n_params, data.start
    sse = 2 * plain.cost(w)
    gamma, alpha, beta = float(p), p / float(w @ w), (n - p) / sse if n > p else 1.0
    damping = None
    for _ in range(STOPPING.max_iter):
        # mu of `trainbr` damps βJᵀJ + αI: divided by β here
        problem = plain.with_prior(np.full(p, alpha / beta))
        method = Method(Multiplicative(0.005 / beta if damping is None else damping, maximum=1e10 / beta),
                        acceleration=None, resolve_output=False)  # fmt: skip
        state = method.step(problem, method.start(problem, w))
        if state.stuck is not None:
            break
        w, damping = state.at.w, max(state.damping.damping, 1e-20)
        sse = float(state.at.residual @ state.at.residual)
        J = state.at.jacobian.dense()
        values = np.linalg.eigvalsh(J.T @ J).clip(0)
        gamma = float(np.sum(values / (values + alpha / beta)))
        old, alpha, beta = beta, gamma / float(w @ w), (n - gamma) / sse
        damping *= old / beta
        if not (alpha > 0 and np.isfinite(alpha) and beta > 0 and alpha / beta > 1e-14):
            return judged(data, w, gamma=gamma, collapsed=True)
        if np.max(np.abs(state.at.gradient)) * beta < 1e-7:
            break
    seconds = time.process_time() - begun
    posterior = Posterior.at(plain, w, np.full(p, alpha / beta), beta)
    variance = posterior.predictive_variance(data.new)[:, 0] + 1 / beta
    return judged(data, w, variance, gamma=gamma, noise=beta**-0.5, seconds=seconds)


def by_early_stopping(data: Data) -> Outcome:
    """80 % of the rows train, 20 % say when to stop."""
    begun = time.process_time()
    order, n = np.random.default_rng(len(data.y)).permutation(len(data.y)), len(data.y) * 4 // 5
    train, watch = order[:n], order[n:]
    validation = NetworkProblem(data.network, data.X[watch], data.y[watch]).cost
    problem = NetworkProblem(data.network, data.X[train], data.y[train])
    fit = minimize(problem, data.start, stopping=STOPPING, validation=validation)
    spread = 2 * validation(fit.w) / len(watch)
    seconds = time.process_time() - begun
    return judged(data, fit.w, spread, noise=spread**0.5, seconds=seconds)


METHODS: dict[str, Callable[[Data], Outcome]] = {
    "early stopping 80/20": by_early_stopping,
    "trainbr's formulas": by_trainbr,
    "evidence, one precision": by_evidence(one_group),
    "evidence, one per input": by_evidence(input_groups),
}


def median(outcomes: list[Outcome], name: str) -> float:
    return float(np.nanmedian([getattr(outcome, name) for outcome in outcomes]))


def row(name: str, outcomes: list[Outcome]) -> list[str]:
    worst = float(np.quantile([outcome.rmse for outcome in outcomes], 0.9))
    coverage = f"{median(outcomes, 'coverage'):.1%}"
    cells = [f"{median(outcomes, 'rmse'):.3f}", f"{worst:.3f}", coverage]
    gammas = [outcome.gamma for outcome in outcomes]
    gamma = "-" if np.isnan(gammas).all() else f"{np.nanmedian(gammas):.1f}"
    return [name, *cells, gamma, f"{median(outcomes, 'noise'):.3f}", duration(median(outcomes, "seconds"))]


HEAD = ["", "RMSE", "9th decile", "coverage", "γ", "noise", "CPU"]


def friedman(seeds: int) -> tuple[str, dict]:
    found = {name: [run(friedman_data(seed)) for seed in range(seeds)] for name, run in METHODS.items()}
    for name, groups in {"one precision": one_group, "one per input": input_groups}.items():
        run, best = by_evidence(groups), []
        for seed in range(seeds):
            several = [run(friedman_data(seed, start)) for start in range(5)]
            best.append(max(several, key=lambda outcome: outcome.evidence))
        found[f"best of 5 by evidence, {name}"] = best
    text = "## Friedman, 200 rows, noise 0.2, 10-15-1\n\n"
    return text + table(HEAD, [row(*item) for item in found.items()]), as_dict(found)


def sine(seeds: int) -> tuple[str, dict]:
    found = {name: [run(sine_data(seed)) for seed in range(seeds)] for name, run in METHODS.items()}
    rows = []
    for name, outcomes in found.items():
        # the error of a fit with γ well-determined parameters is about σ √(γ/N); overfit is to reach σ itself
        overfits = sum(outcome.rmse > 0.1 for outcome in outcomes)
        gammas = [outcome.gamma for outcome in outcomes]
        most = "-" if np.isnan(gammas).all() else f"{np.nanmax(gammas):.1f}"
        rows.append([*row(name, outcomes), most, f"{overfits}/{seeds}"])
    text = "## Noisy sine, 41 rows, noise 0.1, 1-20-1 (61 parameters)\n\n"
    return text + table([*HEAD, "largest γ", "RMSE > noise"], rows), as_dict(found)


def class_sets() -> dict[str, tuple[Array, Array]]:
    made = make_classification(300, 10, n_informative=4, n_classes=3, random_state=1, flip_y=0.05)
    loaders = {"wine": load_wine, "breast cancer": load_breast_cancer, "iris": load_iris}
    sets: dict[str, Any] = {name: load(return_X_y=True) for name, load in loaders.items()}
    return sets | {"moons, noise 0.3": make_moons(200, noise=0.3, random_state=0), "4 of 10 inputs": made}


def log_loss(shares: Array, y: Array) -> float:
    shares = np.column_stack([1 - shares, shares]) if shares.shape[1] == 1 else shares
    return -float(np.mean(np.log(np.maximum(shares[np.arange(len(y)), y], 1e-15))))


def class_losses(X: Array, y: Array, train: Array, test: Array) -> list[float]:
    """Test log loss of logistic regression, and of the evidence: at the mode, and averaged over it."""
    center, spread, n_classes = X[train].mean(axis=0), X[train].std(axis=0), int(y.max()) + 1
    old, new = (X[train] - center) / spread, (X[test] - center) / spread
    logistic = LogisticRegression(max_iter=2000).fit(old, y[train])
    losses = [log_loss(logistic.predict_proba(new), y[test])]
    output = Logistic(1) if n_classes == 2 else Softmax(n_classes)
    targets = y[train, None] if n_classes == 2 else np.eye(n_classes)[y[train]]
    network = Input(X.shape[1]) >> Tanh(8) >> output
    start = Glorot().draw(network, np.random.default_rng(1))
    problem = NetworkProblem(network, old, targets, loss=cross_entropy)
    for groups in (one_group, input_groups):
        fit = maximize_evidence(problem, start, groups=groups, stopping=STOPPING)
        assert fit.posterior is not None
        losses.append(log_loss(network.predict(fit.w, new), y[test]))
        losses.append(log_loss(mean_probabilities(fit.posterior, new), y[test]))
    return losses


def classes() -> tuple[str, dict]:
    rows, data = [], {}
    for name, (X, y) in class_sets().items():
        folds = StratifiedKFold(10, shuffle=True, random_state=0).split(X, y)
        data[name] = np.mean([class_losses(X, y, *fold) for fold in folds], axis=0).tolist()
        rows.append([name, *[f"{loss:.3f}" for loss in data[name]]])
    rows.append(["mean", *[f"{loss:.3f}" for loss in np.mean(list(data.values()), axis=0)]])
    head = ["log loss", "logistic", "one: mode", "one: averaged", "per input: mode", "per input: averaged"]
    return "## Classes, 8 hidden units, 10 folds\n\n" + table(head, rows), data


def as_dict(found: dict[str, list[Outcome]]) -> dict:
    return {name: [vars(outcome) for outcome in outcomes] for name, outcomes in found.items()}


def cost_case(inputs: int, hidden: int, n_samples: int, start: int) -> tuple[NetworkProblem, Array]:
    rng, network = np.random.default_rng(0), Input(inputs) >> Tanh(hidden) >> Linear(1)
    X = rng.uniform(-1, 1, (n_samples, inputs))
    y = np.sin(3 * X[:, 0]) * X[:, 1] + X[:, 2] + 0.3 * rng.normal(size=n_samples)
    return NetworkProblem(network, X, y), Glorot().draw(network, np.random.default_rng(start))


def cost_ways(problem: NetworkProblem, w0: Array) -> dict[str, Callable[[], Any]]:
    stopping = Stopping(max_iter=100)
    solver = Cholesky() if problem.n_samples > problem.n_params else Dual()

    def plain(of: NetworkProblem, method: Method | None = None) -> Callable[[], Any]:
        return lambda: minimize_by(method or Method(), of, w0, stopping=stopping)

    def evidence(groups: Grouping, method: Method | None = None) -> Callable[[], Any]:
        settings = {"groups": groups, "method": method, "stopping": stopping, "posterior": False}
        return lambda: maximize_evidence(problem, w0, **settings).result

    found = maximize_evidence(problem, w0, stopping=stopping, posterior=False)
    return {
        "plain": plain(problem),
        "fixed penalties": plain(problem.with_prior(found.prior)),
        "one precision": evidence(one_group),
        "one per input": evidence(input_groups),
        "plain, float64": plain(problem, Method(solver=solver)),
        "one per input, float64": evidence(input_groups, Method(solver=solver)),
    }


def cost_of_an_iteration(starts: int = 3) -> tuple[str, dict]:
    """CPU time of an iteration in whole fits of up to 100, the mean over some starts, each the best of 2.

    Plain fits without a penalty, and under the penalties that the evidence found, one per input: with the
    same rejected trials, and a kernel for each of them in the dual.  By the default solver, and in float64
    throughout: the evidence takes determinants and traces in float64 in any case and gains less of float32.
    Without the posterior, which is made once, for the best of several starts, and costs about an iteration.
    """
    rows, data = [], {}
    shapes = [(10, 25, 1000), (10, 25, 3000), (10, 50, 2000), (20, 50, 3000), (20, 40, 400)]
    for inputs, hidden, n_samples in shapes:
        spent: dict[str, list[tuple[float, int]]] = {}
        for start in range(starts):
            problem, w0 = cost_case(inputs, hidden, n_samples, start)
            for name, run in cost_ways(problem, w0).items():
                spent.setdefault(name, []).append(min(timed(run) for _ in range(2)))
        times = {name: float(np.divide(*np.sum(runs, axis=0))) for name, runs in spent.items()}
        label = f"{inputs}-{hidden}-1, {n_samples} rows"
        data[label] = times
        over = [("one precision", "plain"), ("one per input", "plain"), ("one per input", "fixed penalties")]
        over.append(("one per input, float64", "plain, float64"))
        ratios = [f"{times[name] / times[base]:.2f}x" for name, base in over]
        rows.append([label, problem.n_params, *[duration(t) for t in times.values()], *ratios])
    head = ["network", "p", *times, "one / plain", "per input / plain", "per input / fixed"]
    head.append("per input / plain, float64")
    return "## Time of an iteration\n\n" + table(head, rows), data


SCHEDULES = {
    "every step": Schedule(first=10_000),
    "every step, every 3rd once settled": Schedule(every=1, settled_every=3),
    "default: every 5th, every 10th once settled": Schedule(),
    "every 10th, every 20th once settled": Schedule(every=10, settled_every=20),
}


def schedules(seeds: int) -> tuple[str, dict]:
    """Friedman's function as above, with fewer and fewer exact re-estimations."""
    rows, data = [], {}
    for label, schedule in SCHEDULES.items():
        found = []
        for seed in range(seeds):
            case = friedman_data(seed)
            begun = time.process_time()
            problem = NetworkProblem(case.network, case.X, case.y)
            fit = maximize_evidence(problem, case.start, schedule=schedule, stopping=STOPPING)
            seconds = time.process_time() - begun
            score = judged(case, fit.w).rmse, fit.log_evidence
            found.append([*score, fit.result.n_iter, len(fit.updates), seconds])
        data[label] = found
        rmse, evidence, n_iter, updates, seconds = np.mean(found, axis=0)
        cells = [f"{rmse:.3f}", f"{evidence:.1f}", f"{n_iter:.0f}", f"{updates:.0f}"]
        rows.append([label, *cells, duration(seconds / n_iter), duration(seconds)])
    head = ["re-estimated", "RMSE", "log evidence", "iterations", "re-estimations", "an iteration", "a fit"]
    return "## How often to re-estimate (Friedman, means)\n\n" + table(head, rows), data


def timed(run: Callable[[], Any]) -> tuple[float, int]:
    """CPU seconds and iterations."""
    begun = time.process_time()
    result = run()
    return time.process_time() - begun, max(result.n_iter, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sines", type=int, default=100)
    parser.add_argument("--cost-only", action="store_true", help="print the time of an iteration, and end")
    options = parser.parse_args()
    cost = cost_of_an_iteration()
    print(cost[0], flush=True)
    if options.cost_only:
        return
    parts = {"friedman": friedman(options.seeds), "sine": sine(options.sines), "classes": classes()}
    parts["schedules"] = schedules(options.seeds)
    parts["cost"] = cost
    title = "# Bayesian regularisation"
    data = {name: part[1] for name, part in parts.items()}
    save("evidence", data, "\n\n".join([title, *[part[0] for part in parts.values()]]))


if __name__ == "__main__":
    main()
