r"""The Jacobian of a module, made block by block and never kept.

JᵀJ is the sum of the blocks' own: on a CPU by the BLAS rank-k update of the host, which reads the memory of
PyTorch in place and does half the work of a product; on an accelerator where the blocks are
(`gram_on_device`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from marquardt._lapack import dsyrk
from marquardt._types import FloatArray, IntArray
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian
from marquardt.output_seed import OutputSeed
from marquardt.torch_models.module_on_data import ModuleOnData


@dataclass(frozen=True)
class StreamedJacobian:
    """J (K·N, p) at w, output-major, of a module and the seed of its residuals."""

    model: ModuleOnData
    w: FloatArray
    seed: OutputSeed
    scratch: Scratch = field(default_factory=Scratch, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        return self.model.n_outputs * self.model.n_samples, self.model.n_params

    def mv(self, v: FloatArray) -> FloatArray:
        return self.seed.times(self.model.push(self.w, v)).ravel()

    def rmv(self, u: FloatArray) -> FloatArray:
        table = u.reshape(self.model.n_outputs, self.model.n_samples)
        return self.model.pull(self.w, self.seed.transposed_times(table))

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        p = self.shape[1]
        out = np.empty((p, p)) if out is None else out
        if not self.model.on_host:
            out[...] = self.gram_on_device().cpu().numpy()
            return out
        first = True
        for rows, _ in self.model.rows(self.w, self.seed):
            block = rows.numpy().reshape(-1, p)
            # `out` row-major, upper triangle = its transpose column-major, lower triangle
            dsyrk(1.0, block.T, beta=0.0 if first else 1.0, c=out.T, lower=1, overwrite_c=1)
            first = False
        return out

    def gram_on_device(self) -> Tensor:
        """JᵀJ (p, p), both triangles, on the device of the module."""
        p = self.shape[1]
        total = torch.zeros(p, p, dtype=torch.float64, device=self.model.device)
        for rows, _ in self.model.rows(self.w, self.seed):
            block = rows.reshape(-1, p)
            total.addmm_(block.T, block)
        return total

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        n, p = self.shape
        matrix = self._fill(self.scratch.table("rows", n, p))
        if weights is not None:
            matrix *= np.sqrt(weights)
        out = np.empty((n, n)) if out is None else out
        dsyrk(1.0, matrix.T, beta=0.0, c=out.T, trans=1, lower=1, overwrite_c=1)
        return out

    def column_sqnorms(self) -> FloatArray:
        total = torch.zeros(self.shape[1], dtype=torch.float64, device=self.model.device)
        for rows, _ in self.model.rows(self.w, self.seed):
            total += torch.einsum("knj,knj->j", rows, rows)
        return total.cpu().numpy()

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return DenseJacobian(self.dense()).column_forms(matrix, groups, n_groups)

    def gram_flops(self) -> float:
        n, p = self.shape
        return float(n) * p**2

    def cogram_flops(self) -> float:
        n, p = self.shape
        return float(n) ** 2 * p

    def row_chunks(self) -> Iterator[FloatArray]:
        for k in range(self.model.n_outputs):
            for rows, _ in self.model.rows(self.w, self.seed, slice(k, k + 1), kept=True):
                yield rows[0].cpu().numpy()

    def dense(self) -> FloatArray:
        return self._fill(np.empty(self.shape))

    def _fill(self, matrix: FloatArray) -> FloatArray:
        table = matrix.reshape(self.model.n_outputs, self.model.n_samples, -1)
        for rows, part in self.model.rows(self.w, self.seed):
            table[:, part] = rows.cpu().numpy()
        return matrix
