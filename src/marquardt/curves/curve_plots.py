"""Pictures of fitted curves, in the house style of the reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.reports.plot_style import COLORS, INK, MUTED, axis_label, draw_legend, empty_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from marquardt.curves.fitted_curve import CurveFit
    from marquardt.curves.group_fits import GroupFits

PALETTE = ("#2b6cb0", "#dd6b20", "#2f855a", "#805ad5", "#b83280", "#718096", "#b7791f", "#2c7a7b")
_MOST_LINES = 8
"""Curves in one picture that can be told apart by color; beyond, they are all gray."""
_GRID = 300

__all__ = ["plot_correlations", "plot_fit", "plot_groups", "png"]


def plot_fit(fit: CurveFit, coverage: float = 0.95) -> Figure:
    """Data, curve and bands; a curve for each group, or for each value of the second column of x."""
    figure, axes = empty_figure(6.4, 4.4)
    cases = _cases(fit)
    if not cases:
        return _measured_against_predicted(fit)
    logarithmic = _spans_decades(_first(fit.data.x))
    for k, (label, rows, by, rest) in enumerate(cases):
        color = PALETTE[k % len(PALETTE)] if len(cases) <= _MOST_LINES else MUTED
        x = _first(fit.data.x)[rows]
        _draw(axes, fit, x, fit.data.y[rows], by, rest, color, label, coverage, len(cases) == 1, logarithmic)
    _finish(axes, fit.data.x_names[0], fit.data.y_name, logarithmic, len(cases) <= _MOST_LINES)
    return figure


def plot_groups(fits: GroupFits, coverage: float = 0.95) -> Figure:
    """The fits of several groups in one picture."""
    figure, axes = empty_figure(6.4, 4.4)
    single = list(fits.values())
    logarithmic = all(_spans_decades(_first(fit.data.x)) for fit in single)
    for k, (label, fit) in enumerate(fits.items()):
        color = PALETTE[k % len(PALETTE)] if len(fits) <= _MOST_LINES else MUTED
        rest = None if fit.data.x.ndim == 1 else fit.data.x[0, 1:]
        x = _first(fit.data.x)
        _draw(axes, fit, x, fit.data.y, None, rest, color, label, coverage, len(single) == 1, logarithmic)
    _finish(axes, single[0].data.x_names[0], single[0].data.y_name, logarithmic, len(fits) <= _MOST_LINES)
    return figure


def plot_correlations(names: Sequence[str], matrix: FloatArray) -> Figure:
    """A correlation matrix; entries of 0.99 and more stand in a frame."""
    from matplotlib.patches import Rectangle

    size = max(3.2, 0.55 * len(names) + 1.8)
    figure, axes = empty_figure(size + 0.8, size)
    axes.grid(visible=False)
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    for i in range(len(names)):
        for j in range(len(names)):
            value = matrix[i, j]
            if len(names) <= 12:
                shade = "white" if abs(value) > 0.6 else INK
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=shade)
            if i != j and abs(value) >= 0.99:
                axes.add_patch(
                    Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=2.5)
                )
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.85)
    return figure


def _cases(fit: CurveFit) -> list[tuple[str, Any, Any, Any]]:
    """What is drawn as one curve: label, rows, group, further columns of x."""
    x = fit.data.x
    if fit.groups:
        assert fit.codes is not None
        rows = [np.flatnonzero(fit.codes == g) for g in range(len(fit.groups))]
        return [
            (name, r, name, None if x.ndim == 1 else x[r[0], 1:])
            for name, r in zip(fit.groups, rows, strict=True)
            if len(r)
        ]
    if x.ndim == 1:
        return [("", np.arange(len(x)), None, None)]
    others = np.unique(x[:, 1:], axis=0)
    if len(others) > 2 * _MOST_LINES:
        return []
    word = ", ".join(fit.data.x_names[1:])
    return [
        (
            f"{word} = {', '.join(f'{v:g}' for v in rest)}",
            np.flatnonzero((x[:, 1:] == rest).all(axis=1)),
            None,
            rest,
        )
        for rest in others
    ]


def _draw(
    axes: Axes,
    fit: CurveFit,
    x: FloatArray,
    y: FloatArray,
    by: Any,
    rest: Any,
    color: str,
    label: str,
    coverage: float,
    alone: bool,
    logarithmic: bool,
) -> None:
    shown = x[x > 0] if logarithmic else x
    grid = (np.geomspace if logarithmic else np.linspace)(shown.min(), shown.max(), _GRID)
    points = grid if rest is None else np.column_stack([grid, np.tile(rest, (_GRID, 1))])
    percent = f"{100 * coverage:g} %"
    if fit.degrees_of_freedom > 0 or fit.absolute_sigma:
        if alone and fit.data.roots is None:
            outer = fit.predict(points, by=by, band="prediction", coverage=coverage)
            axes.fill_between(grid, outer.low, outer.high, color=MUTED, alpha=0.15, linewidth=0,
                              label=f"{percent} of new measurements")  # fmt: skip
        inner = fit.predict(points, by=by, band="confidence", coverage=coverage)
        axes.fill_between(grid, inner.low, inner.high, color=color, alpha=0.25 if alone else 0.15,
                          linewidth=0, label=f"{percent} band of the curve" if alone else None)  # fmt: skip
    axes.plot(grid, fit.predict(points, by=by), color=color, linewidth=1.8, label="fit" if alone else label)
    dots = INK if alone else color
    axes.plot(
        shown, y[x > 0] if logarithmic else y, "o", color=dots, markersize=4, label="data" if alone else None
    )
    if logarithmic and (x <= 0).any():  # a control without dose stands at the left edge
        edge = shown.min() / 3
        axes.plot(np.full((x <= 0).sum(), edge), y[x <= 0], "<", color=dots, markersize=5,
                  label="at 0" if alone else None)  # fmt: skip


def _measured_against_predicted(fit: CurveFit) -> Figure:
    figure, axes = empty_figure(5.2, 4.8)
    predicted = fit.task.model.value(fit.task.x, fit.least_squares.w)
    ends = [min(predicted.min(), fit.data.y.min()), max(predicted.max(), fit.data.y.max())]
    axes.plot(ends, ends, color=MUTED, linewidth=1)
    axes.plot(predicted, fit.data.y, "o", color=COLORS["training"], markersize=4)
    axes.set(xlabel="predicted", ylabel=axis_label(fit.data.y_name))
    return figure


def _finish(axes: Axes, x_name: str, y_name: str, logarithmic: bool, legend: bool) -> None:
    if logarithmic:
        axes.set_xscale("log")
        axes.grid(visible=False, which="minor")
    axes.set(xlabel=axis_label(x_name), ylabel=axis_label(y_name))
    if legend:
        draw_legend(axes)


def _first(x: FloatArray) -> FloatArray:
    return x if x.ndim == 1 else x[:, 0]


def _spans_decades(x: FloatArray) -> bool:
    """Whether a logarithmic axis shows x better: no negative values, two decades, and evenly in
    logarithms."""
    positive = np.unique(x[x > 0])
    if (x < 0).any() or len(positive) < 4 or positive[-1] < 50 * positive[0]:
        return False
    ratios, steps = np.diff(np.log(positive)), np.diff(positive)
    return float(ratios.std() / ratios.mean()) < float(steps.std() / steps.mean())
