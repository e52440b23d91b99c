"""Subjects: who got which doses, and what was measured in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pkpd.regimen import Dosing, Regimen, stacked_dosing

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Observations:
    """What was measured of one endpoint in one subject.

    Parameters
    ----------
    times : array (n,)
        In ascending order; a time twice is a replicate.
    values : array (n,)
    censored : array of bool (n,), optional
        Where the measurement lay below the limit of quantification; the value is then that limit.

    Examples
    --------
    >>> Observations([1.0, 2.0], [3.1, 0.5], [False, True])
    Observations(2, 1 of them below the limit of quantification)
    >>> Observations([2.0, 1.0], [3.1, 0.5])
    Traceback (most recent call last):
    ValueError: times are not in ascending order: 1 comes after 2; sort times and values together
    """

    times: Any
    values: Any
    censored: Any = None

    def __post_init__(self) -> None:
        times, values = (np.array(part, dtype=float, ndmin=1) for part in (self.times, self.values))
        below = np.zeros(len(times), dtype=bool) if self.censored is None else np.array(self.censored, bool)
        if not times.shape == values.shape == below.shape or times.ndim != 1:
            raise ValueError(
                f"times {times.shape}, values {values.shape} and censored {below.shape} must be rows of the "
                "same length"
            )
        for name, part in (("times", times), ("values", values)):
            if not np.isfinite(part).all():
                raise ValueError(
                    f"{name} has {int((~np.isfinite(part)).sum())} NaN or infinite entries: leave those out"
                )
        if (times < 0).any():
            raise ValueError(
                f"times has the value {times.min():g}: count times from the first dose or earlier, so that "
                "none is negative"
            )
        back = np.flatnonzero(np.diff(times) < 0)
        if len(back):
            raise ValueError(
                f"times are not in ascending order: {times[back[0] + 1]:g} comes after {times[back[0]]:g}; "
                "sort times and values together"
            )
        for name, part in (("times", times), ("values", values), ("censored", below)):
            part.flags.writeable = False
            object.__setattr__(self, name, part)

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        n = int(self.censored.sum())
        below = f", {n} of them below the limit of quantification" if n else ""
        return f"Observations({len(self)}{below})"

    def where(self, chosen: Any) -> Observations:
        """Some of them, by booleans (n,) or positions."""
        return Observations(self.times[chosen], self.values[chosen], self.censored[chosen])

    def without_censored(self) -> Observations:
        """Beal's M1: what lies below the limit is left out."""
        return self.where(~self.censored)

    def half_limit(self) -> Observations:
        """Beal's M6: the first below the limit of a run of such becomes half the limit, its followers go.

        (S. L. Beal, J. Pharmacokinet. Pharmacodyn. 28:481, 2001.)
        """
        first = self.censored & ~np.concatenate([[False], self.censored[:-1]])
        values = np.where(self.censored, 0.5 * self.values, self.values)
        keep = first | ~self.censored
        return Observations(self.times[keep], values[keep])


@dataclass(frozen=True)
class Subject:
    """One subject.

    Parameters
    ----------
    id : str
    regimen : Regimen
    observations : mapping of endpoint to Observations
    covariates : mapping of name to number
    """

    id: str
    regimen: Regimen
    observations: Mapping[str, Observations]
    covariates: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_observations(self) -> int:
        return sum(len(observed) for observed in self.observations.values())

    def dosed(self, times: np.ndarray) -> np.ndarray:
        """At which times (n,) anything of a dose is there, booleans: of an infusion nothing at its begin."""
        given = [dose for dose in self.regimen.doses if dose.amount > 0]
        whole = min((dose.time for dose in given if not dose.duration), default=np.inf)
        slow = min((dose.time for dose in given if dose.duration), default=np.inf)
        return (times >= whole) | (times > slow)


