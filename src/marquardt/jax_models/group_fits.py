"""`fit_groups`: several groups of residuals that share parameters, each with samples of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.jax_models.device_cholesky import DeviceCholesky
from marquardt.jax_models.model_checks import check_same_every_time, influence_notes, start_notes
from marquardt.jax_models.parameter_tree import ParameterTree, Trainable
from marquardt.jax_models.residual_groups import Groups, renewed, stacked_problem
from marquardt.jax_models.stacked_problem import StackedProblem
from marquardt.jax_models.transforms import Transform
from marquardt.jax_models.tree_statistics import tree_statistics
from marquardt.jax_models.warm_up import WarmUp
from marquardt.least_squares_fit import LeastSquaresFit
from marquardt.lm import minimize
from marquardt.moving_problem import MovingProblem
from marquardt.result import Result
from marquardt.run_outcome import RunOutcome

Regroup = Callable[[int, Any], Groups]
"""(accepted steps so far, parameters) -> groups of the same names and functions, other samples or weights."""


@dataclass(frozen=True)
class GroupFit(RunOutcome):
    """Parameters fitted by `fit_groups`."""

    params: Any
    """The estimates, in the structure and precision of the start."""
    result: Result
    """The run; its `w` are the trained parameters, flat and free of bounds."""
    notes: tuple[str, ...]
    """What the user should know: parameters without influence, memory."""
    names: tuple[str, ...]
    """Of the groups."""
    problem: StackedProblem = field(repr=False)
    """The groups as they were given, or as they were drawn first."""
    tree: ParameterTree = field(repr=False)

    @property
    def last_params(self) -> Any:
        """Those of the last iteration, where a run on other samples goes on."""
        return self.tree.restore(self.result.w_last)

    @property
    def costs(self) -> dict[str, float]:
        """½‖r‖² of each group."""
        return dict(zip(self.names, map(float, self.problem.costs(self.result.w)), strict=True))

    def residuals(self) -> dict[str, FloatArray]:
        """Residuals of each group, unweighted, (n_samples, residuals of a sample)."""
        return {name: z.T for name, z in zip(self.names, self.problem.outputs(self.result.w), strict=True)}

    def statistics(self) -> LeastSquaresFit:
        """Covariance, standard errors, correlations and a summary, of the parameters free of bounds."""
        return tree_statistics(self.problem, self.tree.layout, self.result)


def fit_groups(
    groups: Groups,
    params: Any,
    *,
    regroup: Regroup | None = None,
    every: int = 1,
    alpha: float | Mapping[str, float] = 0.0,
    trainable: Trainable | None = None,
    transforms: Mapping[str, Transform] | None = None,
    warm_up: WarmUp | None = None,
    **options: Any,
) -> GroupFit:
    """Minimise Σ_g Σ_i ½ weight_i r_g(params, x_i)² over a tree of parameters, in float64.

    For residuals of several kinds, each a function of one sample: a differential equation at points of the
    interior and its conditions at the boundary, or measurements of different kinds.  A row of the Jacobian
    belongs to one sample, so that all rows cost a few passes, whatever their number.

    Parameters
    ----------
    groups : mapping of str to ResidualGroup
    params : pytree
        The start.
    regroup : callable, optional
        ``regroup(count, params)`` -> groups with new samples or weights, after every `every` accepted steps;
        of the same names and functions.  Then the parameters with the lowest cost on `groups` are returned.
    every : int
    alpha, trainable, transforms, warm_up
        As in `fit`.
    **options
        As in `minimize`.

    Returns
    -------
    GroupFit

    Raises
    ------
    TypeError, ValueError
        For groups or parameters that cannot be fitted; the message names what and why.

    Examples
    --------
    u' = −u with u(0) = 1, by a polynomial of degree 8:

    >>> import jax, jax.numpy as jnp
    >>> from marquardt.jax_models import ResidualGroup
    >>> def u(params, t):
    ...     return jnp.polyval(params, t)
    >>> def decay(params, t):
    ...     return jax.grad(u, 1)(params, t) + u(params, t)
    >>> groups = {
    ...     "equation": ResidualGroup(decay, np.linspace(0, 1, 20)),
    ...     "initial": ResidualGroup(lambda params, t: u(params, t) - 1, np.zeros(1)),
    ... }
    >>> fitted = fit_groups(groups, np.zeros(9))
    >>> abs(np.polyval(fitted.params, 1.0) - np.exp(-1)) < 1e-8
    np.True_
    """
    tree = ParameterTree(params, trainable=trainable, transforms=transforms, keeps_others=callable(params))
    problem, notes = stacked_problem(groups, tree, tree.prior(alpha))
    w0 = tree.start.copy()
    w0.flags.writeable = False
    _check_behavior(groups, problem, w0)
    z = problem.outputs(w0)
    for name, own in zip(groups, z, strict=True):
        notes += [f"group {name!r}: {note}" for note in start_notes(own)]
    if options.get("resolve_output", True) and all(np.isfinite(own).all() for own in z):
        problem.find_output_layer(w0)
    w = w0 if warm_up is None else warm_up.run(problem, w0)
    wide = problem.n_residuals < problem.n_params  # then the dual, on the host
    if options.get("solver") is None and not (problem.on_host or wide):
        options["solver"] = DeviceCholesky()
    if regroup is None:
        with one_thread_if_small(problem.n_params):
            result = minimize(problem, w, **options)
    else:
        moving = MovingProblem(_renewal(regroup, groups, problem, tree), w, every)
        options.setdefault("validation", problem.cost)
        with one_thread_if_small(problem.n_params):
            result = minimize(moving, w, **options)
    if result.linearization is not None and result.success:
        notes += influence_notes(tree.layout, result.linearization.jacobian.column_sqnorms())
    best = tree.restore(result.w)
    return GroupFit(best, result, tuple(dict.fromkeys(notes + problem.notes)), tuple(groups), problem, tree)


def _renewal(
    regroup: Regroup, groups: Groups, problem: StackedProblem, tree: ParameterTree
) -> Callable[[FloatArray, int], StackedProblem]:
    def renew(w: FloatArray, count: int) -> StackedProblem:
        new = regroup(count, tree.restore(w))
        if list(new) != list(groups):
            raise ValueError(f"regroup returned the groups {list(new)}, but the start has {list(groups)}")
        return renewed(problem, new)

    return renew


def _check_behavior(groups: Groups, problem: StackedProblem, w0: FloatArray) -> None:
    """ValueError for residuals that are random."""
    for name, part in zip(groups, problem.parts, strict=True):
        model, formula = part.model, part.model.functions.formula
        X = model.passes.piece(0)
        first, second = (formula.traced(model.constants, X) for _ in range(2))
        check_same_every_time(
            f"group {name!r}", first.digest == second.digest, lambda model=model: model.outputs(w0)
        )
