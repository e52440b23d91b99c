"""From the columns of a table to the inputs of a network, and what was done on the way.

Numeric columns stay as they are, with missing values replaced by the median; categorical columns (text, or
named so) become one 0/1 input for each category, with missing values replaced by the most frequent one;
constant and unusable columns are dropped.  Each of these decisions is taken once, on the rows the network is
fitted to, kept, and told in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from marquardt._types import FloatArray
from marquardt.tables.columns import TableError, as_numbers, choose_columns, listing

if TYPE_CHECKING:
    import pandas as pd

NUMERIC_SHARE = 0.8  # a text column of which this share are numbers is a numeric column with stray text
FEW_CATEGORIES, CATEGORY_LIMIT = (
    10,
    50,
)  # between them, at most half as many categories as rows; more are names


@dataclass(frozen=True)
class NumericColumn:
    """A column used as it is; `fill` (the median) stands in for missing values."""

    name: str
    fill: float

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True)
class CategoricalColumn:
    """A column with one 0/1 input for each category; `fill`, the commonest, stands in for missing values."""

    name: str
    categories: tuple[str, ...]
    fill: str

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={category}" for category in self.categories)


@dataclass(frozen=True)
class DroppedColumn:
    """A column that is not used, and why."""

    name: str
    reason: str

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ()


Column: TypeAlias = NumericColumn | CategoricalColumn | DroppedColumn
_KINDS: dict[str, type] = {
    "numeric": NumericColumn,
    "categorical": CategoricalColumn,
    "dropped": DroppedColumn,
}


@dataclass(frozen=True)
class TableEncoder:
    """The fitted encoding of a table's input columns.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"dose": [1.0, None, 3.0], "salt": ["HCl", "Na", "HCl"], "unit": ["mg"] * 3})
    >>> encoder = TableEncoder.fit(table)
    >>> encoder.feature_names
    ('dose', 'salt=HCl', 'salt=Na')
    >>> encoder.transform(table)
    array([[1., 1., 0.],
           [2., 0., 1.],
           [3., 1., 0.]])
    >>> print(*encoder.decisions(), sep="\\n")
    'salt' is categorical: one input for each of 'HCl', 'Na'
    'unit' dropped: constant ('mg')
    """

    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, categorical: Sequence[str] = ()) -> TableEncoder:
        """Choose an encoding for every column.

        Parameters
        ----------
        frame : pandas.DataFrame (n_samples, n_columns)
            Input columns only, of the rows the network is fitted to.
        categorical : sequence of str
            Columns of numbers that are codes: one-hot encoded too.

        Raises
        ------
        TableError
            If no usable column is left, or a column holds infinite values.
        """
        if categorical:
            choose_columns(frame, ",".join(categorical), "categorical")
        columns = tuple(_fit_column(frame[c], str(c), str(c) in categorical) for c in frame.columns)
        if not any(column.feature_names for column in columns):
            reasons = "; ".join(f"{c.name!r}: {c.reason}" for c in columns if isinstance(c, DroppedColumn))
            raise TableError(f"no input column is left to learn from ({reasons or 'the table has none'})")
        return cls(columns)

    @property
    def used(self) -> tuple[NumericColumn | CategoricalColumn, ...]:
        """The columns that are used, in the order of the table."""
        return tuple(column for column in self.columns if not isinstance(column, DroppedColumn))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the network's inputs: `dose`, `salt=HCl`, ..."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The column that each input of the network is made from."""
        return tuple(column.name for column in self.columns for _ in column.feature_names)

    def transform(self, frame: pd.DataFrame) -> FloatArray:
        """The network's inputs, (n_samples, n_features)."""
        return self.encode(frame)[0]

    def encode(self, frame: pd.DataFrame) -> tuple[FloatArray, list[str]]:
        """The network's inputs, and a sentence for each column where something had to be replaced.

        Parameters
        ----------
        frame : pandas.DataFrame (n_samples, n_columns)
            Extra columns are ignored.

        Returns
        -------
        X : ndarray (n_samples, n_features)
        notes : list of str

        Raises
        ------
        TableError
            If a used column is missing or holds infinite values.
        """
        present = {str(name) for name in frame.columns}
        for column in self.used:
            if column.name not in present:
                choose_columns(frame, column.name.replace(",", " "), "the model's input")
                raise TableError(f"the model's input {column.name!r} is no column of this table: add it")
        notes: list[str] = []
        blocks = [_encode_column(column, frame[column.name], notes) for column in self.used]
        return np.hstack(blocks) if len(frame) else np.empty((0, len(self.feature_names))), notes

    def decisions(self) -> list[str]:
        """A sentence for each column that was dropped or one-hot encoded."""
        sentences = []
        for column in self.columns:
            if isinstance(column, CategoricalColumn):
                shown = listing(column.categories, limit=4)
                sentences.append(f"{column.name!r} is categorical: one input for each of {shown}")
            elif isinstance(column, DroppedColumn):
                sentences.append(f"{column.name!r} dropped: {column.reason}")
        return sentences

    def to_dict(self) -> dict[str, Any]:
        """JSON data; `from_dict` is the inverse."""
        names = {kind: name for name, kind in _KINDS.items()}
        return {"columns": [{"kind": names[type(column)], **asdict(column)} for column in self.columns]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TableEncoder:
        """The inverse of `to_dict`.

        Raises
        ------
        ValueError
            If the data are not what `to_dict` gives.
        """
        try:
            return cls(tuple(_column_from_dict(dict(entry)) for entry in data["columns"]))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"the encoder's data are malformed: {error}") from error


