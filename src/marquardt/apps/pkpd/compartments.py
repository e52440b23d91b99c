r"""One and two compartments in closed form, in NumPy and JAX alike.

After a unit bolus the concentration is a sum of exponentials, Σ A_i exp(−λ_i t).  One compartment: A = 1/V,
λ = CL/V.  Two, with k₁₀ = CL/V₁, k₁₂ = Q/V₁, k₂₁ = Q/V₂:

    α, β = ½ (k₁₀ + k₁₂ + k₂₁ ± √((k₁₀ + k₁₂ + k₂₁)² − 4 k₁₀ k₂₁)),
    A = (α − k₂₁)/(V₁ (α − β)),   B = (k₂₁ − β)/(V₁ (α − β)).

Everything else is the integral of that over the input, and the sum over doses (M. Gibaldi, D. Perrier,
"Pharmacokinetics", 2nd ed. 1982).  With φ(x) = (1 − e⁻ˣ)/x, which is smooth at 0,

    infusion over T, at τ after its begin, u = min(τ, T):   Σ A_i (dose/T) u φ(λ_i u) exp(−λ_i (τ − u))
    oral, at τ after the lag:                               Σ A_i dose F k_a τ φ((k_a − λ_i) τ) exp(−λ_i τ)

so that k_a = λ_i is no special case, and neither is CL = 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pkpd.regimen import Dosing, Regimen

ABSORPTION = ("ka", "tlag", "f")
"""Rate of absorption, lag time, bioavailability."""
SERIES = 0.5
"""Below it φ comes from its series: 14 terms have an error of 1e-17 there, in every derivative."""


def array_library(*values: Any) -> Any:
    """`jax.numpy` if any of the values is JAX's, else `numpy`."""
    if any(type(value).__module__.split(".")[0] in ("jax", "jaxlib") for value in values):
        import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

        return jnp
    return np


def _phi_above(x: Any, np_: Any) -> Any:
    """φ(x) = (1 − e⁻ˣ)/x for x ≥ 0."""
    near = x < SERIES
    small, large = np_.where(near, x, 0.0), np_.where(near, 1.0, x)
    series = 1.0
    for k in range(14, 0, -1):  # Σ (−x)ᵏ/(k + 1)!
        series = 1.0 - small / (k + 1) * series
    return np_.where(near, series, -np_.expm1(-large) / large)


def lagging(tau: Any, rate: Any, other: Any, np_: Any) -> Any:
    """∫₀^τ exp(−rate s) exp(−other (τ − s)) ds = τ φ((rate − other) τ) exp(−other τ), symmetric in the rates.

    >>> lagging(2.0, 0.5, 0.5, np).round(6) == np.round(2 * np.exp(-1.0), 6)
    np.True_
    """
    x = (rate - other) * tau
    # whichever rate is smaller decays outside, so that nothing overflows
    faster = x >= 0
    phi = _phi_above(np_.where(faster, x, -x), np_)
    return tau * phi * np_.exp(-np_.where(faster, other, rate) * tau)


