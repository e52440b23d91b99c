"""Figure 14: curves with published estimates, and a thousand small fits.

    python benchmarks/curves.py [--data FOLDER] [--fits 1000]

The published fits of R and of nlstools and drc: one call each, from a start found in the data.  The folder
must hold the tables as CSV files (Puromycin, Theoph, Indometh, vmkm, vmkmki, ryegrass, anywhere below it);
without it that part is skipped.  "Digits" is the least −log10 of the relative error over the parameters;
published values have 4 to 8 digits, and no more than they have can be counted.

The thousand fits: dose responses of 30 points, 4 parameters, noise 2 % of the rise; `fit_many`, and a loop of
`curve_fit`, beside a loop of SciPy's `curve_fit` from one start for all, as one would write it.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize

from marquardt.apps.kinetics import MECHANISMS, select_mechanism
from marquardt.curves import SHAPES, curve_fit, fit_many
from table import save, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from curve_points import case

# (table, what, estimates, standard errors, digits published)
PUBLISHED: list[tuple[str, str, dict[str, float], dict[str, float]]] = [
    ("Puromycin treated", "R datasets-Ex.Rout.save", {"vmax": 212.7, "km": 0.06412},
     {"vmax": 6.947, "km": 0.008281}),
    ("Puromycin untreated", "R datasets-Ex.Rout.save", {"vmax": 160.3, "km": 0.04771},
     {"vmax": 6.480, "km": 0.007782}),
    ("Theoph subject 4", "R datasets-Ex.Rout.save", {"lKe": -2.4365, "lKa": 0.1583, "lCl": -3.2861},
     {"lKe": 0.2257, "lKa": 0.2297, "lCl": 0.1448}),
    ("Theoph pooled", "MINPACK, 20 starts", {"lKe": -2.5242387, "lKa": 0.39922664, "lCl": -3.2482626},
     {"lKe": 0.11035, "lKa": 0.11754, "lCl": 0.074395}),
    ("vmkm", "MINPACK, 20 starts", {"vmax": 1.5460481, "km": 2.5861433}, {"vmax": 0.14538, "km": 0.37044}),
    ("vmkmki competitive", "MINPACK, 20 starts", {"vmax": 18.055705, "km": 15.214432, "ki": 22.282341},
     {"vmax": 0.62883, "km": 2.5005, "ki": 4.9061}),
    ("vmkmki noncompetitive", "MINPACK, 20 starts", {"vmax": 20.58665, "km": 22.778567, "ki": 101.35616},
     {"vmax": 0.43064, "km": 1.4738, "ki": 7.3303}),
    ("ryegrass", "MINPACK, 20 starts",
     {"b": 2.9822287, "c": 0.48140994, "d": 7.7929623, "e": 3.0579552}, {}),
]  # fmt: skip
RSS = {"Theoph, 12 subjects": 47.0658256, "Indometh, 6 subjects": 0.2397289818}


def digits(value: float, published: float) -> tuple[float, bool]:
    """−log10 of the relative error, and whether `value` rounds to what was printed."""
    printed = f"{published:.10g}"
    decimals = len(printed.split(".")[1]) if "." in printed else 0
    error = abs(value - published) / abs(published)
    return (float("inf") if error == 0 else -np.log10(error)), abs(
        value - published
    ) <= 0.51 * 10.0**-decimals


def fits_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each published fit, one call each."""
    read = {path.stem: pd.read_csv(path) for path in folder.rglob("*.csv")}
    puromycin, theoph, indometh = (read[name] for name in ("Puromycin", "Theoph", "Indometh"))
    states = curve_fit("michaelis_menten", puromycin.conc, puromycin.rate, by=puromycin.state)
    subjects = curve_fit("one_compartment", theoph[["Time", "Dose"]], theoph.conc, by=theoph.Subject)
    kinetics = read["vmkmki"]
    chosen = select_mechanism(kinetics.S, kinetics.v, kinetics.I)
    fits = {
        "Puromycin treated": states["treated"],
        "Puromycin untreated": states["untreated"],
        "Theoph subject 4": subjects["4"],
        "Theoph pooled": curve_fit("one_compartment", theoph[["Time", "Dose"]], theoph.conc),
        "vmkm": curve_fit("michaelis_menten", read["vmkm"].S, read["vmkm"].v),
        "vmkmki competitive": chosen.fits["competitive"],
        "vmkmki noncompetitive": chosen.fits["noncompetitive"],
        "ryegrass": curve_fit("4pl", read["ryegrass"].conc, read["ryegrass"].rootl),
    }
    groups = {
        "Theoph, 12 subjects": subjects,
        "Indometh, 6 subjects": curve_fit("biexponential", indometh.time, indometh.conc, by=indometh.Subject),
    }
    return fits, {**groups, "mechanisms": chosen}


