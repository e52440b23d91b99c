"""The small trainer that the tests of NeuPy's face share."""

from __future__ import annotations

from typing import Any

import numpy as np

from marquardt import Input, LevenbergMarquardt, Linear, Tanh


def sine(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """X (n, 1) and y (n, 1) of one period of a sine."""
    x = np.linspace(-1.0, 1.0, n)
    return x[:, None], np.sin(3.0 * x)[:, None]


def sine_trainer(**settings: Any) -> LevenbergMarquardt:
    """A trainer 1-6-1 for it."""
    return LevenbergMarquardt(Input(1) >> Tanh(6) >> Linear(1), random_state=0, **settings)
