"""Figures 5 and 6 of PK/PD: published fits, target-mediated disposition from a hundred starts, warfarin.

    python benchmarks/pkpd.py [--data FOLDER] [--starts 100]

The published fits (theophylline, indomethacin) and warfarin need Theoph.csv, Indometh.csv and warfarin.csv
anywhere below the folder; those tables are GPL (R's `datasets`, `nlmixr2data`) and not part of this project.
In R, `write.csv(Theoph, "Theoph.csv")` and `write.csv(nlmixr2data::warfarin, "warfarin.csv")` write them.
Without a folder these parts are skipped.

Target-mediated disposition: four doses, two endpoints, noise of 10 %, the truth is known.  Starts are a rough
guess times factors between 1/10 and 10, evenly in their logarithm; each is one run of Levenberg-Marquardt.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from marquardt.apps.pkpd import (
    Columns,
    Combined,
    Constant,
    FittedModel,
    Inhibition,
    Integration,
    LogNormal,
    Observations,
    Regimen,
    Route,
    Subject,
    Subjects,
    fast_nonstiff,
    fit_pooled,
    fit_two_stage,
    goodness_of,
    indirect_response,
    nca,
    nonstiff,
    one_compartment,
    predictive_check_of,
    subjects_from_table,
    tmdd,
    two_compartments,
)
from table import save, table

IMAGES = Path(__file__).parents[1] / "docs" / "images"
LOGS = {
    "lKe": lambda p: np.log(p["cl"] / p["v"]),
    "lKa": lambda p: np.log(p["ka"]),
    "lCl": lambda p: np.log(p["cl"]),
}
"""R's parameters of ours."""
# estimates and standard errors: R's datasets-Ex.Rout.save; MINPACK from 20 starts
PUBLISHED = {
    "Theoph subject 4": ({"lKe": -2.4365, "lKa": 0.1583, "lCl": -3.2861},
                         {"lKe": 0.2257, "lKa": 0.2297, "lCl": 0.1448}),
    "Theoph pooled": ({"lKe": -2.5242387, "lKa": 0.39922664, "lCl": -3.2482626},
                      {"lKe": 0.11035, "lKa": 0.11754, "lCl": 0.074395}),
}  # fmt: skip
RSS = {"Theoph pooled": 274.44913, "Theoph, 12 subjects": 47.0658256, "Indometh, 6 subjects": 0.2397289818}


AREAS = (214.92363, 97.37793, 106.12767, 114.21620, 136.30473, 82.17588,
         100.98763, 102.15330, 97.52000, 167.86003, 86.90262, 125.83154)  # fmt: skip
"""AUC∞ of theophylline, subjects 1 to 12, by the R package PKNCA."""


def digits(value: float, published: float) -> float:
    """−log10 of the relative error."""
    return float(-np.log10(max(abs(value - published) / abs(published), 1e-16)))


def published(folder: Path) -> tuple[str, dict[str, Any]]:
    """Theophylline and indomethacin."""
    theoph = pd.read_csv(next(folder.rglob("Theoph.csv")))
    indometh = pd.read_csv(next(folder.rglob("Indometh.csv")))
    oral = subjects_from_table(
        theoph, Columns(id="Subject", time="Time", value="conc", dose="Dose"), route=Route.ORAL
    )
    bolus = subjects_from_table(
        indometh, Columns(id="Subject", time="time", value="conc"), regimen=Regimen.bolus(25.0)
    )
    start = {"ka": 1.0, "cl": 0.04, "v": 0.5}
    pooled = fit_pooled(one_compartment("ka"), oral, start)
    twelve = fit_two_stage(one_compartment("ka"), oral, start)
    six = fit_two_stage(two_compartments(), bolus, {"cl": 8.0, "v1": 10.0, "q": 5.0, "v2": 20.0})
    rows, data = [], {}
    for name, fit in (("Theoph subject 4", twelve["4"]), ("Theoph pooled", pooled)):
        estimates, errors = PUBLISHED[name]
        found = {key: fit.derived(function) for key, function in LOGS.items()}
        shown = ", ".join(f"{k} {v:.8g} ± {e:.5g}" for k, (v, e) in found.items())
        worst = [
            min(digits(found[k][i], part[k]) for k in part) for i, part in enumerate((estimates, errors))
        ]
        rows.append([name, shown, f"{worst[0]:.1f}", f"{worst[1]:.1f}"])
        data[name] = {"found": found, "digits": worst}
    sums = {"Theoph pooled": pooled.rss, "Theoph, 12 subjects": twelve.rss, "Indometh, 6 subjects": six.rss}
    total = [[n, f"{v:.10g}", f"{RSS[n]:.10g}", f"{digits(v, RSS[n]):.1f}"] for n, v in sums.items()]
    areas = [digits(nca(oral[f"{k + 1}"]).auc_inf, area) for k, area in enumerate(AREAS)]
    text = [
        table(["fit", "found", "digits", "digits of errors"], rows),
        "",
        table(["fit", "residual sum of squares", "published", "digits"], total),
        "",
        f"Noncompartmental, theophylline: areas to infinity agree with PKNCA's in {min(areas):.1f} digits "
        "and more (of 7 or 8 that it prints).\n",
        f"Two-stage, theophylline:\n\n```\n{twelve.report()}\n```",
        f"\nTwo-stage, indomethacin:\n\n```\n{six.report()}\n```",
    ]
    return "\n".join(text), {**data, "rss": sums, "digits of areas": areas}


