r"""The straight lines of enzyme kinetics, for starting values.

    Hanes             S/v = Km/Vmax + S/Vmax
    Lineweaver-Burk   1/v = 1/Vmax + (Km/Vmax)/S
    Eadie-Hofstee     v   = Vmax − Km v/S

An error of v is not an error of these; the first two are therefore weighted by what it becomes, v⁴/S² and v⁴
(A. Cornish-Bowden, "Fundamentals of Enzyme Kinetics", 4th ed. 2012, chapter 15).  The estimates of a line
are where a fit begins, never its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class LinearEstimate(NamedTuple):
    """Of a straight line."""

    vmax: float
    km: float


def linearize(S: ArrayLike, v: ArrayLike, method: str = "hanes", weighted: bool = True) -> LinearEstimate:
    """Vmax and Km by a straight line; points with S or v of zero or less do not count.

    Parameters
    ----------
    S, v : array (n,)
        Concentrations and rates.
    method : "hanes", "lineweaver-burk" or "eadie-hofstee"
    weighted : bool
        By the variance of the transformed rates; without as in old textbooks, for comparison.

    Examples
    --------
    >>> S = np.array([1.0, 2.0, 4.0, 8.0])
    >>> vmax, km = linearize(S, 10 * S / (3 + S), "lineweaver-burk")
    >>> round(vmax, 6), round(km, 6)
    (10.0, 3.0)
    """
    S, v = np.asarray(S, dtype=float), np.asarray(v, dtype=float)
    good = (S > 0) & (v > 0)
    S, v = S[good], v[good]
    if len(np.unique(S)) < 2:
        raise ValueError("a line needs positive rates at two concentrations or more")
    ones = np.ones_like(S)
    if method == "hanes":
        slope, level = np.polyfit(S, S / v, 1, w=v**2 / S if weighted else ones)
        return LinearEstimate(float(1 / slope), float(level / slope))
    if method == "lineweaver-burk":
        slope, level = np.polyfit(1 / S, 1 / v, 1, w=v**2 if weighted else ones)
        return LinearEstimate(float(1 / level), float(slope / level))
    if method == "eadie-hofstee":
        slope, level = np.polyfit(v / S, v, 1)
        return LinearEstimate(float(level), -float(slope))
    raise ValueError(f"method={method!r} must be 'hanes', 'lineweaver-burk' or 'eadie-hofstee'")


def hanes_plane(columns: Sequence[np.ndarray], S: np.ndarray, v: np.ndarray) -> np.ndarray | None:
    """Coefficients of S/v = Σ c_k column_k: Hanes' line with inhibitors; None where the rates do not
    allow it."""
    good = (S > 0) & (v > 0)
    if good.sum() < len(columns):
        return None
    root = v[good] ** 2 / S[good]
    matrix = np.column_stack([column[good] for column in columns]) * root[:, None]
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1.0
    return np.linalg.lstsq(matrix / scale, S[good] / v[good] * root, rcond=1e-12)[0] / scale
