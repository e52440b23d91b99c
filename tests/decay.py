"""A decay with noise, for the tests of `least_squares`."""

import numpy as np
import pytest

T = np.linspace(0, 4, 40)
NOISE = 0.02 * np.random.default_rng(0).normal(size=40)
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + NOISE
START = np.array([1.0, 0.5, 0.0])


def curve(t, a, k, c):
    return a * np.exp(-k * t) + c


def residual(w):
    return curve(T, *w) - Y


def analytic(w):
    decay = np.exp(-w[1] * T)
    return np.column_stack([decay, -w[0] * T * decay, np.ones_like(T)])


JACOBIANS = {"analytic": analytic, "central": "3-point", "forward": "2-point", "default": None}
jacobians = pytest.mark.parametrize("jac", JACOBIANS.values(), ids=JACOBIANS)
