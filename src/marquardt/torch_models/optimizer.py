"""Levenberg-Marquardt as an optimizer of PyTorch, for training loops that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from marquardt._types import FloatArray
from marquardt.damping import DampingRule, DampingState, Identity, Metric
from marquardt.linsolve import Auto, LinearSolver
from marquardt.method import DEFAULT_DAMPING, Geodesic, Method, State
from marquardt.result import Iteration
from marquardt.torch_models.closure_problem import ClosureProblem

_OWN = "levenberg_marquardt"
"""The key of its state."""


class LevenbergMarquardt(torch.optim.Optimizer):
    """One damped Gauss-Newton step a call, never to a higher cost ½‖r‖² + ½ wᵀS₀w of the rows of that call.

    ``closure`` returns the residuals, one for each row and output, not a loss, and calls no ``backward()``::

        optimizer = LevenbergMarquardt(model.parameters())
        for X, y in loader:
            cost = optimizer.step(lambda: model(X) - y)

    It is called a few times a step: at the start, to make the Jacobian, and at every trial point; dropout
    must be off.  A full batch is best, since λ remembers how the last step went.  `fit_module` knows which
    residual belongs to which sample, and so makes its Jacobian at a fraction of the price: take it for more
    than about a thousand rows.

    Parameters
    ----------
    params : iterable of tensors, or of dicts ``{"params": ..., "alpha": ...}``
    alpha : float
        Prior precision S₀ of the parameters.
    damping, metric, solver, acceleration
        The parts of the method, see `marquardt.Method`; None (True for `acceleration`) takes the default.
        The second-order term needs parameters in float64.

    Examples
    --------
    >>> X = torch.linspace(0, 1, 5, dtype=torch.float64)
    >>> rate = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    >>> optimizer = LevenbergMarquardt([rate])
    >>> for _ in range(8):
    ...     cost = optimizer.step(lambda: torch.exp(-rate * X) - torch.exp(-3 * X))
    >>> round(rate.item(), 6)
    3.0
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        alpha: float = 0.0,
        damping: DampingRule | None = None,
        metric: Metric | None = None,
        solver: LinearSolver | None = None,
        acceleration: Geodesic | bool | None = True,
    ) -> None:
        super().__init__(params, {"alpha": alpha})
        for group in self.param_groups:
            if not (np.isfinite(group["alpha"]) and group["alpha"] >= 0):
                raise ValueError(f"alpha={group['alpha']!r} must be a finite number >= 0")
        if acceleration is True:
            acceleration = Geodesic()
        self.method = Method(
            damping or DEFAULT_DAMPING,
            metric or Identity(),
            solver or Auto(),
            acceleration=acceleration or None,
            resolve_output=False,
        )
        self.record: Iteration | None = None
        """Of the last step: cost, λ, gain ratio, rejected trials."""
        self.message = ""
        """Why the last step moved nothing; empty when it did."""

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:  # type: ignore[override]
        """One step; the cost before it.

        Parameters
        ----------
        closure : callable
            ``() -> residuals``, a tensor of any shape.
        """
        if closure is None:
            raise ValueError("step needs a closure that returns the residuals: step(lambda: model(X) - y)")
        params = self._trained()
        problem = ClosureProblem(closure, params, self._prior(params))
        w = problem.pack()
        before = [param.detach().clone() for param in params]
        kept = w
        try:
            self._check_repeats(problem, w)
            with np.errstate(all="ignore"):
                start = self._start(problem, w)
                state = start if start.stuck is not None else self.method.step(problem, start)
                rounded = problem.cost(state.at.w) if state.stuck is None else np.inf
            if rounded < start.at.cost:
                kept = state.at.w
        finally:
            if kept is w:
                self._restore(params, before)
            else:
                problem.write(kept)
        self._remember(state, moved=kept is not w)
        return torch.tensor(start.at.cost, dtype=torch.float64)

    # -- within --------------------------------------------------------------------------------

    @property
    def _memory(self) -> dict[Any, Any]:
        return cast(dict[Any, Any], self.state)  # its keys need not be tensors

    def _trained(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"] if param.requires_grad]

    def _prior(self, params: list[Tensor]) -> FloatArray | None:
        alphas = {id(param): group["alpha"] for group in self.param_groups for param in group["params"]}
        prior = np.concatenate([np.full(param.numel(), float(alphas[id(param)])) for param in params])
        return prior if prior.any() else None

    def _check_repeats(self, problem: ClosureProblem, w: FloatArray) -> None:
        """Once: a closure that draws random numbers would make its steps a matter of luck."""
        if _OWN in self._memory:
            return
        first, second = problem.residual(w.copy()), problem.residual(w.copy())
        if first.shape != second.shape or not np.array_equal(first, second, equal_nan=True):
            raise ValueError(
                "the closure gives different residuals for the same parameters: call model.eval() where "
                "there is dropout, and fetch the batch outside of the closure"
            )

    def _start(self, problem: ClosureProblem, w: FloatArray) -> State:
        state = self.method.start(problem, w)
        own = self._memory.get(_OWN)
        if own is None or state.stuck is not None:
            return state
        scale = own.get("scale")
        if scale is not None and self.method.metric.needs_column_norms:
            sqnorms = state.at.jacobian.column_sqnorms()
            state = replace(state, scale=self.method.metric.scale(sqnorms, scale.numpy()))
        damping = own.get("damping")
        return state if damping is None else replace(state, damping=DampingState(**damping))

    def _remember(self, state: State, moved: bool) -> None:
        own = self._memory.setdefault(_OWN, {"n_steps": 0})
        own["n_steps"] += 1
        self.record = state.record(own["n_steps"], float("nan"))
        self.message = "" if moved else "the step is below the precision of the parameters"
        if state.stuck is not None:
            self.message = f"{state.stuck[1]}. {state.stuck[0].value}"
        # where nothing was found λ is at its limit: the next batch starts afresh
        own["damping"] = None if state.stuck is not None else asdict(state.damping)
        own["scale"] = None if state.scale is None else torch.tensor(state.scale)

    @staticmethod
    @torch.no_grad()
    def _restore(params: list[Tensor], values: list[Tensor]) -> None:
        for param, value in zip(params, values, strict=True):
            param.copy_(value)
