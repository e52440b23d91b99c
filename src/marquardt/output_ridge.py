"""The damped least-squares step of a linear output layer, all outputs at once."""

from __future__ import annotations

import numpy as np

from marquardt._lapack import dposv
from marquardt._types import FloatArray


def ridge_step(
    features: FloatArray, residual: FloatArray, own: FloatArray, prior: FloatArray | None, damping: float
) -> FloatArray | None:
    """b (K, columns) with (ΦΦᵀ + S₀ + λI) bᵀ = −(Φrᵀ + S₀wᵀ); None when it has no finite solution.

    With more features than samples the N × N matrix is solved instead; see `marquardt.linsolve.dual` for
    the identity.

    Parameters
    ----------
    features : array (columns, N)
        Φ, times the roots of the row weights.
    residual : array (K, N)
        r, likewise.
    own : array (K, columns)
        The weights w of the layer.
    prior : array (columns,), optional
        S₀, the same for every output.
    damping : float
        λ.
    """
    columns, n_samples = features.shape
    pull = None if prior is None else prior[:, None] * own.T  # S₀wᵀ (columns, K)
    if columns <= n_samples:
        matrix = features @ features.T
        matrix.ravel()[:: columns + 1] += damping if prior is None else damping + prior
        rhs = features @ residual.T
        if pull is not None:
            rhs += pull
        _, solution, info = dposv(matrix.T, rhs, lower=1, overwrite_a=1, overwrite_b=1)
        return None if info else -solution.T
    diagonal = np.full((columns, 1), damping) if prior is None else prior[:, None] + damping
    scaled = features / np.sqrt(diagonal)
    matrix = scaled.T @ scaled
    matrix.ravel()[:: n_samples + 1] += 1.0
    rhs = residual.T if pull is None else residual.T - features.T @ (pull / diagonal)
    _, solution, info = dposv(matrix.T, rhs, lower=1, overwrite_a=1, overwrite_b=0)
    step = features @ solution
    if pull is not None:
        step += pull
    step /= diagonal
    return -step.T if info == 0 and np.isfinite(step).all() else None
