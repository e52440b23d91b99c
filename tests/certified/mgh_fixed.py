"""More-Garbow-Hillstrom problems 1 to 19: those of fixed size. Residuals and analytic Jacobian columns.

Each function maps parameters ``w`` (p,) to ``(residuals, columns)``, and accepts complex ``w`` so that its
columns can be checked by the complex step. Formulas, data and numbering: Moré, Garbow, Hillstrom,
"Testing unconstrained optimization software", ACM TOMS 7 (1981) 17-41.
"""

import numpy as np

from certified.problem import Evaluation

ROOT_10 = np.sqrt(10.0)
BARD_Y = np.array([14, 18, 22, 25, 29, 32, 35, 39, 37, 58, 73, 96, 134, 210, 439]) / 100
GAUSSIAN_Y = np.array([9, 44, 175, 540, 1295, 2420, 3521, 3989, 3521, 2420, 1295, 540, 175, 44, 9]) / 1e4
MEYER_Y = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)
KOWALIK_Y = np.array([1957, 1947, 1735, 1600, 844, 627, 456, 342, 323, 235, 246]) / 1e4
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
# fmt: off
OSBORNE1_Y = np.array([
    844, 908, 932, 936, 925, 908, 881, 850, 818, 784, 751, 718, 685, 658, 628, 603, 580, 558, 538, 522,
    506, 490, 478, 467, 457, 448, 438, 431, 424, 420, 414, 411, 406,
]) / 1e3
OSBORNE2_Y = np.array([
    1366, 1191, 1112, 1013, 991, 885, 831, 847, 786, 725, 746, 679, 608, 655, 616, 606, 602, 626, 651,
    724, 649, 649, 694, 644, 624, 661, 612, 558, 533, 495, 500, 423, 395, 375, 372, 391, 396, 405, 428,
    429, 523, 562, 607, 653, 672, 708, 633, 668, 645, 632, 591, 559, 597, 625, 739, 710, 729, 720, 636,
    581, 428, 292, 162, 98, 54,
]) / 1e3
# fmt: on


def rows(*table: object) -> np.ndarray:
    """Stack scalars (or rows of scalars) of mixed real and complex type into one array."""
    return np.array(table)


def rosenbrock(w: np.ndarray) -> Evaluation:
    """1: 10 (x2 - x1²), 1 - x1."""
    a, b = w
    return rows(10 * (b - a**2), 1 - a), (rows(-20 * a, -1), rows(10, 0))


def freudenstein_roth(w: np.ndarray) -> Evaluation:
    """2: -13 + x1 + ((5 - x2) x2 - 2) x2, -29 + x1 + ((x2 + 1) x2 - 14) x2."""
    a, b = w
    r = rows(-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b)
    return r, (rows(1, 1), rows(10 * b - 3 * b**2 - 2, 3 * b**2 + 2 * b - 14))


def powell_badly_scaled(w: np.ndarray) -> Evaluation:
    """3: 1e4 x1 x2 - 1, exp(-x1) + exp(-x2) - 1.0001."""
    a, b = w
    r = rows(1e4 * a * b - 1, np.exp(-a) + np.exp(-b) - 1.0001)
    return r, (rows(1e4 * b, -np.exp(-a)), rows(1e4 * a, -np.exp(-b)))


def brown_badly_scaled(w: np.ndarray) -> Evaluation:
    """4: x1 - 1e6, x2 - 2e-6, x1 x2 - 2."""
    a, b = w
    return rows(a - 1e6, b - 2e-6, a * b - 2), (rows(1, 0, b), rows(0, 1, a))


def beale(w: np.ndarray) -> Evaluation:
    """5: y_i - x1 (1 - x2^i)."""
    i = np.arange(1, 4)
    r = np.array([1.5, 2.25, 2.625]) - w[0] * (1 - w[1] ** i)
    return r, (-(1 - w[1] ** i), w[0] * i * w[1] ** (i - 1))


