"""What can be wrong with a model, found before training and said in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from marquardt._types import FloatArray
from marquardt.jax_models.model_on_data import ModelOnData
from marquardt.jax_models.parameter_tree import TreeLayout

_MOST_NAMES = 5


def checked_shape(outputs: Any, n_samples: int) -> tuple[tuple[int, ...], list[str]]:
    """Shape of the outputs of a model, (n_samples, ...), and a note on their precision."""
    leaves = jax.tree.leaves(outputs)
    if len(leaves) != 1 or not hasattr(outputs, "shape"):
        raise TypeError(
            f"the model returns a {type(outputs).__name__} of {len(leaves)} arrays: return one array, or "
            "take least_squares, whose residuals may be any tree"
        )
    if not np.issubdtype(outputs.dtype, np.floating):
        raise TypeError(f"the model returns {outputs.dtype}: outputs must be in floating point")
    if len(outputs.shape) == 0 or outputs.shape[0] != n_samples:
        raise ValueError(
            f"the model returns shape {outputs.shape} for {n_samples} samples: the first axis must count the "
            "samples (batched=False hands the model one sample at a time)"
        )
    note = (
        f"the model returns {outputs.dtype}, though its parameters and inputs are float64: remove the dtype= "
        "from its layers, or the fit stops at single precision"
    )
    return tuple(outputs.shape), [] if outputs.dtype == np.float64 else [note]


def check_same_every_time(what: str, same_code: bool, evaluate: Callable[[], FloatArray]) -> None:
    """ValueError for a function that draws random numbers.

    Numbers drawn in Python are frozen when JAX traces the function, so that two traces tell (`same_code`);
    numbers drawn by a callback show in two evaluations.
    """
    remedy = (
        "switch dropout off (equinox.nn.inference_mode(model), model.eval() in Flax), and draw random "
        "numbers before the fit, not within the function"
    )
    if not same_code:
        raise ValueError(f"{what} differs from call to call for the same parameters and data: {remedy}")
    a, b = evaluate(), evaluate()
    if not np.array_equal(a, b, equal_nan=True):
        raise ValueError(
            f"{what} gives different values for the same parameters and data (by up to "
            f"{np.nanmax(np.abs(a - b)):.3g}): {remedy}"
        )


def check_rows_are_independent(model: ModelOnData, w: FloatArray, z: FloatArray) -> None:
    """ValueError for a model whose output for one sample depends on the others, such as a batch norm."""
    alone, part = model.outputs_alone(w)
    together = z[:, part]
    finite = np.isfinite(together) & np.isfinite(alone)
    size = np.abs(together[finite]).max(initial=1e-300)
    gap = np.abs(alone[finite] - together[finite]).max(initial=0.0)
    if gap > 1e-4 * size:  # a model in single precision passes
        raise ValueError(
            f"the model's output for a sample depends on the other samples (it differs by {gap:.3g} when the "
            "sample is alone): put batch norm into inference mode and switch dropout off, or write the model "
            "as residuals for least_squares"
        )


def start_notes(z: FloatArray) -> list[str]:
    """A note when outputs at the start are not finite."""
    bad = ~np.isfinite(z).all(axis=0)
    if not bad.any():
        return []
    return [
        f"the model returns NaN or infinity for {int(bad.sum())} of {z.shape[1]} samples at the start, the "
        f"first is sample {int(np.argmax(bad))}"
    ]


def influence_notes(layout: TreeLayout, sqnorms: FloatArray) -> list[str]:
    """A note on parameters without influence, by the squared norms of the columns of J (p,)."""
    without = np.flatnonzero(sqnorms == 0)
    if not len(without):
        return []
    names = [layout.leaf_of(int(index)) for index in without[:_MOST_NAMES]]
    more = "" if len(without) <= _MOST_NAMES else f" and {len(without) - _MOST_NAMES} more"
    return [
        f"{len(without)} of {layout.n_params} parameters have no influence on the residuals: "
        f"{', '.join(names)}{more}; the data say nothing about them"
    ]


def input_notes(z: FloatArray, inputs_differ: bool) -> list[str]:
    """A note on a model that gives the same output (K, N) for samples that differ."""
    if inputs_differ and np.isfinite(z).all() and (z == z[:, :1]).all():
        return ["the model ignores its inputs: its output is the same for every sample"]
    return []
