"""Visual predictive check: would data like these have come from the fitted model?

The study is simulated many times with the same design.  In every bin of time the 5th, 50th and 95th
percentiles of the observations are set beside the same percentiles of the replicates: a right model keeps
each observed one within its band most of the time.

References
----------
N. Holford, "The visual predictive check: superiority to standard diagnostic (Rorschach) plots", PAGE 14,
2005.
M. Bergstrand, A. C. Hooker, J. E. Wallin & M. O. Karlsson, "Prediction-corrected visual predictive checks",
AAPS Journal 13, 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pkpd.second_stage import variance_between

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = (5.0, 50.0, 95.0)
_MOST_TIMES = 15
"""Distinct times that get a bin each: schedules of a study have fewer, times as they happened more."""
_FEWEST_IN_BIN = 10
"""Rows of a bin by quantiles.  With fewer the outer percentiles are the extremes."""


@dataclass(frozen=True)
class VisualCheck:
    """Percentiles of observations and of replicates, bin by bin; made by `predictive_check`."""

    edges: np.ndarray
    """Of the bins (b + 1,)."""
    center: np.ndarray
    """Median time of the rows of each bin (b,)."""
    counts: np.ndarray
    """Rows of each bin (b,)."""
    observed: np.ndarray
    """Percentiles 5, 50 and 95 of the observations (3, b)."""
    low: np.ndarray
    """Lower ends of the bands of the simulated percentiles (3, b)."""
    median: np.ndarray
    """Their medians over the replicates (3, b)."""
    high: np.ndarray
    """Upper ends (3, b)."""
    coverage: float
    n_replicates: int
    corrected: bool
    """Whether observations and replicates were corrected by the prediction."""
    time: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)
    """The observations, corrected where the replicates are (n,)."""
    remarks: tuple[str, ...] = ()
    """Of what made the replicates."""

    @property
    def outside(self) -> np.ndarray:
        """Which observed percentiles lie outside their bands (3, b)."""
        return (self.observed < self.low) | (self.observed > self.high)

    @property
    def notes(self) -> tuple[str, ...]:
        """What limits the check."""
        few = int((self.counts < _FEWEST_IN_BIN).sum())
        if not few:
            return self.remarks
        return (
            *self.remarks,
            f"{few} of {len(self.counts)} bins hold fewer than {_FEWEST_IN_BIN} rows: their outer "
            "percentiles are near the extremes",
        )

    def __str__(self) -> str:
        n, out = self.outside.size, int(self.outside.sum())
        kind = "prediction-corrected visual" if self.corrected else "visual"
        lines = [
            f"{kind} predictive check, {self.n_replicates} replicates, {len(self.counts)} bins: {out} of {n} "
            f"percentiles outside their {100 * self.coverage:g} % bands "
            f"({n * (1 - self.coverage):.1f} expected by chance)",
            *(f"Note: {note}." for note in self.notes),
        ]
        return "\n".join(lines)

    def plot(
        self,
        *,
        logarithmic: bool = False,
        quantity: str = "concentration",
        unit: str = "",
        time_unit: str = "",
    ) -> Figure:
        """Observations, their percentiles, and the bands of the simulated ones."""
        from marquardt.apps.pkpd.visual_check_plot import bands

        return bands(self, logarithmic, quantity, unit, time_unit)


def predictive_check(
    time: ArrayLike,
    observed: ArrayLike,
    simulated: ArrayLike,
    *,
    bins: int | ArrayLike | None = None,
    predicted: ArrayLike | None = None,
    coverage: float = 0.95,
) -> VisualCheck:
    """Percentiles of the observations beside those of simulated replicates.

    Parameters
    ----------
    time, observed : array (n,)
    simulated : array (n_replicates, n)
        The same rows, simulated: see `pooled_replicates` and `two_stage_replicates`.
    bins : int or array, optional
        The edges, or how many bins with about equal numbers of rows.  By default each distinct time is a bin
        of its own where there are at most 15; else as many bins by quantiles as hold 10 rows and more, at
        most 10.  Rows of one time are never parted.
    predicted : array (n,), optional
        Population predictions, above 0: rows of a bin are then brought to its median prediction, y · median /
        prediction (Bergstrand et al. 2011).  For studies with several doses or strong covariates, whose
        bins would otherwise mix unlike rows.
    coverage : float
        Of the bands.

    Raises
    ------
    ValueError
        For values that are not finite, unequal lengths, a bin without rows; the message names what and where.

    Examples
    --------
    >>> t = np.repeat([1.0, 2.0, 4.0], 20)
    >>> predicted = 8 * np.exp(-0.3 * t)
    >>> observed = predicted * np.exp(0.1 * np.sin(37.0 * np.arange(60)))
    >>> replicates = pooled_replicates(predicted, 0.07 * predicted, 200, random_state=0)
    >>> print(predictive_check(t, observed, replicates))
    visual predictive check, 200 replicates, 3 bins: 0 of 9 percentiles outside their 95 % bands
    (0.5 expected by chance)
    """
    time, observed = np.asarray(time, dtype=float), np.asarray(observed, dtype=float)
    simulated = np.asarray(simulated, dtype=float)
    _check_rows(time, observed, simulated)
    if not 0 < coverage < 1:
        raise ValueError(f"coverage={coverage!r} must be between 0 and 1, e.g. 0.95")
    edges = _edges(time, bins)
    index = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(index, minlength=len(edges) - 1)
    if not counts.all():
        k = int(np.flatnonzero(counts == 0)[0])
        raise ValueError(
            f"the bin from {edges[k]:g} to {edges[k + 1]:g} holds no row: take wider bins, or leave bins out"
        )
    rows = [np.flatnonzero(index == k) for k in range(len(counts))]
    if predicted is not None:
        factor = _correction(np.asarray(predicted, dtype=float), rows, len(time))
        observed, simulated = observed * factor, simulated * factor
    seen = np.stack([np.percentile(observed[own], PERCENTILES) for own in rows], axis=1)
    drawn = np.stack([np.percentile(simulated[:, own], PERCENTILES, axis=1) for own in rows], axis=2)
    tail = 50 * (1 - coverage)
    low, median, high = np.percentile(drawn, [tail, 50, 100 - tail], axis=1)
    center = np.array([np.median(time[own]) for own in rows])
    return VisualCheck(
        edges, center, counts, seen, low, median, high, coverage, len(simulated), predicted is not None,
        time, observed,
    )  # fmt: skip


def pooled_replicates(
    predicted: ArrayLike, sigma: ArrayLike, n_replicates: int = 500, random_state: int = 0
) -> np.ndarray:
    """Replicates (n_replicates, n) of a naive pooled fit: prediction + residual error, and nothing else.

    Subjects do not differ in them, so `sigma` has to hold what they differ by, as that of a pooled fit does.
    """
    predicted = np.asarray(predicted, dtype=float)
    rng = _generator(n_replicates, random_state)
    return predicted + np.asarray(sigma, dtype=float) * rng.standard_normal((n_replicates, *predicted.shape))


@dataclass(frozen=True)
class LogNormalSubjects:
    """How positive parameters differ between subjects: log θ ~ N(mean, covariance).

    Parameters
    ----------
    mean : array (q,)
        Of log θ: exp(mean) is the typical subject.
    covariance : array (q, q)

    Examples
    --------
    >>> LogNormalSubjects.of([[1.0, 10.0], [4.0, 20.0]]).typical.round(6)
    array([ 2.      , 14.142136])
    """

    mean: np.ndarray
    covariance: np.ndarray

    def __post_init__(self) -> None:
        mean, covariance = np.asarray(self.mean, dtype=float), np.asarray(self.covariance, dtype=float)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ValueError(f"covariance has shape {covariance.shape}, but mean has {mean.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise ValueError("mean and covariance must be finite: take subjects whose fits failed out")
        if np.linalg.eigvalsh(covariance).min() < -1e-10 * max(float(np.trace(covariance)), 1e-300):
            raise ValueError("covariance has a negative eigenvalue, so it is no covariance")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)

    @classmethod
    def of(cls, estimates: ArrayLike, estimation: ArrayLike | None = None) -> LogNormalSubjects:
        """The second stage, from each subject's own estimates (s, q).

        The spread of estimates is that of subjects plus that of estimation.  `estimation`, covariances of the
        log estimates (s, q, q), is taken off by its median (Steimer et al. 1984; see `second_stage`), as far
        as variances stay positive.
        """
        theta = np.asarray(estimates, dtype=float)
        if theta.ndim != 2 or len(theta) < 2:
            raise ValueError(
                f"estimates has shape {theta.shape}: at least two subjects are needed to see how they differ"
            )
        if not (np.isfinite(theta).all() and (theta > 0).all()):
            raise ValueError("estimates must be finite and above 0: take subjects whose fits failed out")
        logs = np.log(theta)
        own = None if estimation is None else np.asarray(estimation, dtype=float)
        return cls(logs.mean(axis=0), variance_between(logs, own))

    @property
    def typical(self) -> np.ndarray:
        """exp(mean) (q,): the median subject."""
        return np.exp(self.mean)

    def draw(self, n_subjects: int, rng: np.random.Generator) -> np.ndarray:
        """Parameters of new subjects (n_subjects, q)."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))  # holds where a variance is 0, too
        return np.exp(self.mean + rng.standard_normal((n_subjects, len(self.mean))) @ root.T)


