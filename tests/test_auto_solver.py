"""The automatic choice between the primal and the dual solver: flops first, then memory."""

from dataclasses import dataclass

import numpy as np
import pytest

import marquardt.linsolve.auto
from linear_systems import dense_system, network_system
from marquardt import Auto, Cholesky, Dual, Input, Linear, NetworkProblem, Tanh, minimize
from marquardt.jacobian import DenseJacobian
from marquardt.linsolve import Iterative, MixedCholesky
from marquardt.linsolve.cholesky import CholeskySystem
from marquardt.linsolve.dual import DualSystem


@dataclass(frozen=True)
class ShapeOnly:
    """A Jacobian of which only shape and prices are known: nothing is allocated."""

    shape: tuple[int, int]

    def gram_flops(self):
        return float(self.shape[0]) * self.shape[1] ** 2

    def cogram_flops(self):
        return float(self.shape[0]) ** 2 * self.shape[1]


@pytest.fixture
def free(monkeypatch):
    """Set the memory that is free."""

    def set_free(n_bytes):
        monkeypatch.setattr(marquardt.linsolve.auto, "available_bytes", lambda: n_bytes)

    set_free(None)
    return set_free


@pytest.mark.parametrize(
    ("shape", "choice"),
    [
        ((100, 10), Cholesky()),
        ((10, 100), Dual()),
        ((900, 299), Cholesky()),
        ((9000, 3000), MixedCholesky()),
        ((3000, 9000), Dual()),
    ],
)
def test_the_solver_with_fewer_flops_is_taken(free, shape, choice):
    assert Auto().choose(ShapeOnly(shape)) == choice


def test_the_choice_for_a_network_with_one_output_turns_between_p_and_2p_rows():
    """Its kernel is cheaper than its Gram matrix, so the dual wins a little beyond n = p."""
    chosen = []
    for n in (20, 60, 80, 200):
        rng = np.random.default_rng(0)
        problem = NetworkProblem(
            Input(4) >> Tanh(10) >> Linear(1), rng.normal(size=(n, 4)), rng.normal(size=n)
        )
        jacobian = problem.linearize(rng.normal(size=problem.n_params)).jacobian
        chosen.append(type(Auto().choose(jacobian)))
        dual = jacobian.cogram_flops() + 4 * n**3 / 3 < jacobian.gram_flops() + 4 * problem.n_params**3 / 3
        assert (chosen[-1] is Dual) == dual
    assert (chosen[0], chosen[-1]) == (Dual, Cholesky)


def test_the_other_solver_when_the_cheaper_does_not_fit(free):
    free(24 * 9500**2)
    assert Auto().choose(ShapeOnly((10_000, 9_000))) == MixedCholesky()
    free(24 * 8500**2)
    assert Auto().choose(ShapeOnly((8_000, 9_000))) == Dual()
    # by flops this would be primal, which does not fit
    tall = ShapeOnly((2_200, 2_100))
    free(24 * 2_150**2)
    assert Auto().choose(tall) == MixedCholesky()


def test_memory_is_not_asked_for_small_systems(monkeypatch):
    monkeypatch.setattr(marquardt.linsolve.auto, "available_bytes", lambda: 1 / 0)
    assert Auto().choose(ShapeOnly((100_000, 1_000))) == MixedCholesky()


def test_the_iterative_solver_where_neither_fits(free):
    free(8 * 10**9)
    assert Auto().choose(ShapeOnly((50_000, 40_000))) == Iterative()
    free(40 * 10**9)
    assert Auto().choose(ShapeOnly((50_000, 40_000))) == MixedCholesky()


@dataclass(frozen=True)
class Sampled(ShapeOnly):
    """One of which rows can be drawn."""

    def subset(self, rng, count):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("shape", "choice"),
    [
        ((20_000, 3_000), MixedCholesky()),
        ((20_000, 5_000), Iterative()),
        ((1_000, 100_000), Dual()),  # explicit rows; a network's kernel costs far less
        ((10_000, 100_000), Iterative()),
    ],
)
def test_the_iterative_solver_where_it_is_four_times_cheaper(free, shape, choice):
    assert Auto().choose(Sampled(shape)) == choice
    assert Auto(margin=np.inf).choose(Sampled(shape)) != Iterative()
    assert Auto().choose(ShapeOnly(shape)) != Iterative()


def test_too_large_for_memory_says_what_is_needed_what_there_is_and_what_to_do(free):
    free(6 * 10**7)
    with pytest.raises(MemoryError) as caught:
        Auto().choose(ShapeOnly((50_000, 40_000)))
    assert str(caught.value) == (
        "40000 parameters and 50000 residuals: the primal solver needs 38.4 GB, the dual 60 GB, the "
        "iterative one 67.8 MB, and 60 MB are free. Take fewer units or fewer rows: the primal fits up to "
        "1581 parameters, the dual up to as many residuals."
    )


def test_the_choice_is_made_once_a_run(free):
    """The buffers of the first iteration are no longer free in the second: that must not end the run."""
    for name, kind in (("tall", CholeskySystem), ("wide", DualSystem)):
        first = dense_system(name, None, False, 1.0)
        system = first.prepared(Auto())
        assert type(system) is kind
        again = first.prepared(Auto(), recycle=system.release())
        assert type(again) is kind


def test_a_run_asks_for_memory_once(monkeypatch):
    asked = []
    monkeypatch.setattr(marquardt.linsolve.auto, "_SMALL", 1)
    monkeypatch.setattr(marquardt.linsolve.auto, "available_bytes", lambda: asked.append(1))
    rng = np.random.default_rng(0)
    problem = NetworkProblem(Input(1) >> Tanh(3) >> Linear(1), rng.normal(size=(30, 1)), rng.normal(size=30))
    result = minimize(problem, rng.normal(size=10))
    assert result.n_iter > 2
    assert len(asked) == 1


def test_auto_gives_the_step_of_the_solver_it_chose():
    system = network_system("Input(1) >> Tanh(5) >> Linear(1)", None, False, 0.1)
    chosen = Auto().choose(system.jacobian)
    step = system.factor(Auto()).solve(system.r)
    np.testing.assert_array_equal(step, system.factor(chosen).solve(system.r))
    assert isinstance(DenseJacobian(system.J).gram_flops(), float)
