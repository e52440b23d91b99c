"""The Jacobian of a JAX model, made block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from marquardt import streamed_jacobian
from marquardt._types import FloatArray
from marquardt.jax_models.double_precision import double_precision
from marquardt.output_seed import OutputSeed


class RowSource(streamed_jacobian.RowSource, Protocol):
    """A source whose rows are arrays of JAX."""

    def rows(
        self, w: FloatArray, seed: OutputSeed, residuals: slice = ...
    ) -> Iterator[tuple[jax.Array, slice]]:
        """Blocks (K, samples, p), zero beyond the range of samples that comes with them."""
        ...


@dataclass(frozen=True)
class StreamedJacobian(streamed_jacobian.StreamedJacobian):
    """J (K·N, p) at w of a JAX model.  On a CPU the host's BLAS sums JᵀJ, since JAX's product in float64 is
    five times slower there."""

    model: RowSource

    def blocks(
        self, residuals: slice = slice(None), kept: bool = False
    ) -> Iterator[tuple[FloatArray, slice]]:
        del kept  # arrays of JAX are never overwritten
        for rows, part in self.model.rows(self.w, self.seed, residuals):
            yield self.fetched(rows), part

    def in_single(self) -> None:
        """Compiled products take less time than those with rows that are kept."""

    def fetched(self, array: jax.Array) -> FloatArray:
        return np.asarray(array)  # on a CPU the memory of JAX, read in place

    def gram_on_device(self) -> jax.Array:
        p = self.shape[1]
        with double_precision():
            total = jnp.zeros((p, p))
            for rows, _ in self.model.rows(self.w, self.seed, slice(None)):
                total = _add_gram(total, rows)
        return total


@jax.jit
def _add_gram(total: jax.Array, rows: jax.Array) -> jax.Array:
    block = rows.reshape(-1, rows.shape[-1])
    return total + block.T @ block
