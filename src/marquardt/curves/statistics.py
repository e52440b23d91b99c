"""How good a fit is, for comparison with others of the same data."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Statistics:
    """AIC = n log(RSS/n) + 2p and BIC = n log(RSS/n) + p log n as in lmfit; with known sigma RSS in place
    of the
    first term.  AICc = AIC + 2k(k + 1)/(n − k − 1), k = p + 1 with the variance (p with known sigma; K. P.
    Burnham, D. R. Anderson, "Model Selection and Multimodel Inference", 2002, sections 2.2 and 2.4)."""

    rss: float
    n_points: int
    n_params: int
    known_sigma: bool = False

    @classmethod
    def of(cls, rss: float, n_points: int, n_params: int, *, known_sigma: bool = False) -> Statistics:
        """>>> round(Statistics.of(10.0, 20, 2).aicc - Statistics.of(10.0, 20, 2).aic, 6)
        1.5
        """
        return cls(float(rss), n_points, n_params, known_sigma)

    @property
    def degrees_of_freedom(self) -> int:
        return self.n_points - self.n_params

    @property
    def deviance(self) -> float:
        """−2 log likelihood, up to a constant of the data."""
        if self.known_sigma:
            return self.rss
        if self.rss <= 0:
            return -math.inf
        return self.n_points * math.log(self.rss / self.n_points)  # NaN stays NaN

    @property
    def aic(self) -> float:
        return self.deviance + 2 * self.n_params

    @property
    def aicc(self) -> float:
        k = self.n_params + (not self.known_sigma)
        room = self.n_points - k - 1
        return self.aic + 2 * k * (k + 1) / room if room > 0 else math.inf

    @property
    def bic(self) -> float:
        return self.deviance + self.n_params * math.log(self.n_points)
