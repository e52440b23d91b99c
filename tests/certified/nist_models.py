"""The model functions of the NIST StRD nonlinear regression problems, each with its analytic derivatives.

Each function maps parameters ``b`` (p,) and predictors ``x`` (n,) or (n, 2) to the model values (n,) and
the p derivative columns, in the precision of its arguments. Formulas: the header of each data file.
"""

from collections.abc import Callable, Sequence

import numpy as np

Value = tuple[np.ndarray, Sequence[np.ndarray]]
Model = Callable[[np.ndarray, np.ndarray], Value]


def misra1a(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 (1 - exp(-b2 x)). BoxBOD has the same form."""
    decay = np.exp(-b[1] * x)
    return b[0] * (1 - decay), (1 - decay, b[0] * x * decay)


def misra1b(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 (1 - (1 + b2 x / 2)^-2)."""
    base = 1 + b[1] * x / 2
    return b[0] * (1 - base**-2), (1 - base**-2, b[0] * x * base**-3)


def misra1c(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 (1 - (1 + 2 b2 x)^-1/2)."""
    base = 1 + 2 * b[1] * x
    root = 1 / np.sqrt(base)
    return b[0] * (1 - root), (1 - root, b[0] * x * root / base)


def misra1d(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 b2 x / (1 + b2 x)."""
    base = 1 + b[1] * x
    return b[0] * b[1] * x / base, (b[1] * x / base, b[0] * x / base**2)


def chwirut(b: np.ndarray, x: np.ndarray) -> Value:
    """y = exp(-b1 x) / (b2 + b3 x)."""
    line = b[1] + b[2] * x
    y = np.exp(-b[0] * x) / line
    return y, (-x * y, -y / line, -x * y / line)


def exponentials(b: np.ndarray, x: np.ndarray) -> Value:
    """Sum of three decays: y = b1 exp(-b2 x) + b3 exp(-b4 x) + b5 exp(-b6 x) (Lanczos)."""
    y, columns = 0 * x * b[0], []
    for amplitude, rate in zip(b[0::2], b[1::2], strict=True):
        decay = np.exp(-rate * x)
        y = y + amplitude * decay
        columns += [decay, -amplitude * x * decay]
    return y, columns


def gauss(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 exp(-b2 x) + b3 exp(-(x - b4)^2 / b5^2) + b6 exp(-(x - b7)^2 / b8^2)."""
    decay = np.exp(-b[1] * x)
    y, columns = b[0] * decay, [decay, -b[0] * x * decay]
    for height, center, width in (b[2:5], b[5:8]):
        z = (x - center) / width
        bell = np.exp(-(z**2))
        y = y + height * bell
        columns += [bell, 2 * height * bell * z / width, 2 * height * bell * z**2 / width]
    return y, columns


def danwood(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 x^b2."""
    power = x ** b[1]
    return b[0] * power, (power, b[0] * power * np.log(x))


def rational(degree: int) -> Model:
    """Ratio of two polynomials of one degree, the denominator with constant 1 (Kirby2, Hahn1, Thurber)."""

    def model(b: np.ndarray, x: np.ndarray) -> Value:
        powers = [x**k for k in range(degree + 1)]
        top = sum(c * power for c, power in zip(b[: degree + 1], powers, strict=True))
        bottom = 1 + sum(c * power for c, power in zip(b[degree + 1 :], powers[1:], strict=True))
        y = top / bottom
        return y, [power / bottom for power in powers] + [-y * power / bottom for power in powers[1:]]

    return model


def nelson(b: np.ndarray, x: np.ndarray) -> Value:
    """log y = b1 - b2 x1 exp(-b3 x2)."""
    x1, x2 = x[:, 0], x[:, 1]
    decay = x1 * np.exp(-b[2] * x2)
    return b[0] - b[1] * decay, (1 + 0 * decay, -decay, b[1] * x2 * decay)


def mgh17(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 + b2 exp(-b4 x) + b3 exp(-b5 x)."""
    first, second = np.exp(-b[3] * x), np.exp(-b[4] * x)
    columns = (1 + 0 * first, first, second, -b[1] * x * first, -b[2] * x * second)
    return b[0] + b[1] * first + b[2] * second, columns


def roszman1(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 - b2 x - arctan(b3 / (x - b4)) / pi."""
    pi = 4 * np.arctan(np.ones((), dtype=x.dtype))  # np.pi has the digits of float64 only
    u = x - b[3]
    norm = pi * (u**2 + b[2] ** 2)
    return b[0] - b[1] * x - np.arctan(b[2] / u) / pi, (1 + 0 * u, -x + 0 * u, -u / norm, -b[2] / norm)


def enso(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 + an annual cycle (b2, b3) + cycles of unknown period b4 (b5, b6) and b7 (b8, b9)."""
    turn = 8 * np.arctan(np.ones((), dtype=x.dtype)) * x  # 2 pi x
    year_cos, year_sin = np.cos(turn / 12), np.sin(turn / 12)
    y = b[0] + b[1] * year_cos + b[2] * year_sin
    columns = [1 + 0 * y, year_cos, year_sin]
    for period, a, c in (b[3:6], b[6:9]):
        cos, sin = np.cos(turn / period), np.sin(turn / period)
        y = y + a * cos + c * sin
        columns += [(a * sin - c * cos) * turn / period**2, cos, sin]
    return y, columns


def mgh09(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 (x^2 + b2 x) / (x^2 + b3 x + b4)."""
    top, bottom = x**2 + b[1] * x, x**2 + b[2] * x + b[3]
    y = b[0] * top / bottom
    return y, (top / bottom, b[0] * x / bottom, -y * x / bottom, -y / bottom)


def mgh10(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 exp(b2 / (x + b3))."""
    shifted = x + b[2]
    growth = np.exp(b[1] / shifted)
    y = b[0] * growth
    return y, (growth, y / shifted, -y * b[1] / shifted**2)


def eckerle4(b: np.ndarray, x: np.ndarray) -> Value:
    """y = (b1 / b2) exp(-((x - b3) / b2)^2 / 2)."""
    z = (x - b[2]) / b[1]
    bell = np.exp(-(z**2) / 2) / b[1]
    y = b[0] * bell
    return y, (bell, y * (z**2 - 1) / b[1], y * z / b[1])


def rat42(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 / (1 + exp(b2 - b3 x))."""
    growth = np.exp(b[1] - b[2] * x)
    share = 1 / (1 + growth)
    slope = b[0] * growth * share**2
    return b[0] * share, (share, -slope, x * slope)


def rat43(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 / (1 + exp(b2 - b3 x))^(1 / b4)."""
    growth = np.exp(b[1] - b[2] * x)
    power = (1 + growth) ** (-1 / b[3])
    y = b[0] * power
    slope = y * growth / (b[3] * (1 + growth))
    return y, (power, -slope, x * slope, y * np.log1p(growth) / b[3] ** 2)


def bennett5(b: np.ndarray, x: np.ndarray) -> Value:
    """y = b1 (b2 + x)^(-1 / b3)."""
    base = b[1] + x
    power = base ** (-1 / b[2])
    y = b[0] * power
    return y, (power, -y / (b[2] * base), y * np.log(base) / b[2] ** 2)


MODELS: dict[str, Model] = {
    "Misra1a": misra1a,
    "Chwirut2": chwirut,
    "Chwirut1": chwirut,
    "Lanczos3": exponentials,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "DanWood": danwood,
    "Misra1b": misra1b,
    "Kirby2": rational(2),
    "Hahn1": rational(3),
    "Nelson": nelson,
    "MGH17": mgh17,
    "Lanczos1": exponentials,
    "Lanczos2": exponentials,
    "Gauss3": gauss,
    "Misra1c": misra1c,
    "Misra1d": misra1d,
    "Roszman1": roszman1,
    "ENSO": enso,
    "MGH09": mgh09,
    "Thurber": rational(3),
    "BoxBOD": misra1a,
    "Rat42": rat42,
    "MGH10": mgh10,
    "Eckerle4": eckerle4,
    "Rat43": rat43,
    "Bennett5": bennett5,
}
"""In the order of NIST's page: lower, average, higher difficulty."""
