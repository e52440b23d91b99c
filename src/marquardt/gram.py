r"""JᵀJ of a layered network without its Jacobian.

A row of the Jacobian of residual k at sample n is, for weight layer l, the Kronecker product δ ⊗ a of the
sensitivity δ_l = ∂r_k/∂Z_l and the layer's input a_l.  So a block of the Gram matrix is

    (JᵀJ)_{lm} = Σ_n ( Σ_k δ_l δ_mᵀ ) ⊗ ( a_l a_mᵀ ),

a matrix product of two tables with one column per sample: pairs of sensitivities, already summed over the
outputs (Fairbank & Alonso, Neural Computation 24(3):607, 2012), and pairs of inputs.  The price does not
grow with the number of outputs, and on the diagonal blocks both tables need only their triangle, which
halves the flops of the BLAS rank-k update.

Sums run over chunks of samples, so memory does not grow with their number.  Only the upper triangle of the
result (row-major) is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from marquardt._lapack import add_gram, add_product
from marquardt._types import FloatArray, IntArray

CHUNK_BYTES = 16 * 2**20
"""Size of a table of one chunk; two of them and the Jacobian rows together stay under 64 MB."""

ENTRY_FLOPS = 45.0
"""Price of one entry of a table, in flops of a matrix product: it is written to and read from memory.
On an idle core it tells the faster way for networks from 2-10-10-1 to 10-166-1, or one that is 4 % slower at
most; a core that shares its memory with others would like 120."""


_DOUBLE = np.dtype(np.float64)


@dataclass
class Scratch:
    """Buffers that one problem reuses from iteration to iteration."""

    buffers: dict[object, FloatArray] = field(default_factory=dict)
    remembered: dict[object, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def table(self, name: object, rows: int, columns: int, dtype: np.dtype[Any] = _DOUBLE) -> FloatArray:
        """A (rows, columns) C-contiguous table, contents undefined, valid until the next same name."""
        size = rows * columns
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self.buffers[name] = np.empty(size, dtype)
        return buffer[:size].reshape(rows, columns)

    def inner_products(self, name: object, vectors: FloatArray, rows: int | None = None) -> FloatArray:
        """vᵀv of the first `rows` rows of `vectors` (.., n), remembered under `name` for as long as the same
        array comes.  Of a (K, m, n) array, the products of all K·n vectors of length m."""
        known = self.remembered.get(name)
        if known is None or known[0] is not vectors:
            v = vectors[:rows] if vectors.ndim == 2 else np.concatenate(list(vectors), axis=1)
            table = None if known is None or known[1].shape[0] != v.shape[1] else known[1]
            known = self.remembered[name] = (vectors, np.matmul(v.T, v, out=table))
        return known[1]


@dataclass(frozen=True)
class LayerFactors:
    """The two factors of one layer's block of the Jacobian.

    `sensitivity` is (K, n_out, N); or, for an output layer whose residual k sees output k only, the diagonal
    (K, N), or (1, N) when all outputs share it.
    """

    inputs: FloatArray
    sensitivity: FloatArray
    block: slice
    shape: tuple[int, int]

    @property
    def diagonal(self) -> bool:
        return self.sensitivity.ndim == 2

    def chunk(self, samples: slice, dtype: np.dtype[Any] = _DOUBLE) -> LayerFactors:
        """Of a range of samples, in a precision: views, where it is their own."""
        inputs, sensitivity = self.inputs[:, samples], self.sensitivity[..., samples]
        return LayerFactors(
            inputs.astype(dtype, copy=False), sensitivity.astype(dtype, copy=False), self.block, self.shape
        )

    def contrasts(self) -> LayerFactors:
        """K − 1 rows with the same JᵀJ, where the rows δ_1, …, δ_K of a sample sum to zero:

        (δ_1 + … + δ_m − m δ_{m+1}) / √(m(m+1)),  m = 1 … K − 1  (Helmert's contrasts, orthonormal).
        """
        delta = self.sensitivity
        total, found = delta[0].copy(), np.empty((len(delta) - 1, *delta.shape[1:]))
        for m in range(1, len(delta)):
            np.multiply(delta[m], -m, out=found[m - 1])
            found[m - 1] += total
            found[m - 1] /= np.sqrt(m * (m + 1.0))
            total += delta[m]
        return LayerFactors(self.inputs, found, self.block, self.shape)

    def subset(self, samples: IntArray) -> LayerFactors:
        """Of the samples of these numbers."""
        inputs = np.ascontiguousarray(self.inputs[:, samples])
        return LayerFactors(
            inputs, np.ascontiguousarray(self.sensitivity[..., samples]), self.block, self.shape
        )


# -- the structured way ------------------------------------------------------------------------------


def structured_gram(layers: list[LayerFactors], out: FloatArray, scratch: Scratch) -> None:
    """Write the upper triangle of JᵀJ to `out` (p, p) from pairs of sensitivities and pairs of inputs, in the
    precision of `out`."""
    n = layers[0].inputs.shape[1]
    size = _chunk_size(layers, n)
    for start in range(0, n, size):
        chunk = [layer.chunk(slice(start, min(start + size, n)), out.dtype) for layer in layers]
        for i, left in enumerate(chunk):
            _accumulate_own(i, left, start == 0, scratch)
            for j in range(i + 1, len(chunk)):
                _accumulate_cross(i, j, left, chunk[j], start == 0, scratch)
    for i, left in enumerate(layers):
        _scatter_own(i, left, out, scratch)
        for j in range(i + 1, len(layers)):
            _scatter_cross(i, j, left, layers[j], out, scratch)


def structured_cost(layers: list[LayerFactors]) -> float:
    """Price of `structured_gram` per sample: flops of the products, `ENTRY_FLOPS` for an entry of a table."""
    return _structured_cost(tuple((layer.shape, layer.sensitivity.shape[:-1]) for layer in layers))


@cache
def _structured_cost(layers: tuple[tuple[tuple[int, int], tuple[int, ...]], ...]) -> float:
    price = 0.0
    for i, ((rows, columns), sensitivity) in enumerate(layers):
        if len(sensitivity) == 1:  # diagonal
            price += sensitivity[0] * (2.0 * columns**2 + ENTRY_FLOPS * columns)
        else:
            pairs, products = _triangle_size(rows), _triangle_size(columns)
            price += 2.0 * pairs * products + ENTRY_FLOPS * (pairs + products)
        for (other_rows, other_columns), _ in layers[i + 1 :]:
            pairs, products = rows * other_rows, columns * other_columns
            price += 2.0 * pairs * products + ENTRY_FLOPS * (pairs + products)
    return price


def _chunk_size(layers: list[LayerFactors], n: int) -> int:
    widest = max(
        max(left.shape[0] * right.shape[0], left.shape[1] * right.shape[1])
        for i, left in enumerate(layers)
        for right in layers[i:]
    )
    return max(1, min(n, CHUNK_BYTES // (8 * widest)))


def _accumulate_own(i: int, layer: LayerFactors, first: bool, scratch: Scratch) -> None:
    (rows, columns), dtype = layer.shape, layer.inputs.dtype
    if layer.diagonal:  # one weighted Gram matrix of the inputs for each distinct row of the diagonal
        for k, roots in enumerate(layer.sensitivity):
            weighted = scratch.table("inputs", columns, layer.inputs.shape[1], dtype)
            np.multiply(layer.inputs, roots, out=weighted)
            add_product(weighted, weighted, scratch.table(("own", i, k), columns, columns, dtype), first)
        return
    n = layer.inputs.shape[1]
    pairs = scratch.table("pairs", _triangle_size(rows), n, dtype)
    _triangle_of_sums(layer.sensitivity, pairs)
    products = scratch.table("inputs", _triangle_size(columns), n, dtype)
    _triangle_of_products(layer.inputs, products)
    total = scratch.table(("own", i), _triangle_size(rows), _triangle_size(columns), dtype)
    add_product(pairs, products, total, first)


def _accumulate_cross(
    i: int, j: int, left: LayerFactors, right: LayerFactors, first: bool, scratch: Scratch
) -> None:
    n, dtype = left.inputs.shape[1], left.inputs.dtype
    rows, columns = left.shape[0] * right.shape[0], left.shape[1] * right.shape[1]
    pairs = scratch.table("pairs", rows, n, dtype)
    _cross_sums(left.sensitivity, right, pairs.reshape(left.shape[0], right.shape[0], n))
    products = scratch.table("inputs", columns, n, dtype)
    np.multiply(
        left.inputs[:, None, :],
        right.inputs[None, :, :],
        out=products.reshape(left.shape[1], right.shape[1], n),
    )
    add_product(pairs, products, scratch.table(("cross", i, j), rows, columns, dtype), first)


def _cross_sums(sensitivity: FloatArray, right: LayerFactors, out: FloatArray) -> None:
    """out[a, b] = Σ_k δ_k,a ε_k,b; for a diagonal ε only k = b is left."""
    if right.diagonal:
        np.multiply(sensitivity.transpose(1, 0, 2), right.sensitivity[None], out=out)
        return
    np.multiply(sensitivity[0][:, None, :], right.sensitivity[0][None], out=out)
    for delta, epsilon in zip(sensitivity[1:], right.sensitivity[1:], strict=True):
        for a in range(len(out)):  # unit by unit, so that the temporary stays in cache
            out[a] += delta[a] * epsilon


def _triangle_of_sums(sensitivity: FloatArray, out: FloatArray) -> None:
    """Rows (a, b), b >= a, of Σ_k δ_k,a δ_k,b."""
    rows = sensitivity.shape[1]
    start = 0
    for a in range(rows):
        target = out[start : start + rows - a]
        np.multiply(sensitivity[0, a], sensitivity[0, a:], out=target)
        for delta in sensitivity[1:]:
            target += delta[a] * delta[a:]
        start += rows - a


def _triangle_of_products(inputs: FloatArray, out: FloatArray) -> None:
    """Rows (a, b), b >= a, of the products of inputs a and b."""
    rows = len(inputs)
    start = 0
    for a in range(rows):
        np.multiply(inputs[a], inputs[a:], out=out[start : start + rows - a])
        start += rows - a


def _scatter_own(i: int, layer: LayerFactors, out: FloatArray, scratch: Scratch) -> None:
    rows, columns = layer.shape
    target = out[layer.block, layer.block].reshape(rows, columns, rows, columns)  # a view
    if layer.diagonal:
        shared = layer.sensitivity.shape[0] == 1
        target[...] = 0.0
        for k in range(rows):
            target[k, :, k, :] = scratch.table(("own", i, 0 if shared else k), columns, columns, out.dtype)
        return
    total = scratch.table(("own", i), _triangle_size(rows), _triangle_size(columns), out.dtype)
    square = _square_index(columns)
    start = 0
    for a in range(rows):
        blocks = total[start : start + rows - a][:, square]  # (rows − a, columns, columns)
        target[a, :, a:, :] = blocks.transpose(1, 0, 2)
        start += rows - a


def _scatter_cross(
    i: int, j: int, left: LayerFactors, right: LayerFactors, out: FloatArray, scratch: Scratch
) -> None:
    rows, columns = (left.shape[0], right.shape[0]), (left.shape[1], right.shape[1])
    total = scratch.table(("cross", i, j), rows[0] * rows[1], columns[0] * columns[1], out.dtype)
    target = out[left.block, right.block].reshape(rows[0], columns[0], rows[1], columns[1])
    target[...] = total.reshape(*rows, *columns).transpose(0, 2, 1, 3)


def _triangle_size(n: int) -> int:
    return n * (n + 1) // 2


@cache
def _square_index(n: int) -> np.ndarray:
    """(n, n) index into the rows of a triangle, symmetric."""
    index = np.empty((n, n), dtype=np.intp)
    upper = np.triu_indices(n)
    index[upper] = np.arange(len(upper[0]))
    index.T[upper] = index[upper]
    return index


# -- the plain way -----------------------------------------------------------------------------------


def rank_k_gram(layers: list[LayerFactors], n_outputs: int, out: FloatArray, scratch: Scratch) -> None:
    """The same by the BLAS rank-k update over chunks of explicit Jacobian rows."""
    n, n_params = layers[0].inputs.shape[1], len(out)
    size = max(1, min(n, CHUNK_BYTES // (8 * n_params)))
    first = True
    for start in range(0, n, size):
        chunk = [layer.chunk(slice(start, min(start + size, n)), out.dtype) for layer in layers]
        rows = scratch.table("rows", n_params, chunk[0].inputs.shape[1], out.dtype)
        for k in range(n_outputs):
            jacobian_columns(chunk, k, rows)
            add_gram(rows.T, out, first)
            first = False


def rank_k_cost(n_params: int, n_outputs: int) -> float:
    """Price of `rank_k_gram` per sample, in the units of `structured_cost`."""
    return n_outputs * (float(n_params) ** 2 + ENTRY_FLOPS * n_params)


def jacobian_columns(layers: list[LayerFactors], k: int, out: FloatArray) -> None:
    """∂r_k/∂w of every sample, written to `out` (n_params, n_samples)."""
    for layer in layers:
        rows, columns = layer.shape
        target = out[layer.block].reshape(rows, columns, -1)
        if layer.diagonal:
            target[...] = 0.0
            shared = layer.sensitivity.shape[0] == 1
            np.multiply(layer.inputs, layer.sensitivity[0 if shared else k], out=target[k])
        else:
            np.multiply(layer.sensitivity[k][:, None, :], layer.inputs[None, :, :], out=target)
