"""The two spirals: Levenberg-Marquardt, SciPy's least_squares and Adam from the same start.

    python examples/two_spirals.py [PICTURE.png]

A network 2-25-2 with sigmoid and softmax, sum of squared errors, 400 training points and 100 held out.
Both spirals begin at the origin, and both of these points are in the training set with different labels:
399 right of 400 and an SSE of 1 is the best that any function can do.

Adam is the classic one: full batch, step 1e-3, at most 10 000 epochs, stopped when the error on the held-out
points has not fallen for 500; it ends on the first plateau.  The table shows it without this stop too.
Adam has thus seen the held-out points; the others have not.

Ours damps by a fixed factor of 1.2, NeuPy's rule: of the rules tried it left the fewest starts behind on
these plateaus, while the default is quicker on smooth fits.  Hundreds of steps over plateaus amplify
rounding: on another machine a single run may end otherwise.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from marquardt import MLP, Input, Multiplicative, NetworkProblem, Sigmoid, Softmax, Stopping, minimize
from marquardt.datasets import TwoSpirals, two_spirals

NETWORK = MLP([Input(2), Sigmoid(25), Softmax(2)])


@dataclass
class Outcome:
    name: str
    w: np.ndarray
    seconds: float
    jacobians: int
    """Jacobians, or gradients."""
    costs: int

    def right(self, X: np.ndarray, T: np.ndarray) -> float:
        """Share of the points with the right label."""
        return float(np.mean(NETWORK.predict(self.w, X).argmax(axis=1) == T.argmax(axis=1)))

    def sse(self, X: np.ndarray, T: np.ndarray) -> float:
        return float(np.sum((NETWORK.predict(self.w, X) - T) ** 2))


def train_marquardt(problem: NetworkProblem, w0: np.ndarray) -> Outcome:
    started = time.perf_counter()
    # A small factor holds λ just above rejection, which crosses plateaus (docstring of this file).
    damping = Multiplicative(1e-2, up=1.2, down=1.2, relative=True)
    result = minimize(problem, w0, damping=damping, stopping=Stopping(cost_tolerance=1e-8))
    seconds = time.perf_counter() - started
    return Outcome("marquardt", result.w, seconds, result.n_jacobians, result.n_costs)


def train_scipy(problem: NetworkProblem, w0: np.ndarray) -> Outcome:
    """MINPACK's Levenberg-Marquardt, with our exact Jacobian; its tolerances are 1e-8."""
    started = time.perf_counter()
    fit = least_squares(
        lambda w: problem.linearize(w.copy()).residual,
        w0,
        jac=lambda w: problem.linearize(w.copy()).jacobian.dense(),
        method="lm",
        max_nfev=1000,
    )
    return Outcome("SciPy lm", fit.x, time.perf_counter() - started, int(fit.njev or 0), int(fit.nfev))


def train_adam(
    name: str, problem: NetworkProblem, w0: np.ndarray, held_out: NetworkProblem, patience: int
) -> Outcome:
    """Kingma & Ba's algorithm 1 with their constants; the weights of the lowest held-out error."""
    started = time.perf_counter()
    w, best_w, best, best_epoch = w0.copy(), w0, np.inf, 0
    mean, square = np.zeros_like(w), np.zeros_like(w)
    epoch = 0
    for epoch in range(1, 10_001):
        g = problem.linearize(w.copy()).gradient
        mean = 0.9 * mean + 0.1 * g
        square = 0.999 * square + 0.001 * g * g
        w -= 1e-3 * (mean / (1 - 0.9**epoch)) / (np.sqrt(square / (1 - 0.999**epoch)) + 1e-8)
        cost = held_out.cost(w)
        if cost < best:
            best_w, best, best_epoch = w.copy(), cost, epoch
        if epoch - best_epoch >= patience:
            break
    return Outcome(name, best_w, time.perf_counter() - started, epoch, epoch)


