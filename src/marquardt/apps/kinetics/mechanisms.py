r"""Rate laws of one substrate and one inhibitor, as curves.

    v = Vmax S / (Km (1 + I/Kic) + S (1 + I/Kiu))

competitive: Kiu = ∞; uncompetitive: Kic = ∞; non-competitive: Kic = Kiu; mixed: both free.  An excess of
substrate that inhibits has the term S²/Ki in the denominator.  (Cornish-Bowden 2012, chapters 7 and 6.)  x
has the columns S and I, or S alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from marquardt.apps.kinetics.linearization import hanes_plane
from marquardt.curves import Curve

Array = np.ndarray


def _substrate(X: Any) -> tuple[Any, Any]:
    return (X, 0.0) if np.ndim(X) == 1 else (X[:, 0], X[:, 1])


def _rate(X: Any, vmax: Any, km: Any, kic: Any, kiu: Any) -> tuple[Any, Any, Any, Any]:
    """v, and v/denominator with the factors of Km and S in it."""
    S, I = _substrate(X)  # noqa: E741 (the field's letter)
    competitive, uncompetitive = 1 + I / kic, 1 + I / kiu
    denominator = km * competitive + S * uncompetitive
    v = vmax * S / denominator
    return v, v / denominator, competitive, uncompetitive


def _gradient(X: Any, vmax: Any, km: Any, kic: Any, kiu: Any) -> tuple[Any, Any, Any, Any]:
    """∂v/∂ vmax, km, kic, kiu."""
    S, I = _substrate(X)  # noqa: E741
    v, share, competitive, _ = _rate(X, vmax, km, kic, kiu)
    return v / vmax, -share * competitive, share * km * I / kic**2, share * S * I / kiu**2


def _positive(value: float, instead: float) -> float:
    return value if np.isfinite(value) and value > 0 else instead


def _guess(kind: str) -> Callable[[Array, Array], Array]:
    """Starts by Hanes' plane S/v = (Km + S + Km I/Kic + S I/Kiu + S²/Ki) / Vmax."""

    def one(X: Array, v: Array) -> list[float]:
        S, I = _substrate(X)  # noqa: E741
        I = I + 0.0 * S  # noqa: E741
        terms = {
            "michaelis_menten": [], "competitive": [I], "uncompetitive": [S * I],
            "noncompetitive": [I, S * I], "mixed": [I, S * I], "substrate_inhibition": [S * S],
        }[kind]  # fmt: skip
        c = hanes_plane([np.ones_like(S), S, *terms], S, v)
        level, slope, *more = np.zeros(2 + len(terms)) if c is None else c
        vmax = _positive(1 / slope if slope else np.nan, 1.2 * float(np.abs(v).max()) or 1.0)
        km = _positive(level * vmax, float(np.median(S[S > 0])) if (S > 0).any() else 1.0)
        typical = float(np.median(I[I > 0])) if (I > 0).any() else 1.0
        # coefficients of I: Km/(Vmax Kic); of S·I: 1/(Vmax Kiu); of S²: 1/(Vmax Ki)
        ratios = [np.divide(km if term is I else 1.0, vmax * k) if k else np.nan
                  for term, k in zip(terms, more, strict=True)]  # fmt: skip
        constants = [
            _positive(r, typical if kind != "substrate_inhibition" else float(S.max())) for r in ratios
        ]
        if kind == "noncompetitive":
            constants = [float(np.sqrt(constants[0] * constants[1]))]
        return [vmax, km, *constants]

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
          lambda S, vmax, km: [S / (km + S), -vmax * S / (km + S) ** 2], _guess("michaelis_menten"),
          name="michaelis_menten", formula=f"{_RATE}(km + S)", n_columns=1, least_x=0.0),
    Curve(lambda X, vmax, km, ki: _rate(X, vmax, km, ki, np.inf)[0], ("vmax", "km", "ki"),
          lambda X, vmax, km, ki: _gradient(X, vmax, km, ki, np.inf)[:3], _guess("competitive"),
          name="competitive", formula=f"{_RATE}(km (1 + I/ki) + S)", n_columns=2, least_x=0.0),
    Curve(lambda X, vmax, km, ki: _rate(X, vmax, km, np.inf, ki)[0], ("vmax", "km", "ki"),
          lambda X, vmax, km, ki: [_gradient(X, vmax, km, np.inf, ki)[k] for k in (0, 1, 3)],
          _guess("uncompetitive"),
          name="uncompetitive", formula=f"{_RATE}(km + S (1 + I/ki))", n_columns=2, least_x=0.0),
    Curve(lambda X, vmax, km, ki: _rate(X, vmax, km, ki, ki)[0], ("vmax", "km", "ki"),
          _noncompetitive_gradient, _guess("noncompetitive"),
          name="noncompetitive", formula=f"{_RATE}((km + S) (1 + I/ki))", n_columns=2, least_x=0.0),
    Curve(lambda X, vmax, km, kic, kiu: _rate(X, vmax, km, kic, kiu)[0], ("vmax", "km", "kic", "kiu"),
          _gradient, _guess("mixed"),
          name="mixed", formula=f"{_RATE}(km (1 + I/kic) + S (1 + I/kiu))", n_columns=2, least_x=0.0,
          special_cases=("competitive", "uncompetitive", "noncompetitive")),
    Curve(_excess, ("vmax", "km", "ki"), _excess_gradient, _guess("substrate_inhibition"),
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