def _one(p: Mapping[str, Any], np_: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    del np_
    return (1.0 / p["v"],), (p["cl"] / p["v"],)


def _two(p: Mapping[str, Any], np_: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    k10, k12, k21 = p["cl"] / p["v1"], p["q"] / p["v1"], p["q"] / p["v2"]
    # (k₁₀ + k₁₂ + k₂₁)² − 4 k₁₀ k₂₁ as a sum of positive terms
    root = np_.sqrt((k10 + k12 - k21) ** 2 + 4 * k12 * k21)
    alpha = 0.5 * (k10 + k12 + k21 + root)
    beta = k10 * k21 / alpha  # not by a difference
    fast = 0.5 * (1 + (k10 + k12 - k21) / root)  # (α − k₂₁)/(α − β)
    return (fast / p["v1"], (1 - fast) / p["v1"]), (alpha, beta)


@dataclass(frozen=True)
class CompartmentModel:
    """Concentration after doses, in closed form.

    Parameters
    ----------
    name : str
    parameters : tuple of str
        Of the disposition, and of absorption those of `ABSORPTION` that are wanted; without "tlag" there is
        no lag, without "f" all is absorbed.
    disposition : callable
        (params, array library) -> coefficients and rates of the exponentials after a unit bolus.
    outputs : tuple of str
        The name of the concentration.
    """

    name: str
    parameters: tuple[str, ...]
    disposition: Callable[..., Any] = field(repr=False)
    outputs: tuple[str, ...] = ("conc",)

    def predict(self, params: Mapping[str, Any], dosing: Dosing, times: Any) -> Any:
        """Concentrations at `times` (n,) -> (n, 1); at the very time of a dose the dose has been given.

        In JAX if anything of it is JAX's, else in NumPy.
        """
        np_ = array_library(*params.values(), *dosing, times)
        amount, begin, duration, oral = (np_.asarray(part) for part in dosing)
        lag = params.get("tlag", 0.0)
        since = np_.asarray(times)[:, None] - begin - np_.where(oral > 0, lag, 0.0)  # (n, d)
        tau = np_.maximum(since, 0.0)
        slow = duration > 0
        length = np_.where(slow, duration, 1.0)
        u = np_.minimum(tau, length)  # so long it has run
        ka = params.get("ka", 1.0)
        coefficients, rates = self.disposition(params, np_)
        answer = 0.0
        for A, rate in zip(coefficients, rates, strict=True):
            bolus = np_.exp(-rate * tau)
            infused = lagging(u, rate, 0.0, np_) / length * np_.exp(-rate * (tau - u))
            absorbed = params.get("f", 1.0) * ka * lagging(tau, ka, rate, np_)
            answer = answer + A * np_.where(oral > 0, absorbed, np_.where(slow, infused, bolus))
        return np_.where(since >= 0, amount * answer, 0.0).sum(axis=1)[:, None]

    def check(self, regimen: Regimen) -> None:
        """ValueError for a regimen that this model cannot take."""
        if regimen.has_oral and "ka" not in self.parameters:
            raise ValueError(
                f"{regimen} has oral doses, but {self.name} has no absorption: take {self.name}('ka'), "
                "or give boluses"
            )

    def concentration(self, params: Mapping[str, float], regimen: Regimen, times: ArrayLike) -> np.ndarray:
        """After a regimen, at `times` (n,) -> (n,), in NumPy."""
        self.check(regimen)
        missing = [name for name in self.parameters if name not in params]
        if missing:
            raise ValueError(f"params lacks {missing[0]!r}: give all of {', '.join(self.parameters)}")
        t = np.atleast_1d(np.asarray(times, dtype=float))
        with np.errstate(all="ignore"):
            return self.predict(params, regimen.dosing(), t)[:, 0]


def _with_absorption(
    name: str, own: tuple[str, ...], disposition: Callable[..., Any], absorption: tuple[str, ...]
) -> CompartmentModel:
    for part in absorption:
        if part not in ABSORPTION:
            near = difflib.get_close_matches(part, ABSORPTION, n=1)
            asked = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"{part!r} is no part of absorption: {asked}there are {', '.join(ABSORPTION)}")
    if absorption and "ka" not in absorption:
        raise ValueError(f"{name}{absorption!r}: absorption needs a rate, 'ka', first of all")
    return CompartmentModel(name, (*absorption, *own), disposition)


def one_compartment(*absorption: str) -> CompartmentModel:
    """cl, v; and of `ABSORPTION` what is named.

    Examples
    --------
    >>> model = one_compartment("ka", "tlag")
    >>> model.parameters
    ('ka', 'tlag', 'cl', 'v')
    >>> theta = {"ka": 1.0, "tlag": 0.5, "cl": 2.0, "v": 10.0}
    >>> model.concentration(theta, Regimen.oral(100.0), [0.0, 1.0, 4.0]).round(4)
    array([0.    , 3.7288, 5.8298])
    """
    return _with_absorption("one_compartment", ("cl", "v"), _one, absorption)


def two_compartments(*absorption: str) -> CompartmentModel:
    """cl, v1, q, v2; and of `ABSORPTION` what is named.

    Examples
    --------
    >>> theta = {"cl": 2.0, "v1": 10.0, "q": 1.0, "v2": 20.0}
    >>> two_compartments().concentration(theta, Regimen.infusion(100.0, 2.0), [1.0, 2.0, 8.0]).round(4)
    array([4.3232, 7.5441, 1.5427])
    """
    return _with_absorption("two_compartments", ("cl", "v1", "q", "v2"), _two, absorption)
