"""First-order steps before Levenberg-Marquardt: the cost never rises on the way."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("optax")

import jax.numpy as jnp
import optax

from marquardt import Stopping
from marquardt.jax_models import WarmUp, fit, least_squares

X = np.linspace(-1, 1, 25)[:, None]


def network(p, X):
    return jnp.tanh(X @ p["W"] + p["b"]) @ p["v"]


def draw(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = rng.normal() * np.sin(rng.uniform(1, 4) * X) + 0.1 * rng.normal(size=X.shape)
    sizes = {"W": (1, 4), "b": (4,), "v": (4, 1)}
    return {name: rng.normal(size=size).astype(dtype) for name, size in sizes.items()}, y


def cost(params, y):
    hidden = np.tanh(X @ params["W"].astype(float) + params["b"].astype(float))
    return 0.5 * float(((hidden @ params["v"].astype(float) - y) ** 2).sum())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_hand_over_never_raises_the_cost(dtype):
    """100 modules trained by Adam; learning rates that are too large included."""
    optimizers = [optax.adam(rate) for rate in (1e-2, 1.0)]
    for seed in range(50):
        params, y = draw(seed, dtype)
        warm_up = WarmUp(5, optimizers[seed % 2])
        warm = fit((network, params), X, y, warm_up=warm_up, stopping=Stopping(max_iter=0))
        done = fit(warm.model, X, y, stopping=Stopping(max_iter=3))
        assert warm.cost <= cost(params, y) * (1 + 1e-12)
        assert cost(warm.params, y) <= cost(params, y) * (1 + 1e-12)
        assert cost(done.model[1], y) <= cost(warm.model[1], y) * (1 + 1e-12)


def test_a_trained_model_that_cannot_gain_stays_as_it_is():
    """At the optimum rounding to float32 would lose more than the last steps gain."""
    params, y = draw(0, np.float32)
    once = fit((network, params), X, y, stopping=Stopping(max_iter=200))
    twice = fit(once.model, X, y)
    assert cost(twice.model[1], y) <= cost(once.model[1], y)


def test_the_warm_up_lowers_the_cost_and_returns_the_best():
    params, y = draw(1)
    still = fit((network, params), X, y, stopping=Stopping(max_iter=0))
    warm = fit((network, params), X, y, warm_up=WarmUp(100), stopping=Stopping(max_iter=0))
    wild = fit((network, params), X, y, warm_up=WarmUp(20, optax.sgd(1e6)), stopping=Stopping(max_iter=0))
    assert warm.cost < 0.5 * still.cost
    assert wild.cost <= still.cost


def test_residuals_can_be_warmed_up_too():
    fitted = least_squares(
        lambda p: jnp.stack([10 * (p[1] - p[0] ** 2), 1 - p[0]]), np.array([-1.2, 1.0]), warm_up=WarmUp(50)
    )
    np.testing.assert_allclose(fitted.params, [1, 1])


def test_an_optimizer_of_ones_own():
    params, y = draw(2)
    schedule = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9))
    warm = fit((network, params), X, y, warm_up=WarmUp(30, schedule), stopping=Stopping(max_iter=0))
    assert warm.cost < cost(params, y)


def test_without_optax_the_message_gives_the_command():
    code = (
        "import sys; sys.modules['optax'] = None\n"
        "from marquardt.jax_models import WarmUp, fit\n"
        "fit((lambda p, X: p * X, 1.0), [1.0, 2.0], [1.0, 2.0], warm_up=WarmUp())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'marquardt[jax]'" in ran.stderr.splitlines()[-1]
