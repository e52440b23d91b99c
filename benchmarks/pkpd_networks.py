"""Networks in pharmacology: exposure from covariates, surrogates for sensitivity, a learned elimination.

    python benchmarks/pkpd_networks.py [--seeds 3] [--only cohort surrogate hybrid] [--pictures docs/images]

Cohort: patients simulated by a known law; log AUC and logit inhibition from covariates and schedule.  "Error"
is to the mean that the law gives for the covariates, "patients inside" the share of 2000 new patients within
their 95 % intervals, "truth inside" that of the means within ±1.96 standard errors of the model alone.  All
models see the same features, logarithms where a pharmacologist would take them, and beforehand nothing was
tuned but the network's size, (6,), on other seeds.

Surrogate: first-order and total Sobol indices from few runs.  "Error" is the largest of an index to the exact
ones (Ishigami) or those of 2^15 points of the plan (the simulator); "network" and "both" say how many exact
indices lie within these 95 % intervals, "network" to the indices of the function itself on the same plan.
SALib with as many runs of the function itself stands beside.

Hybrid: five bolus doses, 11 times, noise of 7 %, elimination by Michaelis and Menten, which the hybrid is not
told.  "Law" is the median relative error of the rate constant over the concentrations of the data, "band" the
share of that range where the 95 % band holds the truth; "curve" the largest relative error of the course of a
new dose within the range, and of one five times beyond.

Parts not named by --only are kept as they were measured before.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from marquardt import LMRegressor
from marquardt.apps.pkpd import (
    Cohort,
    Factors,
    Proportional,
    Regimen,
    Schedules,
    fit_exposure,
    fit_hybrid,
    fit_pooled,
    goodness_of,
    simulate_cohort,
    simulator_indices,
    surrogate_indices,
)
from marquardt.apps.pkpd.cohort import repeated_oral
from saturable_patients import (
    KM,
    TIMES,
    VMAX,
    VOLUME,
    course,
    first_order_rate,
    mechanistic,
    patients,
    saturable_rate,
)
from table import RESULTS, duration, save, table

Row = dict[str, Any]


# -- cohort ------------------------------------------------------------------------------------------------


def neural() -> Any:
    return make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(100,), max_iter=5000, random_state=0)
    )


def stopped() -> Any:
    net = MLPRegressor(hidden_layer_sizes=(100,), max_iter=5000, early_stopping=True, random_state=0)
    return make_pipeline(StandardScaler(), net)


OTHERS: dict[str, Callable[[], Any]] = {
    "linear model": LinearRegression,
    "random forest": lambda: RandomForestRegressor(500, random_state=0),
    "MLPRegressor": neural,
    "MLPRegressor, early stopping": stopped,
}


def cohort_rows(n: int, seed: int, new: Cohort, truth: np.ndarray) -> list[Row]:
    cohort = simulate_cohort(n, random_state=seed)
    rows = []
    for name, size in (("LM, Bayesian, 8 networks", 8), ("LM, Bayesian, best of 8", 1)):
        begin = time.perf_counter()
        network = fit_exposure(cohort, n_starts=8, ensemble_size=size)
        seconds = time.perf_counter() - begin
        found, (mean, error) = network.predict(new.X), network.mean(new.X)
        e = new.exposure
        inside = [
            np.mean((e.auc >= found.auc_low) & (e.auc <= found.auc_high)),
            np.mean((e.inhibition >= found.inhibition_low) & (e.inhibition <= found.inhibition_high)),
        ]
        held = np.mean(np.abs(mean - truth) <= 1.96 * error, axis=1)
        rows.append(row(name, n, mean - truth, inside, held, seconds))
    for name, make in OTHERS.items():
        begin = time.perf_counter()
        models = [make().fit(cohort.X, target) for target in cohort.targets]
        seconds = time.perf_counter() - begin
        off = np.stack([model.predict(new.X) for model in models]) - truth
        inside = held = np.full(2, np.nan)
        if name == "linear model":
            inside, held = linear_intervals(cohort, new, truth, models)
        rows.append(row(name, n, off, inside, held, seconds))
    return rows


def row(name: str, n: int, off: np.ndarray, inside: Any, held: Any, seconds: float) -> Row:
    rms = np.sqrt(np.mean(off**2, axis=1))
    return {"model": name, "n": n, "auc": rms[0], "inhibition": rms[1], "auc inside": inside[0],
            "inhibition inside": inside[1], "auc truth": held[0], "inhibition truth": held[1],
            "seconds": seconds}  # fmt: skip


def linear_intervals(cohort: Cohort, new: Cohort, truth: np.ndarray, models: list[Any]) -> tuple[Any, Any]:
    """The textbook's: s √(1 + h) for patients, s √h for the mean."""
    A, B = (np.column_stack([np.ones(len(c)), c.X]) for c in (cohort, new))
    h = np.einsum("ij,jk,ik->i", B, np.linalg.inv(A.T @ A), B)
    inside, held = [], []
    for k, model in enumerate(models):
        rest = cohort.targets[k] - model.predict(cohort.X)
        s = np.sqrt(rest @ rest / (len(cohort) - A.shape[1]))
        mean = model.predict(new.X)
        inside.append(np.mean(np.abs(new.targets[k] - mean) <= 1.96 * s * np.sqrt(1 + h)))
        held.append(np.mean(np.abs(truth[k] - mean) <= 1.96 * s * np.sqrt(h)))
    return inside, held


