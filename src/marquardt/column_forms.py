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
from marquardt.cogram import tiles
from marquardt.gram import LayerFactors


def structured_column_forms(
    layers: list[LayerFactors], n_outputs: int, matrix: FloatArray, groups: IntArray, n_groups: int
) -> FloatArray:
    """Σ over each group of diag(JᵀMJ), (n_groups,); `matrix` (n, n) output-major, `groups` (p,)."""
    N = layers[0].inputs.shape[1]
    result = np.zeros(n_groups)
    tiled: list[tuple[LayerFactors, IntArray, FloatArray]] = []
    for layer in layers:
        own = groups[layer.block].reshape(layer.shape)
        if (own == own[0]).all():
            tiled.append((layer, own[0], np.zeros(layer.shape[1])))
        else:
            _add_unit_by_unit(layer, own, matrix, result)
    if tiled:
        _sum_tiles(tiled, n_outputs, N, matrix.reshape(n_outputs, N, n_outputs, N))
    for _, own, sums in tiled:
        np.add.at(result, own, sums)
    return result


def _sum_tiles(
    layers: list[tuple[LayerFactors, IntArray, FloatArray]], n_outputs: int, N: int, matrix: FloatArray
) -> None:
    """Adds to the sums of each layer, one for an input, what every tile of M gives."""
    sides = tiles(N)
    for a, rows in enumerate(sides):
        for b, columns in enumerate(sides):
            blocks = {  # of the upper triangle, for outputs k and j
                (k, j): _doubled(matrix[k, rows, j, columns], k == j and a == b)
                for k in range(n_outputs)
                for j in range(k if b >= a else k + 1, n_outputs)
            }
            for layer, _, sums in layers:
                pairs = _pairs(layer, rows, columns, blocks)
                if pairs is not None:
                    left = layer.inputs[:, rows] @ pairs
                    sums += np.einsum("im,im->i", left, layer.inputs[:, columns])


def _doubled(block: FloatArray, on_diagonal: bool) -> FloatArray:
    """A block of the upper triangle with its mirror image added, as far as quadratic forms see it."""
    if not on_diagonal:
        return 2.0 * block
    upper = np.triu(block)
    upper *= 2.0
    upper.ravel()[:: len(upper) + 1] *= 0.5
    return upper


def _pairs(
    layer: LayerFactors, rows: slice, columns: slice, blocks: dict[tuple[int, int], FloatArray]
) -> FloatArray | None:
    """Σ_kj M_kj ∘ Δ_kᵀΔ_j of a tile; None where the layer has nothing there."""
    delta, total = layer.sensitivity, None
    for (k, j), block in blocks.items():
        if layer.diagonal:
            if k != j:
                continue
            roots = delta[k % len(delta)]
            pairs = block * roots[rows, None]
            pairs *= roots[columns]
        else:
            pairs = delta[k][:, rows].T @ delta[j][:, columns]
            pairs *= block
        total = pairs if total is None else np.add(total, pairs, out=total)
    return total


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
