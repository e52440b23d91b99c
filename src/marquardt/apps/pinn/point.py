"""The point at which an equation is written: coordinates, fields, their derivatives, unknown coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.jet import jet

Field = Callable[[jax.Array], jax.Array]
"""x (d,) -> all fields at x (m,)."""

TAYLOR_ORDER = 6
"""Orders of one coordinate from here on come by Taylor mode, lower ones by forward over forward mode, where
the compiler finds what the nested passes share.  `benchmarks/pinn_derivatives.py`: at order 2 forward mode
takes 0.4 of Taylor's time, at order 6 0.8, at order 8 2.7; from 6 on it compiles 3 to 14 times as long."""


class Point:
    """What an equation is written with.

    ``at.x`` is a coordinate, ``at.u`` a field, ``at.u_xx`` a derivative, ``at.nu`` an unknown coefficient.
    Derivatives are made when they are asked for, and once.

    Examples
    --------
    >>> at = Point(lambda p: jnp.array([p[0] ** 2 * p[1]]), ("x", "t"), ("u",), jnp.array([3.0, 2.0]))
    >>> float(at.u), float(at.u_x), float(at.u_xx), float(at.u_xt)
    (18.0, 12.0, 4.0, 6.0)
    """

    def __init__(
        self,
        field: Field,
        coordinates: Sequence[str],
        fields: Sequence[str],
        x: jax.Array,
        unknowns: Mapping[str, Any] | None = None,
    ) -> None:
        self._field, self._x = field, x
        self._coordinates, self._fields = tuple(coordinates), tuple(fields)
        self._unknowns = dict(unknowns or {})
        self._known: dict[tuple[int, ...], jax.Array] = {}

    def __getattr__(self, name: str) -> jax.Array:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._coordinates:
            return self._x[self._coordinates.index(name)]
        if name in self._unknowns:
            return self._unknowns[name]
        field, _, along = name.partition("_")
        axes = self._axes(along)
        if field not in self._fields or axes is None:
            raise AttributeError(self._no_such(name))
        return self.derivatives(axes)[self._fields.index(field)]

    def laplacian(self, field: str | None = None, over: Sequence[str] | None = None) -> jax.Array:
        """Σ ∂²field/∂x² over coordinates: by default all but the time ``t``."""
        name = self._fields[0] if field is None else field
        chosen = [one for one in self._coordinates if one != "t"] if over is None else over
        for one, known in ((name, self._fields), *((axis, self._coordinates) for axis in chosen)):
            if one not in known:
                raise AttributeError(self._no_such(one))
        index, axes = self._fields.index(name), [self._coordinates.index(one) for one in chosen]
        return jnp.sum(jnp.stack([self.derivatives((axis, axis))[index] for axis in axes]))

    def derivatives(self, axes: tuple[int, ...]) -> jax.Array:
        """∂ᵏ(all fields)/∂x_axes (m,)."""
        axes = tuple(sorted(axes))
        if axes not in self._known:
            self._known[axes] = self._derivatives(axes)
        return self._known[axes]

    def moved(self, axis: int, value: float) -> Point:
        """The same at another place along one coordinate."""
        x = self._x.at[axis].set(value)
        return Point(self._field, self._coordinates, self._fields, x, self._unknowns)

    def _derivatives(self, axes: tuple[int, ...]) -> jax.Array:
        if len(axes) >= TAYLOR_ORDER and len(set(axes)) == 1:
            return self._taylor(axes[0], len(axes))
        function = self._field
        for axis in axes:
            function = _along(function, axis)
        return function(self._x)

    def _taylor(self, axis: int, order: int) -> jax.Array:
        """∂^order/∂x_axis^order by propagation of a Taylor series; lower orders come with it."""
        direction = jnp.zeros_like(self._x).at[axis].set(1.0)
        series = [direction, *(jnp.zeros_like(self._x) for _ in range(order - 1))]
        _, terms = jet(self._field, (self._x,), (series,))
        for k, term in enumerate(terms, 1):
            self._known.setdefault((axis,) * k, term)
        return terms[-1]

    def _no_such(self, name: str) -> str:
        known = {
            "coordinates": self._coordinates,
            "fields": self._fields,
            "derivatives such as": [f"{field}_{self._coordinates[0]}" for field in self._fields[:1]],
            "unknowns": tuple(self._unknowns),
        }
        there = "; ".join(f"{what} {', '.join(names)}" for what, names in known.items() if names)
        return f"there is no {name!r} at a point; there are {there}"

    def _axes(self, along: str) -> tuple[int, ...] | None:
        """ "xxt" as coordinates, the longest names first; None when it is not made of them."""
        axes: list[int] = []
        names = sorted(self._coordinates, key=len, reverse=True)
        while along:
            name = next((name for name in names if along.startswith(name)), None)
            if name is None:
                return None
            axes.append(self._coordinates.index(name))
            along = along[len(name) :]
        return tuple(axes)


def _along(function: Field, axis: int) -> Field:
    def derivative(x: jax.Array) -> jax.Array:
        direction = jnp.zeros_like(x).at[axis].set(1.0)
        return jax.jvp(function, (x,), (direction,))[1]

    return derivative
