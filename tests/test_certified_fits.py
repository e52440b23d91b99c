"""Fits of the certified problems: `least_squares` with its default options, the same for every problem."""

from functools import cache

import numpy as np
import pytest

from certified import mgh, nist
from certified.problem import MghProblem, log_relative_error
from marquardt import least_squares

RUNS = [(name, start) for name in nist.NAMES for start in (0, 1)]
MGH = mgh.load_all()
EXTENDED = np.finfo(np.longdouble).eps < 1e-18
LOCAL = {"Freudenstein-Roth", "Trigonometric"}
"""Where the standard start leads to a local minimum; MINPACK ends at the same ones."""


@cache
def digits(name: str, start: int, differences: bool = False) -> tuple[float, float, bool]:
    """Correct digits of the parameters and of their standard errors, and success."""
    problem = nist.load(name)
    jacobian = None if differences else problem.jacobian
    fit = least_squares(problem.residual, problem.starts[start], jacobian)
    parameters = log_relative_error(fit.w, problem.certified)
    return parameters, log_relative_error(fit.standard_errors(), problem.certified_sd), fit.success


@pytest.mark.parametrize(("name", "start"), RUNS)
def test_nist_parameters_and_deviations_have_six_digits(name: str, start: int):
    parameters, deviations, success = digits(name, start)
    assert success
    assert parameters >= 6
    if EXTENDED or name != "Lanczos1":  # its residuals of 1e-13 have three digits in float64
        assert deviations >= 6


def test_nist_parameters_have_more_digits_on_average_than_the_best_published_solver():
    """Ceres publishes an average of 9.4 over the same 54 runs."""
    assert np.mean([digits(*run)[0] for run in RUNS]) >= 10.2


@pytest.mark.parametrize(("name", "start"), RUNS)
def test_nist_by_finite_differences(name: str, start: int):
    parameters, deviations, success = digits(name, start, differences=True)
    assert success
    assert parameters >= 6
    if EXTENDED or name != "Lanczos1":
        assert deviations >= 6


def test_residual_sd_and_sum_of_squares_are_the_certified_ones():
    problem = nist.load("Thurber")
    fit = least_squares(problem.residual, problem.start1, problem.jacobian)
    assert log_relative_error(fit.residual_sd, problem.certified_residual_sd) >= 10
    assert log_relative_error(2 * fit.cost, problem.certified_sum_of_squares) >= 10


@pytest.mark.parametrize("problem", MGH, ids=lambda problem: problem.name)
def test_mgh_problems_end_at_a_published_minimum(problem: MghProblem):
    fit = least_squares(problem.residual, problem.start, problem.jacobian)
    minimum = problem.reached(2 * fit.cost)
    assert fit.success
    assert minimum is not None
    assert (minimum.label != "global") == (problem.name in LOCAL)
    if minimum.sum_of_squares == 0:
        assert 2 * fit.cost <= 1e-25


@pytest.mark.parametrize("name", ["Misra1a", "Hahn1", "Rat43"])
def test_the_path_does_not_depend_on_the_units_of_the_parameters(name: str):
    problem = nist.load(name)
    units = 10.0 ** (np.arange(problem.n_params) % 3 * 4 - 4)  # 1e-4, 1, 1e4, 1e-4, ...
    plain = least_squares(problem.residual, problem.start2, problem.jacobian)
    scaled = least_squares(
        lambda w: problem.residual(w * units),
        problem.start2 / units,
        lambda w: problem.jacobian(w * units) * units,
    )
    np.testing.assert_allclose(scaled.w * units, plain.w, rtol=1e-8)
    assert abs(scaled.result.n_iter - plain.result.n_iter) <= 3