def print_table(outcomes: list[Outcome], spirals: TwoSpirals) -> None:
    head = f"{'':<14}{'training':>10}{'held out':>10}{'SSE':>10}{'time':>10}{'Jacobians':>12}{'costs':>9}"
    print(head, "-" * len(head), sep="\n")
    for o in outcomes:
        training, held_out = (
            o.right(spirals.X_train, spirals.T_train),
            o.right(spirals.X_test, spirals.T_test),
        )
        sse = o.sse(spirals.X_train, spirals.T_train)
        print(
            f"{o.name:<14}{100 * training:>8.2f} %{100 * held_out:>8.1f} %{sse:>10.4g}{o.seconds:>8.2f} s"
            f"{o.jacobians:>12}{o.costs:>9}"
        )
    print("\nSSE on the training points, of which 1 is unavoidable. Adam has gradients, not Jacobians.")


def draw(outcomes: list[Outcome], spirals: TwoSpirals) -> Figure:
    """The answers over the plane, side by side."""
    ink, blue, orange = "#1f2933", "#2b6cb0", "#dd6b20"
    colors = LinearSegmentedColormap.from_list("answer", ["#f6c9a4", "#fbfaf8", "#a9c8ea"])
    figure = Figure(figsize=(12.6, 5.0), facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.012, right=0.988, bottom=0.055, top=0.86, wspace=0.05)
    reach, n = 5.6, 400
    ticks = np.linspace(-reach, reach, n)
    plane = np.column_stack([part.ravel() for part in np.meshgrid(ticks, ticks)])
    for axes, o in zip(figure.subplots(1, len(outcomes)), outcomes, strict=True):
        share = NETWORK.predict(o.w, plane)[:, 0].reshape(n, n)
        axes.imshow(share, extent=(-reach, reach, -reach, reach), origin="lower", cmap=colors, vmin=0, vmax=1,
                    interpolation="bilinear")  # fmt: skip
        axes.contour(ticks, ticks, share, levels=[0.5], colors="white", linewidths=1.4)
        for X, T, size, marker in (
            (spirals.X_train, spirals.T_train, 13, "o"),
            (spirals.X_test, spirals.T_test, 22, "D"),
        ):
            for k, color in enumerate((blue, orange)):
                points = X[T[:, k] == 1]
                axes.scatter(
                    *points.T, s=size, color=color, marker=marker, linewidths=0.5, edgecolors="white"
                )
        counts = [
            f"{o.right(X, T) * len(X):.0f} of {len(X)} {name}"
            for name, X, T in (
                ("training points", spirals.X_train, spirals.T_train),
                ("held out", spirals.X_test, spirals.T_test),
            )
        ]
        axes.set_title(o.name + "\n", fontsize=16, color=ink, fontweight="bold", pad=4)
        caption = f"{counts[0]}, {counts[1]}, {o.seconds:.2g} s"
        axes.text(0.5, 1.03, caption, transform=axes.transAxes, ha="center", fontsize=10.5, color="#52606d")
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
    note = "Color: the network's answer over the plane. Dots: training points. Diamonds: held out."
    figure.text(0.988, 0.015, note, ha="right", fontsize=9, color="#7b8794")
    return figure


def main() -> None:
    spirals = two_spirals()
    problem = NetworkProblem(NETWORK, spirals.X_train, spirals.T_train)
    held_out = NetworkProblem(NETWORK, spirals.X_test, spirals.T_test)
    with threadpool_limits(limits=1):  # 127 parameters: more threads would only wait for each other
        outcomes = [
            train_marquardt(problem, spirals.w0),
            train_scipy(problem, spirals.w0),
            train_adam("Adam", problem, spirals.w0, held_out, patience=500),
            train_adam("Adam, to end", problem, spirals.w0, held_out, patience=10_000),
        ]
    print_table(outcomes, spirals)
    path = sys.argv[1] if len(sys.argv) > 1 else "two_spirals.png"
    draw(outcomes[:3], spirals).savefig(path, dpi=150)
    print(f"Picture: {path}")


if __name__ == "__main__":
    main()
