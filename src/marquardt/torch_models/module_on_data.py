"""A module with its samples: what NumPy asks of it, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from marquardt._types import FloatArray
from marquardt.output_seed import OutputSeed
from marquardt.torch_models.device import halved
from marquardt.torch_models.double_precision import double_precision
from marquardt.torch_models.module_function import ModuleFunction
from marquardt.torch_models.parameter_layout import Tensors
from marquardt.torch_models.samples import Call, Samples

ROW_BYTES = 8 * 2**20
"""Size of a block of Jacobian rows on a CPU."""
DEVICE_ROW_BYTES = 256 * 2**20
"""The same on an accelerator, where a call costs more than a trip to memory."""
PASS_SAMPLES = 16_384
"""Samples of a forward pass; at 1000 numbers a sample within the module that is 130 MB."""

T = TypeVar("T")


class ModuleOnData:
    """Outputs and products of a module on samples; vectors are NumPy float64, outputs (K, N).

    A chunk for which the device has no memory is halved, and `notes` say so.
    """

    def __init__(
        self, function: ModuleFunction, samples: Samples, n_outputs: int, device: torch.device
    ) -> None:
        self.function, self.samples, self.device = function, samples, device
        self.n_samples, self.n_outputs = samples.n_samples, n_outputs
        self.n_params = function.layout.n_params
        self.notes: list[str] = []
        self.runs_in_single = True
        """Whether the module takes float32; not known before it is tried."""
        self.on_host = device.type == "cpu"
        row_bytes = ROW_BYTES if self.on_host else DEVICE_ROW_BYTES
        self._sizes = {
            "pass": min(PASS_SAMPLES, self.n_samples),
            "rows": max(1, min(row_bytes // (8 * self.n_params * n_outputs), self.n_samples)),
        }

    @property
    def rows_fit_one_chunk(self) -> bool:
        """Whether the whole Jacobian is one block of rows."""
        return self._sizes["rows"] >= self.n_samples

    def params(self, w: FloatArray) -> Tensors:
        """The parameters at w, by name, on the device."""
        return self.function.layout.tensors(torch.tensor(w).to(self.device))

    def outputs(self, w: FloatArray) -> FloatArray:
        """Z (K, N)."""
        params = self.params(w)
        with torch.no_grad(), double_precision():
            parts = [z for z, _ in self.passes(lambda call, _: self.function.outputs(params, call))]
        return _features(parts)

    def push(self, w: FloatArray, d: FloatArray) -> FloatArray:
        """ż along d (K, N)."""
        params, tangents = self.params(w), self.params(d)
        return _features(
            [z for z, _ in self.passes(lambda call, _: self.function.push(params, tangents, call))]
        )

    def directional(self, w: FloatArray, d: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """ż and z̈ along d, (K, N) each; None where the module has no z̈."""
        if not self.function.bends:
            return None
        params, tangents = self.params(w), self.params(d)
        run = self.function.directional
        parts = [pair for pair, _ in self.passes(lambda call, _: run(params, tangents, call))]
        return _features([z1 for z1, _ in parts]), _features([z2 for _, z2 in parts])

    def pull(self, w: FloatArray, u: FloatArray) -> FloatArray:
        """Σ_n (∂z_n/∂w)ᵀ u_n (p,), for u (K, N)."""
        params, layout = self.params(w), self.function.layout
        total = torch.zeros(self.n_params, dtype=torch.float64, device=self.device)
        own = torch.empty_like(total)

        def pulled(call: Call, part: slice) -> Tensor:
            seed = torch.from_numpy(np.ascontiguousarray(u[:, part].T)).to(self.device)
            return layout.fill(self.function.pull(params, call, seed), own)

        for one, _ in self.passes(pulled):
            total += one
        return total.cpu().numpy()

    def rows(
        self,
        w: FloatArray,
        seed: OutputSeed,
        residuals: slice = slice(None),
        kept: bool = False,
        function: ModuleFunction | None = None,
    ) -> Iterator[tuple[Tensor, slice]]:
        """Blocks of Jacobian rows (residuals, chunk, p) on the device, and the samples they belong to.

        A block is overwritten by the next, unless it is to be `kept`.  `function` may be the one in float32.
        """
        function = function or self.function
        dtype, layout = function.dtype, function.layout
        params = {name: value.to(dtype) for name, value in self.params(w).items()}
        table = torch.empty(0, dtype=dtype, device=self.device)

        def block(call: Call, part: slice) -> Tensor:
            nonlocal table
            cotangents = torch.from_numpy(seed.cotangents(part, residuals)).to(self.device)
            found, _ = function.rows(params, call, cotangents)
            m, n, _ = cotangents.shape
            size = m * n * self.n_params
            if kept or table.numel() < size:
                table = table.new_empty(size)
            return layout.fill(found, table[:size].view(m, n, self.n_params))

        yield from self._attempts("rows", block, dtype)

    def passes(self, call: Callable[[Call, slice], T]) -> Iterator[tuple[T, slice]]:
        """What `call` makes of chunk after chunk of the samples, in the size of a forward pass."""
        yield from self._attempts("pass", call)

    # -- within --------------------------------------------------------------------------------

    def _attempts(
        self, which: str, call: Callable[[Call, slice], T], dtype: torch.dtype = torch.float64
    ) -> Iterator[tuple[T, slice]]:
        """`call` on chunk after chunk, with smaller and smaller ones while memory runs out."""
        start = 0
        while start < self.n_samples:
            part = slice(start, min(start + self._sizes[which], self.n_samples))
            try:
                result = call(self.samples.part(part, dtype), part)
            except RuntimeError as error:
                self._sizes[which] = halved(part.stop - start, error, self.notes)
                continue
            yield result, part
            start = part.stop


def _features(parts: list[Tensor]) -> FloatArray:
    """Chunks (n, K) as one table (K, N) of NumPy."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    return np.ascontiguousarray(whole.detach().cpu().numpy().T)
