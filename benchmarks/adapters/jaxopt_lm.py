"""jaxopt.LevenbergMarquardt by its documented ``init_state`` and ``update``, many updates per compiled call.

Two settings: the default (matrix-free conjugate gradients), and ``solver="cholesky", materialize_jac=True``,
the faster one for small networks.  The goal is the end of the compiled loop, which returns every 20 updates
to look at the clock; jaxopt's own tolerances play no part.
"""

from __future__ import annotations

import numpy as np

from adapters.jax_network import residual_function
from adapters.run import Run, Stopwatch

_STEPS_PER_CALL = 20


def prepare(task, materialize: bool):
    residual, data = residual_function(task)
    import jax
    import jax.numpy as jnp
    import jaxopt

    options = {"solver": "cholesky", "materialize_jac": True} if materialize else {}
    solver = jaxopt.LevenbergMarquardt(residual_fun=residual, tol=0.0, **options)

    @jax.jit
    def start(w, args):
        state = solver.init_state(w, args)
        state = state._replace(increase_factor=2.0)  # a float from the first, as the loop needs
        return jax.tree.map(
            lambda x: jnp.asarray(x, jnp.asarray(x).dtype), state
        )  # else `advance` compiles twice

    @jax.jit
    def advance(w, state, args):
        def unfinished(carry):
            _, state, k = carry
            return (k < _STEPS_PER_CALL) & ~(2 * state.value <= task.goal_sse)

        def body(carry):
            w, state, k = carry
            w, state = solver.update(w, state, args)
            return w, state, k + 1

        return jax.lax.while_loop(unfinished, body, (w, state, 0))

    def solve(w0: np.ndarray, cap: float) -> Run:
        watch, steps = Stopwatch(cap), 0
        w = jnp.asarray(w0)
        state = start(w, data)
        while True:
            w, state, k = advance(w, state, data)
            sse, steps = 2 * float(state.value), steps + int(k)
            reached = sse <= task.goal_sse
            if reached or watch.expired or np.isnan(sse):
                return watch.run(w, steps, reached, "NaN" if np.isnan(sse) else "cap")

    solve(task.draw(10**6), 0.0)
    return solve
