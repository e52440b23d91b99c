"""`jax_models.fit`: every kind of model."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from jax_networks import X, Y, network, start
from marquardt import Stopping
from marquardt.jax_models import double_precision, fit
from marquardt.losses import cross_entropy

SOME = {"stopping": Stopping(max_iter=30)}
ways = pytest.mark.parametrize("structured", [True, False], ids=["recognized", "traced"])


def test_a_plain_function():
    fitted = fit((network, start()), X, Y, **SOME)
    function, params = fitted.model
    assert function is network
    assert set(params) == {"W", "b", "v"}
    assert all(leaf.dtype == np.float32 and isinstance(leaf, jax.Array) for leaf in params.values())
    np.testing.assert_allclose(function(params, X), Y, atol=1e-3)
    assert fitted.cost < 1e-6
    assert fitted.notes == ()


@ways
def test_equinox(structured):
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(1, 1, 6, 1, activation=jnp.tanh, key=jax.random.key(0))
    fitted = fit(model, X, Y, structured=structured, **SOME)
    assert (fitted.network is not None) == structured
    assert isinstance(fitted.model, eqx.nn.MLP)
    assert jax.tree.structure(fitted.model) == jax.tree.structure(model)
    assert fitted.model.layers[0].weight.dtype == np.float32
    assert fitted.model.activation is model.activation
    np.testing.assert_allclose(jax.vmap(fitted.model)(X.astype(np.float32)), Y, atol=1e-3)


def test_equinox_with_the_mask_of_partition():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(1, 1, 6, 1, activation=jnp.tanh, key=jax.random.key(0))
    mask = jax.tree.map(lambda _: False, model)
    mask = eqx.tree_at(lambda m: (m.layers[-1].weight, m.layers[-1].bias), mask, (True, True))
    fitted = fit(model, X, Y, trainable=mask, **SOME)
    assert (fitted.model.layers[0].weight == model.layers[0].weight).all()
    assert (fitted.model.layers[1].weight != model.layers[1].weight).any()
    W, b = (np.asarray(part, dtype=float) for part in (model.layers[0].weight, model.layers[0].bias))
    design = np.column_stack([np.tanh(X @ W.T + b), np.ones(len(X))])
    _, (sse,), *_ = np.linalg.lstsq(design, Y)
    np.testing.assert_allclose(2 * fitted.cost, sse, rtol=1e-6)


def test_equinox_with_a_shared_layer():
    eqx = pytest.importorskip("equinox")

    class Tied(eqx.Module):
        shared: eqx.nn.Shared

        def __init__(self, key):
            one, two = (eqx.nn.Linear(4, 4, key=key) for key in jax.random.split(key))
            self.shared = eqx.nn.Shared((one, two), lambda pair: pair[1].weight, lambda pair: pair[0].weight)

        def __call__(self, x):
            one, two = self.shared()
            return two(jnp.tanh(one(x)))

    data = np.random.default_rng(0).normal(size=(50, 4))
    fitted = fit(Tied(jax.random.key(0)), data, np.tanh(data), **SOME)
    one, two = fitted.model.shared()
    assert (one.weight == two.weight).all()
    assert len(fitted.result.w) == 16 + 4 + 4
    assert fitted.cost < fitted.result.history[0].cost / 2


def test_flax_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(1, 6, rngs=rngs)
            self.norm = nnx.BatchNorm(6, use_running_average=True, rngs=rngs)
            self.out = nnx.Linear(6, 1, rngs=rngs)

        def __call__(self, x):
            return self.out(self.norm(nnx.tanh(self.hidden(x))))

    model = Net(nnx.Rngs(0))
    before = np.asarray(model.out.kernel[...])
    fitted = fit(model, X, Y, **SOME)
    assert isinstance(fitted.model, Net)
    assert fitted.model.out.kernel[...].dtype == np.float32
    assert (np.asarray(model.out.kernel[...]) == before).all()  # the model given is not changed
    np.testing.assert_allclose(fitted.model(X.astype(np.float32)), Y, atol=0.01)


@ways
def test_flax_linen(structured):
    linen = pytest.importorskip("flax.linen")
    module = linen.Sequential([linen.Dense(6), linen.tanh, linen.Dense(1)])
    fitted = fit((module.apply, module.init(jax.random.key(0), X)), X, Y, structured=structured, **SOME)
    apply, variables = fitted.model
    np.testing.assert_allclose(apply(variables, X.astype(np.float32)), Y, atol=0.01)


def test_one_sample_at_a_time():
    def single(params, x):
        return jnp.dot(jnp.tanh(x @ params["W"] + params["b"]), params["v"][:, 0])

    alone, batched = (
        fit((single, start()), X, Y[:, 0], batched=False, **SOME),
        fit((network, start()), X, Y, **SOME),
    )
    np.testing.assert_allclose(alone.cost, batched.cost, rtol=1e-6)


def test_several_inputs_and_an_output_of_two_axes():
    def sums(params, X):
        return params["a"] * X["table"][:, :, None] * jnp.ones(2) + params["b"][X["kind"]][:, None, None]

    table, kind = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 4
    y = 2 * table[:, :, None] * np.ones(2) + kind[:, None, None]
    fitted = fit((sums, {"a": 0.0, "b": np.zeros(4)}), {"table": table, "kind": kind}, y)
    np.testing.assert_allclose(fitted.params["a"], 2.0)
    np.testing.assert_allclose(fitted.params["b"], np.arange(4.0), atol=1e-12)


@ways
def test_classes(structured):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(90, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], 30, axis=0)
    labels = np.repeat([0, 1, 2], 30)

    def logits(params, X):
        return X @ params["W"] + params["b"]

    params = {"W": np.zeros((2, 3)), "b": np.zeros(3)}
    options = {"loss": cross_entropy, "alpha": 0.01, "structured": structured}
    fitted = fit((logits, params), data, labels, **options)
    assert (np.argmax(logits(fitted.params, data), axis=1) == labels).mean() > 0.9
    one_hot = fit((logits, params), data, np.eye(3)[labels], **options)
    assert one_hot.cost == fitted.cost


def test_a_layer_that_a_flax_module_holds_twice_is_shared():
    nnx = pytest.importorskip("flax.nnx")

    class Twice(nnx.Module):
        def __init__(self, rngs):
            self.first = self.second = nnx.Linear(3, 3, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.tanh(self.first(x)))

    data = np.random.default_rng(0).normal(size=(30, 3))
    fitted = fit(Twice(nnx.Rngs(0)), data, data, trainable=lambda path: path == "first.kernel", **SOME)
    assert len(fitted.result.w) == 9
    assert fitted.model.first is fitted.model.second


def test_a_module_among_the_parameters():
    eqx = pytest.importorskip("equinox")
    net = eqx.nn.MLP(1, 1, 4, 1, activation=jnp.tanh, key=jax.random.key(0))
    params = {"slope": 1.0, "net": net}
    fitted = fit((lambda p, X: p["slope"] * X + jax.vmap(p["net"])(X), params), X, Y, **SOME)
    assert isinstance(fitted.params["net"], eqx.nn.MLP)
    assert fitted.cost < 1e-3


def test_a_differential_equation_point_by_point():
    """u'' = −π² sin πx on [−1, 1], u = 0 at both ends; u enters linearly, and so does the output layer."""

    def u(p, x):
        return jnp.tanh(x * p["W"] + p["b"]) @ p["v"]

    def equation(p, point):
        second = jax.grad(jax.grad(u, 1), 1)(p, point["x"]) + np.pi**2 * jnp.sin(np.pi * point["x"])
        return jnp.where(point["edge"], 10 * u(p, point["x"]), second)

    rng = np.random.default_rng(0)
    params = {"W": 2 * rng.normal(size=10), "b": rng.normal(size=10), "v": rng.normal(size=10)}
    points = {"x": np.r_[np.linspace(-1, 1, 40), -1, 1], "edge": np.arange(42) >= 40}
    fitted = fit((equation, params), points, np.zeros(42), batched=False, stopping=Stopping(max_iter=60))
    assert fitted.problem.affine is not None
    with double_precision():
        error = [u(fitted.params, x) - np.sin(np.pi * x) for x in np.linspace(-1, 1, 9)]
    np.testing.assert_allclose(error, 0, atol=1e-4)
