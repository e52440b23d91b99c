"""The float32 factor and its refinement: exact where it is trusted, and out of the way where it is not."""

import numpy as np
import pytest

from linear_systems import System, dense_system, network_system
from marquardt import MLP, Glorot, Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.files.checkpoint import Checkpoint
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve import Auto, Cholesky, MixedCholesky
from marquardt.linsolve.cholesky import CholeskyFactor
from marquardt.linsolve.mixed import MixedFactor
from tables import LAYOUTS

X = np.random.default_rng(0).uniform(-1, 1, (400, 6))
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * np.random.default_rng(1).normal(size=400)
NETWORK = Input(6) >> Tanh(40) >> Linear(1)


def tall(size=1.0, damping=1.0, seed=0):
    rng = np.random.default_rng(seed)
    J = size * rng.normal(size=(60, 20))
    return System(J, rng.normal(size=60), damping * size**2)


class Watched:
    """A Jacobian that notes the precisions asked for, and the products."""

    def __init__(self, inner):
        self.inner, self.precisions, self.products = inner, [], 0

    def gram(self, out=None):
        self.precisions.append("float64" if out is None else out.dtype.name)
        return self.inner.gram(out)

    def mv(self, v):
        self.products += 1
        return self.inner.mv(v)

    def __getattr__(self, name):
        return getattr(self.inner, name)


# -- the Gram matrix -------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gram_matrix_has_the_precision_of_where_it_goes(layout, weighted):
    jacobian = network_system(layout, None, False, 0.5, weighted).jacobian
    J = jacobian.dense()
    for kind in (jacobian, DenseJacobian(J), DenseJacobian(np.asfortranarray(J))):
        single = kind.gram(np.empty((J.shape[1], J.shape[1]), np.float32))
        assert single.dtype == np.float32
        lengths = np.sqrt((J**2).sum(axis=0))
        error = np.abs(np.triu(single) - np.triu(J.T @ J)) / np.maximum(np.outer(lengths, lengths), 1e-300)
        assert error.max() < 20 * np.finfo(np.float32).eps
        np.testing.assert_allclose(np.triu(kind.gram()), np.triu(J.T @ J), rtol=1e-10, atol=1e-12)


# -- where it is trusted ---------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("damping", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("shape", ["tall", "square", "tall, rank 3", "wide"])
def test_the_error_stays_below_the_tolerance(shape, damping, tolerance):
    system = dense_system(shape, None, False, damping)
    factor = system.factor(MixedCholesky(tolerance=tolerance))
    assert isinstance(factor, MixedFactor)
    exact = -np.linalg.solve(system.matrix, system.gradient)
    error = factor.solve(system.r, system.offset) - exact
    assert np.sqrt(error @ system.matrix @ error) <= 1.5 * tolerance * np.sqrt(exact @ system.matrix @ exact)


def test_a_well_damped_step_takes_few_products():
    system = tall()
    watched = Watched(DenseJacobian(system.J))
    factor = MixedCholesky(tolerance=1e-9).prepare(watched, None, None).factorize(1.0)
    factor.solve(system.r)
    assert watched.precisions == ["float32"] and 1 <= watched.products <= 3


def test_a_right_hand_side_of_zero_gives_zero():
    factor = tall().factor(MixedCholesky())
    assert not factor.solve(np.zeros(60)).any()


@pytest.mark.parametrize("size", [1e-13, 1e-6, 1e6, 1e13])
def test_sizes_near_the_ends_of_float32(size):
    system = tall(size)
    step = system.factor(MixedCholesky(tolerance=1e-10)).solve(system.r)
    np.testing.assert_allclose(step, -np.linalg.solve(system.matrix, system.gradient), rtol=1e-8)


# -- where it is not -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-17, 1e17, 1e30])
def test_beyond_float32_float64_takes_over(size):
    system = tall(size)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        factor = system.factor(MixedCholesky())
    assert isinstance(factor, CholeskyFactor)
    step = factor.solve(system.r)
    np.testing.assert_allclose(step, -np.linalg.solve(system.matrix, system.gradient), rtol=1e-8)


