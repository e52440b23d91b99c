"""What to measure: concentrations around Km, and the standard errors to be expected from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from marquardt.curves import Curve


def design_concentrations(
    km: float, n: int = 8, *, low: float = 0.2, high: float = 5.0, replicates: int = 1
) -> np.ndarray:
    """Concentrations evenly in their logarithm, from low·Km to high·Km.

    Below Km they determine Vmax/Km, far above it Vmax: both sides are needed (Cornish-Bowden 2012, section
    15.2, asks for 0.2 to 5 Km at least).

    Parameters
    ----------
    km : float
        A first estimate.
    n : int
        Different concentrations.
    low, high : float
        In units of Km.
    replicates : int
        Measurements of each.

    Examples
    --------
    >>> design_concentrations(2.0, 5).round(3)
    array([ 0.4  ,  0.894,  2.   ,  4.472, 10.   ])
    """
    if not (np.isfinite(km) and km > 0):
        raise ValueError(f"km={km!r} must be a finite number above 0: a rough first estimate will do")
    if not 0 < low < high:
        raise ValueError(f"low={low!r} and high={high!r} must be positive, and low below high")
    if n < 2 or replicates < 1:
        raise ValueError(f"n={n!r} must be at least 2, and replicates={replicates!r} at least 1")
    return np.repeat(np.geomspace(low * km, high * km, n), replicates)


@dataclass(frozen=True)
class ExpectedErrors:
    """What a design would tell."""

    names: tuple[str, ...]
    standard_errors: np.ndarray
    """(p,), infinite where the design does not determine a parameter."""
    correlations: np.ndarray
    """(p, p)."""

    def __str__(self) -> str:
        lines = [f"{n} ± {e:.4g}" for n, e in zip(self.names, self.standard_errors, strict=True)]
        return ", ".join(lines)


def expected_errors(curve: Curve, x: ArrayLike, params: dict[str, float], noise: float) -> ExpectedErrors:
    """The standard errors that measurements at x would have: σ √diag (JᵀJ)⁻¹.

    Parameters
    ----------
    curve : Curve
    x : array (n,) or (n, d)
        The design.
    params : mapping of name to value
        A first estimate.
    noise : float
        Standard deviation of a measurement.

    Examples
    --------
    >>> from marquardt.apps.kinetics import mechanism
    >>> law, guess = mechanism("michaelis_menten"), {"vmax": 10.0, "km": 2.0}
    >>> print(expected_errors(law, design_concentrations(2.0, 8), guess, noise=0.2))
    vmax ± 0.2827, km ± 0.154
    >>> print(expected_errors(law, design_concentrations(2.0, 8, low=0.01, high=0.1), guess, noise=0.2))
    vmax ± 60.71, km ± 13.05
    """
    missing = [name for name in curve.names if name not in params]
    if missing:
        raise ValueError(f"params lacks {missing[0]!r}: give all of {', '.join(curve.names)}")
    if not noise > 0:
        raise ValueError(f"noise={noise!r} must be above 0")
    J = curve.jacobian(
        np.asarray(x, dtype=float), np.array([params[name] for name in curve.names], dtype=float)
    )
    norms = np.linalg.norm(J, axis=0)
    scale = np.where(norms > 0, norms, 1.0)
    _, values, right = np.linalg.svd(J / scale, full_matrices=False)
    p = len(curve.names)
    if len(values) < p or values[-1] <= 1e-12 * values[0] or (norms == 0).any():
        return ExpectedErrors(curve.names, np.full(p, np.inf), np.full((p, p), np.nan))
    half = right.T / values / scale[:, None]
    covariance = noise**2 * half @ half.T
    errors = np.sqrt(np.diag(covariance))
    return ExpectedErrors(curve.names, errors, covariance / np.outer(errors, errors))
