"""The columns of a table of events by their roles, as numbers, names and measured values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Columns:
    """Names of the columns; upper and lower case are the same.  Optional ones are read where they exist.

    Parameters
    ----------
    id, time, value : str
    amount : str
        Of a dose given at the time of its row; the row is then no observation.
    dose : str
        One dose at time 0, repeated in every row of the subject (R's Theoph); read where no
        column has amounts.
    endpoint : str
        What was measured; without it all is one endpoint, "conc".
    event : str
        0 an observation, 1 a dose, 2 neither.
    missing : str
        1 where the value of an observation means nothing (NONMEM's MDV).
    compartment : str
        Where a dose goes, see `route` of `subjects_from_table`, and which compartment was measured.
    rate, duration : str
        Of infusions: one of them.
    interval, additional : str
        Further doses after that of the row.
    steady : str
        NONMEM's SS; only 0 is understood.
    censored : str
        1 where the value is the limit of quantification, and the measurement lay below it; else 0.
    """

    id: str = "id"
    time: str = "time"
    value: str = "dv"
    amount: str = "amt"
    dose: str = "dose"
    endpoint: str = "dvid"
    event: str = "evid"
    missing: str = "mdv"
    compartment: str = "cmt"
    rate: str = "rate"
    duration: str = "dur"
    interval: str = "ii"
    additional: str = "addl"
    steady: str = "ss"
    censored: str = "cens"


class EventColumns:
    """A table by the roles of its columns; every column is read once."""

    def __init__(self, table: Any, columns: Columns) -> None:
        if not hasattr(table, "columns"):
            raise ValueError(
                f"table is a {type(table).__name__}: give a pandas DataFrame, pandas.read_csv(...)"
            )
        if len(table) == 0:
            raise ValueError("table has no rows: there is nothing to fit")
        by_name = {str(name).lower(): name for name in table.columns}
        self.table = table
        self.names = {f.name: by_name.get(getattr(columns, f.name).lower()) for f in fields(columns)}
        for role in ("id", "time", "value"):
            if self.names[role] is None:
                raise ValueError(
                    f"the table has no column {getattr(columns, role)!r} ({role}): its columns are "
                    f"{', '.join(map(str, table.columns))}; name it, Columns({role}='...')"
                )
        self._known: dict[tuple[str, float | None], np.ndarray] = {}

    def has(self, role: str) -> bool:
        return self.names[role] is not None

    def numbers(self, role: str, missing: float | None = None) -> np.ndarray:
        """A column as floats (n,); what is empty becomes `missing`, or is an error."""
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

    def labels(self, role: str) -> np.ndarray:
        """A column as names (n,): 1 for 1.0, which is what a 1 becomes beside empty cells."""
        return np.array([label_of(value) for value in self.table[self.names[role]].tolist()], dtype=object)

    def ids(self) -> list[str]:
        given = self.table[self.names["id"]]
        if given.isna().any():
            raise ValueError(f"row {int(given.isna().to_numpy().argmax())} of the table has no id")
        return self.labels("id").tolist()

    @cached_property
    def events(self) -> np.ndarray:
        """0 an observation, 1 a dose, 2 neither (n,)."""
        if not self.has("event"):
            return np.where(self.numbers("amount", 0.0) != 0, 1.0, 0.0)
        event = self.numbers("event", 0.0)
        if np.isin(event, [3, 4]).any():
            row = int(np.isin(event, [3, 4]).argmax())
            raise ValueError(
                f"row {row} has the event {event[row]:g}, a reset: give what comes after it an id of its own"
            )
        self.refuse("event", ~np.isin(event, [0, 1, 2]), "0 is an observation, 1 a dose, 2 neither")
        if self.has("amount"):
            amount = self.numbers("amount", np.nan)
            given = np.nan_to_num(amount) != 0
            self.refuse("event", (event != 1) & given, "the row has an amount: a dose has the event 1")
            self.refuse("amount", (event == 1) & np.isnan(amount), "a dose (event 1) needs an amount")
        return event

    @cached_property
    def missing(self) -> np.ndarray:
        """Observations whose value means nothing (n,), booleans."""
        said, rows = self.numbers("missing", 0.0), self.events == 0
        self.refuse("missing", rows & ~np.isin(said, [0, 1]), "1 is a missing value, 0 a measured one")
        return rows & (said == 1)

    @cached_property
    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Values (n,), NaN where nothing was measured, and which of them are limits."""
        import pandas as pd

        rows = (self.events == 0) & ~self.missing
        given = self.table[self.names["value"]].where(rows).replace({".": None, "": None})
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
        censored = self.numbers("censored", 0.0)
        self.refuse(
            "censored",
            rows & ~np.isin(censored, [0, 1]),
            "1 is below the limit of quantification, 0 is measured; a value above a limit has no likelihood "
            "here: leave the row out",
        )
        return numbers, below | (rows & (censored == 1))

    def refuse(self, role: str, wrong: np.ndarray, advice: str) -> None:
        """ValueError with the first row where `wrong` (n,) holds."""
        if wrong.any():
            row = int(wrong.argmax())
            found = self.numbers(role, 0.0)[row]
            raise ValueError(f"row {row} of {self.names[role]!r} is {found:g}: {advice}")

    def others(self) -> list[Any]:
        """Names of the columns without a role."""
        return [name for name in self.table.columns if name not in self.names.values()]


def label_of(value: Any) -> str:
    """How a cell is called.

    >>> label_of(1234567.0), label_of(2), label_of("cp")
    ('1234567', '2', 'cp')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
