r"""Target-mediated drug disposition: the drug binds a target that is made, lost, and taken along.

In full (D. E. Mager, W. J. Jusko, J. Pharmacokinet. Pharmacodyn. 28:507, 2001), all as concentrations:

    dC/dt = in/V − (CL/V) C − k_on (C R − K_D P)
    dR/dt = k_deg (R₀ − R)  − k_on (C R − K_D P)
    dP/dt = k_on (C R − K_D P) − k_int P

Binding that is fast beside all else leaves C_tot = C + P and R_tot = R + P (quasi-steady state; L. Gibiansky,
E. Gibiansky et al., J. Pharmacokinet. Pharmacodyn. 35:573, 2008), with K_ss = K_D + k_int/k_on:

    dC_tot/dt = in/V − (CL/V) C − k_int P,      P = R_tot C/(K_ss + C),
    dR_tot/dt = k_deg (R₀ − R_tot) − (k_int − k_deg) P,
    C = ½ (b + √(b² + 4 K_ss C_tot)),           b = C_tot − R_tot − K_ss.

When there is drug in plenty beside the target, it becomes Michaelis and Menten:

    dC/dt = in/V − (CL/V) C − V_max C/(K_m + C).
"""

from __future__ import annotations

from typing import Any

from marquardt.apps.pkpd.ode import Integration, OdeModel, nonstiff, stiff

import jax.numpy as jnp  # isort: skip  # pyright: ignore[reportMissingImports]

OUTPUTS = ("free_drug", "total_drug", "free_target", "total_target")
MORE = ("ka", "tlag", "f", "q", "v2")
"""Absorption from a depot, under the skin as a rule: its rate, lag time and bioavailability; and a second
compartment."""


def _supply(y: Any, p: Any, free: Any) -> tuple[Any, Any, Any]:
    """Slopes of depot and second compartment (amounts), and the inflow of the concentration without doses."""
    absorbed = p.get("ka", 0.0) * y[0]
    away = p["q"] * (free - y[1] / p["v2"]) if "q" in p else 0.0 * y[1]
    return -absorbed, away, (absorbed - away - p["cl"] * free) / p["v"]


def _full(t: Any, y: Any, p: Any) -> Any:
    del t
    drug, target, bound = y[2], y[3], y[4]
    depot, second, inflow = _supply(y, p, drug)
    binding = p["kon"] * (drug * target - p["kd"] * bound)
    return jnp.stack(
        [
            depot,
            second,
            inflow - binding,
            p["kdeg"] * (p["r0"] - target) - binding,
            binding - p["kint"] * bound,
        ]
    )


def _full_outputs(y: Any, p: Any) -> Any:
    del p
    return jnp.stack([y[2], y[2] + y[4], y[3], y[3] + y[4]])


def _free(total_drug: Any, total_target: Any, kss: Any) -> Any:
    """C of C_tot and R_tot, without cancellation."""
    b = total_drug - total_target - kss
    # ½ (b + √(b² + 4 K C)) = 2 K C / (√(…) − b) for b < 0
    root = jnp.sqrt(b * b + 4 * kss * jnp.maximum(total_drug, 0.0) + 1e-300)
    negative = b < 0
    return jnp.where(negative, 2 * kss * total_drug / jnp.where(negative, root - b, 1.0), 0.5 * (b + root))


def _quasi_steady(t: Any, y: Any, p: Any) -> Any:
    del t
    free = _free(y[2], y[3], p["kss"])
    depot, second, inflow = _supply(y, p, free)
    bound = y[3] * free / (p["kss"] + free)
    return jnp.stack(
        [
            depot,
            second,
            inflow - p["kint"] * bound,
            p["kdeg"] * (p["r0"] - y[3]) - (p["kint"] - p["kdeg"]) * bound,
        ]
    )


def _quasi_steady_outputs(y: Any, p: Any) -> Any:
    free = _free(y[2], y[3], p["kss"])
    return jnp.stack([free, y[2], y[3] * p["kss"] / (p["kss"] + free), y[3]])


def _menten(t: Any, y: Any, p: Any) -> Any:
    del t
    depot, second, inflow = _supply(y, p, y[2])
    return jnp.stack([depot, second, inflow - p["vmax"] * y[2] / (p["km"] + y[2])])


def _menten_outputs(y: Any, p: Any) -> Any:
    del p
    return y[2:3]


def _full_start(p: Any) -> Any:
    return jnp.stack([jnp.asarray(part, dtype=float) for part in (0.0, 0.0, 0.0, p["r0"], 0.0)])


def _quasi_steady_start(p: Any) -> Any:
    return jnp.stack([jnp.asarray(part, dtype=float) for part in (0.0, 0.0, 0.0, p["r0"])])


def _disposition(more: tuple[str, ...]) -> dict[str, Any]:
    """What all three forms have in common."""
    unknown = [name for name in more if name not in MORE]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no part of the disposition: there are {', '.join(MORE)}")
    if ("q" in more) != ("v2" in more):
        raise ValueError(f"{more!r}: a second compartment has both 'q' and 'v2'")
    if "ka" not in more and ("tlag" in more or "f" in more):
        raise ValueError(
            f"{more!r}: a lag time and a bioavailability need a rate of absorption, 'ka', first of all"
        )
    return {
        "central": "drug",
        "volume": "v",
        "depot": "depot" if "ka" in more else None,
        "lag": "tlag" if "tlag" in more else None,
        "bioavailability": "f" if "f" in more else None,
    }


def tmdd(*more: str, integration: Integration | None = None) -> OdeModel:
    """The full model: cl, v, kon, kd, kint, kdeg, r0; and of `MORE` what is named.

    Outputs are the concentrations of free and total drug, free and total target.

    Examples
    --------
    >>> from marquardt.apps.pkpd import Regimen
    >>> model = tmdd()
    >>> theta = {"cl": 0.2, "v": 3.0, "kon": 1.0, "kd": 0.5, "kint": 0.1, "kdeg": 0.3, "r0": 10.0}
    >>> course = model.solve(theta, Regimen.bolus(300.0), [0.0, 1.0, 24.0])
    >>> course.outputs["free_target"].round(3)
    array([10.   ,  0.108,  8.584])
    """
    return OdeModel(
        _full,
        ("depot", "second", "drug", "target", "complex"),
        (*more, "cl", "v", "kon", "kd", "kint", "kdeg", "r0"),
        OUTPUTS,
        _full_outputs,
        initial=_full_start,
        integration=integration or stiff(),
        **_disposition(more),
    )


def tmdd_quasi_steady(*more: str, integration: Integration | None = None) -> OdeModel:
    """With binding in quasi-steady state: cl, v, kss, kint, kdeg, r0; and of `MORE` what is named."""
    return OdeModel(
        _quasi_steady,
        ("depot", "second", "drug", "target"),
        (*more, "cl", "v", "kss", "kint", "kdeg", "r0"),
        OUTPUTS,
        _quasi_steady_outputs,
        initial=_quasi_steady_start,
        integration=integration or nonstiff(),
        **_disposition(more),
    )


def michaelis_menten_elimination(*more: str, integration: Integration | None = None) -> OdeModel:
    """Linear and saturable elimination side by side: cl, v, vmax, km; and of `MORE` what is named."""
    return OdeModel(
        _menten,
        ("depot", "second", "drug"),
        (*more, "cl", "v", "vmax", "km"),
        ("conc",),
        _menten_outputs,
        integration=integration or nonstiff(),
        **_disposition(more),
    )
