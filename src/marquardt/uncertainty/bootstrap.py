r"""The bootstrap of a least-squares fit: the same fit to data drawn again, many times.

Two ways to draw (B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993, chapter
9): *rows*, with repetition, which trusts nothing but that rows are independent; *residuals*, which keeps the
rows and deals out the residuals r/√(1 − h), centered, anew: it trusts that the noise is the same everywhere.

Intervals are quantiles of the estimates, plain or corrected (BCa: B. Efron, J. Am. Stat. Assoc. 82:171, 1987)
for their bias z₀ = Φ⁻¹(share below θ̂) and acceleration a = skewness / 6 of the influence of single rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np

from marquardt._types import FloatArray
from marquardt.losses.robust import Robust
from marquardt.problem import Problem
from marquardt.residual_problem import ResidualProblem
from marquardt.reweighted_problem import ReweightedProblem
from marquardt.uncertainty.profile import ConfidenceInterval, parameter_index
from marquardt.uncertainty.refits import OtherRows, problem_of, refit

if TYPE_CHECKING:
    from marquardt.least_squares_fit import LeastSquaresFit

Drawing = Callable[[FloatArray, FloatArray, np.random.Generator], tuple[np.ndarray, FloatArray]]
"""(r, h, rng) -> the rows of a new problem and what is added to their residuals."""


def draw_rows(r: FloatArray, h: FloatArray, rng: np.random.Generator) -> tuple[np.ndarray, FloatArray]:
    """Rows with repetition."""
    del h
    return rng.integers(0, len(r), len(r)), np.zeros_like(r)


def draw_residuals(r: FloatArray, h: FloatArray, rng: np.random.Generator) -> tuple[np.ndarray, FloatArray]:
    """All rows, with their residuals dealt out anew: r*(w) = r(w) − r + e."""
    spread = _spread_residuals(r, h)
    return np.arange(len(r)), spread[rng.integers(0, len(r), len(r))] - r


_DRAWINGS: dict[str, Drawing] = {"rows": draw_rows, "residuals": draw_residuals}


@dataclass(frozen=True)
class Bootstrap:
    """The estimates of many refits to data drawn again."""

    names: tuple[str, ...]
    estimate: FloatArray
    """Of the fit (p,)."""
    estimates: FloatArray
    """Of the refits (m, p)."""
    n_failed: int
    """Refits that did not converge; they are left out."""
    resample: str
    acceleration: FloatArray = field(repr=False)
    """a of each parameter (p,)."""

    @property
    def standard_errors(self) -> FloatArray:
        """Standard deviations of the estimates (p,)."""
        return self.estimates.std(axis=0, ddof=1)

    @property
    def bias(self) -> FloatArray:
        """Mean of the estimates less the estimate (p,)."""
        return self.estimates.mean(axis=0) - self.estimate

    @property
    def correlations(self) -> FloatArray:
        """Correlation matrix of the estimates (p, p)."""
        return np.atleast_2d(np.corrcoef(self.estimates, rowvar=False))

    def interval(self, name: str | int, coverage: float = 0.95, bca: bool = True) -> ConfidenceInterval:
        """The interval of a parameter.

        Parameters
        ----------
        name : str or int
        coverage : float
        bca : bool
            Corrected for bias and skewness; else the plain quantiles.
        """
        from scipy.special import ndtr, ndtri

        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage!r} must lie between 0 and 1, e.g. 0.95")
        index = parameter_index(self, name)
        values = self.estimates[:, index]
        tails = np.array([0.5 * (1 - coverage), 0.5 * (1 + coverage)])
        notes: list[str] = []
        if bca:
            equal = float(np.mean(values == self.estimate[index]))  # ties count half
            below = float(np.mean(values < self.estimate[index])) + 0.5 * equal
            if 0 < below < 1:
                bias, a = ndtri(below), self.acceleration[index]
                shifted = bias + ndtri(tails)
                tails = ndtr(bias + shifted / (1 - a * shifted))
            else:
                notes.append("all refits lie on one side of the estimate: plain quantiles, no BCa")
        m = len(values)
        if min(tails[0], 1 - tails[1]) * m < 5:
            notes.append(f"{m} refits leave fewer than 5 beyond an end: take more")
        low, high = np.quantile(values, tails)
        estimate = float(self.estimate[index])
        return ConfidenceInterval(
            self.names[index], estimate, float(low), float(high), coverage, tuple(notes)
        )

    def __str__(self) -> str:
        lines = [f"Bootstrap of {self.resample}, {len(self.estimates)} refits, {self.n_failed} failed"]
        width = max(map(len, self.names))
        for i, name in enumerate(self.names):
            interval = self.interval(i)
            lines.append(
                f"  {name:<{width}}  {self.estimate[i]:.6g} ± {self.standard_errors[i]:.3g}, bias "
                f"{self.bias[i]:+.2g}, 0.95 interval {interval.low:.6g} to {interval.high:.6g} (BCa)"
            )
        return "\n".join(lines)


def bootstrap(
    fit: LeastSquaresFit,
    n_resamples: int = 1000,
    *,
    resample: str = "rows",
    random_state: int | None = None,
    n_jobs: int | None = None,
) -> Bootstrap:
    """Fit again to data drawn again.

    Parameters
    ----------
    fit : LeastSquaresFit
    n_resamples : int
        1000 for intervals, 200 for standard errors (Efron & Tibshirani).
    resample : "rows" or "residuals"
        What is drawn.
    random_state : int, optional
        The result is the same for every `n_jobs`.
    n_jobs : int, optional
        Processes, as in scikit-learn.

    Raises
    ------
    ValueError
        For a fit without its function or degrees of freedom, an unknown `resample`, or when nearly all refits
        fail.

    Examples
    --------
    >>> from marquardt import least_squares
    >>> x = np.linspace(0, 1, 30)
    >>> y = 2 * x + 0.1 * np.random.default_rng(0).normal(size=30)
    >>> fit = least_squares(lambda w: w[0] * x - y, [1.0], names=["slope"])
    >>> print(bootstrap(fit, 400, random_state=0))
    Bootstrap of rows, 400 refits, 0 failed
      slope  1.97956 ± 0.0236, bias +0.00028, 0.95 interval 1.93407 to 2.02517 (BCa)
    """
    if resample not in _DRAWINGS:
        raise ValueError(f"resample={resample!r} must be one of {', '.join(map(repr, _DRAWINGS))}")
    if not (int(n_resamples) == n_resamples and n_resamples >= 2):
        raise ValueError(f"n_resamples={n_resamples!r} must be a whole number of at least 2")
    if fit.degrees_of_freedom <= 0:
        raise ValueError(
            f"the fit has {fit.degrees_of_freedom} degrees of freedom: measure more points first"
        )
    problem, drawing = problem_of(fit), _DRAWINGS[resample]
    if fit.loss is not None and resample != "rows":
        raise ValueError(
            f"resample={resample!r} deals out residuals as if all were noise, but the fit has a loss against "
            "outliers: take resample='rows'"
        )
    h = _leverage(fit)
    seeds = np.random.SeedSequence(random_state).spawn(int(n_resamples))
    parts = _parts(seeds, n_jobs)
    work = [_Chunk(problem, fit.loss, drawing, fit.w, fit.residual, h, part) for part in parts]
    if len(work) == 1:
        done = [work[0].run()]
    else:
        from joblib import Parallel, delayed

        done: list[FloatArray] = Parallel(n_jobs=n_jobs)(delayed(chunk.run)() for chunk in work)  # pyright: ignore
    estimates = np.concatenate(done)
    good = np.isfinite(estimates).all(axis=1)
    if good.sum() < 2:
        raise ValueError(
            f"{int((~good).sum())} of {n_resamples} refits failed: the resamples do not determine the "
            f"parameters; try resample='residuals', or fewer parameters"
        )
    acceleration = _acceleration(fit, resample)
    return Bootstrap(fit.names, fit.w, estimates[good], int((~good).sum()), resample, acceleration)


@dataclass(frozen=True)
class _Chunk:
    """Refits for one process."""

    problem: ResidualProblem
    loss: Robust | None
    drawing: Drawing
    start: FloatArray
    residual: FloatArray
    leverage: FloatArray
    seeds: list[np.random.SeedSequence]

    def run(self) -> FloatArray:
        """Estimates (len(seeds), p); NaN where a refit failed."""
        return np.array([self._one(seed) for seed in self.seeds])

    def _one(self, seed: np.random.SeedSequence) -> FloatArray:
        rows, shift = self.drawing(self.residual, self.leverage, np.random.default_rng(seed))
        problem: Problem = (again := OtherRows(self.problem, rows, shift))
        if self.loss is not None:
            problem = ReweightedProblem(cast(ResidualProblem, again), self.loss, self.start)
        result = refit(problem, self.start)
        at = result.linearization
        norms = np.zeros(1) if at is None else at.jacobian.column_sqnorms()
        # a draw that leaves a parameter out (all rows of one group, say) determines nothing of it
        good = result.success and result.status.converged and bool((norms > 0).all())
        return result.w if good else np.full(len(self.start), np.nan)


def _parts(seeds: list[np.random.SeedSequence], n_jobs: int | None) -> list[list[np.random.SeedSequence]]:
    if n_jobs in (None, 1):
        return [seeds]
    from joblib import effective_n_jobs

    count = min(len(seeds), 4 * effective_n_jobs(n_jobs))
    edges = np.linspace(0, len(seeds), count + 1).astype(int)
    return [seeds[a:b] for a, b in pairwise(edges)]


def _leverage(fit: LeastSquaresFit) -> FloatArray:
    """h = diag J (JᵀJ)⁻¹ Jᵀ (n,)."""
    norms = np.linalg.norm(fit.jacobian, axis=0)
    left, values, _ = np.linalg.svd(fit.jacobian / np.where(norms > 0, norms, 1.0), full_matrices=False)
    kept = left[:, values > 1e-12 * values.max(initial=0.0)]
    return np.einsum("ij,ij->i", kept, kept)


def _spread_residuals(r: FloatArray, h: FloatArray) -> FloatArray:
    """r/√(1 − h), centered: with the variance of the noise (Davison & Hinkley 1997, section 6.2.3)."""
    spread = r / np.sqrt(np.maximum(1 - h, 1e-3))
    return spread - spread.mean()


def _acceleration(fit: LeastSquaresFit, resample: str) -> FloatArray:
    """a = Σ U³ / 6 (Σ U²)^{3/2}, with U_i = −(JᵀJ)⁻¹ J_i r_i the influence of row i on the estimates.

    For drawn residuals the estimate moves by C e with C = −(JᵀJ)⁻¹Jᵀ, whose skewness is that of e times
    ΣC³/(ΣC²)^{3/2}.
    """
    roots = np.sqrt(fit.weights)
    projector = -np.linalg.pinv(roots[:, None] * fit.jacobian) * roots  # (p, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        if resample == "residuals":
            e = _spread_residuals(fit.residual, _leverage(fit))
            skewness = np.mean(e**3) / np.mean(e**2) ** 1.5
            a = skewness * (projector**3).sum(axis=1) / (projector**2).sum(axis=1) ** 1.5 / 6
        else:
            influence = projector * fit.residual
            a = (influence**3).sum(axis=1) / (influence**2).sum(axis=1) ** 1.5 / 6
    return np.where(np.isfinite(a), a, 0.0)
