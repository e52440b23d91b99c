"""Operations of PyTorch whose second derivative is missing or wrong under nested `torch.func`, written out.

With PyTorch 2.13 `layer_norm` and `instance_norm` give a wrong second directional derivative, forward and
reverse alike (`tests/test_torch_fit.py`); `glu` and weight norm have none in forward mode.
"""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class WrittenOut(TorchFunctionMode):
    """A `with` in which these operations are made of simpler ones."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _INSTEAD.get(func, func)(*args, **(kwargs or {}))


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    deviation = x - x.mean(dim=axes, keepdim=True)
    return deviation * torch.rsqrt((deviation * deviation).mean(dim=axes, keepdim=True) + eps)


def _layer_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    result = _standardized(input, tuple(range(-len(normalized_shape), 0)), eps)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not use_input_stats:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    result = _standardized(input, tuple(range(2, input.dim())), eps)
    shape = (1, -1) + (1,) * (input.dim() - 2)
    result = result if weight is None else result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    axes = tuple(axis for axis in range(v.dim()) if axis != dim)
    return v * (g / (v * v).sum(dim=axes, keepdim=True).sqrt())


def _glu(input: Tensor, dim: int = -1) -> Tensor:
    a, b = input.chunk(2, dim)
    return a * torch.sigmoid(b)


_INSTEAD: dict[Callable[..., Any], Callable[..., Any]] = {
    F.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    F.glu: _glu,
    torch._weight_norm: _weight_norm,
}
