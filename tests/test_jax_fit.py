"""`jax_models.fit`: what may be frozen, shared, bounded or weighted; what is compiled, and how often."""

from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from jax_networks import X, Y, network, start
from marquardt import Stopping
from marquardt.jax_models import Bounded, Positive, fit, least_squares

SOME = {"stopping": Stopping(max_iter=30)}


# -- parameters --------------------------------------------------------------------------------------


def test_frozen_by_path():
    fitted = fit((network, start()), X, Y, trainable=lambda path: path != "W", **SOME)
    assert (fitted.params["W"] == start()["W"]).all()
    assert len(fitted.result.w) == 12


def test_shared_by_the_function():
    def tied(params, X):
        return jnp.tanh(X @ params["W"]) @ params["W"].T

    data = np.random.default_rng(1).normal(size=(30, 3))
    W = np.random.default_rng(2).normal(size=(3, 2))
    fitted = fit((tied, {"W": W + 0.1}), data, np.tanh(data @ W) @ W.T)
    assert fitted.cost < 1e-20


def test_physical_parameters_beside_a_network():
    """Decay of a known form, its rate bounded, plus a network for what the form leaves."""
    t = np.linspace(0, 4, 60)[:, None]
    y = 2.0 * np.exp(-1.3 * t) + 0.2 * np.sin(4 * t)

    def model(params, t):
        return params["amplitude"] * jnp.exp(-params["rate"] * t) + network(params["rest"], t)

    params = {"amplitude": 1.0, "rate": 0.5, "rest": start(np.float64)}
    transforms = {"amplitude": Positive(), "rate": Bounded(0.0, 2.0)}
    fitted = fit((model, params), t, y, transforms=transforms, alpha={"rest": 1e-6})
    assert type(fitted.params["rate"]) is float
    assert 0 < fitted.params["rate"] < 2
    assert fitted.params["amplitude"] > 0
    np.testing.assert_allclose(model(fitted.params, t), y, atol=0.02)


@pytest.mark.parametrize(
    ("true", "transform", "at_bound"),
    [
        (1.5, Positive(), False),
        (-1.0, Positive(), True),
        (1.5, Bounded(0, 2), False),
        (3.0, Bounded(0, 2), True),
    ],
)
def test_bounds_hold(true, transform, at_bound):
    x = np.linspace(0, 1, 20)
    fitted = fit((lambda p, x: p["k"] * x, {"k": 1.0}), x, true * x, transforms={"k": transform}, **SOME)
    nearest = np.clip(true, 0, getattr(transform, "high", np.inf))
    np.testing.assert_allclose(fitted.params["k"], nearest, atol=1e-2 if at_bound else 1e-10)


def test_alpha_penalizes_weights_and_spares_biases():
    problem = fit((network, start()), X, Y, alpha=0.5, stopping=Stopping(max_iter=0)).problem
    by_name = {"W": 0.5, "b": 0.0, "v": 0.5}
    expected = np.concatenate([np.full(start()[name].size, by_name[name]) for name in ("W", "b", "v")])
    np.testing.assert_array_equal(problem.prior, expected)


def test_sample_weights_count_like_repeated_rows():
    weights = np.arange(40) % 3
    rows = np.repeat(np.arange(40), weights)
    line = (lambda p, X: X * p["a"] + p["b"], {"a": 0.0, "b": 0.0})
    weighted, repeated = fit(line, X, Y**2, sample_weight=weights), fit(line, X[rows], Y[rows] ** 2)
    np.testing.assert_allclose(weighted.result.w, repeated.result.w, rtol=1e-9)
    np.testing.assert_allclose(weighted.cost, repeated.cost, rtol=1e-12)


def test_the_amplitudes_of_a_formula_are_solved_again():
    """Variable projection: only the rate is left to the iterations."""

    def decay(p, t):
        return p["c"] + p["a"] * jnp.exp(-p["k"] * t)

    t = np.linspace(0, 3, 30)
    params = {"a": 1.0, "c": 0.0, "k": 3.0}
    fitted = fit((decay, params), t, 5 + 100 * np.exp(-0.4 * t), **SOME)
    affine = fitted.problem.affine
    assert affine is not None
    assert [fitted.tree.layout.leaf_of(i) for i in affine.entries] == ["a", "c"]
    np.testing.assert_allclose(fitted.result.w, [100, 5, 0.4], rtol=1e-8)
    plain = fit((decay, params), t, 5 + 100 * np.exp(-0.4 * t), resolve_output=False, **SOME)
    assert plain.problem.affine is None
    assert fitted.result.n_jacobians < plain.result.n_jacobians


@pytest.mark.parametrize("kind", [jax.nn.relu, jnp.abs], ids=["relu", "abs"])
def test_a_piecewise_linear_layer_is_not_taken_for_a_linear_one(kind):
    def model(p, X):
        return kind(X @ p["W"] + p["b"]) @ p["v"]

    problem = fit((model, start()), X, Y, stopping=Stopping(max_iter=0)).problem
    assert problem.affine is not None
    assert len(problem.affine.entries) == 6  # v alone


