"""The operations of JAX that a multilayer perceptron is made of, in NumPy.

So the trace of a small model can be computed, and read, without a compiler: XLA takes tenths of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import erf, erfc, expit

Params = Mapping[str, Any]
"""What an operation is told beside its arrays."""


def _contracted(params: Params, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`dot_general`: batch axes first, then the free axes of a, then those of b."""
    (sum_a, sum_b), (batch_a, batch_b) = params["dimension_numbers"]
    if batch_a or batch_b:
        raise NotImplementedError("a product with batch axes")
    return np.tensordot(a, b, axes=(tuple(sum_a), tuple(sum_b)))


def _broadcast(params: Params, a: np.ndarray) -> np.ndarray:
    shape = [1] * len(params["shape"])
    for axis, length in zip(params["broadcast_dimensions"], np.shape(a), strict=True):
        shape[axis] = length
    return np.broadcast_to(np.reshape(a, shape), params["shape"])


def _reshaped(params: Params, a: np.ndarray) -> np.ndarray:
    if params["dimensions"] is not None:
        raise NotImplementedError("a reshape in another order")
    return np.reshape(a, params["new_sizes"])


def _sliced(params: Params, a: np.ndarray) -> np.ndarray:
    steps = params["strides"] or (None,) * np.ndim(a)
    limits = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return a[tuple(slice(*limit) for limit in limits)]


def _dynamically_sliced(params: Params, a: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    """A start is moved so that the slice fits, as JAX does."""
    parts = []
    for start, size, length in zip(starts, params["slice_sizes"], a.shape, strict=True):
        first = int(np.clip(start, 0, length - size))
        parts.append(slice(first, first + size))
    return a[tuple(parts)]


def _divided(params: Params, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not np.issubdtype(np.result_type(a, b), np.floating):
        raise NotImplementedError("a division of integers")
    return np.divide(a, b)


REARRANGED: dict[str, Callable[..., np.ndarray]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *parts: np.concatenate(parts, axis=params["dimension"]),
    "copy": lambda params, a: a,
    "copy_p": lambda params, a: a,
    "dynamic_slice": _dynamically_sliced,
    "reshape": _reshaped,
    "rev": lambda params, a: np.flip(a, axis=params["dimensions"]),
    "slice": _sliced,
    "squeeze": lambda params, a: np.squeeze(a, axis=tuple(params["dimensions"])),
    "transpose": lambda params, a: np.transpose(a, params["permutation"]),
}
"""Operations that move the entries of an array and change none: (parameters, arrays) -> array."""

ELEMENTWISE: dict[str, Callable[..., np.ndarray]] = {
    "abs": lambda params, a: np.abs(a),
    "add": lambda params, a, b: np.add(a, b),
    "add_any": lambda params, a, b: np.add(a, b),
    "and": lambda params, a, b: np.bitwise_and(a, b),
    "clamp": lambda params, low, a, high: np.clip(a, low, high),
    "convert_element_type": lambda params, a: np.asarray(a).astype(params["new_dtype"]),
    "cos": lambda params, a: np.cos(a),
    "div": _divided,
    "eq": lambda params, a, b: np.equal(a, b),
    "erf": lambda params, a: erf(a),
    "erfc": lambda params, a: erfc(a),
    "exp": lambda params, a: np.exp(a),
    "exp2": lambda params, a: np.exp2(a),
    "expm1": lambda params, a: np.expm1(a),
    "ge": lambda params, a, b: np.greater_equal(a, b),
    "gt": lambda params, a, b: np.greater(a, b),
    "integer_pow": lambda params, a: np.power(a, float(params["y"])),
    "is_finite": lambda params, a: np.isfinite(a),
    "le": lambda params, a, b: np.less_equal(a, b),
    "log": lambda params, a: np.log(a),
    "log1p": lambda params, a: np.log1p(a),
    "logistic": lambda params, a: expit(a),
    "lt": lambda params, a, b: np.less(a, b),
    "max": lambda params, a, b: np.maximum(a, b),
    "min": lambda params, a, b: np.minimum(a, b),
    "mul": lambda params, a, b: np.multiply(a, b),
    "ne": lambda params, a, b: np.not_equal(a, b),
    "neg": lambda params, a: np.negative(a),
    "not": lambda params, a: np.logical_not(a),
    "or": lambda params, a, b: np.bitwise_or(a, b),
    "pow": lambda params, a, b: np.power(a, b),
    "rsqrt": lambda params, a: 1.0 / np.sqrt(a),
    "select_n": lambda params, which, *cases: np.choose(np.asarray(which, dtype=int), cases),
    "sign": lambda params, a: np.sign(a),
    "sin": lambda params, a: np.sin(a),
    "sqrt": lambda params, a: np.sqrt(a),
    "square": lambda params, a: np.square(a),
    "stop_gradient": lambda params, a: a,
    "sub": lambda params, a, b: np.subtract(a, b),
    "tanh": lambda params, a: np.tanh(a),
}
"""Operations entry by entry, likewise; `stop_gradient` shows in the derivative, which is compared as well."""

REDUCED: dict[str, Callable[..., np.ndarray]] = {
    "reduce_max": lambda params, a: np.max(a, axis=tuple(params["axes"])),
    "reduce_sum": lambda params, a: np.sum(a, axis=tuple(params["axes"])),
}
"""Operations on all entries along some axes, likewise."""

CALLS = {"closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr", "jit": "jaxpr", "pjit": "jaxpr"}
"""Operations that are traces themselves, and where these are found."""

PRODUCT = "dot_general"
KNOWN = frozenset({*REARRANGED, *ELEMENTWISE, *REDUCED, *CALLS, PRODUCT})
_IN_NUMPY = {**REARRANGED, **ELEMENTWISE, **REDUCED, PRODUCT: _contracted}


def inner_trace(equation: Any) -> Any | None:
    """The trace within an operation, closed; None for an operation of its own."""
    where = CALLS.get(equation.primitive.name)
    return None if where is None else equation.params[where]


def computed(trace: Any, arguments: list[np.ndarray]) -> list[np.ndarray]:
    """What a closed trace returns for these arguments; NotImplementedError for one with other operations."""
    jaxpr = trace.jaxpr
    values: dict[Any, np.ndarray] = dict(zip(jaxpr.constvars, map(np.asarray, trace.consts), strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        own = [known(values, variable) for variable in equation.invars]
        inner = inner_trace(equation)
        results = computed(inner, own) if inner is not None else [applied(equation, own)]
        values.update(zip(equation.outvars, results, strict=True))
    return [known(values, variable) for variable in jaxpr.outvars]


def applied(equation: Any, arguments: list[np.ndarray]) -> np.ndarray:
    """What one operation returns; NotImplementedError for one that is not known."""
    run = _IN_NUMPY.get(equation.primitive.name)
    if run is None:
        raise NotImplementedError(equation.primitive.name)
    with np.errstate(all="ignore"):
        return run(equation.params, *arguments)


def known(values: Mapping[Any, Any], variable: Any) -> Any:
    """The value of a variable of a trace, or of a number written in it."""
    return np.asarray(variable.val) if hasattr(variable, "val") else values[variable]
