"""More-Garbow-Hillstrom problems 20 to 35: those of variable size. Residuals and analytic Jacobian columns.

Each function takes its size from ``w`` (n,), maps it to ``(residuals, columns)``, and accepts complex ``w``.
Formulas and numbering: Moré, Garbow, Hillstrom, ACM TOMS 7 (1981) 17-41.
"""

from collections.abc import Callable

import numpy as np

from certified.problem import Evaluation

PENALTY = np.sqrt(1e-5)


def watson(w: np.ndarray) -> Evaluation:
    """20: sum (j-1) x_j t^(j-2) - (sum x_j t^(j-1))² - 1, t = i / 29, then x1 and x2 - x1² - 1."""
    n = w.size
    t = np.arange(1, 30)[:, None] / 29
    powers = t ** np.arange(n)
    slopes = np.concatenate([np.zeros((29, 1)), np.arange(1, n) * powers[:, :-1]], axis=1)
    value = powers @ w
    r = np.concatenate([slopes @ w - value**2 - 1, [w[0], w[1] - w[0] ** 2 - 1]])
    ends = np.zeros((2, n), dtype=w.dtype)
    ends[0, 0], ends[1, 0], ends[1, 1] = 1, -2 * w[0], 1
    return r, tuple(np.concatenate([slopes - 2 * value[:, None] * powers, ends]).T)


def extended_rosenbrock(w: np.ndarray) -> Evaluation:
    """21: Rosenbrock's two residuals for each pair of parameters."""
    n = w.size
    odd, even = w[0::2], w[1::2]
    r = np.stack([10 * (even - odd**2), 1 - odd], axis=1).ravel()
    jacobian = np.zeros((n, n), dtype=w.dtype)
    i = np.arange(0, n, 2)
    jacobian[i, i], jacobian[i, i + 1], jacobian[i + 1, i] = -20 * odd, 10, -1
    return r, tuple(jacobian.T)


def extended_powell(w: np.ndarray) -> Evaluation:
    """22: Powell's singular function for each four parameters."""
    n = w.size
    a, b, c, d = w.reshape(-1, 4).T
    root_5, root_10 = np.sqrt(5.0), np.sqrt(10.0)
    r = np.stack([a + 10 * b, root_5 * (c - d), (b - 2 * c) ** 2, root_10 * (a - d) ** 2], axis=1).ravel()
    jacobian = np.zeros((n, n), dtype=w.dtype)
    i = np.arange(0, n, 4)
    jacobian[i, i], jacobian[i, i + 1] = 1, 10
    jacobian[i + 1, i + 2], jacobian[i + 1, i + 3] = root_5, -root_5
    jacobian[i + 2, i + 1], jacobian[i + 2, i + 2] = 2 * (b - 2 * c), -4 * (b - 2 * c)
    jacobian[i + 3, i], jacobian[i + 3, i + 3] = 2 * root_10 * (a - d), -2 * root_10 * (a - d)
    return r, tuple(jacobian.T)


def penalty_1(w: np.ndarray) -> Evaluation:
    """23: √1e-5 (x_i - 1), then sum x² - 1/4."""
    r = np.append(PENALTY * (w - 1), w @ w - 0.25)
    return r, tuple(np.vstack([PENALTY * np.eye(w.size), 2 * w]).T)


def penalty_2(w: np.ndarray) -> Evaluation:
    """24: x1 - 0.2, neighbors' exponentials, single exponentials, and sum (n - j + 1) x_j² - 1."""
    n = w.size
    growth = np.exp(w / 10)
    i = np.arange(1, n + 1)
    y = np.exp(i[1:] / 10) + np.exp(i[:-1] / 10)
    weights = n - i + 1
    pairs = PENALTY * (growth[1:] + growth[:-1] - y)
    singles = PENALTY * (growth[1:] - np.exp(-0.1))
    r = np.concatenate([[w[0] - 0.2], pairs, singles, [weights @ w**2 - 1]])
    slope = np.diag(PENALTY * growth / 10)
    first = np.zeros((1, n))
    first[0, 0] = 1
    jacobian = np.concatenate([first, slope[1:] + slope[:-1], slope[1:], (2 * weights * w)[None]])
    return r, tuple(jacobian.T)


def variably_dimensioned(w: np.ndarray) -> Evaluation:
    """25: x_i - 1, s = sum j (x_j - 1), s²."""
    j = np.arange(1.0, w.size + 1)
    s = j @ (w - 1)
    r = np.concatenate([w - 1, [s, s**2]])
    return r, tuple(np.vstack([np.eye(w.size), j, 2 * s * j]).T)