def jennrich_sampson(w: np.ndarray) -> Evaluation:
    """6: 2 + 2 i - (exp(i x1) + exp(i x2)), i = 1 ... 10."""
    i = np.arange(1.0, 11)
    return 2 + 2 * i - np.exp(i * w[0]) - np.exp(i * w[1]), (-i * np.exp(i * w[0]), -i * np.exp(i * w[1]))


def helical_valley(w: np.ndarray) -> Evaluation:
    """7: 10 (x3 - 10 theta(x1, x2)), 10 (radius - 1), x3; theta is the angle in turns, in (-1/4, 3/4)."""
    a, b, c = w
    turn = np.arctan(b / a) / (2 * np.pi) + (0.5 if a.real < 0 else 0.0)
    square = a**2 + b**2
    radius = np.sqrt(square)
    r = rows(10 * (c - 10 * turn), 10 * (radius - 1), c)
    spin = 50 / (np.pi * square)
    return r, (rows(spin * b, 10 * a / radius, 0), rows(-spin * a, 10 * b / radius, 0), rows(10, 0, 1))


def bard(w: np.ndarray) -> Evaluation:
    """8: y_i - (x1 + u_i / (v_i x2 + w_i x3))."""
    u = np.arange(1.0, 16)
    v, least = 16 - u, np.minimum(u, 16 - u)
    bottom = v * w[1] + least * w[2]
    return BARD_Y - w[0] - u / bottom, (-1 + 0 * bottom, u * v / bottom**2, u * least / bottom**2)


def gaussian(w: np.ndarray) -> Evaluation:
    """9: x1 exp(-x2 (t - x3)² / 2) - y."""
    shift = (8 - np.arange(1.0, 16)) / 2 - w[2]
    bell = np.exp(-w[1] * shift**2 / 2)
    return w[0] * bell - GAUSSIAN_Y, (bell, -w[0] * bell * shift**2 / 2, w[0] * bell * w[1] * shift)


def meyer(w: np.ndarray) -> Evaluation:
    """10: x1 exp(x2 / (t + x3)) - y, t = 50, 55 ... 125."""
    shifted = 45 + 5 * np.arange(1.0, 17) + w[2]
    growth = np.exp(w[1] / shifted)
    return w[0] * growth - MEYER_Y, (
        growth,
        w[0] * growth / shifted,
        -w[0] * growth * w[1] / shifted**2,
    )


def gulf(w: np.ndarray) -> Evaluation:
    """11: exp(-|y - x2|^x3 / x1) - t, y = 25 + (-50 ln t)^(2/3), t = i / 100, 99 terms.

    The paper prints ``|y m i x2|``: the "mi" is a minus sign, or else (50, 25, 1.5) gives no zero.
    """
    t = np.arange(1, 100) / 100
    gap = 25 + (-50 * np.log(t)) ** (2 / 3) - w[1]
    distance = np.where(gap.real < 0, -gap, gap)  # an absolute value that complex steps pass through
    power = distance ** w[2]
    value = np.exp(-power / w[0])
    slope = value * power / w[0]
    return value - t, (slope / w[0], slope * w[2] / gap, -slope * np.log(distance))


def box_3d(w: np.ndarray) -> Evaluation:
    """12: exp(-t x1) - exp(-t x2) - x3 (exp(-t) - exp(-10 t)), t = i / 10, 10 terms."""
    t = np.arange(1, 11) / 10
    first, second, target = np.exp(-t * w[0]), np.exp(-t * w[1]), np.exp(-t) - np.exp(-10 * t)
    return first - second - w[2] * target, (-t * first, t * second, -target)


