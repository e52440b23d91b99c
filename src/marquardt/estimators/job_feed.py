"""Jobs for joblib that can be stopped without its pool of processes tripping over the last of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

_QUIET = 0.02
"""Seconds in which nothing may be waiting: longer than it takes to hand over a job that is on its way."""
_LONGEST = 2.0
"""Seconds after which the pool is ended all the same."""


class JobFeed:
    """Hands out jobs until it is closed.

    The thread of joblib's pool (loky, as of joblib 1.6) dies of a KeyError when the pool is ended just after
    a job was submitted and before it was queued.  It is harmless, but prints a traceback in the middle of an
    orderly Ctrl-C.  So no job is handed out after `close`, which waits for those on their way.

    Parameters
    ----------
    jobs : iterable

    Examples
    --------
    >>> feed = JobFeed(range(5))
    >>> jobs = iter(feed)
    >>> next(jobs), next(jobs)
    (0, 1)
    >>> feed.close()
    >>> list(jobs)
    []
    """

    def __init__(self, jobs: Iterable[Any]) -> None:
        self._jobs, self._open = jobs, True

    def __iter__(self) -> Iterator[Any]:
        for job in self._jobs:
            if not self._open:
                return
            yield job

    def close(self) -> None:
        """Hand out no more, and wait until the pool has queued what it has."""
        self._open = False
        deadline = time.monotonic() + _LONGEST
        quiet = time.monotonic() + _QUIET
        while time.monotonic() < min(quiet, deadline):
            if _waiting():
                quiet = time.monotonic() + _QUIET
            time.sleep(0.002)


def _waiting() -> bool:
    """Whether a job is submitted and not queued; False where loky does not tell."""
    from joblib.externals.loky import reusable_executor

    ids = getattr(getattr(reusable_executor, "_executor", None), "_work_ids", None)
    return ids is not None and not ids.empty()