SHARES = ("auc inside", "inhibition inside", "auc truth", "inhibition truth")


def cohorts(seeds: int) -> tuple[list[Row], str]:
    new = simulate_cohort(2000, random_state=10_000)
    truth = new.truth
    every = [r for n in (150, 500, 1500) for s in range(seeds) for r in cohort_rows(n, 100 + s, new, truth)]
    lines = []
    for n in (150, 500, 1500):
        for name in dict.fromkeys(r["model"] for r in every):
            own = [r for r in every if r["model"] == name and r["n"] == n]
            mean = {key: float(np.mean([r[key] for r in own])) for key in own[0] if key != "model"}
            shares = [f"{100 * mean[k]:.1f} %" if np.isfinite(mean[k]) else "-" for k in SHARES]
            lines.append([n, name, f"{mean['auc']:.3f}", f"{mean['inhibition']:.3f}", *shares,
                          duration(mean["seconds"])])  # fmt: skip
    spread = np.std(new.targets - truth, axis=1)
    text = (
        f"Patients differ beyond their covariates by {spread[0]:.3f} in log AUC and {spread[1]:.3f} in logit "
        f"inhibition. Means over {seeds} cohorts; times are for both targets.\n\n"
    )
    header = ["patients", "model", "error, log AUC", "error, logit inhibition", "AUC: patients inside"]
    header += ["inhibition: patients inside", "AUC: truth inside", "inhibition: truth inside", "time"]
    return every, text + table(header, lines)


# -- surrogate ---------------------------------------------------------------------------------------------

ANGLES = Factors({name: (-np.pi, np.pi) for name in ("x1", "x2", "x3")})
DRUG = Factors(
    {"dose": (25.0, 400.0), "clearance": (2.0, 12.0), "volume": (25.0, 100.0), "absorption": (0.3, 3.0),
     "ic50": (0.3, 3.0), "hill": (1.0, 3.0)},
    logarithmic=["dose", "clearance", "volume", "absorption", "ic50"],
)  # fmt: skip


def ishigami(X: np.ndarray) -> np.ndarray:
    return np.sin(X[:, 0]) + 7 * np.sin(X[:, 1]) ** 2 + 0.1 * X[:, 2] ** 4 * np.sin(X[:, 0])


def ishigami_exact() -> np.ndarray:
    V1 = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2
    V2, V13 = 7**2 / 8, 0.1**2 * np.pi**8 * (1 / 18 - 1 / 50)
    return np.array([[V1, V2, 0], [V1 + V13, V2, V13]]) / (V1 + V2 + V13)


def inhibition(X: np.ndarray) -> np.ndarray:
    """The greatest inhibition of a week's course, a dose every 12 h."""
    dose, clearance, volume, absorption, ic50, hill = X.T
    taken = Schedules(dose, np.full(len(X), 12.0), np.full(len(X), 14.0))
    strength = (repeated_oral(taken, clearance, volume, absorption)[1] / ic50) ** hill
    return strength / (1 + strength)


def features(factors: Factors, X: np.ndarray) -> np.ndarray:
    logs = [name in factors.logarithmic for name in factors.names]
    return np.where(logs, np.log(np.where(logs, X, 1.0)), X)


