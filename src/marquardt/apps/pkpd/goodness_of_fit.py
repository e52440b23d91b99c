"""Goodness of fit as pharmacometricians judge it: what was observed beside what was predicted, and the rest.

Residuals have their sign: observed − predicted, above zero where the model is too low.  (The rest of the
package has prediction − target.)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SubjectCurve(NamedTuple):
    """Predictions between the observations of a subject, for smooth lines."""

    time: np.ndarray
    population: np.ndarray
    individual: np.ndarray | None = None


@dataclass(frozen=True)
class GoodnessOfFit:
    """Observations and predictions, row by row, of any fit; each (n,).

    Parameters
    ----------
    time : array (n,)
    observed : array (n,)
    predicted : array (n,)
        By the population's parameters; those of the pooled fit where there is no other.
    subject : array (n,), optional
        Whose row it is, by number or name.
    sigma : array (n,) or float, optional
        Standard deviation of the residual error, in the units of `observed`.  Without it all rows have
        one, that of the residuals themselves: their spread then says nothing of the error model.
    individual : array (n,), optional
        Predictions by each subject's own parameters.  Where they are given, residuals and `sigma` are
        theirs.
    quantity, unit, time_unit : str
        For the axes.
    curves : mapping, optional
        `SubjectCurve` by subject, for smooth lines in `plot_individuals`.
    weighted : array (n,), optional
        Weighted residuals, where they are not residuals / `sigma`: of a log-normal error log(y/f)/sd.

    Examples
    --------
    >>> t = np.array([1.0, 2.0, 4.0, 1.0, 2.0, 4.0])
    >>> predicted = 8 * np.exp(-0.3 * t)
    >>> off = 0.1 * np.array([1, -1, 0.5, -1, 1, -0.5])
    >>> fit = GoodnessOfFit(t, predicted + off, predicted, subject=[1, 1, 1, 2, 2, 2], sigma=0.1)
    >>> fit.weighted_residuals.round(6)
    array([ 1. , -1. ,  0.5, -1. ,  1. , -0.5])
    >>> figure = fit.plot()
    """

    time: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    subject: np.ndarray | None = None
    sigma: np.ndarray | None = None
    individual: np.ndarray | None = None
    quantity: str = "concentration"
    unit: str = ""
    time_unit: str = ""
    curves: Mapping[Hashable, SubjectCurve] = field(default_factory=dict, repr=False)
    weighted: np.ndarray | None = None

    def __post_init__(self) -> None:
        observed = _column("observed", self.observed, None)
        n = len(observed)
        if n == 0:
            raise ValueError("observed is empty: pass at least one row")
        keep: dict[str, Any] = {"observed": observed}
        for name in ("time", "predicted", "individual", "weighted"):
            if getattr(self, name) is not None:
                keep[name] = _column(name, getattr(self, name), n)
        if self.sigma is not None:
            keep["sigma"] = sigma = _column("sigma", np.broadcast_to(self.sigma, (n,)), n)
            if not (sigma > 0).all():
                raise ValueError(
                    f"sigma holds {sigma.min():g}, but must be above 0: of rows without error give none"
                )
        if self.subject is not None:
            keep["subject"] = subject = np.asarray(self.subject)
            if subject.shape != (n,):
                raise ValueError(f"subject has shape {subject.shape}, but observed has {n} rows")
        for name, values in keep.items():
            object.__setattr__(self, name, values)

    # -- numbers -----------------------------------------------------------------------------------------

    @property
    def fitted(self) -> np.ndarray:
        """The predictions that the residuals belong to: each subject's own where there are any."""
        return self.predicted if self.individual is None else self.individual

    @property
    def residuals(self) -> np.ndarray:
        """Observed − fitted (n,), in the units of `observed`."""
        return self.observed - self.fitted

    @property
    def weighted_residuals(self) -> np.ndarray:
        """Residuals in standard deviations (n,): standard normal for a model that is right."""
        if self.weighted is not None:
            return self.weighted
        residuals = self.residuals
        if self.sigma is not None:
            return residuals / self.sigma
        spread = float(np.sqrt(np.mean(residuals**2)))
        # an exact fit leaves rounding: its residuals are shown as zeros
        exact = spread <= 1e-12 * float(np.abs(self.observed).max())
        return np.zeros_like(residuals) if exact else residuals / spread

    @property
    def subjects(self) -> list[Any]:
        """In the order of their first rows."""
        if self.subject is None:
            return []
        _, first = np.unique(self.subject, return_index=True)
        return [self.subject[row] for row in np.sort(first)]

    def rows_of(self, subject: Any) -> np.ndarray:
        """Of one subject, in the order of time."""
        assert self.subject is not None
        rows = np.flatnonzero(self.subject == subject)
        return rows[np.argsort(self.time[rows], kind="stable")]

    @property
    def lag_correlation(self) -> float:
        """Between a weighted residual and the next of the same subject: far from 0, the curve has another
        shape than the data.  NaN with fewer than three pairs, or where residuals do not vary."""
        residuals = self.weighted_residuals
        groups = [self.rows_of(s) for s in self.subjects] or [np.argsort(self.time, kind="stable")]
        now = np.concatenate([residuals[rows[:-1]] for rows in groups])
        then = np.concatenate([residuals[rows[1:]] for rows in groups])
        if len(now) < 3 or not (now**2).any() or not (then**2).any():
            return float("nan")
        # about zero, not about the mean: residuals of one sign are a misfit too
        return float(now @ then / np.sqrt((now @ now) * (then @ then)))

    def summary(self) -> str:
        """The residuals in a few lines."""
        r, n = self.weighted_residuals, len(self.observed)
        who = f", {len(self.subjects)} subjects" if self.subject is not None else ""
        beyond = int((np.abs(r) > 1.96).sum())
        lines = [
            f"{n} observations{who}",
            f"weighted residuals: mean {r.mean():+.3f} (standard error {r.std() / np.sqrt(n):.3f}), "
            f"standard deviation {r.std():.3f}"
            + (" (sigma was not given)" if self.sigma is None and self.weighted is None else ""),
            f"beyond 1.96: {beyond} ({100 * beyond / n:.1f} %; 5 % by chance)",
        ]
        if np.isfinite(self.lag_correlation):
            lines.append(f"correlation with the next residual in time: {self.lag_correlation:+.2f}")
        return "\n".join(lines)

    __str__ = summary

    # -- pictures ----------------------------------------------------------------------------------------

    def plot(self) -> Figure:
        """The panel: observed against predicted, weighted residuals against time and prediction, and their
        distribution; lines of reference gray, robust local smooths orange."""
        from marquardt.apps.pkpd.goodness_of_fit_plots import panel

        return panel(self)

    def plot_individuals(self, *, logarithmic: bool = False, most: int = 20) -> Figure:
        """Each subject's observations with its own curve and the population's, up to `most` subjects."""
        from marquardt.apps.pkpd.goodness_of_fit_plots import individual_fits

        return individual_fits(self, logarithmic, most)


def _column(name: str, values: ArrayLike, n: int | None) -> np.ndarray:
    try:
        column = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from error
    if column.ndim != 1 or (n is not None and len(column) != n):
        wanted = "one column" if n is None else f"({n},), as observed"
        raise ValueError(f"{name} has shape {column.shape}, but must be {wanted}")
    if not np.isfinite(column).all():
        row = int(np.flatnonzero(~np.isfinite(column))[0])
        raise ValueError(
            f"{name} is {column[row]} in row {row}: leave out rows without a value, such as concentrations "
            "below the limit of quantification"
        )
    return column
