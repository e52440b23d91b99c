"""`solve`: a network trained to satisfy a differential equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from marquardt import Iteration
from marquardt.apps.pinn.network import Dense, FieldNetwork
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.renewal import Renewal
from marquardt.apps.pinn.samples import Samples
from marquardt.apps.pinn.sampling import ResidualAdaptive
from marquardt.apps.pinn.solution import Solution
from marquardt.apps.pinn.training import Training
from marquardt.apps.pinn.weighting import Fixed, Weighting
from marquardt.jax_models import ResidualGroup, WarmUp

Groups = Mapping[str, ResidualGroup]


def solve(
    pde: PDE,
    network: FieldNetwork | Sequence[int] | int | None = None,
    *,
    start: Solution | None = None,
    weighting: Weighting | None = None,
    renewal: Renewal | None = None,
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
    network : Dense, int or sequence of int
        A network, or the widths of its hidden layers; (32, 32) by default.
    start : Solution, optional
        Of a problem with the same fields and network, to go on from: for a curriculum of growing
        difficulty, or to train longer.
    weighting : Weighting, optional
        `Balanced()`, `Causal()`; by default the weights of the groups.
    renewal : Renewal, optional
        When points and weights are made anew, ``Renewal(20, until=800)``.  By default never, since a fixed
        set of points can be fitted down to rounding; with `weighting`, or with `ResidualAdaptive` points,
        after every 10 iterations.
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
    adaptive = any(
        isinstance(getattr(group, "sampling", None), ResidualAdaptive) for group in pde.named_groups.values()
    )
    if renewal is None and (weighting is not None or adaptive):
        renewal = Renewal(points=adaptive)
    redraw = renewal is not None and renewal.points
    samples = Samples(pde, model, weighting or Fixed(), redraw, int(rng.integers(2**31)))
    training = Training(samples, max_iter, max_time, patience, callback, options)
    training.compile(params)
    if renewal is None:
        groups: Groups | None = samples.fixed_groups()
        training.stay(params, groups, warm_up)
    else:
        moved = training.move(params, renewal, warm_up)
        groups = None if renewal.until is None else samples.groups(0, moved.last_params)
        if groups is not None and training.may_go_on:
            training.stay(moved.last_params, groups, None)
    if polish and groups is not None and training.may_go_on:
        training.polish(groups)
    return Solution(pde, network, model, samples, tuple(training.runs))


def _network(network: FieldNetwork | Sequence[int] | int | None, start: Solution | None) -> FieldNetwork:
    if network is None:
        return Dense() if start is None else start.network
    if isinstance(network, Integral):
        return Dense((int(network),))
    if isinstance(network, list | tuple):
        return Dense(tuple(network))
    return network  # type: ignore[return-value]