def _fit_column(series: pd.Series, name: str, categorical: bool) -> Column:
    import pandas as pd

    present = series.notna()
    if not present.any():
        return DroppedColumn(name, "no value in any row")
    if pd.api.types.is_datetime64_any_dtype(series) or pd.api.types.is_timedelta64_dtype(series):
        return DroppedColumn(name, "a date; to use it, give it as a number such as days since the start")
    numbers = as_numbers(series)
    if not categorical and numbers.notna().sum() >= NUMERIC_SHARE * present.sum():
        return _fit_numeric(numbers, name)
    return _fit_categorical(_texts(series)[present], name, categorical)


def _fit_numeric(numbers: pd.Series, name: str) -> Column:
    known = numbers.dropna().to_numpy(dtype=float)
    _refuse_infinite(known, name)
    if np.ptp(known) == 0:
        return DroppedColumn(name, f"constant ({known[0]:g})")
    if name.startswith("Unnamed") and len(np.unique(known)) == len(known):
        return DroppedColumn(name, "a column without name that only numbers the rows")
    return NumericColumn(name, float(np.median(known)))


_DATE = r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})\b"
"""2024-01-31, 31.01.2024, 1/31/24, with or without a time after it."""


def _fit_categorical(texts: pd.Series, name: str, asked: bool) -> Column:
    counts = texts.value_counts()
    categories = tuple(sorted(str(value) for value in counts.index))
    if len(categories) == 1:
        return DroppedColumn(name, f"constant ({categories[0]!r})")
    if not asked and texts.astype(str).str.match(_DATE).all():
        return DroppedColumn(name, "dates; give them as numbers, such as days since the start")
    limit = min(CATEGORY_LIMIT, max(FEW_CATEGORIES, len(texts) // 2))
    if not asked and (len(categories) > limit or len(categories) == len(texts)):
        return DroppedColumn(
            name, f"{len(categories)} different texts in {len(texts)} rows, so a name or free text"
        )
    top = int(counts.iloc[0])
    fill = min(str(value) for value, count in counts.items() if count == top)  # ties: the first by name
    return CategoricalColumn(name, categories, fill)


def _encode_column(
    column: NumericColumn | CategoricalColumn, series: pd.Series, notes: list[str]
) -> FloatArray:
    n_missing = int(series.isna().sum())
    if isinstance(column, NumericColumn):
        instead = f"median {column.fill:.4g} used instead"
        numbers = as_numbers(series)
        stray = series[numbers.isna() & series.notna()].astype(str)
        if n_missing:
            notes.append(f"{column.name!r}: {_cells(n_missing)} missing, {instead}")
        if len(stray):
            shown = listing(dict.fromkeys(stray), limit=3)
            notes.append(f"{column.name!r}: {_cells(len(stray))} no number ({shown}), {instead}")
        values = numbers.fillna(column.fill).to_numpy(dtype=float)
        _refuse_infinite(values, column.name)
        return values[:, np.newaxis]
    texts = _texts(series).where(series.notna(), column.fill)
    if n_missing:
        notes.append(
            f"{column.name!r}: {_cells(n_missing)} missing, most frequent {column.fill!r} used instead"
        )
    unseen = texts[~texts.isin(column.categories)]
    if len(unseen):
        shown = listing(dict.fromkeys(unseen), limit=3)
        notes.append(
            f"{column.name!r}: {_cells(len(unseen))} not seen in training ({shown}), taken as none of them"
        )
    return np.column_stack([np.asarray(texts == name, dtype=float) for name in column.categories])


def _refuse_infinite(values: FloatArray, name: str) -> None:
    count = int(np.isinf(values).sum())
    if count:
        plural = "s" if count > 1 else ""
        raise TableError(f"column {name!r} holds {count} infinite value{plural}: mend or empty these cells")


def _cells(count: int) -> str:
    return "1 value is" if count == 1 else f"{count} values are"


def _texts(series: pd.Series) -> pd.Series:
    """The values as text; 2 and 2.0 are the same category, whatever missing cells made of the column."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
        return series.map(lambda value: format(float(value), ".12g"), na_action="ignore").astype(object)
    return series.astype(object).map(lambda value: str(value).strip(), na_action="ignore")


def _column_from_dict(entry: dict[str, Any]) -> Column:
    kind = _KINDS[entry.pop("kind")]
    if kind is NumericColumn:
        fill = float(entry.pop("fill"))
        if not np.isfinite(fill):
            raise ValueError("a fill value of the encoder is not finite")
        return NumericColumn(_text(entry.pop("name")), fill)
    if kind is CategoricalColumn:
        categories = tuple(_text(value) for value in entry["categories"])
        return CategoricalColumn(_text(entry["name"]), categories, _text(entry["fill"]))
    return DroppedColumn(_text(entry["name"]), _text(entry["reason"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
