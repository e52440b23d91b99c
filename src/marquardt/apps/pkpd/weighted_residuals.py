r"""Residuals of predictions in units of their standard deviation, censored ones included.

A measured value has (f − y)/σ.  One below the limit L of quantification has the likelihood
Φ(z), z = (L − f)/σ (Beal's M3), so that

    r = √(−2 log Φ(z)),     ∂r/∂f = λ/(σ r),  λ = φ(z)/Φ(z),

makes ½ r² its share of the cost.  It is smooth, near 0 for f far below L, and (f − L)/σ for f far above: a
residual like others to Gauss and Newton.  What it tells of f is the curvature of its likelihood,

    ∂²(−log Φ)/∂f² = λ (λ + z)/σ²,

between 0 for f far below L and the 1/σ² of a measured value for f far above; (∂r/∂f)² has as little as half
of it, so that errors of estimates are made of the curvature.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

_LOG_ROOT_2PI = 0.5 * float(np.log(2 * np.pi))


def _hazard(z: np.ndarray) -> np.ndarray:
    """λ = φ(z)/Φ(z)."""
    return np.exp(-0.5 * z * z - _LOG_ROOT_2PI - log_ndtr(z))


def residual(f: np.ndarray, y: np.ndarray, censored: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """r (n,); y is the limit where the value is censored.

    >>> f, limit, censored = np.array([3.0, 3.0, 0.0]), np.ones(3), np.array([False, True, True])
    >>> residual(f, limit, censored, np.array(0.1)).round(2)
    array([20.  , 20.19,  0.  ])
    """
    plain = (f - y) / sd
    if not censored.any():
        return plain
    return np.where(censored, np.sqrt(np.maximum(-2 * log_ndtr(-plain), 0.0)), plain)


def slope(f: np.ndarray, y: np.ndarray, censored: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """∂r/∂f (n,)."""
    if not censored.any():
        return 1 / sd
    z = np.where(censored, (y - f) / sd, 0.0)
    r = np.sqrt(np.maximum(-2 * log_ndtr(z), 0.0))
    tiny = r < 1e-150
    under = np.where(tiny, 0.0, _hazard(z) / np.where(tiny, 1.0, r))
    return np.where(censored, under, 1.0) / sd


def information(f: np.ndarray, y: np.ndarray, censored: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """What each row tells of f (n,), a measured value of the same sd telling 1; 0 for an infinite sd.

    >>> information(np.array([3.0, 3.0, 1.0, -1.0]), np.ones(4), np.arange(4) > 0, np.full(4, 0.5)).round(3)
    array([1.   , 0.953, 0.637, 0.001])
    """
    measured = np.isfinite(sd).astype(float)
    if not censored.any():
        return measured
    z = np.where(censored, (y - f) / sd, 0.0)
    near = np.maximum(z, -50.0)
    hazard = _hazard(near)
    # λ + z cancels far above the limit: 1 − 1/z² + ... there (Mills' ratio)
    share = np.where(z < -50.0, 1 - 1 / np.minimum(z, -50.0) ** 2, hazard * (hazard + near))
    return np.where(censored, np.clip(share, 0.0, 1.0), measured)


def expected_squares(f: np.ndarray, y: np.ndarray, censored: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """(y − f)² (n,); of censored values what is to be expected of them below the limit, σ² (1 − z λ)."""
    if not censored.any():
        return (y - f) ** 2
    z = np.where(censored, (y - f) / sd, 0.0)
    return np.where(censored, sd**2 * np.maximum(1 - z * _hazard(z), 0.0), (y - f) ** 2)
