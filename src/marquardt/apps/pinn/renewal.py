"""When points and weights are made anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Renewal:
    """Points and weights are made anew after every so many iterations.

    Parameters
    ----------
    every : int
        Iterations between two renewals.
    until : int, optional
        Iterations after which they stay, and the run converges on them.  By default never: then the
        parameters with the lowest cost on the first points are the solution.
    points : bool
        Whether the points move; else only the weights do.

    Examples
    --------
    >>> Renewal(20, until=800)
    Renewal(every=20, until=800, points=True)
    """

    every: int = 10
    until: int | None = None
    points: bool = True

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every={self.every!r} must be >= 1: the iterations between two renewals")
        if self.until is not None and self.until < 1:
            raise ValueError(f"until={self.until!r} must be >= 1 iterations, or None")
