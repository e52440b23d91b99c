"""The picture of Sobol's indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pkpd.goodness_of_fit_plots import LETTERS, POINTS, SMOOTH, journal_figure
from marquardt.apps.pkpd.sensitivity import SobolIndices
from marquardt.reports import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def indices(found: SobolIndices, truth: tuple[ArrayLike, ArrayLike] | None) -> Figure:
    """See `SobolIndices.plot`."""
    d = len(found.names)
    figure, axes = journal_figure(4.9, 0.42 * d + 1.35)
    places = np.arange(d)[::-1]  # the first input on top
    rows = {
        "first order": (found.first, found.model_first, found.interval_first, POINTS, "o", 0.14),
        "total": (found.total, found.model_total, found.interval_total, SMOOTH, "s", -0.14),
    }
    for label, (value, model, interval, color, marker, shift) in rows.items():
        _bars(axes, places + shift, interval, color, 1.4)
        if model is not None:
            _bars(axes, places + shift, model, color, 4.0)
        axes.plot(value, places + shift, marker, color=color, markersize=5, label=label)
    for k, exact in enumerate(truth or ()):
        axes.plot(np.asarray(exact), places + (0.14, -0.14)[k], "D", color=INK, markersize=7,
                  markerfacecolor="none", markeredgewidth=1.0, label="exact" if k == 0 else None)  # fmt: skip
    axes.axvline(0.0, color=MUTED, linewidth=0.9, zorder=1.5)
    axes.set_yticks(places, [name.replace("_", " ") for name in found.names])
    axes.set(xlabel="share of the variance", ylim=(-0.6, d - 0.4))
    _explain(figure, axes, found)
    return figure


def _bars(axes: Axes, places: np.ndarray, interval: np.ndarray, color: str, width: float) -> None:
    axes.hlines(
        places, interval[0], interval[1], color=color, linewidth=width, alpha=0.55 if width > 2 else 1.0
    )


def _explain(figure: Figure, axes: Axes, found: SobolIndices) -> None:
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    share = f"{100 * found.coverage:g} %"
    if found.model_first is not None:
        handles += [
            Line2D([], [], color=MUTED, linewidth=4, alpha=0.6),
            Line2D([], [], color=MUTED, linewidth=1.4),
        ]
        labels += [f"{share}: network", f"{share}: network and plan"]
    else:
        handles += [Line2D([], [], color=MUTED, linewidth=1.4)]
        labels += [f"{share}: plan"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=LETTERS - 1, frameon=False)
