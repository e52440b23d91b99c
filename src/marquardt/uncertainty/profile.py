r"""Profile likelihood of one parameter: how the best cost rises as it is moved, all others fitted again.

With C(θ) the least cost at a held value θ and s the residual standard deviation, the signed root

    τ(θ) = sign(θ − θ̂) √(2 (C(θ) − Ĉ)) / s

is compared with Student's t of n − p degrees of freedom (with the normal where sigma is known).  For a model
linear in its parameters τ is (θ − θ̂) / se(θ) exactly, and the interval is the usual one; its bend tells how
far that is wrong.

References
----------
D. M. Bates, D. G. Watts, "Nonlinear Regression Analysis and Its Applications", Wiley 1988, sections 6.1, 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.uncertainty.walk import Point, Walk, Walker

if TYPE_CHECKING:
    from marquardt.least_squares_fit import LeastSquaresFit
    from marquardt.uncertainty.bootstrap import Bootstrap


@dataclass(frozen=True)
class ConfidenceInterval:
    """An interval for one parameter."""

    name: str
    estimate: float
    low: float
    """−inf where the data set no limit."""
    high: float
    """inf where the data set no limit."""
    coverage: float
    notes: tuple[str, ...] = ()
    """Why an end is infinite, or cut."""

    def __str__(self) -> str:
        notes = "".join(f"; {note}" for note in self.notes)
        ends = f"{self.low:.6g} to {self.high:.6g}"
        return f"{self.name} = {self.estimate:.6g}, {self.coverage:.4g} interval {ends}{notes}"


@dataclass(frozen=True)
class Profile:
    """The profile of one parameter, on both sides of its estimate, in ascending order.

    Plot `tau` against `values`: a straight line is a parameter in which the model is linear.
    """

    name: str
    estimate: float
    values: FloatArray
    """θ (m,)."""
    tau: FloatArray
    """τ(θ) (m,)."""
    parameters: FloatArray
    """All parameters at each θ, the profile traces (m, p)."""
    interval: ConfidenceInterval
    n_refits: int = field(default=0, compare=False)


def profile(
    fit: LeastSquaresFit,
    name: str | int,
    *,
    coverage: float = 0.95,
    absolute_sigma: bool = False,
    n_points: int = 8,
) -> Profile:
    """The profile of a parameter out to the ends of its interval.

    Parameters
    ----------
    fit : LeastSquaresFit
    name : str or int
        Of the parameter, or its position.
    coverage : float
        Of the interval.
    absolute_sigma : bool
        When true the residuals are already in units of their standard deviation.
    n_points : int
        About as many points on each side.

    Raises
    ------
    ValueError
        For an unknown name, a coverage outside (0, 1), a fit without degrees of freedom or its function.

    Examples
    --------
    >>> from marquardt import least_squares
    >>> x, y = np.arange(4.0), np.array([0.1, 0.9, 2.1, 2.9])
    >>> fit = least_squares(lambda w: w[0] * x - y, [1.0], names=["slope"])
    >>> print(profile(fit, "slope").interval)
    slope = 0.985714, 0.95 interval 0.891074 to 1.08035
    """
    if not n_points >= 1:
        raise ValueError(f"n_points={n_points!r} must be at least 1")
    index = parameter_index(fit, name)
    target = threshold(fit, coverage, absolute_sigma, n_held=1)
    walker = Walker.of(fit, [index], absolute_sigma)
    unit = walker.unit(index)
    walks = [walker.walk(np.array([side * unit]), target, target / n_points) for side in (-1.0, 1.0)]
    return _profile(fit, index, coverage, walker, walks)


def conf_interval(
    fit: LeastSquaresFit, *names: str | int, coverage: float = 0.95, absolute_sigma: bool = False
) -> dict[str, ConfidenceInterval]:
    """Profile-likelihood intervals of the named parameters, of all without names; as `profile`, with as few
    refits as the ends take."""
    chosen = names or fit.names
    options = {"coverage": coverage, "absolute_sigma": absolute_sigma, "n_points": 2}
    return {fit.names[parameter_index(fit, name)]: profile(fit, name, **options).interval for name in chosen}


def _profile(fit: LeastSquaresFit, index: int, coverage: float, walker: Walker, walks: list[Walk]) -> Profile:
    down, up = walks
    points: list[Point] = [*reversed(down.points), walker.origin, *up.points]
    values = np.array([point.held[0] for point in points])
    signs = np.sign(values - walker.origin.held[0])
    estimate = float(fit.w[index])
    sides = zip(("below", "above"), walks, strict=True)
    notes = [f"{side}: {walk.reason}" for side, walk in sides if walk.reason]
    ends = [walk.end[0] for walk in walks]
    interval = ConfidenceInterval(
        fit.names[index],
        estimate,
        float(ends[0]),
        float(ends[1]),
        coverage,
        (*notes, *walker.warnings()),
    )
    return Profile(
        name=fit.names[index],
        estimate=estimate,
        values=values,
        tau=signs * np.array([point.root for point in points]),
        parameters=np.array([point.w for point in points]),
        interval=interval,
        n_refits=walker.n_refits,
    )


def parameter_index(fit: LeastSquaresFit | Bootstrap, name: str | int) -> int:
    """The position of a parameter, by its name or itself."""
    if isinstance(name, str):
        if name not in fit.names:
            raise ValueError(f"name={name!r} is no parameter: there are {', '.join(fit.names)}")
        return fit.names.index(name)
    if not 0 <= name < len(fit.names):
        raise ValueError(f"name={name!r} must be a name, or a position from 0 to {len(fit.names) - 1}")
    return int(name)


def threshold(fit: LeastSquaresFit, coverage: float, absolute_sigma: bool, n_held: int) -> float:
    """√(2ΔC)/s at the edge of the region of k held parameters: √(k F(k, n − p)), √χ²(k) with known sigma."""
    from scipy.stats import chi2
    from scipy.stats import f as fisher

    if not 0 < coverage < 1:
        raise ValueError(f"coverage={coverage!r} must lie between 0 and 1, e.g. 0.95")
    if absolute_sigma:
        return float(np.sqrt(chi2.ppf(coverage, n_held)))
    dof = fit.degrees_of_freedom
    if dof <= 0:
        raise ValueError(
            f"the fit has {dof} degrees of freedom: measure more points, fix a parameter, or give residuals "
            "over their known standard deviation and absolute_sigma=True"
        )
    return float(np.sqrt(n_held * fisher.ppf(coverage, n_held, dof)))
