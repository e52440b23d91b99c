"""The least-squares problem of a curve: residuals, bounds, and the run from one start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.curves.bounds import Bounds
from marquardt.curves.curve import Model, Move
from marquardt.curves.curve_data import CurveData
from marquardt.curves.reduced import Reduced
from marquardt.curves.transforms import Free
from marquardt.differences import CentralDifferences
from marquardt.least_squares_fit import LeastSquaresFit, least_squares

SAME_COST = 1e-9
"""Two costs that differ by less than this fraction are one: rounding of a long sum, and of its minimum."""


@dataclass(frozen=True)
class CurveTask:
    """Residuals √s (f(x; θ) − y) of a model.

    Parameters
    ----------
    model : Model
    x : what the model takes
    data : CurveData
    bounds : Bounds
        Of the model's parameters.
    options : mapping
        Further arguments of `least_squares`.
    """

    model: Model
    x: Any
    data: CurveData
    bounds: Bounds
    options: Mapping[str, Any] = field(default_factory=dict)

    def residual(self, theta: FloatArray) -> FloatArray:
        """(n,); NaN outside the bounds, which rejects the step there."""
        if self.bounds.active and not self.bounds.holds(theta):
            return np.full(len(self.data), np.nan)
        return self.data.weighted(self.model.value(self.x, theta) - self.data.y)

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """(n, p)."""
        return self.data.weighted(self.model.jacobian(self.x, theta))

    def cost(self, theta: FloatArray) -> float:
        """½‖r‖²; infinite where it is none."""
        with np.errstate(all="ignore"):
            r = self.residual(theta)
            cost = 0.5 * float(r @ r)
        return cost if np.isfinite(cost) else np.inf

    def run(self, start: FloatArray) -> CurveRun:
        """The minimum near a start, which lies strictly inside the bounds."""
        if not self.bounds.active:
            return CurveRun(self, self._free(start))
        first = self._transformed(start)
        held = self._held(first, start)
        if held is not None:
            return held
        return CurveRun(self, self._followed(first, self._free(first.w)))

    def _free(self, start: FloatArray, **options: Any) -> LeastSquaresFit:
        fit = least_squares(
            self.residual, start, self.jacobian, names=self.model.names, **{**self.options, **options}
        )
        if self.model.exact:
            return fit
        return replace(fit, jacobian_precision=CentralDifferences.precision)

    def _transformed(self, start: FloatArray) -> LeastSquaresFit:
        """The fit in the free u of θ = T(u), with w = θ."""
        maps = self.bounds.transforms(start)
        if all(isinstance(map, Free) for map in maps):
            return self._free(start)

        def theta(u: FloatArray) -> FloatArray:
            return np.array([map.value(v) for map, v in zip(maps, u.tolist(), strict=True)])

        def slopes(u: FloatArray) -> FloatArray:
            return np.array([map.slope(v) for map, v in zip(maps, u.tolist(), strict=True)])

        u0 = np.array([map.inverse(v) for map, v in zip(maps, start.tolist(), strict=True)])
        fit = least_squares(
            lambda u: self.residual(theta(u)),
            u0,
            lambda u: self.jacobian(theta(u)) * slopes(u),
            **self.options,
        )
        return replace(fit, w=theta(fit.w), jacobian=self.jacobian(theta(fit.w)))

    def _held(self, first: LeastSquaresFit, start: FloatArray) -> CurveRun | None:
        """The fit with the parameters that lie at a bound held there, if it is as good."""
        gradient = first.jacobian.T @ (first.residual * first.weights)
        near = self.bounds.near(first.w, start, gradient)
        if not near or len(near) == len(first.w):
            return None
        fixed = {self.model.names[k]: bound for k, bound in near.items()}
        task = replace(
            self, model=Reduced(self.model, fixed, {}), bounds=self.bounds.without(near),
            options=self._same_loss(first),
        )  # fmt: skip
        v = np.delete(first.w, list(near))
        if not np.isfinite(task.cost(v)):
            return None
        run = task.run(v)
        if not run.fit.cost <= first.cost * (1 + SAME_COST):
            return None
        return replace(run, fit=self._followed(first, run.fit), held={**fixed, **run.held})

    def _same_loss(self, fit: LeastSquaresFit) -> Mapping[str, Any]:
        """The options, with the penalty at the scale that a first fit found."""
        return self.options if fit.loss is None else {**self.options, "loss": fit.loss, "f_scale": 1.0}

    def _followed(self, first: LeastSquaresFit, last: LeastSquaresFit) -> LeastSquaresFit:
        """The last fit with the course of the first."""
        a, b = first.result, last.result
        result = replace(
            b,
            status=a.status,
            message=a.message,
            history=a.history,
            error=a.error or b.error,
            n_jacobians=a.n_jacobians + b.n_jacobians,
            n_costs=a.n_costs + b.n_costs,
            time=a.time + b.time,
        )
        return replace(last, result=result, n_evaluations=first.n_evaluations + last.n_evaluations)


@dataclass(frozen=True)
class CurveRun:
    """Where a run ended."""

    task: CurveTask
    """In the parameters that are free at the end."""
    fit: LeastSquaresFit
    held: Mapping[str, float] = field(default_factory=dict)
    """Parameters at a bound."""

    def at(self, move: Move) -> CurveRun | None:
        """The same curve by other parameters; None where they are the same, not allowed, or not as good."""
        theta = self.task.model.moved(self.fit.w, move)
        if theta is None or not np.isfinite(theta).all() or np.array_equal(theta, self.fit.w):
            return None
        if not self.task.cost(theta) <= self.task.cost(self.fit.w) * (1 + SAME_COST):
            return None
        again = self.task._free(theta, **self.task._same_loss(self.fit))
        fit = self.task._followed(self.fit, again)
        return replace(self, fit=fit)
