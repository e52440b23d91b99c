"""Samples in chunks of equal size on the device, so that one compiled function serves them all."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from marquardt._types import FloatArray
from marquardt.jax_models.double_precision import double_precision

KEPT_BYTES = 256 * 2**20
"""Inputs up to this size stay on the device; a chunk of larger ones is sent when it is needed."""


class SampleChunks:
    """Chunks of at most `limit` samples of X, a tree of arrays with one row a sample.

    The last chunk is filled up with copies of the last sample.
    """

    def __init__(self, X: Any, n_samples: int, limit: int) -> None:
        self.X, self.n_samples = X, n_samples
        n_chunks = -(-n_samples // max(1, limit))
        self.size = -(-n_samples // n_chunks)
        self._pieces: dict[int, Any] = {}
        self._keep = sum(table.nbytes for table in jax.tree.leaves(X)) <= KEPT_BYTES

    def piece(self, start: int) -> Any:
        """`size` samples from `start` on, on the device."""
        if start in self._pieces:
            return self._pieces[start]
        with double_precision():
            piece = jax.tree.map(lambda table: jax.device_put(self._filled(table, start)), self.X)
        if self._keep:
            self._pieces[start] = piece
        return piece

    def part(self, start: int) -> slice:
        """The samples of that chunk."""
        return slice(start, min(start + self.size, self.n_samples))

    def fill(self, table: FloatArray) -> FloatArray:
        """A table (..., samples of a chunk, K) with zeros for the samples that are copies."""
        missing = self.size - table.shape[-2]
        if missing == 0:
            return table
        return np.concatenate([table, np.zeros((*table.shape[:-2], missing, table.shape[-1]))], axis=-2)

    def of_at_most(self, limit: int) -> SampleChunks:
        """The same samples in smaller chunks."""
        return SampleChunks(self.X, self.n_samples, limit)

    def _filled(self, table: Any, start: int) -> Any:
        own = table[self.part(start)]
        missing = self.size - len(own)
        return np.concatenate([own, np.repeat(own[-1:], missing, axis=0)]) if missing else own
