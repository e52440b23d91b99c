"""Subjects from a table with one row an event, as NONMEM, Monolix and Phoenix read it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.apps.pkpd.event_columns import Columns, EventColumns, label_of
from marquardt.apps.pkpd.regimen import JUST_AFTER_ZERO, Dose, Regimen, Route
from marquardt.apps.pkpd.subjects import Observations, Subject, Subjects

if TYPE_CHECKING:
    import pandas as pd


def subjects_from_table(
    table: pd.DataFrame,
    columns: Columns | None = None,
    *,
    route: Route | Mapping[Any, Route] = Route.BOLUS,
    limit: float | Mapping[str, float] | None = None,
    regimen: Regimen | None = None,
) -> Subjects:
    """Subjects from a tidy table.

    Parameters
    ----------
    table : DataFrame
        One row an event.  Times of a subject ascend; what happens at one time happens in the order of the
        rows, so that an observation whose row precedes that of a dose was taken before it.  A value may read
        "<0.1": below that limit.  All other columns with one value a subject are covariates.
    columns : Columns, optional
    route : Route, or mapping of compartment to Route
        Of doses without rate or duration: `Route.ORAL` or `Route.BOLUS`.  Where doses go into several
        compartments, by the column of compartments: ``{1: Route.ORAL, 2: Route.BOLUS}``.
    limit : float or mapping of endpoint to float, optional
        Of quantification: smaller values count as "below it", whatever they are.
    regimen : Regimen, optional
        Of every subject, for tables without doses.

    Returns
    -------
    Subjects
        Their `notes` say what was odd: missing values, replicates, values below the limit.

    Raises
    ------
    ValueError
        For times that go back, negative doses or times, text that is no number, steady states, values above
        a limit, several compartments without a word which is what; the message names the row.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "id": [1, 1, 1, 2, 2], "time": [0, 1, 2, 0, 1], "amt": [100, 0, 0, 50, 0],
    ...     "dv": [None, 9.1, "<0.5", None, 4.0], "wt": [70, 70, 70, 61, 61]})
    >>> subjects = subjects_from_table(table, route=Route.ORAL)
    >>> subjects
    Subjects(2 subjects, 3 observations of conc)
    >>> print(*subjects.notes)
    1 of 3 values of conc lie below the limit of quantification: a fit counts them as what they are (M3)
    >>> subjects["2"].covariates
    {'wt': 61}
    """
    reader = _Reader(table, columns or Columns(), route, limit)
    if regimen is not None and any(reader.has(name) for name in ("amount", "dose")):
        raise ValueError(
            "regimen= is given, but the table has doses of its own: leave one of them out, or rename "
            "the column"
        )
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(reader.ids()):
        groups.setdefault(name, []).append(row)
    members = [reader.subject(name, np.array(rows), regimen) for name, rows in groups.items()]
    return Subjects(members, tuple(reader.notes(members))).observed()


class _Reader:
    """Subjects from the columns of a table."""

    def __init__(
        self,
        table: Any,
        columns: Columns,
        route: Route | Mapping[Any, Route],
        limit: float | Mapping[str, float] | None,
    ) -> None:
        if route is Route.INFUSION:
            raise ValueError("route=Route.INFUSION: an infusion is told by a column of rates or durations")
        self.columns = EventColumns(table, columns)
        self.table, self.names = table, self.columns.names
        self.has, self.ids = self.columns.has, self.columns.ids
        self.limit = limit
        self.time = self.columns.numbers("time")
        values, self.below = self.columns.values
        self.values = values
        self.seen = (self.columns.events == 0) & ~np.isnan(values)
        self.routes = self._routes(route)
        self._check_endpoints()
        self.n_replicates = 0
        self.n_before = 0
        self.varying: set[str] = set()

    def _check_endpoints(self) -> None:
        """Concentration and effect must not become one endpoint."""
        if self.has("endpoint") or not self.has("compartment"):
            return
        found = sorted(set(self.columns.labels("compartment")[self.seen]))
        if len(found) > 1:
            raise ValueError(
                f"observations are of the compartments {', '.join(found)}: if these are endpoints, take "
                f"Columns(endpoint={self.names['compartment']!r}); else drop the column"
            )

    @cached_property
    def _long(self) -> np.ndarray:
        """Durations of infusions (n,), 0 for other doses."""
        amount, rate = self.columns.numbers("amount", 0.0), self.columns.numbers("rate", 0.0)
        duration = self.columns.numbers("duration", 0.0)
        by_rate = np.where(rate != 0, amount / np.where(rate != 0, rate, 1.0), 0.0)
        return np.where(duration != 0, duration, by_rate)

    def _routes(self, route: Route | Mapping[Any, Route]) -> list[Route]:
        """Of the dose of each row, if it is none by rate (n,)."""
        dosed, slow = self.columns.events == 1, self._long != 0
        name = self.names["compartment"]
        if name is None:
            if isinstance(route, Mapping):
                raise ValueError(f"route={route!r} tells compartments, but the table has no column 'cmt'")
            return [route] * len(self.table)
        where = self.columns.labels("compartment")
        if isinstance(route, Mapping):
            known = {label_of(key): value for key, value in route.items()}
            for row in np.flatnonzero(dosed):
                if where[row] not in known:
                    raise ValueError(
                        f"row {row}: route={route!r} lacks the route of compartment {where[row]!r}"
                    )
        else:
            for rows in (dosed & slow, dosed & ~slow):
                if len(found := sorted(set(where[rows]))) > 1:
                    raise ValueError(
                        f"doses go into several compartments of {name!r}, {', '.join(found)}: say the "
                        f"route of each, route={{{found[0]}: Route.ORAL, {found[1]}: Route.BOLUS}} say"
                    )
            quick = set(where[dosed & ~slow])
            known = dict.fromkeys(where, route) | dict.fromkeys(set(where[dosed & slow]) - quick, Route.BOLUS)
        for row in np.flatnonzero(dosed & slow):
            if known[where[row]] is Route.ORAL:
                raise ValueError(
                    f"row {row} is an infusion into the depot, compartment {where[row]!r}: only the central "
                    "compartment takes infusions; if it is that one, drop the column or say its route"
                )
        return [known.get(label, Route.BOLUS) for label in where]

    def subject(self, name: str, rows: np.ndarray, regimen: Regimen | None) -> Subject:
        time = self.time[rows]
        back = np.flatnonzero(np.diff(time) < 0)
        if len(back):
            row = rows[back[0] + 1]
            raise ValueError(
                f"subject {name}: time goes back to {self.time[row]:g} in row {row}; two occasions need two "
                "ids; otherwise sort the table, table.sort_values([id, time])"
            )
        if (time < 0).any():
            row = rows[int((time < 0).argmax())]
            raise ValueError(
                f"subject {name}: time {self.time[row]:g} in row {row} is negative: count times from the "
                "first dose or earlier"
            )
        moments = self._moments(rows)
        given = regimen if regimen is not None else Regimen(tuple(self._doses(name, rows, moments)))
        return Subject(name, given, self._observations(rows, moments), self._covariates(rows))

    def _moments(self, rows: np.ndarray) -> np.ndarray:
        """Times (n,) of rows, so that models find what happens at one time in the order of the rows.

        A model gives a dose before it looks.  What precedes a dose of its own time moves to the next smaller
        number; at time 0 the dose moves instead.
        """
        time, dosed, seen = self.time[rows].copy(), self.columns.events[rows] == 1, self.seen[rows]
        rank, looked = np.zeros(len(rows), dtype=int), bool(seen[0])
        for k in range(1, len(rows)):
            again = time[k] == time[k - 1]
            next_one = again and looked and dosed[k]
            rank[k] = rank[k - 1] + next_one if again else 0
            looked = bool(seen[k]) or (looked and again and not next_one)
        for t in np.unique(time[rank > 0]):
            mine = self.time[rows] == t
            late = rank[mine].max() - rank[mine]
            self.n_before += int((seen[mine] & (late > 0)).sum())
            time[mine] = t - late * np.spacing(t) if t > 0 else JUST_AFTER_ZERO * rank[mine]
        return time

    def _doses(self, name: str, rows: np.ndarray, moments: np.ndarray) -> list[Dose]:
        amount, steady = self.columns.numbers("amount", 0.0), self.columns.numbers("steady", 0.0)
        interval, additional = (self.columns.numbers(role, 0.0) for role in ("interval", "additional"))
        self.columns.refuse(
            "steady",
            (self.columns.events == 1) & (steady != 0),
            "a steady state before the first row is not computed; give the doses that led to it rows of "
            "their own, or additional ones (II, ADDL), and count times from the first of them",
        )
        self.columns.refuse(
            "rate",
            (self.columns.events == 1) & (self.columns.numbers("rate", 0.0) < 0),
            "rates and durations that NONMEM would estimate are not understood; give the rate",
        )
        doses: list[Dose] = []
        for row, time in zip(rows.tolist(), moments.tolist(), strict=True):
            if self.columns.events[row] != 1:
                continue
            try:
                long = float(self._long[row])
                how = Route.INFUSION if long else self.routes[row]
                one = Regimen((Dose(float(amount[row]), time, how, long),))
                doses += one.repeated(float(interval[row]) or None, int(additional[row]) + 1).doses
            except ValueError as error:
                raise ValueError(f"subject {name}, row {row} of the table: {error}") from None
        if self.has("dose") and not self.has("amount"):
            single = np.unique(self.columns.numbers("dose")[rows])
            if len(single) > 1:
                raise ValueError(
                    f"subject {name} has several values of {self.names['dose']!r}: that column is for one "
                    "dose at time 0; give doses at other times rows of their own, with Columns(amount=...)"
                )
            doses.append(Dose(float(single[0]), 0.0, self.routes[int(rows[0])]))
        return sorted(doses, key=lambda dose: dose.time)

    def _observations(self, rows: np.ndarray, moments: np.ndarray) -> dict[str, Observations]:
        moments, mine = moments[self.seen[rows]], rows[self.seen[rows]]
        labels = np.full(len(mine), "conc", dtype=object)
        if self.has("endpoint"):
            labels = self._endpoints[mine]
        found: dict[str, Observations] = {}
        for label in dict.fromkeys(labels.tolist()):
            chosen, time = mine[labels == label], moments[labels == label]
            y, under = self.values[chosen].copy(), self.below[chosen].copy()
            limit = self.limit.get(label) if isinstance(self.limit, Mapping) else self.limit
            if limit is not None:
                if not (np.isfinite(limit) and limit > 0):
                    raise ValueError(f"limit={limit!r} of {label} must be a finite number above 0")
                under |= y < limit
                y = np.where(y < limit, limit, y)
            self.n_replicates += int((np.diff(time) == 0).sum())
            found[label] = Observations(time, y, under)
        return found

    @cached_property
    def _endpoints(self) -> np.ndarray:
        return self.columns.labels("endpoint")

    def _covariates(self, rows: np.ndarray) -> dict[str, Any]:
        """What has one value in all rows of the subject."""
        part, own = self.table.iloc[rows], {}
        for name in self.columns.others() + ([self.names["dose"]] if self._nominal else []):
            if part[name].nunique(dropna=False) == 1:
                own[str(name)] = _plain(part[name].iloc[0])
            elif not self._numbers_rows(name):
                self.varying.add(str(name))
        return own

    def _numbers_rows(self, name: Any) -> bool:
        """Whether a column counts the rows of the table, as R's row names do."""
        column = self.table[name].to_numpy()
        return np.issubdtype(column.dtype, np.integer) and bool((np.diff(column) == 1).all())

    @property
    def _nominal(self) -> bool:
        """Whether the column of single doses stands beside amounts."""
        return self.has("dose") and self.has("amount")

    def notes(self, members: list[Subject]) -> list[str]:
        said = []
        missing = self.columns.missing
        if missing.any():
            said.append(f"{int(missing.sum())} rows with {self.names['missing']} = 1 are left out")
        n_empty = int(((self.columns.events == 0) & ~missing & ~self.seen).sum())
        if n_empty:
            said.append(f"{n_empty} rows without a value are left out")
        if self.n_before:
            said.append(
                f"{self.n_before} observation{'s' * (self.n_before > 1)} at the time of a dose, in a row "
                "before that of the dose: taken before it"
            )
        if self._nominal:
            said.append(
                f"{self.names['dose']!r} is not read as doses, since {self.names['amount']!r} tells them"
            )
        if self.varying:
            said.append(f"no covariates, since they vary within a subject: {', '.join(sorted(self.varying))}")
        if self.n_replicates:
            said.append(
                f"{self.n_replicates} times were measured twice in the same subject: taken as replicates; if "
                "rows were copied, table.drop_duplicates()"
            )
        bare = [m.id for m in members if not m.regimen.total]
        if bare:
            said.append(f"without any dose: {', '.join(bare)}")
        for name in dict.fromkeys(name for m in members for name in m.observations):
            found = [m.observations[name] for m in members if name in m.observations]
            n = sum(int(o.censored.sum()) for o in found)
            if n:
                said.append(
                    f"{n} of {sum(map(len, found))} values of {name} lie below the limit of quantification: "
                    "a fit counts them as what they are (M3)"
                )
        return said


def _plain(value: Any) -> Any:
    """A number of Python for one of NumPy."""
    return value.item() if isinstance(value, np.generic) else value
