"""A least-squares problem with a published answer, and how many digits of that answer a fit has.

A problem is defined by one function ``evaluate(w) -> (residuals, columns)``: the residuals and the
columns of their Jacobian, in the precision (and real or complex field) of ``w``. ``residual`` and
``jacobian`` round them to float64, which is what an optimizer sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Evaluation = tuple[np.ndarray, Sequence[np.ndarray]]
LRE_CAP = 11.0  # the certified values carry 11 digits


@dataclass(frozen=True)
class CertifiedProblem:
    """A NIST StRD problem: residual ``model - y``, two starts, certified answer.

    ``precision`` is the float type the model is evaluated in. Extended precision is the default because
    the certified residuals of Lanczos1 (1e-13, against data of size 1) have only three digits in float64.
    """

    name: str
    difficulty: str
    n_params: int
    n_residuals: int
    evaluate: Callable[[np.ndarray], Evaluation]
    start1: np.ndarray
    start2: np.ndarray
    certified: np.ndarray
    certified_sd: np.ndarray
    certified_residual_sd: float
    certified_sum_of_squares: float
    precision: type[np.floating] = np.longdouble

    @property
    def starts(self) -> tuple[np.ndarray, np.ndarray]:
        """The two published starts, the far one first."""
        return self.start1, self.start2

    def residual(self, w: np.ndarray) -> np.ndarray:
        """Residuals ``model(w) - y``, shape (n_residuals,), float64."""
        return residuals_at(self.evaluate, w, self.precision)

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Jacobian of the residuals, shape (n_residuals, n_params), float64."""
        return jacobian_at(self.evaluate, w, self.precision)


@dataclass(frozen=True)
class Minimum:
    """A published local minimum: its plain sum of squares (no 1/2), its name, and where, if that is known."""

    sum_of_squares: float
    label: str = "global"
    w: tuple[float, ...] | None = None


@dataclass(frozen=True)
class MghProblem:
    """A More-Garbow-Hillstrom problem at its standard start; the first minimum is the published one."""

    number: int
    name: str
    evaluate: Callable[[np.ndarray], Evaluation]
    start: np.ndarray
    minima: tuple[Minimum, ...]

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self.start.size

    def residual(self, w: np.ndarray) -> np.ndarray:
        """Residuals, shape (n_residuals,), float64."""
        return residuals_at(self.evaluate, w, np.float64)

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Jacobian of the residuals, shape (n_residuals, n_params), float64."""
        return jacobian_at(self.evaluate, w, np.float64)

    def reached(self, sum_of_squares: float) -> Minimum | None:
        """The published minimum that a sum of squares belongs to, or None.

        The published values have six digits; a value of zero counts as reached below 1e-12.
        """
        for minimum in self.minima:
            if abs(sum_of_squares - minimum.sum_of_squares) <= 1e-5 * minimum.sum_of_squares + 1e-12 * (
                minimum.sum_of_squares == 0
            ):
                return minimum
        return None


def residuals_at(evaluate: Callable[[np.ndarray], Evaluation], w: np.ndarray, precision: type) -> np.ndarray:
    """Residuals evaluated in ``precision``, rounded to float64; far trial points may overflow."""
    with np.errstate(all="ignore"):
        residuals, _ = evaluate(np.asarray(w, dtype=precision))
        return np.asarray(residuals, dtype=np.float64)


def jacobian_at(evaluate: Callable[[np.ndarray], Evaluation], w: np.ndarray, precision: type) -> np.ndarray:
    """Jacobian evaluated in ``precision``, rounded to float64, shape (n_residuals, n_params)."""
    with np.errstate(all="ignore"):
        residuals, columns = evaluate(np.asarray(w, dtype=precision))
        full = [np.broadcast_to(column, residuals.shape) for column in columns]
        return np.stack(full, axis=1).astype(np.float64)


def log_relative_error(value: np.ndarray | float, certified: np.ndarray | float) -> float:
    """Number of correct digits of the worst entry, ``min -log10(|value - c| / |c|)``, between 0 and 11.

    >>> log_relative_error([1.0, 2.0002], [1.0, 2.0])
    4.0
    """
    certified = np.asarray(certified, dtype=float)
    error = np.max(np.abs(np.asarray(value, dtype=float) - certified) / np.abs(certified))
    if not np.isfinite(error):
        return 0.0
    return round(float(np.clip(-np.log10(max(error, 1e-300)), 0.0, LRE_CAP)), 2)
