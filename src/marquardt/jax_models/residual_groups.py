"""Groups of residuals that share parameters, each with samples of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from marquardt._checks import check_weights
from marquardt._types import FloatArray
from marquardt.jax_models.model_checks import checked_shape
from marquardt.jax_models.model_kinds import take_apart
from marquardt.jax_models.model_on_data import ModelOnData
from marquardt.jax_models.parameter_tree import ParameterTree
from marquardt.jax_models.problem_from_samples import Samples
from marquardt.jax_models.sample_functions import SampleFormula
from marquardt.jax_models.sample_problem import SampleProblem
from marquardt.jax_models.stacked_problem import StackedProblem
from marquardt.losses import SquaredError
from marquardt.models.activations import Identity


@dataclass(frozen=True)
class ResidualGroup:
    """Residuals of one kind: one function of the parameters and of a sample, at many samples.

    Parameters
    ----------
    residual : callable
        ``residual(params, x)`` -> the residual or residuals of one sample, of any shape.
    X : array (n_samples, ...), or a tuple or dict of such arrays
        x for all samples.
    weight : float or array (n_samples,)
        Of each squared residual.  ``1 / n_samples`` makes their sum the mean.

    Examples
    --------
    >>> group = ResidualGroup(lambda params, x: params["slope"] * x - 1.0, np.arange(3.0))
    """

    residual: Callable[[Any, Any], Any]
    X: Any
    weight: float | FloatArray = 1.0


Groups = Mapping[str, ResidualGroup]


def stacked_problem(
    groups: Groups, tree: ParameterTree, prior: FloatArray | None
) -> tuple[StackedProblem, list[str]]:
    """The problem of the groups, and notes on what the user should know."""
    if not groups:
        raise ValueError("groups is empty: give at least one group of residuals")
    parts, notes = [], []
    for name, group in groups.items():
        try:
            part, own = _part(group, tree)
        except jax.errors.JAXTypeError as error:  # its subclasses want a tracer to be made
            raise TypeError(
                f"group {name!r}: its function turns a traced value into a number or a truth value: take "
                "jax.numpy in place of numpy and math, and jax.numpy.where in place of if"
            ) from error
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"group {name!r}: {error}") from error
        parts.append(part)
        notes += own
    return StackedProblem(parts, prior), notes


def renewed(problem: StackedProblem, groups: Groups) -> StackedProblem:
    """The same functions with other samples and weights: nothing is traced, and, for samples of the same
    shapes, nothing compiled."""
    parts = []
    for part, group in zip(problem.parts, groups.values(), strict=True):
        samples = Samples.of(group.X)
        old = part.model
        model = ModelOnData(old.functions, old.constants, samples.X, samples.n_samples, old.n_outputs)
        parts.append(SampleProblem(model, _loss(group, samples, old.n_outputs)))
    new = StackedProblem(parts, problem.prior)
    new.output_layer, new.exact = problem.output_layer, problem.exact
    return new


def _part(group: ResidualGroup, tree: ParameterTree) -> tuple[SampleProblem, list[str]]:
    samples, apply = Samples.of(group.X), take_apart((group.residual, None), batched=False).apply
    formula, constants = SampleFormula(apply, tree.layout), (tree.fixed, None)
    code = formula.traced(constants, samples.X)
    shape, notes = checked_shape(code.outputs, samples.n_samples)
    n_outputs = int(np.prod(shape[1:], dtype=int))
    if n_outputs == 0:
        raise ValueError("its function returns no residuals")
    model = ModelOnData(formula.functions(code), constants, samples.X, samples.n_samples, n_outputs)
    return SampleProblem(model, _loss(group, samples, n_outputs)), notes


def _loss(group: ResidualGroup, samples: Samples, n_outputs: int) -> SquaredError:
    weights = np.broadcast_to(np.asarray(group.weight, dtype=float), samples.n_samples)
    checked = check_weights(weights, samples.n_samples)
    assert checked is not None
    roots = None if (checked == 1.0).all() else np.sqrt(checked)
    return SquaredError(Identity(), np.zeros((n_outputs, samples.n_samples)), roots)
