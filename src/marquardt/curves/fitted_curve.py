"""A fitted curve: its parameters, how sure they are, what it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float
from marquardt._types import FloatArray, IntArray
from marquardt.curves.curve import Curve, Expanded
from marquardt.curves.curve_data import CurveData, as_columns, check_columns
from marquardt.curves.curve_starts import Optimum
from marquardt.curves.curve_task import CurveTask
from marquardt.curves.grouped import GroupedRows
from marquardt.curves.residual_tests import ResidualTests
from marquardt.curves.statistics import Statistics
from marquardt.least_squares_fit import LeastSquaresFit
from marquardt.result import Status
from marquardt.uncertainty import Bootstrap, ConfidenceInterval, Contour, Profile
from marquardt.uncertainty.profile import threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Band(NamedTuple):
    """A curve with the ends of its band."""

    y: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class CurveFit:
    """A curve fitted by `curve_fit`."""

    curve: Curve
    data: CurveData
    task: CurveTask
    """The problem, in the parameters that are free at the end."""
    least_squares: LeastSquaresFit
    """Of the free parameters, with everything that it can do."""
    kinds: Mapping[str, str]
    """Why a parameter is not free: "fixed", "= 2 * a", "at its bound"."""
    groups: tuple[str, ...] = ()
    codes: IntArray | None = None
    absolute_sigma: bool = False
    optima: tuple[Optimum, ...] = ()
    """Other minima of equal cost."""
    notes: tuple[str, ...] = ()
    """What to know of this fit, in sentences."""

    # -- estimates -----------------------------------------------------------------------------------

    @cached_property
    def _expanded(self) -> Expanded:
        return self.task.model.expanded(self.least_squares.w)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the free parameters."""
        return self.least_squares.names

    @property
    def params(self) -> dict[str, float]:
        """Every parameter, fixed and tied ones included."""
        expanded = self._expanded
        return dict(zip(expanded.names, expanded.values.tolist(), strict=True))

    @cached_property
    def covariance(self) -> FloatArray:
        """Of the free parameters (p, p)."""
        return self.least_squares.covariance(self.absolute_sigma)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Every parameter: 0 for fixed ones, carried over for tied ones, NaN at a bound."""
        _, _, slopes = self._expanded
        with np.errstate(invalid="ignore"):
            terms = np.where(slopes[:, :, None] * slopes[:, None, :] == 0, 0.0, self.covariance)
            variances = np.einsum("qi,qij,qj->q", slopes, terms, slopes)
        errors = dict(zip(self._expanded.names, np.sqrt(variances).tolist(), strict=True))
        return {n: float("nan") if "bound" in self.kinds.get(n, "") else e for n, e in errors.items()}

    def correlations(self) -> FloatArray:
        """Of the free parameters (p, p)."""
        return self.least_squares.correlations()

    # -- quality -------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return self.least_squares.status

    @property
    def message(self) -> str:
        return self.least_squares.message

    @property
    def success(self) -> bool:
        return self.least_squares.success

    @property
    def residual(self) -> FloatArray:
        """√s (f − y) (n,)."""
        return self.least_squares.residual

    @property
    def residual_sd(self) -> float:
        """√(‖r‖² / (n − p))."""
        return self.least_squares.residual_sd

    @property
    def degrees_of_freedom(self) -> int:
        return self.least_squares.degrees_of_freedom

    @cached_property
    def statistics(self) -> Statistics:
        """Sum of squares, AIC, AICc, BIC; NaN for a robust fit, whose cost is no likelihood of the noise."""
        return Statistics.of(
            float("nan") if self.least_squares.loss is not None else self.rss,
            len(self.data),
            len(self.names),
            known_sigma=self.absolute_sigma,
        )

    @property
    def rss(self) -> float:
        """‖r‖²."""
        return float(self.residual @ self.residual)

    @property
    def aic(self) -> float:
        return self.statistics.aic

    @property
    def aicc(self) -> float:
        return self.statistics.aicc

    @property
    def bic(self) -> float:
        return self.statistics.bic

    @cached_property
    def residual_tests(self) -> ResidualTests:
        """In the order of x, group after group."""
        first = self.data.x if self.data.x.ndim == 1 else self.data.x[:, 0]
        codes = np.zeros(len(first)) if self.codes is None else self.codes
        return ResidualTests.of(self.residual[np.lexsort((first, codes))])

    def ill_posed_pairs(self, least: float = 0.99) -> list[tuple[str, str, float]]:
        """Pairs of parameters that the data hardly tell apart, by their correlation, the worst first."""
        matrix = self.correlations()
        pairs = [
            (self.names[j], self.names[i], float(matrix[i, j]))
            for i in range(len(self.names))
            for j in range(i)
            if abs(matrix[i, j]) >= least
        ]
        return sorted(pairs, key=lambda pair: -abs(pair[2]))

    # -- uncertainty ---------------------------------------------------------------------------------

    def conf_interval(self, *names: str, coverage: float = 0.95) -> dict[str, ConfidenceInterval]:
        """Profile-likelihood intervals of the named free parameters, of all without names."""
        return self.least_squares.conf_interval(*names, coverage=coverage, absolute_sigma=self.absolute_sigma)

    def profile(self, name: str, **options: Any) -> Profile:
        """See `marquardt.uncertainty.profile`."""
        return self.least_squares.profile(name, absolute_sigma=self.absolute_sigma, **options)

    def contour(self, first: str, second: str, **options: Any) -> Contour:
        """See `marquardt.uncertainty.contour`."""
        return self.least_squares.contour(first, second, absolute_sigma=self.absolute_sigma, **options)

    def bootstrap(self, n_resamples: int = 1000, **options: Any) -> Bootstrap:
        """See `marquardt.uncertainty.bootstrap`."""
        return self.least_squares.bootstrap(n_resamples, **options)

    # -- prediction ----------------------------------------------------------------------------------

    def predict(
        self,
        x: Any,
        *,
        by: Any = None,
        return_std: bool = False,
        band: str | None = None,
        coverage: float = 0.95,
        sigma: ArrayLike | None = None,
    ) -> Any:
        """The curve at x.

        Parameters
        ----------
        x : array (n,) or (n, d)
        by : label or labels (n,), optional
            The group of each row, for a fit with groups.
        return_std : bool
            Also the standard error of the curve (n,).
        band : "confidence" or "prediction", optional
            -> Band(y, low, high), pointwise: where the curve lies, or where a new measurement will.
        coverage : float
            Of the band.
        sigma : float or array (n,), optional
            Standard deviation of new measurements in units of y, for the prediction band of a weighted fit.

        Examples
        --------
        >>> from marquardt.curves import curve_fit
        >>> x = np.arange(6.0)
        >>> fit = curve_fit("linear", x, [0.1, 0.9, 2.2, 2.9, 4.1, 4.9])
        >>> fit.predict([2.5]).round(3)
        array([2.517])
        >>> band = fit.predict([2.5], band="prediction")
        >>> band.low.round(2), band.high.round(2)
        (array([2.09]), array([2.94]))
        """
        if band not in (None, "confidence", "prediction"):
            raise ValueError(f"band={band!r} must be 'confidence', 'prediction' or None")
        rows = self._rows(x, by)
        y = self.task.model.value(rows, self.least_squares.w)
        if band is None and not return_std:
            return y
        variance = self._variance(rows)
        if band is None:
            return y, np.sqrt(variance)
        if band == "prediction":
            variance = variance + self._noise_variance(sigma)
        half = threshold(self.least_squares, coverage, self.absolute_sigma, 1) * np.sqrt(variance)
        return Band(y, y - half, y + half)

    def _rows(self, x: Any, by: Any) -> Any:
        rows = as_columns(x)
        rows = np.atleast_1d(rows)
        check_columns(self.curve, rows)
        if not self.groups:
            if by is not None:
                raise ValueError("by= is given, but this fit has no groups")
            return rows
        if by is None:
            raise ValueError(f"name the group of the rows, by=..., one of {', '.join(self.groups)}")
        labels = np.broadcast_to(np.asarray(by, dtype=object), len(rows))
        unknown = sorted({str(label) for label in labels} - set(self.groups))
        if unknown:
            raise ValueError(f"by has the group {unknown[0]!r}: there are {', '.join(self.groups)}")
        codes = np.array([self.groups.index(str(label)) for label in labels], dtype=np.intp)
        return GroupedRows(rows, codes)

    def _variance(self, rows: Any) -> FloatArray:
        """Of the curve (n,); a direction that is not determined counts where the curve depends on it."""
        J = self.task.model.jacobian(rows, self.least_squares.w)
        with np.errstate(invalid="ignore"):
            terms = np.where((J[:, :, None] * J[:, None, :]) == 0, 0.0, self.covariance)
            return np.einsum("ni,nij,nj->n", J, terms, J)

    def _noise_variance(self, sigma: ArrayLike | None) -> FloatArray | float:
        if sigma is not None:
            return as_float("sigma", sigma) ** 2
        if self.data.roots is not None:
            raise ValueError(
                "this fit has weights, which say nothing of new points: give their standard deviation, sigma="
            )
        loss = self.least_squares.loss
        if loss is not None and isinstance(loss.scale, int | float):
            return float(loss.scale) ** 2
        return self.residual_sd**2

    # -- reports -------------------------------------------------------------------------------------

    def summary(self) -> str:
        """A few lines."""
        return self.least_squares.summary()

    def report(
        self,
        intervals: str | Mapping[str, ConfidenceInterval] = "linear",
        *,
        coverage: float = 0.95,
        random_state: int | None = 0,
    ) -> str:
        """The fit in full.

        Parameters
        ----------
        intervals : "linear", "profile", "bootstrap" or mapping
            w ± t·se; from the profile likelihood; BCa from 1000 refits.
        coverage : float
        random_state : int, optional
            Of the bootstrap.
        """
        from marquardt.curves.curve_report import curve_report

        return curve_report(self, intervals, coverage, random_state)

    def to_dict(self) -> dict[str, Any]:
        """The fit as plain numbers and texts, for JSON."""
        from marquardt.curves.curve_report import curve_record

        return curve_record(self)

    def plot(self, *, coverage: float = 0.95) -> Figure:
        """Data, curve, confidence and prediction bands."""
        from marquardt.curves.curve_plots import plot_fit

        return plot_fit(self, coverage)

    def plot_correlations(self) -> Figure:
        """The correlation matrix as a picture: two parameters that the data hardly tell apart stand out."""
        from marquardt.curves.curve_plots import plot_correlations

        return plot_correlations(self.names, self.correlations())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.6g}" for name, value in list(self.params.items())[:8])
        more = ", ..." if len(self.params) > 8 else ""
        return f"CurveFit({self.curve.label}, {self.status.name}, rss={self.rss:.6g}, {shown}{more})"
