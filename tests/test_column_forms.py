"""Sums of the diagonal of JᵀMJ, and how many parameters the data determine, against dense algebra."""

import numpy as np
import pytest

from marquardt import Dual, Input, Linear, NetworkProblem, Tanh, cogram, column_forms
from marquardt.bayesian.prior_groups import input_groups
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve.triangle import inverse_column_sqnorms, inverse_triangle
from tables import EXPLICIT_SOLVERS, LAYOUTS, case

layouts = pytest.mark.parametrize("layout", LAYOUTS)


def by_input(network):
    """One group for each input of each layer."""
    index, start = np.empty(network.n_params, dtype=int), 0
    for block, (rows, columns) in zip(network.blocks, network.shapes, strict=True):
        index[block] = np.tile(np.arange(start, start + columns), rows)
        start += columns
    return index


GROUPS = {
    "one": lambda network: np.zeros(network.n_params, dtype=int),
    "by input": by_input,
    "by parameter": lambda network: np.arange(network.n_params),
    "mixed": lambda network: np.random.default_rng(2).integers(0, 3, network.n_params),
}
groupings = pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)


def jacobian_of(layout, weighted, n_samples=7):
    data = case(LAYOUTS[layout], weighted, n_samples)
    return LAYOUTS[layout], data.problem.linearize(data.w).jacobian


def symmetric(n):
    """A symmetric matrix, and the same with nothing of use below its diagonal."""
    half = np.random.default_rng(1).normal(size=(n, n))
    full = half + half.T
    return full, np.where(np.triu(np.ones((n, n), dtype=bool)), full, np.nan)


@groupings
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@layouts
def test_column_forms(layout, weighted, groups, monkeypatch):
    monkeypatch.setattr(cogram, "TILE", 3)
    network, jacobian = jacobian_of(layout, weighted)
    index, J = groups(network), jacobian.dense()
    full, upper = symmetric(len(J))
    exact = np.bincount(index, np.einsum("ij,ik,kj->j", J, full, J))
    for kind in (jacobian, DenseJacobian(J)):
        found = kind.column_forms(upper, index, len(exact))
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-10 * abs(exact).max())


