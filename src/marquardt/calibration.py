r"""How well predicted standard deviations describe the errors that were made.

With z = (y − mean) / σ for a Gaussian prediction N(mean, σ²), and Φ, φ its distribution and density:

    log likelihood   −½ log 2πσ² − ½ z²
    CRPS             σ (z (2Φ(z) − 1) + 2φ(z) − 1/√π)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from marquardt._types import FloatArray


@dataclass(frozen=True)
class Calibration:
    """Measured values with their predicted means and standard deviations, each (n_samples,).

    Raises
    ------
    ValueError
        When a standard deviation is not positive.

    References
    ----------
    T. Gneiting, A. E. Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA
    102:359, 2007, equation 21.

    Examples
    --------
    >>> calibration = Calibration(np.array([0.0, 1.0]), np.zeros(2), np.ones(2))
    >>> round(calibration.log_likelihood, 4), round(calibration.crps, 4), calibration.coverage(0.95)
    (-1.1689, 0.4181, 1.0)
    """

    y: FloatArray
    mean: FloatArray
    std: FloatArray

    def __post_init__(self) -> None:
        if not (self.std > 0).all():
            raise ValueError("std must be positive: a prediction that is certain has no likelihood")

    @property
    def z(self) -> FloatArray:
        """Errors in units of their predicted standard deviation."""
        return (self.y - self.mean) / self.std

    @property
    def log_likelihood(self) -> float:
        """Mean over the rows; higher is better."""
        return float(np.mean(-0.5 * np.log(2 * np.pi * self.std**2) - 0.5 * self.z**2))

    @property
    def crps(self) -> float:
        """Continuous ranked probability score, mean over the rows, in the units of y; lower is better."""
        z, density = self.z, np.exp(-0.5 * self.z**2) / np.sqrt(2 * np.pi)
        return float(np.mean(self.std * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))))

    def coverage(self, level: float) -> float:
        """Share of the rows inside their central interval of probability `level`."""
        return float(np.mean(np.abs(self.z) <= ndtri(0.5 + 0.5 * level)))

    def coverages(self, levels: ArrayLike) -> FloatArray:
        """The same for several levels."""
        return np.array([self.coverage(level) for level in np.asarray(levels, dtype=float)])
