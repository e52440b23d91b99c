"""optimistix.LevenbergMarquardt by its documented step interface, many steps per compiled call.

The loop over ``solver.step`` is the one of ``optimistix.least_squares``, with the goal as its end in place
of the tolerances.  It returns to Python every 20 steps to look at the clock, which costs some ten
microseconds. ``linear_solver="qr"`` is the default (QR of the stacked matrix); "normal" is
``lineax.Normal(lineax.Cholesky())``.
"""

from __future__ import annotations

import numpy as np

from adapters.jax_network import residual_function
from adapters.run import Run, Stopwatch

_STEPS_PER_CALL = 20


def prepare(task, linear_solver: str):
    residual, data = residual_function(task)
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import lineax as lx
    import optimistix as optx

    linear = {"qr": lx.QR(), "normal": lx.Normal(lx.Cholesky())}[linear_solver]
    solver = optx.LevenbergMarquardt(rtol=0.0, atol=0.0, linear_solver=linear)

    def fn(w, args):
        return residual(w, args), None

    def initial(w, args):
        fn_ = eqx.filter_closure_convert(fn, w, args)
        f_struct, _ = jax.eval_shape(fn_, w, args)
        state = solver.init(fn_, w, args, {}, f_struct, None, frozenset())
        return fn_, *eqx.partition(state, eqx.is_array)

    @jax.jit
    def start(w, args):
        return initial(w, args)[1]

    @jax.jit
    def advance(w, arrays, args):
        fn_, _, static = initial(w, args)

        def unfinished(carry):
            *_, sse, k = carry
            return (k < _STEPS_PER_CALL) & ~(sse <= task.goal_sse)

        def body(carry):
            w, arrays, _, k = carry
            w, state, _ = solver.step(fn_, w, args, {}, eqx.combine(arrays, static), frozenset())
            sse = jnp.sum(state.f_info.residual**2)
            return w, eqx.filter(state, eqx.is_array), sse, k + 1

        return jax.lax.while_loop(unfinished, body, (w, arrays, jnp.inf, 0))

    def solve(w0: np.ndarray, cap: float) -> Run:
        watch, steps = Stopwatch(cap), 0
        w = jnp.asarray(w0)
        arrays = start(w, data)
        while True:
            w, arrays, sse, k = advance(w, arrays, data)
            sse, steps = float(sse), steps + int(k)
            reached = sse <= task.goal_sse
            if reached or watch.expired or np.isnan(sse):
                return watch.run(w, steps, reached, "NaN" if np.isnan(sse) else "cap")

    solve(task.draw(10**6), 0.0)
    return solve
