r"""Curves that go from one plateau to another: logistic in x, and in log x (dose and response, saturation).

A dose response is bottom + (top − bottom) s with s = 1/(1 + (c/x)ⁿ) = σ(n log(x/c)), which needs no case at
x = 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from marquardt._types import FloatArray
from marquardt.curves.curve import Curve
from marquardt.curves.separable import SeparableGuess, middles, places, product, widths

ASYMMETRIES = np.array([0.3, 0.6, 1.0, 1.7, 3.0])
"""Exponents of the five-parameter curves to try, for which slopes of either sign are different curves."""
SLOPES = np.array([0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0])
"""Hill exponents to try."""


def _log_ratio(x: Any, c: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x / c)


def _rise(x: Any, c: Any, n: Any) -> tuple[Any, Any, Any]:
    """s, ∂s/∂c, ∂s/∂n."""
    L = _log_ratio(x, c)
    s = expit(n * L)
    slope = s * expit(-n * L)
    with np.errstate(invalid="ignore"):
        return s, -slope * n / c, np.where(slope > 0, slope * L, 0.0)


def _hill(x: Any, bottom: Any, top: Any, ec50: Any, n: Any) -> Any:
    return bottom + (top - bottom) * expit(n * _log_ratio(x, ec50))


def _hill_gradient(x: Any, bottom: Any, top: Any, ec50: Any, n: Any) -> list[Any]:
    s, sc, sn = _rise(x, ec50, n)
    return [1 - s, s, (top - bottom) * sc, (top - bottom) * sn]


def _sigmoid_emax(x: Any, e0: Any, emax: Any, ec50: Any, n: Any) -> Any:
    return e0 + emax * expit(n * _log_ratio(x, ec50))


def _sigmoid_emax_gradient(x: Any, e0: Any, emax: Any, ec50: Any, n: Any) -> list[Any]:
    s, sc, sn = _rise(x, ec50, n)
    return [np.ones_like(s), s, emax * sc, emax * sn]


def _emax(x: Any, e0: Any, emax: Any, ec50: Any) -> Any:
    return e0 + emax * x / (ec50 + x)


def _emax_gradient(x: Any, e0: Any, emax: Any, ec50: Any) -> list[Any]:
    s = x / (ec50 + x)
    return [np.ones_like(s), s, -emax * s / (ec50 + x)]


def _menten(x: Any, vmax: Any, km: Any) -> Any:
    return vmax * x / (km + x)


def _menten_gradient(x: Any, vmax: Any, km: Any) -> list[Any]:
    s = x / (km + x)
    return [s, -vmax * s / (km + x)]


def _3pl(x: Any, b: Any, d: Any, e: Any) -> Any:
    return d * expit(-b * _log_ratio(x, e))


def _3pl_gradient(x: Any, b: Any, d: Any, e: Any) -> list[Any]:
    slope, _, plateau, place, _ = _5pl_gradient(x, b, 0.0, d, e, 1.0)
    return [slope, plateau, place]


def _4pl(x: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    return c + (d - c) * expit(-b * _log_ratio(x, e))


def _4pl_gradient(x: Any, b: Any, c: Any, d: Any, e: Any) -> list[Any]:
    return _5pl_gradient(x, b, c, d, e, 1.0)[:4]


def _5pl(x: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    return c + (d - c) * expit(-b * _log_ratio(x, e)) ** f


def _5pl_gradient(x: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> list[Any]:
    s, se, sb = _rise(x, e, -b)
    power = s**f
    with np.errstate(invalid="ignore", divide="ignore"):
        outer = (d - c) * np.where(s > 0, f * power / s, 0.0)
        log_s = np.where(s > 0, np.log(s), 0.0)
    return [-outer * sb, 1 - power, power, outer * se, (d - c) * power * log_s]


def _logistic(x: Any, bottom: Any, top: Any, mid: Any, scale: Any) -> Any:
    return bottom + (top - bottom) * expit((x - mid) / scale)


def _logistic_gradient(x: Any, bottom: Any, top: Any, mid: Any, scale: Any) -> list[Any]:
    return _logistic5_gradient(x, bottom, top, mid, scale, 1.0)[:4]


def _logistic3(x: Any, top: Any, mid: Any, scale: Any) -> Any:
    return top * expit((x - mid) / scale)


def _logistic3_gradient(x: Any, top: Any, mid: Any, scale: Any) -> list[Any]:
    return _logistic_gradient(x, 0.0, top, mid, scale)[1:]


def _logistic5(x: Any, bottom: Any, top: Any, mid: Any, scale: Any, asymmetry: Any) -> Any:
    return bottom + (top - bottom) * expit((x - mid) / scale) ** asymmetry


def _logistic5_gradient(x: Any, bottom: Any, top: Any, mid: Any, scale: Any, asymmetry: Any) -> list[Any]:
    z = (x - mid) / scale
    s = expit(z)
    power = s**asymmetry
    along = (top - bottom) * asymmetry * power * expit(-z)  # ∂f/∂z
    with np.errstate(divide="ignore", invalid="ignore"):
        log_s = np.where(s > 0, np.log(s), 0.0)
    return [1 - power, power, -along / scale, -along * z / scale, (top - bottom) * power * log_s]


def _in_log_x(x: FloatArray) -> FloatArray:
    return product(middles(x), SLOPES)


def _in_x(x: FloatArray) -> FloatArray:
    return product(places(x), widths(x))


def _two_plateaus(x: Any, c: Any, n: Any) -> list[Any]:
    s = expit(n * _log_ratio(x, c))
    return [1 - s, s]


def _signed_slopes() -> FloatArray:
    return np.concatenate([-SLOPES[::2], SLOPES[::2]])


def _three_in_log_x(x: FloatArray) -> FloatArray:
    return product(middles(x, 24), _signed_slopes(), ASYMMETRIES)


def _three_in_x(x: FloatArray) -> FloatArray:
    scales = widths(x, 6)
    return product(places(x, 24), np.concatenate([-scales, scales]), ASYMMETRIES)


def _bent_plateaus(x: Any, e: Any, b: Any, f: Any) -> list[Any]:
    s = expit(-b * _log_ratio(x, e)) ** f
    return [1 - s, s]


def _bent_plateaus_in_x(x: Any, mid: Any, scale: Any, f: Any) -> list[Any]:
    s = expit((x - mid) / scale) ** f
    return [1 - s, s]


def _two_plateaus_in_x(x: Any, mid: Any, scale: Any) -> list[Any]:
    s = expit((x - mid) / scale)
    return [1 - s, s]


def _saturation(x: Any, c: Any) -> list[Any]:
    return [x / (c + x)]


def _upright(names: tuple[str, ...], low: str, high: str, *signs: str) -> Any:
    """Puts the lower plateau into `low`; the same curve with its slope of the other sign."""
    i, j, k = names.index(low), names.index(high), [names.index(s) for s in signs]

    def canonical(theta: FloatArray) -> FloatArray:
        if theta[i] <= theta[j]:
            return theta
        turned = theta.copy()
        turned[i], turned[j] = theta[j], theta[i]
        turned[k] = -theta[k]
        return turned

    return canonical


def _turned(theta: FloatArray) -> FloatArray:
    """Plateaus exchanged, slope of the other sign, and the bend at the other end: nearly the same curve."""
    low, high, place, slope, bend = theta
    return np.array([high, low, place, -slope, 1 / bend])


def _turned_5pl(theta: FloatArray) -> FloatArray:
    b, c, d, e, f = theta
    return np.array([-b, d, c, e, 1 / f])


_4, _L4 = ("b", "c", "d", "e"), ("bottom", "top", "mid", "scale")
_HILL = ("bottom", "top", "ec50", "n")

DOSE_SHAPES = [
    Curve(_menten, ("vmax", "km"), _menten_gradient,
          SeparableGuess(lambda x: middles(x)[:, None], _saturation, lambda c, a: np.column_stack([c, a])),
          name="michaelis_menten", formula="vmax x / (km + x)", n_columns=1, least_x=0.0),
    Curve(_emax, ("e0", "emax", "ec50"), _emax_gradient,
          SeparableGuess(lambda x: middles(x)[:, None],
                         lambda x, c: [np.ones_like(c), x / (c + x)], lambda c, a: np.column_stack([c, a])),
          name="emax", formula="e0 + emax x / (ec50 + x)", n_columns=1, least_x=0.0,
          special_cases=("michaelis_menten",)),
    Curve(_sigmoid_emax, ("e0", "emax", "ec50", "n"), _sigmoid_emax_gradient,
          SeparableGuess(_in_log_x, lambda x, c, n: [np.ones_like(c), expit(n * _log_ratio(x, c))],
                         lambda c, a: np.column_stack([c, a])),
          name="sigmoid_emax", formula="e0 + emax x^n / (ec50^n + x^n)", n_columns=1, least_x=0.0,
          special_cases=("emax", "michaelis_menten")),
    Curve(_hill, _HILL, _hill_gradient,
          SeparableGuess(_in_log_x, _two_plateaus, lambda c, a: np.column_stack([c, a])),
          name="hill", formula="bottom + (top - bottom) x^n / (ec50^n + x^n), bottom <= top",
          n_columns=1, least_x=0.0, canonical=_upright(_HILL, "bottom", "top", "n"),
          special_cases=("emax", "michaelis_menten")),
    Curve(_3pl, ("b", "d", "e"), _3pl_gradient,
          SeparableGuess(lambda x: product(middles(x), np.concatenate([-SLOPES, SLOPES])),
                         lambda x, e, b: [expit(-b * _log_ratio(x, e))],
                         lambda c, a: np.column_stack([a[:, 1], c[:, 0], a[:, 0]])),
          name="3pl", formula="d / (1 + (x / e)^b), the LL.3 of R's drc", n_columns=1, least_x=0.0),
    Curve(_4pl, _4, _4pl_gradient,
          SeparableGuess(_in_log_x, _two_plateaus,
                         lambda c, a: np.column_stack([-a[:, 1], c[:, 0], c[:, 1], a[:, 0]])),
          name="4pl", formula="c + (d - c) / (1 + (x / e)^b), c <= d, the LL.4 of R's drc", n_columns=1,
          least_x=0.0, canonical=_upright(_4, "c", "d", "b"), special_cases=("3pl",)),
    Curve(_5pl, (*_4, "f"), _5pl_gradient,
          SeparableGuess(_three_in_log_x, _bent_plateaus,
                         lambda c, a: np.column_stack([a[:, 1], *c.T, a[:, 0], a[:, 2]])),
          name="5pl", formula="c + (d - c) / (1 + (x / e)^b)^f, the LL.5 of R's drc", n_columns=1,
          least_x=0.0, special_cases=("4pl", "3pl"), second_start=_turned_5pl),
    Curve(_logistic3, ("top", "mid", "scale"), _logistic3_gradient,
          SeparableGuess(lambda x: np.concatenate([_in_x(x), _in_x(x) * [1, -1]]),
                         lambda x, m, s: [expit((x - m) / s)], lambda c, a: np.column_stack([c, a])),
          name="logistic3", formula="top / (1 + exp((mid - x) / scale))", n_columns=1),
    Curve(_logistic, _L4, _logistic_gradient,
          SeparableGuess(_in_x, _two_plateaus_in_x, lambda c, a: np.column_stack([c, a])),
          name="logistic4", formula="bottom + (top - bottom) / (1 + exp((mid - x) / scale)), bottom <= top",
          n_columns=1, canonical=_upright(_L4, "bottom", "top", "scale"), special_cases=("logistic3",)),
    Curve(_logistic5, (*_L4, "asymmetry"), _logistic5_gradient,
          SeparableGuess(_three_in_x, _bent_plateaus_in_x, lambda c, a: np.column_stack([c, a])),
          name="logistic5", formula="bottom + (top - bottom) / (1 + exp((mid - x) / scale))^asymmetry",
          n_columns=1, special_cases=("logistic4", "logistic3"), second_start=_turned),
]  # fmt: skip
"""Curves of this kind."""
