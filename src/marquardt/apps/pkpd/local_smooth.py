"""The smooth line through a cloud of points: Cleveland's robust local regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_MOST_PLACES = 200
"""Places at which the line is fitted; between them it is straight.  More could not be seen."""


def local_smooth(
    x: ArrayLike, y: ArrayLike, share: float = 2 / 3, n_robust: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Places (m,), in their order, and the smooth there (m,): at each a line is fitted to the nearest `share`
    of the points, by their distance and, `n_robust` times, by how far off they were.

    Defaults are R's `lowess`, which is what pharmacometricians' panels show.

    Examples
    --------
    >>> x = np.arange(9.0)
    >>> places, smooth = local_smooth(x, 2 * x + 1)
    >>> bool(np.allclose(smooth, 2 * places + 1))
    True

    References
    ----------
    W. S. Cleveland, "Robust locally weighted regression and smoothing scatterplots", JASA 74, 1979.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise ValueError(f"x and y must be two columns of equal length >= 1, not {x.shape} and {y.shape}")
    places = np.unique(x)
    if len(places) > _MOST_PLACES:
        places = np.unique(np.quantile(x, np.linspace(0, 1, _MOST_PLACES)))
    near = _nearness(places, x, min(len(x), max(2, int(share * len(x) + 1e-7))))
    trust, smooth = np.ones(len(x)), np.zeros(len(places))
    for _ in range(n_robust + 1):
        smooth = _lines(places, x, y, near * trust)
        off = np.abs(y - np.interp(x, places, smooth))
        limit = 6 * np.median(off)
        if limit <= 1e-7 * off.mean():
            break
        trust = np.where(off <= 0.999 * limit, (1 - (off / limit) ** 2) ** 2, 0.0)
        trust[off <= 0.001 * limit] = 1.0
    return places, smooth


def _nearness(places: np.ndarray, x: np.ndarray, n_nearest: int) -> np.ndarray:
    """Tricube weights (m, n)."""
    distance = np.abs(places[:, None] - x)
    reach = np.partition(distance, n_nearest - 1, axis=1)[:, n_nearest - 1 : n_nearest]
    ratio = np.divide(distance, reach, out=np.where(distance > 0, 1.0, 0.0), where=reach > 0)
    return np.where(ratio <= 0.999, np.clip(1 - ratio**3, 0, 1) ** 3, 0.0)


def _lines(places: np.ndarray, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Weighted lines at their own places (m,); a mean where the points near have one x."""
    total = w.sum(axis=1)
    w = w / np.where(total > 0, total, 1.0)[:, None]
    center, level = w @ x, w @ y
    spread = (w * (x - center[:, None]) ** 2).sum(axis=1)
    slope_of = (w * (x - center[:, None])) @ y
    width = max(float(np.ptp(x)), np.finfo(float).tiny)
    steep = np.sqrt(spread) > 1e-3 * width
    slope = np.divide(slope_of, spread, out=np.zeros_like(spread), where=steep)
    line = level + slope * (places - center)
    # where every near point lost its weight there is nothing to say
    known = total > 0
    return line if known.all() else np.interp(places, places[known], line[known])
