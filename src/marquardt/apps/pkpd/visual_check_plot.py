"""The picture of a visual predictive check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from marquardt.apps.pkpd.goodness_of_fit_plots import (
    LETTERS,
    POINTS,
    SMOOTH,
    journal_figure,
    logarithmic_axis,
)
from marquardt.apps.pkpd.visual_check import VisualCheck
from marquardt.reports import INK, MUTED, axis_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bands(check: VisualCheck, logarithmic: bool, quantity: str, unit: str, time_unit: str) -> Figure:
    """See `VisualCheck.plot`."""
    if logarithmic and not (check.values > 0).any():
        raise ValueError("logarithmic=True, but no observation is above 0")
    figure, axes = journal_figure(4.6, 3.7)
    shown = check.values > 0 if logarithmic else np.full(len(check.values), True)
    axes.plot(check.time[shown], check.values[shown], "o", color=MUTED, markersize=2.2, alpha=0.45,
              markeredgewidth=0, label="observations")  # fmt: skip
    share = f"{100 * check.coverage:g} %"
    for k, color in enumerate((POINTS, SMOOTH, POINTS)):
        label = {0: f"5th, 95th percentile, simulated ({share})", 1: f"median, simulated ({share})"}.get(k)
        _band(axes, check, k, color, label)
    for k, dashes in enumerate(((0, (4, 2)), "solid", (0, (4, 2)))):
        label = {0: "5th, 95th percentile, observed", 1: "median, observed"}.get(k)
        axes.plot(check.center, check.observed[k], color=INK, linewidth=1.2, linestyle=dashes,
                  marker="." if len(check.center) == 1 else "", label=label)  # fmt: skip
    percentile, column = np.nonzero(check.outside)
    axes.plot(check.center[column], check.observed[percentile, column], "D", color=INK, markersize=4.5,
              markerfacecolor="none", markeredgewidth=1.1,
              label=f"outside the band: {len(column)} of {check.outside.size}")  # fmt: skip
    if logarithmic:
        logarithmic_axis(axes, "y")
        axes.set_ylim(bottom=_floor(check))
    # where the bins end
    axes.plot(check.edges, np.ones_like(check.edges), "|", color=MUTED, markersize=5, clip_on=False,
              transform=axes.get_xaxis_transform())  # fmt: skip
    corrected = "prediction-corrected " if check.corrected else ""
    axes.set(xlabel=axis_label("time", time_unit), ylabel=axis_label(corrected + quantity, unit))
    figure.legend(loc="outside lower center", ncols=2, fontsize=LETTERS - 1, frameon=False)
    return figure


def _band(axes: Axes, check: VisualCheck, k: int, color: str, label: str | None) -> None:
    style = {"color": color, "alpha": 0.28, "linewidth": 0, "label": label}
    if len(check.center) == 1:
        axes.fill_between(check.edges, np.repeat(check.low[k], 2), np.repeat(check.high[k], 2), **style)
        return
    axes.fill_between(check.center, check.low[k], check.high[k], **style)
    axes.plot(check.center, check.median[k], color=color, linewidth=0.9)


def _floor(check: VisualCheck) -> float:
    """Half the smallest positive number worth drawing: percentiles of a normal error fall below zero."""
    drawn = np.concatenate([check.values, check.observed.ravel(), check.high[0]])
    return 0.5 * float(np.quantile(drawn[drawn > 0], 0.005))
