"""A drug whose elimination nobody knows: learned from five curves, with a network inside the equation.

    pip install 'marquardt[pkpd]'
    python examples/hybrid_pk.py

Doses, volume and mass balance are mechanism; the rate of elimination is a small network of the concentration,
positive by construction, trained through the solver.  The data were made with Michaelis-Menten elimination,
so that what was learned can be judged.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from marquardt.apps.pkpd import (
    Observations,
    OdeModel,
    Proportional,
    Regimen,
    Subject,
    Subjects,
    fit_hybrid,
    fit_pooled,
    goodness_of,
)

VMAX, KM, VOLUME, NOISE, LIMIT = 3.0, 2.5, 20.0, 0.07, 0.02
TIMES = np.array([0.25, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0])


def true_course(dose: float, times: np.ndarray) -> np.ndarray:
    def fall(t: float, c: np.ndarray) -> np.ndarray:
        return -VMAX * c / (KM + c)

    return solve_ivp(fall, (0, times[-1]), [dose / VOLUME], t_eval=times, rtol=1e-10, atol=1e-13).y[0]


def study() -> Subjects:
    rng = np.random.default_rng(0)
    members = []
    for dose in (20.0, 60.0, 150.0, 300.0, 500.0):
        c = true_course(dose, TIMES)
        measured = c * (1 + NOISE * rng.standard_normal(len(c)))
        seen = c > LIMIT
        conc = Observations(TIMES[seen], measured[seen])
        members.append(Subject(f"{dose:g} mg", Regimen.bolus(dose), {"conc": conc}))
    return Subjects(members)


def first_order(t, y, p):
    return -p["k"] * y


def concentration(y, p):
    return y


def main() -> None:
    subjects = study()

    # 1. What one would take without thinking: first-order elimination.  The panel says no.
    plain = OdeModel(
        first_order, ("c",), ("volume", "k"), ("conc",), concentration, central="c", volume="volume"
    )
    wrong = fit_pooled(plain, subjects, {"volume": 15.0, "k": 0.3}, error=Proportional())
    panel = goodness_of(wrong, unit="mg/L", time_unit="h")
    print(f"first order\n{panel}\n")
    panel.plot().savefig("hybrid_pk_first_order.png", dpi=160)

    # 2. The law left open.
    fit = fit_hybrid(subjects)
    print(f"{fit}\n{fit.goodness}\n")
    fit.goodness.plot().savefig("hybrid_pk_panel.png", dpi=160)

    # 3. What was learned, beside the truth.
    c = np.array([0.05, 0.3, 1.0, 3.0, 10.0, 20.0, 100.0])
    band = fit.rate(c)
    print("concentration  rate constant (95 % band)  true")
    for k, value in enumerate(c):
        told = "" if band.inside[k] else "  no data there: a guess"
        print(
            f"{value:13.2f}  {band.value[k]:.3f} ({band.low[k]:.3f} to {band.high[k]:.3f})"
            f"{VMAX / (KM + value):14.3f}{told}"
        )
    fit.plot_rate(lambda c: VMAX / (KM + c)).savefig("hybrid_pk_law.png", dpi=160)

    # 4. Other doses: one between those of the study, one far beyond, of which the fit says so itself.
    for dose in (200.0, 2500.0):
        regimen, exact = Regimen.bolus(dose), true_course(dose, TIMES)
        off = np.max(np.abs(fit.predict(regimen, TIMES) - exact)) / exact.max()
        beyond = int((fit.predict(regimen, TIMES) > fit.seen[1]).sum())
        print(
            f"{dose:g} mg: off by {100 * off:.1f} % of the peak at most; at {beyond} of {len(TIMES)} times "
            "above all concentrations of the data"
        )
    print("wrote hybrid_pk_first_order.png, hybrid_pk_panel.png, hybrid_pk_law.png")


if __name__ == "__main__":
    main()
