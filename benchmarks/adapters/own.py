"""marquardt, with its defaults; only the goal and the cap are set."""

from __future__ import annotations

import numpy as np

from adapters.run import Run, Stopwatch


def prepare(task, **options):
    from marquardt.lm import minimize
    from marquardt.stopping import Stopping

    problem = task.problem()

    def solve(w0: np.ndarray, cap: float) -> Run:
        stopping = Stopping(max_iter=10**6, max_time=cap, cost_goal=task.goal_sse / 2)
        watch = Stopwatch(cap)
        result = minimize(problem, w0, stopping=stopping, **options)
        return watch.run(result.w, result.n_iter, result.status.name == "COST_GOAL", result.status.name)

    solve(task.draw(10**6), 0.05)
    return solve
