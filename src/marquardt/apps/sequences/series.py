"""Series as they are given: one or several, inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Series:
    """One series."""

    u: np.ndarray
    """(T, m); m may be 0."""
    y: np.ndarray
    """(T, k); NaN where it was not measured."""

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Form:
    """In what form arrays were given, and answers go back."""

    single: bool
    """One array, not a list of them."""
    flat: bool
    """One dimension: time."""

    def of(self, answers: Sequence[np.ndarray]) -> Any:
        """Answers (T, k), one a series, in this form."""
        shaped = [answer[:, 0] if self.flat else answer for answer in answers]
        return shaped[0] if self.single else shaped


def arrays_of(name: str, values: Any) -> tuple[list[np.ndarray], Form]:
    """A series (T,) or (T, k), or a list of them, as arrays (T, k).

    Several series are a list of arrays; a list of lists of numbers is one series, row by row, as NumPy reads
    it.

    >>> arrays_of("y", [1.0, 2.0])[0][0].shape
    (2, 1)
    >>> [a.shape for a in arrays_of("y", [np.zeros(3), np.zeros(5)])[0]]
    [(3, 1), (5, 1)]
    >>> [a.shape for a in arrays_of("y", [[1.0], [2.0], [3.0]])[0]]
    [(3, 1)]
    """
    several = isinstance(values, list | tuple) and len(values) > 0 and all(map(_is_array, values))
    parts = list(values) if several else [values]
    arrays = []
    for i, part in enumerate(parts):
        label = f"{name}[{i}]" if several else name
        try:
            array = np.asarray(part, dtype=float)
        except (TypeError, ValueError) as error:
            hint = "; several series are a list of arrays" if _is_nested(part) else ""
            raise ValueError(f"{label} must be numbers: {error}{hint}") from None
        if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
            raise ValueError(f"{label} has shape {array.shape}: give (T,) or (T, number of signals), T times")
        if np.isinf(array).any():
            raise ValueError(
                f"{label} is infinite at time {int(np.argwhere(np.isinf(array))[0][0])}: correct it"
            )
        arrays.append(array)
    if len({array.shape[1:] for array in arrays}) > 1:
        raise ValueError(f"{name}: the series have different numbers of signals, {[a.shape for a in arrays]}")
    form = Form(not several, arrays[0].ndim == 1)
    return [array[:, None] if array.ndim == 1 else array for array in arrays], form


def _is_array(part: Any) -> bool:
    """Of NumPy, pandas, ...: a list of numbers is a row of one."""
    return np.ndim(part) > 0 and hasattr(part, "__array__")


def _is_nested(part: Any) -> bool:
    return isinstance(part, list | tuple) and any(isinstance(row, list | tuple) for row in part)


def checked_series(u: Any, y: Any, longest: int) -> tuple[list[Series], Form]:
    """Series of u (None for none) and y; ValueError for what does not fit together or is too short."""
    outputs, form = arrays_of("y", y)
    inputs = [np.empty((len(part), 0)) for part in outputs] if u is None else checked_inputs(u)[0]
    if len(inputs) != len(outputs):
        raise ValueError(f"u has {len(inputs)} series and y has {len(outputs)}: give one u for every y")
    for i, (a, b) in enumerate(zip(inputs, outputs, strict=True)):
        if len(a) != len(b):
            raise ValueError(
                f"series {i}: u has {len(a)} times and y has {len(b)}; they must be the same times"
            )
        if len(b) <= longest:
            raise ValueError(
                f"series {i} has {len(b)} times, but the longest delay is {longest}: it takes {longest + 1} "
                "or more; leave it out, or take shorter delays"
            )
    return [Series(a, b) for a, b in zip(inputs, outputs, strict=True)], form


def checked_inputs(u: Any) -> tuple[list[np.ndarray], Form]:
    """u without gaps."""
    inputs, form = arrays_of("u", u)
    for i, values in enumerate(inputs):
        if np.isnan(values).any():
            raise ValueError(
                f"u of series {i} is NaN at time {int(np.argwhere(np.isnan(values))[0][0])}: fill the gap, "
                "or split the series there into two"
            )
    return inputs, form
