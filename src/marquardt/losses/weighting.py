"""Weights as losses use them."""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray


def times(values: FloatArray, root_weights: FloatArray | None) -> FloatArray:
    """`values` (K, N), in place, times the roots of the weights (N,) or (K, N)."""
    return values if root_weights is None else np.multiply(values, root_weights, out=values)


def seed_times(seed: FloatArray, root_weights: FloatArray | None) -> FloatArray:
    """A full seed (K, K, N), in place, with the residual of each entry weighted."""
    if root_weights is not None and root_weights.ndim == 2:
        root_weights = root_weights[:, None]
    return times(seed, root_weights)


def weighted_sum(values: FloatArray, root_weights: FloatArray | None) -> float:
    """Σ s v over entries (K, N); an entry of weight 0 may hold anything finite."""
    if root_weights is None:
        return float(values.sum())
    if root_weights.ndim == 1:
        return float(root_weights**2 @ values.sum(axis=0))
    return float(np.vdot(root_weights**2, values))