def refereed(groups: Any) -> float:
    """The total RSS by SciPy's MINPACK, from our answers moved by 2 %, with tolerances of 1e-15."""
    total = 0.0
    for fit in groups.values():
        curve, x, y = fit.curve, fit.data.x, fit.data.y
        total += 2 * scipy.optimize.least_squares(
            lambda w, c=curve, x=x, y=y: c.value(x, w) - y,
            1.02 * fit.least_squares.w,
            jac=lambda w, c=curve, x=x: c.jacobian(x, w),
            method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=10_000,
        ).cost  # fmt: skip
    return float(total)


def published(folder: Path | None) -> tuple[str, dict[str, Any]]:
    """The section of the published fits."""
    if folder is None or not any(folder.rglob("Puromycin.csv")):
        return "Published fits: skipped, no --data folder with the tables.", {}
    fits, groups = fits_of(folder)
    rows, data = [], {}
    for name, source, estimates, errors in PUBLISHED:
        fit = fits[name]
        found = [digits(fit.params[k], v) for k, v in estimates.items()]
        sd = [digits(fit.standard_errors[k], v) for k, v in errors.items()]
        shown = ", ".join(f"{k} {fit.params[k]:.8g} ± {fit.standard_errors[k]:.5g}" for k in estimates)
        reached = all(ok or d >= 6 for d, ok in found) and all(ok or d >= 4 for d, ok in sd)
        worst = [min((d for d, _ in part), default=float("nan")) for part in (found, sd)]
        rows.append([name, source, shown, *(f"{w:.1f}" if w == w else "-" for w in worst),
                     "yes" if reached else "NO"])  # fmt: skip
        data[name] = {
            "params": fit.params,
            "standard_errors": fit.standard_errors,
            "digits": worst,
            "rss": fit.rss,
            "reached": reached,
        }
    head = [
        "fit",
        "published by",
        "found",
        "digits",
        "digits of errors",
        "6 digits and 4, or all that were printed",
    ]
    lines = [table(head, rows), ""]
    total_rows = [
        [
            n,
            f"{groups[n].rss:.10g}",
            f"{v:.10g}",
            f"{digits(groups[n].rss, v)[0]:.1f}",
            f"{refereed(groups[n]):.10g}",
        ]
        for n, v in RSS.items()
    ]
    header = ["one call for all groups", "total RSS", "published", "digits", "MINPACK, our Jacobian"]
    lines += [
        table(
            header,
            total_rows,
        ),
        "",
    ]
    twelve = groups["Theoph, 12 subjects"]["12"]
    mechanisms = groups["mechanisms"].comparison.table()
    aicc, rss = mechanisms["aicc"], mechanisms["rss"]
    both = [twelve.params, twelve.optima[0].params]
    lines += [
        "Theoph, subject 12, as its fit reports it: "
        + " and ".join(", ".join(f"{k} {v:.6g}" for k, v in p.items()) for p in both)
        + f" have the same cost, {twelve.least_squares.cost:.10g} and {twelve.optima[0].cost:.10g}: "
        f"{twelve.optima[0].reason}. The curve is symmetric in its two rates, so every subject has such a "
        f"pair; "
        "the one with ka >= ke is given as the estimate.",
        "",
        "vmkmki, all mechanisms of `select_mechanism`:",
        "",
        f"```\n{groups['mechanisms']}\n```",
        "",
        f"Of the two published mechanisms the non-competitive one is preferred: AICc "
        f"{aicc['noncompetitive']:.1f} "
        f"against {aicc['competitive']:.1f}, sum of squares {rss['noncompetitive']:.6g} against "
        f"{rss['competitive']:.6g}. The uncompetitive one, not published with the data, describes them "
        f"better still "
        f"({aicc['uncompetitive']:.1f}), and the mixed one, which contains it, comes to the same sum of "
        f"squares with "
        "a Kic that has no limit.",
    ]
    data["rss"] = {name: groups[name].rss for name in RSS}
    data["mechanisms"] = mechanisms.to_dict("index")
    return "\n".join(lines), data