def surrogate_row(name: str, f: Any, factors: Factors, exact: np.ndarray, n: int, seed: int) -> Row:
    X, new = factors.design(n, seed), factors.design(2000, 10_000)
    own = features(factors, X)
    begin = time.perf_counter()
    network = LMRegressor((40,), n_starts=8, ensemble_size=4, random_state=seed).fit(own, f(X))
    training = time.perf_counter() - begin
    begin = time.perf_counter()
    found = surrogate_indices(
        network, factors, 1024, inputs=lambda Z: features(factors, Z), random_state=seed
    )
    drawing = time.perf_counter() - begin
    plan = simulator_indices(f, factors, 1024, random_state=seed)
    here = np.stack([plan.first, plan.total])
    model = np.stack([found.model_first, found.model_total])  # (2, 2, d): order, end, input
    both = np.stack([found.both_first, found.both_total])
    few = 2 ** int(np.log2(n / (len(factors) + 2)))
    direct = simulator_indices(f, factors, max(16, few), random_state=seed)
    kernel = ConstantKernel() * RBF(np.ones(len(factors)))
    process = GaussianProcessRegressor(kernel, alpha=1e-8, normalize_y=True, random_state=0)
    process = make_pipeline(StandardScaler(), process)
    process.fit(own, f(X))
    other = simulator_indices(
        lambda Z: process.predict(features(factors, Z)), factors, 1024, random_state=seed
    )
    spread = np.std(f(new))
    return {
        "function": name, "n": n,
        "network": np.sqrt(np.mean((network.predict(features(factors, new)) - f(new)) ** 2)) / spread,
        "process": np.sqrt(np.mean((process.predict(features(factors, new)) - f(new)) ** 2)) / spread,
        "error": np.abs(np.stack([found.first, found.total]) - exact).max(),
        "process error": np.abs(np.stack([other.first, other.total]) - exact).max(),
        "direct error": np.abs(np.stack([direct.first, direct.total]) - exact).max(),
        "network inside": np.mean((model[:, 0] <= here) & (here <= model[:, 1])),
        "both inside": np.mean((both[:, 0] <= exact) & (exact <= both[:, 1])),
        "network width": np.mean(model[:, 1] - model[:, 0]),
        "both width": np.mean(both[:, 1] - both[:, 0]),
        "training": training, "drawing": drawing, "found": found, "exact": exact,
    }  # fmt: skip


def surrogates(seeds: int, pictures: Path) -> tuple[list[Row], str]:
    fine = simulator_indices(inhibition, DRUG, 2**15, random_state=99)
    cases = {
        "Ishigami": (ishigami, ANGLES, ishigami_exact()),
        "inhibition": (inhibition, DRUG, np.stack([fine.first, fine.total])),
    }
    every = [
        surrogate_row(name, *case, n, seed)
        for name, case in cases.items()
        for n in (100, 200, 400)
        for seed in range(seeds)
    ]
    lines = []
    for name in cases:
        for n in (100, 200, 400):
            own = [r for r in every if r["function"] == name and r["n"] == n]
            numbers = [k for k, v in own[0].items() if np.isscalar(v) and k != "function"]
            mean = {k: float(np.mean([r[k] for r in own])) for k in numbers}
            lines.append([
                name, n, f"{100 * mean['network']:.2f} %", f"{100 * mean['process']:.2f} %",
                f"{mean['error']:.3f}", f"{mean['process error']:.3f}", f"{mean['direct error']:.3f}",
                f"{mean['network width']:.4f}",
                f"{mean['both width']:.3f}", f"{100 * mean['network inside']:.0f} %",
                f"{100 * mean['both inside']:.0f} %", duration(mean["training"]), duration(mean["drawing"]),
            ])  # fmt: skip
    shown = next(r for r in every if r["function"] == "Ishigami" and r["n"] == 100)
    shown["found"].plot(truth=tuple(shown["exact"])).savefig(pictures / "pkpd_sensitivity.png", dpi=160)
    header = ["function", "runs", "network off", "Gaussian process off", "error, network", "error, process",
              "error, function itself", "width, network", "width, both", "network inside", "both inside",
              "training", "indices"]  # fmt: skip
    kept = [{k: v for k, v in r.items() if k not in ("found", "exact")} for r in every]
    text = f'Means over {seeds} designs; "off" is in standard deviations of the function.\n\n'
    return kept, text + table(header, lines)


# -- hybrid ------------------------------------------------------------------------------------------------


KNOWN = {
    "first order": (mechanistic(first_order_rate, "k"), {"volume": 15.0, "k": 0.3},
                    lambda p, c: p["k"] + 0 * c),
    "Michaelis-Menten": (mechanistic(saturable_rate, "vmax", "km"), {"volume": 15.0, "vmax": 1.0, "km": 1.0},
                         lambda p, c: p["vmax"] / (p["km"] + c)),
}  # fmt: skip


