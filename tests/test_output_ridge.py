"""The damped step of a linear output layer against dense algebra, with few features and with many."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt import Input, Linear, NetworkProblem, Tanh
from marquardt.output_ridge import ridge_step


@pytest.mark.parametrize("columns", [3, 8, 9, 30])
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("damping", [1e-10, 0.3, 1e6])
def test_it_solves_the_damped_normal_equations(columns, with_prior, damping):
    rng = np.random.default_rng(columns)
    features, residual = rng.normal(size=(columns, 8)), rng.normal(size=(2, 8))
    own = rng.normal(size=(2, columns))
    prior = np.append(np.full(columns - 1, 0.4), 0.0) if with_prior else None
    step = ridge_step(features, residual, own, prior, damping)
    penalty = np.zeros(columns) if prior is None else prior
    matrix = features @ features.T + np.diag(penalty + damping)
    gradient = features @ residual.T + penalty[:, None] * own.T
    # Backward error.  A λ far below the other precisions, at the bias, costs the N × N way its digits: its
    # matrix holds 1 / λ beside 1.
    rounding = 1e-5 if with_prior and columns > 8 and damping < 1e-8 else 1e-11
    left = matrix @ step.T + gradient
    scale = np.abs(matrix).max() * np.abs(step).max() + np.abs(gradient).max()
    assert np.abs(left).max() <= rounding * scale
    if damping > 0.1:
        np.testing.assert_allclose(step.T, -np.linalg.solve(matrix, gradient), rtol=1e-9, atol=1e-13)


def test_no_finite_solution_is_none():
    with np.errstate(all="ignore"):  # as in the driver
        assert ridge_step(np.zeros((3, 2)), np.ones((1, 2)), np.zeros((1, 3)), None, 0.0) is None
        assert ridge_step(np.zeros((2, 3)), np.ones((1, 3)), np.zeros((1, 2)), None, 0.0) is None


def test_a_last_layer_wider_than_the_rows_forms_no_matrix_of_its_width():
    """The width squared would be 20 GB here."""
    network = Input(1) >> Tanh(50_000) >> Linear(1)
    X = np.linspace(-1, 1, 4)[:, None]
    problem = NetworkProblem(network, X, X[:, 0], alpha=0.01)
    w = np.random.default_rng(0).normal(0, 0.01, network.n_params)
    w.flags.writeable = False
    assert problem.cost(problem.resolve_output(w, 1e-3, None)) < problem.cost(w)
