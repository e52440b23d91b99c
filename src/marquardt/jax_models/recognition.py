"""Whether a model is a multilayer perceptron, which the network in NumPy trains faster.

Read off the trace of the model for a few samples, then tried on them: outputs and derivatives, which JAX
writes down and NumPy computes, so that nothing is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from marquardt._types import FloatArray
from marquardt.dense_model import DenseModel, DenseProblem, agree
from marquardt.jax_models.array_operations import KNOWN, computed
from marquardt.jax_models.dense_trace import dense_model
from marquardt.jax_models.double_precision import double_precision
from marquardt.jax_models.model_on_data import ModelOnData
from marquardt.jax_models.sample_problem import SampleProblem

_TRIED = 64
"""Samples on which a model is tried out."""
_NEAR = 2
"""Parameters near the start at which it is tried out, beside the start."""


def recognized(problem: SampleProblem, w0: FloatArray) -> DenseProblem | None:
    """The training by the network that the model of a problem is, as it is seen near w0; None for another
    model, on an accelerator, and where the network would not do."""
    model = dense_model_of(problem, w0)
    return None if model is None else on_network(model, problem)


def dense_model_of(problem: SampleProblem, w0: FloatArray) -> DenseModel | None:
    """The network that the model of a problem is; None for any other model."""
    model = problem.model
    tables = jax.tree.leaves(model.passes.X)
    if (
        not model.on_host
        or len(tables) != 1
        or tables[0].ndim != 2
        or not model.functions.operations <= KNOWN
    ):
        return None
    few = np.linspace(0, model.n_samples - 1, min(_TRIED, model.n_samples)).astype(int)
    X = jax.tree.map(lambda table: table[few], model.passes.X)
    own = [w0, *map(_numbers, jax.tree.leaves(model.constants)), *jax.tree.leaves(X)]
    near = 0 if own[-1].shape in model.functions.readings else _NEAR  # has it been tried before?
    try:
        reading = _reading(model, X, own)
        return reading.model if reading is not None and _agrees(reading, own, near) else None
    except NotImplementedError:  # an operation, or a way to use it, that is not known here
        return None


def on_network(model: DenseModel, problem: SampleProblem) -> DenseProblem | None:
    """The training of a problem by the network that its model is; None where that would not do."""
    targets, (table,) = problem.targets, jax.tree.leaves(problem.model.passes.X)
    if targets is None:
        return None
    return model.problem(
        np.asarray(table, dtype=float), targets.values.T, targets.weights, problem.prior, targets.loss
    )


@dataclass(frozen=True)
class Reading:
    """A network, and what it was read from."""

    model: DenseModel
    trace: Any
    """Of (w, direction, constants, X) -> outputs (N, K) and their derivative along that direction."""


def _reading(model: ModelOnData, X: Any, own: list[Any]) -> Reading | None:
    """For some samples; kept with the compiled functions where it depends on shapes only."""
    readings, shape = model.functions.readings, own[-1].shape
    if shape in readings:
        return readings[shape]
    formula = model.functions.formula
    w = np.zeros(model.n_params)

    def outputs(w: jax.Array, constants: Any, X: Any) -> jax.Array:
        return formula.outputs(formula.layout.pieces(w), constants, X)

    def along(w: jax.Array, d: jax.Array, constants: Any, X: Any) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda v: outputs(v, constants, X), (w,), (d,))

    with double_precision():
        try:
            trace = jax.make_jaxpr(outputs)(w, model.constants, X)
        except (TypeError, ValueError):  # a model of as many samples as there are: its checks will say so
            return None
        found = dense_model(trace, own, len(own[-1]))
        reading = None
        if found is not None:
            reading = Reading(found, jax.make_jaxpr(along)(w, w, model.constants, X))
    if len(own) == 2:  # without constants, which may be other numbers next time
        readings[shape] = reading
    return reading


def _numbers(constant: Any) -> np.ndarray | None:
    """None for random keys."""
    return None if jnp.issubdtype(constant.dtype, jax.dtypes.extended) else np.asarray(constant)


def _agrees(reading: Reading, own: list[Any], near: int) -> bool:
    """Whether outputs and their derivatives are the same at the start and at some places near it."""
    w0, *rest = own
    X = np.asarray(rest[-1], dtype=float)
    rng = np.random.default_rng(0)
    for place in range(1 + near):
        w = w0 if place == 0 else w0 + 0.1 * rng.normal(size=w0.shape)
        d = rng.normal(size=w0.shape)
        z, z1 = computed(reading.trace, [w, d, *rest])
        own_z, own_z1 = reading.model.outputs_along(w, d, X)
        if not (agree(own_z, z.T) and agree(own_z1, z1.T)):
            return False
    return True
