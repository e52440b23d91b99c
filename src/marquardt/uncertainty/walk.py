r"""Walks over the profile: outward from the estimate, along a ray of held parameters, to a given height.

At a distance x along the ray the held parameters are θ̂ + x·direction and the others are fitted again, from
the last point and the tangent there.  The height is √(2 (C − Ĉ)) / s.  Steps aim at a fixed rise of the
height; between the last point below the target and the first above it, Brent's method finds the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.problem import Problem
from marquardt.uncertainty.refits import Around, HeldParameters, problem_of, refit

if TYPE_CHECKING:
    from marquardt.least_squares_fit import LeastSquaresFit

MOST_STEPS = 60
"""Of one walk.  Steps double where nothing rises, so that these reach 1e15 times the first and more."""
FAR = 1e8
"""In units of the linear distance to the target: beyond, the height will not rise any more."""
MOST_HALVINGS = 12
"""Of a step into a region without finite cost, before its edge is taken for the end."""


@dataclass(frozen=True)
class Point:
    """A point of the profile."""

    held: FloatArray
    """Values of the held parameters (k,)."""
    w: FloatArray
    """All parameters, the others fitted (p,)."""
    root: float
    """√(2 (C − Ĉ)) / s; NaN where the cost is not finite."""
    tangent: FloatArray | None = field(default=None, repr=False)
    """∂(others)/∂(held) (p − k, k), for the next start."""


@dataclass(frozen=True)
class Walk:
    """A walk to the edge of a region."""

    points: tuple[Point, ...]
    """In the order of their distance, without the origin, the edge last."""
    end: FloatArray
    """Values of the held parameters at the edge (k,): infinite where there is none."""
    reason: str = ""
    """Why there is no edge."""


@dataclass
class Walker:
    """Refits with some parameters held, and what was seen on the way."""

    problem: Problem
    held: np.ndarray
    origin: Point
    cost: float
    """Ĉ."""
    sd: float
    """s."""
    errors: FloatArray
    """Standard errors of all parameters (p,), infinite where undetermined."""
    n_refits: int = 0
    n_unfinished: int = 0
    lower: tuple[float, FloatArray] | None = None
    """A cost below Ĉ, and where."""

    @classmethod
    def of(cls, fit: LeastSquaresFit, held: Sequence[int], absolute_sigma: bool) -> Walker:
        """For a fit; ValueError without its residual function, or with a residual deviation of 0."""
        problem = problem_of(fit)
        if fit.loss is not None:
            raise ValueError(
                f"loss={fit.loss!r}: a profile compares sums of squares; take covariance(), which allows "
                "for the loss, or bootstrap(resample='rows')"
            )
        indices = np.array(held, dtype=int)
        sd = 1.0 if absolute_sigma else fit.residual_sd
        if not sd > 0:
            raise ValueError(
                f"the residual standard deviation is {sd}: an exact fit has no uncertainty to profile; "
                "give residuals over their known standard deviation and absolute_sigma=True"
            )
        origin = Point(fit.w[indices].copy(), fit.w.copy(), 0.0)
        walker = cls(problem, indices, origin, fit.cost, sd, fit.standard_errors(absolute_sigma))
        walker.origin = Point(origin.held, origin.w, 0.0, walker._tangent(fit.jacobian))
        return walker

    def unit(self, index: int) -> float:
        """The scale of the first step: the standard error of a parameter, or a tenth of itself without."""
        error = float(self.errors[index])
        own = abs(float(self.origin.w[index]))
        return error if np.isfinite(error) and error > 0 else 0.1 * (own if own > 0 else 1.0)

    def walk(self, direction: FloatArray, target: float, rise: float) -> Walk:
        """From the estimate along `direction` (k,) to the height `target`, in rises of about `rise`."""
        points: list[Point] = []
        last, x, step = self.origin, 0.0, rise
        halvings = 0
        while len(points) < MOST_STEPS and x < FAR * target:
            new = self.at(self.origin.held + (x + step) * direction, last)
            if not np.isfinite(new.root):
                halvings += 1
                if halvings > MOST_HALVINGS:
                    edge = f"no finite cost beyond {_listed(last.held)}, where the height is {last.root:.3g}"
                    return Walk(tuple(points), last.held, f"{edge} of {target:.3g}")
                step *= 0.5
                continue
            if abs(new.root - target) <= 1e-7 * target:
                return Walk((*points, new), new.held)
            if new.root > target:
                edge = self._edge(direction, target, (x, last), (x + step, new))
                return Walk((*points, edge), edge.held)
            points.append(new)
            slope = (new.root - last.root) / step
            last, x = new, x + step
            wanted = min(rise, 1.02 * (target - new.root)) / slope if slope > 0 else np.inf
            step = float(np.clip(wanted, 0.25 * step, (2.0 if not halvings else 1.0) * step))
        end = np.where(direction != 0, np.sign(direction) * np.inf, self.origin.held)
        return Walk(tuple(points), end, f"the height levels off at {last.root:.3g} of {target:.3g}")

    def at(self, held: FloatArray, start: Point) -> Point:
        """The point of the profile at these values, fitted from `start` and its tangent."""
        problem = HeldParameters(self.problem, self.held, held)
        free = problem.free
        v = start.w[free]
        with np.errstate(all="ignore"):
            moved = v if start.tangent is None else v + start.tangent @ (held - start.held)
            if not (np.isfinite(moved).all() and problem.cost(moved) <= problem.cost(v)):
                moved = v  # the tangent led astray
            cost = problem.cost(moved)
        if not np.isfinite(cost):
            return Point(held, problem.full(moved), float("nan"))
        self.n_refits += 1
        if not len(free):
            return self._point(held, problem.full(moved), cost, None)
        result = refit(problem, moved)
        if not result.success:
            return Point(held, problem.full(moved), float("nan"))
        self.n_unfinished += not result.status.converged
        at = result.linearization
        assert isinstance(at, Around)
        return self._point(held, problem.full(result.w), result.cost, at.inner.jacobian.dense())

    def warnings(self) -> tuple[str, ...]:
        """What the refits found beside the profile."""
        said = []
        if self.lower is not None:
            where = _listed(self.lower[1])
            said.append(
                f"a lower cost than that of the fit, {self.lower[0]:.6g} < {self.cost:.6g}, was found at "
                f"({where}): fit again from there"
            )
        if self.n_unfinished:
            said.append(f"{self.n_unfinished} refits came to their limit of iterations")
        return tuple(said)

    def _point(self, held: FloatArray, w: FloatArray, cost: float, jacobian: FloatArray | None) -> Point:
        # below Ĉ by more than rounding: the fit was not at the minimum
        if cost < self.cost * (1 - 1e-9) and (self.lower is None or cost < self.lower[0]):
            self.lower = (cost, w)
        root = float(np.sqrt(2.0 * max(cost - self.cost, 0.0))) / self.sd
        return Point(held, w, root, None if jacobian is None else self._tangent(jacobian))

    def _tangent(self, jacobian: FloatArray) -> FloatArray | None:
        """−(JₒᵀJₒ)⁻¹JₒᵀJₕ: how the others follow the held ones, to first order."""
        others = np.delete(jacobian, self.held, axis=1)
        if not (others.shape[1] and np.isfinite(jacobian).all()):
            return None
        norms = np.linalg.norm(others, axis=0)
        norms[norms == 0] = 1.0
        solution = np.linalg.lstsq(others / norms, jacobian[:, self.held], rcond=1e-10)[0]
        return -solution / norms[:, None]

    def _edge(
        self, direction: FloatArray, target: float, inside: tuple[float, Point], outside: tuple[float, Point]
    ) -> Point:
        """The point at the height `target`, between two points of the ray."""
        from scipy.optimize import brentq

        seen = [inside, outside]

        def excess(x: float) -> float:
            for known, point in seen:
                if known == x:
                    return point.root - target
            near = min(seen, key=lambda pair: abs(pair[0] - x))[1]
            point = self.at(self.origin.held + x * direction, near)
            seen.append((x, point))
            return point.root - target if np.isfinite(point.root) else 1.0

        x = float(brentq(excess, inside[0], outside[0], rtol=1e-7, xtol=1e-7 * outside[0]))  # pyright: ignore
        excess(x)
        return next(point for known, point in seen if known == x)


def _listed(values: FloatArray) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
