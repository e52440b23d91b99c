"""The tasks of the benchmarks: data, network, starting points by seed, and the cost to reach.

Targets were fixed before any run, by one rule each, but for the spirals:

- ``sinc``: mean squared error 1e-6, the level that told good solvers from poor ones in earlier comparisons on
  this curve.
- ``friedman1000`` and ``energy``: mean squared error 1e-3 of the (unit) variance of the target, R2 = 0.999.
  Both targets are deterministic functions of the inputs, so this is a fit, not an overfit of noise.
- ``spirals``: sum of squared errors 1.5 on one-hot targets.  Both arms begin at the origin, and both of
  these rows are in the training set with opposite labels, so no network gets below 1; any other wrong label
  costs at least 0.5 more.  At 1.5 every row but one of those two is labelled rightly.  (It was 1 at first,
  until every solver stopped there.)
- the five small tasks (``sine``, ``deep``, ``friedman``, ``noisy``, ``parity``): SSE 1e-4, 1e-3, 0.4 (MSE
  1e-3), 1.1 times the expected residual of the true function, 1e-2.

Parameters are stored layer after layer, in a layer row by row: a unit's weights, then its bias.
"""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

Array = np.ndarray
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "logistic": lambda z: 0.5 * (1 + np.tanh(0.5 * z)),
    "linear": lambda z: z,
    "softmax": lambda z: (
        np.exp(z - z.max(1, keepdims=True)) / np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)
    ),
}


@dataclass(frozen=True)
class Task:
    """One least-squares training problem; ``draw(seed)`` gives the start, ``goal_sse`` the sum of squares to
    reach."""

    name: str
    X: Array = field(repr=False)  # (n_samples, n_inputs)
    y: Array = field(repr=False)  # (n_samples, n_outputs)
    hidden: tuple[int, ...]
    goal_sse: float
    start: Callable[[Task, int], Array] = field(repr=False)
    activation: str = "tanh"
    output: str = "linear"
    max_jacobians: int = 300

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.X.shape[1], *self.hidden, self.y.shape[1])

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(n_out, n_in + 1) of each layer."""
        return [(o, i + 1) for i, o in zip(self.sizes[:-1], self.sizes[1:], strict=True)]

    @property
    def n_params(self) -> int:
        return sum(o * i for o, i in self.shapes)

    @property
    def n_residuals(self) -> int:
        return self.y.size

    def draw(self, seed: int) -> Array:
        return self.start(self, seed)

    def unpack(self, w: Array) -> list[tuple[Array, Array]]:
        """[(W (n_out, n_in), b (n_out,)), ...]."""
        layers, at = [], 0
        for o, i in self.shapes:
            block = w[at : at + o * i].reshape(o, i)
            layers.append((block[:, :-1], block[:, -1]))
            at += o * i
        return layers

    def sse(self, w: Array) -> float:
        """Sum of squared errors, by five lines of NumPy that share no code with any solver: the referee."""
        a = self.X
        layers = self.unpack(w)
        for k, (W, b) in enumerate(layers):
            a = _ACTIVATIONS[self.output if k == len(layers) - 1 else self.activation](a @ W.T + b)
        return float(((a - self.y) ** 2).sum())

    def problem(self):
        """The task as a ``marquardt.problem.NetworkProblem``."""
        import marquardt as mq
        from marquardt.problem import NetworkProblem

        kinds = {"tanh": mq.Tanh, "logistic": mq.Logistic, "linear": mq.Linear, "softmax": mq.Softmax}
        units = [kinds[self.activation](n) for n in self.hidden] + [kinds[self.output](self.sizes[-1])]
        return NetworkProblem(mq.MLP([mq.Input(self.sizes[0]), *units]), self.X, self.y)


def xavier(task: Task, seed: int) -> Array:
    """Glorot-uniform weights, biases uniform within 1/sqrt(n_in)."""
    rng, blocks = np.random.default_rng(1000 + seed), []
    for o, i1 in task.shapes:
        i = i1 - 1
        limit = np.sqrt(6 / (i + o))
        W = rng.uniform(-limit, limit, (o, i))
        b = rng.uniform(-1, 1, (o, 1)) / np.sqrt(i)
        blocks.append(np.hstack([W, b]).ravel())
    return np.concatenate(blocks)


def torch_default(task: Task, seed: int) -> Array:
    """PyTorch's default for linear layers: weights and biases uniform within 1/sqrt(n_in)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(-1, 1, o * i1) / np.sqrt(i1 - 1) for o, i1 in task.shapes])