TRUTH = {"cl": 0.2, "v": 3.0, "kon": 0.3, "kd": 0.5, "kint": 0.2, "kdeg": 0.5, "r0": 10.0}
GUESS = {"cl": 0.4, "v": 4.0, "kon": 0.15, "kd": 1.0, "kint": 0.3, "kdeg": 0.3, "r0": 5.0}
DOSES = (3.0, 10.0, 30.0, 100.0)
DAYS = np.array([0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 28.0])


def simulated(days: np.ndarray, endpoints: tuple[str, ...]) -> Subjects:
    """One subject a dose, 10 % noise."""
    rng, members = np.random.default_rng(0), []
    for dose in DOSES:
        course = tmdd(integration=nonstiff()).solve(TRUTH, Regimen.bolus(dose), days)
        assert course.success, course.reason
        measured = {
            name: Observations(days, course.outputs[name] * np.exp(0.1 * rng.normal(size=len(days))))
            for name in endpoints
        }
        members.append(Subject(f"{dose:g}", Regimen.bolus(dose), measured))
    return Subjects(members)


def against_truth(fit: FittedModel) -> str:
    rows = []
    verdicts = fit.identifiability()
    for name, truth in TRUTH.items():
        error = fit.standard_errors[name]
        apart = np.log(fit.params[name] / truth) / (error / fit.params[name])
        rows.append([name, truth, f"{fit.params[name]:.4g}", f"{100 * error / fit.params[name]:.3g} %",
                     f"{apart:+.1f}", verdicts[name].text])  # fmt: skip
    head = ["parameter", "truth", "estimate", "relative error", "errors from the truth", "identifiability"]
    return table(head, rows)


def target_mediated(n_starts: int) -> tuple[str, dict[str, Any]]:
    """A hundred starts; and a poor design, told as such."""
    model = tmdd(integration=Integration(rtol=1e-7, atol=1e-11, max_steps=600))
    rich = simulated(DAYS, ("free_drug", "total_target"))
    begun = time.perf_counter()
    fit_pooled(model, rich, GUESS, error=LogNormal())
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    fit = fit_pooled(model, rich, GUESS, error=LogNormal(), n_starts=n_starts, spread=10.0)
    each = (time.perf_counter() - begun) / n_starts
    poor = simulated(DAYS[4:], ("free_drug",))
    sparse = fit_pooled(model, poor, GUESS, error=LogNormal())
    worst = sparse.identifiability().directions[0]
    text = (
        f"{round(fit.starts.share * n_starts)} of {n_starts} random starts reached the best cost (published "
        f"for Levenberg-Marquardt: 94 %); {fit.starts.n_failed} had no finite predictions. The first fit "
        f"took {first:.1f} s, most of it "
        f"compilation, which all starts share; a start then takes {each:.2f} s.\n\n"
        f"{against_truth(fit)}\n\n"
        "The same without samples of the first half day, and without the target:\n\n"
        f"{against_truth(sparse)}\n\nWorst told combination: {worst}."
    )
    data = {
        "share": fit.starts.share,
        "costs": fit.starts.costs.tolist(),
        "failed": fit.starts.n_failed,
        "params": fit.params,
        "seconds": {"first": first, "each": each},
    }
    return text, data


