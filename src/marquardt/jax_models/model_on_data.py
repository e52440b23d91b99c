"""A compiled model with its samples: what NumPy asks of it, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from marquardt._types import FloatArray
from marquardt.jax_models.device import halved, is_cpu
from marquardt.jax_models.double_precision import double_precision
from marquardt.jax_models.sample_chunks import SampleChunks
from marquardt.jax_models.sample_functions import Constants, SampleFunctions
from marquardt.output_seed import OutputSeed

ROW_BYTES = 4 * 2**20
"""Size of a block of Jacobian rows on a CPU.  Of 1, 4 and 16 MB the fastest for one and two hidden layers
with 961 to 3151 parameters (`benchmarks/jax_models.py`): it stays in the cache until BLAS has read it."""
KEPT_BYTES = 2**20
"""A Jacobian up to this size is kept.  Larger ones take fresh memory each time, which costs more than to make
them twice, for the gradient and for the Gram matrix (1.9 MB: 4.1 ms an iteration against 3.5)."""
DEVICE_ROW_BYTES = 256 * 2**20
"""The same on an accelerator, where a call costs more than a trip to memory."""
PASS_SAMPLES = 16_384
"""Samples of a forward pass; at 1000 numbers a sample within the model that is 130 MB."""

T = TypeVar("T")


class ModelOnData:
    """Outputs and products of a model of samples; vectors are NumPy float64, outputs (K, N).

    A chunk for which the device has no memory is halved, and `notes` say so.
    """

    def __init__(
        self, functions: SampleFunctions, constants: Constants, X: Any, n_samples: int, n_outputs: int
    ) -> None:
        self.functions, self.constants = functions, constants
        self.n_samples, self.n_outputs = n_samples, n_outputs
        self.n_params = functions.formula.layout.n_params
        self.notes: list[str] = []
        self.on_host = is_cpu()
        bytes_of_sample = 8 * self.n_params * n_outputs
        row_bytes = ROW_BYTES if self.on_host else DEVICE_ROW_BYTES
        self.passes = SampleChunks(X, n_samples, PASS_SAMPLES)
        self.row_chunks = SampleChunks(X, n_samples, max(1, row_bytes // bytes_of_sample))

    @property
    def is_small(self) -> bool:
        """Whether the Jacobian is best made once and kept: it has one block of rows, and that a small one."""
        n_bytes = 8 * self.n_params * self.n_outputs * self.n_samples
        return self.on_host and n_bytes <= KEPT_BYTES and self.row_chunks.size >= self.n_samples

    def outputs(self, w: FloatArray) -> FloatArray:
        """Z (K, N)."""
        run = self.functions.outputs
        parts = [z for z, _ in self._pass(lambda X, _: np.asarray(run(w, self.constants, X)))]
        return self._joined(parts)

    def push(self, w: FloatArray, d: FloatArray) -> FloatArray:
        """ż along d (K, N)."""
        run = self.functions.push
        parts = [z for z, _ in self._pass(lambda X, _: np.asarray(run(w, d, self.constants, X)))]
        return self._joined(parts)

    def directional(self, w: FloatArray, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        """ż and z̈ along d, (K, N) each."""
        run = self.functions.directional

        def both(X: Any, _: slice) -> tuple[FloatArray, FloatArray]:
            z1, z2 = run(w, d, self.constants, X)
            return np.asarray(z1), np.asarray(z2)

        parts = [pair for pair, _ in self._pass(both)]
        return self._joined([z1 for z1, _ in parts]), self._joined([z2 for _, z2 in parts])

    def pull(self, w: FloatArray, u: FloatArray) -> FloatArray:
        """Σ_n (∂z_n/∂w)ᵀ u_n (p,), for u (K, N)."""
        run, total = self.functions.pull, np.zeros(self.n_params)

        def pulled(X: Any, part: slice) -> FloatArray:
            filled = np.ascontiguousarray(self.passes.fill(u[:, part].T).T)
            return np.asarray(run(w, self.constants, X, filled))

        for own, _ in self._pass(pulled):
            total += own
        return total

    def rows(
        self, w: FloatArray, seed: OutputSeed, residuals: slice = slice(None)
    ) -> Iterator[tuple[jax.Array, slice]]:
        """Blocks of Jacobian rows (residuals, chunk, p) on the device, and the samples they belong to.

        Rows beyond those samples are zero.
        """

        def block(chunks: SampleChunks, X: Any, part: slice) -> jax.Array:
            cotangents = chunks.fill(seed.cotangents(part, residuals))
            return self.functions.rows(w, self.constants, X, cotangents)[0].block_until_ready()

        start = 0
        while start < self.n_samples:
            with double_precision():
                rows, part = self._attempt("row_chunks", start, block)
            yield rows, part
            start = part.stop

    def outputs_alone(self, w: FloatArray) -> tuple[FloatArray, slice]:
        """Z (K, samples) of the first block of rows, each sample on its own, and the samples they are."""
        seed = OutputSeed(np.ones((1, self.n_samples)), self.n_outputs)

        def alone(chunks: SampleChunks, X: Any, part: slice) -> FloatArray:
            cotangents = chunks.fill(seed.cotangents(part))
            return np.asarray(self.functions.rows(w, self.constants, X, cotangents)[1])

        with double_precision():
            z, part = self._attempt("row_chunks", 0, alone)
        return z[:, : part.stop], part

    def block_rows(self, w: FloatArray, leaves: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """∂z/∂(some leaves) at w, (K, N, q), and Z (K, N)."""
        K = self.n_outputs
        whole = OutputSeed(np.ones((1, self.n_samples)), K)
        rows, outputs, start = [], [], 0

        def block(chunks: SampleChunks, X: Any, part: slice) -> tuple[FloatArray, FloatArray]:
            cotangents = chunks.fill(whole.cotangents(part))
            own, z = self.functions.block_rows(w, self.constants, X, cotangents, leaves)
            return np.asarray(own), np.asarray(z)

        while start < self.n_samples:
            with double_precision():
                (own, z), part = self._attempt("passes", start, block)
            rows.append(own[:, : part.stop - start])
            outputs.append(z)
            start = part.stop
        return (rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)), self._joined(outputs)

    # -- within --------------------------------------------------------------------------------

    def _pass(self, call: Callable[[Any, slice], T]) -> Iterator[tuple[T, slice]]:
        start = 0
        while start < self.n_samples:
            with double_precision():
                result, part = self._attempt("passes", start, lambda _, X, part: call(X, part))
            yield result, part
            start = part.stop

    def _attempt(
        self, which: str, start: int, call: Callable[[SampleChunks, Any, slice], T]
    ) -> tuple[T, slice]:
        """`call` on the chunk from `start` on, with smaller and smaller chunks while memory runs out."""
        while True:
            chunks: SampleChunks = getattr(self, which)
            try:
                return call(chunks, chunks.piece(start), chunks.part(start)), chunks.part(start)
            except jax.errors.JaxRuntimeError as error:
                smaller = chunks.of_at_most(halved(chunks.size, error, self.notes))
            setattr(self, which, smaller)

    def _joined(self, parts: list[FloatArray]) -> FloatArray:
        """Chunks (K, size) side by side, without the copies at the end."""
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return whole if whole.shape[1] == self.n_samples else whole[:, : self.n_samples]