# -- global state and compilation ----------------------------------------------------------------------


def test_the_settings_of_jax_are_not_touched():
    seen = []

    def model(p, X):
        seen.append(jnp.ones(1).dtype)
        return X * p["a"]

    before = jax.config.jax_enable_x64
    fit((model, {"a": 0.0}), X, Y, callback=lambda _: seen.append(jnp.ones(1).dtype))
    assert jax.config.jax_enable_x64 == before
    assert jnp.ones(1).dtype == np.float32
    assert set(seen) == {
        np.dtype(np.float64),
        np.dtype(np.float32),
    }  # within the model; in the user's callback


def test_the_settings_are_restored_after_an_error():
    def broken(p, X):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit((broken, {"a": 0.0}), X, Y)
    assert jnp.ones(1).dtype == np.float32


def test_a_second_fit_of_the_same_model_compiles_nothing():
    calls = []

    def counted(p, X):
        calls.append(1)
        return network(p, X)

    fit((counted, start()), X, Y, stopping=Stopping(max_iter=2))
    first = len(calls)
    fit((counted, start(seed=1)), X[::-1], Y[::-1], stopping=Stopping(max_iter=40))
    assert len(calls) - first <= 1  # the shape of the outputs is looked up


class TestMemory:
    """A device that has no memory for more than ten samples."""

    limit: ClassVar[int] = 10

    @pytest.mark.parametrize("name", ["outputs", "rows", "directional"])
    def test_smaller_chunks_and_a_note(self, name, monkeypatch):
        def small(p, X):  # its own function, so that the patch stays here
            return network(p, X)

        whole = fit((small, start()), X, Y, stopping=Stopping(max_iter=3))
        functions = whole.problem.model.functions
        original = getattr(functions, name)

        def limited(*args):
            table = args[3 if name == "directional" else 2]
            if len(table) > self.limit:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
            return original(*args)

        monkeypatch.setattr(functions, name, limited)
        fitted = fit((small, start()), X, Y, stopping=Stopping(max_iter=3))
        np.testing.assert_allclose(fitted.cost, whole.cost, rtol=1e-9)
        assert any("out of memory for 40 at once: went on with 20" in note for note in fitted.notes)
        assert "went on with 10" in fitted.message

    def test_other_faults_of_the_device_are_passed_on(self, monkeypatch):
        def small(p, X):
            return network(p, X)

        functions = fit((small, start()), X, Y, stopping=Stopping(max_iter=0)).problem.model.functions

        def broken(*args):
            raise jax.errors.JaxRuntimeError("INTERNAL: no luck")

        monkeypatch.setattr(functions, "rows", broken)
        with pytest.raises(jax.errors.JaxRuntimeError, match="no luck"):
            fit((small, start()), X, Y)


def test_held_out_samples_stop_the_fit_and_choose_the_parameters():
    rng = np.random.default_rng(0)
    noisy = Y + 0.3 * rng.normal(size=Y.shape)
    held_out = (X + 0.01, np.sin(3 * (X + 0.01)) + 0.3 * rng.normal(size=Y.shape))
    fitted = fit((network, start(np.float64)), X, noisy, validation_data=held_out)
    costs = fitted.result.history.column("validation_cost")
    best = 0.5 * ((network(fitted.params, held_out[0]) - held_out[1]) ** 2).sum()
    np.testing.assert_allclose(best, costs.min(), rtol=1e-6)
    assert fitted.cost > fitted.result.history[-1].cost


POWER = 1


def test_a_variable_that_has_changed_is_seen():
    """Compiled code is kept from fit to fit, but not when a global variable of the model is another."""
    global POWER

    def model(p, X):
        return p["a"] * X**POWER

    def residual(p):
        return p["a"] * X**POWER - X**2

    for power, cost in ((1, None), (2, 0.0)):
        POWER = power
        for fitted in (fit((model, {"a": 0.5}), X, X**2), least_squares(residual, {"a": 0.5})):
            assert (fitted.cost < 1e-20) == (cost == 0.0)


@pytest.mark.parametrize("kind", [float, int])
def test_samples_that_change_afterwards_do_not_matter(kind):
    data, y, scale = np.arange(64).reshape(-1, 1).astype(kind), np.ones((64, 1)), {"a": np.ones(1), "c": 1.0}
    model = (lambda p, X: p["a"] * X + p["c"], scale)
    problem = fit(model, data, y, trainable=lambda path: path == "c", stopping=Stopping(max_iter=0)).problem
    w = np.ones(1)
    before = problem.cost(w)
    data[:], y[:], scale["a"][:] = 5, 6, 7
    assert problem.cost(w) == before


def test_a_parameter_that_rounds_onto_its_bound_is_handed_out():
    line = (lambda p, x: p["k"] * x, {"k": np.float16(1.0)})
    fitted = fit(line, np.linspace(0, 1, 20), -np.ones(20), transforms={"k": Positive()})
    assert fitted.success
    assert fitted.params == {"k": 0.0}
