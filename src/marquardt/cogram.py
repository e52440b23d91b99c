r"""JWJᵀ of a layered network without its Jacobian, W a diagonal over the parameters.

A row of the Jacobian of residual k at sample n is δ ⊗ a, layer by layer, so that an entry of the kernel of
two rows is a product of two inner products:

    (JWJᵀ)_{(k,n),(j,m)} = Σ_l ⟨δ_l,k,n , δ_l,j,m⟩ · ⟨a_l,n , W_l a_l,m⟩.

Time O(n²·width) and memory O(n²), where the Jacobian would take O(n²p) and O(np).  This holds when W depends
on a unit's input only (one value a layer, one value an input); else columns are summed unit by unit.
Only the upper triangle is right.

Under weights the kernel is wanted several times at one point, for one set of weights after another: a
re-estimation of the evidence and every trial step ask for their own.  Up to `REMEMBERED` rows the products
⟨δ, δ⟩ and those of the hidden units are kept between them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from marquardt._lapack import dsyrk
from marquardt._types import FloatArray
from marquardt.gram import LayerFactors, Scratch

REMEMBERED = 1000
"""Most residuals whose products are kept, at 8 MB a table; beyond, to read them takes as long as to make
them, and the n³/3 of the factor outweighs both.  At 400 rows, 20 inputs, 40 units, a kernel under new weights
takes 0.33 ms in place of 0.66."""

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


def dense_cogram(matrix: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """AAᵀ (n, n) of a row-major matrix A (n, p), by the BLAS rank-k update: the upper triangle is right."""
    out = np.empty((len(matrix), len(matrix))) if out is None else out
    # `out` row-major, upper triangle = its transpose column-major, lower triangle
    dsyrk(1.0, matrix.T, beta=0.0, c=out.T, trans=1, lower=1, overwrite_c=1)
    return out


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
    keep = weights is not None and n_outputs * N <= REMEMBERED
    tiled, by_unit = [], []
    for i, layer in enumerate(layers):
        own = None if weights is None else weights[layer.block].reshape(layer.shape)
        if own is not None and (own != own[0]).any():
            by_unit.append((layer, own))
        else:
            tiled.append(_LayerProducts(i, layer, None if own is None else own[0], keep, scratch))
    _fill_tiles(tiled, n_outputs, N, total.reshape(n_outputs, N, n_outputs, N))
    for layer, own in by_unit:
        _add_unit_by_unit(layer, own, total)
    return total


def sensitivity_products(i: int, layer: LayerFactors, n_outputs: int, scratch: Scratch) -> FloatArray | None:
    """⟨δ_k,n, δ_j,m⟩ of layer i (K, N, K, N), remembered; None for too many, or a diagonal layer."""
    n = n_outputs * layer.inputs.shape[1]
    if layer.diagonal or n > REMEMBERED:
        return None
    table = scratch.inner_products(("sensitivities", i), layer.sensitivity)
    return table.reshape(n_outputs, -1, n_outputs, n // n_outputs)


def has_shared_weight(i: int, layer: LayerFactors, values: np.ndarray) -> bool:
    """Whether `values`, one for an input, are the same for all hidden units, the bias apart."""
    return i > 0 and bool((values[:-1] == values[0]).all() and (layer.inputs[-1] == 1.0).all())


def hidden_products(i: int, layer: LayerFactors, scratch: Scratch) -> FloatArray:
    """⟨a_n, a_m⟩ of layer i without its bias, (N, N), remembered."""
    return scratch.inner_products(("hidden", i), layer.inputs, layer.shape[1] - 1)


class _LayerProducts:
    """⟨a_n, W a_m⟩ and ⟨δ_n, δ_m⟩ of one layer, tile by tile; `weights` W, one for each input, None for 1."""

    def __init__(
        self, i: int, layer: LayerFactors, weights: FloatArray | None, keep: bool, scratch: Scratch
    ) -> None:
        self.layer = layer
        self.factor, self.added = 1.0, 0.0
        self.all: FloatArray | None = None
        self.right = layer.inputs
        K = layer.sensitivity.shape[0]
        self.kept = sensitivity_products(i, layer, K, scratch) if keep else None
        if i == 0 and (weights is None or (weights == weights[0]).all()):
            self.factor = 1.0 if weights is None else float(weights[0])
            self.all = scratch.inner_products("data", layer.inputs)  # the same in all iterations
        elif keep and weights is not None and has_shared_weight(i, layer, weights):
            self.factor, self.added = float(weights[0]), float(weights[-1])
            self.all = hidden_products(i, layer, scratch)
        elif weights is not None:
            self.right = layer.inputs * weights[:, None]

    def tile(self, rows: slice, columns: slice) -> FloatArray:
        """factor ⟨a_n, W a_m⟩ + added, which may be overwritten."""
        if self.all is not None:
            inner = self.all[rows, columns] * self.factor
        else:
            inner = self.layer.inputs[:, rows].T @ self.right[:, columns]
        if self.added != 0.0:
            inner += self.added
        return inner

    def pairs(self, k: int, rows: slice, j: int, columns: slice) -> FloatArray:
        """⟨δ_k,n, δ_j,m⟩."""
        if self.kept is not None:
            return self.kept[k, rows, j, columns]
        delta = self.layer.sensitivity
        return delta[k][:, rows].T @ delta[j][:, columns]


def _fill_tiles(layers: list[_LayerProducts], n_outputs: int, N: int, total: FloatArray) -> None:
    """total[k, I, j, J] = Σ_l (Δ_k,Iᵀ Δ_j,J) ∘ products_IJ: the blocks of the upper triangle."""
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


def _add_tile(products: _LayerProducts, rows: slice, columns: slice, below: bool, total: FloatArray) -> None:
    layer, n_outputs = products.layer, len(total)
    inner = products.tile(rows, columns)
    if layer.diagonal:
        delta = layer.sensitivity
        if len(delta) == 1:  # the same for all outputs
            scaled(inner, delta[0], rows, columns)
        for k in range(0 if below else n_outputs):
            own = inner if len(delta) == 1 else scaled(inner.copy(), delta[k], rows, columns)
            total[k, rows, k, columns] += own
        return
    for k in range(n_outputs):
        for j in range(k + 1 if below else k, n_outputs):
            pairs = products.pairs(k, rows, j, columns)
            total[k, rows, j, columns] += np.multiply(pairs, inner, out=inner if n_outputs == 1 else None)


def scaled(inner: FloatArray, roots: FloatArray, rows: slice, columns: slice) -> FloatArray:
    """roots_n inner_nm roots_m, in place."""
    if (roots == roots[0]).all():
        if roots[0] != 1.0:
            inner *= roots[0] ** 2
        return inner
    inner *= roots[rows, None]
    inner *= roots[columns]
    return inner


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
