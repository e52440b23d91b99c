"""The value of a function at the array that it saw last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from marquardt._types import FloatArray

T = TypeVar("T")


class Latest(Generic[T]):
    """A function of one array that remembers its last value.

    An iteration asks a loss for cost, residual, seed and second derivative at the same z.  Only a read-only
    array is remembered, by identity: its owner may still change another.

    Examples
    --------
    >>> import numpy as np
    >>> square = Latest(lambda z: z * z)
    >>> z = np.array([2.0])
    >>> square(z) is square(z)
    False
    >>> z.flags.writeable = False
    >>> square(z) is square(z)
    True
    """

    def __init__(self, function: Callable[[FloatArray], T]) -> None:
        self._function = function
        self._kept: tuple[FloatArray, T] | None = None

    def __call__(self, z: FloatArray) -> T:
        kept = self._kept
        if kept is not None and kept[0] is z:
            return kept[1]
        value = self._function(z)
        if not z.flags.writeable:
            self._kept = (z, value)
        return value

    def __getstate__(self) -> dict[str, object]:
        return {"_function": self._function, "_kept": None}  # another process has other arrays
