"""The trained parameters of a module as one vector w, and the way back.

In the order of `module.named_parameters()`, each row-major; but the bias of an `nn.Linear` is the last column
of its weight, as in `marquardt.models.mlp`, so that a network has the same w here and there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from marquardt._types import FloatArray

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Piece:
    """A run of w: a parameter, or the weight of a linear layer with its bias."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    block: slice

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the piece as one table."""
        if len(self.names) == 1:
            return self.shapes[0]
        return (self.shapes[0][0], self.shapes[0][1] + 1)

    def split(self, table: Tensor) -> list[Tensor]:
        """Views of the parameters in a table (..., *shape)."""
        if len(self.names) == 1:
            return [table]
        return [table[..., :-1], table[..., -1]]


class ParameterLayout:
    """Names, shapes and places in w of the parameters of a module that are trained (`requires_grad`).

    A parameter that a module holds under several names is one.

    >>> layout = ParameterLayout(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)))
    >>> [(piece.names, piece.block) for piece in layout.pieces]
    [(('0.weight', '0.bias'), slice(0, 9, None)), (('2.weight', '2.bias'), slice(9, 13, None))]
    """

    def __init__(self, module: nn.Module) -> None:
        self.trained = _trained(module)
        self.pieces: list[Piece] = []
        partners = _biases(module, self.trained)
        start = 0
        for name in self.trained:
            if name in partners.values():
                continue
            names = (name, partners[name]) if name in partners else (name,)
            size = sum(self.trained[own].numel() for own in names)
            shapes = tuple(tuple(self.trained[own].shape) for own in names)
            self.pieces.append(Piece(names, shapes, slice(start, start + size)))
            start += size
        self.n_params = start

    def tensors(self, w: Tensor) -> Tensors:
        """The parameters at w (p,), by name."""
        result: Tensors = {}
        for piece in self.pieces:
            parts = piece.split(w[piece.block].reshape(piece.shape))
            result.update(zip(piece.names, [part.contiguous() for part in parts], strict=True))
        return result

    def fill(self, gradients: Tensors, table: Tensor) -> Tensor:
        """Write gradients (..., *shape) by name to `table` (..., p)."""
        for piece in self.pieces:
            block = table[..., piece.block]
            for name, target in zip(piece.names, piece.split(block.unflatten(-1, piece.shape)), strict=True):
                target.copy_(gradients[name])
        return table

    def pack(self) -> FloatArray:
        """w of the values that the module has now."""
        values = {name: parameter.detach().double().cpu() for name, parameter in self.trained.items()}
        return self.fill(values, torch.empty(self.n_params, dtype=torch.float64)).numpy()

    def write(self, w: FloatArray) -> None:
        """Give the module the values w, each in its own precision and on its device."""
        with torch.no_grad():
            for name, value in self.tensors(torch.tensor(w)).items():
                self.trained[name].copy_(value)

    def rounded(self, w: FloatArray) -> FloatArray:
        """w as the module would hold it."""
        values = {
            name: value.to(self.trained[name].dtype).double()
            for name, value in self.tensors(torch.tensor(w)).items()
        }
        return self.fill(values, torch.empty(self.n_params, dtype=torch.float64)).numpy()

    def prior(self, alpha: float | Mapping[str, float]) -> FloatArray | None:
        """S₀ (p,): a number for all parameters with two axes and more, or numbers by (start of a) name."""
        table = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in self.trained.items()}
        if isinstance(alpha, Mapping):
            for key, value in alpha.items():
                under = [name for name in table if name == key or name.startswith(f"{key}.")]
                if not under:
                    raise ValueError(f"alpha names {key!r}, which is not trained; there are {_listed(table)}")
                for name in under:
                    table[name].fill_(_checked(value))
        else:
            for value in table.values():
                if value.dim() >= 2:
                    value.fill_(_checked(alpha))
        table = {name: value.cpu() for name, value in table.items()}
        prior = self.fill(table, torch.empty(self.n_params, dtype=torch.float64)).numpy()
        return prior if prior.any() else None

    def name_of(self, index: int) -> str:
        """Where an entry of w belongs: ``0.weight[2, 1]``."""
        for piece in self.pieces:
            if piece.block.start <= index < piece.block.stop:
                own = index - piece.block.start
                place = [int(i) for i in np.unravel_index(own, piece.shape)] if piece.shape else []
                bias = len(piece.names) == 2 and place[-1] == piece.shape[-1] - 1
                return f"{piece.names[1]}[{place[0]}]" if bias else f"{piece.names[0]}{place or ''}"
        raise IndexError(index)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    trained: dict[str, nn.Parameter] = {}
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ValueError(f"the parameter {name!r} has no shape yet: call the module once before the fit")
        if not parameter.requires_grad:
            continue
        if parameter.is_complex():
            raise TypeError(f"the parameter {name!r} is complex: keep its real and imaginary parts as two")
        if not bool(torch.isfinite(parameter.detach()).all()):
            raise ValueError(f"the parameter {name!r} holds NaN or infinite values: start from finite ones")
        if parameter.numel():
            trained[name] = parameter
    if trained:
        return trained
    frozen = {name: str(value.dtype).removeprefix("torch.") for name, value in module.named_parameters()}
    if not frozen:
        raise ValueError("the module has no parameters: there is nothing to train")
    kinds = ", ".join(f"{name} ({kind})" for name, kind in list(frozen.items())[:5])
    raise ValueError(
        f"no parameter of the module is trained: {kinds}; call requires_grad_(True), and keep what is "
        "trained in floating point, since integers have no derivative"
    )


def _biases(module: nn.Module, trained: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """Names of weights of linear layers -> of their biases, both trained."""
    names: dict[str, str] = {}
    for prefix, layer in module.named_modules():
        if type(layer) is not nn.Linear:
            continue
        dot = f"{prefix}." if prefix else ""
        weight, bias = f"{dot}weight", f"{dot}bias"
        if weight in trained and bias in trained and bias not in names.values():
            names[weight] = bias
    return names


def _checked(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"alpha={value!r} must be a finite number >= 0")
    return float(value)


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    return ", ".join(names)
