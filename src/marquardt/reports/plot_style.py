"""The house style of the figures: colors, labels, empty axes, and the way to PNG."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from marquardt._types import FloatArray
from marquardt.tables.units import split_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e4e8ec"
COLORS = {"training": "#2b6cb0", "held out": "#dd6b20", "validation": "#2f855a"}
_SPARE = ("#805ad5", "#b83280", "#718096")


def axis_label(name: str, unit: str = "") -> str:
    """A column name as an axis label, with its unit where given or told by the end of the name.

    Examples
    --------
    >>> axis_label("strength_mpa"), axis_label("strength_mpa", "MPa"), axis_label("dose [mg]")
    ('strength (MPa)', 'strength (MPa)', 'dose [mg]')
    """
    stem, own_unit = split_unit(name)
    if own_unit and unit in ("", own_unit):
        name, unit = stem, own_unit
    label = name.replace("_", " ").strip() or name
    label = label if len(label) <= 40 else label[:38] + "…"
    return _plain(f"{label} ({unit})" if unit else label)


def png(figure: Figure, dpi: int = 160) -> bytes:
    """The figure as PNG file content."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A column name in a script that the font lacks is drawn as boxes, not refused.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def empty_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, *, sharex: bool | None = None
) -> tuple[Figure, Any]:
    """An empty figure in the house style, sizes in inches; rows share their x axis unless told."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=rows > 1 if sharex is None else sharex)
    for axis in np.ravel(np.asarray(axes)):
        axis.grid(visible=True, color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)
        axis.xaxis.label.set(color=INK, size=10)
        axis.yaxis.label.set(color=INK, size=10)
        for side, spine in axis.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color("#c5ccd3")
    return figure, axes


def draw_legend(axes: Axes, loc: Literal["best", "upper left"] = "best") -> None:
    legend = axes.legend(
        loc=loc, fontsize=9, frameon=True, framealpha=0.85, edgecolor="none", handletextpad=0.5
    )
    for handle in legend.legend_handles:
        if handle is not None and axes.collections:
            handle.set_alpha(max(handle.get_alpha() or 1.0, 0.3))


def group_color(name: str) -> str:
    return COLORS.get(name) or _SPARE[sum(map(ord, name)) % len(_SPARE)]


def positive(values: FloatArray) -> FloatArray:
    return np.where(values > 0, values, np.nan)  # a logarithmic axis has no place for the rest


def log_scale(axes: Axes, values: FloatArray) -> None:
    if (values > 0).any():
        axes.set_yscale("log")
        axes.grid(visible=False, which="minor")


def whole_iterations(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def error_label(unit: str, target: str) -> str:
    label = axis_label(target, unit)
    shown = label[label.rindex("(") :] if label.endswith(")") and "(" in label else ""
    return f"predicted \N{MINUS SIGN} measured {shown}".strip()


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib would set what stands between two dollars as mathematics
