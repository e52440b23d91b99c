"""The picture of the errors of a training by `LevenbergMarquardt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.reports.plot_style import COLORS, GRID, INK, MUTED, draw_legend, log_scale, whole_iterations
from marquardt.trainer.signals import Errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def errors_figure(errors: Errors, logx: bool = False, show: bool = False, **figkwargs: Any) -> Figure:
    """Errors against epochs, on a logarithmic scale of errors.

    Parameters
    ----------
    errors : Errors
        Of one trainer.
    logx : bool
        Whether the epochs have a logarithmic scale too.
    show : bool
        Whether a window opens, where matplotlib has a backend that opens windows.
    **figkwargs
        For the figure, e.g. ``figsize=(12, 8)``.

    Raises
    ------
    ValueError
        When there are no errors yet.
    """
    if not errors.train:
        raise ValueError("there are no errors to plot yet: call train(X_train, y_train) first")
    figkwargs.setdefault("figsize", (7.0, 4.2))
    figkwargs.setdefault("layout", "constrained")
    figure, window = _figure(show, figkwargs)
    axes = figure.subplots()
    series = [
        ("training", errors.train_epochs, errors.train),
        ("validation", errors.valid_epochs, errors.valid),
    ]
    for name, epochs, values in series:
        if values:
            shown = np.where(np.array(values) > 0, values, np.nan)  # a logarithmic axis has no place for 0
            style = "-" if len(values) > 50 else "o-"
            axes.plot(epochs, shown, style, color=COLORS[name], linewidth=1.8, markersize=4, label=name)
    log_scale(axes, np.array(errors.train))
    if logx:
        axes.set_xscale("log")
    else:
        whole_iterations(axes)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("mean squared error", color=INK)
    axes.grid(visible=True, which="major", color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    draw_legend(axes)
    if window:
        from matplotlib import pyplot

        pyplot.show()
    return figure


def _figure(window: bool, figkwargs: dict[str, Any]) -> tuple[Figure, bool]:
    """The empty figure, and whether it has a window.

    Without one it is a figure of its own that pyplot does not know, so that no state is left behind.
    """
    if window:
        from matplotlib import pyplot

        figure = pyplot.figure(**figkwargs)
        if figure.canvas.required_interactive_framework is not None:
            return figure, True
        pyplot.close(figure)  # a backend that only writes files
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(**figkwargs)
    FigureCanvasAgg(figure)
    return figure, False
