"""The pictures of `GoodnessOfFit`, for a journal's page: 7.2 inches wide, letters of 7 to 8 points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.stats import beta, norm

from marquardt.apps.pkpd.local_smooth import local_smooth
from marquardt.reports import COLORS, INK, MUTED, axis_label, empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from marquardt.apps.pkpd.goodness_of_fit import GoodnessOfFit

POINTS, SMOOTH = COLORS["training"], COLORS["held out"]
"""Blue and orange: told apart by color-blind readers and, by their lightness, in gray."""
WIDTH = 7.2
LETTERS = 8.0


def panel(fit: GoodnessOfFit) -> Figure:
    """Six pictures: see `GoodnessOfFit.plot`."""
    figure, axes = journal_figure(WIDTH, 4.9, 2, 3)
    residuals, own = fit.weighted_residuals, "" if fit.individual is None else "individual "
    observed = axis_label(f"observed {fit.quantity}", fit.unit)
    _against_prediction(axes[0, 0], fit.predicted, fit, logarithmic=False)
    axes[0, 0].set(xlabel=axis_label("population prediction", fit.unit), ylabel=observed)
    if fit.individual is None:
        _against_prediction(axes[0, 1], fit.predicted, fit, logarithmic=_can_be_logarithmic(fit))
        axes[0, 1].set(xlabel=axis_label("population prediction", fit.unit), ylabel=observed)
    else:
        _against_prediction(axes[0, 1], fit.individual, fit, logarithmic=False)
        axes[0, 1].set(xlabel=axis_label("individual prediction", fit.unit), ylabel=observed)
    _quantiles(axes[0, 2], residuals)
    _residuals(axes[1, 0], fit.time, residuals, fit)
    axes[1, 0].set(xlabel=axis_label("time", fit.time_unit), ylabel=f"{own}weighted residual")
    _residuals(axes[1, 1], fit.fitted, residuals, None)
    axes[1, 1].set(xlabel=axis_label(f"{own or 'population '}prediction", fit.unit))
    axes[1, 1].set(ylabel=f"{own}weighted residual")
    _histogram(axes[1, 2], residuals)
    for letter, axis in zip("ABCDEF", axes.ravel(), strict=True):
        axis.set_title(letter, loc="left", fontsize=LETTERS + 1, fontweight="bold", color=INK)
    _explain(figure, fit)
    return figure


def individual_fits(fit: GoodnessOfFit, logarithmic: bool, most: int) -> Figure:
    """Small pictures: see `GoodnessOfFit.plot_individuals`."""
    if fit.subject is None:
        raise ValueError("plot_individuals needs subject=, the subject of each row")
    if most < 1:
        raise ValueError(f"most={most} must be at least 1")
    shown = fit.subjects[:most]
    columns = min(len(shown), 5 if len(shown) > 12 else 4 if len(shown) > 6 else 3)
    rows = -(-len(shown) // columns)
    figure, axes = journal_figure(max(WIDTH * columns / 5, 3.4), 1.25 * rows + 0.75, rows, columns)
    grid = np.ravel(np.asarray(axes))
    for axis, subject in zip(grid, shown, strict=False):
        _individual(axis, fit, subject)
        axis.set_title(str(subject), fontsize=LETTERS, color=INK, pad=2)
    for axis in grid[len(shown) :]:
        axis.set_visible(False)
    _same_axes(grid[: len(shown)], logarithmic, rows, columns, fit)
    figure.supxlabel(axis_label("time", fit.time_unit), fontsize=LETTERS + 1, color=INK)
    figure.supylabel(axis_label(fit.quantity, fit.unit), fontsize=LETTERS + 1, color=INK)
    left_out = len(fit.subjects) - len(shown)
    handles, labels = grid[0].get_legend_handles_labels()
    title = f"the first {len(shown)} of {len(fit.subjects)} subjects" if left_out else None
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=3,
        fontsize=LETTERS,
        frameon=False,
        title=title,
        title_fontsize=LETTERS,
    )
    return figure


def journal_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """The house style with letters for print at this width."""
    figure, axes = empty_figure(width, height, rows, columns, sharex=False)
    for axis in np.ravel(np.asarray(axes)):
        axis.tick_params(labelsize=LETTERS - 1, length=2.5, pad=2)
        axis.xaxis.label.set_size(LETTERS)
        axis.yaxis.label.set_size(LETTERS)
        axis.grid(linewidth=0.6)
    return figure, axes


def logarithmic_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Powers of ten written out: 0.1, 1, 10."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis=which, which="minor", length=0)
    axes.grid(visible=False, which="minor")


# -- one picture each --------------------------------------------------------------------------------------


def _against_prediction(axes: Axes, predicted: np.ndarray, fit: GoodnessOfFit, logarithmic: bool) -> None:
    x, y = predicted, fit.observed
    if logarithmic:  # of which a concentration of 0 before a dose has no place
        x, y = x[(predicted > 0) & (fit.observed > 0)], y[(predicted > 0) & (fit.observed > 0)]
    if logarithmic:
        logarithmic_axis(axes, "x")
        logarithmic_axis(axes, "y")
    _points(axes, x, y)
    places, smooth = local_smooth(np.log(x), np.log(y)) if logarithmic else local_smooth(x, y)
    if len(places) > 1:
        curve = (np.exp(places), np.exp(smooth)) if logarithmic else (places, smooth)
        axes.plot(*curve, color=SMOOTH, linewidth=1.6)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    room = 0.04 * (high - low) or max(abs(high), 1.0)
    ends = (low / 1.15, high * 1.15) if logarithmic else (low - room, high + room)
    axes.plot(ends, ends, color=INK, linewidth=0.9, zorder=1.5)
    axes.set(xlim=ends, ylim=ends)
    axes.set_box_aspect(1)


def _residuals(axes: Axes, x: np.ndarray, residuals: np.ndarray, fit: GoodnessOfFit | None) -> None:
    if fit is not None and len(fit.subjects) > 1:
        for subject in fit.subjects:
            rows = fit.rows_of(subject)
            axes.plot(x[rows], residuals[rows], color=MUTED, alpha=0.25, linewidth=0.6)
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1.5)
    for limit in (-1.96, 1.96):
        axes.axhline(limit, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.5)
    _points(axes, x, residuals)
    places, smooth = local_smooth(x, residuals)
    if len(places) > 1:
        axes.plot(places, smooth, color=SMOOTH, linewidth=1.6)
    reach = 1.08 * max(2.6, float(np.abs(residuals).max()))
    axes.set_ylim(-reach, reach)
    axes.set_box_aspect(1)


def _quantiles(axes: Axes, residuals: np.ndarray) -> None:
    n = len(residuals)
    rank = np.arange(1, n + 1)
    x = norm.ppf((rank - 0.375) / (n + 0.25))  # Blom's places, as R's qqnorm for n <= 10
    # the k-th of n uniform numbers has the distribution Beta(k, n + 1 - k)
    low, high = (norm.ppf(beta.ppf(p, rank, n + 1 - rank)) for p in (0.025, 0.975))
    axes.fill_between(x, low, high, color=MUTED, alpha=0.18, linewidth=0)
    reach = 1.08 * max(2.6, float(np.abs(residuals).max()), float(np.abs(x).max()))
    axes.plot([-reach, reach], [-reach, reach], color=INK, linewidth=0.9, zorder=1.5)
    _points(axes, x, np.sort(residuals))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set(xlabel="quantile of the normal distribution", ylabel="weighted residual")
    axes.set_box_aspect(1)


def _histogram(axes: Axes, residuals: np.ndarray) -> None:
    reach = 1.08 * max(3.2, float(np.abs(residuals).max()))
    bins = np.linspace(-reach, reach, int(np.clip(2 * np.sqrt(len(residuals)), 8, 40)) | 1).tolist()
    axes.hist(residuals, bins=bins, density=True, color=POINTS, alpha=0.55, edgecolor="white", linewidth=0.5)
    grid = np.linspace(-reach, reach, 200)
    axes.plot(grid, norm.pdf(grid), color=INK, linewidth=1.0)
    axes.axvline(float(residuals.mean()), color=SMOOTH, linewidth=1.6)
    axes.set(xlabel="weighted residual", ylabel="density")
    axes.set_box_aspect(1)


def _individual(axes: Axes, fit: GoodnessOfFit, subject: Any) -> None:
    rows = fit.rows_of(subject)
    time, individual = fit.time[rows], None if fit.individual is None else fit.individual[rows]
    population = fit.predicted[rows]
    if subject in fit.curves:
        time, population, individual = fit.curves[subject]
    if individual is not None:
        axes.plot(time, individual, color=POINTS, linewidth=1.3, label="individual prediction")
    style = {"color": SMOOTH, "linewidth": 1.1, "linestyle": (0, (4, 2))}
    axes.plot(time, population, label="population prediction", **style)
    axes.plot(fit.time[rows], fit.observed[rows], "o", color=INK, markersize=2.6, label="observed")


def _same_axes(grid: np.ndarray, logarithmic: bool, rows: int, columns: int, fit: GoodnessOfFit) -> None:
    """One scale for all subjects, written at the left and below only."""
    if logarithmic:
        if not (fit.observed > 0).any():
            raise ValueError("logarithmic=True, but no observation is above 0")
        for axis in grid:
            logarithmic_axis(axis, "y")
    lows, highs = zip(*(axis.get_xlim() for axis in grid), strict=True)
    bottoms, tops = zip(*(axis.get_ylim() for axis in grid), strict=True)
    bottom = min(bottoms)
    if logarithmic:  # a curve that falls to nothing is not followed there
        bottom = 0.3 * float(fit.observed[fit.observed > 0].min())
    for k, axis in enumerate(grid):
        axis.set(xlim=(min(lows), max(highs)), ylim=(bottom, max(tops)))
        axis.tick_params(labelleft=k % columns == 0, labelbottom=k + columns >= len(grid))


# -- shared ------------------------------------------------------------------------------------------------


def _points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    many = len(x) > 1000
    axes.plot(x, y, "o", color=POINTS, markersize=2.0 if many else 3.0, alpha=0.35 if many else 0.6,
              markeredgewidth=0)  # fmt: skip


def _can_be_logarithmic(fit: GoodnessOfFit) -> bool:
    return bool(((fit.observed > 0) & (fit.predicted > 0)).mean() > 0.5)


def _explain(figure: Figure, fit: GoodnessOfFit) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], marker="o", linestyle="", color=POINTS, markersize=3.5, markeredgewidth=0),
        Line2D([], [], color=INK, linewidth=0.9),
        Line2D([], [], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3))),
        Line2D([], [], color=SMOOTH, linewidth=1.6),
        Patch(color=MUTED, alpha=0.25, linewidth=0),
    ]
    labels = ["observation", "reference", "±1.96", "local smooth; in F the mean", "95 % by chance"]
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=5,
        fontsize=LETTERS - 0.5,
        columnspacing=1.4,
        frameon=False,
    )
