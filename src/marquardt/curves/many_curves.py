r"""One curve fitted to thousands of sets of points at once, without reports.

Each set has its own damping; a step of all of them is one call of the curve with parameters (m, 1), and one
batch of small linear systems.  Levenberg-Marquardt by normal equations in Moré's metric with Nielsen's
damping, and at the end Gauss-Newton steps by QR, which bring the digits that the normal equations lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float
from marquardt._types import FloatArray
from marquardt.curves.curve import Curve
from marquardt.curves.curve_data import check_columns
from marquardt.curves.shapes import shape

if TYPE_CHECKING:
    import pandas as pd

_EPS = float(np.finfo(float).eps)
CONVERGED = 1e-4
"""Relative offset ‖P r‖/‖r‖ of a minimum: parameters within 1e-4 of their standard errors (Bates & Watts
1981 ask for 1e-3); most end below 1e-9."""
REFINEMENTS = 4
"""Gauss-Newton steps at the end, at most."""


@dataclass(frozen=True)
class ManyFits:
    """The fits of m sets of points, row by row."""

    names: tuple[str, ...]
    params: FloatArray
    """(m, p); NaN where nothing could be fitted."""
    standard_errors: FloatArray
    """(m, p)."""
    rss: FloatArray
    """(m,)."""
    degrees_of_freedom: FloatArray
    """(m,)."""
    converged: np.ndarray
    """(m,) bool."""
    n_iter: int
    curve: Curve = field(repr=False)

    def __len__(self) -> int:
        return len(self.params)

    def __repr__(self) -> str:
        return f"ManyFits({self.curve.label}, {int(self.converged.sum())} of {len(self)} converged)"

    @property
    def residual_sd(self) -> FloatArray:
        """(m,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(np.where(self.degrees_of_freedom > 0, self.rss / self.degrees_of_freedom, np.nan))

    def predict(self, x: ArrayLike) -> FloatArray:
        """Every curve at x (n,) -> (m, n)."""
        return _values(self.curve, as_float("x", x), self.params)

    def table(self) -> pd.DataFrame:
        """One row a fit: parameters, standard errors, rss, converged."""
        import pandas as pd

        columns: dict[str, Any] = {}
        for k, name in enumerate(self.names):
            columns |= {name: self.params[:, k], f"{name}_se": self.standard_errors[:, k]}
        return pd.DataFrame({**columns, "rss": self.rss, "converged": self.converged})


def fit_many(
    f: str | Curve | Callable[..., Any],
    x: ArrayLike,
    Y: ArrayLike,
    p0: Mapping[str, float] | Sequence[float] | ArrayLike | None = None,
    *,
    max_iter: int = 200,
) -> ManyFits:
    """Fit a curve to each row of Y.

    Parameters
    ----------
    f : str, Curve or callable
        As in `curve_fit`; a function of your own must take parameters of shape (m, 1) with x (n,) or (m,
        n), as NumPy's do, and return (m, n).
    x : array (n,) or (m, n)
        The same for all, or one row each.
    Y : array (m, n)
        NaN for a point that was not measured.
    p0 : mapping, sequence (p,) or array (m, p), optional
        Starts; from the data, or the defaults of the function, without.
    max_iter : int

    Examples
    --------
    >>> x = np.linspace(0.5, 20, 30)
    >>> km = np.linspace(1, 5, 100)[:, None]
    >>> fits = fit_many("michaelis_menten", x, 10 * x / (km + x))
    >>> fits
    ManyFits(michaelis_menten, 100 of 100 converged)
    >>> fits.params[[0, -1]].round(6)
    array([[10.,  1.],
           [10.,  5.]])
    """
    curve = f if isinstance(f, Curve) else shape(f) if isinstance(f, str) else Curve.of(f)
    points = _Points.of(curve, as_float("x", x), as_float("Y", Y))
    start = _starts(curve, points, p0)
    run = _Run(curve, points, start)
    run.minimize(max_iter)
    return run.result()


@dataclass(frozen=True)
class _Points:
    """x (n,) or (m, n), y (m, n) without NaN, and 1 or 0 for measured or not (m, n), None where all are."""

    x: FloatArray
    y: FloatArray
    mask: FloatArray | None

    @classmethod
    def of(cls, curve: Curve, x: FloatArray, Y: FloatArray) -> _Points:
        if Y.ndim != 2 or 0 in Y.shape:
            raise ValueError(f"Y has shape {Y.shape}: it must have one row of points for each fit, (m, n)")
        if x.shape not in ((Y.shape[1],), Y.shape):
            raise ValueError(f"x has shape {x.shape}: it must be ({Y.shape[1]},) or {Y.shape}, as Y")
        if not np.isfinite(x).all():
            raise ValueError("x holds NaN or infinite values: leave points out by NaN in Y")
        check_columns(curve, x.ravel())
        if np.isinf(Y).any():
            raise ValueError("Y holds infinite values: take NaN for points that were not measured")
        missing = np.isnan(Y)
        if not missing.any():
            return cls(x, Y, None)
        return cls(x, np.where(missing, 0.0, Y), 1.0 - missing)

    @property
    def counts(self) -> FloatArray:
        """Points of each fit (m,)."""
        m, n = self.y.shape
        return np.full(m, float(n)) if self.mask is None else self.mask.sum(axis=1)

    def rows(self, chosen: np.ndarray) -> _Points:
        x = self.x if self.x.ndim == 1 else self.x[chosen]
        return _Points(x, self.y[chosen], None if self.mask is None else self.mask[chosen])

    def masked(self, values: FloatArray) -> FloatArray:
        """(m, n) or (m, n, p) with zeros for what was not measured."""
        if self.mask is None:
            return values
        # where, not times: a curve may be infinite at a place without a point
        mask = self.mask if values.ndim == 2 else self.mask[:, :, None]
        return np.where(mask > 0, values, 0.0)


def _values(curve: Curve, x: FloatArray, theta: FloatArray) -> FloatArray:
    """f (m, n)."""
    with np.errstate(all="ignore"):
        f = np.asarray(curve.function(x, *(theta[:, k : k + 1] for k in range(theta.shape[1]))), dtype=float)
    wanted = (len(theta), x.shape[-1])
    if f.shape != wanted:
        try:
            return np.broadcast_to(f, wanted)
        except ValueError:
            raise ValueError(
                f"{curve.label} returned shape {f.shape} for {wanted[0]} fits of {wanted[1]} points: it "
                f"must work "
                "entry by entry on parameters of shape (m, 1), as NumPy's functions do; or call curve_fit "
                "in a loop"
            ) from None
    return f


def _gradient(curve: Curve, x: FloatArray, theta: FloatArray) -> FloatArray:
    """∂f/∂θ (m, n, p)."""
    p = theta.shape[1]
    J = np.empty((len(theta), x.shape[-1], p))
    with np.errstate(all="ignore"):
        if curve.gradient is not None:
            for k, column in enumerate(curve.gradient(x, *(theta[:, k : k + 1] for k in range(p)))):
                J[:, :, k] = column
            return J
        for k in range(p):  # central differences, with steps in units of the parameter
            h = _EPS ** (1 / 3) * np.where(theta[:, k] != 0, np.abs(theta[:, k]), 1.0)
            up, down = theta.copy(), theta.copy()
            up[:, k] += h
            down[:, k] -= h
            J[:, :, k] = (_values(curve, x, up) - _values(curve, x, down)) / (up[:, k] - down[:, k])[:, None]
    return J


def _starts(curve: Curve, points: _Points, p0: Any) -> FloatArray:
    """(m, p)."""
    m, p = len(points.y), len(curve.names)
    if isinstance(p0, Mapping):
        missing = [name for name in curve.names if name not in p0]
        if missing:
            raise ValueError(f"p0 lacks {missing[0]!r}: give all of {', '.join(curve.names)}")
        p0 = [p0[name] for name in curve.names]
    if p0 is not None:
        given = as_float("p0", p0)
        if given.shape not in ((p,), (m, p)):
            raise ValueError(f"p0 has shape {given.shape}: it must be ({p},) or {(m, p)}")
        return np.broadcast_to(given, (m, p)).copy()
    if curve.guess is None:
        return np.tile(np.ones(p) if curve.start is None else np.array(curve.start), (m, 1))
    if points.x.ndim == 1 and points.mask is None:
        return curve.guess(points.x, points.y)
    start = np.full((m, p), np.nan)
    for k in range(m):
        x = points.x if points.x.ndim == 1 else points.x[k]
        seen = slice(None) if points.mask is None else points.mask[k] > 0
        if len(x[seen]):
            start[k] = curve.guess(x[seen], points.y[k][seen][None])[0]
    return start


class _Run:
    """All fits, and which of them still move."""

    def __init__(self, curve: Curve, points: _Points, start: FloatArray) -> None:
        self.curve, self.points = curve, points
        self.theta = start
        self.cost = self._cost(points, start)
        enough = points.counts >= start.shape[1]
        self.usable = np.isfinite(self.cost) & np.isfinite(start).all(axis=1) & enough
        self.n_iter = 0

    def _residual(self, points: _Points, theta: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            return points.masked(_values(self.curve, points.x, theta) - points.y)

    def _cost(self, points: _Points, theta: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            r = self._residual(points, theta)
            return 0.5 * np.einsum("mn,mn->m", r, r)

    def minimize(self, max_iter: int) -> None:
        """Levenberg-Marquardt on all fits that still move."""
        damping, growth = np.full(len(self.theta), 1e-3), np.full(len(self.theta), 2.0)
        scale = np.zeros_like(self.theta)
        going = np.flatnonzero(self.usable)
        self.n_iter = 0
        while len(going) and self.n_iter < max_iter:
            self.n_iter += 1
            points, theta = self.points.rows(going), self.theta[going]
            A, g = self._normal_equations(points, theta)
            norms = np.sqrt(np.maximum(np.einsum("mii->mi", A), 0.0))
            scale[going] = d = np.maximum(scale[going], np.where(norms > 0, norms, 0.0))  # Moré's metric
            d = np.where(d > 0, d, 1.0)
            lam = damping[going]
            step = _solve(A / (d[:, :, None] * d[:, None, :]), -g / d, lam)
            predicted = 0.5 * np.einsum("mp,mp->m", step, lam[:, None] * step - g / d)
            cost = self._cost(points, theta + step / d)
            with np.errstate(invalid="ignore", divide="ignore"):
                decrease = self.cost[going] - cost
                gain = np.where(predicted > 0, decrease / predicted, -1.0)
            good = np.isfinite(cost) & (decrease > 0)
            moved = going[good]
            self.theta[moved] = (theta + step / d)[good]
            self.cost[moved] = cost[good]
            factor = np.maximum(1 / 3, 1 - (2 * np.minimum(gain, 1.0) - 1) ** 3)
            damping[going] = np.where(good, np.maximum(lam * factor, 1e-14), lam * growth[going])
            growth[going] = np.where(good, 2.0, 2 * growth[going])
            done = (predicted <= 1e-12 * self.cost[going]) | (damping[going] > 1e16)
            going = going[~done]

    def _normal_equations(self, points: _Points, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        r = self._residual(points, theta)
        J = points.masked(_gradient(self.curve, points.x, theta))
        J[~np.isfinite(J)] = 0.0  # such a fit ends unconverged
        Jt = J.transpose(0, 2, 1)
        return Jt @ J, (Jt @ r[:, :, None])[:, :, 0]

    def result(self) -> ManyFits:
        """Refined, with standard errors."""
        m, p = self.theta.shape
        if self.curve.canonical is not None:  # the same curves by their canonical parameters
            self.theta = np.array([self.curve.canonical(theta) for theta in self.theta])
        errors, offset = np.full((m, p), np.nan), np.full(m, np.inf)
        rows = np.flatnonzero(self.usable)
        for k in range(REFINEMENTS + 1):
            if not len(rows):
                break
            points, theta = self.points.rows(rows), self.theta[rows]
            step, new_offset, spread = self._gauss_newton(points, theta)
            offset[rows], errors[rows] = new_offset, spread
            if k == REFINEMENTS:
                break
            trial = theta + step
            cost = self._cost(points, trial)
            better = (
                (cost <= self.cost[rows] * (1 + 64 * _EPS))
                & (new_offset > 1e-10)
                & np.isfinite(step).all(axis=1)
            )
            self.theta[rows[better]], self.cost[rows[better]] = trial[better], cost[better]
            rows = rows[better]
        dof = self.points.counts - p
        with np.errstate(invalid="ignore", divide="ignore"):
            errors *= np.sqrt(np.where(dof > 0, 2 * self.cost / dof, np.nan))[:, None]
        scale = np.einsum("mn,mn->m", self.points.y, self.points.y)
        converged = self.usable & ((offset <= CONVERGED) | (2 * self.cost <= (1e-12**2) * scale))
        theta = np.where(self.usable[:, None], self.theta, np.nan)
        rss = np.where(self.usable, 2 * self.cost, np.nan)
        return ManyFits(self.curve.names, theta, errors, rss, dof, converged, self.n_iter, self.curve)

    def _gauss_newton(self, points: _Points, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The step (m, p), the relative offset (m,), and √diag (JᵀJ)⁻¹ (m, p)."""
        r = self._residual(points, theta)
        J = points.masked(_gradient(self.curve, points.x, theta))
        J[~np.isfinite(J)] = 0.0
        norms = np.linalg.norm(J, axis=1)  # (m, p)
        safe = np.where(norms > 0, norms, 1.0)
        Q, R = np.linalg.qr(J / safe[:, None, :])
        along = np.einsum("mnp,mn->mp", Q, r)
        diagonal = np.abs(np.einsum("mii->mi", R))
        singular = (diagonal <= 1e-13).any(axis=1) | (norms == 0).any(axis=1)
        R = np.where(singular[:, None, None], np.eye(R.shape[1]), R)
        inverse = np.linalg.inv(R)
        step = -np.einsum("mpq,mq->mp", inverse, along) / safe
        spread = np.sqrt(np.einsum("mpq,mpq->mp", inverse, inverse)) / safe
        step[singular], spread[singular] = 0.0, np.inf
        length = np.linalg.norm(r, axis=1)
        offset = np.linalg.norm(along, axis=1) / np.where(length > 0, length, 1.0)
        return step, offset, spread


def _solve(A: FloatArray, b: FloatArray, damping: FloatArray) -> FloatArray:
    """(A + λI) s = b for all; A has a unit diagonal or less."""
    eye = np.eye(A.shape[1])
    try:
        step = np.linalg.solve(A + damping[:, None, None] * eye, b[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        step = np.linalg.solve(A + np.maximum(damping, 1e-9)[:, None, None] * eye, b[:, :, None])[:, :, 0]
    return np.where(np.isfinite(step), step, 0.0)
