"""The samples of all groups of a problem as they are now: places and weights, and how they are renewed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from marquardt.apps.pinn.field_model import FieldModel
from marquardt.apps.pinn.groups import Group
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.sampling import ResidualAdaptive
from marquardt.apps.pinn.weighting import Fixed, GroupState, Weighting
from marquardt.jax_models import ResidualGroup, double_precision

EVEN = 0.9
"""Least over largest weight within a group."""


@dataclass(frozen=True)
class GroupResidual:
    """A group's residuals as a function of parameters and a sample; equal ones share compiled code."""

    group: Group
    model: FieldModel

    def __call__(self, params: Any, x: Any) -> jax.Array:
        return self.group.residual(self.model, params, x)


@lru_cache(maxsize=64)
def _at_all(residual: GroupResidual) -> Any:
    return jax.jit(jax.vmap(residual, in_axes=(None, 0)))


@lru_cache(maxsize=64)
def _row_sqnorms(residual: GroupResidual) -> Any:
    def one(params: Any, x: Any) -> jax.Array:
        rows = jax.jacrev(residual)(params, x)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(rows))  # type: ignore[return-value]

    return jax.jit(jax.vmap(one, in_axes=(None, 0)))


class Samples:
    """Draws the groups of a problem for `fit_groups`.

    Parameters
    ----------
    pde : PDE
    model : FieldModel
    weighting : Weighting
    redraw : bool
        Whether a renewal places the points anew; else it renews the weights only.
    seed : int
    """

    def __init__(
        self,
        pde: PDE,
        model: FieldModel,
        weighting: Weighting | None = None,
        redraw: bool = False,
        seed: int = 0,
    ) -> None:
        self.pde, self.model, self.weighting = pde, model, weighting or Fixed()
        self.redraw, self.seed = redraw, seed
        self.is_even = True
        """Whether the weights within each group are all about the same; with causal ones, in the end."""
        self.residuals = {name: GroupResidual(group, model) for name, group in pde.named_groups.items()}
        rng = np.random.default_rng(seed)
        self.places = {name: group.place(pde.box, rng) for name, group in pde.named_groups.items()}

    def groups(self, count: int, params: Any) -> dict[str, ResidualGroup]:
        """The groups from the count-th accepted step on."""
        if count > 0 and self.redraw:
            rng = np.random.default_rng([self.seed, count])
            self.places = {
                name: self._placed(name, group, params, rng) for name, group in self.pde.named_groups.items()
            }
        weights = self.weighting.weights(
            {name: self._state(name, params) for name in self.places}, self.pde.box
        )
        self.is_even = all(own.min() > EVEN * own.max() for own in weights.values())
        return {
            name: ResidualGroup(self.residuals[name], place, weights[name] / len(weights[name]))
            for name, place in self.places.items()
        }

    def fixed_groups(self) -> dict[str, ResidualGroup]:
        """The groups at the first places, with the weights that the user gave."""
        return {
            name: ResidualGroup(
                self.residuals[name], place, self.pde.named_groups[name].weight / _count(place)
            )
            for name, place in self.places.items()
        }

    def residual(self, name: str, params: Any, places: Any | None = None) -> NDArray[np.float64]:
        """r (n, k) of a group, at its places by default."""
        with double_precision():
            chosen = self.places[name] if places is None else places
            return np.asarray(_at_all(self.residuals[name])(params, chosen))

    def undefined(self, params: Any) -> str:
        """Where the residuals, or their derivatives by the parameters, are not finite, in words; empty where
        all are."""
        for name, place in self.places.items():
            points = place[0] if isinstance(place, tuple) else place
            finite, what = np.isfinite(self.residual(name, params)).all(axis=1), "NaN or infinite"
            if finite.all():
                with double_precision():
                    finite = np.isfinite(np.asarray(_row_sqnorms(self.residuals[name])(params, place)))
                what = "without a finite derivative by the network"
            if not finite.all():
                first = points[int(np.argmin(finite))]
                where = ", ".join(f"{x} = {v:.6g}" for x, v in zip(self.pde.box.names, first, strict=True))
                return (
                    f"the equation of group {name!r} is {what} at {int((~finite).sum())} of "
                    f"{finite.size} points before any step, the first of them {where}: is a root, a "
                    "logarithm or a quotient undefined there?  Write it so that it is defined everywhere, "
                    "jnp.where around the argument too, or leave such points out"
                )
        return ""

    def _placed(self, name: str, group: Group, params: Any, rng: np.random.Generator) -> Any:
        sampling = getattr(group, "sampling", None)
        if not isinstance(sampling, ResidualAdaptive):
            return group.place(self.pde.box, rng)
        n = _count(self.places[name])
        candidates = np.concatenate([group.place(self.pde.box, rng) for _ in range(sampling.factor)])
        sizes = np.linalg.norm(self.residual(name, params, candidates), axis=1)
        return candidates[sampling.chosen(sizes, n, rng)]

    def _state(self, name: str, params: Any) -> GroupState:
        place = self.places[name]
        points = place[0] if isinstance(place, tuple) else place
        weight, needs = self.pde.named_groups[name].weight, self.weighting.needs
        residuals = self.residual(name, params) if "residuals" in needs else None
        rows = None
        if "rows" in needs:
            with double_precision():
                rows = np.asarray(_row_sqnorms(self.residuals[name])(params, place))
        return GroupState(weight, points, residuals, rows)


def _count(place: Any) -> int:
    return len(place[0] if isinstance(place, tuple) else place)