def two_stage_replicates(
    predict: Callable[[np.ndarray], ArrayLike],
    subjects: LogNormalSubjects,
    n_subjects: int,
    sigma: Callable[[np.ndarray], ArrayLike] | ArrayLike,
    n_replicates: int = 500,
    random_state: int = 0,
) -> np.ndarray:
    """Replicates (n_replicates, n): new subjects in the place of those observed, with residual error on top.

    Parameters
    ----------
    predict : callable
        Parameters of the subjects (n_subjects, q) -> predictions of all rows (n,), each by the parameters of
        its subject and by its design.
    subjects : LogNormalSubjects
    sigma : callable or array
        Standard deviation of the residual error: predictions (n,) -> (n,), or fixed numbers.
    """
    rng = _generator(n_replicates, random_state)
    replicates = []
    for _ in range(n_replicates):
        mean = np.asarray(predict(subjects.draw(n_subjects, rng)), dtype=float)
        spread = np.asarray(sigma(mean) if callable(sigma) else sigma, dtype=float)
        replicates.append(mean + spread * rng.standard_normal(mean.shape))
    return np.stack(replicates)


# -- checks and bins ---------------------------------------------------------------------------------------


def _generator(n_replicates: int, random_state: int) -> np.random.Generator:
    if n_replicates < 1:
        raise ValueError(f"n_replicates={n_replicates!r} must be at least 1, e.g. 500")
    return np.random.default_rng(random_state)


