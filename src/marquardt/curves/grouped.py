"""One curve for several groups at once: shared parameters have one value, the others one for each group."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.curves.curve import Expanded, Model, Move


@dataclass(frozen=True)
class GroupedRows:
    """x with the group of each row."""

    x: FloatArray
    codes: IntArray
    """Positions of the groups (n,)."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Grouped:
    """The model of all groups; local parameters are called ``name[group]``.

    Parameters
    ----------
    inner : Model
        Of one group.
    groups : tuple of str
    shared : tuple of str

    Examples
    --------
    >>> from marquardt.curves.curve import Curve
    >>> lines = Grouped(Curve(lambda x, a, b: a + b * x, ["a", "b"]), ("left", "right"), ("b",))
    >>> lines.names
    ('a[left]', 'a[right]', 'b')
    >>> lines.index
    array([[0, 2],
           [1, 2]])
    """

    inner: Model
    groups: tuple[str, ...]
    shared: tuple[str, ...]
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        for name in self.shared:
            if name not in self.inner.names:
                raise ValueError(
                    f"shared names {name!r}, which is no free parameter: there are "
                    f"{', '.join(self.inner.names)}"
                )
        names: list[str] = []
        for name in self.inner.names:
            names += [name] if name in self.shared else [f"{name}[{group}]" for group in self.groups]
        object.__setattr__(self, "names", tuple(names))

    @cached_property
    def index(self) -> IntArray:
        """Where the parameters of each group stand (g, p)."""
        rows = [
            [self.names.index(n if n in self.shared else f"{n}[{group}]") for n in self.inner.names]
            for group in self.groups
        ]
        return np.array(rows, dtype=np.intp)

    @property
    def exact(self) -> bool:
        return self.inner.exact

    def value(self, x: Any, theta: FloatArray) -> FloatArray:
        f = np.empty(len(x))
        for g, rows in self._groups(x):
            f[rows] = self.inner.value(x.x[rows], theta[self.index[g]])
        return f

    def jacobian(self, x: Any, theta: FloatArray) -> FloatArray:
        J = np.zeros((len(x), len(self.names)), order="F")  # blocks, and the columns of what is shared
        for g, rows in self._groups(x):
            J[np.ix_(rows, self.index[g])] = self.inner.jacobian(x.x[rows], theta[self.index[g]])
        return J

    def expanded(self, theta: FloatArray) -> Expanded:
        names: list[str] = []
        values: list[float] = []
        slopes: list[FloatArray] = []
        local = np.array([n not in self.shared for n in self.inner.names])
        parts = [self.inner.expanded(theta[index]) for index in self.index]
        for k, name in enumerate(parts[0].names):
            varies = any(part.slopes[k, local].any() for part in parts)
            for g, part in enumerate(parts if varies else parts[:1]):
                slope = np.zeros(len(theta))
                slope[self.index[g]] = part.slopes[k]
                names.append(f"{name}[{self.groups[g]}]" if varies else name)
                values.append(float(part.values[k]))
                slopes.append(slope)
        return Expanded(tuple(names), np.array(values), np.array(slopes))

    def moved(self, theta: FloatArray, move: Move) -> FloatArray | None:
        """The same move in every group."""
        moved, parts = theta.copy(), []
        for index in self.index:
            part = self.inner.moved(theta[index], move)
            if part is None:
                return None
            moved[index] = part
            parts.append(part)
        same = all(np.array_equal(moved[index], part) for index, part in zip(self.index, parts, strict=True))
        return moved if same else None  # a shared parameter cannot go two ways

    def _groups(self, x: GroupedRows) -> list[tuple[int, IntArray]]:
        found = [(g, np.flatnonzero(x.codes == g)) for g in range(len(self.groups))]
        return [(g, rows) for g, rows in found if len(rows)]
