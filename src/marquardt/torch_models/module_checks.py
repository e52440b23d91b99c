"""What can be wrong with a module, found before training and said in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from marquardt._types import FloatArray
from marquardt.torch_models.module_function import ModuleFunction
from marquardt.torch_models.parameter_layout import ParameterLayout, Tensors
from marquardt.torch_models.samples import Call

_MOST_NAMES = 5
_MIXED = 1e-4
"""Share of the outputs' size by which a sample may differ when it is alone: single precision passes."""

_REORDERED = 1e-6
"""Share of the outputs' size by which two calls may differ."""


def check_layers(module: nn.Module) -> None:
    """ValueError for layers that are random, or that mix the samples of a batch."""
    for name, layer in module.named_modules():
        where = f"layer {name!r} ({type(layer).__name__})" if name else type(layer).__name__
        if isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None):
            remedy = (
                "call module.eval(), so that it uses its running averages"
                if layer.running_mean is not None
                else "it has no running averages"
            )
            raise ValueError(
                f"{where} is a batch norm that uses the statistics of the batch, so that a sample's output "
                f"depends on the others: {remedy}, or take LayerNorm or GroupNorm"
            )
        rate = _dropout(layer)
        if rate > 0:
            raise ValueError(
                f"{where} drops at random (p={rate:g}): call module.eval(), or set p=0; alpha= keeps weights "
                "small instead"
            )


def checked_shape(outputs: Any, n_samples: int) -> tuple[tuple[int, ...], list[str]]:
    """Shape of the outputs of a module, (n_samples, ...), and a note on their precision."""
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the module returns a {type(outputs).__name__}: wrap it in a module that returns one tensor (an "
            "LSTM, for instance, returns its outputs and its state)"
        )
    shape = tuple(outputs.shape)
    if not outputs.is_floating_point():
        raise TypeError(f"the module returns {outputs.dtype}: outputs must be in floating point")
    if len(shape) == 0 or shape[0] != n_samples:
        raise ValueError(
            f"the module returns shape {shape} for {n_samples} samples: the first axis must count them "
            "(batch_first=True for a recurrent layer)"
        )
    if outputs.numel() == 0:
        raise ValueError(f"the module returns shape {shape}: there are no outputs to fit")
    note = (
        f"the module returns {outputs.dtype}, though its parameters and inputs are float64: remove the casts "
        "within it, or the fit stops at that precision"
    )
    return shape, [] if outputs.dtype == torch.float64 else [note]


def check_repeats(function: ModuleFunction, params: Tensors, call: Call) -> None:
    """ValueError for a module that is random, or that changes with every call."""
    before = {name: value.clone() for name, value in function.constants.items()}
    outputs: list[dict[str, Tensor]] = []
    for _ in range(2):
        found, buffers = _watched(function, lambda: function.raw(params, call))
        outputs.append(found)
        for name, value in buffers.items():
            if not torch.equal(torch.nan_to_num(before[name]), torch.nan_to_num(value)):
                raise ValueError(
                    f"the module is stateful: its buffer {name!r} changes with every call; call "
                    "module.eval(), or update it outside of forward"
                )
    first, second = outputs
    for name, value in first.items():
        other = second.get(name)
        if other is None or not _same(value, other):
            raise ValueError(
                f"{_where(name)} gives different values for the same parameters and data: draw random "
                "numbers before the fit and hand them over as data, keep no state from call to call, and "
                "call module.eval() where there is dropout"
            )


def check_rows_are_independent(function: ModuleFunction, params: Tensors, call: Call, z: Tensor) -> None:
    """ValueError for a module whose output for one sample depends on the others; z (n, K) of `call`."""
    args, kwargs = call
    alone = []
    for i in range(len(z)):
        own = slice(i, i + 1)
        single = (tuple(t[own] for t in args), {name: t[own] for name, t in kwargs.items()})
        try:
            alone.append(function.outputs(params, single))
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(
                f"the module cannot take a single sample ({error}): its outputs must not depend on the "
                "number of samples"
            ) from None
    gap = (torch.cat(alone) - z).nan_to_num().abs().max()
    if gap > _MIXED * z.nan_to_num(posinf=0.0, neginf=0.0).abs().max():
        raise ValueError(
            f"the module's output for a sample depends on the other samples (it differs by {float(gap):.3g} "
            "when the sample is alone): call module.eval(), or normalise within a sample"
        )


def start_notes(z: FloatArray) -> list[str]:
    """A note when outputs (K, N) at the start are not finite."""
    bad = ~np.isfinite(z).all(axis=0)
    if not bad.any():
        return []
    return [
        f"the module returns NaN or infinity for {int(bad.sum())} of {z.shape[1]} samples at the start, the "
        f"first is sample {int(np.argmax(bad))}"
    ]


def influence_notes(layout: ParameterLayout, sqnorms: FloatArray) -> list[str]:
    """A note on parameters without influence, by the squared norms of the columns of J (p,)."""
    without = np.flatnonzero(sqnorms == 0)
    if not len(without):
        return []
    names = [layout.name_of(int(index)) for index in without[:_MOST_NAMES]]
    more = "" if len(without) <= _MOST_NAMES else f" and {len(without) - _MOST_NAMES} more"
    return [
        f"{len(without)} of {layout.n_params} parameters have no influence on the outputs: "
        f"{', '.join(names)}{more}; the data say nothing about them"
    ]


def input_notes(z: FloatArray, inputs_differ: bool) -> list[str]:
    """A note on a module that gives the same output (K, N) for samples that differ."""
    if inputs_differ and z.shape[1] > 1 and np.isfinite(z).all() and (z == z[:, :1]).all():
        return ["the module ignores its inputs: its output is the same for every sample"]
    return []


def _dropout(layer: nn.Module) -> float:
    """The rate at which a layer drops now."""
    if not layer.training:
        return 0.0
    if isinstance(layer, _DropoutNd):
        return float(layer.p)
    if isinstance(layer, nn.RNNBase) and layer.num_layers > 1:
        return float(layer.dropout)
    return float(layer.dropout) if isinstance(layer, nn.MultiheadAttention) else 0.0


def _watched(
    function: ModuleFunction, call: Callable[[], Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The outputs of the layers, in the order in which they are made, and of the whole (""); and what the
    buffers are at the end."""
    names = {layer: name for name, layer in function.module.named_modules()}
    found: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}

    def note(layer: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            found.setdefault(names[layer], output.detach().clone())
        if layer is function.module:
            buffers.update({name: value.clone() for name, value in layer.named_buffers()})

    handles = [layer.register_forward_hook(note) for layer in names]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return found, buffers


def _same(a: Tensor, b: Tensor) -> bool:
    """Up to the order of sums, which an accelerator may choose anew."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = (value.double().nan_to_num(posinf=0.0, neginf=0.0) for value in (a, b))
    return bool((a - b).abs().max() <= _REORDERED * a.abs().max()) if a.numel() else True


def _where(name: str) -> str:
    return f"the layer {name!r} of the module" if name else "the module"
