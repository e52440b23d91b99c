"""Networks for fields: coordinates in, fields out, with the scales of the domain built in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from marquardt.apps.pinn.domain import Box

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "gelu": jax.nn.gelu,
    "swish": jax.nn.swish,
    "softplus": jax.nn.softplus,
}
"""Smooth ones only: a ReLU has no second derivative for an equation to act on."""


class FieldNetwork(Protocol):
    """The contract of a network for fields.  Hashable; equal ones share compiled code."""

    def start(self, box: Box, n_fields: int, rng: np.random.Generator) -> Any:
        """Parameters, a tree of float arrays."""
        ...

    def value(self, params: Any, x: jax.Array, box: Box) -> jax.Array:
        """All fields (m,) at x (d,)."""
        ...


@dataclass(frozen=True)
class Dense:
    """Fully connected layers on coordinates scaled to [−1, 1], the last one linear.

    Parameters
    ----------
    hidden : tuple of int
    activation : str
        tanh, sin, gelu, swish or softplus.
    periodic : tuple of str
        Coordinates whose ends are the same point: they enter as cos and sin of their angle, so that the
        fields are periodic, with all derivatives, by construction.
    first_scale : float
        Of the weights of the first layer; larger for solutions that oscillate.

    Notes
    -----
    Weights by Glorot and Bengio, biases uniform in ±½.

    Examples
    --------
    >>> network = Dense((8,), periodic=("x",))
    >>> box = Box.of(x=(0, 2), t=(0, 1))
    >>> params = network.start(box, 1, np.random.default_rng(0))
    >>> [layer["weight"].shape for layer in params]
    [(8, 3), (1, 8)]
    """

    hidden: tuple[int, ...] = (32, 32)
    activation: str = "tanh"
    periodic: tuple[str, ...] = ()
    first_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "periodic", tuple(self.periodic))
        if not self.hidden or not all(isinstance(width, int) and width > 0 for width in self.hidden):
            raise ValueError(f"hidden={self.hidden!r} must hold widths >= 1, one for each hidden layer")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r} must be one of {', '.join(ACTIVATIONS)}")

    def start(self, box: Box, n_fields: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        n_inputs = box.dimension + len([self._axis(box, name) for name in self.periodic])
        sizes = [n_inputs, *self.hidden, n_fields]
        layers = []
        for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            limit = np.sqrt(6.0 / (fan_in + fan_out)) * (self.first_scale if index == 0 else 1.0)
            last = index == len(self.hidden)
            layers.append(
                {
                    "weight": rng.uniform(-limit, limit, (fan_out, fan_in)),
                    "bias": np.zeros(fan_out) if last else rng.uniform(-0.5, 0.5, fan_out),
                }
            )
        return layers

    def value(self, params: Any, x: jax.Array, box: Box) -> jax.Array:
        activate, signal = ACTIVATIONS[self.activation], self._inputs(x, box)
        for layer in params[:-1]:
            signal = activate(layer["weight"] @ signal + layer["bias"])
        return params[-1]["weight"] @ signal + params[-1]["bias"]

    def _inputs(self, x: jax.Array, box: Box) -> jax.Array:
        centered = 2.0 * (x - box.lower) / (box.upper - box.lower) - 1.0
        if not self.periodic:
            return centered
        turning = jnp.array([self._axis(box, name) for name in self.periodic])
        others = jnp.array(
            [axis for axis, name in enumerate(box.names) if name not in self.periodic], dtype=int
        )
        angle = jnp.pi * centered[turning]
        return jnp.concatenate([jnp.cos(angle), jnp.sin(angle), centered[others]])

    def _axis(self, box: Box, name: str) -> int:
        return box.axis(name)
