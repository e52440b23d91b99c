r"""The Jacobian of a model of samples, made block by block and never kept.

JᵀJ is the sum of the blocks' own: on a CPU by the BLAS rank-k update of the host, which reads the memory of
the model's library in place; on an accelerator where the blocks are (`gram_on_device`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from marquardt._lapack import add_gram
from marquardt._types import FloatArray, IntArray
from marquardt.cogram import dense_cogram
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian
from marquardt.output_seed import OutputSeed
from marquardt.single_jacobian import SingleJacobian

KEPT_BYTES = 256 * 2**20
"""Rows in float32 up to this size are kept, where `MixedCholesky` asks for them."""


class RowSource(Protocol):
    """What gives rows of a Jacobian and its products with vectors: a model, or a residual function."""

    n_outputs: int
    n_samples: int
    n_params: int

    @property
    def on_host(self) -> bool:
        """Whether its arrays are in the memory of the host."""
        ...

    def push(self, w: FloatArray, d: FloatArray) -> FloatArray:
        """Derivative of the outputs along d (K, N)."""
        ...

    def pull(self, w: FloatArray, u: FloatArray) -> FloatArray:
        """The transpose of `push`: (p,) for u (K, N)."""
        ...


@dataclass(frozen=True)
class StreamedJacobian(ABC):
    """J (K·N, p) at w, output-major, of a source of rows and the seed of its residuals."""

    model: RowSource
    w: FloatArray
    seed: OutputSeed
    scratch: Scratch = field(default_factory=Scratch, repr=False)

    @abstractmethod
    def blocks(
        self, residuals: slice = slice(None), kept: bool = False
    ) -> Iterator[tuple[FloatArray, slice]]:
        """Blocks of rows (residuals, m, p) in the memory of the host, with their range of samples; beyond
        that range a block is zero.  Unless it is to be `kept`, the next may overwrite it."""

    @abstractmethod
    def gram_on_device(self) -> Any:
        """JᵀJ (p, p), both triangles, in an array of the model's library."""

    @abstractmethod
    def fetched(self, array: Any) -> FloatArray:
        """An array of the model's library, in the memory of the host."""

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
            out[...] = self.fetched(self.gram_on_device())
            return out
        first = True
        for rows, _ in self.blocks():
            add_gram(rows.reshape(-1, p).astype(out.dtype, copy=False), out, first)
            first = False
        return out

    def in_single(self) -> SingleJacobian | None:
        """J in float32, kept; None where it is too large for that, or on an accelerator."""
        n, p = self.shape
        if not self.model.on_host or 4 * n * p > KEPT_BYTES:
            return None
        return SingleJacobian(self.fill_single(self.scratch.table("single", n, p, np.dtype(np.float32))))

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        n, p = self.shape
        matrix = self.fill(self.scratch.table("rows", n, p))
        if weights is not None:
            matrix *= np.sqrt(weights)
        return dense_cogram(matrix, out)

    def column_sqnorms(self) -> FloatArray:
        total = np.zeros(self.shape[1])
        for rows, _ in self.blocks():
            total += np.einsum("knj,knj->j", rows, rows)
        return total

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
            for rows, part in self.blocks(slice(k, k + 1), kept=True):
                yield rows[0, : part.stop - part.start]

    def dense(self) -> FloatArray:
        return self.fill(np.empty(self.shape))

    def fill_single(self, matrix: FloatArray) -> FloatArray:
        """The same for a matrix in float32."""
        return self.fill(matrix)

    def fill(self, matrix: FloatArray) -> FloatArray:
        """J written into `matrix` (K·N, p), whose rows are contiguous."""
        table = matrix.reshape(self.model.n_outputs, self.model.n_samples, -1)
        for rows, part in self.blocks():
            table[:, part] = rows[:, : part.stop - part.start]
        return matrix
