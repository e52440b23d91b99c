"""The Jacobian of a PyTorch module, made block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from marquardt import streamed_jacobian
from marquardt._types import FloatArray
from marquardt.torch_models.module_on_data import ModuleOnData


@dataclass(frozen=True)
class StreamedJacobian(streamed_jacobian.StreamedJacobian):
    """J (K·N, p) at w of a module."""

    model: ModuleOnData

    def blocks(
        self, residuals: slice = slice(None), kept: bool = False
    ) -> Iterator[tuple[FloatArray, slice]]:
        for rows, part in self.model.rows(self.w, self.seed, residuals, kept):
            yield self.fetched(rows), part

    def fill_single(self, matrix: FloatArray) -> FloatArray:
        """By the module in float32, where it runs in that: a module may ask for float64 by name."""
        if not self.model.runs_in_single:
            return self.fill(matrix)
        table = matrix.reshape(self.model.n_outputs, self.model.n_samples, -1)
        try:
            for rows, part in self.model.rows(self.w, self.seed, function=self.model.function.single):
                table[:, part] = self.fetched(rows)
        except RuntimeError:
            self.model.runs_in_single = False
            return self.fill(matrix)
        return matrix

    def fetched(self, array: Tensor) -> FloatArray:
        return array.cpu().numpy()  # on a CPU the memory of PyTorch, read in place

    def gram_on_device(self) -> Tensor:
        p = self.shape[1]
        total = torch.zeros(p, p, dtype=torch.float64, device=self.model.device)
        for rows, _ in self.model.rows(self.w, self.seed):
            block = rows.reshape(-1, p)
            total.addmm_(block.T, block)
        return total
