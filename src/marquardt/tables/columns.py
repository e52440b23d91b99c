"""Columns of a table: finding them by name, and reading them as numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

_DECIMAL_COMMA = r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?"
_THOUSANDS = r"[-+]?[1-9]\d{0,2},\d{3}"


class TableError(ValueError):
    """A table cannot be used as asked; the message says what is wrong and what to do."""


def choose_columns(frame: pd.DataFrame, names: str, option: str) -> tuple[str, ...]:
    """The columns named in a comma-separated list.

    Parameters
    ----------
    frame : pandas.DataFrame
    names : str
        One column name, or several with commas between them.
    option : str
        The option they were given to, for the message.

    Raises
    ------
    TableError
        If a column is not there; the message lists close matches.

    Examples
    --------
    >>> import pandas as pd
    >>> choose_columns(pd.DataFrame({"dose": [1], "answer": [2]}), "answer", "--target")
    ('answer',)
    >>> choose_columns(pd.DataFrame({"dose": [1], "answer": [2]}), "anwser", "--target")
    Traceback (most recent call last):
    marquardt.tables.columns.TableError: --target 'anwser' is no column; did you mean 'answer'?
    """
    columns = [str(column) for column in frame.columns]
    if names.strip() in columns:  # a name may itself hold a comma
        return (names.strip(),)
    chosen = tuple(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
    if not chosen:
        raise TableError(f"{option} is empty: name a column, one of {listing(columns)}")
    for name in chosen:
        if name not in columns:
            raise TableError(f"{option} {name!r} is no column; {_suggestion(name, columns)}")
    return chosen


def target_values(frame: pd.DataFrame, targets: Sequence[str]) -> tuple[FloatArray, np.ndarray]:
    """The targets as numbers, and which rows have any of them.

    Returns
    -------
    y : ndarray (n_samples, n_targets)
    known : ndarray of bool (n_samples,)
        False where every target is missing.

    Raises
    ------
    TableError
        If a target is text, infinite, constant, or always missing.
    """
    y = np.column_stack([_target(frame[name], name) for name in targets])
    for name, column in zip(targets, y.T, strict=True):
        values = column[np.isfinite(column)]
        if not len(values):
            raise TableError(f"no row has a value of the target {name!r}: check the table, or leave it out")
        if len(values) > 1 and np.ptp(values) == 0:
            raise TableError(
                f"target {name!r} is constant ({values[0]:g} in all {len(values)} rows): nothing to learn; "
                "choose another target"
            )
    return y, np.asarray(np.isfinite(y).any(axis=1))


def as_numbers(series: pd.Series) -> pd.Series:
    """A column as float64, decimal commas read as points; NaN where it is missing or no number.

    Where every comma could as well be an English thousands separator (`1,234`), none is read: a wrong guess
    would be wrong by a factor of a thousand.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(series):
        return pd.to_numeric(series).astype(float)
    text = series.where(series.notna(), "").astype(str).str.strip()
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    comma = text.str.fullmatch(_DECIMAL_COMMA)
    if not comma.any() or text[comma].str.fullmatch(_THOUSANDS).all():
        return numbers
    return numbers.where(~comma, pd.to_numeric(text.str.replace(",", "."), errors="coerce"))


def listing(values: Iterable[object], limit: int = 8) -> str:
    """Quoted values with commas, cut after `limit` of them."""
    quoted = [repr(str(value)) for value in values]
    more = f", ... ({len(quoted)} in all)" if len(quoted) > limit else ""
    return ", ".join(quoted[:limit]) + more


def _target(series: pd.Series, name: str) -> FloatArray:
    numbers = as_numbers(series)
    text = series[numbers.isna() & series.notna()]
    if len(text):
        raise TableError(_text_in_target(text, series, name))
    values = numbers.to_numpy(dtype=float)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0]) + 1
        raise TableError(f"target {name!r} is infinite in data row {row}: mend that cell or leave it empty")
    return values


def _text_in_target(text: pd.Series, series: pd.Series, name: str) -> str:
    """A few cells are slips of the pen; most of a column are classes."""
    hold = "1 of {} rows holds" if len(text) == 1 else f"{len(text)} of {{}} rows hold"
    found = f"target {name!r} must be numbers, but {hold.format(len(series))} text"
    if len(text) <= 0.2 * len(series):
        rows = np.flatnonzero(series.index.isin(text.index))[:4] + 1
        cells = ", ".join(f"{str(v)!r} in row {k}" for k, v in zip(rows, text, strict=False))
        more = ", ..." if len(text) > 4 else ""
        return f"{found} ({cells}{more}): mend these cells, or leave them empty"
    shown = listing(dict.fromkeys(text.astype(str)), limit=3)
    return (
        f"{found} ({shown}): choose another target; for classes, code two of them as 0 and 1, or use "
        "LMClassifier in Python"
    )


def _suggestion(name: str, columns: Sequence[str]) -> str:
    by_lower = {column.lower(): column for column in columns}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(repr(by_lower[match]) for match in close)}?"
    return f"the columns are {listing(columns, limit=12)}"


def row_counters(frame: pd.DataFrame, known: Sequence[str] = ()) -> list[str]:
    """Columns of whole numbers that go up by one from row to row; those in `known` are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> row_counters(pd.DataFrame({"row": [1, 2, 3, 4], "x": [0.1, 0.2, 0.3, 0.4]}))
    ['row']
    """
    counters = []
    for name in frame.columns:
        if name not in known and frame[name].dtype.kind in "iuf" and len(frame) > 2:
            values = frame[name].to_numpy(dtype=float)
            if (np.diff(values) == 1.0).all():
                counters.append(name)
    return counters
