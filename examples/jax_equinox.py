"""An Equinox module trained by Adam, and handed over to Levenberg-Marquardt.

    pip install 'marquardt[jax]' equinox optax
    python examples/jax_equinox.py

The module comes from anywhere, in float32; `fit` computes in float64 and gives it back in float32.
"""

from __future__ import annotations

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from marquardt import Stopping
from marquardt.jax_models import fit


def surface(n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a smooth function of two inputs."""
    X = np.random.default_rng(0).uniform(-1, 1, (n_samples, 2))
    return X, np.sin(4 * X[:, :1]) * np.cos(3 * X[:, 1:])


def by_adam(model: eqx.Module, X: np.ndarray, y: np.ndarray, n_steps: int) -> eqx.Module:
    """The usual training loop."""
    optimizer = optax.adam(1e-2)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def advance(model, state, X, y):
        def loss(model):
            return jnp.mean((jax.vmap(model)(X) - y) ** 2)

        updates, state = optimizer.update(eqx.filter_grad(loss)(model), state)
        return eqx.apply_updates(model, updates), state

    for _ in range(n_steps):
        model, state = advance(model, state, jnp.asarray(X), jnp.asarray(y))
    return model


def main() -> None:
    X, y = surface(1000)
    start = time.perf_counter()
    model = eqx.nn.MLP(2, 1, width_size=15, depth=2, activation=jnp.tanh, key=jax.random.key(0))
    trained = by_adam(model, X, y, 2000)
    by_then = time.perf_counter()
    fitted = fit(trained, X, y, stopping=Stopping(max_iter=100))
    end = time.perf_counter()
    print("root mean squared error, compilation included in the times")
    before, after = (np.sqrt(2 * cost / len(X)) for cost in (fitted.result.history[0].cost, fitted.cost))
    print(f"  Adam, 2000 steps             {before:.2e}   {by_then - start:.1f} s")
    print(f"  and Levenberg-Marquardt, {fitted.result.n_iter:3d} {after:.2e}   {end - by_then:.1f} s")
    test_X, test_y = surface(3000)
    error = np.sqrt(np.mean((jax.vmap(fitted.model)(test_X) - test_y) ** 2))
    print(f"  the module, in {fitted.model.layers[0].weight.dtype}, on new points: {error:.2e}")


if __name__ == "__main__":
    main()
