"""What a fit looks like: text, HTML, JSON and plots; the house style of figures, for applications too."""

from marquardt.reports.plot_style import (
    COLORS,
    GRID,
    INK,
    MUTED,
    axis_label,
    draw_legend,
    empty_figure,
    png,
)

__all__ = ["COLORS", "GRID", "INK", "MUTED", "axis_label", "draw_legend", "empty_figure", "png"]
