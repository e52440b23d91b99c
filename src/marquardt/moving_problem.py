"""A problem that is made anew from time to time while it is solved."""

from __future__ import annotations

from collections.abc import Callable

from marquardt._types import FloatArray
from marquardt.problem import Linearization, Problem


class MovingProblem:
    """Every `every`-th linearization begins with a new problem over the same parameters.

    A step is accepted or rejected by the problem that it was made for; damping and record go on.  Costs of
    different problems do not compare: watch the run by a validation cost.

    Parameters
    ----------
    renew : callable
        ``renew(w, count)`` -> the problem from the count-th linearization on, count = 0, every, 2·every, …
        The first call has the start for w.
    w0 : array (p,)
        The start.
    every : int
        Linearizations, which are accepted steps, between two renewals.

    Examples
    --------
    >>> from marquardt.residual_problem import ResidualProblem
    >>> import numpy as np
    >>> counts = []
    >>> def renew(w, count):
    ...     counts.append(count)
    ...     return ResidualProblem(lambda w: w - 1.0, 1, lambda w: np.eye(1))
    >>> problem = MovingProblem(renew, np.zeros(1), every=2)
    >>> for _ in range(5):
    ...     _ = problem.linearize(np.zeros(1))
    >>> counts
    [0, 2, 4]
    """

    def __init__(self, renew: Callable[[FloatArray, int], Problem], w0: FloatArray, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every={every!r} must be >= 1: the iterations between two renewals")
        self._renew, self._every, self._count = renew, int(every), 0
        self.current = renew(w0, 0)

    @property
    def n_params(self) -> int:
        return self.current.n_params

    @property
    def prior(self) -> FloatArray | None:
        return self.current.prior

    def cost(self, w: FloatArray) -> float:
        return self.current.cost(w)

    def linearize(self, w: FloatArray) -> Linearization:
        if self._count > 0 and self._count % self._every == 0:
            self.current = self._renew(w, self._count)
        self._count += 1
        return self.current.linearize(w)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        return self.current.second_derivative(at, direction)

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        return self.current.resolve_output(w, damping, scale)
