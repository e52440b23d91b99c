"""Which of several curves describes the same points best?

Reference: H. J. Motulsky, A. Christopoulos, "Fitting Models to Biological Data using Linear and Nonlinear
Regression", Oxford 2004, chapters F and G (extra sum of squares, AICc, weights exp(−Δ/2)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.curves.curve import Curve
from marquardt.curves.fitted_curve import CurveFit
from marquardt.curves.group_fits import GroupFits
from marquardt.curves.statistics import Statistics

if TYPE_CHECKING:
    import pandas as pd

Fit = CurveFit | GroupFits


@dataclass(frozen=True)
class FTest:
    """The extra sum of squares of a simpler curve within a fuller one."""

    simple: str
    full: str
    statistic: float
    """F, with `numerator` and `denominator` degrees of freedom."""
    numerator: int
    denominator: int
    p_value: float

    def __str__(self) -> str:
        verdict = f"{self.full} is needed" if self.p_value < 0.05 else f"{self.simple} will do"
        return (
            f"F({self.numerator}, {self.denominator}) = {self.statistic:.5g}, p = {self.p_value:.3g}: "
            f"{verdict} "
            f"({self.simple} within {self.full})"
        )


@dataclass(frozen=True)
class Comparison:
    """Several fits of the same points, in the order given."""

    names: tuple[str, ...]
    statistics: tuple[Statistics, ...]
    f_tests: tuple[FTest, ...]
    """Of every pair of which one contains the other."""

    @property
    def weights(self) -> dict[str, float]:
        """AICc weights: exp(−Δ/2), scaled to sum 1."""
        values = np.array([s.aicc for s in self.statistics])
        if not np.isfinite(values).any():  # too few points for AICc
            values = np.array([s.aic for s in self.statistics])
        share = (
            np.exp(-0.5 * (values - values.min())) if np.isfinite(values.min()) else values == values.min()
        )
        return dict(zip(self.names, (share / share.sum()).tolist(), strict=True))

    @property
    def best(self) -> str:
        """The name of highest weight."""
        return max(self.weights, key=self.weights.__getitem__)

    def table(self) -> pd.DataFrame:
        """One row a fit."""
        import pandas as pd

        rows = [
            {"parameters": s.n_params, "dof": s.degrees_of_freedom, "rss": s.rss,
             "aic": s.aic, "aicc": s.aicc, "bic": s.bic, "weight": weight}
            for s, weight in zip(self.statistics, self.weights.values(), strict=True)
        ]  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index(self.names))

    def __str__(self) -> str:
        width = max(map(len, self.names))
        lines = [f"{'':<{width}}  params  RSS           AIC       AICc      BIC       weight"]
        for name, s in zip(self.names, self.statistics, strict=True):
            lines.append(
                f"{name:<{width}}  {s.n_params:<6d}  {s.rss:<12.7g}  {s.aic:<8.6g}  {s.aicc:<8.6g}  "
                f"{s.bic:<8.6g}  {self.weights[name]:.3g}"
            )
        return "\n".join([*lines, *map(str, self.f_tests), f"best by AICc: {self.best}"])


def compare(*fits: Fit | Mapping[str, Fit], nested: bool | None = None) -> Comparison:
    """Compare fits of the same points.

    Parameters
    ----------
    *fits : CurveFit or GroupFits, or one mapping of name to fit
    nested : bool, optional
        Whether each fit contains those with fewer parameters; None finds out where it can: the same curve
        with some parameters fixed, tied or shared, and the special cases that a curve names.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        For fits of different points or weights, and for robust fits, which have no sum of squares to compare.

    Examples
    --------
    >>> from marquardt.curves import curve_fit
    >>> x = np.arange(8.0)
    >>> y = np.array([1.0, 2.1, 2.9, 4.2, 5.1, 5.8, 7.1, 7.9])
    >>> print(compare(curve_fit("linear", x, y), curve_fit("polynomial2", x, y)))
                 params  RSS           AIC       AICc      BIC       weight
    linear       2       0.1215476     -29.4951  -23.4951  -29.3362  0.988
    polynomial2  3       0.1143452     -27.9838  -14.6505  -27.7455  0.0119
    F(1, 5) = 0.31494, p = 0.599: linear will do (linear within polynomial2)
    best by AICc: linear
    """
    named = _named(fits)
    if len(named) < 2:
        raise ValueError(f"{len(named)} fit is nothing to compare: give two or more")
    _check_same_points(list(named.values()))
    stats = {name: fit.statistics for name, fit in named.items()}
    tests = []
    for simple in named:
        for full in named:
            if stats[simple].n_params < stats[full].n_params:
                inside = _contains(named[full], named[simple]) if nested is None else nested
                if inside and stats[full].degrees_of_freedom > 0:
                    tests.append(_f_test(simple, stats[simple], full, stats[full]))
    return Comparison(tuple(named), tuple(stats.values()), tuple(tests))


def _named(fits: Sequence[Fit | Mapping[str, Fit]]) -> dict[str, Fit]:
    if len(fits) == 1 and isinstance(fits[0], Mapping) and not isinstance(fits[0], GroupFits):
        return dict(fits[0])
    named: dict[str, Fit] = {}
    for fit in fits:
        if not isinstance(fit, Fit):
            raise ValueError(f"{type(fit).__name__} is no fit: give what curve_fit returned")
        name = label = _name(fit)
        count = 2
        while name in named:
            name, count = f"{label} {count}", count + 1
        named[name] = fit
    return named


def _name(fit: Fit) -> str:
    first, extra = _first(fit), []
    if isinstance(fit, GroupFits):
        extra.append("each group")
    elif fit.groups:
        extra.append("shared " + ", ".join(n for n in fit.names if "[" not in n))
    extra += [
        f"{name} {kind}" for name, kind in first.kinds.items() if "[" not in name and kind != "at its bound"
    ]
    return first.curve.label + (f" ({'; '.join(extra)})" if extra else "")


def _first(fit: Fit) -> CurveFit:
    return next(iter(fit.values())) if isinstance(fit, GroupFits) else fit


def _contains(full: Fit, simple: Fit) -> bool:
    a, b = _first(full), _first(simple)
    if a.curve == b.curve:
        if isinstance(full, GroupFits) or isinstance(simple, GroupFits):
            # groups apart contain every sharing, and no groups at all
            return isinstance(full, GroupFits)
        local_a, local_b = ({n.split("[")[0] for n in f.names if "[" in n} for f in (a, b))
        free_a, free_b = ({n.split("[")[0] for n in f.names} for f in (a, b))
        return local_b <= local_a and free_b <= free_a
    same_groups = type(full) is type(simple) and a.groups == b.groups
    whole = not isinstance(full, GroupFits) and not a.kinds
    return (
        same_groups and (whole or isinstance(full, GroupFits)) and _name_of(b.curve) in a.curve.special_cases
    )


def _name_of(curve: Curve) -> str:
    return curve.name


def _f_test(simple: str, s: Statistics, full: str, f: Statistics) -> FTest:
    from scipy.stats import f as fisher

    between = f.n_params - s.n_params
    if f.known_sigma:  # the noise is known: a likelihood ratio, χ² with `between` degrees of freedom
        from scipy.stats import chi2

        extra = max(s.rss - f.rss, 0.0)
        return FTest(
            simple, full, extra / between, between, f.degrees_of_freedom, float(chi2.sf(extra, between))
        )
    extra = max(s.rss - f.rss, 0.0)
    exact = math.inf if extra > 0 else 0.0  # where the fuller one passes through all points
    statistic = extra / between / (f.rss / f.degrees_of_freedom) if f.rss > 0 else exact
    p = float(fisher.sf(statistic, between, f.degrees_of_freedom))
    return FTest(simple, full, statistic, between, f.degrees_of_freedom, p)


def _check_same_points(fits: Sequence[Fit]) -> None:
    def points(fit: Fit) -> tuple[np.ndarray, ...]:
        parts: list[Any] = list(fit.values()) if isinstance(fit, GroupFits) else [fit]
        if any(part.least_squares.loss is not None for part in parts):
            raise ValueError("a robust fit has no sum of squares to compare: fit again with loss='linear'")
        y = np.concatenate([part.data.y for part in parts])
        roots = np.concatenate(
            [np.ones(len(p.data)) if p.data.roots is None else p.data.roots for p in parts]
        )
        order = np.lexsort((roots, y))
        return y[order], roots[order]

    first = points(fits[0])
    for fit in fits[1:]:
        other = points(fit)
        if not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)):
            raise ValueError(
                f"the fits are of different points ({len(first[0])} and {len(other[0])}) or weights: fit "
                f"all to the "
                "same"
            )
