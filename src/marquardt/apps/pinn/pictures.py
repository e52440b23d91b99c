"""Pictures of a solution: the field, its error, the residuals of the groups, cost and damping."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from marquardt.apps.pinn.solution import Solution
from marquardt.reports import COLORS, MUTED, empty_figure

COST, DAMPING, WATCHED = COLORS["training"], COLORS["held out"], COLORS["validation"]

SIDE = 121
"""Points a side of a map."""


def picture(solution: Solution, exact: Callable[..., ArrayLike] | None = None) -> Any:
    """A figure for problems of one or two coordinates; of more, a section through the middle.

    Parameters
    ----------
    solution : Solution
    exact : callable, optional
        Coordinates by name -> the first field; without it, the map of the error is one of the residual.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = empty_figure(10.0, 7.2, 2, 2, sharex=False)
    _draw_field(figure, axes[0, 0], solution)
    _draw_error(figure, axes[0, 1], solution, exact)
    _draw_groups(axes[1, 0], solution)
    _draw_run(axes[1, 1], solution)
    return figure


def _section(solution: Solution) -> tuple[NDArray[np.float64], str]:
    """A grid over the first two coordinates, the others in the middle, and a word on these."""
    box = solution.pde.box
    counts = [SIDE if axis < 2 else 1 for axis in range(box.dimension)]
    table = box.grid(counts)
    middle = 0.5 * (box.lower + box.upper)
    table[:, 2:] = middle[2:]
    others = ", ".join(f"{name} = {value:g}" for name, value in zip(box.names[2:], middle[2:], strict=True))
    return table, f" at {others}" if others else ""


def _draw_field(figure: Any, axes: Any, solution: Solution) -> None:
    table, where = _section(solution)
    name = solution.pde.fields[0]
    values = solution.predict(table)[name]
    _draw_map(figure, axes, solution, values, "viridis", None)
    axes.set_title(f"Solution {name}{where}")


def _draw_error(figure: Any, axes: Any, solution: Solution, exact: Callable[..., ArrayLike] | None) -> None:
    table, where = _section(solution)
    name = solution.pde.fields[0]
    if exact is None:
        places = solution.samples.places
        group = next(name for name, place in places.items() if not isinstance(place, tuple))
        values = np.linalg.norm(solution.residual(group, table), axis=1)
        title = f"Size of the residual of {group}"
    else:
        truth = np.asarray(exact(**dict(zip(solution.pde.box.names, table.T, strict=True))), dtype=float)
        values = np.abs(solution.predict(table)[name] - truth)
        title = f"|error| of {name}, relative L2 {np.linalg.norm(values) / np.linalg.norm(truth):.1e}"
    _draw_map(figure, axes, solution, values, "magma", "log")
    axes.set_title(title + where)


def _draw_map(
    figure: Any, axes: Any, solution: Solution, values: NDArray[np.float64], colors: str, norm: str | None
) -> None:
    from matplotlib.colors import LogNorm

    box = solution.pde.box
    floor = max(float(values.max()) * 1e-4, np.finfo(float).tiny)
    if box.dimension == 1:
        axes.plot(box.grid(SIDE)[:, 0], np.maximum(values, floor) if norm else values)
        axes.set_xlabel(box.names[0])
        axes.set_yscale(norm or "linear")
        return
    axes.grid(visible=False)
    image = axes.imshow(
        (np.maximum(values, floor) if norm else values).reshape(SIDE, SIDE).T,
        origin="lower",
        aspect="auto",
        extent=(box.lower[0], box.upper[0], box.lower[1], box.upper[1]),
        cmap=colors,
        norm=LogNorm() if norm else None,
    )
    figure.colorbar(image, ax=axes)
    axes.set_xlabel(box.names[0])
    axes.set_ylabel(box.names[1])


def _draw_groups(axes: Any, solution: Solution) -> None:
    sizes = solution.residual_sizes()
    places = np.arange(len(sizes))
    axes.barh(places, list(sizes.values()), color=COST, alpha=0.8, height=0.6)
    axes.set_yticks(places, list(sizes))
    axes.invert_yaxis()
    axes.set_xscale("log")
    smallest = max(min(sizes.values()), np.finfo(float).tiny)
    axes.set_xlim(smallest / 10, max(max(sizes.values()), smallest) * 10)
    for place, size in zip(places, sizes.values(), strict=True):
        axes.text(size, place, f" {size:.1e}", va="center")
    axes.set_title("Residuals of the groups, root mean square")


def _draw_run(axes: Any, solution: Solution) -> None:
    records = solution.history
    costs = [record.cost for record in records]
    axes.semilogy(costs, color=COST, label="cost")
    if any(record.validation_cost is not None for record in records):
        watched = [record.validation_cost for record in records]
        axes.semilogy(watched, color=WATCHED, lw=1, label="cost on the first points")
    axes.set_xlabel("iteration")
    axes.set_ylabel("cost")
    right = axes.twinx()
    right.semilogy(
        [record.damping for record in records], color=DAMPING, lw=0.8, alpha=0.8, label="damping λ"
    )
    right.set_ylabel("damping λ")
    lines = [*axes.get_lines(), *right.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], loc="upper right", fontsize=9)
    begin = 0
    for before, run in pairwise(solution.runs):
        begin += len(before.fit.result.history)
        axes.axvline(begin, color=MUTED, lw=0.8, ls="--")
        late = begin > 0.6 * len(records)
        axes.annotate(
            f" {run.name} ",
            (begin, 0.01),
            xycoords=("data", "axes fraction"),
            va="bottom",
            ha="right" if late else "left",
            fontsize=8,
        )
    axes.set_title("The run")
