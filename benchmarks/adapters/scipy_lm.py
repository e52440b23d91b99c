"""SciPy's least_squares(method="lm"), that is MINPACK's lmder, given marquardt's exact Jacobian.

``x_scale=None`` is the default: MINPACK scales by the columns of the Jacobian. ``x_scale=1.0`` does not,
which suits some networks better. Tolerances are at their least (SciPy asks for more than machine epsilon).
The goal is looked for in every residual SciPy asks for, and the run ends there: SciPy does not even pay for
the rest of that iteration.
"""

from __future__ import annotations

import numpy as np

from adapters.run import Finished, Run, Stopwatch

_LEAST = 2.3e-16


def prepare(task, x_scale: float | None):
    from scipy.optimize import least_squares

    problem = task.problem()
    net, X, y = problem.network, task.X, task.y

    def solve(w0: np.ndarray, cap: float) -> Run:
        watch, best, best_w, steps = Stopwatch(cap), np.inf, w0, 0

        def residual(w: np.ndarray) -> np.ndarray:
            nonlocal best, best_w
            r = (net.predict(w, X) - y).T.ravel()  # output by output, as the rows of the Jacobian are
            sse = float(r @ r)
            if sse < best:
                best, best_w = sse, w.copy()
            if sse <= task.goal_sse or watch.expired:
                raise Finished
            return r

        def jacobian(w: np.ndarray) -> np.ndarray:
            nonlocal steps
            steps += 1
            return problem.linearize(w).jacobian.dense()

        try:
            fit = least_squares(
                residual,
                w0,
                jac=jacobian,
                method="lm",
                x_scale=x_scale,
                ftol=_LEAST,
                xtol=_LEAST,
                gtol=_LEAST,
                max_nfev=10**7,
            )
            stop = f"status {fit.status}"
        except Finished:
            stop = "cap"
        return watch.run(best_w, steps, best <= task.goal_sse, stop)

    solve(task.draw(10**6), 0.05)
    return solve
