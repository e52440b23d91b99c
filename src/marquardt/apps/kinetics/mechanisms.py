r"""Rate laws of one substrate and one inhibitor, as curves.

    v = Vmax S / (Km (1 + I/Kic) + S (1 + I/Kiu))

competitive: Kiu = ∞; uncompetitive: Kic = ∞; non-competitive: Kic = Kiu; mixed: both free.  An excess of
substrate that inhibits has the term S²/Ki in the denominator.  (Cornish-Bowden 2012, chapters 7 and 6.)  x
has the columns S and I, or S alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from marquardt.apps.kinetics.linearization import hanes_plane
from marquardt.curves import Curve

Array = np.ndarray


def _substrate(X: Any) -> tuple[Any, Any]:
    return (X, 0.0) if np.ndim(X) == 1 else (X[:, 0], X[:, 1])


def _rate(X: Any, vmax: Any, km: Any, kic: Any, kiu: Any) -> tuple[Any, Any, Any, Any]:
    """v, and v/denominator with the factors of Km and S in it."""
    S, inhibitor = _substrate(X)
    competitive, uncompetitive = 1 + inhibitor / kic, 1 + inhibitor / kiu
    denominator = km * competitive + S * uncompetitive
    v = vmax * S / denominator
    return v, v / denominator, competitive, uncompetitive


def _gradient(X: Any, vmax: Any, km: Any, kic: Any, kiu: Any) -> tuple[Any, Any, Any, Any]:
    """∂v/∂ vmax, km, kic, kiu."""
    S, inhibitor = _substrate(X)
    v, share, competitive, _ = _rate(X, vmax, km, kic, kiu)
    return v / vmax, -share * competitive, share * km * inhibitor / kic**2, share * S * inhibitor / kiu**2


def _positive(value: float, instead: float) -> float:
    return value if np.isfinite(value) and value > 0 else instead


@dataclass(frozen=True)
class _Term:
    """A column of Hanes' plane whose coefficient holds an inhibition constant."""

    column: Callable[[Array, Array], Array]
    """Of S and the inhibitor's concentration."""
    over: Callable[[float, float], float]
    """The constant times the coefficient, of Km and Vmax."""
    typical: Callable[[Array, Array], float]
    """A constant to begin with where the plane gives none."""


def _inhibitors_median(S: Array, inhibitor: Array) -> float:
    del S
    return float(np.median(inhibitor[inhibitor > 0])) if (inhibitor > 0).any() else 1.0


_FREE = _Term(lambda S, inhibitor: inhibitor, lambda km, vmax: km / vmax, _inhibitors_median)
"""On the free enzyme: I Km/(Vmax Kic)."""
_BOUND = _Term(lambda S, inhibitor: S * inhibitor, lambda km, vmax: 1 / vmax, _inhibitors_median)
"""On the complex: S I/(Vmax Kiu)."""
_EXCESS = _Term(lambda S, inhibitor: S * S, lambda km, vmax: 1 / vmax, lambda S, inhibitor: float(S.max()))
"""Of the substrate: S²/(Vmax Ki)."""


def _each(constants: list[float]) -> list[float]:
    return constants


def _geometric_mean(constants: list[float]) -> list[float]:
    return [float(np.exp(np.mean(np.log(constants))))]


def _guess(
    *terms: _Term, constants: Callable[[list[float]], list[float]] = _each
) -> Callable[[Array, Array], Array]:
    """Starts by Hanes' plane S/v = (Km + S + Km I/Kic + S I/Kiu + S²/Ki) / Vmax."""

    def one(X: Array, v: Array) -> list[float]:
        S, concentration = _substrate(X)
        inhibitor = np.broadcast_to(concentration, np.shape(S))
        columns = [term.column(S, inhibitor) for term in terms]
        c = hanes_plane([np.ones_like(S), S, *columns], S, v)
        level, slope, *more = np.zeros(2 + len(terms)) if c is None else c
        vmax = _positive(1 / slope if slope else np.nan, 1.2 * float(np.abs(v).max()) or 1.0)
        km = _positive(level * vmax, float(np.median(S[S > 0])) if (S > 0).any() else 1.0)
        found = [
            _positive(term.over(km, vmax) / k if k else np.nan, term.typical(S, inhibitor))
            for term, k in zip(terms, more, strict=True)
        ]
        return [vmax, km, *constants(found)]

    return lambda X, Y: np.array([one(X, v) for v in Y])


