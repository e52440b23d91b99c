"""What can be wrong with a model in JAX, its data and its parameters: each said in words."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from marquardt import Status, Stopping
from marquardt.jax_models import Bounded, Positive, PytreeProblem, fit, least_squares

X = np.linspace(-1, 1, 12)[:, None]
Y = X**2
QUICK = {"stopping": Stopping(max_iter=3)}


def line(p, X):
    return X * p["a"] + p["b"]


LINE = {"a": 1.0, "b": 0.0}


def drop_out(p, X):
    return line(p, X) * np.random.default_rng().uniform(size=X.shape)


def noisy_callback(p, X):
    noise = jax.pure_callback(lambda: np.random.default_rng().normal(), jax.ShapeDtypeStruct((), np.float64))
    return line(p, X) + jax.lax.stop_gradient(noise)


def batch_norm(p, X):
    return line(p, X) - line(p, X).mean(axis=0)


CASES = {
    "no model": (lambda: fit(3, X, Y), TypeError, "model is a int: give an Equinox module"),
    "function without parameters": (lambda: fit(line, X, Y), TypeError, r"a pair \(function, params\)"),
    "wrong outputs": (
        lambda: fit((line, LINE), X, np.ones((12, 2))),
        ValueError,
        r"shape \(12, 1\), but y has shape \(12, 2\)",
    ),
    "too few targets": (
        lambda: fit((line, LINE), X, Y[:5]),
        ValueError,
        r"shape \(12, 1\), but y has shape \(5, 1\)",
    ),
    "samples summed up": (
        lambda: fit((lambda p, X: line(p, X).sum(), LINE), X, Y),
        ValueError,
        r"shape \(\) for 12 samples",
    ),
    "two outputs": (
        lambda: fit((lambda p, X: (line(p, X), X), LINE), X, Y),
        TypeError,
        "a tuple of 2 arrays",
    ),
    "integer outputs": (
        lambda: fit((lambda p, X: (line(p, X) > 0).astype(int), LINE), X, Y),
        TypeError,
        "returns int64",
    ),
    "no outputs": (
        lambda: fit((lambda p, X: line(p, X)[:, :0], LINE), X, Y[:, :0]),
        ValueError,
        "no outputs to fit",
    ),
    "no rows": (lambda: fit((line, LINE), X[:0], Y[:0]), ValueError, "X has no rows"),
    "NaN in X": (lambda: fit((line, LINE), X * np.nan, Y), ValueError, "X holds 12 NaN"),
    "NaN in y": (lambda: fit((line, LINE), X, Y * np.nan), ValueError, "y holds 12 NaN"),
    "rows that differ": (
        lambda: fit((lambda p, X: X[0] * p["a"], {"a": 1.0}), (X, X[:3]), Y),
        ValueError,
        "first axis of each",
    ),
    "negative weights": (
        lambda: fit((line, LINE), X, Y, sample_weight=-np.ones(12)),
        ValueError,
        "negative value",
    ),
    "integer parameter": (
        lambda: fit((line, {"a": 1.0, "b": {"c": np.arange(3)}}), X, Y),
        TypeError,
        "parameter b.c is int64",
    ),
    "integer number": (lambda: fit((line, {"a": 1, "b": 0.0}), X, Y), TypeError, "parameter a is int"),
    "complex parameter": (
        lambda: fit((line, {"a": 1j, "b": 0.0}), X, Y),
        TypeError,
        "parameter a is complex",
    ),
    "NaN parameter": (lambda: fit((line, {"a": np.nan, "b": 0.0}), X, Y), ValueError, "a holds NaN"),
    "nothing to train": (
        lambda: fit((line, LINE), X, Y, trainable=lambda path: False),
        ValueError,
        "nothing to train",
    ),
    "a mask of another shape": (
        lambda: fit((line, LINE), X, Y, trainable=[True, 3]),
        TypeError,
        "trainable=",
    ),
    "start at a bound": (
        lambda: fit((line, LINE), X, Y, transforms={"b": Positive()}),
        ValueError,
        "b starts at 0, but must be > 0",
    ),
    "start out of bounds": (
        lambda: fit((line, LINE), X, Y, transforms={"a": Bounded(2, 3)}),
        ValueError,
        r"a starts at 1, but must lie inside \(2, 3\)",
    ),
    "bounds crossed": (lambda: Bounded(3, 2), ValueError, "low must be less than high"),
    "bounds equal": (
        lambda: Bounded(2, 2),
        ValueError,
        "leave a parameter that is known out with trainable=",
    ),
    "no such parameter": (
        lambda: fit((line, LINE), X, Y, transforms={"c": Positive()}),
        ValueError,
        "'c', which is no parameter; there are a, b",
    ),
    "negative alpha": (
        lambda: fit((line, LINE), X, Y, alpha={"a": -1}),
        ValueError,
        r"alpha=\{'a': -1\} must be finite",
    ),
    "random numbers": (
        lambda: fit((drop_out, LINE), X, Y),
        ValueError,
        "the model differs from call to call",
    ),
    "random numbers by a callback": (
        lambda: fit((noisy_callback, LINE), X, Y),
        ValueError,
        "the model gives different values",
    ),
    "batch norm": (lambda: fit((batch_norm, LINE), X, Y), ValueError, "depends on the other samples"),
    "no residuals": (lambda: least_squares(lambda p: p[:0], np.ones(3)), ValueError, "returns no numbers"),
    "integer residuals": (
        lambda: least_squares(lambda p: {"r": jnp.arange(3)}, np.ones(3)),
        TypeError,
        "residuals at r are int",
    ),
    "complex residuals": (
        lambda: least_squares(lambda p: p * 1j, np.ones(3)),
        TypeError,
        "stack real and imaginary parts",
    ),
    "random residuals": (
        lambda: least_squares(lambda p: p * np.random.default_rng().normal(), np.ones(3)),
        ValueError,
        "the residual function differs from call to call",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), CASES.values(), ids=CASES)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_dropout_layer_of_equinox():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.Sequential([eqx.nn.Linear(1, 1, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    with pytest.raises(RuntimeError, match="key"):  # Equinox's own word
        fit(model, X, Y)
    assert fit(eqx.nn.inference_mode(model), X, Y, **QUICK).success


def test_a_dropout_layer_of_flax():
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Sequential(nnx.Linear(1, 4, rngs=nnx.Rngs(0)), nnx.Dropout(0.5, rngs=nnx.Rngs(1)))
    with pytest.raises(ValueError, match=r"depends on the other samples|differs from call to call"):
        fit(model, X, np.ones((12, 4)))
    model.eval()
    assert fit(model, X, np.ones((12, 4)), **QUICK).success


def test_a_model_that_is_not_finite_at_the_start():
    fitted = fit((lambda p, X: jnp.log(X * p["a"]), {"a": 1.0}), X, Y)
    assert fitted.status is Status.NO_FINITE_START
    assert "NaN or infinity for 6 of 12 samples at the start, the first is sample 0" in fitted.message
    assert fitted.params == {"a": 1.0}


def test_a_model_that_is_not_finite_further_on():
    """sqrt(a − 1) leaves its domain on the first full step; the step is shortened."""
    fitted = fit((lambda p, X: jnp.sqrt(p["a"] - 1.0) + 0 * X, {"a": 9.0}), X, np.full((12, 1), 0.1))
    np.testing.assert_allclose(fitted.params["a"], 1.01, rtol=1e-6)


def test_parameters_without_influence_are_named():
    params = {"a": 1.0, "b": 0.0, "idle": {"matrix": np.ones((2, 2))}}
    fitted = fit((line, params), X, 3 * X + 1)
    assert fitted.success
    np.testing.assert_allclose([fitted.params["a"], fitted.params["b"]], [3, 1])
    assert (fitted.params["idle"]["matrix"] == 1).all()
    assert "4 of 6 parameters have no influence on the residuals: idle.matrix[0, 0], idle" in fitted.message
    by_tree = least_squares(lambda p: line(p, X) - 3 * X - 1, params)
    assert "idle.matrix[1, 1]" in by_tree.message


def test_a_model_that_ignores_its_inputs():
    fitted = fit((lambda p, X: p["b"] + 0 * X, {"b": 0.0}), X, Y)
    np.testing.assert_allclose(fitted.params["b"], Y.mean())
    assert fitted.notes == ("the model ignores its inputs: its output is the same for every sample",)


def test_a_model_in_single_precision():
    def single(p, X):
        return line(p, X).astype(np.float32)

    fitted = fit((single, LINE), X, 3 * X, **QUICK)
    assert any("returns float32" in note for note in fitted.notes)
    np.testing.assert_allclose(fitted.params["a"], 3, rtol=1e-5)


def test_fewer_samples_than_parameters():
    def wide(p, X):
        return jnp.tanh(X @ p["W"] + p["b"]) @ p["v"]

    rng = np.random.default_rng(0)
    sizes = {"W": (1, 30), "b": (30,), "v": (30, 1)}
    fitted = fit((wide, {name: rng.normal(size=size) for name, size in sizes.items()}), X, Y)
    assert fitted.cost < 1e-20


def test_an_interrupted_fit_hands_out_the_best():
    def stop(record):
        if record.iteration == 2:
            raise KeyboardInterrupt

    fitted = fit((lambda p, X: jnp.exp(X * p["a"]), {"a": 0.0}), X, np.exp(2 * X), callback=stop)
    assert fitted.status is Status.INTERRUPTED
    assert fitted.cost < fitted.result.history[0].cost


def test_the_problem_says_where_the_wrong_leaf_is():
    with pytest.raises(TypeError, match="parameter 1 is str"):
        PytreeProblem(lambda p: p[0], [1.0, "two"])


def test_without_jax_the_message_gives_the_command():
    code = "import sys; sys.modules['jax'] = None\nimport marquardt.jax_models"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'marquardt[jax]'" in ran.stderr.splitlines()[-1]