def uniform_tenth(task: Task, seed: int) -> Array:
    """uniform(-0.1, 0.1) in column-major (n_in + 1, n_out) blocks; seed 0 here is numpy's seed 1, the
    classic start.

    A column-major (n_in + 1, n_out) block is our row-major (n_out, n_in + 1) one, bias last.
    """
    return np.random.RandomState(seed + 1).uniform(-0.1, 0.1, task.n_params)


def standardize(table: Array) -> Array:
    return (table - table.mean(0)) / table.std(0)


def _friedman_function(X: Array) -> Array:
    f = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return standardize(f[:, None])


def sinc() -> Task:
    X = np.linspace(-1, 1, 500)[:, None]
    return Task("sinc", X, np.sinc(10 * X), (20,), 500 * 1e-6, torch_default)


def friedman1000() -> Task:
    X = np.random.default_rng(0).uniform(size=(1000, 10))
    return Task("friedman1000", 2 * X - 1, _friedman_function(X), (20,), 1000 * 1e-3, xavier)


def spirals() -> Task:
    """Two spirals of 250 points; 400 of the 500 train; 2-25-2, logistic hidden units, softmax, squared
    error."""
    t = np.arange(250) / 250
    arms = [
        np.c_[5 * t * np.sin(a), 5 * t * np.cos(a)] for a in (1.75 * t * 2 * np.pi + s for s in (0, np.pi))
    ]
    X, y = np.vstack(arms), np.repeat(np.eye(2), 250, axis=0)
    rows = np.random.RandomState(0).choice(500, 400, replace=False)
    return Task("spirals", X[rows], y[rows], (25,), 1.5, uniform_tenth, "logistic", "softmax")


@lru_cache
def _read(name: str) -> Array:
    path = importlib.resources.files("marquardt") / "data" / f"{name}.csv"
    with path.open() as stream:
        rows = list(csv.reader(stream))[1:]
    return standardize(np.array(rows, float))


def uci(name: str, hidden: int, goal_mse: float = 0.0) -> Task:
    """A UCI table that ships with the package, standardized; the target is the last column."""
    table = _read(name)
    return Task(name, table[:, :-1], table[:, -1:], (hidden,), len(table) * goal_mse, xavier)


def energy() -> Task:
    return uci("energy", 50, 1e-3)


def sine() -> Task:
    X = np.linspace(-1, 1, 100)[:, None]
    return Task("sine", X, np.sin(3 * np.pi * X) * np.exp(-X), (10,), 1e-4, xavier)


def deep() -> Task:
    X = np.random.default_rng(1).uniform(-1, 1, (400, 2))
    f = np.sin(4 * X[:, :1]) * np.cos(3 * X[:, 1:]) + np.exp(-8 * (X**2).sum(1, keepdims=True))
    return Task("deep", X, f, (10, 10), 1e-3, xavier)


def friedman() -> Task:
    X = np.random.default_rng(0).uniform(0, 1, (400, 10))
    return Task("friedman", 2 * X - 1, _friedman_function(X), (10,), 0.4, xavier)


def noisy() -> Task:
    clean = friedman()
    y = clean.y + 0.3 * np.random.default_rng(5).standard_normal(clean.y.shape)
    floor = 0.09 * 400 * (1 - 121 / 400)  # noise variance times the degrees of freedom left
    return Task("noisy", clean.X, y, (10,), 1.1 * floor, xavier)


def parity() -> Task:
    X = np.array([[1.0 if (k >> j) & 1 else -1.0 for j in range(6)] for k in range(64)])
    return Task("parity", X, X.prod(1, keepdims=True), (8,), 1e-2, xavier, output="tanh")


PEER_TASKS: dict[str, Callable[[], Task]] = {
    "sinc": sinc,
    "friedman1000": friedman1000,
    "spirals": spirals,
    "energy": energy,
}
SMALL_TASKS: dict[str, Callable[[], Task]] = {
    "sine": sine,
    "deep": deep,
    "friedman": friedman,
    "noisy": noisy,
    "parity": parity,
}
