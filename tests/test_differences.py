"""Finite differences against exact derivatives: digits, edges of domains, sizes of parameters."""

import numpy as np
import pytest

from exact_derivatives import complex_step_jacobian
from marquardt.differences import CentralDifferences, ForwardDifferences

T = np.linspace(0.1, 1, 12)
KINDS = {"forward": (ForwardDifferences(), 1e-6), "central": (CentralDifferences(), 1e-9)}
kinds = pytest.mark.parametrize(("differences", "tolerance"), KINDS.values(), ids=KINDS)

MODELS = {
    "decay": (lambda w: w[0] * np.exp(-w[1] * T) + w[2], [2.0, 1.5, 0.3]),
    "rational": (lambda w: (w[0] + w[1] * T) / (1 + w[2] * T**2), [1.0, -2.0, 3.0]),
    "units": (lambda w: w[0] * 1e9 * np.exp(-w[1] * 1e-6 * T), [3e-9, 2e6]),
    "zeros": (lambda w: w[0] * T + np.sin(w[1] * T) + w[2] * w[0], [2.0, 0.0, 0.0]),
    "all zeros": (lambda w: np.exp(w[0] * T) + w[1] * T, [0.0, 0.0]),
    "one parameter": (lambda w: w[0] ** 2 * T, [1e5]),
}


def relative_errors(differences, model, w):
    """Per column, relative to its largest entry."""
    w = np.array(w)
    exact = complex_step_jacobian(model, w)
    got = differences.jacobian(model, w, model(w))
    return np.abs(got - exact).max(axis=0) / np.abs(exact).max(axis=0)


@kinds
@pytest.mark.parametrize("name", MODELS)
def test_digits(differences, tolerance, name):
    assert (relative_errors(differences, *MODELS[name]) < tolerance).all()


@kinds
@pytest.mark.parametrize("tiny", [1e-5, 1e-9, 1e-12, 1e-20, 1e-100, 1e-310, -1e-12])
def test_a_parameter_that_happens_to_be_near_zero(differences, tolerance, tiny):
    """A step relative to it would be lost in the rounding of the residual, and the parameter with it."""
    errors = relative_errors(
        differences, lambda w: w[0] * np.exp(-3 * T) + w[1] * np.sin(5 * T) - 1, [2.0, tiny]
    )
    assert (errors < 100 * tolerance).all()


@kinds
@pytest.mark.parametrize("small", [1e-4, 1e-8, 1e-12])
def test_a_parameter_that_is_small_by_its_units(differences, tolerance, small):
    """Here the step must be relative: one of size ∛ε would be far outside."""
    errors = relative_errors(differences, lambda w: w[0] * np.exp(-w[1] / small * T), [2.0, small])
    assert (errors < tolerance).all()


@kinds
def test_a_parameter_without_influence_has_a_column_of_zeros(differences, tolerance):
    w = np.array([2.0, 1e-9, 5.0])
    J = differences.jacobian(lambda w: w[0] * T, w, 2.0 * T)
    np.testing.assert_array_equal(J[:, 1:], 0)


@kinds
def test_the_other_side_serves_at_the_edge_of_a_domain(differences, tolerance):
    def model(w):
        return np.where(w[0] <= 1.0, (1.0 - w[0]) ** 1.5 * T + w[1] * T, np.nan)

    with np.errstate(invalid="ignore"):
        J = differences.jacobian(model, np.array([1.0, 3.0]), model(np.array([1.0, 3.0])))
    np.testing.assert_allclose(J, np.column_stack([0 * T, T]), atol=1e-3)


@kinds
def test_a_point_with_no_neighbors_has_no_derivative(differences, tolerance):
    def model(w):
        return T * (w[1] if w[0] == 1.0 else np.nan)

    J = differences.jacobian(model, np.array([1.0, 3.0]), 3.0 * T)
    assert np.isnan(J[:, 0]).all()
    np.testing.assert_allclose(J[:, 1], T, rtol=1e-6)


@pytest.mark.parametrize(("differences", "calls"), [(ForwardDifferences(), 2), (CentralDifferences(), 4)])
def test_the_price(differences, calls):
    seen = []

    def model(w):
        seen.append(w.copy())
        return w[0] * T + w[1]

    w = np.array([1.0, 2.0])
    differences.jacobian(model, w, w[0] * T + w[1])
    assert len(seen) == calls
    np.testing.assert_array_equal(w, [1.0, 2.0])
