"""The certified problems themselves, before any fit: data, formulas, derivatives, published answers."""

import numpy as np
import pytest

from certified import mgh, nist
from certified.problem import CertifiedProblem, MghProblem, log_relative_error

NIST = nist.load_all()
MGH = mgh.load_all()
EXTENDED = np.finfo(np.longdouble).eps < 1e-18


def by_name(problem):
    return problem.name


def complex_step_jacobian(evaluate, w, precision):
    """Derivatives exact to rounding: the imaginary part of ``r(w + 1e-30 i e_k)``."""
    field = np.result_type(precision, np.complex64)
    columns = []
    for k in range(w.size):
        z = w.astype(field)
        z[k] += precision(1e-30) * 1j
        columns.append(evaluate(z)[0].imag / precision(1e-30))
    return np.stack(columns, axis=1).astype(float)


def assert_columns_close(actual, expected):
    """Agreement to rounding, column by column: the scales of the parameters differ by up to 1e12."""
    scale = np.abs(expected).max(axis=0)
    scale[scale == 0] = 1
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=5e-14)


def test_the_27_problems_of_nist_are_there():
    assert len(NIST) == 27
    assert [sum(p.difficulty == level for p in NIST) for level in ("lower", "average", "higher")] == [
        8,
        11,
        8,
    ]
    assert sum(p.n_params for p in NIST) == 120


def test_a_value_that_is_misprinted_in_some_copies():
    assert nist.load("Roszman1").certified[0] == 2.0196866396e-01


@pytest.mark.parametrize("problem", NIST, ids=by_name)
def test_certified_parameters_give_the_certified_sum_of_squares(problem: CertifiedProblem):
    jacobian = problem.jacobian(problem.certified)
    half_unit = 10.0 ** (np.floor(np.log10(np.abs(problem.certified))) - 10) / 2  # of the eleventh digit
    from_rounding = np.sum((np.abs(jacobian) @ half_unit) ** 2)
    sum_of_squares = np.sum(problem.residual(problem.certified) ** 2)
    assert abs(sum_of_squares - problem.certified_sum_of_squares) <= (
        2e-10 * problem.certified_sum_of_squares + from_rounding
    )
    freedom = problem.n_residuals - problem.n_params
    sd = np.sqrt(problem.certified_sum_of_squares / freedom)
    assert log_relative_error(sd, problem.certified_residual_sd) >= 10


@pytest.mark.skipif(not EXTENDED, reason="needs a long double wider than double")
def test_lanczos1_has_its_certified_sum_of_squares_once_its_parameters_have_all_digits():
    """Eleven digits are too few for a residual of 1e-13: two extended Gauss-Newton steps add them."""
    problem = nist.load("Lanczos1")
    w = problem.certified.astype(np.longdouble)
    for _ in range(2):
        residual, _ = problem.evaluate(w)
        w = w - np.linalg.pinv(problem.jacobian(w), rcond=1e-14) @ residual
    residual, _ = problem.evaluate(w)
    assert log_relative_error(float(residual @ residual), problem.certified_sum_of_squares) >= 6


@pytest.mark.parametrize("problem", NIST, ids=by_name)
def test_certified_deviations_follow_from_the_analytic_jacobian(problem: CertifiedProblem):
    jacobian = problem.jacobian(problem.certified)
    size = np.linalg.norm(jacobian, axis=0)
    triangle = np.linalg.qr(jacobian / size, mode="r")
    spread = np.linalg.norm(np.linalg.inv(triangle), axis=1) / size
    assert log_relative_error(spread * problem.certified_residual_sd, problem.certified_sd) >= 8


@pytest.mark.parametrize("problem", NIST, ids=by_name)
def test_nist_jacobians_agree_with_the_complex_step(problem: CertifiedProblem):
    for w in (*problem.starts, problem.certified):
        expected = complex_step_jacobian(problem.evaluate, w, problem.precision)
        assert_columns_close(problem.jacobian(w), expected)


def test_the_35_problems_of_more_garbow_hillstrom_are_there():
    assert sorted({p.number for p in MGH}) == list(range(1, 36))


@pytest.mark.parametrize("problem", MGH, ids=by_name)
def test_mgh_jacobians_agree_with_the_complex_step(problem: MghProblem):
    points = [problem.start, 1.3 * problem.start + 0.01]  # the second is off every symmetry of the first
    points += [np.array(m.w, dtype=float) for m in problem.minima if m.w is not None]
    for w in points:
        expected = complex_step_jacobian(problem.evaluate, w, np.float64)
        assert_columns_close(problem.jacobian(w), expected)


MINIMA = [(p, m) for p in MGH for m in p.minima if m.w is not None]


@pytest.mark.parametrize(("problem", "minimum"), MINIMA, ids=[f"{p.name}: {m.label}" for p, m in MINIMA])
def test_known_minimizers_give_the_published_minima(problem: MghProblem, minimum):
    w = np.array(minimum.w, dtype=float)
    residual, jacobian = problem.residual(w), problem.jacobian(w)
    assert problem.reached(residual @ residual) is minimum
    # Published minimizers have four digits or more: hence a loose bound on the angle to the tangents.
    if minimum.sum_of_squares > 0:
        slope = np.abs(jacobian.T @ residual)
        assert np.all(slope <= 2e-2 * np.linalg.norm(jacobian, axis=0) * np.linalg.norm(residual))


def test_a_sum_of_squares_that_is_no_published_minimum_is_not_taken_for_one():
    rosenbrock, freudenstein = MGH[:2]
    assert rosenbrock.reached(1e-9) is None
    assert freudenstein.reached(48.99) is None
    assert freudenstein.reached(48.98425).label.startswith("local")


def test_log_relative_error_counts_the_digits_of_the_worst_entry():
    assert log_relative_error([1.0, 2.0002], [1.0, 2.0]) == 4.0
    assert log_relative_error(3.0, 3.0) == 11.0
    assert log_relative_error(-5.0, 5.0) == 0.0
    assert log_relative_error(np.nan, 5.0) == 0.0
