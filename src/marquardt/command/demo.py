"""The demonstrations: a table that ships with the package, and the two spirals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.datasets import DATASETS, TwoSpirals, two_spirals
from marquardt.result import Iteration, Result

if TYPE_CHECKING:
    from marquardt.models.mlp import MLP
    from marquardt.tables.model import TableModel

Callback = Callable[[Iteration], "bool | None"]


def table_demo(name: str, callback: Callback | None = None) -> TableModel:
    """Fit the table `name` of `marquardt.datasets` as `marquardt fit` would.

    Parameters
    ----------
    name : str
        "energy", "concrete" or "yacht".
    callback : callable, optional
        Called with every iteration.
    """
    from marquardt.tables.fit_options import FitOptions
    from marquardt.tables.model import fit_table

    dataset = DATASETS[name]
    options = FitOptions(units=(dataset.unit,))
    return fit_table(dataset.load(), [dataset.target], options, source=f"{name}.csv", callback=callback)


@dataclass(frozen=True)
class SpiralsFit:
    """What the two spirals came to."""

    spirals: TwoSpirals
    network: MLP
    result: Result
    seconds: float

    def accuracy(self, X: FloatArray, T: FloatArray) -> float:
        """Share of the rows whose larger output is the right one."""
        return float(np.mean(self.network.predict(self.result.w, X).argmax(axis=1) == T.argmax(axis=1)))

    def sse(self, X: FloatArray, T: FloatArray) -> float:
        """Sum of squared errors of the outputs."""
        return float(np.sum((self.network.predict(self.result.w, X) - T) ** 2))

    def rows(self) -> list[tuple[str, int, float, float]]:
        """Group, number of points, accuracy, sum of squared errors."""
        s = self.spirals
        groups = (("training", s.X_train, s.T_train), ("held out", s.X_test, s.T_test))
        return [(name, len(X), self.accuracy(X, T), self.sse(X, T)) for name, X, T in groups]


def spirals_demo(callback: Callback | None = None) -> SpiralsFit:
    """Train the 2-25-2 network of the classic comparison: sigmoid, softmax, sum of squared errors."""
    from marquardt.damping import Multiplicative
    from marquardt.lm import minimize
    from marquardt.models.layers import Input, Sigmoid, Softmax
    from marquardt.models.mlp import MLP
    from marquardt.problem import NetworkProblem
    from marquardt.stopping import Stopping

    spirals = two_spirals()
    network = MLP([Input(2), Sigmoid(25), Softmax(2)])
    started = time.perf_counter()
    problem = NetworkProblem(network, spirals.X_train, spirals.T_train)
    with one_thread_if_small(network.n_params):
        # A small factor crosses the plateaus of this problem best (examples/two_spirals.py).
        damping = Multiplicative(1e-2, up=1.2, down=1.2, relative=True)
        stopping = Stopping(cost_tolerance=1e-8)
        result = minimize(problem, spirals.w0, damping=damping, stopping=stopping, callback=callback)
    return SpiralsFit(spirals, network, result, time.perf_counter() - started)


def spirals_text(fit: SpiralsFit) -> str:
    """The outcome, in the form of the fit report."""
    lines = ["[[Two spirals]]", "    2 inputs, 25 sigmoid, 2 softmax; 127 parameters; sum of squared errors"]
    lines += [f"    {fit.result.status.name.lower().replace('_', ' ')}: {fit.result.message}"]
    lines += [
        f"    {fit.result.n_iter} iterations, {fit.result.n_jacobians} Jacobians, {fit.seconds:.2g} s",
        "",
    ]
    lines += ["[[Scores]]", f"    {'':<12}{'points':>8}{'right':>10}{'SSE':>12}"]
    lines += [
        f"    {name:<12}{n:>8}{100 * accuracy:>8.2f} %{sse:>12.4g}" for name, n, accuracy, sse in fit.rows()
    ]
    lines += ["", f"    {_REMARK}", ""]
    return "\n".join(lines)


_REMARK = "Both spirals begin at the origin: one of these two points must be wrong, at an SSE of at least 1."


def spirals_json(fit: SpiralsFit) -> dict[str, Any]:
    """The outcome as JSON data."""
    scores = {name.replace(" ", "_"): {"n": n, "accuracy": a, "SSE": sse} for name, n, a, sse in fit.rows()}
    result = fit.result
    return {"status": result.status.name, "success": result.success, "message": result.message,
            "n_iter": result.n_iter, "seconds": round(fit.seconds, 3), "scores": scores}  # fmt: skip


def spirals_html(fit: SpiralsFit) -> str:
    """The outcome as a page with the picture of the decision."""
    from marquardt import __version__
    from marquardt.reports import plots
    from marquardt.reports.html_report import cards, grid, page, picture, table
    from marquardt.reports.text_report import duration

    s, columns = fit.spirals, fit.result.history.to_dict()
    groups = {
        "training": (s.X_train, s.T_train.argmax(axis=1)),
        "held out": (s.X_test, s.T_test.argmax(axis=1)),
    }
    decision = plots.decision(lambda X: fit.network.predict(fit.result.w, X)[:, 1], groups)
    about = (
        "The answer of the network over the plane; the color is the probability of the second spiral. "
        "Dots are training points, diamonds are held out."
    )
    shown = [
        picture(decision, "map of the network's answer with the points of both spirals", about),
        picture(plots.training_state(columns), "state of the training", "Cost is half the SSE."),
    ]
    rows = [[name, str(n), f"{100 * accuracy:.2f} %", f"{sse:.4g}"] for name, n, accuracy, sse in fit.rows()]
    *_, (_, _, accuracy, _) = fit.rows()
    numbers = [
        (f"{100 * accuracy:.0f} %", "of the held-out points right"),
        (str(fit.result.n_iter), "iterations"),
        (duration(fit.seconds), "of training"),
    ]
    parts = [
        cards(numbers),
        "<h2>Scores</h2>",
        table(["points", "number", "right", "SSE"], rows, numeric=(1, 2, 3)),
        f"<p>{_REMARK}</p>",
        "<h2>Pictures</h2>",
        grid(shown),
    ]
    lead = "2 inputs, 25 sigmoid, 2 softmax: sum of squared errors, by the Levenberg-Marquardt method"
    return page("Two spirals", lead, parts, f"marquardt {__version__}. {fit.result.message}")
