"""Two tanks, one above the other, identified from 500 noisy levels: one step ahead, and on their own.

    python examples/narx.py [PICTURE.png]

What flows out of a tank goes with the root of its level; the pump feeds the upper one, and the level of the
lower one is measured, with 5 % noise.  Open-loop training asks for the next level from measured ones, and
takes their noise for part of the plant; closed-loop training asks for the whole series from the pump alone.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from marquardt.apps.sequences import NARXRegressor


def tanks(u: np.ndarray) -> np.ndarray:
    """Levels of the lower tank, from half full."""
    levels, upper, lower = [], 0.5, 0.5
    for flow in u:
        levels.append(lower)
        upper, lower = (
            max(upper + 0.15 * (flow - np.sqrt(upper)), 0.0),
            max(lower + 0.15 * (np.sqrt(upper) - np.sqrt(lower)), 0.0),
        )
    return np.array(levels)


def pump(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random settings, each held for 1 to 20 steps."""
    return np.repeat(rng.uniform(0.2, 1.2, n), rng.integers(1, 21, n))[:n]


def draw(y: np.ndarray, found: dict[str, np.ndarray], path: str) -> None:
    """The truth and the simulations, and their errors below."""
    colors = {"open": "#dd6b20", "closed": "#2b6cb0"}
    figure = Figure(figsize=(10, 5), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    upper.plot(y, color="#9aa5b1", lw=3, label="tanks")
    for name, guess in found.items():
        upper.plot(guess, color=colors[name], lw=1.2, label=f"simulated, {name}-loop training")
        lower.plot(guess - y, color=colors[name], lw=1.2)
    upper.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    upper.set_ylabel("level")
    lower.set(ylabel="error", xlabel="time")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    rng = np.random.default_rng(0)
    u, fresh = pump(rng, 500), pump(rng, 300)
    y, truth = tanks(u), tanks(fresh)
    measured = y + 0.05 * y.std() * rng.normal(size=len(y))
    found = {}
    print("R² on 300 new samples:   one step ahead   5 steps ahead   simulation")
    for training in ("open", "closed"):
        model = NARXRegressor(6, [1, 2], [1, 2], training=training, random_state=0).fit(u, measured)
        scores = [model.score(fresh, truth, n) for n in (1, 5, None)]
        print(f"{training}-loop training".ljust(25) + "".join(f"{score:<16.4f}" for score in scores))
        found[training] = model.simulate(fresh, truth)
        print(f"  around its own loop: {model.stability_}")
        for note in model.notes_:
            print(f"  note: {note}")
    path = sys.argv[1] if len(sys.argv) > 1 else "narx.png"
    draw(truth, found, path)
    print(f"Picture: {path}")


if __name__ == "__main__":
    main()
