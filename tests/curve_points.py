"""Points for the tests of curves.  Puromycin: R's `datasets` (Treloar 1974), as facts."""

from __future__ import annotations

import numpy as np

from marquardt.curves import SHAPES, Curve

CONC = np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1])
TREATED = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200])
UNTREATED = np.array([67, 51, 84, 86, 98, 115, 131, 124, 144, 158, 160])

CONC_2 = np.concatenate([CONC, CONC[:11]])
RATE_2 = np.concatenate([TREATED, UNTREATED])
STATE_2 = ["treated"] * 12 + ["untreated"] * 11

X = np.linspace(0, 5, 24)
DECAY = 3 * np.exp(-0.8 * X) + 0.5 + 0.02 * np.sin(37.0 * np.arange(24))


def decay(x, a, k, c):
    """a exp(-k x) + c."""
    return a * np.exp(-k * x) + c


# theta, x for the curves that the generic ones do not suit
TRUTHS = {
    "arrhenius": ([1e7, 5e4], np.linspace(280, 350, 30)),
    "power": ([2.0, 1.5], np.linspace(0, 10, 30)),
    "exponential_growth": ([0.5, 0.4, 1.0], np.linspace(0, 5, 30)),
    "exponential_decay": ([3.0, 0.4, 1.0], np.linspace(0, 10, 30)),
    "biexponential": ([3.0, 1.5, 1.0, 0.2], np.linspace(0, 10, 30)),
    "gaussian": ([2.0, 4.0, 1.2, 0.3], np.linspace(0, 10, 30)),
    "one_compartment": (
        [-2.4, 0.2, -3.2],
        np.column_stack([np.linspace(0, 24, 30), np.full(30, 4.0)]),
    ),
    "3pl": ([1.7, 5.0, 2.0], np.geomspace(0.02, 90, 30)),
    "4pl": ([1.7, 0.5, 5.0, 2.0], np.concatenate([[0.0], np.geomspace(0.02, 90, 29)])),
    "5pl": ([1.7, 0.5, 5.0, 2.0, 0.7], np.geomspace(0.02, 90, 30)),
    "hill": ([0.5, 5.0, 2.0, 1.7], np.concatenate([[0.0], np.geomspace(0.02, 90, 29)])),
    "sigmoid_emax": ([0.5, 5.0, 2.0, 1.7], np.geomspace(0.02, 90, 30)),
    "logistic3": ([5.0, 4.0, 0.8], np.linspace(0, 10, 30)),
    "logistic4": ([0.5, 5.0, 4.0, 0.8], np.linspace(0, 10, 30)),
    "logistic5": ([0.5, 5.0, 4.0, 0.8, 1.4], np.linspace(0, 10, 30)),
}


def case(name: str) -> tuple[Curve, np.ndarray, np.ndarray]:
    """A built-in curve, parameters, and x for it."""
    curve = SHAPES[name]
    generic = ([1.5, 2.5, 0.5, 0.1, 0.02, 0.001][: len(curve.names)], np.linspace(0, 10, 30))
    theta, x = TRUTHS.get(name, generic)
    return curve, np.array(theta), x
