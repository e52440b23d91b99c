"""`least_squares`: fit a tree of parameters to any residuals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marquardt.damping import MoreMetric, Nielsen
from marquardt.jax_models.device_cholesky import DeviceCholesky
from marquardt.jax_models.model_checks import check_same_every_time, influence_notes
from marquardt.jax_models.parameter_tree import Trainable
from marquardt.jax_models.pytree_problem import PytreeProblem
from marquardt.jax_models.transforms import Transform
from marquardt.jax_models.tree_statistics import tree_statistics
from marquardt.jax_models.warm_up import WarmUp
from marquardt.least_squares_fit import LeastSquaresFit
from marquardt.linsolve import QR
from marquardt.lm import minimize
from marquardt.method import Geodesic
from marquardt.result import Result
from marquardt.run_outcome import RunOutcome
from marquardt.stopping import Stopping


@dataclass(frozen=True)
class ParameterFit(RunOutcome):
    """Parameters fitted by `least_squares`."""

    params: Any
    """The estimates, in the structure and precision of the start."""
    result: Result
    """The run; its `w` are the trained parameters, flat and free of bounds."""
    notes: tuple[str, ...]
    """What the user should know: parameters without influence, memory."""
    problem: PytreeProblem = field(repr=False)

    def statistics(self) -> LeastSquaresFit:
        """Covariance, standard errors, correlations and a summary, of the parameters free of bounds."""
        return tree_statistics(self.problem, self.problem.tree.layout, self.result)


def least_squares(
    residual: Callable[..., Any],
    params: Any,
    *,
    args: Sequence[Any] = (),
    alpha: float | Mapping[str, float] = 0.0,
    trainable: Trainable | None = None,
    transforms: Mapping[str, Transform] | None = None,
    warm_up: WarmUp | None = None,
    **options: Any,
) -> ParameterFit:
    """Minimise ½‖r‖² over a tree of parameters, in float64; r and its derivatives by JAX, exactly.

    Parameters
    ----------
    residual : callable
        ``residual(params, *args)`` -> any tree of real arrays of any shapes.
    params : pytree
        The start: floats, arrays, dicts, modules, one within the other.
    args : sequence
        Further arguments, data as a rule.
    alpha, trainable, transforms, warm_up
        As in `fit`.
    **options
        As in `minimize`.  Defaults are those of `marquardt.least_squares`, for formulas with a few
        parameters of different units: QR, Moré's metric, Nielsen's rule.  For a network as residuals (a
        physics-informed one, say) take ``solver=Auto(), metric=Identity()``, which is several times faster.

    Returns
    -------
    ParameterFit

    Raises
    ------
    TypeError, ValueError
        For parameters or residuals that cannot be fitted; the message names what and why.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from marquardt.jax_models import Positive
    >>> def decay(params, t, y):
    ...     return params["amplitude"] * jnp.exp(-params["rate"] * t) - y
    >>> t = np.linspace(0, 1, 5)
    >>> fitted = least_squares(
    ...     decay,
    ...     {"amplitude": 2.0, "rate": 1.0},
    ...     args=(t, 3 * np.exp(-2 * t)),
    ...     transforms={"rate": Positive()},
    ... )
    >>> {name: round(value, 6) for name, value in fitted.params.items()}
    {'amplitude': 3.0, 'rate': 2.0}
    """
    problem = PytreeProblem(residual, params, *args, trainable=trainable, transforms=transforms, alpha=alpha)
    w0 = problem.start
    w0.flags.writeable = False
    residuals = problem.residuals
    again = residuals.functions.formula.traced(residuals.numbers)
    check_same_every_time(
        "the residual function", problem.code.digest == again.digest, lambda: residuals.residual(w0)
    )
    w = w0 if warm_up is None else warm_up.run(problem, w0)
    result = minimize(problem, w, **(_defaults(problem.residuals.on_host) | options))
    notes: list[str] = []
    if result.linearization is not None and result.success:
        notes += influence_notes(problem.tree.layout, result.linearization.jacobian.column_sqnorms())
    best = problem.params_at(result.w)
    return ParameterFit(best, result, tuple(dict.fromkeys(notes + problem.notes)), problem)


def _defaults(on_host: bool) -> dict[str, Any]:
    """Those of `marquardt.least_squares`, where each has its reason; the primal solver on an accelerator."""
    return {
        "acceleration": Geodesic(limit=0.75),
        "damping": Nielsen(initial=1e-3, smallest_factor=1 / 3, power=3),
        "metric": MoreMetric(),
        "solver": QR() if on_host else DeviceCholesky(),
        "stopping": Stopping(max_iter=10_000),
    }