def warfarin(folder: Path) -> tuple[str, dict[str, Any]]:
    """PK first, then PK and PD at once."""
    table_ = pd.read_csv(next(folder.rglob("warfarin.csv")))
    subjects = subjects_from_table(table_, route=Route.ORAL).renamed({"cp": "conc", "pca": "effect"})
    pk = one_compartment("ka", "tlag")
    start = {"ka": 1.0, "tlag": 0.8, "cl": 0.13, "v": 8.0}
    first = fit_pooled(pk, subjects.only("conc"), start, error=Combined(), n_starts=20)
    model = indirect_response(pk, production=Inhibition(), integration=fast_nonstiff())
    whole = {name: first.params[name] for name in start} | {"r0": 100.0, "kout": 0.05, "ic50": 1.0}
    errors = {"conc": Combined(), "effect": Constant()}
    fit = fit_pooled(model, subjects, whole, fixed={"imax": 1.0}, error=errors, n_starts=4, spread=2.0)
    draw(fit)
    judged, seen = check(fit)
    half, half_error = fit.derived(lambda p: np.log(2) * p["v"] / p["cl"])
    turn, turn_error = fit.derived(lambda p: np.log(2) / p["kout"])
    text = (
        f"PK alone, from 20 starts:\n\n```\n{first.report()}\n```\n\n"
        f"PK and PD at once:\n\n```\n{fit.report()}\n```\n\n"
        f"Half-life of warfarin {half:.3g} ± {half_error:.2g} h, of prothrombin complex activity "
        f"{turn:.3g} ± {turn_error:.2g} h; production is halved at "
        f"{fit.params['ic50']:.3g} mg/L. The error of the concentration holds the differences "
        "between subjects, since the fit is pooled.\n\n"
        "![warfarin](../../docs/images/warfarin.png)\n\n"
        f"Checks:\n\n```\n{judged}\n```\n\n"
        "![goodness of fit](../../docs/images/warfarin_panel.png)\n\n"
        "![visual predictive check](../../docs/images/warfarin_check.png)"
    )
    data = {"pk": first.params, "pkpd": fit.params, "standard_errors": fit.standard_errors, "checks": seen}
    return text, data


def check(fit: FittedModel) -> tuple[str, dict[str, Any]]:
    """Goodness of fit of the concentrations, and the predictive check of both endpoints: two pictures."""
    goodness = goodness_of(fit, "conc", unit="mg/L", time_unit="h")
    goodness.plot().savefig(IMAGES / "warfarin_panel.png", dpi=110)
    said, seen = [f"concentration: {goodness}"], {}
    for name in ("conc", "effect"):
        found = predictive_check_of(fit, name, corrected=name == "conc")  # doses go by the weight
        outside = found.outside.sum(axis=1).tolist()
        said.append(f"{name}: {found}\nOutside, of percentiles 5, 50 and 95: {outside}")
        seen[name] = {"outside": outside, "bins": len(found.counts)}
        if name == "conc":
            figure = found.plot(quantity="warfarin", unit="mg/L", time_unit="h")
            figure.savefig(IMAGES / "warfarin_check.png", dpi=110)
    return "\n\n".join(said), seen


def draw(fit: FittedModel) -> None:
    """Observations and the course after the median dose per endpoint."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    t = np.linspace(0, 144, 300)
    dose = float(np.median([subject.regimen.total for subject in fit.subjects]))
    course, observed = fit.predict(Regimen.oral(dose), t), fit.table()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    labels = {"conc": "warfarin, mg/L", "effect": "prothrombin complex activity, %"}
    for axis, (name, label) in zip(axes, labels.items(), strict=True):
        points = observed[observed.endpoint == name]
        axis.plot(points.time, points.observed, ".", color="0.6", ms=4)
        axis.plot(t, course[name], "C0")
        axis.set(xlabel="hours", ylabel=label, ylim=(0, None))
    figure.suptitle(f"Pooled fit, course after {dose:g} mg; points of all doses", fontsize=9)
    figure.savefig(IMAGES / "warfarin.png", dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--starts", type=int, default=100)
    options = parser.parse_args()
    skipped = ("Skipped: no --data folder with the tables.", {})
    found = options.data is not None and any(options.data.rglob("Theoph.csv"))
    first, fits = published(options.data) if found else skipped
    third, war = warfarin(options.data) if found else skipped
    second, target = target_mediated(options.starts)
    text = (
        f"# PK/PD\n\n## Published fits\n\n{first}\n\n## Target-mediated disposition\n\n{second}\n\n"
        f"## Warfarin\n\n{third}\n\n`python benchmarks/pkpd.py --data FOLDER`."
    )
    save("pkpd", {"published": fits, "target_mediated": target, "warfarin": war}, text)


if __name__ == "__main__":
    main()
