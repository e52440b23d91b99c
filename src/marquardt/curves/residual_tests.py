r"""Are the residuals of a fit noise?  Normality, runs of one sign, and correlation of neighbors.

Shapiro & Wilk, Biometrika 52 (1965); Wald & Wolfowitz, Ann. Math. Stat. 11 (1940), by its normal
approximation with a correction for continuity; Durbin & Watson, Biometrika 37 (1950): Σ(e_i − e_{i−1})² / Σ
e_i², near 2 for noise.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray


@dataclass(frozen=True)
class ResidualTests:
    """p-values below 0.05 speak against noise; NaN where there are too few residuals."""

    shapiro_statistic: float
    shapiro_p: float
    runs: int
    """Stretches of one sign, in the order of x."""
    expected_runs: float
    runs_p: float
    """Two-sided."""
    durbin_watson: float

    @classmethod
    def of(cls, residual: FloatArray) -> ResidualTests:
        """For residuals in the order of x.

        >>> tests = ResidualTests.of(np.array([1.0, 2.0, 1.5, 1.0, -1.0, -2.0, -1.0, -1.5]))
        >>> tests.runs, tests.expected_runs, round(tests.durbin_watson, 2)
        (2, 5.0, 0.47)
        """
        e = residual
        statistic, p = _shapiro(e)
        signs = np.sign(e[e != 0])
        runs, expected, runs_p = _runs(signs)
        squares = float(e @ e)
        watson = float(np.sum(np.diff(e) ** 2)) / squares if squares > 0 else float("nan")
        return cls(statistic, p, runs, expected, runs_p, watson)

    def lines(self) -> list[str]:
        """As text."""

        def verdict(p: float, bad: str) -> str:
            return "too few residuals" if np.isnan(p) else f"p = {p:.3g}" + (f": {bad}" if p < 0.05 else "")

        return [
            f"Shapiro-Wilk  {self.shapiro_statistic:.4f}, {verdict(self.shapiro_p, 'not normal')}",
            f"runs          {self.runs} of one sign, {self.expected_runs:.1f} expected, "
            f"{verdict(self.runs_p, 'a pattern that the curve has not')}",
            f"Durbin-Watson {self.durbin_watson:.3f} (near 2 for noise)",
        ]


def _shapiro(e: FloatArray) -> tuple[float, float]:
    from scipy.stats import shapiro

    if len(e) < 3 or np.ptp(e) == 0:
        return float("nan"), float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of more than 5000 values: p is less accurate
        statistic, p = shapiro(e)
    return float(statistic), float(p)


def _runs(signs: FloatArray) -> tuple[int, float, float]:
    """Runs, their expected number, and the p-value."""
    from scipy.stats import norm

    n, up = len(signs), int((signs > 0).sum())
    down = n - up
    if not up or not down:
        return int(n > 0), float("nan"), float("nan")
    runs = 1 + int((signs[1:] != signs[:-1]).sum())
    pairs = 2.0 * up * down
    mean = 1 + pairs / n
    variance = pairs * (pairs - n) / (n**2 * (n - 1))
    if not variance > 0:
        return runs, mean, float("nan")
    z = max(abs(runs - mean) - 0.5, 0.0) / np.sqrt(variance)
    return runs, mean, float(2 * norm.sf(z))