def _excess(S: Any, vmax: Any, km: Any, ki: Any) -> Any:
    return vmax * S / (km + S * (1 + S / ki))


def _excess_gradient(S: Any, vmax: Any, km: Any, ki: Any) -> list[Any]:
    denominator = km + S * (1 + S / ki)
    share = vmax * S / denominator**2
    return [S / denominator, -share, share * S * S / ki**2]


def _noncompetitive_gradient(X: Any, vmax: Any, km: Any, ki: Any) -> list[Any]:
    a, b, c, d = _gradient(X, vmax, km, ki, ki)
    return [a, b, c + d]


_RATE = "vmax S / "
_LAWS = [
    Curve(lambda S, vmax, km: vmax * S / (km + S), ("vmax", "km"),
          lambda S, vmax, km: [S / (km + S), -vmax * S / (km + S) ** 2], _guess(),
          name="michaelis_menten", formula=f"{_RATE}(km + S)", n_columns=1, least_x=0.0),
    Curve(lambda X, vmax, km, ki: _rate(X, vmax, km, ki, np.inf)[0], ("vmax", "km", "ki"),
          lambda X, vmax, km, ki: _gradient(X, vmax, km, ki, np.inf)[:3], _guess(_FREE),
          name="competitive", formula=f"{_RATE}(km (1 + I/ki) + S)", n_columns=2, least_x=0.0),
    Curve(lambda X, vmax, km, ki: _rate(X, vmax, km, np.inf, ki)[0], ("vmax", "km", "ki"),
          lambda X, vmax, km, ki: [_gradient(X, vmax, km, np.inf, ki)[k] for k in (0, 1, 3)],
          _guess(_BOUND),
          name="uncompetitive", formula=f"{_RATE}(km + S (1 + I/ki))", n_columns=2, least_x=0.0),
    Curve(lambda X, vmax, km, ki: _rate(X, vmax, km, ki, ki)[0], ("vmax", "km", "ki"),
          _noncompetitive_gradient, _guess(_FREE, _BOUND, constants=_geometric_mean),
          name="noncompetitive", formula=f"{_RATE}((km + S) (1 + I/ki))", n_columns=2, least_x=0.0),
    Curve(lambda X, vmax, km, kic, kiu: _rate(X, vmax, km, kic, kiu)[0], ("vmax", "km", "kic", "kiu"),
          _gradient, _guess(_FREE, _BOUND),
          name="mixed", formula=f"{_RATE}(km (1 + I/kic) + S (1 + I/kiu))", n_columns=2, least_x=0.0,
          special_cases=("competitive", "uncompetitive", "noncompetitive")),
    Curve(_excess, ("vmax", "km", "ki"), _excess_gradient, _guess(_EXCESS),
          name="substrate_inhibition", formula=f"{_RATE}(km + S (1 + S/ki))", n_columns=1, least_x=0.0,
          special_cases=("michaelis_menten",)),
]  # fmt: skip
MECHANISMS: dict[str, Curve] = {law.name: law for law in _LAWS}
"""Rate laws by name."""


def mechanism(name: str) -> Curve:
    """A rate law by its name.

    >>> mechanism("competitive").names
    ('vmax', 'km', 'ki')
    >>> mechanism("competetive")
    Traceback (most recent call last):
    ValueError: there is no mechanism 'competetive': did you mean 'competitive'? There are competitive, ...
    """
    wanted = name.lower().replace("-", "").replace(" ", "_")
    if wanted == "noncompetitive" or wanted in MECHANISMS:
        return MECHANISMS[wanted]
    near = difflib.get_close_matches(wanted, MECHANISMS, n=1, cutoff=0.5)
    asked = f": did you mean {near[0]!r}?" if near else ":"
    raise ValueError(f"there is no mechanism {name!r}{asked} There are {', '.join(sorted(MECHANISMS))}")
