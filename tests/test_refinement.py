"""The Gauss-Newton refinement after convergence: more digits where they can be had, no harm where not."""

from dataclasses import replace

import numpy as np
import pytest

from certified import nist
from certified.problem import log_relative_error
from marquardt import Status, Stopping, least_squares
from marquardt.jacobian import DenseJacobian
from marquardt.refinement import Refinement
from marquardt.residual_problem import ResidualProblem


def fit_enso(**options):
    problem = nist.load("ENSO")
    return problem, least_squares(problem.residual, problem.start1, problem.jacobian, **options)


def test_refinement_adds_the_digits_that_the_cost_cannot_see():
    problem, plain = fit_enso(refinement=False)
    _, refined = fit_enso()
    gained = log_relative_error(refined.w, problem.certified) - log_relative_error(plain.w, problem.certified)
    assert gained >= 2
    assert refined.cost <= plain.cost * (1 + 1e-13)
    assert refined.result.n_jacobians > plain.result.n_jacobians
    assert refined.cost == 0.5 * float(refined.residual @ refined.residual)
    np.testing.assert_array_equal(refined.w, refined.result.w)


def test_options_of_the_refinement_are_passed_on():
    _, plain = fit_enso(refinement=False)
    _, one = fit_enso(refinement=Refinement(max_steps=1))
    assert one.result.n_jacobians == plain.result.n_jacobians + 1


def test_a_run_that_hit_a_limit_is_not_refined():
    _, fit = fit_enso(stopping=Stopping(max_iter=2))
    assert fit.status is Status.MAX_ITER
    assert fit.result.n_jacobians == 3


@pytest.mark.parametrize(
    "distance", [1e-3, 1e-9]
)  # the cost tells of the first, only the offset of the second
def test_a_step_away_from_the_minimum_is_dropped(distance: float):
    """With residuals this large Gauss-Newton diverges from the minimum at 0: curvature 9.2, and JᵀJ = 2."""
    problem = ResidualProblem(
        lambda w: [w[0] + 3.0, -1.2 * w[0] ** 2 + w[0] - 3.0], 1, lambda w: [[1.0], [1.0 - 2.4 * w[0]]]
    )
    at = problem.linearize(np.array([distance]))
    refined, n_jacobians = Refinement().run(problem, at)
    assert refined is at
    assert n_jacobians == 1


def test_a_step_to_a_point_without_value_is_dropped():
    problem = ResidualProblem(lambda w: [np.nan if w[0] < 1.0 else w[0], 1.0], 1, lambda w: [[1.0], [0.0]])
    at = problem.linearize(np.array([1.5]))
    assert Refinement().run(problem, at)[0] is at


def test_a_rank_deficient_jacobian_takes_the_shortest_step():
    problem = ResidualProblem(lambda w: [w[0] + w[1] - 2.0, 0.1], 2, lambda w: [[1.0, 1.0], [0.0, 0.0]])
    at, _ = Refinement().run(problem, problem.linearize(np.zeros(2)))
    np.testing.assert_allclose(at.w, [1.0, 1.0], rtol=1e-14)


def test_a_jacobian_of_zeros_ends_at_once():
    problem = ResidualProblem(lambda w: [1.0, 2.0], 1, lambda w: [[0.0], [0.0]])
    at = problem.linearize(np.array([1.0]))
    assert Refinement().run(problem, at) == (at, 0)


def test_an_interrupt_during_the_refinement_keeps_the_fit():
    problem = nist.load("ENSO")
    calls = 0

    def interrupted(w):
        nonlocal calls
        calls += 1
        if calls > limit:
            raise KeyboardInterrupt
        return problem.jacobian(w)

    limit = 10**6
    plain = least_squares(problem.residual, problem.start1, interrupted, refinement=False)
    calls, limit = 0, plain.result.n_jacobians + 1
    fit = least_squares(problem.residual, problem.start1, interrupted)
    assert fit.success
    np.testing.assert_array_equal(fit.w, plain.w)


def test_curvature_below_the_rounding_of_the_parameters_is_no_curvature():
    """At the solution of Lanczos1 the second difference is noise larger than the residual itself."""
    problem = ResidualProblem(lambda w: [np.exp(w[0]) - 1.0, w[0]], 1, lambda w: [[np.exp(w[0])], [1.0]])
    at = problem.linearize(np.array([1.0]))
    assert problem.second_derivative(at, np.array([1e-9])) is None
    second = problem.second_derivative(at, np.array([1e-2]))
    np.testing.assert_allclose(second, [1e-4 * np.exp(1.0), 0.0], rtol=1e-3, atol=1e-12)
    shrunk = replace(at, jacobian=DenseJacobian(np.zeros((2, 1))))
    assert problem.second_derivative(shrunk, np.array([1e-9])) is not None


@pytest.mark.parametrize("options", [{"max_steps": -1}, {"contraction": 1.0}, {"tolerance": -1.0}])
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Refinement(**options)