def curve_errors(predict: Callable[[float], np.ndarray]) -> tuple[float, float]:
    """Largest relative error for 200 mg, and for 2500 mg, down to the limit of quantification."""
    errors = []
    for dose in (200.0, 2500.0):
        exact = course(dose, TIMES)
        seen = exact > 0.04
        errors.append(float(np.max(np.abs(predict(dose)[seen] / exact[seen] - 1))))
    return errors[0], errors[1]


def hybrid_rows(seed: int, pictures: Path) -> list[Row]:
    subjects, rows = patients(seed), []
    begin = time.perf_counter()
    fit = fit_hybrid(subjects, random_state=seed)
    seconds = time.perf_counter() - begin
    c = np.geomspace(*fit.seen, 200)
    exact, band = VMAX / (KM + c), fit.rate(c)
    inside = float(np.mean((band.low <= exact) & (exact <= band.high)))
    near, far = curve_errors(lambda dose: fit.predict(Regimen.bolus(dose), TIMES))
    rows.append({"model": "hybrid", "law": float(np.median(np.abs(band.value / exact - 1))), "band": inside,
                 "volume": float(fit.params["volume"]), "near": near, "far": far, "seconds": seconds,
                 "gamma": fit.effective_parameters})  # fmt: skip
    if seed == 0:
        fit.plot_rate(lambda c: VMAX / (KM + c)).savefig(pictures / "pkpd_hybrid.png", dpi=160)
    for name, (model, start, rate) in KNOWN.items():
        begin = time.perf_counter()
        known = fit_pooled(model, subjects, start, error=Proportional())
        seconds = time.perf_counter() - begin
        near, far = curve_errors(lambda dose, known=known: known.predict(Regimen.bolus(dose), TIMES)["conc"])
        law = float(np.median(np.abs(rate(known.params, c) / exact - 1)))
        rows.append({"model": name, "law": law, "band": float("nan"), "volume": known.params["volume"],
                     "near": near, "far": far, "seconds": seconds, "gamma": len(start)})  # fmt: skip
        if seed == 0 and name == "first order":
            picture = goodness_of(known, unit="mg/L", time_unit="h").plot()
            picture.savefig(pictures / "pkpd_panel.png", dpi=160)
    return rows


def hybrids(seeds: int, pictures: Path) -> tuple[list[Row], str]:
    every = [r for seed in range(seeds) for r in hybrid_rows(seed, pictures)]
    lines = []
    for name in dict.fromkeys(r["model"] for r in every):
        own = [r for r in every if r["model"] == name]
        mean = {k: float(np.mean([r[k] for r in own])) for k in own[0] if k != "model"}
        last = float(np.median([r["seconds"] for r in own]))
        lines.append([name, f"{mean['gamma']:.1f}", f"{100 * mean['law']:.1f} %",
                      f"{100 * mean['band']:.0f} %" if np.isfinite(mean["band"]) else "-",
                      f"{mean['volume']:.2f}", f"{100 * mean['near']:.1f} %", f"{100 * mean['far']:.0f} %",
                      duration(last)])  # fmt: skip
    text = f"Means over {seeds} studies (times: medians); the true volume is {VOLUME:g}.\n\n"
    return every, text + table(
        ["elimination", "parameters", "law", "band", "volume", "curve, 200 mg", "curve, 2500 mg", "time"],
        lines,
    )


# ----------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["cohort", "surrogate", "hybrid"])
    parser.add_argument("--pictures", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    arguments = parser.parse_args()
    pictures, seeds = arguments.pictures, arguments.seeds
    parts: dict[str, tuple[str, Callable[[], tuple[list[Row], str]]]] = {
        "cohort": ("Exposure and inhibition from covariates and schedule", lambda: cohorts(seeds)),
        "surrogate": ("Sobol indices from few runs", lambda: surrogates(seeds, pictures)),
        "hybrid": ("An unknown law of elimination", lambda: hybrids(seeds, pictures)),
    }
    warnings.simplefilter("ignore")  # MLPRegressor and the Gaussian process warn of convergence
    new = {}
    for name in arguments.only:
        title, run = parts[name]
        rows, text = run()
        new[name] = {"rows": rows, "text": f"## {title}\n\n{text}"}
    known = RESULTS / "pkpd_networks.json"
    data = (json.loads(known.read_text())["parts"] if known.exists() else {}) | new
    texts = [data[name]["text"] for name in parts if name in data]
    head = ["# Networks in pharmacology", f"`python benchmarks/pkpd_networks.py --seeds {seeds}`"]
    save("pkpd_networks", {"parts": data}, "\n\n".join([*head, *texts]))


if __name__ == "__main__":
    main()