@dataclass(frozen=True)
class Subjects(Mapping[str, Subject]):
    """Subjects by their id, in the order of the data.

    Parameters
    ----------
    members : sequence of Subject
    notes : tuple of str
        What was found odd in the data, in sentences.

    Examples
    --------
    >>> one = Subject("a", Regimen.bolus(10.0), {"conc": Observations([1.0, 2.0], [3.0, 2.0])})
    >>> subjects = Subjects([one])
    >>> subjects["a"].regimen.total, subjects.endpoints
    (10.0, ('conc',))
    """

    members: Sequence[Subject]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        members = tuple(self.members)
        ids = [str(member.id) for member in members]
        double = next((name for k, name in enumerate(ids) if name in ids[:k]), None)
        if double is not None:
            raise ValueError(f"there are two subjects {double!r}: give each its own id")
        if not any(member.n_observations for member in members):
            raise ValueError("no subject has observations: there is nothing to fit")
        object.__setattr__(self, "members", members)

    def __getitem__(self, id: str) -> Subject:
        for member in self.members:
            if str(member.id) == str(id):
                return member
        raise KeyError(f"there is no subject {id!r}: the ids are {', '.join(list(self)[:20])}")

    def __iter__(self) -> Iterator[str]:
        return (str(member.id) for member in self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        n = sum(member.n_observations for member in self.members)
        return f"Subjects({len(self)} subjects, {n} observations of {', '.join(self.endpoints)})"

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What is measured, in the order of first appearance."""
        return tuple(dict.fromkeys(name for member in self.members for name in member.observations))

    @property
    def n_censored(self) -> int:
        return sum(int(o.censored.sum()) for m in self.members for o in m.observations.values())

    def only(self, *endpoints: str) -> Subjects:
        """With these endpoints alone; subjects without any of them are left out, with a note."""
        unknown = [name for name in endpoints if name not in self.endpoints]
        if unknown:
            raise ValueError(f"there is no endpoint {unknown[0]!r}: there are {', '.join(self.endpoints)}")
        members = [
            replace(m, observations={k: o for k, o in m.observations.items() if k in endpoints})
            for m in self.members
        ]
        return Subjects(members, self.notes).observed()

    def renamed(self, endpoints: Mapping[str, str]) -> Subjects:
        """With other names of endpoints, those of a model's outputs: ``renamed({"cp": "conc"})``."""
        unknown = [name for name in endpoints if name not in self.endpoints]
        if unknown:
            raise ValueError(f"there is no endpoint {unknown[0]!r}: there are {', '.join(self.endpoints)}")
        members = [
            replace(m, observations={endpoints.get(k, k): o for k, o in m.observations.items()})
            for m in self.members
        ]
        return Subjects(members, self.notes)

    def observed(self) -> Subjects:
        """Those with at least one observation; the others are named in a note."""
        empty = [str(m.id) for m in self.members if not m.n_observations]
        if not empty:
            return self
        said = f"left out, since nothing was measured in them: {', '.join(empty)}"
        return Subjects([m for m in self.members if m.n_observations], (*self.notes, said))

    def after_dose(self) -> Subjects:
        """Without observations before the first dose, where a drug is not there yet.

        >>> early = Observations([0.0, 1.0], [0.02, 3.0])
        >>> given = Subjects([Subject("a", Regimen.bolus(10.0, time=0.5), {"conc": early})]).after_dose()
        >>> given, given.notes
        (Subjects(1 subjects, 1 observations of conc), ('1 observations before the first dose: left out',))
        """
        members = [
            replace(m, observations={k: o.where(m.dosed(o.times)) for k, o in m.observations.items()})
            for m in self.members
        ]
        n = sum(m.n_observations for m in self.members) - sum(m.n_observations for m in members)
        said = (f"{n} observations before the first dose: left out",) if n else ()
        return Subjects(members, (*self.notes, *said)).observed()

    def without_censored(self) -> Subjects:
        """Values below the limit of quantification left out (Beal's M1): biased where they are many."""
        return self._each(Observations.without_censored, "left out (M1)")

    def half_limit(self) -> Subjects:
        """The first below the limit of a run becomes half the limit, its followers go (Beal's M6)."""
        return self._each(Observations.half_limit, "half the limit once, then left out (M6)")

    def _each(self, change: Any, how: str) -> Subjects:
        n = self.n_censored
        members = [
            replace(m, observations={k: change(o) for k, o in m.observations.items()}) for m in self.members
        ]
        said = (f"{n} values below the limit of quantification: {how}",) if n else ()
        return Subjects(members, (*self.notes, *said)).observed()

    def table(self) -> pd.DataFrame:
        """One row an observation: id, time, endpoint, value, censored."""
        import pandas as pd

        rows = [
            (str(m.id), t, name, y, bool(c))
            for m in self.members
            for name, o in m.observations.items()
            for t, y, c in zip(o.times.tolist(), o.values.tolist(), o.censored, strict=True)
        ]
        return pd.DataFrame(rows, columns=["id", "time", "endpoint", "value", "censored"])


@dataclass(frozen=True)
class Batch:
    """Observations of several subjects for the numerics: doses and times padded, observations flat.

    Parameters
    ----------
    dosing : Dosing
        (s, d) each.
    times : array (s, t)
        All times of each subject, ascending; the last one repeated as padding.
    subject, moment, endpoint : arrays of int (n,)
        Where each observation stands in (s, t, k).
    values, censored : arrays (n,)
    """

    dosing: Dosing
    times: np.ndarray
    subject: np.ndarray
    moment: np.ndarray
    endpoint: np.ndarray
    values: np.ndarray
    censored: np.ndarray

    @classmethod
    def of(cls, members: Sequence[Subject], endpoints: Sequence[str], n_doses: int = 1, n_times: int = 1
           ) -> Batch:  # fmt: skip
        """Padded to at least `n_doses` and `n_times`, so that code compiled for one batch serves another."""
        known = [
            np.unique(np.concatenate([o.times for o in m.observations.values()] or [np.zeros(1)]))
            for m in members
        ]
        width = max([n_times, *map(len, known)])
        times = np.stack([np.pad(t, (0, width - len(t)), mode="edge") for t in known])
        longest = max([n_doses, *(len(m.regimen) for m in members)])
        dosing = stacked_dosing([m.regimen for m in members])
        if longest > dosing.amount.shape[1]:
            more = longest - dosing.amount.shape[1]
            dosing = Dosing(*(np.pad(part, ((0, 0), (0, more))) for part in dosing))
        places: list[tuple[int, int, int]] = []
        values: list[float] = []
        censored: list[bool] = []
        for s, member in enumerate(members):
            for name, observed in member.observations.items():
                at = np.searchsorted(known[s], observed.times)
                places += [(s, int(t), endpoints.index(name)) for t in at]
                values += observed.values.tolist()
                censored += observed.censored.tolist()
        subject, moment, endpoint = np.array(places, dtype=np.intp).reshape(-1, 3).T
        return cls(dosing, times, subject, moment, endpoint, np.array(values), np.array(censored, dtype=bool))

    def __len__(self) -> int:
        return len(self.values)

    def observed_of(self, predicted: ArrayLike) -> np.ndarray:
        """Of predictions (..., s, t, k) those of the observations (..., n)."""
        return np.asarray(predicted)[..., self.subject, self.moment, self.endpoint]
