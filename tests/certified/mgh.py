"""The 35 problems of Moré, Garbow and Hillstrom (1981) at their standard starts, with their published minima.

Values are plain sums of squares (no 1/2) with the six digits of the paper; where the paper gives several, the
first is the global one and the others are known local minima, named here.
"""

import numpy as np

from certified import mgh_fixed as fixed
from certified import mgh_variable as variable
from certified.problem import MghProblem, Minimum

FIXED = (
    MghProblem(1, "Rosenbrock", fixed.rosenbrock, np.array([-1.2, 1]), (Minimum(0, w=(1, 1)),)),
    MghProblem(
        2,
        "Freudenstein-Roth",
        fixed.freudenstein_roth,
        np.array([0.5, -2]),
        (Minimum(0, w=(5, 4)), Minimum(48.9842, "local (11.41, -0.8968)", (11.412779, -0.89680525))),
    ),
    MghProblem(
        3,
        "Powell badly scaled",
        fixed.powell_badly_scaled,
        np.array([0.0, 1]),
        (Minimum(0, w=(1.0981593296997054e-5, 9.106146739867319)),),
    ),
    MghProblem(
        4, "Brown badly scaled", fixed.brown_badly_scaled, np.array([1.0, 1]), (Minimum(0, w=(1e6, 2e-6)),)
    ),
    MghProblem(5, "Beale", fixed.beale, np.array([1.0, 1]), (Minimum(0, w=(3, 0.5)),)),
    MghProblem(
        6,
        "Jennrich-Sampson",
        fixed.jennrich_sampson,
        np.array([0.3, 0.4]),
        (Minimum(124.362, w=(0.257825, 0.257825)),),
    ),
    MghProblem(7, "Helical valley", fixed.helical_valley, np.array([-1.0, 0, 0]), (Minimum(0, w=(1, 0, 0)),)),
    MghProblem(
        8,
        "Bard",
        fixed.bard,
        np.array([1.0, 1, 1]),
        (
            Minimum(8.214877e-3, w=(0.08241056, 1.133036, 2.343695)),
            Minimum(17.4286, "local at (0.8406, -inf, -inf)"),
        ),
    ),
    MghProblem(
        9,
        "Gaussian",
        fixed.gaussian,
        np.array([0.4, 1, 0]),
        (Minimum(1.12793e-8, w=(0.3989561, 1.0000191, 0)),),
    ),
    MghProblem(
        10,
        "Meyer",
        fixed.meyer,
        np.array([0.02, 4000, 250]),
        (Minimum(87.9458, w=(5.6096364710e-3, 6181.3463463, 345.22363462)),),
    ),
    MghProblem(11, "Gulf research", fixed.gulf, np.array([5, 2.5, 0.15]), (Minimum(0, w=(50, 25, 1.5)),)),
    MghProblem(12, "Box 3-d", fixed.box_3d, np.array([0.0, 10, 20]), (Minimum(0, w=(1, 10, 1)),)),
    MghProblem(
        13,
        "Powell singular",
        fixed.powell_singular,
        np.array([3.0, -1, 0, 1]),
        (Minimum(0, w=(0, 0, 0, 0)),),
    ),
    MghProblem(14, "Wood", fixed.wood, np.array([-3.0, -1, -3, -1]), (Minimum(0, w=(1, 1, 1, 1)),)),
    MghProblem(
        15,
        "Kowalik-Osborne",
        fixed.kowalik_osborne,
        np.array([0.25, 0.39, 0.415, 0.39]),
        (
            Minimum(3.07505e-4, w=(0.1928069, 0.1912823, 0.1230565, 0.1360623)),
            Minimum(1.02734e-3, "local at (inf, -14.07, -inf, -inf)"),
        ),
    ),
    MghProblem(
        16,
        "Brown-Dennis",
        fixed.brown_dennis,
        np.array([25.0, 5, -5, -1]),
        (Minimum(85822.2, w=(-11.59444, 13.20363, -0.4034395, 0.2367788)),),
    ),
    MghProblem(
        17,
        "Osborne 1",
        fixed.osborne_1,
        np.array([0.5, 1.5, -1, 0.01, 0.02]),
        (
            Minimum(
                5.464895e-5, w=(0.37541005211, 1.9358469127, -1.4646871366, 0.012867534640, 0.022122699662)
            ),
        ),
    ),
    MghProblem(
        18,
        "Biggs EXP6",
        fixed.biggs_exp6,
        np.array([1.0, 2, 1, 1, 1, 1]),
        (Minimum(0, w=(1, 10, 1, 5, 4, 3)), Minimum(5.65565e-3, "local, the value in the paper")),
    ),
    MghProblem(
        19,
        "Osborne 2",
        fixed.osborne_2,
        np.array([1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5]),
        (Minimum(4.013774e-2),),
    ),
)


