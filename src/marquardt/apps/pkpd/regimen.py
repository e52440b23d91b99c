"""Which doses are given, when, how fast and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

JUST_AFTER_ZERO = 1e-300
"""The time of a dose at 0 that follows an observation at 0: no more than 0, but later.  The smallest number
of float64 itself would not do, since XLA takes it for 0."""


class Route(Enum):
    """Where a dose goes."""

    BOLUS = "bolus"
    """Into the central compartment, at once."""
    INFUSION = "infusion"
    """Into the central compartment, at a constant rate."""
    ORAL = "oral"
    """Into the depot, at once; from there it is absorbed."""


@dataclass(frozen=True)
class Dose:
    """One dose.

    Parameters
    ----------
    amount : float
    time : float
        When it is given, or begins.
    route : Route
    duration : float
        Of an infusion.
    """

    amount: float
    time: float = 0.0
    route: Route = Route.BOLUS
    duration: float = 0.0

    def __post_init__(self) -> None:
        for name in ("amount", "time", "duration"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                advice = {
                    "amount": "leave out a dose that was not taken",
                    "time": "count times from the first dose or earlier",
                    "duration": "0 is a bolus",
                }[name]
                raise ValueError(
                    f"{name}={value!r} of a dose must be a finite number of at least 0: {advice}"
                )
        if (self.duration > 0) != (self.route is Route.INFUSION):
            raise ValueError(
                f"duration={self.duration!r} of a dose of the route {self.route.value!r}: an infusion has a "
                "duration above 0, and no other dose has one"
            )


class Dosing(NamedTuple):
    """Doses as arrays, for the numerics: in NumPy or JAX, (d,) or, for several subjects, (s, d).

    Rows of amount 0 are padding.
    """

    amount: Any
    time: Any
    duration: Any
    oral: Any
    """1.0 for the depot, 0.0 for the central compartment."""


@dataclass(frozen=True)
class Regimen:
    """Doses in the order of time.

    Parameters
    ----------
    doses : sequence of Dose

    Examples
    --------
    >>> twice_daily = Regimen.oral(100.0, interval=12.0, n_doses=3)
    >>> twice_daily
    Regimen(3 doses: 100 oral at 0, 100 oral at 12, 100 oral at 24)
    >>> Regimen.bolus(50.0) + Regimen.infusion(200.0, duration=10.0)
    Regimen(2 doses: 50 bolus at 0, 200 infusion at 0 over 10)
    >>> Regimen.bolus(-1.0)
    Traceback (most recent call last):
    ValueError: amount=-1.0 of a dose must be a finite number of at least 0: leave out a dose ...
    """

    doses: tuple[Dose, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "doses", tuple(self.doses))
        times = [dose.time for dose in self.doses]
        for k in range(1, len(times)):
            if times[k] < times[k - 1]:
                raise ValueError(
                    f"doses are not in the order of time: dose {k} is at {times[k]:g}, after one at "
                    f"{times[k - 1]:g}; sort them, sorted(doses, key=lambda dose: dose.time)"
                )

    @classmethod
    def bolus(
        cls, amount: float, time: float = 0.0, *, interval: float | None = None, n_doses: int = 1
    ) -> Regimen:
        """Into the central compartment at once; every `interval`, `n_doses` times."""
        return cls((Dose(amount, time),)).repeated(interval, n_doses)

    @classmethod
    def infusion(
        cls,
        amount: float,
        duration: float,
        time: float = 0.0,
        *,
        interval: float | None = None,
        n_doses: int = 1,
    ) -> Regimen:
        """Into the central compartment at the rate amount/duration."""
        return cls((Dose(amount, time, Route.INFUSION, duration),)).repeated(interval, n_doses)

    @classmethod
    def oral(
        cls, amount: float, time: float = 0.0, *, interval: float | None = None, n_doses: int = 1
    ) -> Regimen:
        """Into the depot."""
        return cls((Dose(amount, time, Route.ORAL),)).repeated(interval, n_doses)

    def repeated(self, interval: float | None, n_doses: int) -> Regimen:
        """These doses `n_doses` times, one `interval` after the other."""
        if not (isinstance(n_doses, int | np.integer) and n_doses >= 1):
            raise ValueError(f"n_doses={n_doses!r} must be a whole number of at least 1")
        if n_doses == 1:
            return self
        if interval is None or not (np.isfinite(interval) and interval > 0):
            raise ValueError(
                f"interval={interval!r} must be a finite number above 0, since n_doses={n_doses}"
            )
        later = [
            Dose(dose.amount, dose.time + k * interval, dose.route, dose.duration)
            for k in range(n_doses)
            for dose in self.doses
        ]
        return Regimen(tuple(sorted(later, key=lambda dose: dose.time)))

    def __add__(self, other: Regimen) -> Regimen:
        return Regimen(tuple(sorted((*self.doses, *other.doses), key=lambda dose: dose.time)))

    def __len__(self) -> int:
        return len(self.doses)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{d.amount:g} {d.route.value} at {d.time if d.time > 1e-290 else 0:g}"
            + (f" over {d.duration:g}" if d.duration else "")
            for d in self.doses[:4]
        )
        more = ", ..." if len(self) > 4 else ""
        return f"Regimen({len(self)} doses{': ' if shown else ''}{shown}{more})"

    @property
    def total(self) -> float:
        """All amounts together."""
        return float(sum(dose.amount for dose in self.doses))

    @property
    def has_oral(self) -> bool:
        """Whether any dose goes into the depot."""
        return any(dose.route is Route.ORAL for dose in self.doses)

    def dosing(self, n_rows: int | None = None) -> Dosing:
        """As arrays (n_rows,), padded with doses of 0; at least one row."""
        n = max(len(self), 1) if n_rows is None else n_rows
        if n < len(self):
            raise ValueError(f"n_rows={n_rows} is less than the {len(self)} doses")
        rows = np.zeros((4, n))
        for k, dose in enumerate(self.doses):
            rows[:, k] = dose.amount, dose.time, dose.duration, dose.route is Route.ORAL
        return Dosing(*rows)


def stacked_dosing(regimens: Sequence[Regimen]) -> Dosing:
    """The doses of several subjects, (s, d) each; those with fewer doses are padded.

    >>> stacked_dosing([Regimen.bolus(1.0), Regimen.bolus(2.0, interval=4.0, n_doses=2)]).amount
    array([[1., 0.],
           [2., 2.]])
    """
    n = max([len(regimen) for regimen in regimens] + [1])
    rows = [regimen.dosing(n) for regimen in regimens]
    return Dosing(*(np.stack(part) for part in zip(*rows, strict=True)))
