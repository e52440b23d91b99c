"""The pictures of a fit: agreement, residuals, errors, training, columns.

Every function takes plain arrays and returns a `matplotlib.figure.Figure` made without pyplot: no window
opens, no global state changes, and it works in threads and on machines without display.  Save one by
`figure.savefig("a.png")`; a notebook shows it by itself.  The same colors mean the same everywhere: blue is
training, orange is held out, green is validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.reports.plot_style import (
    COLORS,
    INK,
    MUTED,
    axis_label,
    draw_legend,
    empty_figure,
    error_label,
    group_color,
    log_scale,
    positive,
    whole_iterations,
)
from marquardt.result import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Groups: TypeAlias = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Name of a group of rows ("training", "held out") -> its targets and predictions, each (n_samples,)."""


_MARKERS = {"training": "o", "held out": "D", "validation": "s"}


def parity(groups: Groups, target: str = "target", unit: str = "") -> Figure:
    """Predicted against measured: points on the diagonal are right (MATLAB's `plotregression`).

    Parameters
    ----------
    groups : mapping of str to (y, prediction)
        Usually `{"training": ..., "held out": ...}`, each (n_samples,), in units of the target.
    target, unit : str
        For the axes.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = parity({"training": ([1.0, 2.0, 3.0], [1.1, 1.9, 3.0])}, "dose", "mg")
    >>> figure.axes[0].get_xlabel()
    'measured dose (mg)'
    """
    figure, axes = empty_figure(5.6, 5.2)
    data = _arrays(groups)
    low = min(min(y.min(), p.min()) for y, p in data.values())
    high = max(max(y.max(), p.max()) for y, p in data.values())
    margin = 0.04 * (high - low) or 0.5
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=MUTED, linewidth=1, zorder=1)
    for name, (y, prediction) in data.items():
        _scatter(axes, y, prediction, name, f"{name}  {_r2_text(y, prediction)}")
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set(xlabel=f"measured {axis_label(target, unit)}", ylabel=f"predicted {axis_label(target, unit)}")
    draw_legend(axes, loc="upper left")
    return figure


def residuals(groups: Groups, target: str = "target", unit: str = "") -> Figure:
    """Prediction minus measurement against the prediction: a pattern here is what the network has not
    learned.

    Parameters and return value as for `parity`.
    """
    figure, axes = empty_figure(5.6, 3.6)
    data = _arrays(groups)
    axes.axhline(0.0, color=MUTED, linewidth=1, zorder=1)
    for name, (y, prediction) in data.items():
        _scatter(axes, prediction, prediction - y, name, name)
    last, (y, prediction) = list(data.items())[-1]
    rmse = float(np.sqrt(np.mean((prediction - y) ** 2)))
    axes.axhspan(
        -rmse, rmse, color=group_color(last), alpha=0.10, linewidth=0, zorder=0, label=f"± RMSE, {last}"
    )
    axes.set(xlabel=f"predicted {axis_label(target, unit)}", ylabel=error_label(unit, target))
    draw_legend(axes)
    return figure


def error_histogram(groups: Groups, target: str = "target", unit: str = "") -> Figure:
    """How large the errors are, as share of the rows of each group (MATLAB's `ploterrhist`).

    Parameters and return value as for `parity`.
    """
    figure, axes = empty_figure(5.6, 3.6)
    errors = {name: p - y for name, (y, p) in _arrays(groups).items()}
    # A few wild errors must not press all others into one bar: the outermost bins hold what lies beyond.
    largest = max(float(np.abs(values).max()) for values in errors.values())
    usual = max(float(np.percentile(np.abs(values), 98)) for values in errors.values())
    reach = min(largest, 1.3 * usual) or 1.0
    smallest = min(len(values) for values in errors.values())
    edges = np.linspace(-reach, reach, 2 * int(np.clip(np.sqrt(smallest) / 1.5, 4, 20)) + 2)
    for name, values in errors.items():
        inside = np.clip(values, -reach, reach)
        weights = np.full(len(inside), 100.0 / len(inside))
        style: dict[str, Any] = {"bins": edges, "weights": weights, "color": group_color(name)}
        axes.hist(inside, histtype="stepfilled", alpha=0.28, **style)
        axes.hist(inside, histtype="step", linewidth=1.4, label=name, **style)
    axes.axvline(0.0, color=MUTED, linewidth=1)
    axes.set(xlabel=error_label(unit, target), ylabel="share of rows (%)")
    draw_legend(axes)
    return figure


def performance(history: History | Mapping[str, Sequence[Any]]) -> Figure:
    """Cost against iteration for training and, where there was one, validation (MATLAB's `plotperform`).

    Parameters
    ----------
    history : History, or mapping of str to sequence
        Of a result, an estimator or a trainer; or columns as of `History.to_dict()`: `iteration`, `cost`,
        `validation_cost`.
    """
    figure, axes = empty_figure(5.6, 3.6)
    iteration, cost = _column(history, "iteration"), _column(history, "cost")
    axes.plot(iteration, positive(cost), color=COLORS["training"], linewidth=1.8, label="training")
    validation = _column(history, "validation_cost")
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        axes.plot(
            iteration, positive(validation), color=COLORS["validation"], linewidth=1.8, label="validation"
        )
        axes.axvline(iteration[best], color=MUTED, linewidth=1, linestyle="--")
        axes.plot(iteration[best], validation[best], "o", color=COLORS["validation"], markersize=6, zorder=4,
                  label=f"best, iteration {int(iteration[best])}")  # fmt: skip
        draw_legend(axes)
    axes.set(xlabel="iteration", ylabel="cost")
    log_scale(axes, cost)
    whole_iterations(axes)
    return figure