def _check_rows(time: np.ndarray, observed: np.ndarray, simulated: np.ndarray) -> None:
    n = len(time) if time.ndim == 1 else -1
    if n < 1 or observed.shape != (n,):
        raise ValueError(
            f"time {time.shape} and observed {observed.shape} must be two columns of equal length >= 1"
        )
    if simulated.ndim != 2 or simulated.shape[1] != n or len(simulated) < 2:
        raise ValueError(
            f"simulated has shape {simulated.shape}, but must be (n_replicates, {n}), with two and more"
        )
    for name, values in {"time": time, "observed": observed}.items():
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{name} is {values[row]} in row {row}: leave out rows without a value")
    if not np.isfinite(simulated).all():
        bad = int((~np.isfinite(simulated)).any(axis=1).sum())
        raise ValueError(
            f"{bad} of {len(simulated)} replicates hold NaN or infinite values: the model fails for some "
            "of the drawn parameters; bound them, or look at the between-subject variances"
        )


def _edges(time: np.ndarray, bins: int | ArrayLike | None) -> np.ndarray:
    times = np.unique(time)
    if bins is None and len(times) <= _MOST_TIMES:
        return np.concatenate([times[:1], _between(times[:-1], times[1:]), times[-1:]])
    if bins is None or np.ndim(bins) == 0:
        n_bins = int(np.clip(len(time) // _FEWEST_IN_BIN, 1, 10)) if bins is None else int(np.asarray(bins))
        if n_bins < 1:
            raise ValueError(f"bins={bins!r} must be at least 1, or the edges of the bins")
        inner = np.unique(np.quantile(time, np.linspace(0, 1, n_bins + 1)[1:-1], method="inverted_cdf"))
        # an edge stands between two times, so that rows of one time stay together
        after = np.searchsorted(times, inner, side="right")
        after = after[after < len(times)]
        cuts = _between(times[after - 1], times[after])
        return np.concatenate([times[:1], cuts, times[-1:]])
    edges = np.asarray(bins, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"bins={bins!r} must be edges in increasing order, at least two")
    if edges[0] > times[0] or edges[-1] < times[-1]:
        raise ValueError(
            f"bins from {edges[0]:g} to {edges[-1]:g} leave out rows: times go from "
            f"{times[0]:g} to {times[-1]:g}"
        )
    return edges


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Edges that part low from high, even a trough from the peak after it, with no number between them."""
    middle = 0.5 * (low + high)
    return np.where(middle > low, middle, high)


def _correction(predicted: np.ndarray, rows: list[np.ndarray], n: int) -> np.ndarray:
    """median prediction of the bin / prediction (n,)."""
    if predicted.shape != (n,):
        raise ValueError(f"predicted has shape {predicted.shape}, but must be ({n},), as observed")
    if not (np.isfinite(predicted).all() and (predicted > 0).all()):
        raise ValueError("predicted must be finite and above 0 to correct by: leave out rows before the dose")
    factor = np.empty(n)
    for own in rows:
        factor[own] = np.median(predicted[own]) / predicted[own]
    return factor
