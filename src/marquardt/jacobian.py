r"""Jacobians J = ∂r/∂w (n, p), known by what can be done with them.

A Jacobian offers its products, its Gram matrices and, as the oracle of the tests, itself.  Two kinds stand
here: `DenseJacobian`, a plain matrix, and `KhatriRaoJacobian`, the layered one of a network, which never
forms its n × p numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from marquardt._lapack import add_gram
from marquardt._types import FloatArray, IntArray
from marquardt.cogram import dense_cogram, structured_cogram
from marquardt.column_forms import structured_column_forms
from marquardt.gram import (
    CHUNK_BYTES,
    LayerFactors,
    Scratch,
    jacobian_columns,
    rank_k_cost,
    rank_k_gram,
    structured_cost,
    structured_gram,
)


class Jacobian(Protocol):
    """The contract of a Jacobian.  Vectors and results are NumPy float64."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n residuals, p parameters)."""
        ...

    def mv(self, v: FloatArray) -> FloatArray:
        """Jv (n,)."""
        ...

    def rmv(self, u: FloatArray) -> FloatArray:
        """Jᵀu (p,)."""
        ...

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        """JᵀJ (p, p): the upper triangle is right, the strict lower one undefined.

        In the precision of `out`, float64 or float32, the latter at half the price.
        """
        ...

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        """J diag(weights) Jᵀ (n, n): the upper triangle is right, the strict lower one undefined."""
        ...

    def column_sqnorms(self) -> FloatArray:
        """diag(JᵀJ) (p,)."""
        ...

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        """Σ over each group of diag(Jᵀ matrix J), (n_groups,).

        `matrix` (n, n) is symmetric, and its upper triangle is read; `groups` (p,) says where a column
        belongs.
        """
        ...

    def gram_flops(self) -> float:
        """Price of `gram`, in flops, for the choice between the primal and the dual solver."""
        ...

    def cogram_flops(self) -> float:
        """Price of `cogram`, likewise."""
        ...

    def row_chunks(self) -> Iterator[FloatArray]:
        """J in blocks of rows, in order, each of at most 16 MB."""
        ...

    def dense(self) -> FloatArray:
        """J itself."""
        ...


