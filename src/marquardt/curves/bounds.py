"""Bounds of parameters: read from what the user gives, kept by transforms, and told when one holds the
fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.curves.reduced import check_names
from marquardt.curves.transforms import Transform, transform

Range = tuple[float, float]


@dataclass(frozen=True)
class Bounds:
    """low and high of each free parameter (p,)."""

    names: tuple[str, ...]
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        bounds: Mapping[str, Any] | None,
        positive: Iterable[str] | bool,
    ) -> Bounds:
        """ValueError for bounds that are crossed or equal, and for names of no free parameter."""
        given: dict[str, Range] = {}
        if positive is not False:
            chosen = names if positive is True else ((positive,) if isinstance(positive, str) else positive)
            given = {name: (0.0, math.inf) for name in chosen}
        check_names("positive", given, names)
        check_names("bounds", bounds or {}, names)
        for name, pair in (bounds or {}).items():
            low, high = _pair(name, pair)
            given[name] = (max(low, given.get(name, (-math.inf, 0))[0]), high)
        for name, (low, high) in given.items():
            if not low < high:
                word = "equal" if low == high else "crossed"
                raise ValueError(
                    f"the bounds of {name!r}, {low:g} and {high:g}, are {word}: low must be below high; "
                    f"to hold "
                    f"a parameter, fixed={{{name!r}: {low:g}}}"
                )
        open_range = (-math.inf, math.inf)
        low, high = np.array([given.get(name, open_range) for name in names]).T
        return cls(names, low, high)

    @property
    def active(self) -> bool:
        """Whether there are any."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    def holds(self, theta: FloatArray) -> bool:
        """Whether θ lies within, ends included."""
        return bool(((theta >= self.low) & (theta <= self.high)).all())

    def check(self, name: str, value: float) -> None:
        """ValueError for a start outside."""
        k = self.names.index(name)
        if not self.low[k] <= value <= self.high[k]:
            raise ValueError(
                f"p0[{name!r}]={value:g} lies outside its bounds, {self.low[k]:g} to {self.high[k]:g}: "
                "start inside them"
            )

    def inside(self, theta: FloatArray) -> FloatArray:
        """The nearest point strictly inside, 1 % of the interval (or of the size) from an end."""
        moved = theta.astype(float).copy()
        for k, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            room = high - low
            size = max(abs(v) for v in (theta[k], low, high) if math.isfinite(v)) or 1.0
            margin = 0.01 * (room if math.isfinite(room) else size)
            edges = (low + margin, high - margin)
            if theta[k] <= low:
                moved[k] = edges[0]
            elif theta[k] >= high:
                moved[k] = edges[1]
        return moved

    def transforms(self, start: FloatArray) -> list[Transform]:
        """One for each parameter, for a start strictly inside."""
        rows = zip(self.low.tolist(), self.high.tolist(), start.tolist(), strict=True)
        return [transform(*row) for row in rows]

    def near(self, theta: FloatArray, start: FloatArray, gradient: FloatArray) -> dict[int, float]:
        """Parameters that the data push against a bound they are close to: position -> bound.

        Close is a hundredth of the distance at the start, or of the interval.
        """
        found = {}
        for k in range(len(theta)):
            for bound, outward in ((self.low[k], gradient[k] > 0), (self.high[k], gradient[k] < 0)):
                room = min(abs(start[k] - bound), self.high[k] - self.low[k])
                if np.isfinite(bound) and outward and abs(theta[k] - bound) <= 0.01 * room:
                    found[k] = float(bound)
        return found

    def without(self, positions: Iterable[int]) -> Bounds:
        """Of the other parameters."""
        keep = [k for k in range(len(self.names)) if k not in set(positions)]
        return Bounds(tuple(self.names[k] for k in keep), self.low[keep], self.high[keep])


def _pair(name: str, pair: Any) -> Range:
    try:
        low, high = pair
        ends = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    except (TypeError, ValueError):
        raise ValueError(
            f"bounds[{name!r}]={pair!r} must be a pair (low, high), None for an open end"
        ) from None
    if any(math.isnan(end) for end in ends):
        raise ValueError(f"bounds[{name!r}]={pair!r} holds NaN: take None for an open end")
    return ends
