"""The trace of a model, read: whether it is a multilayer perceptron, and where in w its weights stand.

The operations are followed with places in the stead of numbers.  A value is known by what it is picked from
(the parameters, the inputs, the arguments z of a layer), by the place of each of its entries there, and by
the function that was applied to each since; all else is unknown, and so is what is made of it.  A product of
inputs or activations with parameters makes a new layer, if every sample is used alone and every unit once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.dense_model import DenseModel, layer_of
from marquardt.jax_models.array_operations import (
    ELEMENTWISE,
    PRODUCT,
    REARRANGED,
    applied,
    inner_trace,
    known,
)
from marquardt.models.layers import Input, Softmax
from marquardt.models.mlp import MLP


@dataclass(frozen=True, eq=False)
class Applied:
    """A function of each entry z of a table: an operation on other such functions and on numbers, of inputs
    one a column; z itself without an operation."""

    operation: Any = None
    operands: tuple[Applied | np.ndarray, ...] = ()

    def of(self, z: FloatArray) -> FloatArray:
        return self._value(z, {})

    def _value(self, z: FloatArray, found: dict[int, FloatArray]) -> FloatArray:
        if self.operation is None:
            return z
        if id(self) not in found:
            own = [part._value(z, found) if isinstance(part, Applied) else part for part in self.operands]
            found[id(self)] = np.asarray(applied(self.operation, own))
        return found[id(self)]


ITSELF = Applied()


@dataclass(frozen=True, eq=False)
class Parameters:
    """w (p,)."""


@dataclass(frozen=True, eq=False)
class Arguments:
    """A table (samples, units) from which values are picked: the inputs, or the arguments z of a layer."""

    units: int
    below: Picked | None = None
    """What goes into the layer, (samples, units below); None for the inputs."""
    weights: IntArray | None = None
    """Places in w (units, units below)."""
    biases: IntArray | None = None
    """Places in w (units,)."""


@dataclass(frozen=True, eq=False)
class Picked:
    """Entries of a table or of w, and what was made of each."""

    source: Parameters | Arguments
    places: IntArray
    """In the raveled source."""
    function: Applied = ITSELF

    @property
    def shape(self) -> tuple[int, ...]:
        return self.places.shape


Value = Picked | np.ndarray | None
"""None for what is not known."""


def dense_model(trace: Any, values: list[np.ndarray | None], n_samples: int) -> DenseModel | None:
    """The network that a closed trace of (w, constants, X) computes, None for another kind of model.

    A model that does something else with the last of its layers is taken for one with a softmax, which has
    to be tried out.

    Parameters
    ----------
    trace : ClosedJaxpr
    values : list
        Of its arguments; the first, w, and the last, X (n_samples, n_inputs), stand for any others.
    n_samples : int
    """
    first, *constants, last = values
    if first is None or last is None or last.ndim != 2:
        return None
    w = Picked(Parameters(), np.arange(first.size))
    X = Picked(Arguments(last.shape[1]), np.arange(last.size).reshape(last.shape))
    layers: list[Picked] = []
    output = _read(trace, [w, *constants, X], layers)[0]
    if isinstance(output, Picked) and isinstance(output.source, Arguments):
        return _model(replace(output, places=output.places.reshape(n_samples, -1)), first.size)
    if output is not None or not layers or layers[-1].shape[0] != n_samples or layers[-1].places.ndim != 2:
        return None
    found = _model(layers[-1], first.size)
    if found is None or found.network.n_outputs < 2:
        return None
    network = MLP([*found.network.layers[:-1], Softmax(found.network.n_outputs)])
    return replace(found, network=network)


# -- operations ------------------------------------------------------------------------------------


def _read(trace: Any, arguments: list[Value], layers: list[Picked]) -> list[Value]:
    """What a trace returns; the layers that it makes are appended to `layers`."""
    jaxpr = trace.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.constvars, map(np.asarray, trace.consts), strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        own = [known(values, variable) for variable in equation.invars]
        inner = inner_trace(equation)
        results = _read(inner, own, layers) if inner is not None else [_result(equation, own, layers)]
        if len(results) == len(equation.outvars):
            values.update(zip(equation.outvars, results, strict=True))
        else:
            values.update(dict.fromkeys(equation.outvars))
    return [known(values, variable) for variable in jaxpr.outvars]


def _result(equation: Any, operands: list[Value], layers: list[Picked]) -> Value:
    name, kind = equation.primitive.name, equation.outvars[0].aval.dtype
    parts = [part for part in operands if part is not None]
    picked = [part for part in parts if isinstance(part, Picked)]
    if len(parts) < len(operands) or len(equation.outvars) > 1:
        return None
    if not picked:
        return _constant(equation, operands)
    if np.issubdtype(kind, np.floating) and kind != np.float64:
        return None  # rounded on the way
    if name in REARRANGED:
        return _rearranged(equation, parts)
    if name == PRODUCT:
        return _product(equation, picked)
    if len(picked) == 2 and any(isinstance(part.source, Parameters) for part in picked):
        layer = _with_parameters(name, picked)
        layers += [] if layer is None else [layer]
        return layer
    return _elementwise(equation, parts) if name in ELEMENTWISE else None


def _constant(equation: Any, operands: list[Value]) -> Value:
    try:
        return np.asarray(applied(equation, operands))  # type: ignore[arg-type]
    except NotImplementedError:
        return None


def _rearranged(equation: Any, parts: list[Picked | np.ndarray]) -> Value:
    """The same entries elsewhere."""
    first, *rest = parts
    others = [part for part in rest if isinstance(part, Picked)]
    if not isinstance(first, Picked):
        return None
    if equation.primitive.name == "dynamic_slice" and not others:
        places = [first.places, *rest]  # where it starts
    else:
        if len(others) < len(rest) or any(
            part.source is not first.source or not part.function is first.function is ITSELF
            for part in others
        ):
            return None
        places = [first.places, *(part.places for part in others)]
    try:
        return replace(first, places=applied(equation, places))
    except NotImplementedError:
        return None


def _elementwise(equation: Any, parts: list[Picked | np.ndarray]) -> Value:
    """A function of one entry, where every operand is of the same entry, or one number for all."""
    picked = [part for part in parts if isinstance(part, Picked)]
    first = picked[0]
    for part in picked:
        if part.source is not first.source or not np.array_equal(part.places, first.places):
            return None
    operands: list[Applied | np.ndarray] = []
    for part in parts:
        operand = part.function if isinstance(part, Picked) else _number(part, first)
        if operand is None:
            return None
        operands.append(operand)
    if equation.outvars[0].aval.shape != first.shape:
        return None
    same = equation.primitive.name == "convert_element_type" and first.function is ITSELF
    return first if same else replace(first, function=Applied(equation, tuple(operands)))


def _number(constant: np.ndarray, table: Picked) -> np.ndarray | None:
    """One number for all entries of a table; or, for the inputs, one a column (columns,)."""
    if constant.size and (constant == constant.flat[0]).all():
        return constant.flat[0]
    source = table.source
    if not isinstance(source, Arguments) or source.below is not None or constant.ndim > table.places.ndim:
        return None
    columns, found = table.places % source.units, np.broadcast_to(constant, table.shape)
    own = np.zeros(source.units, constant.dtype)
    own[columns] = found
    return own if (own[columns] == found).all() else None


def _product(equation: Any, picked: list[Picked]) -> Value:
    """A layer without a bias, of a matrix product in any arrangement."""
    (axes, batches) = equation.params["dimension_numbers"]
    if len(picked) != 2 or any(batches) or not all(part.places.size for part in picked):
        return None
    tables = []  # of each operand: (free entries, summed entries)
    for part, summed in zip(picked, axes, strict=True):
        free = [axis for axis in range(part.places.ndim) if axis not in summed]
        shape = [part.shape[axis] for axis in free]
        moved = part.places.transpose([*free, *summed]).reshape(int(np.prod(shape)), -1)
        tables.append((part, moved, shape))
    parameters = [isinstance(part.source, Parameters) for part in picked]
    if parameters.count(True) != 1:
        return None
    (weights, own, own_shape), (below, moved, shape) = sorted(
        tables, key=lambda table: not isinstance(table[0].source, Parameters)
    )
    layer = _layer(below, moved, weights, own)
    if layer is None:
        return None
    samples = moved[:, 0] // _units(below)
    first, second = samples[:, None] * layer.units, np.arange(layer.units)[None, :]
    if parameters[0]:  # its axes come first
        return Picked(layer, (first + second).T.reshape([*own_shape, *shape]))
    return Picked(layer, (first + second).reshape([*shape, *own_shape]))


def _with_parameters(name: str, picked: list[Picked]) -> Picked | None:
    """The bias of a layer; or the products of one unit below with its weights, which are a layer too."""
    own, table = sorted(picked, key=lambda part: not isinstance(part.source, Parameters))
    if isinstance(table.source, Parameters) or own.function is not ITSELF:
        return None
    if name == "add" and table.function is ITSELF:
        return _with_bias(table, own)
    return _outer(table, own) if name == "mul" and _units(table) == 1 else None


def _with_bias(table: Picked, own: Picked) -> Picked | None:
    layer = table.source
    assert isinstance(layer, Arguments)
    if (
        layer.weights is None
        or layer.biases is not None
        or np.broadcast_shapes(*_shapes(table, own)) != (table.shape)
    ):
        return None
    units = table.places % layer.units
    found = np.broadcast_to(own.places, table.shape)
    biases = np.full(layer.units, -1)
    biases[units.ravel()] = found.ravel()
    if (biases < 0).any() or (biases[units] != found).any():
        return None
    return Picked(replace(layer, biases=biases), table.places)


def _outer(table: Picked, own: Picked) -> Picked | None:
    shape = np.broadcast_shapes(*_shapes(table, own))
    samples, found = np.broadcast_to(table.places, shape), np.broadcast_to(own.places, shape)
    entries, units = np.unique(found, return_inverse=True)
    layer = _layer(table, np.unique(samples)[:, None], own, entries[:, None])
    return None if layer is None else Picked(layer, samples * layer.units + units.reshape(shape))


def _layer(below: Picked, moved: IntArray, weights: Picked, own: IntArray) -> Arguments | None:
    """A layer of inputs `moved` (samples, units below) and weights `own` (units, units below)."""
    units = _units(below)
    samples, columns = np.divmod(moved, units)
    regular = (
        weights.function is ITSELF
        and moved.shape[1:] == (units,)
        and (samples == samples[:, :1]).all()
        and (columns == columns[:1]).all()
        and np.array_equal(np.sort(columns[0]), np.arange(units))
        and len(np.unique(samples[:, 0])) == len(samples)
    )
    if not regular:
        return None
    found = np.empty_like(own)
    found[:, columns[0]] = own
    return Arguments(len(own), below, found)


def _units(table: Picked) -> int:
    assert isinstance(table.source, Arguments)
    return table.source.units


def _shapes(*parts: Picked) -> list[tuple[int, ...]]:
    return [part.shape for part in parts]


# -- the network -----------------------------------------------------------------------------------


def _model(output: Picked, n_params: int) -> DenseModel | None:
    """The layers below an output (samples, K), if they hold all parameters and each one once."""
    source, row = output.source, output.places[0]
    assert isinstance(source, Arguments)
    if not np.array_equal(np.sort(row), np.arange(source.units)) or not np.array_equal(
        output.places, np.arange(len(output.places))[:, None] * source.units + row
    ):
        return None
    layers, matrices, order = [], [], row  # the order in which the units of the layer are taken
    part: Picked | None = output
    while part is not None and isinstance(part.source, Arguments) and part.source.below is not None:
        source, kind = part.source, layer_of(part.function.of)
        if kind is None or source.weights is None or source.biases is None:
            return None
        layers.append(kind(source.units))
        matrices.append(np.column_stack([source.weights, source.biases])[order])
        part, order = source.below, slice(None)
    if part is None or not isinstance(part.source, Arguments):
        return None
    features = None if part.function is ITSELF else part.function.of
    places = np.concatenate([matrix.ravel() for matrix in reversed(matrices)] or [np.zeros(0, int)])
    if not np.array_equal(np.sort(places), np.arange(n_params)):
        return None
    return DenseModel(MLP([Input(part.source.units), *reversed(layers)]), places, features)
