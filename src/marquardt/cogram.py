r"""JWJᵀ of a layered network without its Jacobian, W a diagonal over the parameters.

A row of the Jacobian of residual k at sample n is δ ⊗ a, layer by layer, so that an entry of the kernel of
two rows is a product of two inner products:

    (JWJᵀ)_{(k,n),(j,m)} = Σ_l ⟨δ_l,k,n , δ_l,j,m⟩ · ⟨a_l,n , W_l a_l,m⟩.

Time O(n²·width) and memory O(n²), where the Jacobian would take O(n²p) and O(np).  This holds when W depends
on a unit's input only (one value a layer, one value an input); else columns are summed unit by unit.
Only the upper triangle is right.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from marquardt._lapack import dsyrk
from marquardt._types import FloatArray
from marquardt.gram import LayerFactors, Scratch

TILE = 256
"""Most samples on a side of a tile: its tables, 0.5 MB each, stay in the cache while they are multiplied."""


def tiles(n_samples: int) -> list[slice]:
    """The samples in runs of about the same length: with 400 a fifth faster than 256 and the rest.

    Examples
    --------
    >>> tiles(400)
    [slice(0, 200, None), slice(200, 400, None)]
    """
    count = max(1, -(-n_samples // TILE))
    edges = [n_samples * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def structured_cogram(
    layers: list[LayerFactors],
    n_outputs: int,
    weights: FloatArray | None,
    scratch: Scratch,
    out: FloatArray | None = None,
) -> FloatArray:
    """J diag(weights) Jᵀ (n, n), output-major; `weights` (p,), None for 1."""
    N = layers[0].inputs.shape[1]
    total = np.empty((n_outputs * N, n_outputs * N)) if out is None else out
    tiled, by_unit = [], []
    for i, layer in enumerate(layers):
        own = None if weights is None else weights[layer.block].reshape(layer.shape)
        if own is not None and (own != own[0]).any():
            by_unit.append((layer, own))
        else:
            tiled.append(_InnerProducts(layer, i == 0, own, scratch))
    _fill_tiles(tiled, n_outputs, N, total.reshape(n_outputs, N, n_outputs, N))
    for layer, own in by_unit:
        _add_unit_by_unit(layer, own, total)
    return total


class _InnerProducts:
    """⟨a_n, W a_m⟩ of one layer, tile by tile; W one value for each input, or one for all."""

    def __init__(self, layer: LayerFactors, data: bool, weights: FloatArray | None, scratch: Scratch) -> None:
        self.layer = layer
        self.factor = 1.0
        self.all: FloatArray | None = None
        self.right = layer.inputs
        if weights is not None and (weights == weights[0, 0]).all():
            self.factor = float(weights[0, 0])
        elif weights is not None:
            self.right = layer.inputs * weights[0][:, None]
        if data and self.right is layer.inputs:  # the data stay the same from iteration to iteration
            self.all = scratch.inner_products(layer.inputs)

    def tile(self, rows: slice, columns: slice) -> FloatArray:
        if self.all is not None:
            return self.all[rows, columns]
        return self.layer.inputs[:, rows].T @ self.right[:, columns]


def _fill_tiles(layers: list[_InnerProducts], n_outputs: int, N: int, total: FloatArray) -> None:
    """total[k, I, j, J] = Σ_l factor (Δ_k,Iᵀ Δ_j,J) ∘ products_IJ: the blocks of the upper triangle."""
    sides = tiles(N)
    for a, rows in enumerate(sides):
        for b, columns in enumerate(sides):
            if b < a and n_outputs == 1:
                continue
            for k in range(n_outputs):
                for j in range(k if b >= a else k + 1, n_outputs):
                    total[k, rows, j, columns] = 0.0
            for products in layers:
                _add_tile(products, rows, columns, b < a, total)


def _add_tile(products: _InnerProducts, rows: slice, columns: slice, below: bool, total: FloatArray) -> None:
    layer, n_outputs = products.layer, len(total)
    inner = products.tile(rows, columns)
    if products.factor != 1.0:
        inner = inner * products.factor
    delta = layer.sensitivity
    if layer.diagonal:
        for k in range(0 if below else n_outputs):
            roots = delta[k % len(delta)]
            total[k, rows, k, columns] += inner * roots[rows, None] * roots[columns]
        return
    for k in range(n_outputs):
        for j in range(k + 1 if below else k, n_outputs):
            pairs = delta[k][:, rows].T @ delta[j][:, columns]
            pairs *= inner
            total[k, rows, j, columns] += pairs


def _add_unit_by_unit(layer: LayerFactors, weights: FloatArray, total: FloatArray) -> None:
    N = layer.inputs.shape[1]
    for unit, own in enumerate(weights):
        scaled = layer.inputs * np.sqrt(own)[:, None]
        if layer.diagonal:  # output unit k is seen by residual k only
            rows = slice(unit * N, (unit + 1) * N)
            columns = scaled * layer.sensitivity[unit % len(layer.sensitivity)]
            total[rows, rows] += columns.T @ columns
        else:
            columns = (scaled[:, None, :] * layer.sensitivity[None, :, unit, :]).reshape(len(own), -1)
            # columnsᵀ columns; `total` row-major, upper triangle = its transpose column-major, lower one
            dsyrk(1.0, columns.T, beta=1.0, c=total.T, trans=0, lower=1, overwrite_c=1)
