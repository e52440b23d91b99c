r"""Few rows first: the early steps of a run on a random part of the rows, which grows.

draw m of the N rows, m = 4p/K
repeat:  take a step on them, with S₀m/N for S₀, since the cost is a sum over rows
         ask the cost of all N rows how much of the decrease, times N/m, carries over
         less than half of it: these rows are exhausted; take four times as many, the earlier ones included

A Gram matrix of m rows costs m/N of the whole, a cost of all rows one forward pass.  The last steps are on
all rows, so a run ends in a minimum of the whole cost, by the usual rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray, IntArray
from marquardt.damping import Continued
from marquardt.method import Method, State
from marquardt.problem import Problem


class RowProblem(Problem, Protocol):
    """A problem whose cost is a sum over rows, such as `NetworkProblem`."""

    @property
    def n_samples(self) -> int:
        """N."""
        ...

    @property
    def values_per_row(self) -> int:
        """K, or 1 for classes that exclude one another."""
        ...

    @property
    def total_weight(self) -> float:
        """Of all rows."""
        ...

    def take(self, rows: IntArray) -> RowProblem:
        """The same on some of the rows, its prior as it is."""
        ...

    def with_prior(self, prior: ArrayLike) -> RowProblem:
        """The same under another S₀ (p,)."""
        ...


@dataclass(frozen=True)
class GrowingRows:
    """When to begin on a part of the rows, and when to take more.

    Parameters
    ----------
    first : float
        Values of the first part, in units of the parameters: first·p/K rows for K targets.  On Friedman's
        function, five outputs and four classes 2, 4 and 8 do much the same, 4 ends worse least often.
    factor : float
        How many times more rows the next part has.
    agreement : float
        Share of the decrease on a part that all rows must have; with less the part is exhausted.  0.25 and
        0.75 do no better there, nor a factor of 2.
    seed : int
        Of the order in which rows are taken.

    Examples
    --------
    >>> GrowingRows().counts(n_samples=10_000, n_params=241)
    [964, 3856]
    """

    first: float = 4.0
    factor: float = 4.0
    agreement: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.first > 0:
            raise ValueError(f"first={self.first!r} must be positive, values per parameter; 4 is usual")
        if not self.factor > 1:
            raise ValueError(f"factor={self.factor!r} must exceed 1, or the rows never grow")
        if not 0 <= self.agreement <= 1:
            raise ValueError(f"agreement={self.agreement!r} must be a share, from 0 to 1")

    def counts(self, n_samples: int, n_params: int, values_per_row: int = 1) -> list[int]:
        """Rows of the parts, fewer than all: the last one leaves at least a third of the rows."""
        counts, count = [], max(1.0, self.first * n_params / values_per_row)
        while count <= n_samples / 1.5:
            counts.append(int(count))
            count = max(count * self.factor, count + 1.0)
        return counts

    def counts_of(self, problem: RowProblem) -> list[int]:
        """The same for the parts of a problem."""
        return self.counts(problem.n_samples, problem.n_params, problem.values_per_row)

    def parts(self, problem: RowProblem) -> Iterator[Part]:
        """The parts of a problem, one after the other; each has the rows of those before."""
        counts = self.counts_of(problem)
        order = np.random.default_rng(self.seed).permutation(problem.n_samples) if counts else None
        for count in counts:
            assert order is not None
            part = problem.take(np.sort(order[:count]))
            yield Part(part, part.total_weight / problem.total_weight)


@dataclass(frozen=True)
class Part:
    """Some of the rows."""

    problem: RowProblem
    """Under the prior of all."""
    share: float
    """Of their weight in that of all."""

    @property
    def of_all(self) -> RowProblem:
        """With the prior that belongs to its cost, which is `share` of that of all rows."""
        prior = self.problem.prior
        return self.problem if prior is None else self.problem.with_prior(prior * self.share)


class Standing:
    """Where the steps on parts stand: what the next part, and all rows in the end, begin with.

    Parameters
    ----------
    method : Method
    w0 : array (p,)

    Attributes
    ----------
    w : array (p,)
    n_rows : list of int
        How many rows each part had that was used.
    n_jacobians, n_costs : int
        Of all parts so far.
    """

    def __init__(self, method: Method, w0: ArrayLike) -> None:
        self.w = np.array(w0, dtype=float)
        self.w.flags.writeable = False
        self.n_rows: list[int] = []
        self.n_jacobians = self.n_costs = 0
        self._method = method
        self._damping: float | None = None

    def move(self, state: State) -> None:
        """Go on from a state."""
        self.w, self._damping = state.at.w, state.damping.damping

    def method(self) -> Method:
        """The method, from the damping of the last point.

        λ stays while JᵀJ, a sum over rows, grows: the steps on more rows are the bolder ones.  With λ times
        as many, too, classes end at 1.1 times the cost.
        """
        if self._damping is None:
            return self._method
        return replace(self._method, damping=Continued(self._method.damping, self._damping))

    def count(self, state: State, before: State | None = None) -> None:
        """What it took to get from one state to the other."""
        self.n_jacobians += state.n_jacobians - (0 if before is None else before.n_jacobians)
        self.n_costs += state.n_costs - (0 if before is None else before.n_costs)

    def counted(self, state: State) -> State:
        """With the counts of all parts."""
        return replace(state, n_jacobians=self.n_jacobians, n_costs=self.n_costs)

    def seen(self, state: State, cost: float, decrease: float, share: float) -> State:
        """A step on a part in the units of all rows: their cost, and estimates of the rest."""
        found = state.found
        if found is not None:
            found = replace(found, trial=replace(found.trial, predicted=found.trial.predicted / share))
        at = replace(state.at, cost=cost, gradient=state.at.gradient / share)
        return self.counted(replace(state, at=at, found=found, decrease=decrease))


class EarlySteps:
    """The steps of a run before it sees all rows.

    Parameters
    ----------
    rows : GrowingRows
    method : Method
    problem : RowProblem
        Of all rows.
    w0 : array (p,)
        The start.
    tolerance : float
        A part is exhausted, too, when a step lowers its cost by less than this fraction.
    """

    def __init__(
        self, rows: GrowingRows, method: Method, problem: RowProblem, w0: ArrayLike, tolerance: float
    ) -> None:
        self.rows, self.problem, self.tolerance = rows, problem, tolerance
        self.standing = Standing(method, w0)
        self._cost = np.inf  # of all rows

    def __iter__(self) -> Iterator[State]:
        """The start, then every point that lowers the cost of all rows, with that cost."""
        now = self.standing
        for part in self.rows.parts(self.problem):
            method = now.method()
            state = method.start(part.of_all, now.w)
            now.count(state)
            now.n_rows.append(part.problem.n_samples)
            if len(now.n_rows) == 1:
                self._cost = self._full_cost(now.w)
                yield now.seen(state, self._cost, np.nan, part.share)
            if state.stuck is None:
                yield from self._on(part, method, state)

    def handed_over(self) -> State:
        """The best point, on all rows."""
        now = self.standing
        state = now.method().start(self.problem, now.w)
        now.count(state)
        return now.counted(state)

    def _on(self, part: Part, method: Method, state: State) -> Iterator[State]:
        problem, now = part.of_all, self.standing
        while True:
            before, state = state, method.step(problem, state)
            now.count(state, before)
            if state.stuck is not None:
                return
            cost, promised = self._full_cost(state.at.w), state.decrease / part.share
            decrease = self._cost - cost
            if decrease > 0:
                self._cost = cost
                now.move(state)
                yield now.seen(state, cost, decrease, part.share)
            if not decrease >= self.rows.agreement * promised or promised <= self.tolerance * cost:
                return

    def _full_cost(self, w: FloatArray) -> float:
        self.standing.n_costs += 1
        with np.errstate(over="ignore", invalid="ignore"):
            return self.problem.cost(w)


def row_problem(problem: Problem, what: str) -> RowProblem:
    """The problem, if it has rows to take.

    Raises
    ------
    TypeError
        When it has none; `what` is the argument that asked for them.
    """
    if not hasattr(problem, "take"):
        raise TypeError(
            f"{what} needs a problem made of rows, such as NetworkProblem, not {type(problem).__name__}"
        )
    return cast(RowProblem, problem)
