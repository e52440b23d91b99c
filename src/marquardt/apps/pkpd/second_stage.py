"""The second stage: how parameters differ between subjects, from the estimates of each.

The spread of estimates is that of subjects plus that of estimation (J.-L. Steimer et al., J. Pharmacokinet.
Biopharm. 12:265, 1984), and the latter can be taken off.
"""

from __future__ import annotations

import numpy as np


def variance_between(free: np.ndarray, estimation: np.ndarray | None = None) -> np.ndarray:
    """Covariance of parameters over subjects (q, q), with no negative variance in any direction.

    Parameters
    ----------
    free : array (s, q)
        Estimates of the subjects, on the scale on which they are normal: logarithms as a rule.
    estimation : array (s, q, q), optional
        The covariance that each estimate has by itself, to be taken off.  It is the median of each entry,
        over the subjects whose covariance is finite: one subject with huge errors would outweigh all others
        in the mean, and take the whole variance off.

    Examples
    --------
    >>> variance_between(np.array([[0.0], [1.0], [2.0]]), np.full((3, 1, 1), 0.25))
    array([[0.75]])
    """
    raw = np.atleast_2d(np.cov(free, rowvar=False))
    if estimation is None:
        return raw
    sure = np.isfinite(estimation).all(axis=(1, 2))
    if not sure.any():
        return np.full_like(raw, np.nan)
    # In units of the raw covariance, raw = TTᵀ: there I − T⁺ET⁺ᵀ is cut at zero and one, so that no
    # variance is negative, and none is larger than the raw one.
    values, vectors = np.linalg.eigh(raw)
    kept = values > 1e-12 * max(values[-1], np.finfo(float).tiny)
    root, inverse = vectors[:, kept] * np.sqrt(values[kept]), vectors[:, kept] / np.sqrt(values[kept])
    share, turned = np.linalg.eigh(
        np.eye(kept.sum()) - inverse.T @ np.median(estimation[sure], axis=0) @ inverse
    )
    root = root @ turned
    return (root * np.clip(share, 0.0, 1.0)) @ root.T
