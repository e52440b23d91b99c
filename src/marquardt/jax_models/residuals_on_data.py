"""A compiled residual function with its arguments: what NumPy asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from marquardt._memory import available_bytes
from marquardt._types import FloatArray
from marquardt.jax_models.device import halved, is_cpu
from marquardt.jax_models.double_precision import double_precision
from marquardt.jax_models.residual_functions import Numbers, ResidualFunctions
from marquardt.output_seed import OutputSeed

BATCH_BYTES = 16 * 2**20
"""Size of a batch of Jacobian rows or columns, the chunk of `marquardt.gram`."""
KEPT_SHARE = 0.25
"""Share of the free memory that a whole Jacobian may take."""


class ResidualsOnData:
    """Residuals and products; vectors are NumPy float64, residuals (n,) or, as one output, (1, n).

    Batches for which the device has no memory are halved, and `notes` say so.
    """

    n_outputs = 1

    def __init__(self, functions: ResidualFunctions, numbers: Numbers, n_residuals: int) -> None:
        self.functions, self.numbers = functions, numbers
        self.n_params = functions.formula.layout.n_params
        self.n_samples = n_residuals
        self.notes: list[str] = []
        self.on_host = is_cpu()
        longer = max(self.n_samples, self.n_params)
        self._batch = max(1, min(min(self.n_samples, self.n_params), BATCH_BYTES // (8 * longer)))

    def residual(self, w: FloatArray) -> FloatArray:
        """r (n,)."""
        with double_precision():
            return np.asarray(self.functions.residual(w, self.numbers))

    def push(self, w: FloatArray, d: FloatArray) -> FloatArray:
        """Jd (1, n)."""
        with double_precision():
            return np.asarray(self.functions.push(w, d, self.numbers))[None]

    def pull(self, w: FloatArray, u: FloatArray) -> FloatArray:
        """Jᵀu (p,), for u (1, n)."""
        with double_precision():
            return np.asarray(self.functions.pull(w, self.numbers, u[0]))

    def directional(self, w: FloatArray, d: FloatArray) -> FloatArray:
        """d²r/dt² along d (n,)."""
        with double_precision():
            return np.asarray(self.functions.directional(w, d, self.numbers))

    def matrix(self, w: FloatArray) -> FloatArray | None:
        """J (n, p), by columns when they are fewer, else by rows; None when it does not fit into memory.

        A pass of forward mode gives a column of J, one of reverse mode a row.
        """
        free = available_bytes()
        if free is not None and 8.0 * self.n_samples * self.n_params > KEPT_SHARE * free:
            return None
        if self.n_params < self.n_samples:
            return self._by_columns(w).T
        blocks = [(np.asarray(block)[0], part) for block, part in self.rows(w)]
        if len(blocks) == 1:
            return blocks[0][0][: self.n_samples]
        return np.concatenate([block[: part.stop - part.start] for block, part in blocks])

    def rows(
        self, w: FloatArray, seed: OutputSeed | None = None, residuals: slice = slice(None)
    ) -> Iterator[tuple[jax.Array, slice]]:
        """Blocks of rows of J (1, batch, p) on the device and their range; rows beyond it are zero."""
        del seed, residuals  # one output, and the residuals are what is differentiated
        start = 0
        while start < self.n_samples:
            with double_precision():
                first = np.int64(start)
                block = self._attempt(partial(self._block, w, first))
            part = slice(start, min(start + block.shape[1], self.n_samples))
            yield block, part
            start = part.stop

    def _block(self, w: FloatArray, first: np.int64) -> jax.Array:
        return self.functions.rows(w, self.numbers, first, self._batch)[None]

    def _by_columns(self, w: FloatArray) -> FloatArray:
        with double_precision():
            block = self._attempt(lambda: self.functions.columns(w, self.numbers, self._batch))
        return np.asarray(block)

    def _attempt(self, call: Callable[[], jax.Array]) -> jax.Array:
        while True:
            try:
                return call().block_until_ready()
            except jax.errors.JaxRuntimeError as error:
                self._batch = halved(self._batch, error, self.notes)
