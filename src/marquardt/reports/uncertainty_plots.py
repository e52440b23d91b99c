"""The pictures of error bars: do they hold, and how wide are they?  As in `marquardt.reports.plots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from marquardt.calibration import Calibration
from marquardt.reports.error_bars import by_chance
from marquardt.reports.plot_style import COLORS, MUTED, axis_label, draw_legend, empty_figure, group_color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 400
"""Intervals drawn beside one another; more could not be told apart."""


def calibration(groups: Mapping[str, Calibration]) -> Figure:
    """The share of the rows that intervals of each probability hold: on the diagonal they hold what they say.

    The shaded band is where 95 % of such curves lie for error bars that are right, by the number of rows of
    the last group.

    Parameters
    ----------
    groups : mapping of str to Calibration
        Usually `{"training": ..., "held out": ...}`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> right = Calibration(rng.normal(size=50), np.zeros(50), np.ones(50))
    >>> calibration({"held out": right}).axes[0].get_xlabel()
    'probability of the interval (%)'
    """
    figure, axes = empty_figure(5.6, 4.2)
    levels = np.linspace(0.02, 0.98, 49)
    *_, last = groups.values()
    n = len(last.y)
    low, high = by_chance(n, levels)
    axes.fill_between(
        100 * levels, 100 * low, 100 * high, color=MUTED, alpha=0.15, linewidth=0, label="by chance"
    )
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
    for name, own in groups.items():
        label = f"{name}: 95 % intervals hold {100 * own.coverage(0.95):.0f} %"
        axes.plot(
            100 * levels, 100 * own.coverages(levels), color=group_color(name), linewidth=1.8, label=label
        )
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set(xlabel="probability of the interval (%)", ylabel="measurements inside (%)")
    draw_legend(axes, loc="upper left")
    return figure


def intervals(calibration: Calibration, target: str = "target", unit: str = "") -> Figure:
    """Measured values with their 95 % intervals, in the order of the predictions.

    Parameters
    ----------
    calibration : Calibration
        Of the rows to draw; of many, an even selection.
    target, unit : str
        For the axes.
    """
    figure, axes = empty_figure(5.6, 4.2)
    order = np.argsort(calibration.mean, kind="stable")
    step = max(1, -(-len(order) // _MOST_ROWS))
    order = order[::step]
    y, mean, half = calibration.y[order], calibration.mean[order], 1.96 * calibration.std[order]
    x = np.arange(1, len(order) + 1)
    axes.fill_between(x, mean - half, mean + half, color=COLORS["training"], alpha=0.18, linewidth=0,
                      step="mid", label="95 % interval")  # fmt: skip
    axes.plot(x, mean, color=COLORS["training"], linewidth=1.2, label="predicted")
    inside = np.abs(y - mean) <= half
    axes.plot(x[inside], y[inside], ".", color=MUTED, markersize=4, label="measured")
    axes.plot(x[~inside], y[~inside], "D", color=COLORS["held out"], markersize=4,
              label=f"outside: {int((~inside).sum())} of {len(y)}")  # fmt: skip
    axes.set(xlabel="rows, in the order of their predictions", ylabel=axis_label(target, unit))
    draw_legend(axes, loc="upper left")
    return figure