def test_more_samples_than_a_tile():
    rng = np.random.default_rng(0)
    net = Input(2) >> Tanh(3) >> Linear(2)
    problem = NetworkProblem(net, rng.normal(size=(300, 2)), rng.normal(size=(300, 2)))
    jacobian = problem.linearize(rng.normal(size=net.n_params)).jacobian
    full, upper = symmetric(600)
    J, index = jacobian.dense(), by_input(net)
    exact = np.bincount(index, np.einsum("ij,ij->j", full @ J, J))
    np.testing.assert_allclose(jacobian.column_forms(upper, index, len(exact)), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("limit", [0, 2000], ids=["made anew", "remembered"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@layouts
def test_products_are_remembered_for_the_point_that_they_belong_to(layout, weighted, limit, monkeypatch):
    """Two points of one problem in turn, under one set of weights after another."""
    monkeypatch.setattr(cogram, "REMEMBERED", limit)
    monkeypatch.setattr(column_forms, "REMEMBERED", limit)
    monkeypatch.setattr(cogram, "TILE", 3)
    data = case(LAYOUTS[layout], weighted, 7)
    points = [data.problem.linearize(w).jacobian for w in (data.w, 0.5 * data.w)]
    rng = np.random.default_rng(0)
    for groups in (GROUPS["by input"], input_groups_of, GROUPS["one"]):
        index = groups(LAYOUTS[layout])
        for jacobian in (*points, *points):
            weights, J = rng.uniform(0.1, 2, index.max() + 1)[index], jacobian.dense()
            kernel = (J * weights) @ J.T
            np.testing.assert_allclose(
                np.triu(jacobian.cogram(weights)), np.triu(kernel), rtol=1e-9, atol=1e-12
            )
            full, upper = symmetric(len(J))
            exact = np.bincount(index, np.einsum("ij,ik,kj->j", J, full, J))
            found = jacobian.column_forms(upper, index, len(exact))
            np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-10 * abs(exact).max())


def input_groups_of(network):
    return input_groups(network).index


def test_a_last_input_that_is_no_bias_is_not_taken_for_one():
    rng = np.random.default_rng(0)
    network = Input(2) >> Tanh(3) >> Linear(1)
    problem = NetworkProblem(network, rng.normal(size=(6, 2)), rng.normal(size=6))
    jacobian = problem.linearize(rng.normal(size=network.n_params)).jacobian
    jacobian.layers[1].inputs[-1] = rng.normal(size=6)
    weights, J = rng.uniform(0.1, 2, 5)[input_groups_of(network)], jacobian.dense()
    np.testing.assert_allclose(np.triu(jacobian.cogram(weights)), np.triu((J * weights) @ J.T), rtol=1e-10)


@groupings
@pytest.mark.parametrize("solver", EXPLICIT_SOLVERS.values(), ids=EXPLICIT_SOLVERS)
@layouts
def test_how_many_parameters_the_data_determine(layout, solver, groups):
    network, jacobian = jacobian_of(layout, True)
    index, J = groups(network), jacobian.dense()
    values = np.random.default_rng(3).uniform(0.1, 2, index.max() + 1)
    S = values[index]
    exact = np.bincount(index, 1 - S * np.linalg.inv(J.T @ J + np.diag(S)).diagonal(), minlength=len(values))
    factor = solver.prepare(jacobian, None, S, None).factorize(1.0)
    np.testing.assert_allclose(factor.determined(S, index, len(values)), exact, rtol=1e-8, atol=1e-10)
    if (index == 0).all():  # the same by λ alone
        factor = solver.prepare(jacobian, None, None, None).factorize(float(values[0]))
        np.testing.assert_allclose(factor.determined(S, index, 1), exact, rtol=1e-8)


def test_the_dual_keeps_its_digits_under_a_strong_prior_and_under_a_weak_one():
    # γ of a column is |J|²/S here, far below 1: the primal finds it as 1 − (1 − γ)
    J, S = DenseJacobian(np.diag([1e-8, 2e-8, 3e-8])), np.ones(3)
    strong = Dual().prepare(J, None, S, None).factorize(1.0)
    found = strong.determined(S, np.arange(3), 3)
    np.testing.assert_allclose(found, [1e-16, 4e-16, 9e-16], rtol=1e-12)
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(4, 9))
    weak = Dual().prepare(DenseJacobian(rows), None, None, None).factorize(1e-13)
    diagonal = weak.inverse_diagonal()
    assert (diagonal > 0).all()
    # a row space of 4 dimensions is determined, and 5 are left to the prior
    projection = np.linalg.pinv(rows) @ rows
    np.testing.assert_allclose(diagonal * 1e-13, 1 - projection.diagonal(), rtol=1e-6)
    own = Dual().prepare(DenseJacobian(np.diag([1.0, 1.0])), None, None, None).factorize(1e-18)
    assert (own.inverse_diagonal() > 0).all()
    np.testing.assert_allclose(own.inverse_diagonal(), 1.0, rtol=0.5)


@pytest.mark.parametrize("p", [1, 63, 64, 65, 200])
def test_the_diagonal_of_an_inverse(p):
    rng = np.random.default_rng(p)
    A = rng.normal(size=(p, 2 * p))
    A = A @ A.T
    lower = np.linalg.cholesky(A) + np.triu(np.full((p, p), np.nan), 1)
    lower = np.asfortranarray(lower)
    exact = np.linalg.inv(A).diagonal()
    np.testing.assert_allclose(inverse_column_sqnorms(lower), exact, rtol=1e-8)
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(A))  # the factor is still there
    np.testing.assert_allclose(np.tril(inverse_triangle(lower)) @ np.tril(lower), np.eye(p), atol=1e-8)
    np.testing.assert_allclose(inverse_column_sqnorms(lower, overwrite=True), exact, rtol=1e-8)
    np.testing.assert_allclose(np.linalg.cholesky(A) @ np.tril(lower), np.eye(p), atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@layouts
def test_one_kernel_of_the_dual_serves_every_damping_under_one_precision(layout, weighted):
    _, jacobian = jacobian_of(layout, weighted)
    J = jacobian.dense()
    n, p = J.shape
    rng = np.random.default_rng(4)
    r, offset = rng.normal(size=n), 0.7 * rng.normal(size=p)
    system = Dual().prepare(jacobian, np.full(p, 0.7), None, None)
    for damping in (0.0, 0.1, 30.0):
        factor, A = system.factorize(damping), J.T @ J + (0.7 + damping) * np.eye(p)
        exact = -np.linalg.solve(A, J.T @ r + offset)
        np.testing.assert_allclose(factor.solve(r, offset), exact, rtol=1e-8, atol=1e-12)
        assert factor.logdet() == pytest.approx(np.linalg.slogdet(A)[1], rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(factor.inverse_diagonal(), np.linalg.inv(A).diagonal(), rtol=1e-8)
