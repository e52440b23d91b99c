"""An enzyme and its inhibitor, from the plan of the experiment to the mechanism.

    python examples/enzyme_kinetics.py

Only public names: `marquardt.apps.kinetics` and `marquardt.curves`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from marquardt.apps.kinetics import (
    design_concentrations,
    expected_errors,
    fit_kinetics,
    linearize,
    mechanism,
    progress_curve,
    select_mechanism,
)
from marquardt.curves import curve_fit

NOISE = 0.15


def main() -> None:
    rng = np.random.default_rng(0)

    # 1. What to measure: a rough Km is enough to plan with.
    rough = {"vmax": 10.0, "km": 2.0}
    law = mechanism("michaelis_menten")
    for low, high in ((0.2, 5.0), (0.02, 0.3)):
        plan = design_concentrations(2.0, 8, low=low, high=high, replicates=2)
        print(f"{low} to {high} Km: expect {expected_errors(law, plan, rough, NOISE)}")

    # 2. The experiment: eight concentrations, four of the inhibitor, twice.
    S, inhibitor = (
        a.ravel() for a in np.meshgrid(design_concentrations(2.0, 8, replicates=2), [0, 2, 5, 15])
    )
    truth = mechanism("competitive").value(np.column_stack([S, inhibitor]), np.array([10.0, 2.0, 4.0]))
    v = truth + NOISE * rng.standard_normal(len(S))

    # 3. Without inhibitor: a straight line for the start, and the fit.
    alone = inhibitor == 0
    print("Hanes' line:", linearize(S[alone], v[alone]))
    print(fit_kinetics("michaelis_menten", S[alone], v[alone]).report("profile"))

    # 4. Which mechanism?
    chosen = select_mechanism(S, v, inhibitor)
    print(chosen)
    print(chosen.best.bootstrap(500, random_state=0))
    chosen.best.plot().savefig("enzyme_kinetics.png", dpi=150)

    # 5. Rates far below Km determine vmax/km alone: the picture of the correlations shows it.
    few = np.linspace(0.01, 0.1, 12)
    poor = fit_kinetics("michaelis_menten", few, 10 * few / (2 + few) + 0.002 * rng.standard_normal(12))
    print(*poor.notes, sep="\n")
    poor.plot_correlations().savefig("enzyme_kinetics_correlations.png", dpi=150)

    # 6. The same constants from two batches that ran to their end.
    batches = np.concatenate([np.column_stack([np.linspace(0, 4, 25), np.full(25, s)]) for s in (3.0, 12.0)])
    curve = progress_curve()
    product = curve.value(batches, np.array([10.0, 2.0])) + 0.05 * rng.standard_normal(50)
    print(curve_fit(curve, batches, product).summary())
    print("wrote", *sorted(path.name for path in Path().glob("enzyme_kinetics*.png")))


if __name__ == "__main__":
    main()
