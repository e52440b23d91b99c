"""A plant's data in pyrenn's scaling, and the problems that `narx.py` makes of them."""

from __future__ import annotations

import numpy as np

from marquardt import MLP, ClosedLoopProblem, Feedback, Input, Linear, Tanh
from plants import Plant


class Task:
    """One plant: its data in pyrenn's scaling, and the problems."""

    def __init__(self, plant: Plant, n: int) -> None:
        rng = np.random.default_rng(0)
        self.plant, self.n = plant, n
        self.u, self.test_u = plant.excite(rng, n), plant.excite(rng, n)
        self.y, self.test_y = plant.respond(self.u), plant.respond(self.test_u)
        self.u_scale, self.y_scale = max(1.0, abs(self.u).max()), max(1.0, abs(self.y).max())
        self.sd = self.y.std() / self.y_scale
        d_in, d_out = plant.input_delays, plant.output_delays
        self.network = MLP([Input(len(d_in) + len(d_out)), *(Tanh(h) for h in plant.hidden), Linear(1)])
        columns = list(range(len(d_in), len(d_in) + len(d_out)))
        self.feedback = Feedback(columns, [0] * len(d_out), d_out)

    def rows(self, u: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Delayed values from rest, and targets."""
        u, y = u / self.u_scale, y / self.y_scale
        delayed = [(u, d) for d in self.plant.input_delays] + [(y, d) for d in self.plant.output_delays]
        return np.column_stack([np.concatenate([np.zeros(d), v[: len(v) - d]]) for v, d in delayed]), y

    def closed(self, u: np.ndarray, y: np.ndarray) -> ClosedLoopProblem:
        return ClosedLoopProblem(self.network, *self.rows(u, y), self.feedback)

    def rms(self, cost: float) -> float:
        return float(np.sqrt(2 * cost / self.n) / self.sd)

    def tested(self, w: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            return self.rms(self.closed(self.test_u, self.test_y).cost(w))
