"""`solve`: a network trained to satisfy a differential equation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from marquardt import QR, Auto, Iteration, Status, Stopping
from marquardt.apps.pinn.network import Dense, FieldNetwork
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.samples import Samples
from marquardt.apps.pinn.solution import Solution
from marquardt.apps.pinn.stall import Stall
from marquardt.apps.pinn.weighting import Fixed, Weighting
from marquardt.jax_models import GroupFit, Positive, WarmUp, fit_groups

POLISH_FLOPS = 5e10
"""Most flops of a QR, two or three seconds, for which a last polish is worth its time."""


def solve(
    pde: PDE,
    network: FieldNetwork | Sequence[int] | None = None,
    *,
    start: Solution | None = None,
    weighting: Weighting | None = None,
    renew_every: int | None = None,
    resample: bool = True,
    max_iter: int = 1000,
    max_time: float | None = None,
    patience: int = 50,
    polish: bool = True,
    warm_up: WarmUp | None = None,
    random_state: int = 0,
    callback: Callable[[Iteration], bool | None] | None = None,
    **options: Any,
) -> Solution:
    """Solve a differential problem by a network, trained by Levenberg-Marquardt in float64.

    Parameters
    ----------
    pde : PDE
    network : Dense, or sequence of int
        A network, or the widths of its hidden layers; (32, 32) by default.
    start : Solution, optional
        Of a problem with the same fields and network, to go on from: for a curriculum of growing
        difficulty, or to train longer.
    weighting : Weighting, optional
        `Balanced()`, `Causal()`; by default the weights of the groups.
    renew_every : int, optional
        Iterations after which points and weights are made anew.  By default the points stay (a fixed set of
        points can be fitted down to rounding), and so do the weights, unless `weighting` is given: then 10.
    resample : bool
        Whether a renewal places the points anew.
    max_iter, max_time
        Limits; the time, in seconds, without compilation.
    patience : int
        Ends the run when the cost has fallen by less than a tenth in that many iterations.
    polish : bool
        Whether to go on by QR where Cholesky has lost its digits.
    warm_up : WarmUp, optional
        First-order steps before.
    random_state : int
        Of weights and points.
    callback : callable, optional
        Called with the record of every iteration; a true return value ends the run.
    **options
        As in `marquardt.minimize`: damping, solver, acceleration, …

    Returns
    -------
    Solution

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt.apps.pinn import Boundary, Box, Interior, PDE, solve
    >>> problem = PDE(
    ...     Box.of(x=(0, 1)),
    ...     [Interior(lambda at: at.u_xx - 2.0, n=20), Boundary(lambda at: at.u - at.x, n=2)],
    ... )
    >>> solution = solve(problem, (8,), max_iter=60)
    >>> solution.error(lambda x: x**2) < 1e-6
    True
    """
    network = _network(network, start)
    model = pde.model(network)
    rng = np.random.default_rng(random_state)
    params = model.start(pde.unknowns, rng) if start is None else start.params_for(pde, network)
    if renew_every is None and weighting is not None:
        renew_every, resample = 10, False
    samples = Samples(
        pde, model, weighting or Fixed(), resample and renew_every is not None, int(rng.integers(2**31))
    )
    moving = {} if renew_every is None else {"regroup": samples.groups, "every": renew_every}
    clock, groups = _Clock(max_time), samples.fixed_groups()
    fits: list[GroupFit] = []
    endings: list[str] = []

    def train(params: Any, more: dict[str, Any]) -> GroupFit:
        stall, done = Stall(patience, callback), sum(len(fit.result.history) - 1 for fit in fits)
        settings = {"stopping": clock.stopping(max_iter - done), "callback": stall, **more, **options}
        transforms = {f"unknowns.{name}": Positive() for name in pde.positive}
        fits.append(fit_groups(groups, params, transforms=transforms, **settings))
        endings.append(stall.ending(fits[-1].message))
        return fits[-1]

    main = train(params, {"solver": Auto(), "warm_up": warm_up, **moving})
    if polish and renew_every is None and "solver" not in options and _worth_polishing(main):
        train(main.params, {"solver": QR()})
    return Solution(pde, network, model, tuple(fits), samples, tuple(endings))


def _network(network: FieldNetwork | Sequence[int] | None, start: Solution | None) -> FieldNetwork:
    if network is None:
        return Dense() if start is None else start.network
    return Dense(tuple(network)) if isinstance(network, list | tuple) else network  # type: ignore[return-value]


def _worth_polishing(fit: GroupFit) -> bool:
    """Whether the run came to the end of what the squared system can tell, and a QR is cheap enough."""
    n, p = fit.problem.n_residuals, fit.problem.n_params
    came_to_rest = fit.status in {Status.COST_TOLERANCE, Status.DAMPING_LIMIT, Status.STOPPED_BY_CALLBACK}
    return came_to_rest and 2.0 * (n + p) * p * min(n + p, p) <= POLISH_FLOPS


class _Clock:
    """What is left of the time."""

    def __init__(self, max_time: float | None) -> None:
        self._end = None if max_time is None else time.perf_counter() + max_time

    def stopping(self, max_iter: int) -> Stopping:
        left = None if self._end is None else max(0.0, self._end - time.perf_counter())
        return Stopping(max_iter=max(0, max_iter), max_time=left, max_fail=None, cost_tolerance=0.0)
