"""Where an equation holds: a box of named coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Face:
    """One side of a box: where a coordinate is at its lower or upper end."""

    axis: int
    value: float
    name: str


@dataclass(frozen=True)
class Box:
    """A product of intervals with named coordinates.

    Parameters
    ----------
    intervals : tuple of (name, lower, upper)
        Made by `Box.of`.

    Examples
    --------
    >>> box = Box.of(x=(0, 1), t=(0, 2))
    >>> box.names, box.lower, box.upper
    (('x', 't'), array([0., 0.]), array([1., 2.]))
    >>> box.face("t_min").value
    0.0
    """

    intervals: tuple[tuple[str, float, float], ...]

    @classmethod
    def of(cls, **intervals: Sequence[float]) -> Box:
        """``Box.of(x=(0, 1), t=(0, 2))``; coordinates in that order."""
        if not intervals:
            raise ValueError("a box needs at least one coordinate: Box.of(x=(0, 1))")
        checked = []
        for name, ends in intervals.items():
            if "_" in name:
                raise ValueError(f"coordinate {name!r}: leave out the underscore, which marks derivatives")
            if len(ends) != 2 or not (np.isfinite(ends).all() and ends[0] < ends[1]):
                raise ValueError(f"{name}={ends!r} must be two finite numbers, the lower one first")
            checked.append((name, float(ends[0]), float(ends[1])))
        return cls(tuple(checked))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.intervals)

    @property
    def dimension(self) -> int:
        return len(self.intervals)

    @property
    def lower(self) -> NDArray[np.float64]:
        return np.array([lower for _, lower, _ in self.intervals])

    @property
    def upper(self) -> NDArray[np.float64]:
        return np.array([upper for _, _, upper in self.intervals])

    def axis(self, name: str) -> int:
        """Which coordinate that is."""
        if name not in self.names:
            raise ValueError(f"there is no coordinate {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    def faces(self) -> tuple[Face, ...]:
        """All sides, ``x_min``, ``x_max``, …"""
        return tuple(
            Face(axis, value, f"{name}_{end}")
            for axis, (name, lower, upper) in enumerate(self.intervals)
            for end, value in (("min", lower), ("max", upper))
        )

    def face(self, name: str) -> Face:
        """The side of that name, such as ``x_min``."""
        for face in self.faces():
            if face.name == name:
                return face
        raise ValueError(
            f"there is no face {name!r}; there are {', '.join(face.name for face in self.faces())}"
        )

    def scaled(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, d) of the unit cube, in the box."""
        return self.lower + unit * (self.upper - self.lower)

    def table(self, points: ArrayLike | Mapping[str, ArrayLike], what: str = "points") -> NDArray[np.float64]:
        """Points (n, d) from an array, or from one array a coordinate; ValueError outside of the box."""
        if isinstance(points, Mapping):
            missing = set(self.names) ^ set(points)
            if missing:
                raise ValueError(
                    f"{what} must give the coordinates {', '.join(self.names)}, got {list(points)}"
                )
            columns = np.broadcast_arrays(*(np.asarray(points[name], dtype=float) for name in self.names))
            points = np.stack([column.ravel() for column in columns], axis=1)
        table = np.asarray(points, dtype=float)
        if table.ndim != 2 or table.shape[1] != self.dimension:
            raise ValueError(
                f"{what} have shape {table.shape}: one row a point, columns {', '.join(self.names)}"
            )
        slack = 1e-9 * (self.upper - self.lower)
        outside = ~((table >= self.lower - slack) & (table <= self.upper + slack)).all(axis=1)
        if outside.any():
            row = int(np.argmax(outside))
            raise ValueError(
                f"{int(outside.sum())} of {len(table)} {what} lie outside of the domain {self}, the first in "
                f"row {row}: {table[row].tolist()}"
            )
        return table

    def grid(self, counts: int | Sequence[int]) -> NDArray[np.float64]:
        """A regular grid (n, d) with both ends, `counts` points a side."""
        sides = np.broadcast_to(counts, self.dimension)
        axes = [
            np.linspace(lower, upper, k) for (_, lower, upper), k in zip(self.intervals, sides, strict=True)
        ]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    def __str__(self) -> str:
        return " × ".join(f"{name} in [{lower:g}, {upper:g}]" for name, lower, upper in self.intervals)