def trigonometric(w: np.ndarray) -> Evaluation:
    """26: n - sum cos x_j + i (1 - cos x_i) - sin x_i."""
    n = w.size
    i = np.arange(1, n + 1)
    cos, sin = np.cos(w), np.sin(w)
    r = n - cos.sum() + i * (1 - cos) - sin
    return r, tuple((np.tile(sin, (n, 1)) + np.diag(i * sin - cos)).T)


def brown_almost_linear(w: np.ndarray) -> Evaluation:
    """27: x_i + sum x_j - (n + 1) for i < n, then the product of all minus 1."""
    n = w.size
    r = np.append((w + w.sum() - (n + 1))[:-1], np.prod(w) - 1)
    others = np.array([np.prod(np.delete(w, j)) for j in range(n)])
    return r, tuple(np.vstack([(np.eye(n) + 1)[:-1], others]).T)


def discrete_boundary_value(w: np.ndarray) -> Evaluation:
    """28: 2 x_i - x_(i-1) - x_(i+1) + h² (x_i + t_i + 1)³ / 2, zero at both ends."""
    n = w.size
    h = 1 / (n + 1)
    load = w + h * np.arange(1, n + 1) + 1
    stiffness = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return stiffness @ w + h**2 * load**3 / 2, tuple((stiffness + np.diag(1.5 * h**2 * load**2)).T)


def discrete_integral(w: np.ndarray) -> Evaluation:
    """29: x_i + h/2 sum_j k(t_i, t_j) (x_j + t_j + 1)³, k(s, t) = (1 - max) min."""
    n = w.size
    h = 1 / (n + 1)
    t = h * np.arange(1, n + 1)
    kernel = h / 2 * (1 - np.maximum.outer(t, t)) * np.minimum.outer(t, t)
    load = w + t + 1
    return w + kernel @ load**3, tuple((np.eye(n) + 3 * kernel * load**2).T)


def broyden_tridiagonal(w: np.ndarray) -> Evaluation:
    """30: (3 - 2 x_i) x_i - x_(i-1) - 2 x_(i+1) + 1."""
    n = w.size
    bands = -np.eye(n, k=-1) - 2 * np.eye(n, k=1)
    return (3 - 2 * w) * w + bands @ w + 1, tuple((bands + np.diag(3 - 4 * w)).T)


def broyden_banded(w: np.ndarray) -> Evaluation:
    """31: x_i (2 + 5 x_i²) + 1 - sum over five neighbors before and one after of x_j (1 + x_j)."""
    n = w.size
    neighbors = sum(np.eye(n, k=k) for k in (-5, -4, -3, -2, -1, 1))
    r = w * (2 + 5 * w**2) + 1 - neighbors @ (w * (1 + w))
    return r, tuple((np.diag(2 + 15 * w**2) - neighbors * (1 + 2 * w)).T)


def linear_full_rank(m: int) -> Callable[[np.ndarray], Evaluation]:
    """32: x_i - 2/m sum x_j - 1 for i <= n, -2/m sum x_j - 1 for the others up to m."""

    def evaluate(w: np.ndarray) -> Evaluation:
        matrix = np.eye(m, w.size) - 2 / m
        return matrix @ w - 1, tuple(matrix.T)

    return evaluate


def linear_rank_1(m: int) -> Callable[[np.ndarray], Evaluation]:
    """33: i sum j x_j - 1."""

    def evaluate(w: np.ndarray) -> Evaluation:
        matrix = np.outer(np.arange(1.0, m + 1), np.arange(1.0, w.size + 1))
        return matrix @ w - 1, tuple(matrix.T)

    return evaluate


def linear_rank_1_zeros(m: int) -> Callable[[np.ndarray], Evaluation]:
    """34: as 33 with (i - 1), and with the first and last row and column zero."""

    def evaluate(w: np.ndarray) -> Evaluation:
        i, j = np.arange(0.0, m), np.arange(1.0, w.size + 1)
        i[-1], j[0], j[-1] = 0, 0, 0
        matrix = np.outer(i, j)
        return matrix @ w - 1, tuple(matrix.T)

    return evaluate


def chebyquad(w: np.ndarray) -> Evaluation:
    """35: mean over j of T_i(x_j) minus the integral of T_i, shifted Chebyshev polynomials on [0, 1]."""
    n = w.size
    z = 2 * w - 1
    values, slopes = [np.ones_like(z), z], [np.zeros_like(z), 2 * np.ones_like(z)]
    for _ in range(2, n + 1):
        values.append(2 * z * values[-1] - values[-2])
        slopes.append(4 * values[-2] + 2 * z * slopes[-1] - slopes[-2])
    i = np.arange(1, n + 1)
    integral = np.where(i % 2 == 0, -1 / np.maximum(i**2 - 1, 1), 0.0)
    return np.array(values[1 : n + 1]).mean(axis=1) - integral, tuple(np.array(slopes[1 : n + 1]).T / n)