def powell_singular(w: np.ndarray) -> Evaluation:
    """13: x1 + 10 x2, √5 (x3 - x4), (x2 - 2 x3)², √10 (x1 - x4)²: a singular Jacobian at the solution."""
    a, b, c, d = w
    r = rows(a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, ROOT_10 * (a - d) ** 2)
    inner, outer = 2 * (b - 2 * c), 2 * ROOT_10 * (a - d)
    return r, (
        rows(1, 0, 0, outer),
        rows(10, 0, inner, 0),
        rows(0, np.sqrt(5), -2 * inner, 0),
        rows(0, -np.sqrt(5), 0, -outer),
    )


def wood(w: np.ndarray) -> Evaluation:
    """14: 10 (x2 - x1²), 1 - x1, √90 (x4 - x3²), 1 - x3, √10 (x2 + x4 - 2), (x2 - x4) / √10."""
    a, b, c, d = w
    root_90 = np.sqrt(90.0)
    r = rows(10 * (b - a**2), 1 - a, root_90 * (d - c**2), 1 - c, ROOT_10 * (b + d - 2), (b - d) / ROOT_10)
    return r, (
        rows(-20 * a, -1, 0, 0, 0, 0),
        rows(10, 0, 0, 0, ROOT_10, 1 / ROOT_10),
        rows(0, 0, -2 * root_90 * c, -1, 0, 0),
        rows(0, 0, root_90, 0, ROOT_10, -1 / ROOT_10),
    )


def kowalik_osborne(w: np.ndarray) -> Evaluation:
    """15: y - x1 (u² + u x2) / (u² + u x3 + x4)."""
    u = KOWALIK_U
    top, bottom = u**2 + u * w[1], u**2 + u * w[2] + w[3]
    y = w[0] * top / bottom
    return KOWALIK_Y - y, (-top / bottom, -w[0] * u / bottom, y * u / bottom, y / bottom)


def brown_dennis(w: np.ndarray) -> Evaluation:
    """16: (x1 + t x2 - exp t)² + (x3 + x4 sin t - cos t)², t = i / 5, 20 terms."""
    t = np.arange(1, 21) / 5
    line, wave = w[0] + t * w[1] - np.exp(t), w[2] + w[3] * np.sin(t) - np.cos(t)
    return line**2 + wave**2, (2 * line, 2 * line * t, 2 * wave, 2 * wave * np.sin(t))


def osborne_1(w: np.ndarray) -> Evaluation:
    """17: y - (x1 + x2 exp(-t x4) + x3 exp(-t x5)), t = 0, 10 ... 320."""
    t = 10 * np.arange(33.0)
    first, second = np.exp(-t * w[3]), np.exp(-t * w[4])
    r = OSBORNE1_Y - w[0] - w[1] * first - w[2] * second
    return r, (-1 + 0 * first, -first, -second, w[1] * t * first, w[2] * t * second)


def biggs_exp6(w: np.ndarray) -> Evaluation:
    """18: x3 exp(-t x1) - x4 exp(-t x2) + x6 exp(-t x5) - y, t = i / 10, 13 terms."""
    t = np.arange(1, 14) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    e1, e2, e5 = np.exp(-t * w[0]), np.exp(-t * w[1]), np.exp(-t * w[4])
    r = w[2] * e1 - w[3] * e2 + w[5] * e5 - y
    return r, (-t * w[2] * e1, t * w[3] * e2, e1, -e2, -t * w[5] * e5, e5)


def osborne_2(w: np.ndarray) -> Evaluation:
    """19: y - (x1 exp(-t x5) + three bells of height x2..x4, sharpness x6..x8, center x9..x11)."""
    t = np.arange(65) / 10
    decay = np.exp(-t * w[4])
    shift = t - w[8:11, None]
    bells = np.exp(-(shift**2) * w[5:8, None])
    scaled = w[1:4, None] * bells
    r = OSBORNE2_Y - w[0] * decay - scaled.sum(axis=0)
    sharpness = scaled * shift**2
    center = -2 * scaled * shift * w[5:8, None]
    return r, (-decay, *-bells, w[0] * t * decay, *sharpness, *center)
