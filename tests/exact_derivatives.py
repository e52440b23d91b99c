"""Derivatives exact to rounding, by complex arithmetic: oracles that share no formula with the package."""

import numpy as np


def complex_step_jacobian(evaluate, w):
    """∂r/∂w (n, p): the imaginary part of r(w + 1e-30 i e_k) / 1e-30."""
    columns = []
    for k in range(len(w)):
        z = w.astype(complex)
        z[k] += 1e-30j
        columns.append(evaluate(z).imag / 1e-30)
    return np.stack(columns, axis=1)


def cauchy_derivative(evaluate, order, radius=0.05, count=16):
    """The derivative of that order of evaluate(t) at t = 0, by Cauchy's integral over a circle.

    The trapezoid rule on a circle converges geometrically: the error is of the size of the Taylor terms
    radius^count, plus rounding / radius^order.
    """
    turns = np.exp(2j * np.pi * (np.arange(count) + 0.5) / count)
    mean = sum(evaluate(radius * turn) * turn**-order for turn in turns) / count
    factorial = float(np.prod(np.arange(1, order + 1)))
    return mean.real * factorial / radius**order
