r"""The Jacobian of a model of samples, made block by block and never kept.

JᵀJ is the sum of the blocks' own, by the BLAS rank-k update of the host (JAX's product in float64 is five
times slower on a CPU); on an accelerator it can be summed where the blocks are (`gram_on_device`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from marquardt._lapack import dsyrk
from marquardt._types import FloatArray, IntArray
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian
from marquardt.jax_models.double_precision import double_precision
from marquardt.output_seed import OutputSeed


class RowSource(Protocol):
    """What gives rows of a Jacobian and its products with vectors: a model, or a residual function."""

    n_outputs: int
    n_samples: int
    n_params: int
    on_host: bool

    def push(self, w: FloatArray, d: FloatArray) -> FloatArray:
        """Derivative of the outputs along d (K, N)."""
        ...

    def pull(self, w: FloatArray, u: FloatArray) -> FloatArray:
        """The transpose of `push`: (p,) for u (K, N)."""
        ...

    def rows(
        self, w: FloatArray, seed: OutputSeed, residuals: slice = ...
    ) -> Iterator[tuple[jax.Array, slice]]:
        """Blocks (K, samples, p), zero beyond the range of samples that comes with them."""
        ...


@dataclass(frozen=True)
class StreamedJacobian:
    """J (K·N, p) at w, output-major, of a source of rows and the seed of its residuals."""

    model: RowSource
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
            out[...] = self.gram_on_device()
            return out
        first = True
        for rows, _ in self.model.rows(self.w, self.seed):
            block = np.asarray(rows).reshape(-1, p)  # the memory of JAX, read in place
            # `out` row-major, upper triangle = its transpose column-major, lower triangle
            dsyrk(1.0, block.T, beta=0.0 if first else 1.0, c=out.T, lower=1, overwrite_c=1)
            first = False
        return out

    def gram_on_device(self) -> jax.Array:
        """JᵀJ (p, p), both triangles, on the device of the blocks."""
        p = self.shape[1]
        with double_precision():
            total = jnp.zeros((p, p))
            for rows, _ in self.model.rows(self.w, self.seed):
                total = _add_gram(total, rows)
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
        total = np.zeros(self.shape[1])
        for rows, _ in self.model.rows(self.w, self.seed):
            total += np.einsum("knj,knj->j", *[np.asarray(rows)] * 2)
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
            for rows, part in self.model.rows(self.w, self.seed, slice(k, k + 1)):
                yield np.asarray(rows)[0, : part.stop - part.start]

    def dense(self) -> FloatArray:
        return self._fill(np.empty(self.shape))

    def _fill(self, matrix: FloatArray) -> FloatArray:
        table = matrix.reshape(self.model.n_outputs, self.model.n_samples, -1)
        for rows, part in self.model.rows(self.w, self.seed):
            table[:, part] = np.asarray(rows)[:, : part.stop - part.start]
        return matrix


@jax.jit
def _add_gram(total: jax.Array, rows: jax.Array) -> jax.Array:
    block = rows.reshape(-1, rows.shape[-1])
    return total + block.T @ block
