"""Does it help to choose the damping by the validation error?  Beside early stopping, and the evidence.

    python benchmarks/validation_damping.py [--repeats 5] [--units 20]

The ten tasks of `defaults.py`, of at most 300 rows; 20 % of them are validation rows, the same ones for all.
RMSE on rows held out, or to the true function, over that of early stopping alone, in the geometric mean over
the repeats.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from defaults import functions, tables
from marquardt import LMRegressor
from marquardt.damping import GainRatio
from marquardt.validation_damping import ValidationGuided
from table import duration, save, table

FIRST = "early stopping"


def ways(units: int) -> dict[str, Callable[[], Any]]:
    def stopped(damping: Any = "auto", **params: Any) -> LMRegressor:
        return LMRegressor(
            (units,),
            random_state=0,
            early_stopping=True,
            validation_fraction=0.2,
            n_starts=1,
            damping=damping,
            **params,
        )

    return {
        FIRST: lambda: stopped(),
        "guided": lambda: stopped("validation"),
        "guided, factor 5, up to 2 tries": lambda: stopped(ValidationGuided(factor=5.0, reach=2)),
        "guided, factor 10, up to 6 tries": lambda: stopped(ValidationGuided(factor=10.0, reach=6)),
        "stronger damping alone (λ₀ = 1)": lambda: stopped(GainRatio(initial=1.0, up=3.0, down=5.0)),
        "early stopping, alpha = 0.1": lambda: stopped(alpha=0.1),
        "guided, alpha = 0.1": lambda: stopped("validation", alpha=0.1),
        "the evidence, 1 start, no validation rows": lambda: LMRegressor(
            (units,), random_state=0, n_starts=1
        ),
    }


def measured(units: int, repeats: int) -> list[dict[str, Any]]:
    rows = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        for name, X, y, new, truth in [*tables(rng), *functions(rng)]:
            for way, make in ways(units).items():
                started = time.process_time()
                model = make().fit(X, y)
                seconds = time.process_time() - started
                rmse = float(np.sqrt(np.mean((model.predict(new) - truth) ** 2)))
                rows.append({"task": name, "way": way, "repeat": repeat, "rmse": rmse, "seconds": seconds})
        print(f"repeat {repeat + 1} of {repeats} done", flush=True)
    return rows


def summary(rows: list[dict[str, Any]], units: int) -> str:
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    logs = {(r["task"], r["way"], r["repeat"]): np.log(r["rmse"]) for r in rows}
    lines = []
    for way in ways(units):
        changes = np.array(
            [
                [logs[key] - logs[task, FIRST, key[2]] for key in logs if key[:2] == (task, way)]
                for task in tasks
            ]
        )  # (tasks, repeats)
        better = f"{(changes < 0).sum()}/{changes.size}"
        seconds = float(np.median([row["seconds"] for row in rows if row["way"] == way]))
        ratios = [f"{np.exp(row.mean()):.2f}" for row in changes]
        lines.append([way, *ratios, f"{np.exp(changes.mean()):.2f}", better, duration(seconds)])
    return table(["", *tasks, "all", "better", "median CPU"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--units", type=int, default=20)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of rows too few and limits reached
    rows = measured(options.units, options.repeats)
    title = f"# Damping guided by the validation error, {options.units} tanh units, {options.repeats} repeats"
    note = f"RMSE over that of {FIRST} (geometric means); below 1 is better."
    save("validation_damping", {"rows": rows}, f"{title}\n\n{note}\n\n{summary(rows, options.units)}")


if __name__ == "__main__":
    main()