def training_state(history: History | Mapping[str, Sequence[Any]]) -> Figure:
    """Cost, damping, gain ratio and gradient against iteration (MATLAB's `plottrainstate`).

    Parameters
    ----------
    history : History, or mapping of str to sequence
        Of a result, an estimator or a trainer; or columns as of `History.to_dict()`.
    """
    figure, axes = empty_figure(7.6, 4.8, rows=2, columns=2)
    iteration = _column(history, "iteration")
    panels = (("cost", "cost"), ("gradient_norm", "largest gradient entry"), ("damping", "damping λ"),
              ("gain_ratio", "gain ratio \N{GREEK SMALL LETTER RHO}"))  # fmt: skip
    for axis, (name, label) in zip(np.ravel(axes), panels, strict=True):
        values = _column(history, name)
        if name == "gain_ratio":
            # Near rounding the ratio of two vanishing numbers is noise of any size.
            axis.axhline(1.0, color=MUTED, linewidth=1)
            axis.plot(iteration, np.clip(values, -0.5, 2.5), ".", color=COLORS["training"], markersize=4)
            axis.set_ylim(-0.6, 2.6)
        else:
            axis.plot(iteration, positive(values), color=COLORS["training"], linewidth=1.6)
            log_scale(axis, values)
        axis.set_ylabel(label)
        whole_iterations(axis)
    for axis in np.ravel(axes)[2:]:
        axis.set_xlabel("iteration")
    return figure


def importance(names: Sequence[str], means: ArrayLike, sds: ArrayLike, limit: int = 20) -> Figure:
    """The importance of columns: R² lost when the values of one are shuffled among the rows.

    Parameters
    ----------
    names : sequence of str
    means, sds : array-like (n_columns,)
        Mean and standard deviation over the shuffles.
    limit : int
        Draw only so many, the largest first.
    """
    mean, sd = np.asarray(means, dtype=float), np.asarray(sds, dtype=float)
    order = np.argsort(-mean, kind="stable")[:limit][::-1]
    figure, axes = empty_figure(6.2, 1.1 + 0.3 * len(order))
    axes.barh(np.arange(len(order)), mean[order], xerr=sd[order], color=COLORS["training"], height=0.62,
              ecolor=INK, error_kw={"elinewidth": 1, "capsize": 2})  # fmt: skip
    axes.axvline(0.0, color=MUTED, linewidth=1)
    axes.set_yticks(np.arange(len(order)), [axis_label(str(names[int(i)])) for i in order])
    axes.set_xlabel("importance: R² lost when the column is shuffled")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure


def _scatter(axes: Axes, x: FloatArray, y: FloatArray, name: str, label: str) -> None:
    size, alpha = (22, 0.75) if len(x) <= 300 else (13, 0.55) if len(x) <= 3000 else (5, 0.35)
    axes.scatter(x, y, s=size, alpha=alpha, color=group_color(name), marker=_MARKERS.get(name, "o"),
                 linewidths=0, label=label, zorder=3 if name == "held out" else 2)  # fmt: skip


def _arrays(groups: Groups) -> dict[str, tuple[FloatArray, FloatArray]]:
    data = {}
    for name, (y, prediction) in groups.items():
        pair = np.asarray(y, dtype=float).ravel(), np.asarray(prediction, dtype=float).ravel()
        if len(pair[0]) != len(pair[1]):
            counts = f"{len(pair[0])} targets and {len(pair[1])} predictions"
            raise ValueError(f"group {name!r} has {counts}: give as many of both")
        if len(pair[0]):
            data[name] = pair
    if not data:
        raise ValueError("groups holds no rows: give at least one pair of targets and predictions")
    return data


def _column(history: History | Mapping[str, Sequence[Any]], name: str) -> FloatArray:
    if isinstance(history, History):
        return history.column(name)
    values = history[name]
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _r2_text(y: FloatArray, prediction: FloatArray) -> str:
    spread = float(np.sum((y - y.mean()) ** 2))
    return f"R² = {1 - float(np.sum((prediction - y) ** 2)) / spread:.4f}" if spread > 0 else ""


def decision(
    predict: Callable[[FloatArray], FloatArray], groups: Mapping[str, tuple[FloatArray, Any]]
) -> Figure:
    """A classifier of two inputs: its answer over the plane, and the points.

    Parameters
    ----------
    predict : callable
        (n, 2) -> probability of the second class (n,).
    groups : mapping of str to (X, label)
        X (n_samples, 2), label (n_samples,) of 0 and 1.
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure, axes = empty_figure(5.0, 4.8)
    reach = 1.08 * max(float(np.abs(X).max()) for X, _ in groups.values())
    ticks = np.linspace(-reach, reach, 300)
    plane = np.column_stack([part.ravel() for part in np.meshgrid(ticks, ticks)])
    colors = LinearSegmentedColormap.from_list("answer", ["#a9c8ea", "#f7f7f7", "#f6c9a4"])
    axes.imshow(predict(plane).reshape(300, 300), extent=(-reach, reach, -reach, reach), origin="lower",
                cmap=colors, vmin=0.0, vmax=1.0, interpolation="bilinear", zorder=0)  # fmt: skip
    classes = (COLORS["training"], COLORS["held out"])
    for name, (X, label) in groups.items():
        for value in (0, 1):
            points = X[np.asarray(label) == value]
            axes.scatter(*points.T, s=14 if name == "training" else 24, color=classes[value], linewidths=0.4,
                         edgecolors="white", marker=_MARKERS.get(name, "o"), zorder=3)  # fmt: skip
    axes.set(xlabel="x", ylabel="y", aspect="equal")
    axes.grid(visible=False)
    return figure
