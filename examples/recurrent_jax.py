"""A recurrent network in JAX on a short series, its gradient watched through time.

    pip install 'marquardt[jax]' equinox
    python examples/recurrent_jax.py

300 values of the Mackey-Glass series; a GRU of Equinox reads 20 of them and predicts the next.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from marquardt import Stopping, minimize
from marquardt.apps.sequences import Watched
from marquardt.jax_models import double_precision, fit


def mackey_glass(n: int) -> np.ndarray:
    """x' = 0.2 x(t − 17) / (1 + x(t − 17)¹⁰) − 0.1 x, every second unit of time, less its mean."""
    x, substeps = [1.2] * 171, 10
    for _ in range(2 * substeps * (n + 50)):
        x.append(x[-1] + (0.2 * x[-171] / (1 + x[-171] ** 10) - 0.1 * x[-1]) / substeps)
    series = np.array(x[-2 * substeps * n :: 2 * substeps])
    return series - series.mean()


def windows(series: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, length, 1) values, and the next one (n, 1)."""
    views = np.lib.stride_tricks.sliding_window_view(series, length + 1)
    return views[:, :-1, None].copy(), views[:, -1:].copy()


class Recurrent(eqx.Module):
    """A GRU, and a linear answer from its last state."""

    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __init__(self, units: int, key: jax.Array) -> None:
        one, other = jax.random.split(key)
        self.cell = eqx.nn.GRUCell(1, units, key=one)
        self.head = eqx.nn.Linear(units, 1, key=other)

    def __call__(self, x: jax.Array) -> jax.Array:
        """One series (T, 1)."""
        return self.moved(x, jnp.zeros((len(x), self.cell.hidden_size)))

    def moved(self, x: jax.Array, changes: jax.Array) -> jax.Array:
        """The answer when every state is changed by so much (T, units)."""

        def step(state, now):
            value, change = now
            return self.cell(value, state) + change, None

        return self.head(jax.lax.scan(step, jnp.zeros(self.cell.hidden_size), (x, changes))[0])


@eqx.filter_jit
def through_time(model: Recurrent, X: jax.Array) -> jax.Array:
    """Norms of ∂ŷ/∂(state j steps before), root mean squares over the windows."""
    still = jnp.zeros((X.shape[1], model.cell.hidden_size))
    slopes = jax.vmap(lambda x: jax.grad(lambda changes: model.moved(x, changes)[0])(still))(X)
    return jnp.sqrt(jnp.mean(jnp.sum(slopes**2, axis=-1), axis=0))[::-1]


def main(units: int = 5, max_iter: int = 60) -> float:
    X, y = windows(mackey_glass(300), 20)
    X, y, new_X, new_y = X[:200], y[:200], X[200:], y[200:]
    begun = fit(Recurrent(units, jax.random.key(0)), X, y, stopping=Stopping(max_iter=0))

    def flow(w: np.ndarray) -> np.ndarray:
        return np.asarray(through_time(begun.tree.restore(w), X))

    with double_precision():
        watched = Watched(begun.problem, flow)
        result = minimize(watched, begun.result.w, stopping=Stopping(max_iter=max_iter))
        model = begun.tree.restore(result.w)
        error = float(np.sqrt(np.mean((jax.vmap(model)(new_X) - new_y) ** 2)))
    print(result.message)
    print(watched)
    print(f"Next value of {len(new_y)} new windows: error {error:.2g}, of a spread of {new_y.std():.2g}")
    return error / float(new_y.std())


if __name__ == "__main__":
    main()
