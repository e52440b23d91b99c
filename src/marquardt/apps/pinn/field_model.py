"""Fields as functions of parameters and of a point: the network, and the conditions built into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.network import FieldNetwork
from marquardt.apps.pinn.point import Point

Hard = Callable[[Point, jax.Array], Any]
"""(coordinates, outputs of the network (m,)) -> fields (m,), with conditions that hold by construction."""


@dataclass(frozen=True)
class FieldModel:
    """How fields come from parameters ``{"network": …, "unknowns": {…}}``."""

    box: Box
    fields: tuple[str, ...]
    network: FieldNetwork
    hard: Hard | None = None

    def start(self, unknowns: Mapping[str, float], rng: np.random.Generator) -> dict[str, Any]:
        """Parameters to start from."""
        network = self.network.start(self.box, len(self.fields), rng)
        return {"network": network, "unknowns": {name: float(value) for name, value in unknowns.items()}}

    def value(self, params: Any, x: jax.Array) -> jax.Array:
        """All fields (m,) at x (d,)."""
        outputs = self.network.value(params["network"], x, self.box)
        if self.hard is None:
            return outputs
        place = Point(lambda x: x, self.box.names, (), x)
        fields = jnp.atleast_1d(jnp.asarray(self.hard(place, outputs)))
        if fields.shape != (len(self.fields),):
            raise ValueError(
                f"hard returns shape {fields.shape} for {len(self.fields)} fields: return one value a field"
            )
        return fields

    def at(self, params: Any, x: jax.Array) -> Point:
        """The point x, as an equation sees it."""
        return Point(lambda x: self.value(params, x), self.box.names, self.fields, x, params["unknowns"])
