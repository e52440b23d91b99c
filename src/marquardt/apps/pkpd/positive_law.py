"""An unknown positive law as a small network, and a compartment that has it inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

try:
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
except ImportError as _error:
    raise ImportError(
        "hybrid models need JAX and diffrax, which are not installed: pip install 'marquardt[pkpd]'"
    ) from _error

import numpy as np

from marquardt.apps.pkpd.ode import OdeModel, fast_nonstiff

NETWORK = "law"
"""The name of the network among the parameters."""


@dataclass(frozen=True)
class PositiveLaw:
    """log of a positive quantity by a network of one hidden layer, of the logarithm of a concentration.

    Parameters
    ----------
    low, high : float
        The concentrations between which the law may bend: those of the data.  Below `low` the law becomes
        constant, as every law of elimination does for a small concentration.
    units : int

    Examples
    --------
    >>> law = PositiveLaw(0.1, 10.0, units=3)
    >>> flat = law.start(0.5, bent=0.0)
    >>> from marquardt.jax_models import double_precision
    >>> with double_precision():
    ...     law.value(flat, jnp.array([0.0, 5.0])).round(6).tolist()
    [0.5, 0.5]
    """

    low: float
    high: float
    units: int = 6

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and 0 < self.low < self.high):
            raise ValueError(f"low={self.low!r} and high={self.high!r} must be 0 < low < high")
        if self.units < 1:
            raise ValueError(f"units={self.units!r} must be at least 1")

    def start(self, value: float, random_state: int = 0, bent: float = 0.1) -> dict[str, np.ndarray]:
        """Weights of a law near the constant `value`, its units spread over the range."""
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"value={value!r} must be above 0")
        rng = np.random.default_rng(random_state)
        middle = np.linspace(-0.8, 0.8, self.units) if self.units > 1 else np.zeros(1)
        bend = rng.uniform(1.0, 2.5, self.units) * rng.choice([-1.0, 1.0], self.units)
        return {
            "bend": bend,
            "place": -bend * (middle + 0.1 * rng.standard_normal(self.units)),
            "height": bent * rng.standard_normal(self.units),
            "level": np.array(np.log(value)),
        }

    def logarithm(self, weights: Mapping[str, Any], concentration: Any) -> Any:
        """log of the law, in JAX, any shape."""
        c = jnp.maximum(jnp.asarray(concentration), 0.0)
        x = 2 * jnp.log1p(c / self.low) / np.log1p(self.high / self.low) - 1  # 0 to 1, then -1 to 1
        hidden = jnp.tanh(x[..., None] * weights["bend"] + weights["place"])
        return weights["level"] + hidden @ weights["height"]

    def slopes(self, weights: Mapping[str, Any], concentration: np.ndarray) -> dict[str, np.ndarray]:
        """Derivatives of the logarithm by the weights, in NumPy: (n, units), and (n, 1) for the level."""
        bend, place, height = (np.asarray(weights[name], dtype=float) for name in ("bend", "place", "height"))
        x = 2 * np.log1p(concentration / self.low) / np.log1p(self.high / self.low) - 1
        hidden = np.tanh(x[:, None] * bend + place)
        inner = height * (1 - hidden**2)
        return {
            "bend": inner * x[:, None],
            "place": inner,
            "height": hidden,
            "level": np.ones((len(x), 1)),
        }

    def value(self, weights: Mapping[str, Any], concentration: Any) -> Any:
        """The law, in JAX."""
        return jnp.exp(self.logarithm(weights, concentration))


@dataclass(frozen=True)
class UnknownElimination:
    """dC/dt = −k(C) C, as a right-hand side for `OdeModel`."""

    law: PositiveLaw

    def __call__(self, t: Any, y: Any, params: Mapping[str, Any]) -> Any:
        del t
        return -self.law.value(params[NETWORK], y) * y


def _concentration(y: Any, params: Mapping[str, Any]) -> Any:
    del params
    return y


def unknown_elimination(law: PositiveLaw) -> OdeModel:
    """One compartment with doses and volume as ever, and `law` for its rate constant of elimination."""
    return OdeModel(
        UnknownElimination(law),
        ("concentration",),
        ("volume", NETWORK),
        ("conc",),
        _concentration,
        central="concentration",
        volume="volume",
        integration=fast_nonstiff(),
    )
