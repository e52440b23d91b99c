"""What a module is called with, one row a sample: tensors, several tensors, a dict, or a DataLoader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from marquardt._checks import check_finite
from marquardt._types import IntArray

Call = tuple[tuple[Tensor, ...], dict[str, Tensor]]
"""Positional and named arguments of a module."""


@dataclass(frozen=True)
class Samples:
    """Inputs on the device of the module, float64 where they are in floating point.

    A tensor is handed over as ``module(X)``, a tuple or list of tensors as ``module(*X)``, a dict as
    ``module(**X)``.

    >>> samples = Samples.of({"x": np.zeros((4, 2)), "ids": np.arange(4)}, torch.device("cpu"))
    >>> samples.n_samples, {name: table.dtype for name, table in samples.call[1].items()}
    (4, {'x': torch.float64, 'ids': torch.int64})
    """

    call: Call
    n_samples: int

    @classmethod
    def of(cls, X: Any, device: torch.device) -> Samples:
        if isinstance(X, Mapping):
            args, kwargs = (), {str(name): _table(f"X[{name!r}]", part, device) for name, part in X.items()}
        elif isinstance(X, tuple | list) and X and all(isinstance(part, Tensor | np.ndarray) for part in X):
            args, kwargs = tuple(_table(f"X[{i}]", part, device) for i, part in enumerate(X)), {}
        else:
            args, kwargs = (_table("X", X, device),), {}
        tables = [*args, *kwargs.values()]
        lengths = {len(table) for table in tables}
        if len(lengths) != 1:
            shapes = ", ".join(str(tuple(table.shape)) for table in tables) or "none"
            raise ValueError(
                f"X has tensors of shape {shapes}: the first axis of each must count the samples"
            )
        if lengths == {0}:
            raise ValueError("X has no rows: there is nothing to fit")
        return cls((args, kwargs), lengths.pop())

    def part(self, samples: slice, dtype: torch.dtype = torch.float64) -> Call:
        """The arguments for some of the samples; those in floating point as `dtype`."""
        args, kwargs = self.call

        def own(table: Tensor) -> Tensor:
            table = table[samples]
            return table.to(dtype) if table.is_floating_point() else table

        return tuple(map(own, args)), {name: own(table) for name, table in kwargs.items()}

    def some(self, rows: IntArray) -> Samples:
        """Some of the samples."""
        args, kwargs = self.call
        own = torch.from_numpy(rows)
        chosen = tuple(table[own] for table in args), {name: table[own] for name, table in kwargs.items()}
        return Samples(chosen, len(rows))

    def differ(self) -> bool:
        """Whether there are two samples with different inputs."""
        args, kwargs = self.call
        return any(bool((table != table[:1]).any()) for table in (*args, *kwargs.values()))


def from_loader(loader: DataLoader[Any], target: str | None) -> tuple[Any, Any]:
    """X and y of all batches of one epoch.

    A batch is ``(inputs, y)``, ``(first, second, ..., y)``, or a dict in which `target` names y.
    """
    inputs, targets = [], []
    for batch in loader:
        if isinstance(batch, Mapping):
            if target is None or target not in batch:
                raise ValueError(
                    f"the DataLoader gives dicts with {', '.join(map(repr, batch))}: name the target, "
                    f'y="..." (it was {target!r})'
                )
            inputs.append({name: part for name, part in batch.items() if name != target})
            targets.append(batch[target])
        elif isinstance(batch, tuple | list) and len(batch) >= 2:
            inputs.append(batch[0] if len(batch) == 2 else tuple(batch[:-1]))
            targets.append(batch[-1])
        else:
            raise ValueError(
                f"the DataLoader gives a {type(batch).__name__}, not (inputs, y): its dataset needs targets"
            )
    if not inputs:
        raise ValueError("the DataLoader gives no batch: there is nothing to fit")
    return _joined(inputs), _joined(targets)


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple | list):
        return tuple(_joined(list(column)) for column in zip(*parts, strict=True))
    return torch.cat([torch.as_tensor(part) for part in parts])


def _table(name: str, part: Any, device: torch.device) -> Tensor:
    try:
        table = part.detach() if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from None
    if table.dim() == 0:
        raise ValueError(f"{name} is one number: its first axis must count the samples")
    if table.is_complex():
        raise ValueError(f"{name} is complex: take real and imaginary parts")
    if not table.is_floating_point():
        return table.to(device)
    check_finite(name, table.double().cpu().numpy())
    return table.to(device, torch.float64)
