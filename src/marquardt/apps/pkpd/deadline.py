"""One limit of time for a fit that is made of many runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from marquardt import Stopping


@dataclass(frozen=True)
class Deadline:
    """A moment of `time.monotonic`; None is never.

    Examples
    --------
    >>> Deadline.of(Stopping(max_time=60.0)).within(Stopping(max_time=3600.0)).max_time <= 60.0
    True
    >>> NEVER.within(Stopping(max_time=5.0)).max_time
    5.0
    """

    moment: float | None = None

    @classmethod
    def of(cls, stopping: Stopping | None) -> Deadline:
        """`max_time` from now on."""
        limit = None if stopping is None else stopping.max_time
        return NEVER if limit is None else cls(time.monotonic() + limit)

    @property
    def passed(self) -> bool:
        return self.moment is not None and time.monotonic() >= self.moment

    def within(self, stopping: Stopping) -> Stopping:
        """The limits of the next run: what is left of the time, at most.

        Without any left a run still linearizes where it starts, so that there is a fit.
        """
        if self.moment is None:
            return stopping
        left = max(0.0, self.moment - time.monotonic())
        return replace(stopping, max_time=left if stopping.max_time is None else min(left, stopping.max_time))


NEVER = Deadline()
