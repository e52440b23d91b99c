"""Curves by name: formula, exact gradient, and a start from the data for each.

Exponentials, peaks, powers and lines stand here; responses that rise or fall to a plateau, in `dose_shapes`.
"""

from __future__ import annotations

import difflib
from functools import partial
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.curves.curve import Curve
from marquardt.curves.dose_shapes import DOSE_SHAPES
from marquardt.curves.separable import SeparableGuess, places, product, rates, widths

GAS_CONSTANT = 8.31446261815324
"""J/(mol K), exact by the definition of the kelvin and the mole (BIPM 2019)."""


def _decay(x: Any, a: Any, k: Any, c: Any) -> Any:
    return a * np.exp(-k * x) + c


def _decay_gradient(x: Any, a: Any, k: Any, c: Any) -> list[Any]:
    fall = np.exp(-k * x)
    return [fall, -a * x * fall, np.ones_like(fall)]


def _growth(x: Any, a: Any, k: Any, c: Any) -> Any:
    return a * np.exp(k * x) + c


def _growth_gradient(x: Any, a: Any, k: Any, c: Any) -> list[Any]:
    rise = np.exp(k * x)
    return [rise, a * x * rise, np.ones_like(rise)]


def _two_decays(x: Any, a1: Any, k1: Any, a2: Any, k2: Any) -> Any:
    return a1 * np.exp(-k1 * x) + a2 * np.exp(-k2 * x)


def _two_decays_gradient(x: Any, a1: Any, k1: Any, a2: Any, k2: Any) -> list[Any]:
    fast, slow = np.exp(-k1 * x), np.exp(-k2 * x)
    return [fast, -a1 * x * fast, slow, -a2 * x * slow]


def _two_rates(x: FloatArray) -> FloatArray:
    pairs = product(rates(x, 24), rates(x, 24))
    return pairs[pairs[:, 0] > pairs[:, 1]]


def _gaussian(x: Any, height: Any, center: Any, width: Any, offset: Any) -> Any:
    return offset + height * np.exp(-0.5 * ((x - center) / width) ** 2)


def _gaussian_gradient(x: Any, height: Any, center: Any, width: Any, offset: Any) -> list[Any]:
    z = (x - center) / width
    bell = np.exp(-0.5 * z * z)
    slope = height * bell * z / width
    return [bell, slope, slope * z, np.ones_like(bell)]


def _arrhenius(x: Any, A: Any, Ea: Any) -> Any:
    return A * np.exp(-Ea / (GAS_CONSTANT * x))


def _arrhenius_gradient(x: Any, A: Any, Ea: Any) -> list[Any]:
    share = np.exp(-Ea / (GAS_CONSTANT * x))
    return [share, -A * share / (GAS_CONSTANT * x)]


def _arrhenius_guess(x: FloatArray, Y: FloatArray) -> FloatArray:
    """log y is a line in 1/T; an error of y is one of y·log y, hence the weights y."""
    starts = []
    for y in Y:
        good = y > 0
        if good.sum() < 2:
            starts.append([max(float(np.abs(y).max()), 1.0), 0.0])
            continue
        slope, level = np.polyfit(1 / x[good], np.log(y[good]), 1, w=y[good])
        starts.append([np.exp(min(level, 700.0)), -slope * GAS_CONSTANT])
    return np.array(starts)


def _power(x: Any, a: Any, b: Any) -> Any:
    return a * x**b


def _power_gradient(x: Any, a: Any, b: Any) -> list[Any]:
    power = x**b
    return [power, a * power * np.log(np.where(x > 0, x, 1.0))]


def _absorption(X: Any, lKe: Any, lKa: Any, lCl: Any) -> Any:
    time, dose = X[:, 0], X[:, 1]
    return dose * _exposure(time, np.exp(lKe), np.exp(lKa)) * np.exp(lKe + lKa - lCl)


def _exposure(t: Any, ke: Any, ka: Any) -> Any:
    """(e^{−ke t} − e^{−ka t}) / (ka − ke), also where the two rates meet."""
    d = (ka - ke) * t
    quotient = np.where(np.abs(d) > 1e-6, -np.expm1(-d) / np.where(d == 0, 1.0, d), 1 - d / 2 + d * d / 6)
    return t * np.exp(-ke * t) * quotient


def _absorption_guess(X: FloatArray, Y: FloatArray) -> FloatArray:
    time, dose = X[:, 0], X[:, 1]
    pairs = _two_rates(time)

    def basis(x: Any, ka: Any, ke: Any) -> list[Any]:
        del x
        return [dose * _exposure(time, ke, ka)]

    def assemble(c: FloatArray, alpha: FloatArray) -> FloatArray:
        ka, ke = alpha.T
        clearance = ka * ke / np.where(c[:, 0] > 0, c[:, 0], 1.0)
        return np.log(np.column_stack([ke, ka, clearance]))

    return SeparableGuess(lambda x: pairs, basis, assemble)(time, Y)


def _pair_order(theta: FloatArray, a: list[int], b: list[int], key: tuple[int, int]) -> FloatArray:
    """With the two groups of parameters exchanged where key[0] is below key[1]."""
    if theta[key[0]] >= theta[key[1]]:
        return theta
    swapped = theta.copy()
    swapped[a], swapped[b] = theta[b], theta[a]
    return swapped


def _positive_width(theta: FloatArray) -> FloatArray:
    return theta * np.array([1.0, 1.0, np.sign(theta[2]) or 1.0, 1.0])


