"""Groups of residuals: what a solution must satisfy, where, and how much it counts.

Each group is a function of one sample, a number of samples, a way to place them, and a weight of its mean
square:   C = ½ Σ_g weight_g · mean_i r_g(x_i)².
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.field_model import FieldModel
from marquardt.apps.pinn.point import Point
from marquardt.apps.pinn.sampling import Points, Sampling, Uniform

Equation = Callable[[Point], Any]
"""A residual, or a tuple of residuals, at a point: zero where the solution is right."""


class Group(Protocol):
    """The contract of a group.  Equal groups (same functions) share compiled code."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """Of the mean square of its residuals."""
        ...

    def place(self, box: Box, rng: np.random.Generator) -> Any:
        """Samples: arrays with one row a sample."""
        ...

    def residual(self, model: FieldModel, params: Any, x: Any) -> jax.Array:
        """Residuals of one sample (k,)."""
        ...


def _checked_equation(name: str, equation: Any) -> None:
    if not callable(equation):
        raise TypeError(
            f"group {name!r}: {equation!r} is no function: write the residual at a point, as "
            "lambda at: at.u - 1"
        )


def _checked_count(name: str, n: int) -> None:
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"group {name!r}: n={n!r} must be an integer >= 1; leave the group out for none")


def _checked_weight(name: str, weight: float) -> None:
    if not (np.isfinite(weight) and weight > 0):
        raise ValueError(f"group {name!r}: weight={weight!r} must be a positive finite number")


def _stacked(name: str, residuals: Any) -> jax.Array:
    """Residuals of one point as (k,); ValueError where they are no numbers of a point."""
    parts = residuals if isinstance(residuals, tuple | list) else (residuals,)
    for part in parts:
        if part is None:
            raise ValueError(f"the equation of group {name!r} returns nothing: did you leave out `return`?")
        if jnp.shape(part) != ():
            raise ValueError(
                f"the equation of group {name!r} returns an array of shape {jnp.shape(part)} for one point: "
                "return a number, or a tuple of numbers for a system"
            )
    return jnp.stack([jnp.asarray(part, dtype=float) for part in parts])


_MOST_DRAWS = 100
"""Times that n points of the box are drawn for a domain within it."""


# Only what is compiled is compared: counts, weights and places may differ.


@dataclass(frozen=True)
class Interior:
    """The differential equation, everywhere in the domain.

    Parameters
    ----------
    equation : callable
        ``equation(at)`` -> residual, or a tuple of them; see `Point`.
    n : int
        Points.
    weight : float
    sampling : Sampling
    points : array (m, d), optional
        Your own points, in place of n and sampling.
    where : callable, optional
        ``where(x, y)`` -> which points of the box belong to the domain, for domains that are no boxes; the
        condition at their boundary goes to points of your own.

    Examples
    --------
    >>> disk = Interior(lambda at: at.u_xx + at.u_yy + 1.0, n=900, where=lambda x, y: x**2 + y**2 < 1)
    """

    equation: Equation
    n: int = field(default=1000, compare=False)
    weight: float = field(default=1.0, compare=False)
    sampling: Sampling = field(default=Uniform(), compare=False)
    points: Any = field(default=None, compare=False)
    where: Callable[..., Any] | None = field(default=None, compare=False)
    name: str = "interior"

    def __post_init__(self) -> None:
        _checked_equation(self.name, self.equation)
        _checked_count(self.name, self.n)
        _checked_weight(self.name, self.weight)

    def place(self, box: Box, rng: np.random.Generator) -> Points:
        if self.points is not None:
            return box.table(self.points, f"points of group {self.name!r}")
        if self.where is None:
            return box.scaled(self.sampling.unit(self.n, box.dimension, rng))
        kept = np.zeros((0, box.dimension))
        for _ in range(_MOST_DRAWS):
            drawn = box.scaled(self.sampling.unit(self.n, box.dimension, rng))
            inside = np.asarray(self.where(**dict(zip(box.names, drawn.T, strict=True))), dtype=bool)
            kept = np.concatenate([kept, drawn[np.broadcast_to(inside, len(drawn))]])
            if len(kept) >= self.n:
                return kept[: self.n]
        raise ValueError(
            f"group {self.name!r}: where= holds for {len(kept)} of {_MOST_DRAWS * self.n} points of the box: "
            "draw the box closer around the domain, or take Uniform() for sampling"
        )

    def residual(self, model: FieldModel, params: Any, x: jax.Array) -> jax.Array:
        return _stacked(self.name, self.equation(model.at(params, x)))


@dataclass(frozen=True)
class Boundary:
    """A condition on some faces of the domain.

    Parameters
    ----------
    condition : callable
        ``condition(at)`` -> residual; derivatives make conditions of Neumann or Robin.
    on : tuple of str
        Faces such as ``x_min``; all by default.
    n : int
        Points, shared out among the faces.
    weight : float
        100 by default: a solution that is right inside and off at the boundary is off everywhere.
    points : array (m, d), optional
        Your own points, in place of n, on and sampling: the boundary of a domain that is no box.
    """

    condition: Equation
    on: tuple[str, ...] = field(default=(), compare=False)
    n: int = field(default=100, compare=False)
    weight: float = field(default=100.0, compare=False)
    sampling: Sampling = field(default=Uniform(), compare=False)
    name: str = "boundary"
    points: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _checked_equation(self.name, self.condition)
        _checked_count(self.name, self.n)
        _checked_weight(self.name, self.weight)
        object.__setattr__(self, "on", (self.on,) if isinstance(self.on, str) else tuple(self.on))

    def place(self, box: Box, rng: np.random.Generator) -> Points:
        if self.points is not None:
            return box.table(self.points, f"points of group {self.name!r}")
        faces = [box.face(name) for name in self.on] if self.on else box.faces()
        shares = [part.size for part in np.array_split(np.arange(self.n), len(faces))]
        if min(shares) == 0:
            raise ValueError(f"group {self.name!r}: n={self.n} points do not reach {len(faces)} faces")
        tables = []
        for face, share in zip(faces, shares, strict=True):
            rest = (
                self.sampling.unit(share, box.dimension - 1, rng) if box.dimension > 1 else np.zeros((1, 0))
            )
            table = box.scaled(np.insert(rest, face.axis, 0.0, axis=1))
            table[:, face.axis] = face.value
            tables.append(table)
        return np.concatenate(tables)

    def residual(self, model: FieldModel, params: Any, x: jax.Array) -> jax.Array:
        return _stacked(self.name, self.condition(model.at(params, x)))


def initial(
    condition: Equation,
    *,
    time: str = "t",
    n: int = 100,
    weight: float = 100.0,
    sampling: Sampling | None = None,
) -> Boundary:
    """A condition at the lower end of the time: the boundary ``t_min`` under the name "initial"."""
    return Boundary(condition, (f"{time}_min",), n, weight, sampling or Uniform(), "initial")


@dataclass(frozen=True)
class Periodic:
    """The fields, and their first `order` derivatives, agree at both ends of a coordinate.

    ``Dense(periodic=...)`` has it by construction, which is more exact and cheaper.
    """

    coordinate: str
    order: int = 0
    n: int = field(default=100, compare=False)
    weight: float = field(default=100.0, compare=False)
    sampling: Sampling = field(default=Uniform(), compare=False)
    name: str = "periodic"

    def __post_init__(self) -> None:
        _checked_count(self.name, self.n)
        _checked_weight(self.name, self.weight)
        if self.order < 0:
            raise ValueError(f"group {self.name!r}: order={self.order!r} must be >= 0")

    def place(self, box: Box, rng: np.random.Generator) -> Points:
        lower = Boundary(
            _nothing, (f"{self.coordinate}_min",), self.n, sampling=self.sampling, name=self.name
        )
        return lower.place(box, rng)

    def residual(self, model: FieldModel, params: Any, x: jax.Array) -> jax.Array:
        axis = model.box.axis(self.coordinate)
        low, high = (
            model.at(params, x).moved(axis, float(end[axis])) for end in (model.box.lower, model.box.upper)
        )
        return jnp.concatenate(
            [low.derivatives((axis,) * k) - high.derivatives((axis,) * k) for k in range(self.order + 1)]
        )


def _nothing(at: Point) -> Any:
    del at
    return 0.0


@dataclass(frozen=True)
class Data:
    """Measurements of a field.

    Parameters
    ----------
    points : array (n, d), or a mapping of coordinates to arrays
    values : array (n,)
    observed : str
        The field that was measured.
    weight : float
        The noise is estimated from each group of data by itself; a group that is noisier by a factor of s
        should weigh s² times less.  To find coefficients, let the equation weigh far more than the data: 100.
    """

    points: Any = field(compare=False)
    values: ArrayLike = field(compare=False)
    observed: str = "u"
    weight: float = field(default=1.0, compare=False)
    name: str = "data"

    def __post_init__(self) -> None:
        _checked_weight(self.name, self.weight)
        values = np.asarray(self.values, dtype=float)
        if values.ndim != 1 or not len(values):
            raise ValueError(f"group {self.name!r}: values have shape {values.shape}, need one a point")
        if not np.isfinite(values).all():
            raise ValueError(
                f"group {self.name!r}: {int((~np.isfinite(values)).sum())} values are not finite"
            )

    def place(self, box: Box, rng: np.random.Generator) -> tuple[Points, Points]:
        del rng
        points, values = (
            box.table(self.points, f"points of group {self.name!r}"),
            np.asarray(self.values, dtype=float),
        )
        if len(points) != len(values):
            raise ValueError(f"group {self.name!r}: {len(points)} points, but {len(values)} values")
        return points, values

    def residual(self, model: FieldModel, params: Any, x: tuple[jax.Array, jax.Array]) -> jax.Array:
        point, value = x
        return _stacked(self.name, getattr(model.at(params, point), self.observed) - value)


@dataclass(frozen=True)
class Conservation:
    """An integral over some coordinates that is known for all values of the others, such as a mass.

    ∫ density dx_over = total, by Gauss and Legendre's rule.

    Parameters
    ----------
    density : callable
        ``density(at)``, what is integrated.
    total : callable
        ``total(at)`` at a point whose integrated coordinates are at their lower ends.
    over : tuple of str
        Coordinates to integrate over.
    n : int
        Points in the other coordinates.
    nodes : int
        Of the rule, in each coordinate.
    """

    density: Equation
    total: Equation
    over: tuple[str, ...] = ("x",)
    nodes: int = 32
    n: int = field(default=50, compare=False)
    weight: float = field(default=1.0, compare=False)
    sampling: Sampling = field(default=Uniform(), compare=False)
    name: str = "conservation"

    def __post_init__(self) -> None:
        _checked_count(self.name, self.n)
        _checked_weight(self.name, self.weight)
        object.__setattr__(self, "over", (self.over,) if isinstance(self.over, str) else tuple(self.over))

    def place(self, box: Box, rng: np.random.Generator) -> Points:
        integrated = [box.axis(name) for name in self.over]
        others = [axis for axis in range(box.dimension) if axis not in integrated]
        unit = np.zeros((self.n if others else 1, box.dimension))
        if others:
            own = self.sampling.unit(self.n, len(others), rng)
            unit = np.zeros((len(own), box.dimension))
            unit[:, others] = own
        return box.scaled(unit)

    def residual(self, model: FieldModel, params: Any, x: jax.Array) -> jax.Array:
        axes = np.array([model.box.axis(name) for name in self.over])
        roots, weights = np.polynomial.legendre.leggauss(self.nodes)
        grids = np.meshgrid(*[0.5 * (roots + 1.0)] * len(axes), indexing="ij")
        unit = np.stack([grid.ravel() for grid in grids], axis=1)
        sides = (model.box.upper - model.box.lower)[axes]
        tables = np.meshgrid(*[0.5 * weights] * len(axes), indexing="ij")
        rule = np.prod([table.ravel() for table in tables], axis=0) * np.prod(sides)
        places = model.box.lower[axes] + unit * sides
        values = jax.vmap(
            lambda place: _stacked(self.name, self.density(model.at(params, x.at[axes].set(place))))
        )(jnp.asarray(places))
        return rule @ values - _stacked(self.name, self.total(model.at(params, x)))


def named(groups: Sequence[Group] | Mapping[str, Group]) -> dict[str, Group]:
    """Groups by name; a name that comes twice gets a number."""
    if isinstance(groups, Mapping):
        return {name: replace(group, name=name) for name, group in groups.items()}  # type: ignore[type-var]
    result: dict[str, Group] = {}
    for group in groups:
        name, count = group.name, 2
        while name in result:
            name, count = f"{group.name} {count}", count + 1
        result[name] = group
    return result
