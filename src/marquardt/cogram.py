r"""JWJᵀ of a layered network without its Jacobian, W a diagonal over the parameters.

A row of the Jacobian of residual k at sample n is δ ⊗ a, layer by layer, so that an entry of the kernel of
two rows is a product of two inner products:

    (JWJᵀ)_{(k,n),(j,m)} = Σ_l ⟨δ_l,k,n , δ_l,j,m⟩ · ⟨a_l,n , W_l a_l,m⟩.

Time O(n²·width) and memory O(n²), where the Jacobian would take O(n²p) and O(np).  This holds when W depends
on a unit's input only (one value a layer, one value an input); else columns are summed unit by unit.
Only the upper triangle is right.
"""

from __future__ import annotations

import numpy as np

from marquardt._lapack import dsyrk
from marquardt._types import FloatArray
from marquardt.gram import LayerFactors, Scratch


def structured_cogram(
    layers: list[LayerFactors], n_outputs: int, weights: FloatArray | None, scratch: Scratch
) -> FloatArray:
    """J diag(weights) Jᵀ (n, n), output-major; `weights` (p,), None for 1."""
    N = layers[0].inputs.shape[1]
    total = np.zeros((n_outputs * N, n_outputs * N))
    for i, layer in enumerate(layers):
        own = None if weights is None else weights[layer.block].reshape(layer.shape)
        if own is not None and (own == own[0, 0]).all():
            own, factor = None, float(own[0, 0])
        else:
            factor = 1.0
        if own is not None and (own != own[0]).any():
            _add_unit_by_unit(layer, own, total)
            continue
        if own is not None:
            scaled = layer.inputs * np.sqrt(own[0])[:, None]
            products = scaled.T @ scaled
        elif i == 0:  # the data do not change from iteration to iteration
            products = scratch.inner_products(layer.inputs)
        else:
            products = layer.inputs.T @ layer.inputs  # (N, N), by dsyrk
        _add_layer(layer, products, factor, total.reshape(n_outputs, N, n_outputs, N))
    return total


def _add_layer(layer: LayerFactors, products: FloatArray, factor: float, total: FloatArray) -> None:
    """total[k, :, j, :] += factor (Δ_kᵀ Δ_j) ∘ products, for j >= k."""
    n_outputs = len(total)
    for k in range(n_outputs):
        if layer.diagonal:
            roots = layer.sensitivity[k % len(layer.sensitivity)]
            own = products * (factor * roots)[:, None]
            own *= roots
            total[k, :, k, :] += own
            continue
        for j in range(k, n_outputs):
            pairs = layer.sensitivity[k].T @ layer.sensitivity[j]
            if factor != 1.0:
                pairs *= factor
            pairs *= products
            total[k, :, j, :] += pairs


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
