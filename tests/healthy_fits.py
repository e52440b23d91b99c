"""Sound fits, about which a diagnosis must be silent: networks, curves, classes, and fits by the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from certified.nist import load
from decay import START, residual
from marquardt import Input, Linear, Logistic, NetworkProblem, Stopping, Tanh, least_squares, minimize
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.datasets import load_concrete, load_energy
from marquardt.diagnosis import Diagnosis, diagnose
from marquardt.initialization import default_initialization
from marquardt.losses import cross_entropy


def scaled(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def sine(seed, n_samples=100):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n_samples, 1))
    return Input(1) >> Tanh(6) >> Linear(1), x, np.sin(3 * x[:, 0]) + 0.1 * rng.normal(size=n_samples)


def friedman(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (200, 5))
    wave = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    y = wave + 10 * X[:, 3] + 5 * X[:, 4] + rng.normal(size=200)
    return Input(5) >> Tanh(8) >> Linear(1), scaled(X), scaled(y)


def table(loader):
    def data(seed):
        values = loader().to_numpy(dtype=float)
        values = values[np.random.default_rng(seed).permutation(len(values))[:250]]
        network = Input(values.shape[1] - 1) >> Tanh(10) >> Linear(1)
        return network, scaled(values[:, :-1]), scaled(values[:, -1])

    return data


def plane(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(80, 3))
    return Input(3) >> Linear(1), X, X @ [1.0, -0.5, 0.2] + 0.3 * rng.normal(size=80)


def two_outputs(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (150, 2))
    Y = np.column_stack([np.sin(2 * X[:, 0]), np.cos(2 * X[:, 1])]) + 0.05 * rng.normal(size=(150, 2))
    return Input(2) >> Tanh(8) >> Linear(2), X, Y


def two_layers(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (150, 2))
    y = np.sin(3 * X[:, 0] * X[:, 1]) + 0.05 * rng.normal(size=150)
    return Input(2) >> Tanh(6) >> Tanh(5) >> Linear(1), X, y


def bump(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (200, 1))
    return Input(1) >> Logistic(4) >> Linear(1), x, np.exp(-4 * x[:, 0] ** 2) + 0.03 * rng.normal(size=200)


def quadrants(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (200, 2))
    y = (X[:, 0] * X[:, 1] + 0.2 * rng.normal(size=200) > 0).astype(float)
    return Input(2) >> Tanh(6) >> Logistic(1), X, y


def fitted(data: Callable[[int], Any], **options: Any) -> Callable[[int], Diagnosis]:
    def diagnosis(seed: int) -> Diagnosis:
        network, X, y = data(seed)
        problem = NetworkProblem(network, X, y, **options)
        start = default_initialization(network).draw(network, np.random.default_rng(seed), X)
        result = minimize(problem, start, stopping=Stopping(max_iter=300, cost_tolerance=1e-6))
        return diagnose(result, problem)

    return diagnosis


def bayesian(data: Callable[[int], Any]) -> Callable[[int], Diagnosis]:
    def diagnosis(seed: int) -> Diagnosis:
        network, X, y = data(seed)
        problem = NetworkProblem(network, X, y)
        start = default_initialization(network).draw(network, np.random.default_rng(seed), X)
        return diagnose(maximize_evidence(problem, start, stopping=Stopping(max_iter=300)), problem)

    return diagnosis


def stopped_early(seed: int) -> Diagnosis:
    network, X, y = sine(seed)
    problem, validation = (NetworkProblem(network, X[rows], y[rows]) for rows in (slice(70), slice(70, 100)))
    start = default_initialization(network).draw(network, np.random.default_rng(seed), X)
    result = minimize(problem, start, validation=validation.cost, stopping=Stopping(max_iter=300))
    return diagnose(result, problem, held_out=validation)


def certified(name: str) -> Callable[[int], Diagnosis]:
    def diagnosis(seed: int) -> Diagnosis:
        problem = load(name)
        return diagnose(least_squares(problem.residual, problem.starts[seed % 2], problem.jacobian))

    return diagnosis


HEALTHY: dict[str, Callable[[int], Diagnosis]] = {
    "sine": fitted(sine, alpha=0.01),
    "friedman": fitted(friedman, alpha=0.01),
    "energy": fitted(table(load_energy), alpha=0.01),
    "concrete": fitted(table(load_concrete), alpha=0.01),
    "plane": fitted(plane),
    "two outputs": fitted(two_outputs, alpha=1e-3),
    "two layers": fitted(two_layers, alpha=1e-3),
    "bump": fitted(bump, alpha=1e-3),
    "quadrants": fitted(quadrants, alpha=0.1, loss=cross_entropy),
    "stopped early": stopped_early,
    "sine by the evidence": bayesian(sine),
    "friedman by the evidence": bayesian(friedman),
    "two outputs by the evidence": bayesian(two_outputs),
    "decay": lambda seed: diagnose(least_squares(residual, START)),
    **{
        name: certified(name)
        for name in ("Misra1a", "Chwirut2", "Gauss1", "Rat43", "Hahn1", "ENSO", "Thurber")
    },
}
"""Seed -> diagnosis."""
