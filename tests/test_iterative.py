"""The iterative solver: how it stops, what it samples, and how far its estimates may be trusted."""

import numpy as np
import pytest

from linear_systems import System, dense_system, matrix_of_rank, network_system
from marquardt import Cholesky, Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.prior_groups import one_group
from marquardt.initialization import Glorot
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve import Buffers, Iterative, SingularSystemError
from marquardt.linsolve.conjugate_gradients import Stop, conjugate_gradients, work_vectors
from marquardt.linsolve.row_sample import sampled
from marquardt.method import Method


def graded_system(n=300, p=120, damping=1e-3, seed=0):
    """Singular values from 10 to 1e-3, none of which a sample of a few rows knows well."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.normal(size=(n, p)))
    V, _ = np.linalg.qr(rng.normal(size=(p, p)))
    return System((U * np.logspace(1, -3, p)) @ V.T, rng.normal(size=n), damping)


def decrease(system, step):
    """Of the damped model, by `step`."""
    return -step @ system.gradient - 0.5 * step @ system.matrix @ step


# -- the end of a solve --------------------------------------------------------------------------------


@pytest.mark.parametrize(("tolerance", "share"), [(0.05, 0.6), (0.01, 0.85), (1e-3, 0.97), (1e-6, 0.9999)])
def test_a_solve_ends_where_steps_bring_little(tolerance, share):
    """The hardest spectrum: no gap in four decades, and a preconditioner of one row in fifteen."""
    system = graded_system()
    best = decrease(system, -np.linalg.solve(system.matrix, system.gradient))
    reached = decrease(system, system.factor(Iterative(tolerance=tolerance, sample=20)).solve(system.r))
    assert share * best <= reached <= best * (1 + 1e-12)


def test_the_decrease_that_the_driver_predicts_is_that_of_an_inexact_step_too():
    """½ dᵀ(λd − g) equals the decrease of the undamped model: conjugate gradients have gᵀd = −dᵀAd."""
    system = graded_system()
    d = system.factor(Iterative(tolerance=0.2, sample=5)).solve(system.r)
    predicted = 0.5 * d @ (system.damping * d - system.gradient)
    undamped = decrease(system, d) + 0.5 * system.damping * d @ d
    assert predicted == pytest.approx(undamped, rel=1e-9)


def test_sampled_rows_save_steps():
    system = graded_system(n=400, p=100)
    steps = [
        system.factor(Iterative(tolerance=1e-4, sample=count)).krylov(system.gradient).n_iter
        for count in (1, 50, 150, 400)
    ]
    assert steps[0] > steps[1] > steps[3] - 1
    assert steps[2] < steps[0] / 2
    assert steps[3] <= 2  # all rows: the preconditioner is the matrix


def test_at_most_so_many_steps_and_still_downhill():
    system = graded_system()
    factor = system.factor(Iterative(tolerance=0.0, sample=3, max_iter=5))
    assert factor.krylov(system.gradient).n_iter == 5
    assert factor.solve(system.r) @ system.gradient < 0


def test_a_right_hand_side_of_zeros_is_solved_by_zeros():
    step = dense_system("tall", None, False, 0.1).factor(Iterative()).solve(np.zeros(30))
    np.testing.assert_array_equal(step, 0.0)


def test_a_matrix_that_is_not_positive_definite_is_told():
    work = work_vectors(2)
    with pytest.raises(SingularSystemError, match="no positive curvature"):
        conjugate_gradients(np.negative, np.copy, np.ones(2), Stop(1e-3), work)
    with pytest.raises(SingularSystemError, match="no positive curvature: nan"):
        conjugate_gradients(np.copy, lambda v: v * np.nan, np.ones(2), Stop(1e-3), work)
    with pytest.raises(SingularSystemError, match="leading minor 1"):
        System(np.zeros((4, 9)), np.ones(4), 0.0).factor(Iterative())


def test_no_finite_step_where_rounding_ate_the_preconditioner():
    """λ is 1e-40 of ‖J‖²: no number of the sampled kernel is right."""
    J, _, _ = matrix_of_rank(5, 30, 5, np.random.default_rng(0))
    step = System(J, np.ones(5), 1e-40).factor(Iterative(sample=2)).solve(np.ones(5))
    assert step.shape == (30,)  # an answer, finite or not, and no exception


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 1.0}, "tolerance=1.0"),
        ({"probe_tolerance": -1}, "probe_tolerance=-1"),
        ({"probes": 0}, "probes=0"),
        ({"sample": 0}, "sample=0"),
        ({"max_iter": 0}, "max_iter=0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Iterative(**options)


# -- samples -------------------------------------------------------------------------------------------


class _RowsOnly:
    """A Jacobian that can only be read in blocks."""

    def __init__(self, J, size):
        self.J, self.size, self.shape = J, size, J.shape

    def row_chunks(self):
        for start in range(0, len(self.J), self.size):
            yield self.J[start : start + self.size]


def test_rows_that_are_read_in_blocks_are_those_that_are_drawn():
    J = np.arange(60.0).reshape(20, 3)
    drawn = sampled(DenseJacobian(J), 7, seed=3).dense()
    np.testing.assert_array_equal(sampled(_RowsOnly(J, 6), 7, seed=3).dense(), drawn)
    assert len(np.unique(drawn[:, 0])) == 7
    assert sampled(_RowsOnly(J, 6), 20, seed=3).shape == (20, 3)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_network_is_sampled_by_whole_samples(outputs):
    system = network_system(
        f"Input(1) >> Tanh(5) >> Linear({outputs})" if outputs == 1 else LAYOUT_3, None, False, 1
    )
    whole = system.jacobian
    part = sampled(whole, 2 * whole.n_outputs, seed=1)
    assert part.shape == (2 * whole.n_outputs, whole.shape[1])
    rows = whole.dense().reshape(whole.n_outputs, -1, whole.shape[1])
    own = part.dense().reshape(whole.n_outputs, 2, -1)
    for k in range(2):
        assert any(np.array_equal(own[:, k], rows[:, n]) for n in range(rows.shape[1]))


LAYOUT_3 = "Input(2) >> Sine(3) >> Tanh(4) >> Logistic(3)"


def test_buffers_are_taken_over():
    options = Iterative(sample=20)
    old = graded_system().prepared(options)
    buffers = old.release()
    new = graded_system(seed=1).prepared(options, recycle=buffers)
    assert new.work is old.work
    assert new.rows.system.kernel is old.rows.system.kernel
    assert isinstance(buffers, Buffers)


# -- estimates -----------------------------------------------------------------------------------------


def exact_answers(system, groups):
    inverse = np.linalg.inv(system.matrix)
    determined = np.bincount(groups, (inverse @ (system.J.T @ system.J)).diagonal())
    return np.linalg.slogdet(system.matrix)[1], inverse.diagonal(), determined


def test_the_standard_errors_are_right():
    """Over many seeds the estimates stand about the exact values by as much as they say."""
    system = graded_system(damping=1e-2)
    groups = np.arange(120) % 2
    logdet, diagonal, determined = exact_answers(system, groups)
    off = []
    for seed in range(24):
        factor = system.factor(Iterative(sample=40, probes=12, seed=seed, probe_tolerance=1e-8))
        for found, exact in (
            (factor.estimate_logdet(), logdet),
            (factor.estimate_determined(groups, 2), determined),
            (factor.estimate_inverse_diagonal(), diagonal),
        ):
            off.append(np.median(((found.value - exact) / found.error) ** 2))
    off = np.array(off).reshape(24, 3)
    assert (np.abs(np.median(off, axis=0) - 0.5) < 0.35).all()  # 0.45 for normal errors


def test_an_estimate_is_near_with_few_probes_and_exact_with_all():
    system = graded_system(damping=1e-2)
    groups = np.arange(120) % 3
    logdet, diagonal, determined = exact_answers(system, groups)
    few = system.factor(Iterative(sample=60, probes=16))
    assert few.logdet() == pytest.approx(logdet, abs=0.05 * abs(logdet))
    assert few.determined(few.diagonal, groups, 3).sum() == pytest.approx(determined.sum(), rel=0.1)
    assert few.trace_inverse() == pytest.approx(diagonal.sum(), rel=0.2)
    every = system.factor(Iterative(sample=60, probes=180, probe_tolerance=1e-20))
    assert every.logdet() == pytest.approx(logdet, rel=1e-9)
    np.testing.assert_allclose(every.determined(every.diagonal, groups, 3), determined, rtol=1e-7)
    np.testing.assert_allclose(every.inverse_diagonal(), diagonal, rtol=1e-7)
    assert not every.estimate_logdet().error


# -- in the methods ------------------------------------------------------------------------------------


def noisy_problem(n=400, units=20):
    rng, network = np.random.default_rng(0), Input(4) >> Tanh(units) >> Linear(1)
    X = rng.uniform(-1, 1, (n, 4))
    y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + 0.2 * rng.normal(size=n)
    return NetworkProblem(network, X, y), Glorot().draw(network, rng)


def test_a_fit_gets_as_far_as_with_a_factor():
    problem, w0 = noisy_problem()
    stopping = Stopping(max_iter=60)
    ours = minimize(problem, w0, solver=Iterative(sample=100), stopping=stopping)
    dense = minimize(problem, w0, solver=Cholesky(), acceleration=None, stopping=stopping)
    assert ours.cost < 1.1 * dense.cost  # on the way to another minimum
    again = minimize(problem, w0, solver=Iterative(sample=100), stopping=stopping)
    np.testing.assert_array_equal(again.w, ours.w)  # the same seed, the same fit


@pytest.mark.parametrize("accelerate", [False, True])
def test_the_acceleration_is_left_out_unless_it_is_asked_for(accelerate):
    problem, w0 = noisy_problem()
    solver = Iterative(sample=100, accelerate=accelerate)
    result = minimize(problem, w0, solver=solver, stopping=Stopping(max_iter=5))
    assert result.history.column("accelerated").any() == accelerate


def test_the_evidence_by_a_stochastic_trace():
    """Against the same steps with as many probes as dimensions."""
    problem, w0 = noisy_problem(200, 8)
    ours, exact = (
        maximize_evidence(
            problem,
            w0,
            groups=one_group,
            method=Method(solver=Iterative(sample=60, probes=probes, probe_tolerance=tolerance)),
            stopping=Stopping(max_iter=15),
        )
        for probes, tolerance in ((16, 1e-4), (10_000, 1e-8))
    )
    assert ours.noise_sd == pytest.approx(exact.noise_sd, rel=0.02)
    assert ours.n_effective == pytest.approx(exact.n_effective, rel=0.1)
    assert ours.log_evidence == pytest.approx(exact.log_evidence, abs=3.0)
