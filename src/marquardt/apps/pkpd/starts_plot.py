"""The picture of where runs from several starts ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from marquardt.apps.pkpd.goodness_of_fit_plots import LETTERS, POINTS, SMOOTH, journal_figure
from marquardt.apps.pkpd.starts import Starts
from marquardt.reports import MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOGARITHMIC = 20.0
"""Costs that differ by a larger factor are drawn on a scale of logarithms: the floor stays in sight."""


def waterfall(starts: Starts) -> Figure:
    """See `Starts.plot`."""
    order = np.argsort(starts.costs, kind="stable")
    costs, reached = starts.costs[order], starts.reached[order]
    place = 1 + np.arange(len(costs))
    figure, axes = journal_figure(4.9, 3.0)
    axes.axhline(costs[0], color=MUTED, linewidth=0.9, zorder=1.5)
    axes.plot(place, costs, color=MUTED, linewidth=0.8)
    axes.plot(place[reached], costs[reached], "o", color=POINTS, markersize=4.5,
              label=f"the best cost: {int(reached.sum())}")  # fmt: skip
    if not reached.all():
        axes.plot(place[~reached], costs[~reached], "s", color=SMOOTH, markersize=4.5,
                  label=f"elsewhere: {int((~reached).sum())}")  # fmt: skip
    if starts.n_failed:
        axes.plot([], [], " ", label=f"without a prediction: {starts.n_failed}")
    if costs[0] > 0 and costs[-1] > _LOGARITHMIC * costs[0]:
        axes.set_yscale("log")
    if len(costs) + starts.n_failed == 1:
        axes.set_title("one start only: n_starts=20 tells of other optima", fontsize=LETTERS)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="starts, in the order of their costs", ylabel="cost of the first round")
    axes.legend(fontsize=LETTERS - 1, frameon=False)
    return figure