def thousand(n_fits: int) -> tuple[str, dict[str, Any]]:
    """The section of the small fits."""
    rng = np.random.default_rng(0)
    x = np.geomspace(0.01, 100, 30)
    truth = np.column_stack([rng.uniform(0, 1, n_fits), rng.uniform(5, 10, n_fits),
                             10 ** rng.uniform(-0.7, 0.7, n_fits), rng.uniform(0.7, 3, n_fits)])  # fmt: skip
    Y = SHAPES["hill"].function(x, *(truth[:, k : k + 1] for k in range(4))) + 0.12 * rng.normal(
        size=(n_fits, 30)
    )

    def plain(x: Any, bottom: Any, top: Any, ec50: Any, n: Any) -> Any:
        return bottom + (top - bottom) / (1 + (ec50 / x) ** n)

    def scipys() -> np.ndarray:
        found = np.full((n_fits, 4), np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for k, y in enumerate(Y):
                try:
                    found[k] = scipy.optimize.curve_fit(plain, x, y, p0=[0, 5, 1, 1], maxfev=5000)[0]
                except RuntimeError:
                    continue
        return found

    ways = {
        "fit_many, start from the data": lambda: fit_many("hill", x, Y).params,
        "fit_many, user's function, one start": lambda: fit_many(plain, x, Y, [0, 5, 1, 1]).params,
        "curve_fit in a loop": lambda: np.array([list(curve_fit("hill", x, y).params.values()) for y in Y]),
        "SciPy curve_fit in a loop, one start": scipys,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, np.ndarray] = {}
    for _ in range(5):
        for name, way in ways.items():
            begun = time.perf_counter()
            found[name] = way()
            seconds[name].append(time.perf_counter() - begun)

    def rss(theta: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            f = plain(x, *(theta[:, k : k + 1] for k in range(4)))
        return np.nan_to_num(((f - Y) ** 2).sum(axis=1), nan=np.inf)

    best = np.min([rss(theta) for theta in found.values()], axis=0)
    rows, data = [], {}
    for name, times in seconds.items():
        t = min(times)
        reached = int((rss(found[name]) <= best * (1 + 1e-6)).sum())
        rows.append([name, f"{t:.3f} s", f"{n_fits / t:.0f}", f"{reached} of {n_fits}"])
        data[name] = {"seconds": times, "at_the_best_cost": reached}
    head = [
        f"{n_fits} fits, 4 parameters, 30 points",
        "best of 5",
        "fits a second",
        "at the least cost found",
    ]
    return table(head, rows), data


def from_the_data(n_draws: int = 40) -> tuple[str, dict[str, Any]]:
    """The section of the starts: is a fit from the data as good as one from the truth?"""
    rng = np.random.default_rng(1)
    data = {}
    for name in (n for n in SHAPES if not n.startswith("polynomial") and n != "linear"):
        curve, theta, x = case(name)
        worse = 0
        for _ in range(n_draws):
            spread = 0.1 if name == "arrhenius" else 0.4
            truth = theta * np.exp(spread * rng.normal(size=len(theta)))
            f = curve.value(x, truth)
            y = f + 0.03 * np.ptp(f) * rng.normal(size=len(f))
            own, best = (
                curve_fit(name, x, y, p0) for p0 in (None, dict(zip(curve.names, truth, strict=True)))
            )
            worse += own.rss > best.rss * (1 + 1e-6) or not own.success
        data[name] = worse
    total = sum(data.values())
    named = ", ".join(f"{name} {count}" for name, count in data.items() if count) or "none"
    text = (
        f"{len(data)} curves, {n_draws} draws of parameters each (times exp(0.4 N), of arrhenius exp(0.1 "
        f"N)), 30 "
        f"points, noise 3 % of the range: of {n_draws * len(data)} fits from the data {total} end higher "
        f"than the fit "
        f"from the true parameters ({named})."
    )
    return text, data


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--fits", type=int, default=1000)
    options = parser.parse_args()
    first, fits = published(options.data)
    second, speed = thousand(options.fits)
    third, starts = from_the_data()
    n = len(MECHANISMS)
    text = (
        f"# Curves\n\n## Published fits\n\n{first}\n\n## Many small fits\n\n{second}\n\n"
        f"## Starts from the data\n\n{third}\n\n"
        f"{len(SHAPES)} curves by name, {n} rate laws; `python benchmarks/curves.py --data FOLDER`."
    )
    save("curves", {"published": fits, "many": speed, "starts": starts}, text)


if __name__ == "__main__":
    main()
