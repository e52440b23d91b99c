"""`jax_models.fit`: multilayer perceptrons are recognised, and trained by the network in NumPy as by JAX."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from marquardt import Stopping
from marquardt.damping import MoreMetric
from marquardt.jax_models import Positive, WarmUp, fit
from marquardt.jax_models.model_kinds import take_apart
from marquardt.jax_models.parameter_tree import ParameterTree
from marquardt.jax_models.problem_from_samples import Samples, problem_from_samples
from marquardt.jax_models.recognition import recognized
from marquardt.jax_models.sample_functions import SampleFormula
from marquardt.losses import Huber, cross_entropy, squared_error

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3))
Y = np.sin(X[:, :1] * X[:, 1:2]) + X[:, 2:]
SOME = {"stopping": Stopping(max_iter=8)}


def draw(*sizes, dtype=np.float64):
    """[W (in, out), b (out,)] of each layer."""
    rng = np.random.default_rng(1)
    return [
        [rng.normal(size=pair).astype(dtype), rng.normal(size=pair[1]).astype(dtype)]
        for pair in pairwise(sizes)
    ]


def layered(activation):
    def function(params, X):
        for k, (W, b) in enumerate(params):
            X = X @ W + b
            X = activation(X) if k < len(params) - 1 else X
        return X

    return function


def network_of(model, data=X, batched=None, trainable=None, transforms=None, loss=squared_error):
    """What `fit` would train, without training; None for a model that JAX computes."""
    parts = take_apart(model, batched)
    keeps = {"trainable": trainable, "transforms": transforms, "keeps_others": parts.keeps_others}
    tree = ParameterTree(parts.params, **keeps)
    constants = (tree.fixed, parts.extra)
    y = np.zeros(SampleFormula(parts.apply, tree.layout).traced(constants, np.asarray(data)).outputs.shape)
    problem, _ = problem_from_samples(parts, tree, Samples.of(data), y, None, None, loss)
    found = recognized(problem, tree.start)
    assert problem.model.functions.n_traces == 0  # nothing is compiled
    return None if found is None else repr(found.model.network)


# -- which models ------------------------------------------------------------------------------------


def swapped(p, X):
    """Samples in columns."""
    return (p["v"].T @ jnp.tanh(p["W"].T @ X.T + p["b"][:, None]) + p["c"][:, None]).T


def einsum(p, X):
    hidden = jnp.tanh(jnp.einsum("nd,dh->nh", X, p["W"]) + p["b"])
    return p["c"] + jnp.einsum("nh,hk->nk", hidden, p["v"])


def single(p, x):
    return jnp.dot(jnp.tanh(p["W"].T @ x + p["b"]), p["v"][:, 0]) + p["c"][0]


def flat(w, X):
    return jnp.tanh(X @ w[:12].reshape(3, 4) + w[12:16]) @ w[16:20].reshape(4, 1) + w[20]


def of_one_input(p, X):
    return jnp.tanh(X * p["b"] + p["e"]) @ p["v"] + p["c"]


def of_integers(p, X):
    return jnp.tanh(X @ p["W"] + p["b"]) @ p["v"] + p["c"]


def with_axes(p, X):
    return (jnp.tanh(X @ p["W"] + p["b"]) @ p["u"] + p["d"]).reshape(-1, 2, 3)[:, ::-1]


tanh = layered(jnp.tanh)
MEAN, ONE, ONE_TANH = np.array([0.3, -1.0, 2.0]), draw(3, 6, 1), "Input(3) >> Tanh(6) >> Linear(1)"
P = {
    "W": RNG.normal(size=(3, 4)),
    "b": RNG.normal(size=4),
    "v": RNG.normal(size=(4, 1)),
    "c": RNG.normal(size=1),
}
WIDE = {"W": P["W"], "b": P["b"], "u": RNG.normal(size=(4, 6)), "d": RNG.normal(size=6)}
NARROW = {"b": P["b"], "e": P["b"] + 1, "v": P["v"], "c": P["c"]}
TANH = "Input(3) >> Tanh(4) >> Linear(1)"
MODELS = {
    "in columns": ((swapped, P), X, None, TANH),
    "einsum": ((einsum, P), X, None, TANH),
    "one sample at a time": ((single, P), X, False, TANH),
    "one vector": ((flat, RNG.normal(size=21)), X, None, TANH),
    "one input": ((of_one_input, NARROW), X[:, :1], None, "Input(1) >> Tanh(4) >> Linear(1)"),
    "integers": ((of_integers, P), np.arange(60).reshape(-1, 3) % 7, None, TANH),
    "one sample": ((einsum, P), X[:1], None, TANH),
    "an output of two axes": ((with_axes, WIDE), X, None, "Input(3) >> Tanh(4) >> Linear(6)"),
    "one layer": ((layered(jnp.tanh), draw(3, 2)), X, None, "Input(3) >> Linear(2)"),
    "three layers": (
        (layered(jnp.tanh), draw(3, 4, 2, 1)),
        X,
        None,
        "Input(3) >> Tanh(4) >> Tanh(2) >> Linear(1)",
    ),
    "single precision": ((layered(jnp.tanh), draw(3, 4, 1, dtype=np.float32)), X, None, TANH),
    "scaled inputs": ((lambda p, X: tanh(p, (X - MEAN) / jnp.sqrt(2.0) + 1), ONE), X, None, ONE_TANH),
    "bent inputs": ((lambda p, X: tanh(p, jnp.sin(X)), ONE), X, None, ONE_TANH),
    "scaled integers": (
        (lambda p, X: tanh(p, X / MEAN), ONE),
        np.arange(60).reshape(-1, 3) % 7,
        None,
        ONE_TANH,
    ),
    "scaled samples in columns": (
        (lambda p, X: (p[0][0].T @ (X.T / MEAN[:, None]) + p[0][1][:, None]).T, draw(3, 2)),
        X,
        None,
        "Input(3) >> Linear(2)",
    ),
    "softmax": (
        (lambda p, X: jax.nn.softmax(tanh(p, X)), draw(3, 4, 3)),
        X,
        None,
        "Input(3) >> Tanh(4) >> Softmax(3)",
    ),
    "softmax written out": (
        (lambda p, X: jnp.exp(tanh(p, X)) / jnp.exp(tanh(p, X)).sum(axis=1, keepdims=True), draw(3, 4, 3)),
        X,
        None,
        "Input(3) >> Tanh(4) >> Softmax(3)",
    ),
    "a bent output": (
        (lambda p, X: jnp.tanh(layered(jnp.tanh)(p, X)), draw(3, 4, 1)),
        X,
        None,
        "Input(3) >> Tanh(4) >> Tanh(1)",
    ),
}


@pytest.mark.parametrize(("model", "data", "batched", "expected"), MODELS.values(), ids=MODELS)
def test_recognized(model, data, batched, expected):
    assert network_of(model, data, batched) == expected


ACTIVATIONS = {
    "Tanh": jnp.tanh,
    "Logistic": jax.nn.sigmoid,
    "Relu": jax.nn.relu,
    "Elu": jax.nn.elu,
    "Softplus": jax.nn.softplus,
    "Sine": jnp.sin,
    "Gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "Swish": jax.nn.silu,
    "Linear": lambda z: z,
}
WRITTEN_OUT = {
    "Relu": [lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z > 0, z, 0), lambda z: z * (z > 0)],
    "Logistic": [lambda z: 1 / (1 + jnp.exp(-z)), lambda z: 0.5 * (1 + jnp.tanh(0.5 * z))],
    "Swish": [lambda z: z / (1 + jnp.exp(-z))],
    "Softplus": [lambda z: jnp.logaddexp(z, 0), lambda z: jnp.maximum(z, 0) + jnp.log1p(jnp.exp(-abs(z)))],
    "Tanh": [lambda z: 2 * jax.nn.sigmoid(2 * z) - 1],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    for function in [ACTIVATIONS[name], *WRITTEN_OUT.get(name, [])]:
        expected = f"Input(3) >> {name}(4) >> Linear(1)"
        assert network_of((layered(function), draw(3, 4, 1))) == expected


def test_modules_of_equinox():
    eqx = pytest.importorskip("equinox")
    key = jax.random.key(0)
    assert network_of(eqx.nn.MLP(3, "scalar", 4, 2, activation=jnp.tanh, key=key)) == (
        "Input(3) >> Tanh(4) >> Tanh(4) >> Linear(1)"
    )
    parts = [eqx.nn.Linear(3, 4, key=key), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Linear(4, 2, key=key)]
    assert network_of(eqx.nn.Sequential(parts)) == "Input(3) >> Relu(4) >> Linear(2)"
    assert network_of(eqx.nn.MLP(3, 1, 4, 1, use_final_bias=False, activation=jnp.tanh, key=key)) is None


def test_modules_of_flax():
    nnx, linen = pytest.importorskip("flax.nnx"), pytest.importorskip("flax.linen")
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(nnx.Linear(3, 4, rngs=rngs), nnx.softplus, nnx.Linear(4, 1, rngs=rngs))
    assert network_of(model) == "Input(3) >> Softplus(4) >> Linear(1)"
    rounded = nnx.Sequential(nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 1, dtype=jnp.float32, rngs=rngs))
    assert network_of(rounded) is None
    module = linen.Sequential([linen.Dense(4), linen.tanh, linen.Dense(1)])
    assert network_of((module.apply, module.init(jax.random.key(0), X))) == TANH


# -- which not ---------------------------------------------------------------------------------------


@jax.custom_jvp
def another_slope(z):
    return jnp.tanh(z)


another_slope.defjvp(lambda z, d: (jnp.tanh(z[0]), d[0]))  # straight through
SQUARE = draw(3, 3, 1)


def shared(p, X):
    return jnp.tanh(jnp.tanh(X @ p[0][0] + p[0][1]) @ p[0][0] + p[0][1])


def skip(p, X):
    return tanh(p, X) + X[:, :1]


def residual(p, X):
    return (X + jnp.tanh(X @ p[0][0] + p[0][1])) @ p[1][0] + p[1][1]


def dense_net(p, X):
    return jnp.concatenate([X, jnp.tanh(X @ p["W"] + p["b"])], axis=1) @ p["u"] + p["d"]


def gated(p, X):
    z = X @ p[0][0] + p[0][1]
    return (jnp.tanh(z) * jax.nn.sigmoid(z[:, ::-1])) @ p[1][0] + p[1][1]


def normalized(p, X):
    z = jnp.tanh(X @ p[0][0] + p[0][1])
    return (z / jnp.sqrt((z**2).sum(axis=1, keepdims=True))) @ p[1][0] + p[1][1]


def scanned(p, X):
    step = lambda h, _: (jnp.tanh(h @ p[0][0] + p[0][1]), None)  # noqa: E731
    return jax.lax.scan(step, X, length=2)[0] @ p[1][0] + p[1][1]


WITHOUT_BIAS = {name: P[name] for name in ("W", "b", "v")}
CONCATENATED = {"W": P["W"], "b": P["b"], "u": RNG.normal(size=(7, 1)), "d": P["c"]}
OTHERS = {
    "a bias that is missing": (lambda p, X: jnp.tanh(X @ p["W"] + p["b"]) @ p["v"], WITHOUT_BIAS),
    "shared weights": (shared, draw(3, 3)),
    "skip connection": (skip, SQUARE),
    "residual": (residual, SQUARE),
    "inputs used twice": (dense_net, CONCATENATED),
    "gates": (gated, SQUARE),
    "normalized": (normalized, SQUARE),
    "scan": (scanned, SQUARE),
    "gelu by tanh": (layered(jax.nn.gelu), SQUARE),
    "another elu": (layered(lambda z: jax.nn.elu(z, 0.5)), SQUARE),
    "leaky relu": (layered(jax.nn.leaky_relu), SQUARE),
    "sine of another frequency": (layered(lambda z: jnp.sin(3 * z)), SQUARE),
    "softplus that overflows": (layered(lambda z: jnp.log1p(jnp.exp(z))), SQUARE),
    "another function far away": (layered(lambda z: jnp.where(z < 50, jnp.tanh(z), z)), SQUARE),
    "another derivative": (layered(another_slope), SQUARE),
    "without gradient": (layered(lambda z: jax.lax.stop_gradient(jnp.tanh(z))), SQUARE),
    "scaled output": (lambda p, X: 2.0 * tanh(p, X), SQUARE),
    "shifted output": (lambda p, X: tanh(p, X) + 1.0, SQUARE),
    "another scale for each sample": (lambda p, X: tanh(p, X * (1 + np.arange(50)[:, None])), SQUARE),
    "inputs from another column": (lambda p, X: tanh(p, X - X[:, ::-1]), SQUARE),
    "some inputs": (lambda p, X: tanh(p, X[:, :3]), draw(3, 2, 1), np.hstack([X, X])),
    "rounded on the way": (lambda p, X: tanh(p, X.astype(np.float32).astype(np.float64)), SQUARE),
    "squared weights": (lambda p, X: jnp.tanh(X @ p["W"] ** 2 + p["b"]) @ p["v"] + p["c"], P),
    "softmax of twice the last layer": (lambda p, X: jax.nn.softmax(2 * tanh(p, X)), draw(3, 4, 2)),
    "softmax over samples": (lambda p, X: jax.nn.softmax(tanh(p, X), axis=0), draw(3, 4, 2)),
    "softmax within": (lambda p, X: jax.nn.softmax(X @ p[0][0] + p[0][1]) @ p[1][0] + p[1][1], SQUARE),
    "sums of outputs": (lambda p, X: tanh(p, X).sum(axis=1), draw(3, 4, 2)),
    "squares of outputs": (lambda p, X: tanh(p, X) / tanh(p, X).sum(axis=1, keepdims=True), draw(3, 4, 2)),
    "an idle leaf": (lambda p, X: tanh(p[:2], X), [*SQUARE, np.ones(2)]),
    "a formula": (lambda p, X: p["a"] * jnp.exp(-p["k"] * X[:, 0]), {"a": 1.0, "k": 1.0}),
    "one of many outputs": (lambda p, X: tanh(p, X)[:, :1], draw(3, 4, 2)),
}


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS)
def test_not_recognized(case):
    function, params, *data = case
    assert network_of((function, params), *data) is None


def test_parts_that_are_not_trained_or_bounded():
    model = (einsum, P)
    assert network_of(model, trainable=lambda path: path != "W") is None
    assert network_of(model, transforms={"c": Positive()}, trainable=None) is None or P["c"][0] <= 0


def test_a_cross_entropy_of_probabilities_is_left_to_jax():
    model = (lambda p, X: jax.nn.sigmoid(tanh(p, X)), draw(3, 4, 1))
    assert network_of(model) == "Input(3) >> Tanh(4) >> Logistic(1)"
    assert network_of(model, loss=cross_entropy) is None
    assert network_of(model, loss=Huber()) is None


def test_a_model_of_some_samples_only_is_still_refused():
    rows = np.random.default_rng(2).normal(size=(90, 1))
    model = (lambda p, X: tanh(p, X) + rows, draw(3, 4, 1))
    with pytest.raises(ValueError, match="depends on the other samples"):
        fit(model, np.vstack([X, X])[:90], rows, **SOME)


def test_samples_that_are_mixed_are_still_refused():
    def centered(p, X):
        return tanh(p, X - X.mean(axis=0))

    with pytest.raises(ValueError, match="depends on the other samples"):
        fit((centered, draw(3, 4, 1)), X, Y, **SOME)


# -- the same training -------------------------------------------------------------------------------


LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
WEIGHTS = RNG.uniform(0.0, 2.0, size=50).round()
TWO = np.hstack([Y, Y**2])
THREE = draw(3, 6, 5, 3)
FITS = {
    "column": ("Tanh", ONE, Y, {"alpha": {"1": 0.1}, "sample_weight": WEIGHTS}),
    "two outputs, prior": ("Softplus", draw(3, 7, 2), TWO, {"alpha": 0.1}),
    "three classes": (
        "Tanh",
        THREE,
        LABELS,
        {"loss": cross_entropy, "alpha": 0.01, "sample_weight": WEIGHTS},
    ),
    "two classes": ("Swish", ONE, (Y > 0).astype(float), {"loss": cross_entropy, "alpha": 0.01}),
    "robust": ("Elu", ONE, Y, {"loss": Huber(0.3), "metric": MoreMetric()}),
    "not solved again": ("Relu", ONE, Y, {"resolve_output": False, "acceleration": None}),
    "single precision": ("Logistic", draw(3, 6, 1, dtype=np.float32), Y, {}),
    "shares": ("Tanh", draw(3, 6, 3), np.eye(3)[LABELS], {"output": jax.nn.softmax, "alpha": 0.01}),
    "bent": ("Tanh", ONE, np.tanh(Y), {"output": jnp.tanh}),
    "held out": ("Sine", ONE, Y, {"validation_data": (X[::2] + 0.1, Y[::2])}),
}


@pytest.mark.parametrize(("activation", "params", "y", "options"), FITS.values(), ids=FITS)
def test_the_same_training(activation, params, y, options, monkeypatch):
    monkeypatch.setattr("marquardt.jax_models.affine_block._pays", lambda model, q: True)
    output, inner = options.get("output", lambda z: z), layered(ACTIVATIONS[activation])
    model = (lambda p, X: output(inner(p, X)), params)
    options = {name: option for name, option in options.items() if name != "output"}
    found = fit(model, X, y, **SOME, **options)
    expected = fit(model, X, y, structured=False, **SOME, **options)
    assert found.network is not None and expected.network is None
    assert found.result.status is expected.result.status
    for column in ("cost", "damping", "gradient_norm", "validation_cost"):
        mine, theirs = (fitted.result.history.column(column) for fitted in (found, expected))
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-9, err_msg=column)
    np.testing.assert_allclose(found.result.w, expected.result.w, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.result.w_last, expected.result.w_last, rtol=1e-6, atol=1e-8)
    at, other = found.result.linearization, expected.result.linearization
    np.testing.assert_allclose(at.residual, other.residual, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(at.gradient, other.gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(at.jacobian.dense(), other.jacobian.dense(), rtol=1e-5, atol=1e-7)
    assert found.notes == expected.notes
    for mine, theirs in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True):
        assert type(mine) is type(theirs) and mine.dtype == theirs.dtype
    # the problem is the model's own, as ever
    w, at_w = found.result.w, found.problem.outputs(found.result.w)
    np.testing.assert_allclose(at_w, expected.problem.outputs(w), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.problem.cost(w), found.cost, rtol=1e-10)
    mine, theirs = found.problem.affine, expected.problem.affine
    assert (mine is None) == (theirs is None)
    assert mine is None or set(mine.entries) == set(theirs.entries)


def test_scaled_inputs_are_the_same():
    model = (lambda p, X: tanh(p, (X - MEAN) / np.array([1.0, 2.0, 3.0])), ONE)
    held_out = {"validation_data": (X[::2] + 0.1, Y[::2])}
    found, expected = (fit(model, X, Y, structured=way, **held_out, **SOME) for way in (True, False))
    assert found.network is not None
    np.testing.assert_allclose(found.result.w, expected.result.w, rtol=1e-7, atol=1e-9)
    mine, theirs = (fitted.result.history.column("validation_cost") for fitted in (found, expected))
    np.testing.assert_allclose(mine, theirs, rtol=1e-8)


def test_inputs_that_are_not_finite_are_left_to_jax():
    model = (lambda p, X: tanh(p, jnp.log(X)), ONE)
    assert network_of(model, np.abs(X)) == ONE_TANH
    assert network_of(model) is None


def test_a_warm_up_is_the_same():
    pytest.importorskip("optax")
    model, zero = (tanh, ONE), {"stopping": Stopping(max_iter=0), "warm_up": WarmUp(20)}
    found, expected = (
        fit(model, X, Y, alpha=0.1, **zero),
        fit(model, X, Y, alpha=0.1, structured=False, **zero),
    )
    assert found.network is not None
    np.testing.assert_allclose(found.result.w, expected.result.w, rtol=1e-8)
    assert found.cost < 0.9 * fit(model, X, Y, stopping=Stopping(max_iter=0)).cost


def test_nothing_is_compiled():
    """Neither the model nor the small operations on parameters, which XLA compiles one by one."""
    compiled = []

    def note(event, duration, **kwargs):
        if "backend_compile" in event:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    fitted = fit((layered(jnp.tanh), draw(3, 9, 1, dtype=np.float32)), X, Y, **SOME)
    assert fitted.network is not None
    assert fitted.problem.model.functions.n_traces == 0
    assert not compiled
    fitted.problem.cost(fitted.result.w)
    assert compiled  # the listener listens


def test_a_second_fit_reads_the_trace_no_more():
    calls = []

    def counted(p, X):
        calls.append(1)
        return tanh(p, X)

    fit((counted, ONE), X, Y, **SOME)
    first = len(calls)
    fit((counted, draw(3, 6, 1)), X[::-1], Y[::-1], **SOME)
    assert len(calls) - first == 1  # the shape of the outputs is looked up


def test_a_start_at_a_kink_is_left_to_jax():
    """Where the derivative of max(z, 0) is one half in JAX, and 0 in NumPy."""
    params = [[W, 0 * b] for W, b in ONE]
    data = np.vstack([np.zeros(3), X])
    at_zero = (layered(lambda z: jnp.maximum(z, 0)), params)
    assert network_of(at_zero, data) is None
    assert network_of((layered(jax.nn.relu), params), data) is not None


def test_a_model_that_is_not_finite_at_the_start_says_so():
    params = [[W * 1e200, b] for W, b in ONE]
    fitted = fit((lambda p, X: tanh(p, X) * 1e300, params), X, Y, **SOME)
    assert "NaN or infinity" in fitted.message
