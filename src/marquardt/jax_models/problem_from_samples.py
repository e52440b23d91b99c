"""A `SampleProblem` made of a model, samples and a loss, with the checks of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from marquardt._checks import check_finite, check_weights
from marquardt._types import FloatArray
from marquardt.jax_models.model_checks import (
    check_rows_are_independent,
    check_same_every_time,
    checked_shape,
)
from marquardt.jax_models.model_kinds import Model
from marquardt.jax_models.model_on_data import ModelOnData
from marquardt.jax_models.parameter_tree import ParameterTree, in_double
from marquardt.jax_models.sample_functions import SampleFormula
from marquardt.jax_models.sample_problem import SampleProblem
from marquardt.jax_models.targets import Targets
from marquardt.losses import LossOf


@dataclass(frozen=True)
class Samples:
    """X as a tree of NumPy arrays with one row a sample, float64 where they are in floating point."""

    X: Any
    n_samples: int

    @classmethod
    def of(cls, X: Any) -> Samples:
        X = jax.tree.map(_table, X, is_leaf=lambda part: isinstance(part, list))
        tables = jax.tree.leaves(X)
        lengths = {len(table) if table.ndim else None for table in tables}
        if len(lengths) != 1 or None in lengths:
            shapes = ", ".join(str(table.shape) for table in tables)
            raise ValueError(f"X has arrays of shape {shapes}: the first axis of each must count the samples")
        if lengths == {0}:
            raise ValueError("X has no rows: there is nothing to fit")
        for table in tables:
            if np.issubdtype(table.dtype, np.floating):
                check_finite("X", table)
        return cls(X, len(tables[0]))

    def differ(self) -> bool:
        """Whether there are two samples with different inputs."""
        return any((table != table[:1]).any() for table in jax.tree.leaves(self.X))


def problem_from_samples(
    model: Model,
    tree: ParameterTree,
    samples: Samples,
    y: Any,
    sample_weight: Any,
    prior: FloatArray | None,
    loss: LossOf,
) -> tuple[SampleProblem, list[str]]:
    """The problem, and notes on what the user should know of the model."""
    formula = SampleFormula(model.apply, tree.layout)
    constants = (tree.fixed, jax.tree.map(in_double, model.extra))
    code = formula.traced(constants, samples.X)
    shape, notes = checked_shape(code.outputs, samples.n_samples)
    n_outputs = int(np.prod(shape[1:], dtype=int))
    if n_outputs == 0:
        raise ValueError(f"the model returns shape {shape}: there are no outputs to fit")
    weights = check_weights(sample_weight, samples.n_samples)
    targets = Targets.of(y, shape, weights, loss)
    on_data = ModelOnData(formula.functions(code), constants, samples.X, samples.n_samples, n_outputs)
    return SampleProblem(on_data, targets.over_all(), prior, targets), notes


def check_behavior(problem: SampleProblem, w0: FloatArray) -> None:
    """ValueError for a model that is random or mixes samples; looked at once for data of a shape."""
    model, functions = problem.model, problem.model.functions
    X = model.passes.piece(0)
    shapes = tuple(table.shape for table in jax.tree.leaves(X))
    if shapes in functions.trusted:
        return
    first, second = (functions.formula.traced(model.constants, X) for _ in range(2))
    check_same_every_time("the model", first.digest == second.digest, lambda: model.outputs(w0))
    check_rows_are_independent(model, w0, problem.outputs(w0))
    functions.trusted.add(shapes)


def _table(part: Any) -> np.ndarray:
    table = np.array(part)  # a copy: JAX may read the memory of the user's array in place
    return table.astype(float, copy=False) if np.issubdtype(table.dtype, np.floating) else table
