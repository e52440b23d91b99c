"""Error bars from the rows alone: narrow where there are measurements, wide where there are none.

    python examples/error_bars.py [picture.png]

Fifty noisy measurements of a function, with a gap.  The same network three times: least squares, with a small
fixed penalty, and with the penalty and the noise found by the evidence.
"""

from __future__ import annotations

import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from marquardt import LMRegressor


def truth(x: np.ndarray) -> np.ndarray:
    return np.sin(2.2 * x) + 0.3 * x


def main(path: str = "error_bars.png") -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(-3, -0.2, 28), rng.uniform(1.2, 3, 22)])
    y = truth(x) + 0.25 * rng.standard_normal(50)
    grid = np.linspace(-4, 4, 400)
    ways = {
        "least squares": LMRegressor((20,), alpha=0.0, max_iter=200, n_starts=1, random_state=0),
        "alpha = 0.01": LMRegressor((20,), alpha=0.01, random_state=0),
        "as it comes: by the evidence": LMRegressor((20,), random_state=0),
    }
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
    for axis, (title, model) in zip(axes, ways.items(), strict=True):
        model.fit(x[:, None], y)
        if model.evidence_ is None:
            mean = model.predict(grid[:, None])
        else:
            mean, std = model.predict(grid[:, None], return_std=True)
            low, high = mean - 1.96 * std, mean + 1.96 * std
            axis.fill_between(grid, low, high, color="#2b6cb0", alpha=0.2, label="95 % interval")
        rmse = float(np.sqrt(np.mean((model.predict(x[:, None]) - truth(x)) ** 2)))
        axis.plot(grid, truth(grid), color="#6b7785", linestyle="--", linewidth=1, label="truth")
        axis.plot(grid, mean, color="#2b6cb0", label="fit")
        axis.plot(x, y, ".", color="#dd6b20", label="measured")
        axis.set(title=f"{title}\noff by {rmse:.2f} where measured", ylim=(-3, 3), xlabel="x")
    axes[-1].legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=150)
    gamma, noise = model.evidence_.n_effective, model.noise_std_[0]
    print(f"noise {noise:.3f} (truth 0.25), {gamma:.1f} effective parameters")


if __name__ == "__main__":
    main(*sys.argv[1:2])
