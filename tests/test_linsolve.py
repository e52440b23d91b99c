"""Every solver against dense NumPy, against closed forms, and against the others."""

import numpy as np
import pytest

from linear_systems import SHAPES, System, dense_system, matrix_of_rank, network_system
from marquardt import Cholesky, Dual, Eigen
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve import SingularSystemError
from tables import EXPLICIT_SOLVERS, LAYOUTS, SOLVERS

solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
explicit_solvers = pytest.mark.parametrize("solver", EXPLICIT_SOLVERS.values(), ids=EXPLICIT_SOLVERS)
priors = pytest.mark.parametrize("prior", [None, "some", "all"])
metrics = pytest.mark.parametrize("scaled", [False, True], ids=["identity", "metric"])


def check_against_numpy(system: System, solver):
    inverse = np.linalg.inv(system.matrix)
    factor = system.factor(solver)
    step = -inverse @ system.gradient
    np.testing.assert_allclose(factor.solve(system.r, system.offset), step, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        factor.solve(system.r, system.offset, system.gradient), step, rtol=1e-9, atol=1e-11
    )
    np.testing.assert_allclose(factor.logdet(), np.linalg.slogdet(system.matrix)[1], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(factor.trace_inverse(), np.trace(inverse), rtol=1e-9)
    np.testing.assert_allclose(factor.inverse_diagonal(), np.diag(inverse), rtol=1e-9)


@solvers
@priors
@metrics
@pytest.mark.parametrize("damping", [1e-2, 30.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_systems(solver, prior, scaled, damping, shape):
    check_against_numpy(dense_system(shape, prior, scaled, damping), solver)


@solvers
@priors
@metrics
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_network_systems(solver, prior, scaled, weighted, layout):
    check_against_numpy(network_system(layout, prior, scaled, 0.5, weighted), solver)


@solvers
@pytest.mark.parametrize("damping", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_closed_forms_from_singular_values(solver, shape, damping, seed):
    """A = V diag(s² + λ) Vᵀ, so every answer is known without solving anything."""
    rng = np.random.default_rng(seed)
    rows, columns, rank = SHAPES[shape]
    J, s, V = matrix_of_rank(rows, columns, rank, rng)
    eigenvalues = np.concatenate([s**2, np.zeros(columns - rank)]) + damping
    solution = rng.normal(size=columns) if rank == columns else V[:, :rank] @ rng.normal(size=rank)
    # r with Jᵀr = −A d for the chosen d, which lies in the row space
    r = -np.linalg.pinv(J).T @ ((V * eigenvalues) @ V.T @ solution) if rank else np.zeros(rows)
    factor = System(J, r, damping).factor(solver)
    # The dual of a tall J cancels terms of size 1/λ: it is meant for wide ones.
    lost = 1e-14 / damping**2 if solver == Dual() and rows > rank else 0.0
    np.testing.assert_allclose(factor.solve(r), solution if rank else 0 * solution, atol=1e-9 + lost)
    np.testing.assert_allclose(factor.logdet(), np.log(eigenvalues).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(factor.trace_inverse(), (1 / eigenvalues).sum(), rtol=1e-9, atol=lost)
    np.testing.assert_allclose(factor.inverse_diagonal(), V**2 @ (1 / eigenvalues), rtol=1e-9, atol=lost)


@solvers
def test_one_preparation_serves_many_dampings_in_any_order(solver):
    for prior in (None, "some"):
        prepared = dense_system("tall", prior, True, 1.0).prepared(solver)
        for damping in (1.0, 1e-3, 1e3, 1.0):
            system = dense_system("tall", prior, True, damping)
            wanted = -np.linalg.solve(system.matrix, system.gradient)
            got = prepared.factorize(damping).solve(system.r, system.offset)
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


@solvers
@priors
def test_recycled_buffers_change_nothing(solver, prior):
    old = dense_system("tall", prior, True, 2.0, seed=1).prepared(solver)
    old.factorize(1.0)
    system = dense_system("tall", prior, True, 0.1, seed=2)
    fresh = system.factor(solver).solve(system.r, system.offset)
    recycled = system.factor(solver, recycle=old.release()).solve(system.r, system.offset)
    np.testing.assert_array_equal(recycled, fresh)


def test_cholesky_really_reuses_its_two_matrices():
    old = dense_system("tall", None, False, 1.0).prepared(Cholesky())
    new = dense_system("tall", None, False, 1.0, seed=1).prepared(Cholesky(), recycle=old.release())
    assert new.gram is old.gram
    assert new.buffer is old.buffer
    assert np.shares_memory(new.factorize(1.0).lower, new.buffer)


@explicit_solvers
@pytest.mark.parametrize("foreign", EXPLICIT_SOLVERS)
def test_buffers_of_another_shape_or_solver_are_left_alone(solver, foreign):
    old = dense_system("wide", None, False, 1.0).prepared(EXPLICIT_SOLVERS[foreign])
    system = dense_system("tall", None, False, 0.1)
    wanted = -np.linalg.solve(system.matrix, system.gradient)
    np.testing.assert_allclose(
        system.factor(solver, recycle=old.release()).solve(system.r), wanted, rtol=1e-9
    )


@solvers
@priors
def test_arguments_are_not_overwritten(solver, prior):
    system = dense_system("square", prior, True, 0.1)
    parts = [system.J, system.r, system.prior, system.offset, system.scale]
    copies = [None if part is None else part.copy() for part in parts]
    factor = system.factor(solver)
    for _ in range(2):
        factor.solve(system.r, system.offset, system.gradient)
        factor.logdet(), factor.trace_inverse(), factor.inverse_diagonal()
    for part, copy in zip(parts, copies, strict=True):
        np.testing.assert_array_equal(part, copy) if part is not None else None
    wanted = -np.linalg.solve(system.matrix, system.gradient)
    np.testing.assert_allclose(factor.solve(system.r, system.offset), wanted, rtol=1e-9, atol=1e-12)


# -- digits --------------------------------------------------------------------------------------------


def graded(rows, columns, seed=0):
    """Singular values 1 ... 1e-7 and a residual in their space, with the exact step for tiny damping."""
    rng = np.random.default_rng(seed)
    rank = min(rows, columns)
    U, _ = np.linalg.qr(rng.normal(size=(rows, rank)))
    V, _ = np.linalg.qr(rng.normal(size=(columns, rank)))
    s = np.logspace(0, -7, rank)
    return (U * s) @ V.T, U, s, V


def test_qr_does_not_square_the_condition_number():
    J, U, s, V = graded(40, 6)
    damping, c = 1e-18, np.ones(6)
    r = U @ c
    wanted = -V @ (s / (s**2 + damping) * c)
    for name, digits in (("qr", 1e-8), ("cholesky", 1e-2)):
        step = System(J, r, damping).factor(EXPLICIT_SOLVERS[name]).solve(r)
        error = np.linalg.norm(step - wanted) / np.linalg.norm(wanted)
        assert error < digits, name


def test_the_dual_keeps_its_digits_when_the_damping_is_tiny():
    """With n < p and r itself on the right-hand side nothing cancels, however small λ is."""
    rng = np.random.default_rng(0)
    J, _, _ = matrix_of_rank(5, 30, 5, rng)
    r = rng.normal(size=5)
    wanted = -np.linalg.pinv(J) @ r
    step = System(J, r, 1e-14).factor(Dual()).solve(r)
    np.testing.assert_allclose(step, wanted, rtol=1e-11, atol=1e-13)


@solvers
@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_the_units_of_the_residual_do_not_matter(solver, size):
    system = dense_system("square", None, False, 0.1)
    wanted = system.factor(solver).solve(system.r)
    scaled = System(system.J * size, system.r, 0.1 * size**2)
    np.testing.assert_allclose(scaled.factor(solver).solve(scaled.r) * size, wanted, rtol=1e-9)


# -- what cannot be solved -----------------------------------------------------------------------------


class _JunkBelowTheDiagonal(DenseJacobian):
    """The strict lower triangles are undefined by contract: here they hold the worst."""

    def gram(self, out=None):
        return self._junk(super().gram(out))

    def cogram(self, weights=None, out=None):
        return self._junk(super().cogram(weights, out))

    @staticmethod
    def _junk(matrix):
        matrix[np.tril_indices(len(matrix), -1)] = np.nan
        return matrix


@solvers
@priors
@metrics
@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_only_the_upper_triangle_is_read(solver, prior, scaled, shape):
    system = dense_system(shape, prior, scaled, 0.1)
    jacobian = _JunkBelowTheDiagonal(system.J)
    junk = System(system.J, system.r, 0.1, system.prior, system.offset, system.scale, jacobian)
    check_against_numpy(junk, solver)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cholesky", "leading minor 3 is not positive definite"),
        ("eigen", r"smallest eigenvalue 0 is not positive"),
        ("qr", "the stacked matrix is rank deficient"),
    ],
)
def test_a_zero_column_without_damping_is_singular(name, message):
    J = np.eye(5)[:, :3] * [1.0, 1.0, 0.0]
    with pytest.raises(SingularSystemError, match=message):
        System(J, np.ones(5), 0.0).factor(EXPLICIT_SOLVERS[name])


def test_a_zero_row_without_damping_is_singular_for_the_dual():
    J = np.eye(3, 5) * [[1.0], [0.0], [1.0]]
    with pytest.raises(SingularSystemError, match="leading minor 2 of the kernel is not positive definite"):
        System(J, np.ones(3), 0.0).factor(Dual())


@explicit_solvers
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_jacobian_that_is_not_finite_gives_no_finite_step(solver, bad):
    J = np.ones((4, 3))
    J[1, 2] = bad
    with np.errstate(invalid="ignore"):
        try:
            step = System(J, np.ones(4), 1.0).factor(solver).solve(np.ones(4))
        except SingularSystemError:
            return
        assert not np.isfinite(step).all()


@pytest.mark.parametrize(("name", "message"), [("qr", "NaN or infinite"), ("eigen", "infs or NaNs|finite")])
def test_where_the_message_names_the_jacobian(name, message):
    with pytest.raises(SingularSystemError, match=message):
        System(np.full((4, 3), np.nan), np.ones(4), 1.0).factor(EXPLICIT_SOLVERS[name])


def test_eigen_clips_eigenvalues_that_rounding_made_negative():
    J = np.outer(np.ones(6), [1.0, 1.0, 1.0])
    assert (System(J, np.ones(6), 1.0).prepared(Eigen()).values >= 0).all()
