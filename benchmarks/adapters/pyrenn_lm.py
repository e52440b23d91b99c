"""pyrenn.train_LM, which trains tanh hidden layers and a linear output.

Three things are worked around, none of which slows it: its scaling of inputs and targets is set to 1, so that
it fits the same data from the same start; its weights are stored column by column, so ours are put in that
order; and, as it has no callback, the goal and the clock are looked at where it evaluates its cost
(``calc_error``), which also saves it from its own endless loop when no damping helps.
"""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np

from adapters import Unsupported
from adapters.run import Finished, Run, Stopwatch


def to_pyrenn(task, w: np.ndarray) -> np.ndarray:
    return np.concatenate([np.r_[W.ravel(order="F"), b] for W, b in task.unpack(w)])


def from_pyrenn(task, v: np.ndarray) -> np.ndarray:
    blocks, at = [], 0
    for o, i in task.shapes:
        blocks.append(v[at : at + o * i].reshape(i, o).T.ravel())
        at += o * i
    return np.concatenate(blocks)


def prepare(task):
    if (task.activation, task.output) != ("tanh", "linear"):
        raise Unsupported("has tanh hidden layers and a linear output only")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # `is not 0` in its source
        import pyrenn

    calc_error = pyrenn.calc_error

    def solve(w0: np.ndarray, cap: float) -> Run:
        net = pyrenn.CreateNN(list(task.sizes))
        net["w"] = net["w0"] = to_pyrenn(task, w0)
        net["normP"], net["normY"] = np.ones(task.sizes[0]), np.ones(task.sizes[-1])
        watch, best, best_w, steps = Stopwatch(cap), np.inf, w0, 0

        def watched(net, data):
            nonlocal best, best_w, steps
            error = float(calc_error(net, data))
            if error < best:
                best, best_w, steps = error, net["w"], steps + 1
            if error <= task.goal_sse or watch.expired:
                raise Finished
            return error

        pyrenn.calc_error = watched
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                pyrenn.train_LM(task.X.T, task.y.T, net, k_max=10**6, E_stop=task.goal_sse)
        except Finished:
            pass
        finally:
            pyrenn.calc_error = calc_error
        return watch.run(from_pyrenn(task, best_w), steps, best <= task.goal_sse, "cap")

    return solve