def _brown_almost_linear_root(n: int) -> tuple[float, ...]:
    """The solution (a, ..., a, a^(1-n)) of problem 27 with 0 < a < 1: n a^n - (n + 1) a^(n-1) + 1 = 0."""
    roots = np.roots([n, -(n + 1), *[0] * (n - 2), 1])
    a = min(root.real for root in roots if abs(root.imag) < 1e-12 and 0 < root.real < 1 - 1e-6)
    return (*[a] * (n - 1), a ** (1 - n))


def _variable_size(n: int = 10) -> list[MghProblem]:
    """Problems 20 to 35, at the sizes of the paper's table of minima (n = 10 where it gives none)."""
    j = np.arange(1.0, n + 1)
    t = j / (n + 1)
    m = 2 * n
    zero = (Minimum(0),)
    ones = (Minimum(0, w=(1,) * n),)
    watson = {6: 2.28767e-3, 9: 1.39976e-6, 12: 4.72238e-10}
    penalty_1, penalty_2 = {4: 2.24997e-5, 10: 7.08765e-5}, {4: 9.37629e-6, 10: 2.93660e-4}
    chebyquad = {8: 3.51687e-3, 9: 0.0, 10: 6.50395e-3}
    brown = (Minimum(0, w=_brown_almost_linear_root(n)), Minimum(1, "local (0, ..., 0, n + 1)"))
    trigonometric = (Minimum(0, w=(0,) * n), Minimum(2.79506e-5, "local, the one MINPACK reports"))
    rank_1 = (Minimum(m * (m - 1) / (2 * (2 * m + 1))),)
    rank_1_zeros = (Minimum((m**2 + 3 * m - 6) / (2 * (2 * m - 3))),)
    powell = np.tile([3.0, -1, 0, 1], 3)
    return [
        *(
            MghProblem(20, f"Watson {k}", variable.watson, np.zeros(k), (Minimum(f),))
            for k, f in watson.items()
        ),
        MghProblem(21, "Extended Rosenbrock", variable.extended_rosenbrock, np.tile([-1.2, 1], n // 2), ones),
        MghProblem(22, "Extended Powell", variable.extended_powell, powell, (Minimum(0, w=(0,) * 12),)),
        *(
            MghProblem(23, f"Penalty I {k}", variable.penalty_1, np.arange(1.0, k + 1), (Minimum(f),))
            for k, f in penalty_1.items()
        ),
        *(
            MghProblem(24, f"Penalty II {k}", variable.penalty_2, np.full(k, 0.5), (Minimum(f),))
            for k, f in penalty_2.items()
        ),
        MghProblem(25, "Variably dimensioned", variable.variably_dimensioned, 1 - j / n, ones),
        MghProblem(26, "Trigonometric", variable.trigonometric, np.full(n, 1 / n), trigonometric),
        MghProblem(27, "Brown almost-linear", variable.brown_almost_linear, np.full(n, 0.5), brown),
        MghProblem(28, "Discrete boundary value", variable.discrete_boundary_value, t * (t - 1), zero),
        MghProblem(29, "Discrete integral", variable.discrete_integral, t * (t - 1), zero),
        MghProblem(30, "Broyden tridiagonal", variable.broyden_tridiagonal, np.full(n, -1.0), zero),
        MghProblem(31, "Broyden banded", variable.broyden_banded, np.full(n, -1.0), zero),
        MghProblem(
            32, "Linear full rank", variable.linear_full_rank(m), np.ones(n), (Minimum(m - n, w=(-1,) * n),)
        ),
        MghProblem(33, "Linear rank 1", variable.linear_rank_1(m), np.ones(n), rank_1),
        MghProblem(34, "Linear rank 1 zeros", variable.linear_rank_1_zeros(m), np.ones(n), rank_1_zeros),
        *(
            MghProblem(35, f"Chebyquad {k}", variable.chebyquad, np.arange(1, k + 1) / (k + 1), (Minimum(f),))
            for k, f in chebyquad.items()
        ),
    ]


def load_all() -> list[MghProblem]:
    """All 35 problems; those with several published sizes (20, 23, 24, 35) at each of them."""
    return [*FIXED, *_variable_size()]
