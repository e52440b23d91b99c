"""Patients with saturable elimination, and equations that a fit may suppose: the data of the hybrid models of
`pkpd_networks.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from marquardt.apps.pkpd import Observations, OdeModel, Regimen, Subject, Subjects

VMAX, KM, VOLUME = 3.0, 2.5, 20.0
TIMES = np.array([0.25, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0])


def course(dose: float, times: np.ndarray) -> np.ndarray:
    def fall(t: float, c: np.ndarray) -> np.ndarray:
        return -VMAX * c / (KM + c)

    return solve_ivp(fall, (0, times[-1]), [dose / VOLUME], t_eval=times, rtol=1e-10, atol=1e-13).y[0]


def patients(seed: int) -> Subjects:
    rng = np.random.default_rng(seed)
    members = []
    for dose in (20.0, 60.0, 150.0, 300.0, 500.0):
        c = course(dose, TIMES)
        y = c * (1 + 0.07 * rng.standard_normal(len(c)))
        seen = c > 0.02  # the limit of quantification
        members.append(
            Subject(f"{dose:g} mg", Regimen.bolus(dose), {"conc": Observations(TIMES[seen], y[seen])})
        )
    return Subjects(members)


def saturable_rate(t: Any, y: Any, p: Any) -> Any:
    return -p["vmax"] / (p["km"] + y) * y


def first_order_rate(t: Any, y: Any, p: Any) -> Any:
    return -p["k"] * y


def state(y: Any, p: Any) -> Any:
    return y


def mechanistic(rhs: Any, *names: str) -> OdeModel:
    return OdeModel(rhs, ("c",), ("volume", *names), ("conc",), state, central="c", volume="volume")
