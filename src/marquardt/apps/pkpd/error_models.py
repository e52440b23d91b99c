r"""How the residual error of an endpoint depends on its prediction f.

    constant        sd = a
    proportional    sd = b |f|
    combined        sd = √(a² + b² f²)
    log-normal      log y = log f + error with sd b: proportional, and the fit is one of logarithms

The levels a, b come from the residuals by maximum likelihood, given f; fits and levels alternate
(generalised least squares: R. J. Carroll, D. Ruppert, "Transformation and Weighting in Regression", 1988).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

LEAST_PREDICTION = 1e-6
"""Of the largest one: where a model predicts less, before the first dose say, a proportional error would ask
for a measurement without any error, and the observation gets no weight."""


class ErrorModel(Protocol):
    """The contract.  Levels are (q,), in the order of `names`."""

    logarithmic: bool
    """Whether the fit compares logarithms of predictions and observations."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def sd(self, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Standard deviations (n,); infinite for observations without weight."""
        ...

    def levels(self, f: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """The most likely levels for squared errors (n,) around f."""
        ...

    def first(self, y: np.ndarray) -> np.ndarray:
        """Levels to begin with."""
        ...

    def draw(self, f: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """New observations of predictions f, of any shape."""
        ...

    def residual(self, y: np.ndarray, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Observed beside predicted (n,), above 0 where y > f: standard normal when all is right; 0 for
        observations without weight."""
        ...


def _normal_draw(f: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return f + sd * rng.standard_normal(np.shape(f))


def _spread(y: np.ndarray) -> float:
    return float(np.std(y)) or float(np.abs(y).max(initial=0.0)) or 1.0


@dataclass(frozen=True)
class Constant:
    """sd = a.

    >>> Constant().levels(np.ones(2), np.array([4.0, 4.0]))
    array([2.])
    """

    logarithmic = False
    names: tuple[str, ...] = ("additive",)

    def sd(self, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return np.full(np.shape(f), levels[0])

    def levels(self, f: np.ndarray, squares: np.ndarray) -> np.ndarray:
        del f
        return np.sqrt([squares.mean()])

    def first(self, y: np.ndarray) -> np.ndarray:
        return np.array([0.1 * _spread(y)])

    def draw(self, f: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _normal_draw(f, self.sd(f, levels), rng)

    def residual(self, y: np.ndarray, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return (y - f) / self.sd(f, levels)


@dataclass(frozen=True)
class Proportional:
    """sd = b |f|.

    >>> Proportional().levels(np.array([1.0, 10.0]), np.array([0.01, 1.0])).round(6)
    array([0.1])
    """

    logarithmic = False
    names: tuple[str, ...] = ("proportional",)

    def sd(self, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        size = np.abs(f)
        return np.where(size > LEAST_PREDICTION * size.max(initial=0.0), levels[0] * size, np.inf)

    def levels(self, f: np.ndarray, squares: np.ndarray) -> np.ndarray:
        sd = self.sd(f, np.ones(1))
        counted = np.isfinite(sd)
        return np.sqrt([(squares[counted] / sd[counted] ** 2).mean()]) if counted.any() else np.ones(1)

    def first(self, y: np.ndarray) -> np.ndarray:
        del y
        return np.array([0.2])

    def draw(self, f: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _normal_draw(f, levels[0] * np.abs(f), rng)  # of nothing, nothing

    def residual(self, y: np.ndarray, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return (y - f) / self.sd(f, levels)


@dataclass(frozen=True)
class LogNormal:
    """log y = log f + error of the standard deviation b (transform both sides).

    For small errors nearly `Proportional()`.  From a poor start it finds home more often: a prediction that
    is far too small costs as much as one that is too large by the same factor, where a relative residual
    would be −1 and flat.

    >>> LogNormal().residual(np.array([2.0, 0.5]), np.ones(2), np.array([0.5])).round(3)
    array([ 1.386, -1.386])
    """

    logarithmic = True
    names: tuple[str, ...] = ("log_sd",)

    def sd(self, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Of y, for small b."""
        return Proportional().sd(f, levels)

    def levels(self, f: np.ndarray, squares: np.ndarray) -> np.ndarray:
        return Proportional().levels(f, squares)

    def first(self, y: np.ndarray) -> np.ndarray:
        return Proportional().first(y)

    def draw(self, f: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return f * np.exp(levels[0] * rng.standard_normal(np.shape(f)))

    def residual(self, y: np.ndarray, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        weighed = (f > 0) & np.isfinite(self.sd(f, levels))
        with np.errstate(divide="ignore", invalid="ignore"):
            # no error of this kind makes a value of 0 or less of a prediction above it
            apart = np.log(np.maximum(y, 0.0) / np.where(weighed, f, 1.0)) / levels[0]
        return np.where(weighed, apart, 0.0)


@dataclass(frozen=True)
class Combined:
    """sd = √(a² + b² f²)."""

    logarithmic = False
    names: tuple[str, ...] = ("additive", "proportional")

    def sd(self, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return np.hypot(levels[0], levels[1] * f)

    def levels(self, f: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """Least Σ (log v + e²/v) over log a, log b."""
        from scipy.optimize import minimize

        total = max(float(squares.mean()), 1e-300)
        first = 0.5 * np.log([total / 2, total / 2 / max(float((f**2).mean()), 1e-300)])

        def deviance(logs: np.ndarray) -> tuple[float, np.ndarray]:
            a2, b2f2 = np.exp(2 * logs[0]), np.exp(2 * logs[1]) * f**2
            v = a2 + b2f2
            slope = (1 - squares / v) / v
            return float((np.log(v) + squares / v).sum()), 2 * np.array(
                [slope @ np.full_like(v, a2), slope @ b2f2]
            )

        box = [(start - 12, start + 6) for start in first]  # a level of zero is one of e⁻¹²
        found = minimize(deviance, first, jac=True, method="L-BFGS-B", bounds=box, tol=1e-14)
        return np.exp(found.x)

    def first(self, y: np.ndarray) -> np.ndarray:
        return np.array([0.05 * _spread(y), 0.2])

    def draw(self, f: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _normal_draw(f, self.sd(f, levels), rng)

    def residual(self, y: np.ndarray, f: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return (y - f) / self.sd(f, levels)
