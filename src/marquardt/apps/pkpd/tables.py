"""Subjects from a table with one row an event, as NONMEM, Monolix and Phoenix read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.apps.pkpd.regimen import Dose, Regimen, Route
from marquardt.apps.pkpd.subjects import Observations, Subject, Subjects

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Columns:
    """Names of the columns; upper and lower case are the same.  Optional ones are read where they exist.

    Parameters
    ----------
    id, time, value : str
    amount : str
        Of a dose given at the time of its row; the row is then no observation.
    dose : str
        One dose at time 0, repeated in every row of the subject (R's Theoph).
    endpoint : str
        What was measured; without it all is one endpoint, "conc".
    event : str
        0 an observation, 1 a dose, 2 neither.
    rate, duration : str
        Of infusions: one of them.
    interval, additional : str
        Further doses after that of the row.
    censored : str
        1 where the value is the limit of quantification, and the measurement lay below it.
    """

    id: str = "id"
    time: str = "time"
    value: str = "dv"
    amount: str = "amt"
    dose: str = "dose"
    endpoint: str = "dvid"
    event: str = "evid"
    rate: str = "rate"
    duration: str = "dur"
    interval: str = "ii"
    additional: str = "addl"
    censored: str = "cens"


def subjects_from_table(
    table: pd.DataFrame,
    columns: Columns | None = None,
    *,
    route: Route = Route.BOLUS,
    limit: float | Mapping[str, float] | None = None,
    regimen: Regimen | None = None,
) -> Subjects:
    """Subjects from a tidy table.

    Parameters
    ----------
    table : DataFrame
        One row an event.  Times of a subject ascend.  A value may read "<0.1": below that limit.  All other
        columns with one value a subject are covariates.
    columns : Columns, optional
    route : Route
        Of doses without rate or duration: `Route.ORAL` or `Route.BOLUS`.
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
        For times that go back, negative doses or times, text that is no number; the message names the row.

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
    """The table by the roles of its columns."""

    def __init__(
        self, table: Any, columns: Columns, route: Route, limit: float | Mapping[str, float] | None
    ) -> None:
        if not hasattr(table, "columns"):
            raise ValueError(
                f"table is a {type(table).__name__}: give a pandas DataFrame, pandas.read_csv(...)"
            )
        if len(table) == 0:
            raise ValueError("table has no rows: there is nothing to fit")
        if route is Route.INFUSION:
            raise ValueError("route=Route.INFUSION: an infusion is told by a column of rates or durations")
        by_name = {str(name).lower(): name for name in table.columns}
        self.table, self.route, self.limit = table, route, limit
        self.names = {f.name: by_name.get(getattr(columns, f.name).lower()) for f in fields(columns)}
        for role in ("id", "time", "value"):
            if self.names[role] is None:
                raise ValueError(
                    f"the table has no column {getattr(columns, role)!r} ({role}): its columns are "
                    f"{', '.join(map(str, table.columns))}; name it, Columns({role}='...')"
                )
        self._known: dict[tuple[str, float | None], np.ndarray] = {}
        self.time = self._numbers("time")
        self.n_missing = 0
        self.n_replicates = 0

    def has(self, role: str) -> bool:
        return self.names[role] is not None

    def ids(self) -> list[str]:
        given = self.table[self.names["id"]]
        if given.isna().any():
            raise ValueError(f"row {int(given.isna().to_numpy().argmax())} of the table has no id")
        return [f"{v:g}" if isinstance(v, float) else str(v) for v in given.tolist()]

    def _numbers(self, role: str, missing: float | None = None) -> np.ndarray:
        """A column as floats (n,), read once; what is empty becomes `missing`, or is an error."""
        if (role, missing) not in self._known:
            self._known[role, missing] = self._read(role, missing)
        return self._known[role, missing]

    def _read(self, role: str, missing: float | None) -> np.ndarray:
        import pandas as pd

        name = self.names[role]
        if name is None:
            return np.full(len(self.table), np.nan if missing is None else missing)
        given = self.table[name].replace({".": None, "": None})
        numbers = pd.to_numeric(given, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        text = np.isnan(numbers) & given.notna().to_numpy()
        if text.any():
            row = int(text.argmax())
            raise ValueError(f"row {row} of {name!r} is {given.iloc[row]!r}: it must be a number")
        if missing is None and not np.isfinite(numbers).all():
            raise ValueError(f"row {int((~np.isfinite(numbers)).argmax())} of {name!r} has no finite number")
        return numbers if missing is None else np.where(np.isnan(numbers), missing, numbers)

    @cached_property
    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        """Values (n,), NaN where empty, and which of them are limits."""
        import pandas as pd

        given = self.table[self.names["value"]].replace({".": None, "": None})
        text = given.astype("string").str.strip()
        below = text.str.startswith("<").fillna(False).to_numpy(dtype=bool)
        numbers = pd.to_numeric(text.str.lstrip("<"), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        wrong = np.isnan(numbers) & given.notna().to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"row {row} of {self.names['value']!r} is {given.iloc[row]!r}: write a number, '<0.1' for a "
                "value below the limit 0.1, or nothing for a missing one"
            )
        return numbers, below | (self._numbers("censored", 0.0) == 1)

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
        given = regimen if regimen is not None else Regimen(tuple(self._doses(name, rows)))
        return Subject(name, given, self._observations(rows), self._covariates(rows))

    @cached_property
    def _events(self) -> np.ndarray:
        """0 an observation, 1 a dose, 2 neither (n,)."""
        if self.has("event"):
            event = self._numbers("event", 0.0)
            if np.isin(event, [3, 4]).any():
                row = int(np.isin(event, [3, 4]).argmax())
                raise ValueError(
                    f"row {row} has the event {event[row]:g}, a reset: give what comes after it an id "
                    "of its own"
                )
            return event
        return np.where(self._numbers("amount", 0.0) != 0, 1.0, 0.0)

    def _doses(self, name: str, rows: np.ndarray) -> list[Dose]:
        amount, event = self._numbers("amount", 0.0), self._events
        rate, duration = self._numbers("rate", 0.0), self._numbers("duration", 0.0)
        interval, additional = self._numbers("interval", 0.0), self._numbers("additional", 0.0)
        doses: list[Dose] = []
        for row in rows[event[rows] == 1]:
            try:
                long = duration[row] if duration[row] else amount[row] / rate[row] if rate[row] else 0.0
                how = Route.INFUSION if long else self.route
                one = Regimen((Dose(float(amount[row]), float(self.time[row]), how, float(long)),))
                doses += one.repeated(float(interval[row]) or None, int(additional[row]) + 1).doses
            except ValueError as error:
                raise ValueError(f"subject {name}, row {row} of the table: {error}") from None
        if self.has("dose"):
            single = np.unique(self._numbers("dose")[rows])
            if len(single) > 1:
                raise ValueError(
                    f"subject {name} has several values of {self.names['dose']!r}: that column is for one "
                    "dose at time 0; give doses at other times rows of their own, with Columns(amount=...)"
                )
            doses.append(Dose(float(single[0]), 0.0, self.route))
        return sorted(doses, key=lambda dose: dose.time)

    def _observations(self, rows: np.ndarray) -> dict[str, Observations]:
        values, below = self._values
        mine = rows[self._events[rows] == 0]
        empty = np.isnan(values[mine])
        self.n_missing += int(empty.sum())
        mine = mine[~empty]
        column = self.names["endpoint"]
        labels = (
            np.full(len(mine), "conc", dtype=object)
            if column is None
            else self.table[column].astype(str).to_numpy()[mine]
        )
        found: dict[str, Observations] = {}
        for label in dict.fromkeys(labels.tolist()):
            chosen = mine[labels == label]
            y, under = values[chosen].copy(), below[chosen].copy()
            limit = self.limit.get(label) if isinstance(self.limit, Mapping) else self.limit
            if limit is not None:
                if not (np.isfinite(limit) and limit > 0):
                    raise ValueError(f"limit={limit!r} of {label} must be a finite number above 0")
                under |= y < limit
                y = np.where(y < limit, limit, y)
            self.n_replicates += int((np.diff(self.time[chosen]) == 0).sum())
            found[label] = Observations(self.time[chosen], y, under)
        return found

    def _covariates(self, rows: np.ndarray) -> dict[str, Any]:
        """What has one value in all rows of the subject."""
        others = [name for name in self.table.columns if name not in self.names.values()]
        part = self.table.iloc[rows]
        return {
            str(name): _plain(part[name].iloc[0]) for name in others if part[name].nunique(dropna=False) == 1
        }

    def notes(self, members: list[Subject]) -> list[str]:
        said = []
        if self.n_missing:
            said.append(f"{self.n_missing} rows without a value are left out")
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
