"""Fit a curve to points: the face of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import IntArray
from marquardt.curves.bounds import Bounds
from marquardt.curves.curve import Curve, Model
from marquardt.curves.curve_data import CurveData, check_columns, check_spread
from marquardt.curves.curve_notes import notes
from marquardt.curves.curve_starts import Optimum, best_run, first_start, starts
from marquardt.curves.curve_task import CurveRun, CurveTask
from marquardt.curves.expressions import Expression
from marquardt.curves.fitted_curve import CurveFit
from marquardt.curves.group_fits import GroupFits
from marquardt.curves.grouped import Grouped, GroupedRows
from marquardt.curves.reduced import Reduced, check_names
from marquardt.curves.shapes import shape
from marquardt.losses.robust import Robust
from marquardt.result import Status

EQUAL_COST = 1e-6
"""Minima whose costs differ by less than this fraction are told as equal."""
APART = 0.1
"""Two ends of runs are two minima when a parameter differs by more than this many standard errors."""

Anything = str | Curve | Callable[..., Any]


@overload
def curve_fit(f: Anything, x: Any, y: Any, p0: Mapping[str, float] | Sequence[float] | None = ..., *,
              by: None = ..., fixed: Mapping[str, float] | None = ..., tied: Mapping[str, str] | None = ...,
              positive: Iterable[str] | bool = ..., bounds: Mapping[str, Any] | None = ...,
              weights: ArrayLike | None = ..., sigma: ArrayLike | None = ..., absolute_sigma: bool = ...,
              loss: str | Robust = ..., f_scale: float | None = ..., shared: Iterable[str] | str = ...,
              n_starts: int | None = ..., random_state: int | None = ..., **options: Any
              ) -> CurveFit: ...  # fmt: skip
@overload
def curve_fit(f: Anything, x: Any, y: Any, p0: Mapping[str, float] | Sequence[float] | None = ..., *,
              by: Any, fixed: Mapping[str, float] | None = ..., tied: Mapping[str, str] | None = ...,
              positive: Iterable[str] | bool = ..., bounds: Mapping[str, Any] | None = ...,
              weights: ArrayLike | None = ..., sigma: ArrayLike | None = ..., absolute_sigma: bool = ...,
              loss: str | Robust = ..., f_scale: float | None = ..., shared: tuple[()] = ...,
              n_starts: int | None = ..., random_state: int | None = ..., **options: Any
              ) -> GroupFits: ...  # fmt: skip
@overload
def curve_fit(f: Anything, x: Any, y: Any, p0: Mapping[str, float] | Sequence[float] | None = ..., *,
              by: Any, shared: Iterable[str] | str, **options: Any) -> CurveFit: ...  # fmt: skip
def curve_fit(
    f: Anything,
    x: Any,
    y: Any,
    p0: Mapping[str, float] | Sequence[float] | None = None,
    *,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    positive: Iterable[str] | bool = False,
    bounds: Mapping[str, Any] | None = None,
    weights: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    absolute_sigma: bool = False,
    loss: str | Robust = "linear",
    f_scale: float | None = None,
    by: Any = None,
    shared: Iterable[str] | str = (),
    n_starts: int | None = None,
    random_state: int | None = 0,
    **options: Any,
) -> CurveFit | GroupFits:
    """Fit a curve y = f(x; a, b, ...) to points.

    Parameters
    ----------
    f : str, callable or Curve
        A name of `SHAPES` ("hill", "exponential_decay", ...), whose start comes from the data; or a function
        f(x, a, b, ...) -> (n,), whose arguments name the parameters and whose defaults are their starts.
    x : array (n,) or (n, d), or DataFrame
        One column reaches f as (n,), several as (n, d).
    y : array (n,)
    p0 : mapping or sequence, optional
        Starts, of some or all parameters.
    fixed : mapping of name to value, optional
        Parameters that are not fitted.
    tied : mapping of name to expression, optional
        Parameters made of others: ``{"b": "2 * a"}``; arithmetic, exp, log, log10, sqrt, sin, cos, tan.
    positive : names, or True for all
        Kept above zero.
    bounds : mapping of name to (low, high), optional
        None for an open end.
    weights, sigma : array (n,), optional
        Σ weight · error² is minimised; or the standard deviation of each y.
    absolute_sigma : bool
        Whether sigma is known in units of y, rather than up to a factor found from the residuals.
    loss, f_scale
        As in `least_squares`; f_scale None estimates the scale of the noise.
    by : labels (n,), optional
        Groups of points.
    shared : names, optional
        Parameters with one value for all groups; the others have one for each.  Without, every group is
        fitted by itself.
    n_starts : int, optional
        Runs from so many places, the first one included; the best is kept.
    random_state : int, optional
        Of the places.
    **options
        Of `least_squares`: stopping, callback, damping, ...

    Returns
    -------
    CurveFit, or GroupFits for `by` without `shared`

    Raises
    ------
    ValueError
        For points that no such curve can be fitted to, unknown names, bounds that are crossed or equal, a
        start outside them; each names what to do.

    Examples
    --------
    >>> x = np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1])
    >>> y = [76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200]
    >>> fit = curve_fit("michaelis_menten", x, y)
    >>> {name: round(value, 5) for name, value in fit.params.items()}
    {'vmax': 212.68374, 'km': 0.06412}
    >>> curve_fit(lambda x, a, b: a * x**b, x, y, positive=True).params["b"].__round__(4)
    0.2523
    """
    curve = f if isinstance(f, Curve) else shape(f) if isinstance(f, str) else Curve.of(f)
    if absolute_sigma and sigma is None:
        raise ValueError("absolute_sigma=True needs the standard deviations, sigma=")
    if n_starts is not None and n_starts < 1:
        raise ValueError(f"n_starts={n_starts!r} must be at least 1")
    data = CurveData.of(x, y, weights, sigma)
    check_columns(curve, data.x)
    if loss != "linear" and not (isinstance(loss, Robust) and f_scale is None):
        options = {"f_scale": f_scale, **options}
    wish = _Wish(
        curve,
        Reduced(curve, fixed or {}, {n: Expression(text) for n, text in (tied or {}).items()})
        if fixed or tied
        else curve,
        _named(p0, curve),
        positive if isinstance(positive, bool | str) else tuple(positive),
        bounds or {},
        absolute_sigma,
        n_starts,
        random_state,
        {"loss": loss, **options},
    )
    common = (shared,) if isinstance(shared, str) else tuple(shared)
    if by is None:
        if common:
            raise ValueError(f"shared={list(common)} needs the groups, by=")
        return wish.fit(data)
    groups, codes = _groups(by, len(data))
    if common:
        return wish.fit_together(data, groups, codes, common)
    return wish.fit_apart(data, groups, codes)


@dataclass(frozen=True)
class _Wish:
    """What is to be fitted, apart from the points."""

    curve: Curve
    model: Model
    p0: Mapping[str, float]
    positive: tuple[str, ...] | str | bool
    bounds: Mapping[str, Any]
    absolute_sigma: bool
    n_starts: int | None
    random_state: int | None
    options: Mapping[str, Any]

    def fit(self, data: CurveData) -> CurveFit:
        """All points by one curve."""
        _check_size(len(data), self.model)
        check_spread(data.x, len(self.model.names))
        limits = Bounds.of(self.model.names, self.bounds, self.positive)
        return self._fit(data, self.model, data.x, limits, (), None)

    def fit_apart(self, data: CurveData, groups: tuple[str, ...], codes: IntArray) -> GroupFits:
        """Each group by itself; one that fails is named, and the others go on."""
        fits, failed = {}, {}
        for g, name in enumerate(groups):
            try:
                fits[name] = self.fit(data.rows(np.flatnonzero(codes == g)))
            except ValueError as error:
                failed[name] = str(error)
                continue
            if fits[name].status is Status.INTERRUPTED:  # Ctrl-C means all groups
                failed |= dict.fromkeys(groups[g + 1 :], "interrupted before its turn")
                break
        if not fits:
            name, reason = next(iter(failed.items()))
            raise ValueError(f"no group could be fitted; {name!r}: {reason}")
        return GroupFits(fits, failed)

    def fit_together(
        self, data: CurveData, groups: tuple[str, ...], codes: IntArray, shared: tuple[str, ...]
    ) -> CurveFit:
        """One problem of shared and local parameters."""
        n_local = len(self.model.names) - len(set(shared))
        counts = np.bincount(codes, minlength=len(groups))
        small = [g for g in range(len(groups)) if counts[g] < n_local]
        said = [
            f"group {groups[g]!r} is left out: {counts[g]} points do not determine its {n_local} parameters"
            for g in small
        ]
        if len(small) == len(groups):
            raise ValueError(f"every group has too few points: {said[0]}")
        if small:
            rows = np.flatnonzero(~np.isin(codes, small))
            groups, codes = _groups(np.array(groups, dtype=object)[codes[rows]], len(rows))
            data = data.rows(rows)
        model = Grouped(self.model, groups, shared)
        _check_size(len(data), model)
        limits = Bounds.of(model.names, _of_groups(self.bounds, model), self._positive_of(model))
        fit = self._fit(data, model, GroupedRows(data.x, codes), limits, groups, codes)
        return replace(fit, notes=(*said, *fit.notes))

    def _positive_of(self, model: Grouped) -> tuple[str, ...] | bool:
        if isinstance(self.positive, bool):
            return self.positive
        chosen = (self.positive,) if isinstance(self.positive, str) else self.positive
        return tuple(_of_groups(dict.fromkeys(chosen), model))

    def _fit(
        self,
        data: CurveData,
        model: Model,
        x: Any,
        limits: Bounds,
        groups: tuple[str, ...],
        codes: IntArray | None,
    ) -> CurveFit:
        for name, value in self.p0.items():
            if name in limits.names:
                limits.check(name, value)
        task = CurveTask(model, x, data, limits, self.options)
        start, known = first_start(model, self.curve, data, codes, self.p0)
        rng = np.random.default_rng(self.random_state)
        run, runs, n_failed = best_run(task, starts(task, self.curve, start, known, self.n_starts, rng))
        if self.curve.canonical is not None:
            run = run.at(self.curve.canonical) or run
        optima = _optima(self.curve, run, runs)
        fit = CurveFit(
            self.curve,
            data,
            run.task,
            run.fit,
            self._kinds(model, run),
            groups,
            codes,
            self.absolute_sigma,
            optima,
        )
        return replace(fit, notes=tuple(notes(fit, runs if self.n_starts else [run], n_failed)))

    def _kinds(self, model: Model, run: CurveRun) -> dict[str, str]:
        inner = model.inner if isinstance(model, Grouped) else model
        kinds: dict[str, str] = {}
        if isinstance(inner, Reduced):
            kinds |= dict.fromkeys(inner.fixed, "fixed")
            for name in run.task.model.expanded(run.fit.w).names:  # also those of groups, name[group]
                text = inner.tied.get(name.split("[")[0])
                kinds |= {} if text is None else {name: f"= {text.text}"}
        return kinds | dict.fromkeys(run.held, "at its bound")


def _optima(curve: Curve, best: CurveRun, runs: Sequence[CurveRun]) -> tuple[Optimum, ...]:
    """Other parameters with the same cost: by a law of the curve, or found from other starts."""
    found: list[tuple[CurveRun, str]] = []
    if curve.twin is not None and (twin := best.at(curve.twin)) is not None:
        found.append((twin, curve.twin_reason))
    for other in runs:
        if other.held.keys() != best.held.keys() or other.fit is best.fit or not other.fit.success:
            continue
        moved = (curve.canonical and other.at(curve.canonical)) or other
        if abs(moved.fit.cost - best.fit.cost) <= EQUAL_COST * best.fit.cost:
            found.append((moved, ""))
    known, optima = [best.fit.w], []
    errors = best.fit.standard_errors()
    for run, reason in found:
        # a parameter without limits makes no other minimum
        scale = np.where(errors > 0, errors, np.abs(best.fit.w) + 1e-300)
        if all((np.abs(run.fit.w - w) > APART * scale).any() for w in known):
            known.append(run.fit.w)
            expanded = run.task.model.expanded(run.fit.w)
            params = dict(zip(expanded.names, expanded.values.tolist(), strict=True))
            optima.append(Optimum(params, run.fit.cost, reason))
    return tuple(optima)


def _named(p0: Mapping[str, float] | Sequence[float] | None, curve: Curve) -> dict[str, float]:
    """Starts by name; ValueError for unknown names and numbers that are not finite."""
    if p0 is None:
        return {}
    if not isinstance(p0, Mapping):
        values = list(p0)
        if len(values) != len(curve.names):
            raise ValueError(
                f"p0 has {len(values)} values, but {curve.label} has the parameters {', '.join(curve.names)}"
            )
        p0 = dict(zip(curve.names, values, strict=True))
    check_names("p0", {name.split("[")[0]: None for name in p0}, curve.names)
    for name, value in p0.items():
        if not np.isfinite(float(value)):
            raise ValueError(f"p0[{name!r}]={value!r} must be a finite number")
    return {name: float(value) for name, value in p0.items()}


def _of_groups(given: Mapping[str, Any], model: Grouped) -> dict[str, Any]:
    """By the names of the groups' parameters: a plain name stands for those of all groups."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        local = name in model.inner.names and name not in model.shared
        found |= {f"{name}[{group}]": value for group in model.groups} if local else {name: value}
    return found


def _groups(by: Any, n: int) -> tuple[tuple[str, ...], IntArray]:
    """Names in order of appearance, and the position of each row."""
    labels = np.asarray(by, dtype=object).ravel()
    if len(labels) != n:
        raise ValueError(f"by has {len(labels)} labels, but there are {n} points")
    missing = [label is None or label != label for label in labels]
    if any(missing):
        raise ValueError(
            f"by has no label in row {missing.index(True)}: leave that point out, or name its group"
        )
    names = [_label(label) for label in labels]
    order = tuple(dict.fromkeys(names))
    place = {name: k for k, name in enumerate(order)}
    return order, np.array([place[name] for name in names], dtype=np.intp)


def _label(label: Any) -> str:
    return (
        str(int(label))
        if isinstance(label, float | np.floating) and float(label).is_integer()
        else str(label)
    )


def _check_size(n: int, model: Model) -> None:
    p = len(model.names)
    if n < p:
        raise ValueError(
            f"{n} points do not determine {p} parameters ({', '.join(model.names[:6])}): measure more, or "
            f"fix some"
        )
