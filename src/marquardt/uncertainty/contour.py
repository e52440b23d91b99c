r"""Joint confidence region of two parameters, all others fitted again: its edge, ray by ray.

The region is where (C − Ĉ) / s² <= F(2, n − p): an ellipse for a linear model.  Rays leave the estimate
evenly in the angle of that ellipse; a region that a ray leaves and enters again is cut at the first edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.uncertainty.profile import parameter_index, threshold
from marquardt.uncertainty.walk import Walker

if TYPE_CHECKING:
    from marquardt.least_squares_fit import LeastSquaresFit


@dataclass(frozen=True)
class Contour:
    """The edge of a confidence region of two parameters."""

    names: tuple[str, str]
    estimate: FloatArray
    """(2,)."""
    edge: FloatArray
    """Points in order of their angle (m, 2); infinite where the region is open."""
    coverage: float
    notes: tuple[str, ...] = ()
    n_refits: int = field(default=0, compare=False)


def contour(
    fit: LeastSquaresFit,
    first: str | int,
    second: str | int,
    *,
    coverage: float = 0.95,
    absolute_sigma: bool = False,
    n_points: int = 48,
) -> Contour:
    """The confidence region of two parameters.

    Parameters
    ----------
    fit : LeastSquaresFit
    first, second : str or int
        Names or positions of two parameters.
    coverage : float
        Of both together.
    absolute_sigma : bool
        When true the residuals are already in units of their standard deviation.
    n_points : int
        Rays.

    Raises
    ------
    ValueError
        As `profile`, and when the two are the same.

    Examples
    --------
    >>> from marquardt import least_squares
    >>> x, y = np.arange(4.0), np.array([0.1, 0.9, 2.1, 2.9])
    >>> fit = least_squares(lambda w: w[0] + w[1] * x - y, [0.0, 1.0], names=["level", "slope"])
    >>> contour(fit, "level", "slope", n_points=4).edge.round(3)
    array([[ 0.712,  0.68 ],
           [ 0.06 ,  1.168],
           [-0.592,  1.24 ],
           [ 0.06 ,  0.752]])
    """
    held = [parameter_index(fit, first), parameter_index(fit, second)]
    if held[0] == held[1]:
        raise ValueError(f"first and second are both {fit.names[held[0]]!r}: name two parameters")
    if n_points < 3:
        raise ValueError(f"n_points={n_points!r} must be at least 3")
    target = threshold(fit, coverage, absolute_sigma, n_held=2)
    walker = Walker.of(fit, held, absolute_sigma)
    ellipse = _ellipse(fit, held, walker, absolute_sigma)
    angles = 2 * np.pi * np.arange(n_points) / n_points
    rays = np.column_stack([np.cos(angles), np.sin(angles)]) @ ellipse.T  # (m, 2)
    walks = [walker.walk(ray, target, 0.5 * target) for ray in rays]
    names = (fit.names[held[0]], fit.names[held[1]])
    n_open = sum(bool(walk.reason) for walk in walks)
    notes = [f"open or cut in {n_open} of {n_points} directions"] if n_open else []
    edge = np.array([walk.end for walk in walks])
    return Contour(names, walker.origin.held, edge, coverage, (*notes, *walker.warnings()), walker.n_refits)


def _ellipse(fit: LeastSquaresFit, held: list[int], walker: Walker, absolute_sigma: bool) -> FloatArray:
    """Half axes L (2, 2) with LLᵀ the covariance of the two; a diagonal one where there is none."""
    covariance = fit.covariance(absolute_sigma)[np.ix_(held, held)]
    if not np.isfinite(covariance).all():
        return np.diag([walker.unit(index) for index in held])
    try:
        return np.linalg.cholesky(covariance).astype(float)
    except np.linalg.LinAlgError:
        return np.diag([walker.unit(index) for index in held])
