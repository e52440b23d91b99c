"""Data and dense references for the tests of the evidence."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marquardt import Input, Linear, NetworkProblem, Tanh

NETWORK = Input(2) >> Tanh(5) >> Linear(1)


def linear_data(n_samples=40):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n_samples, 3))
    return X, X @ [1.0, -0.5, 0.2] + 0.3 + 0.4 * rng.normal(size=n_samples)


def network_data(n_samples=60):
    rng = np.random.default_rng(4)
    X = rng.uniform(-1, 1, (n_samples, 2))
    return X, np.sin(3 * X[:, 0]) + 0.5 * X[:, 1] + 0.1 * rng.normal(size=n_samples)


def dense_log_evidence(fit, X, y):
    """The Laplace approximation with its Hessian formed, and γ of each group."""
    at = NetworkProblem(NETWORK, X, y).linearize(fit.w)
    J, n = at.jacobian.dense(), len(y)
    alpha, beta = fit.weight_precision[fit.groups.index], fit.noise_precision
    H = beta * J.T @ J + np.diag(alpha)
    joint = -0.5 * beta * at.residual @ at.residual - 0.5 * alpha @ fit.w**2
    joint += 0.5 * np.log(alpha).sum() + 0.5 * n * np.log(beta / (2 * np.pi))
    shares = 1 - alpha * np.linalg.inv(H).diagonal()
    return joint - 0.5 * np.linalg.slogdet(H)[1], fit.groups.sums(shares)


@dataclass(frozen=True)
class Case:
    """A problem, a start, inputs to predict at, and what must hold of the fit."""

    problem: NetworkProblem
    start: np.ndarray
    new: np.ndarray
    check: Callable


def _case(X, y, hidden, check):
    net = Input(X.shape[1]) >> Tanh(hidden) >> Linear(1)
    rng = np.random.default_rng(0)
    start = rng.uniform(-1, 1, net.n_params) / np.sqrt(X.shape[1])
    return Case(NetworkProblem(net, X, y), start, rng.uniform(-1, 1, (20, X.shape[1])), check)


def _hard():
    rng = np.random.default_rng(7)
    x, X3, X9 = np.linspace(-1, 1, 60)[:, None], rng.uniform(-1, 1, (60, 3)), rng.uniform(-1, 1, (6, 9))
    wave, noise = np.sin(3 * x[:, 0]), rng.normal(size=60)
    plane = X9 @ rng.normal(size=9) / 3 + 0.1 * rng.normal(size=6)
    return {
        "no noise": _case(x, wave, 10, lambda fit: fit.noise_sd < 1e-2),
        "constant": _case(X3, np.full(60, 3.0), 8, lambda fit: fit.noise_sd < 1e-2),
        "zero": _case(X3, np.zeros(60), 8, lambda fit: abs(fit.w).max() < 10),
        "one row": _case(X3[:1], np.ones(1), 4, lambda fit: True),
        "two equal rows": _case(X3[[0, 0]], np.array([0.0, 1.0]), 4, lambda fit: fit.noise_sd > 0.05),
        "p = 100 n": _case(X9, plane, 55, lambda fit: fit.n_effective <= 6),
        "pure noise": _case(X3, noise, 12, lambda fit: fit.noise_sd > 0.4 and fit.n_effective < 40),
        "a line": _case(x, x[:, 0] + 0.1 * noise, 12, lambda fit: fit.n_effective < 9),
        "dead input": _case(np.column_stack([x, 0 * x]), wave, 8, lambda fit: fit.noise_sd < 1e-2),
    }


HARD = _hard()