def test_a_small_damping_takes_float64_at_once_when_the_trace_is_known():
    watched = Watched(DenseJacobian(tall().J))
    first = MixedCholesky().prepare(watched, None, None)
    first.factorize(1.0)
    MixedCholesky().prepare(watched, None, None, first.release()).factorize(1e-9)
    assert watched.precisions == ["float32", "float64"]


def test_a_prior_counts_as_damping():
    watched = Watched(DenseJacobian(tall().J))
    system = MixedCholesky().prepare(watched, np.full(20, 0.1), None)
    assert isinstance(system.factorize(1e-12), MixedFactor)
    assert watched.precisions == ["float32"]


def test_one_parameter_without_prior_is_no_damping():
    prior = np.full(20, 0.1)
    prior[3] = 0.0
    system = MixedCholesky().prepare(DenseJacobian(tall().J), prior, None)
    assert isinstance(system.factorize(1e-12), CholeskyFactor)


def test_a_refinement_that_does_not_converge_ends_in_float64():
    """Columns that differ by less than the rounding of float32."""
    rng = np.random.default_rng(3)
    J = rng.normal(size=(200, 1)) + 1e-5 * rng.normal(size=(200, 40))
    system = System(J, rng.normal(size=200), 8e-9 * float((J**2).sum()))
    watched = Watched(DenseJacobian(J))
    factor = MixedCholesky(tolerance=1e-13, max_iter=1).prepare(watched, None, None).factorize(system.damping)
    step = factor.solve(system.r)
    assert watched.precisions == ["float32", "float64"]
    np.testing.assert_allclose(step, -np.linalg.solve(system.matrix, system.gradient), rtol=1e-6)


def test_determinants_and_traces_are_of_float64():
    system = tall()
    factor, exact = system.factor(MixedCholesky()), system.factor(Cholesky())
    assert isinstance(factor, MixedFactor)
    assert factor.logdet() == exact.logdet()
    np.testing.assert_array_equal(factor.inverse_diagonal(), exact.inverse_diagonal())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_no_step(bad):
    system = tall()
    system.r[0] = bad
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(system.factor(MixedCholesky()).solve(system.r)).any()


@pytest.mark.parametrize("settings", [{"tolerance": 0.0}, {"tolerance": 1.0}, {"max_iter": 0}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(ValueError, match="tolerance="):
        MixedCholesky(**settings)


# -- in a fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_a_fit_comes_as_far(alpha):
    problem = NetworkProblem(NETWORK, X, Y, alpha=alpha)
    w0 = Glorot().draw(NETWORK, np.random.default_rng(0))
    stopping = Stopping(max_iter=25)
    mixed = minimize(problem, w0, solver=MixedCholesky(), stopping=stopping)
    exact = minimize(problem, w0, solver=Cholesky(), stopping=stopping)
    assert mixed.cost < 1.1 * exact.cost


def test_it_takes_the_last_digits_too():
    """A linear network: the minimum is known."""
    network = MLP([Input(6), Linear(1)])
    fit = minimize(NetworkProblem(network, X, Y), np.zeros(7), solver=MixedCholesky())
    exact, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(400)]), Y, rcond=None)
    np.testing.assert_allclose(fit.w, exact, rtol=1e-10)


@pytest.mark.parametrize("bayes", [False, True])
@pytest.mark.parametrize("k", [1, 6, 11])
def test_a_run_goes_on_bit_for_bit(bayes, k, tmp_path):
    problem = NetworkProblem(NETWORK, X, Y)
    w0 = Glorot().draw(NETWORK, np.random.default_rng(0))

    def run(**options):
        options = {"stopping": Stopping(max_iter=14), **options}
        if bayes:
            return maximize_evidence(problem, w0, **options).result
        return minimize(problem, w0, solver=MixedCholesky(), **options)

    def kill(record):
        if record.iteration == k:
            raise RuntimeError("the lights went out")

    path = tmp_path / "run.checkpoint"
    run(checkpoint=Checkpoint(path), callback=kill)
    np.testing.assert_array_equal(run(checkpoint=Checkpoint(path)).w_last, run().w_last)


def test_auto_takes_it_from_300_parameters_on():
    solver = Auto()
    assert isinstance(solver.choose(DenseJacobian(np.empty((900, 300)))), MixedCholesky)
    assert isinstance(solver.choose(DenseJacobian(np.empty((900, 299)))), Cholesky)
