"""`jax_models.least_squares` and `PytreeProblem`: residuals of any shape over any tree of parameters."""

from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import marquardt
from exact_derivatives import cauchy_derivative, complex_step_jacobian
from marquardt import Auto, Stopping
from marquardt.jax_models import Positive, PytreeProblem, double_precision, least_squares, residuals_on_data
from marquardt.jax_models.streamed_jacobian import StreamedJacobian

T = np.linspace(0, 2, 9)


class Decay(NamedTuple):
    amplitude: float
    rates: np.ndarray


def nested(params, t):
    """Residuals (9, 2), () and (9,) in a dict and a tuple."""
    waves = params.amplitude * jnp.exp(-params.rates * t[:, None])
    return {"waves": waves - 0.5, "rest": (jnp.sin(params.amplitude), waves.prod(axis=1))}


START = Decay(1.5, np.array([0.4, 1.1]))


def by_hand(w):
    """The same in NumPy, raveled in the order of JAX (keys of a dict sorted); also for complex w."""
    waves = w[0] * np.exp(-w[1:] * T[:, None])
    return np.concatenate([[np.sin(w[0])], waves.prod(axis=1), (waves - 0.5).ravel()])


@pytest.mark.parametrize("way", ["columns", "rows", "in chunks"])
def test_every_derivative(way, monkeypatch):
    problem = PytreeProblem(nested, START, T)
    if way == "in chunks":
        monkeypatch.setattr(residuals_on_data, "KEPT_SHARE", 0.0)
        problem.residuals._batch = 4
    elif way == "rows":
        monkeypatch.setattr(
            problem.residuals,
            "_by_columns",
            lambda w: (
                np.vstack(
                    [
                        np.asarray(block)[0, : part.stop - part.start]
                        for block, part in problem.residuals.rows(w)
                    ]
                ).T
            ),
        )
    w = problem.start
    at, J = problem.linearize(w), complex_step_jacobian(by_hand, w)
    assert isinstance(at.jacobian, StreamedJacobian) == (way == "in chunks")
    np.testing.assert_allclose(at.residual, by_hand(w), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(at.jacobian.dense(), J, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(np.vstack(list(at.jacobian.row_chunks())), J, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(np.triu(at.jacobian.gram()), np.triu(J.T @ J), rtol=1e-12)
    np.testing.assert_allclose(np.triu(at.jacobian.cogram()), np.triu(J @ J.T), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(at.gradient, J.T @ by_hand(w), rtol=1e-12)
    np.testing.assert_allclose(problem.gradient(w), at.gradient, rtol=1e-12)
    d = np.array([0.3, -1.0, 2.0])
    np.testing.assert_allclose(at.jacobian.mv(d), J @ d, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        problem.second_derivative(at, d), cauchy_derivative(lambda t: by_hand(w + t * d), 2), atol=1e-10
    )


def test_more_parameters_than_residuals():
    """Reverse mode by rows, several batches, and the dual solver."""
    A = np.random.default_rng(0).normal(size=(7, 30))
    problem = PytreeProblem(lambda x, A, b: jnp.sinh(A @ x) - b, np.zeros(30), A, np.ones(7))
    problem.residuals._batch = 3
    np.testing.assert_allclose(problem.linearize(problem.start).jacobian.dense(), A)
    fitted = least_squares(
        lambda x, A, b: jnp.sinh(A @ x) - b, np.zeros(30), args=(A, np.ones(7)), solver=Auto()
    )
    assert fitted.cost < 1e-25


def test_the_same_fit_as_in_numpy():
    rng = np.random.default_rng(3)
    t = np.linspace(0, 5, 40)
    y = 2 * np.exp(-0.7 * t) + 0.1 + 0.01 * rng.normal(size=40)
    ours = least_squares(
        lambda p, t, y: p["a"] * jnp.exp(-p["k"] * t) + p["c"] - y,
        {"a": 1.0, "k": 1.0, "c": 0.0},
        args=(t, y),
    )
    theirs = marquardt.least_squares(
        lambda w: w[0] * np.exp(-w[2] * t) + w[1] - y, [1.0, 0.0, 1.0], names=["a", "c", "k"]
    )
    np.testing.assert_allclose(list(ours.params.values()), theirs.w, rtol=1e-8)
    statistics = ours.statistics()
    assert statistics.names == ("a", "c", "k")
    np.testing.assert_allclose(statistics.standard_errors(), theirs.standard_errors(), rtol=1e-6)
    np.testing.assert_allclose(statistics.cost, ours.cost, rtol=1e-12)


def test_structure_and_precision_come_back():
    params = Decay(np.float32(1.0), jnp.array([0.5, 1.0], dtype=jnp.float32))
    fitted = least_squares(nested, params, args=(T,))
    assert type(fitted.params) is Decay
    assert type(fitted.params.amplitude) is np.float32
    assert isinstance(fitted.params.rates, jax.Array)
    assert fitted.params.rates.dtype == np.float32
    assert fitted.success


def test_what_may_vary_without_compiling():
    traces = []

    def residual(p, t, power):
        traces.append(power)
        return p["k"] * t**power - 1.0

    for scale in (1.0, 2.0, 3.0):
        least_squares(residual, {"k": scale}, args=(scale * T, 2), stopping=Stopping(max_iter=4))
    first_fits = len(traces)
    problem = PytreeProblem(residual, {"k": 1.0}, T, 2)
    problem.linearize(problem.start)
    assert problem.residuals.functions.n_traces <= 3  # residual, Jacobian, second derivative: once for all
    assert first_fits <= 3 + 3 * 3  # and a few looks at the code itself, which compile nothing
    assert set(traces) == {2}


def test_an_equinox_module_as_parameters():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP("scalar", "scalar", 5, 1, activation=jnp.tanh, key=jax.random.key(1))

    def equation(model, t):
        """u' = −u, u(0) = 1: a small physics-informed network."""
        slope = jax.vmap(jax.grad(model))(t)
        return {"equation": slope + jax.vmap(model)(t), "start": 10 * (model(0.0) - 1.0)}

    fitted = least_squares(equation, model, args=(T,), solver=Auto(), stopping=Stopping(max_iter=60))
    assert isinstance(fitted.params, eqx.nn.MLP)
    np.testing.assert_allclose(jax.vmap(fitted.params)(jnp.asarray(T)), np.exp(-T), atol=1e-2)


def test_a_prior_and_bounds():
    fitted = least_squares(lambda p: jnp.stack([p["x"] - 3.0, 0.0 * p["x"]]), {"x": 1.0}, alpha={"x": 2.0})
    np.testing.assert_allclose(fitted.params["x"], 1.0)  # ½(x − 3)² + x²
    positive = least_squares(
        lambda p: jnp.stack([p["x"] + 1.0, 0.1]),
        {"x": 1.0},
        transforms={"x": Positive()},
        stopping=Stopping(max_iter=50),
    )
    assert 0 < positive.params["x"] < 1e-3


def test_settings_are_not_touched():
    before = jax.config.jax_enable_x64
    least_squares(nested, START, args=(T,), callback=lambda _: jnp.ones(1).dtype == np.float32 or 1 / 0)
    assert jax.config.jax_enable_x64 == before
    with double_precision():
        assert jnp.ones(1).dtype == np.float64
    assert jnp.ones(1).dtype == np.float32


def test_memory_that_runs_out(monkeypatch):
    problem = PytreeProblem(nested, START, T)
    functions = problem.residuals.functions
    original = functions.columns

    def limited(w, numbers, batch):
        if batch > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return original(w, numbers, batch)

    monkeypatch.setattr(functions, "columns", limited)
    J = problem.linearize(problem.start).jacobian.dense()
    np.testing.assert_allclose(J, complex_step_jacobian(by_hand, problem.start), rtol=1e-12, atol=1e-14)
    assert problem.notes == ["the device ran out of memory for 3 at once: went on with 1"]


def test_arrays_that_change_afterwards_do_not_matter():
    t, y, params = np.linspace(0, 1, 64), np.ones(64), {"a": np.ones(64)}
    problem = PytreeProblem(lambda p, t, y: p["a"] * t - y, params, t, y)
    before = problem.cost(problem.start)
    t[:], y[:], params["a"][:] = 5.0, 6.0, 7.0
    assert problem.cost(problem.start) == before