def _linear_fit(degree: int, x: FloatArray, Y: FloatArray) -> FloatArray:
    """The fit itself, of as high a degree as the places allow."""
    c = np.zeros((len(Y), degree + 1))
    highest = min(degree, len(np.unique(x)) - 1)
    c[:, : highest + 1] = np.polynomial.polynomial.polyfit(x, Y.T, highest).T
    return c


def polynomial(degree: int) -> Curve:
    """c0 + c1 x + ... + c_d xᵈ.

    >>> polynomial(2).names
    ('c0', 'c1', 'c2')
    """
    if not (int(degree) == degree and 0 <= degree <= 20):
        raise ValueError(f"degree={degree!r} must be a whole number from 0 to 20")

    def value(x: Any, *c: Any) -> Any:
        total = c[-1] + 0 * x
        for coefficient in reversed(c[:-1]):
            total = total * x + coefficient
        return total

    def gradient(x: Any, *c: Any) -> list[Any]:
        del c
        return [np.power(x, k) for k in range(degree + 1)]

    return Curve(
        value,
        tuple(f"c{k}" for k in range(degree + 1)),
        gradient,
        partial(_linear_fit, degree),
        name=f"polynomial{degree}",
        formula=" + ".join(["c0", "c1 x", *(f"c{k} x^{k}" for k in range(2, degree + 1))][: degree + 1]),
        n_columns=1,
        special_cases=tuple(f"polynomial{k}" for k in range(degree)) + (("linear",) if degree > 1 else ()),
    )


def _alpha_last(c: FloatArray, alpha: FloatArray) -> FloatArray:
    return np.column_stack([c, alpha])


def _ones(a: Any) -> Any:
    return np.ones_like(a)


_ONE = partial(Curve, n_columns=1)
_SHAPES = [
    _ONE(lambda x, intercept, slope: intercept + slope * x, ("intercept", "slope"),
         lambda x, intercept, slope: [np.ones_like(x), x], polynomial(1).guess,
         name="linear", formula="intercept + slope x"),
    _ONE(_decay, ("a", "k", "c"), _decay_gradient,
         SeparableGuess(lambda x: rates(x)[:, None],
                        lambda x, k: [np.exp(-k * x), _ones(k)],
                        lambda c, k: np.column_stack([c[:, 0], k[:, 0], c[:, 1]])),
         name="exponential_decay", formula="a exp(-k x) + c"),
    _ONE(_growth, ("a", "k", "c"), _growth_gradient,
         SeparableGuess(lambda x: rates(x)[:, None],
                        lambda x, k: [np.exp(k * x), _ones(k)],
                        lambda c, k: np.column_stack([c[:, 0], k[:, 0], c[:, 1]])),
         name="exponential_growth", formula="a exp(k x) + c"),
    _ONE(_two_decays, ("a1", "k1", "a2", "k2"), _two_decays_gradient,
         SeparableGuess(_two_rates, lambda x, k1, k2: [np.exp(-k1 * x), np.exp(-k2 * x)],
                        lambda c, k: np.column_stack([c[:, 0], k[:, 0], c[:, 1], k[:, 1]])),
         name="biexponential", formula="a1 exp(-k1 x) + a2 exp(-k2 x), k1 >= k2",
         canonical=lambda w: _pair_order(w, [0, 1], [2, 3], (1, 3))),
    _ONE(_gaussian, ("height", "center", "width", "offset"), _gaussian_gradient,
         SeparableGuess(lambda x: product(places(x), widths(x)),
                        lambda x, m, s: [np.exp(-0.5 * ((x - m) / s) ** 2), _ones(m)],
                        lambda c, a: np.column_stack([c[:, 0], a, c[:, 1]])),
         name="gaussian", formula="offset + height exp(-((x - center) / width)^2 / 2)",
         canonical=_positive_width),
    _ONE(_arrhenius, ("A", "Ea"), _arrhenius_gradient, _arrhenius_guess,
         name="arrhenius", formula="A exp(-Ea / (R x)), x in kelvin, Ea in J/mol", least_x=1e-300),
    _ONE(_power, ("a", "b"), _power_gradient,
         SeparableGuess(lambda x: np.linspace(-5, 5, 81)[:, None], lambda x, b: [x**b], _alpha_last),
         name="power", formula="a x^b", least_x=0.0),
    Curve(_absorption, ("lKe", "lKa", "lCl"), None, _absorption_guess, name="one_compartment", n_columns=2,
          formula="dose ke ka (exp(-ke t) - exp(-ka t)) / (cl (ka - ke)), columns t and dose, logarithms "
          "as in R's SSfol, ka >= ke",
          canonical=lambda w: _pair_order(w, [1], [0], (1, 0)), twin=lambda w: w[[1, 0, 2]],
          twin_reason="absorption and elimination exchanged (flip-flop)"),
    *(polynomial(degree) for degree in range(6)),
    *DOSE_SHAPES,
]  # fmt: skip
SHAPES: dict[str, Curve] = {curve.name: curve for curve in _SHAPES}
"""The curves that `curve_fit` knows by name."""


def shape(name: str) -> Curve:
    """A curve by its name; ValueError with the nearest names for another.

    >>> shape("hill").names
    ('bottom', 'top', 'ec50', 'n')
    >>> shape("hil")
    Traceback (most recent call last):
    ValueError: there is no curve 'hil': did you mean 'hill'? There are 3pl, 4pl, ...
    """
    if name in SHAPES:
        return SHAPES[name]
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    near = [wanted] if wanted in SHAPES else difflib.get_close_matches(wanted, SHAPES, n=2, cutoff=0.5)
    asked = f": did you mean {' or '.join(map(repr, near))}?" if near else ":"
    raise ValueError(f"there is no curve {name!r}{asked} There are {', '.join(sorted(SHAPES))}")
