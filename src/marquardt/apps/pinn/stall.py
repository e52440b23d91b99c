"""A run that no longer gets anywhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from marquardt import Iteration


class Stall:
    """Ends a run when its cost has fallen by less than a tenth in `patience` iterations.

    As a callback of `minimize`; `also` is called first.  Nothing is counted until `counts()`.
    """

    def __init__(
        self,
        patience: int,
        also: Callable[[Iteration], bool | None] | None = None,
        counts: Callable[[], bool] = lambda: True,
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience={patience!r} must be >= 1")
        self.patience, self.stalled = patience, False
        self._costs: deque[float] = deque(maxlen=patience + 1)
        self._also, self._counts = also, counts

    def ending(self, message: str) -> str:
        """How the run ended, in words; `message` is the driver's."""
        if not self.stalled:
            return message
        return (
            f"The cost fell by less than a tenth in {self.patience} iterations. If it must be lower, take "
            "more units, other points or weights; the noise of data it cannot pass."
        )

    def __call__(self, record: Iteration) -> bool:
        if self._also is not None and self._also(record):
            return True
        if not self._counts():
            self._costs.clear()
            return False
        self._costs.append(record.cost if record.validation_cost is None else record.validation_cost)
        full = len(self._costs) == self._costs.maxlen
        self.stalled = full and min(self._costs) > 0.9 * self._costs[0]
        return self.stalled
