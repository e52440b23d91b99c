"""A `ModuleProblem` made of a module, samples and a loss, with the checks of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from marquardt._types import FloatArray
from marquardt.losses import squared_error
from marquardt.torch_models.device import device_of
from marquardt.torch_models.double_precision import double_precision
from marquardt.torch_models.module_checks import (
    check_layers,
    check_repeats,
    check_rows_are_independent,
    checked_shape,
)
from marquardt.torch_models.module_function import ModuleFunction
from marquardt.torch_models.module_on_data import ModuleOnData
from marquardt.torch_models.module_problem import ModuleProblem
from marquardt.torch_models.parameter_layout import ParameterLayout, Tensors
from marquardt.torch_models.samples import Call, Samples
from marquardt.torch_models.targets import Targets

_PROBED = 3
"""Samples on which the behavior of a module is looked at."""
_REPEATED = 64
"""Samples that are computed twice: many, so that what is dropped at random shows."""
_STEP = 1e-6
"""Of a difference of first derivatives: short, so that a kink of a ReLU is hit next to never."""


def problem_from_module(
    module: nn.Module,
    layout: ParameterLayout,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    loss: Any = squared_error,
    alpha: float | Mapping[str, float] = 0.0,
) -> tuple[ModuleProblem, list[str]]:
    """The problem, and notes on what the user should know of the module."""
    device = device_of(module)
    check_layers(module)
    samples = Samples.of(X, device)
    if hasattr(y, "__len__") and len(y) != samples.n_samples:
        raise ValueError(f"X has {samples.n_samples} rows and y has {len(y)}: they must be the same samples")
    function = ModuleFunction(module, layout)
    params = layout.tensors(torch.tensor(layout.pack()).to(device))
    probe = samples.part(slice(0, min(_PROBED, samples.n_samples)))
    with torch.no_grad(), double_precision():
        check_repeats(function, params, samples.part(slice(0, _REPEATED)))
        shape, notes = _probed(function, params, probe)
    targets = Targets.of(y, (samples.n_samples, *shape[1:]), sample_weight, loss)
    model = ModuleOnData(function, samples, targets.values.shape[1], device)
    notes += _rows_by_sample(function, params, probe, targets.values.shape[1])
    return ModuleProblem(model, targets, layout.prior(alpha)), notes


def _probed(function: ModuleFunction, params: Tensors, probe: Call) -> tuple[tuple[int, ...], list[str]]:
    """Shape of the outputs for a few samples; ValueError for a module that mixes them."""
    args, kwargs = probe
    n = len((*args, *kwargs.values())[0])
    shape, notes = checked_shape(function.raw(params, probe), n)
    check_rows_are_independent(function, params, probe, function.outputs(params, probe))
    return shape, notes


def _rows_by_sample(function: ModuleFunction, params: Tensors, probe: Call, n_outputs: int) -> list[str]:
    """Whether `vmap` takes the module; a note, and rows one by one, where it does not."""
    args, kwargs = probe
    first = next(iter((*args, *kwargs.values())))
    u = torch.ones(1, len(first), n_outputs, dtype=torch.float64, device=first.device)
    try:
        rows, _ = function.rows(params, probe, u)
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        function.by_sample = False
        return [
            "torch.func.vmap cannot take the module, and rows of the Jacobian are made one by one, which is "
            f"slower: {str(error).splitlines()[0][:200]}"
        ]
    expected = function.pull(params, probe, u[0])
    for name, value in expected.items():
        found = rows[name][0].sum(dim=0)
        if not torch.allclose(found, value, rtol=1e-6, atol=1e-6 * float(value.abs().max()), equal_nan=True):
            function.by_sample = False
            return [
                "torch.func.vmap gives other derivatives than the module itself, and rows of the Jacobian "
                "are made one by one, which is slower"
            ]
    return []


def check_second_order(problem: ModuleProblem, w: FloatArray) -> list[str]:
    """Whether the second directional derivative is there and right, by differences of the first; a note, and
    steps without acceleration, where it is not."""
    model = problem.model
    function, probe = model.function, model.samples.part(slice(0, min(_PROBED, model.n_samples)))
    d = np.random.default_rng(0).normal(size=len(w))
    params, tangents = model.params(w), model.params(d)
    try:
        z1, z2 = function.directional(params, tangents, probe)
        sides = [function.push(model.params(w + h * d), tangents, probe) for h in (_STEP, -_STEP)]
    except (RuntimeError, NotImplementedError) as error:
        function.bends = False
        return [
            "the module has no second directional derivative, and steps are not accelerated: "
            f"{str(error).splitlines()[0][:200]}"
        ]
    expected = (sides[0] - sides[1]) / (2 * _STEP)
    size = max(float(expected.nan_to_num().abs().max()), float(z1.nan_to_num().abs().max()))
    if float((expected - z2).nan_to_num().abs().max()) > 1e-3 * size:
        function.bends = False
        return ["PyTorch's second directional derivative of the module is wrong: steps are not accelerated"]
    return []
