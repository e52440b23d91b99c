"""The pictures: each draws, in plain figures, with labels a reader understands."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from marquardt.reports import plots
from marquardt.reports.plot_style import axis_label, png
from marquardt.result import History
from small_model import small_model

RNG = np.random.default_rng(0)
Y = RNG.normal(10, 3, 80)
GROUPS = {"training": (Y[:60], Y[:60] + 0.1), "held out": (Y[60:], Y[60:] - 0.2)}
HISTORY = small_model(validation=True).record.history.to_dict()

FIGURES = {
    "parity": lambda: plots.parity(GROUPS, "strength_mpa"),
    "residuals": lambda: plots.residuals(GROUPS, "strength_mpa"),
    "error_histogram": lambda: plots.error_histogram(GROUPS, "strength_mpa"),
    "performance": lambda: plots.performance(HISTORY),
    "training_state": lambda: plots.training_state(HISTORY),
    "performance of a History": lambda: plots.performance(History.from_dict(HISTORY)),
    "training_state of a History": lambda: plots.training_state(History.from_dict(HISTORY)),
    "importance": lambda: plots.importance(["dose_mg", "b"], [0.5, 0.9], [0.1, 0.1]),
    "decision": lambda: plots.decision(lambda X: X[:, 0] > 0, {"training": (np.eye(2), np.array([0, 1]))}),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_every_plot_is_a_labelled_figure(draw):
    figure = draw()
    assert isinstance(figure, Figure)
    assert png(figure, dpi=40).startswith(b"\x89PNG")
    bottom = figure.axes[-1]
    assert bottom.get_xlabel()
    assert bottom.get_ylabel() or len(bottom.get_yticklabels())


def test_labels_and_units():
    assert plots.parity(GROUPS, "strength_mpa").axes[0].get_ylabel() == "predicted strength (MPa)"
    assert plots.residuals(GROUPS, "load", "kN").axes[0].get_ylabel().endswith("measured (kN)")
    assert plots.error_histogram(GROUPS, "load").axes[0].get_xlabel().endswith("measured")
    assert axis_label("x" * 60).endswith("…")
    assert axis_label("_") == "_"


def test_parity_tells_r_squared():
    y = np.array([1.0, 2.0, 3.0])
    legend = plots.parity({"held out": (y, y)}).axes[0].get_legend()
    assert legend.get_texts()[0].get_text() == "held out  R² = 1.0000"


def test_performance_marks_the_best_validation_cost():
    history = {
        "iteration": [0, 1, 2, 3],
        "cost": [4.0, 2.0, 1.0, 0.5],
        "validation_cost": [5.0, 3.0, 4.0, 6.0],
    }
    texts = [text.get_text() for text in plots.performance(history).axes[0].get_legend().get_texts()]
    assert texts == ["training", "validation", "best, iteration 1"]
    history["validation_cost"] = [None] * 4
    assert plots.performance(history).axes[0].get_legend() is None


def test_importance_is_sorted_and_cut():
    axes = plots.importance([f"c{i}" for i in range(30)], np.arange(30), np.zeros(30), limit=5).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c25", "c26", "c27", "c28", "c29"]


@pytest.mark.parametrize(
    "groups",
    [
        {"training": ([1.0], [1.0])},  # one point
        {"training": ([2.0, 2.0], [2.0, 2.0])},  # no spread, no error
        {"training": (Y, Y), "held out": ([], [])},  # an empty group
        {"training": (np.r_[Y, 1e12], np.r_[Y, 0.0])},  # a wild row
        {"a group of my own": (Y * 1e-12, Y * 1e-12)},
    ],
)
def test_odd_groups_draw_without_warning(groups):
    for draw in (plots.parity, plots.residuals, plots.error_histogram):
        png(draw(groups, "weird $name$ 漢字 <b>"), dpi=30)


def test_odd_histories_draw_without_warning():
    history = {name: [0.0] for name in ("iteration", "cost", "gradient_norm", "damping")}
    history |= {"validation_cost": [None], "gain_ratio": [float("nan")]}
    png(plots.performance(history), dpi=30)
    png(plots.training_state(history), dpi=30)


def test_groups_that_do_not_fit():
    with pytest.raises(
        ValueError, match="group 'training' has 2 targets and 3 predictions: give as many of both"
    ):
        plots.parity({"training": ([1, 2], [1, 2, 3])})
    with pytest.raises(ValueError, match="groups holds no rows: give at least one pair"):
        plots.residuals({"training": ([], [])})


def test_plots_never_touch_pyplot():
    code = (
        "import sys; from marquardt.reports import plots; from marquardt.reports.plot_style import png;"
        "png(plots.parity({'training': ([1, 2], [1, 2])})); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
