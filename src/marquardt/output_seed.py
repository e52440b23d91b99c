"""The derivative of the residuals with respect to a model's outputs, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray


@dataclass(frozen=True)
class OutputSeed:
    """∂r_k/∂z_j of each sample, in the three shapes of `marquardt.losses`.

    (1, N) one value for all outputs of a sample, (K, N) diagonal, (K, K, N) full with the residual first.

    >>> seed = OutputSeed(np.array([[1.0, 2.0]]), n_outputs=2)
    >>> seed.times(np.ones((2, 2)))
    array([[1., 2.],
           [1., 2.]])
    """

    values: FloatArray
    n_outputs: int

    def times(self, z1: FloatArray) -> FloatArray:
        """ṙ = (∂r/∂z) ż, (K, N)."""
        if self.values.ndim == 2:
            return self.values * z1
        return np.einsum("kjn,jn->kn", self.values, z1)

    def transposed_times(self, u: FloatArray) -> FloatArray:
        """(∂r/∂z)ᵀ u, (K, N): what to pull back through the model."""
        if self.values.ndim == 2:
            return self.values * u
        return np.einsum("kjn,kn->jn", self.values, u)

    def times_rows(self, rows: FloatArray) -> FloatArray:
        """(∂r/∂z) ∂z/∂b as one matrix (K·N, q), for ∂z/∂b (K, N, q)."""
        if self.values.ndim == 3:
            rows = np.einsum("kjn,jnq->knq", self.values, rows)
        elif not (self.values == 1.0).all():
            rows = rows * self.values[:, :, None]
        return rows.reshape(-1, rows.shape[-1])

    def cotangents(self, part: slice, residuals: slice = slice(None)) -> FloatArray:
        """∂r_k/∂z of the samples in `part`, (residuals, samples, K)."""
        chosen = range(self.n_outputs)[residuals]
        if self.values.ndim == 3:
            return np.ascontiguousarray(self.values[residuals, :, part].transpose(0, 2, 1))
        values = self.values[:, part]
        result = np.zeros((len(chosen), values.shape[1], self.n_outputs))
        for row, k in enumerate(chosen):
            result[row, :, k] = values[k % len(values)]
        return result
