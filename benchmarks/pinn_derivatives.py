"""Derivatives of a field: forward over forward mode beside Taylor mode, by order.

    python benchmarks/pinn_derivatives.py

A row of the Jacobian of ∂ᵏu/∂xᵏ for each of 1000 points, u = tanh 2-32-32-1 in float64: time of a compiled
call and time to compile, best of 20 and one.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet

from marquardt.apps.pinn import Box, Dense
from marquardt.jax_models import double_precision
from table import duration, ratio, save, table

BOX, NETWORK, POINTS = Box.of(x=(0, 1), y=(0, 1)), Dense((32, 32)), 1000
Derivative = Callable[[Callable[[Any], Any], Any, int], Any]


def nested(u: Callable[[Any], Any], x: Any, order: int) -> Any:
    """∂ᵏu/∂x₀ᵏ by jvp of jvp of …"""
    direction = jnp.zeros_like(x).at[0].set(1.0)
    for _ in range(order):
        u = lambda x, u=u: jax.jvp(u, (x,), (direction,))[1]  # noqa: E731
    return u(x)[0]


def taylor(u: Callable[[Any], Any], x: Any, order: int) -> Any:
    """The same from one propagated series."""
    direction = jnp.zeros_like(x).at[0].set(1.0)
    series = [direction, *(jnp.zeros_like(x) for _ in range(order - 1))]
    return jet(u, (x,), (series,))[1][-1][0]


def timed(way: Derivative, order: int) -> tuple[float, float, Any]:
    """(seconds of a call, seconds to compile, the Jacobian)."""
    params = NETWORK.start(BOX, 1, np.random.default_rng(0))
    points = np.random.default_rng(1).uniform(size=(POINTS, 2))
    with double_precision():

        def one(params: Any, x: Any) -> Any:
            return way(lambda x: NETWORK.value(params, x, BOX), x, order)

        rows = jax.jit(jax.vmap(jax.grad(one), in_axes=(None, 0)))
        begun = time.perf_counter()
        jax.block_until_ready(rows(params, points))
        compilation = time.perf_counter() - begun
        calls = []
        for _ in range(20):
            begun = time.perf_counter()
            found = jax.block_until_ready(rows(params, points))
            calls.append(time.perf_counter() - begun)
        return min(calls), compilation, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])


def main() -> None:
    rows, data = [], []
    for order in (1, 2, 3, 4, 5, 6, 7, 8):
        forward, taylor_mode = timed(nested, order), timed(taylor, order)
        gap = float(np.max(np.abs(forward[2] - taylor_mode[2])) / np.max(np.abs(forward[2])))
        data.append({"order": order, "forward": forward[:2], "taylor": taylor_mode[:2], "gap": gap})
        rows.append(
            [
                order,
                duration(forward[0]),
                duration(taylor_mode[0]),
                ratio(forward[0] / taylor_mode[0]),
                duration(forward[1]),
                duration(taylor_mode[1]),
                f"{gap:.0e}",
            ]
        )
    header = ["order", "forward", "Taylor", "ratio", "forward compiles", "Taylor compiles", "difference"]
    text = "# Derivatives of a field\n\nJacobian rows of ∂ᵏu/∂xᵏ, 1000 points, tanh 2-32-32-1.\n\n"
    save("pinn_derivatives", {"rows": data}, text + table(header, rows))


if __name__ == "__main__":
    main()
