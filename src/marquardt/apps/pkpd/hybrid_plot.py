"""The picture of a learned law."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.apps.pkpd.goodness_of_fit_plots import (
    LETTERS,
    POINTS,
    SMOOTH,
    journal_figure,
    logarithmic_axis,
)
from marquardt.apps.pkpd.hybrid import HybridFit
from marquardt.reports import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learned_rate(
    fit: HybridFit, truth: Callable[[np.ndarray], Any] | None, unit: str, time_unit: str
) -> Figure:
    """See `HybridFit.plot_rate`."""
    figure, axes = journal_figure(6.4, 3.3, 1, 2)
    low, high = fit.seen
    c = np.geomspace(low / 3, high * 3, 240)
    band = fit.rate(c)
    for axis, factor, name in ((axes[0], np.ones_like(c), "rate constant"), (axes[1], c, "elimination")):
        inner = band.inside
        axis.fill_between(c[inner], (band.low * factor)[inner], (band.high * factor)[inner], color=POINTS,
                          alpha=0.28, linewidth=0, label="95 % band")  # fmt: skip
        for k, side in enumerate((c <= low, c >= high)):
            ends = (band.low * factor)[side], (band.high * factor)[side]
            axis.fill_between(c[side], *ends, facecolor="none", edgecolor=MUTED, alpha=0.6, hatch="/////",
                              linewidth=0, label=None if k else "no data: a guess")  # fmt: skip
            axis.plot(
                c[side], (band.value * factor)[side], color=POINTS, linewidth=1.0, linestyle=(0, (2, 2))
            )
        axis.plot(c[inner], (band.value * factor)[inner], color=POINTS, linewidth=1.8, label="learned")
        if truth is not None:
            axis.plot(c, np.asarray(truth(c)) * factor, color=SMOOTH, linewidth=1.3, linestyle=(0, (5, 2)),
                      label="true")  # fmt: skip
        measured = fit.goodness.observed
        measured = measured[measured > 0]
        axis.plot(measured, np.full(len(measured), 0.015), "|", color=INK, markersize=5, alpha=0.6,
                  transform=axis.get_xaxis_transform(), label="measured concentrations")  # fmt: skip
        logarithmic_axis(axis, "x")
        logarithmic_axis(axis, "y")
        shown = f"1/{time_unit}" if name == "rate constant" else f"{unit}/{time_unit}"
        axis.set(xlabel=f"concentration ({unit})", ylabel=f"{name} ({shown})", xlim=(c[0], c[-1]))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=5, fontsize=LETTERS - 1, frameon=False,
        columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    return figure
