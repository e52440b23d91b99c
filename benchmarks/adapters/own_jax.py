"""marquardt.jax_models.fit on the network written in JAX, with its defaults and all of its checks.

A softmax output is left to the loss, as in the NumPy network: then the layer before it can be solved again.
"""

from __future__ import annotations

import numpy as np

from adapters.run import Run, Stopwatch


def prepare(task, **options):
    import jax
    import jax.numpy as jnp

    from marquardt.jax_models import fit
    from marquardt.losses import SoftmaxSquaredError
    from marquardt.stopping import Stopping

    kinds = {"tanh": jnp.tanh, "logistic": jax.nn.sigmoid, "linear": lambda z: z, "softmax": lambda z: z}
    if task.output == "softmax":
        options["loss"] = lambda activation, targets, roots: SoftmaxSquaredError(targets, roots)

    def network(params, X):
        a = X
        for k, W in enumerate(params):
            z = a @ W[:, :-1].T + W[:, -1]
            a = kinds[task.output if k == len(params) - 1 else task.activation](z)
        return a

    def start(w: np.ndarray) -> list[np.ndarray]:
        return [np.hstack([W, b[:, None]]) for W, b in task.unpack(w)]

    def solve(w0: np.ndarray, cap: float) -> Run:
        stopping = Stopping(max_iter=10**6, max_time=cap, cost_goal=task.goal_sse / 2)
        watch = Stopwatch(cap)
        result = fit((network, start(w0)), task.X, task.y, stopping=stopping, **options).result
        return watch.run(result.w, result.n_iter, result.status.name == "COST_GOAL", result.status.name)

    fit((network, start(task.draw(10**6))), task.X, task.y, stopping=Stopping(max_iter=2), **options)
    return solve
