"""What JAX makes of a function: to tell whether it is still the same one, and to keep what is compiled."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from marquardt.jax_models.array_operations import inner_trace
from marquardt.jax_models.double_precision import double_precision

F = TypeVar("F")


class TracedCode:
    """The operations and constants of a function for arguments of some shapes, as a digest; the names of the
    operations; and what it returns, as shapes.

    >>> factor = 2.0
    >>> def scaled(x):
    ...     return factor * x
    >>> before = TracedCode(scaled, 1.0)
    >>> before.digest == TracedCode(scaled, 1.0).digest
    True
    >>> factor = 3.0
    >>> before.digest == TracedCode(scaled, 1.0).digest
    False
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        with double_precision():
            # A function of its own each time: JAX remembers the trace of one that it has seen.
            jaxpr, self.outputs = jax.make_jaxpr(lambda *own: function(*own), return_shape=True)(*arguments)
        self.operations = _operations(jaxpr)
        text = re.sub(r"0x[0-9a-f]+", "", str(jaxpr))  # without addresses in memory
        digest = hashlib.sha256(text.encode())
        for value in jaxpr.consts:
            if _is_numeric(value):
                digest.update(np.ascontiguousarray(value).data)
        self.digest = digest.digest()


class CompiledCache(Generic[F]):
    """Compiled functions by their formula, the latest few.

    A formula is known by its function, but a function may read a variable that has changed since: then its
    code differs, and it is compiled again.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self._known: OrderedDict[Any, tuple[bytes, F]] = OrderedDict()

    def get(self, formula: Any, code: TracedCode, make: Callable[[], F]) -> F:
        """What was made for this formula and code, or `make()`."""
        try:
            known = self._known.get(formula)
        except TypeError:  # a part of it cannot be hashed: compiled for this problem only
            return make()
        if known is not None and known[0] == code.digest:
            self._known.move_to_end(formula)
            return known[1]
        self._known[formula] = (code.digest, make())
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return self._known[formula][1]


def _operations(trace: Any) -> frozenset[str]:
    """Names, also of those within others where `inner_trace` finds them."""
    names: set[str] = set()
    for equation in trace.jaxpr.eqns:
        names.add(equation.primitive.name)
        inner = inner_trace(equation)
        if inner is not None:
            names |= _operations(inner)
    return frozenset(names)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray | jax.Array) and bool(np.issubdtype(value.dtype, np.number))
