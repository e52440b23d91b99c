r"""Sums of the diagonal of JᵀMJ of a layered network without its Jacobian, M (n, n) symmetric.

The twin of `marquardt.cogram`: a column of the block of layer l, of unit o and input i, has the entries
δ_o a_i, so that over all units of one input

    Σ_o (JᵀMJ)_{oi,oi} = a_iᵀ (M ∘ ΔᵀΔ) a_i,        ΔᵀΔ = Σ_o δ_o δ_oᵀ,

at O(n²·width) time, tile by tile.  Where groups tell units apart, their columns are formed one unit at a
time, at O(n²p).  Only the upper triangle of M is read.
"""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.cogram import (
    REMEMBERED,
    has_shared_weight,
    hidden_products,
    scaled,
    sensitivity_products,
    tiles,
)
from marquardt.gram import LayerFactors, Scratch


def structured_column_forms(
    layers: list[LayerFactors],
    n_outputs: int,
    matrix: FloatArray,
    groups: IntArray,
    n_groups: int,
    scratch: Scratch,
) -> FloatArray:
    """Σ over each group of diag(JᵀMJ), (n_groups,); `matrix` (n, n) output-major, `groups` (p,)."""
    N = layers[0].inputs.shape[1]
    result = np.zeros(n_groups)
    tiled: list[_LayerForms] = []
    for i, layer in enumerate(layers):
        own = groups[layer.block].reshape(layer.shape)
        if (own == own[0]).all():
            tiled.append(_LayerForms(i, layer, own[0], scratch))
        else:
            _add_unit_by_unit(layer, own, matrix, result)
    if tiled:
        _sum_tiles(tiled, n_outputs, N, matrix.reshape(n_outputs, N, n_outputs, N))
    for layer in tiled:
        np.add.at(result, layer.groups, layer.sums)
    return result


class _LayerForms:
    """The sums of one layer, one for an input; `groups` (n_inputs,)."""

    def __init__(self, i: int, layer: LayerFactors, groups: IntArray, scratch: Scratch) -> None:
        self.layer, self.groups, self.sums = layer, groups, np.zeros(layer.shape[1])
        n = layer.sensitivity.shape[0] * layer.inputs.shape[1]
        self.kept = sensitivity_products(i, layer, layer.sensitivity.shape[0], scratch)
        # the weights in one group need no more than one sum, by the products that the kernel has made too
        shared = n <= REMEMBERED and has_shared_weight(i, layer, groups)
        self.inner = hidden_products(i, layer, scratch) if shared else None

    def add(self, rows: slice, columns: slice, blocks: dict[tuple[int, int], FloatArray]) -> None:
        """What a tile of M gives."""
        pairs = self._pairs(rows, columns, blocks)
        if pairs is None:
            return
        if self.inner is not None:
            self.sums[0] += np.vdot(pairs, self.inner[rows, columns])
            self.sums[-1] += pairs.sum()
            return
        left = self.layer.inputs[:, rows] @ pairs
        self.sums += np.einsum("im,im->i", left, self.layer.inputs[:, columns])

    def _pairs(
        self, rows: slice, columns: slice, blocks: dict[tuple[int, int], FloatArray]
    ) -> FloatArray | None:
        """Σ_kj M_kj ∘ Δ_kᵀΔ_j of a tile; None where the layer has nothing there."""
        delta, total = self.layer.sensitivity, None
        for (k, j), block in blocks.items():
            if self.layer.diagonal:
                if k != j:
                    continue
                pairs = scaled(block.copy(), delta[k % len(delta)], rows, columns)
            elif self.kept is not None:
                pairs = block * self.kept[k, rows, j, columns]
            else:
                pairs = delta[k][:, rows].T @ delta[j][:, columns]
                pairs *= block
            total = pairs if total is None else np.add(total, pairs, out=total)
        return total


def _sum_tiles(layers: list[_LayerForms], n_outputs: int, N: int, matrix: FloatArray) -> None:
    """Adds to the sums of each layer what every tile of M gives."""
    sides = tiles(N)
    for a, rows in enumerate(sides):
        for b, columns in enumerate(sides):
            blocks = {  # of the upper triangle, for outputs k and j
                (k, j): _doubled(matrix[k, rows, j, columns], k == j and a == b)
                for k in range(n_outputs)
                for j in range(k if b >= a else k + 1, n_outputs)
            }
            if blocks:
                for layer in layers:
                    layer.add(rows, columns, blocks)


def _doubled(block: FloatArray, on_diagonal: bool) -> FloatArray:
    """A block of the upper triangle with its mirror image added, as far as quadratic forms see it."""
    if not on_diagonal:
        return 2.0 * block
    upper = np.triu(block)
    upper *= 2.0
    upper.ravel()[:: len(upper) + 1] *= 0.5
    return upper


def _add_unit_by_unit(layer: LayerFactors, own: IntArray, matrix: FloatArray, result: FloatArray) -> None:
    upper = _doubled(matrix, True)
    N = layer.inputs.shape[1]
    for unit, groups in enumerate(own):
        if layer.diagonal:  # output unit k is seen by residual k only
            seen = slice(unit * N, (unit + 1) * N)
            columns = layer.inputs * layer.sensitivity[unit % len(layer.sensitivity)]
            forms = np.einsum("in,in->i", columns @ upper[seen, seen], columns)
        else:
            columns = layer.inputs[:, None, :] * layer.sensitivity[None, :, unit, :]
            columns = columns.reshape(len(groups), -1)
            forms = np.einsum("in,in->i", columns @ upper, columns)
        np.add.at(result, groups, forms)