@dataclass(frozen=True)
class DenseJacobian:
    """A Jacobian that is a matrix.

    Examples
    --------
    >>> J = DenseJacobian(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    >>> J.mv(np.array([1.0, 1.0]))
    array([ 3.,  7., 11.])
    >>> np.triu(J.gram())
    array([[35., 44.],
           [ 0., 56.]])
    """

    matrix: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    def mv(self, v: FloatArray) -> FloatArray:
        return self.matrix @ v

    def rmv(self, u: FloatArray) -> FloatArray:
        return self.matrix.T @ u

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        out = np.empty((self.shape[1], self.shape[1])) if out is None else out
        add_gram(self.matrix.astype(out.dtype, copy=False), out, first=True)
        return out

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        scaled = self.matrix if weights is None else self.matrix * np.sqrt(weights)
        return dense_cogram(scaled, out)

    def column_sqnorms(self) -> FloatArray:
        return np.einsum("ij,ij->j", self.matrix, self.matrix)

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        J, upper = self.matrix, np.triu(matrix)
        forms = 2.0 * np.einsum("ij,ij->j", upper @ J, J) - upper.diagonal() @ np.square(J)
        return np.bincount(groups, forms, minlength=n_groups).astype(float, copy=False)

    def gram_flops(self) -> float:
        return float(self.shape[0]) * self.shape[1] ** 2

    def cogram_flops(self) -> float:
        return float(self.shape[0]) ** 2 * self.shape[1]

    def subset(self, rng: np.random.Generator, count: int) -> DenseJacobian:
        """`count` of the rows, drawn at random."""
        return DenseJacobian(self.matrix[np.sort(rng.choice(len(self.matrix), count, replace=False))])

    def row_chunks(self) -> Iterator[FloatArray]:
        size = max(1, CHUNK_BYTES // (8 * max(1, self.shape[1])))
        for start in range(0, len(self.matrix), size):
            yield self.matrix[start : start + size]

    def dense(self) -> FloatArray:
        return self.matrix


@dataclass(frozen=True)
class KhatriRaoJacobian:
    """The Jacobian of a layered network, from each layer's inputs and sensitivities.

    Rows are output-major (k·N + n); see `marquardt.models.mlp` and `marquardt.gram`.
    """

    layers: list[LayerFactors]
    n_outputs: int
    scratch: Scratch = field(default_factory=Scratch, repr=False)
    balanced: bool = False
    """Whether the K rows of every sample sum to zero, as those of shares do, which sum to one."""

    @property
    def n_samples(self) -> int:
        return self.layers[0].inputs.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_outputs * self.n_samples, self.layers[-1].block.stop

    def mv(self, v: FloatArray) -> FloatArray:
        total = np.zeros((self.n_outputs, self.n_samples))
        for layer in self.layers:
            z = v[layer.block].reshape(layer.shape) @ layer.inputs  # (n_out, N)
            if layer.diagonal:
                total += layer.sensitivity * z
            else:
                for k, delta in enumerate(layer.sensitivity):
                    total[k] += np.einsum("on,on->n", delta, z)
        return total.ravel()

    def rmv(self, u: FloatArray) -> FloatArray:
        u = u.reshape(self.n_outputs, self.n_samples)
        result = np.empty(self.shape[1])
        for layer in self.layers:
            if layer.diagonal:
                error = layer.sensitivity * u  # (K, N)
            else:
                error = layer.sensitivity[0] * u[0]
                for delta, row in zip(layer.sensitivity[1:], u[1:], strict=True):
                    error += delta * row
            np.matmul(error, layer.inputs.T, out=result[layer.block].reshape(layer.shape))
        return result

    def gram_flops(self) -> float:
        rank_k = rank_k_cost(self.shape[1], self.n_outputs - self.balanced)
        return self.n_samples * min(structured_cost(self.layers), rank_k)

    def cogram_flops(self) -> float:
        units = sum(layer.shape[0] for layer in self.layers if not layer.diagonal)
        inputs = sum(layer.shape[1] for layer in self.layers)
        # products of inputs N², of sensitivities n², and two passes over n² for each layer
        return float(self.n_samples) ** 2 * inputs + float(self.shape[0]) ** 2 * (
            units + 16 * len(self.layers)
        )

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        n_params = self.shape[1]
        out = np.empty((n_params, n_params)) if out is None else out
        n_rows = self.n_outputs - self.balanced  # of a sample, without the one that the others imply
        if structured_cost(self.layers) < rank_k_cost(n_params, n_rows):
            structured_gram(self.layers, out, self.scratch)
        else:
            layers = [layer.contrasts() for layer in self.layers] if self.balanced else self.layers
            rank_k_gram(layers, n_rows, out, self.scratch)
        return out

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        """Σ_l (Δ_lᵀ Δ_l) ∘ (A_lᵀ diag(weights) A_l), K blocks of N rows a side, no Jacobian formed.

        That form needs weights that depend on a unit's input only (one value a layer, one value an
        input); for others the columns of J are summed unit by unit, at O(n²p) time and O(n²) memory.
        """
        return structured_cogram(self.layers, self.n_outputs, weights, self.scratch, out)

    def column_sqnorms(self) -> FloatArray:
        result = np.empty(self.shape[1])
        for layer in self.layers:
            squares = np.square(layer.sensitivity)
            if not layer.diagonal:
                squares = squares.sum(axis=0)
            target = result[layer.block].reshape(layer.shape)
            target[...] = squares @ np.square(layer.inputs).T
        return result

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return structured_column_forms(self.layers, self.n_outputs, matrix, groups, n_groups, self.scratch)

    def subset(self, rng: np.random.Generator, count: int) -> KhatriRaoJacobian:
        """About `count` rows: all outputs of some samples, drawn at random."""
        N = self.n_samples
        samples = np.sort(rng.choice(N, min(N, -(-count // self.n_outputs)), replace=False))
        return KhatriRaoJacobian([layer.subset(samples) for layer in self.layers], self.n_outputs)

    def row_chunks(self) -> Iterator[FloatArray]:
        size = max(1, CHUNK_BYTES // (8 * self.shape[1]))
        for k in range(self.n_outputs):
            for start in range(0, self.n_samples, size):
                chunk = [
                    layer.chunk(slice(start, min(start + size, self.n_samples))) for layer in self.layers
                ]
                columns = np.empty((self.shape[1], chunk[0].inputs.shape[1]))
                jacobian_columns(chunk, k, columns)
                yield columns.T

    def dense(self) -> FloatArray:
        columns = np.empty((self.shape[1], self.n_outputs, self.n_samples))
        for k in range(self.n_outputs):
            one = np.empty((self.shape[1], self.n_samples))
            jacobian_columns(self.layers, k, one)
            columns[:, k] = one
        return columns.reshape(self.shape[1], -1).T
