"""Reading and writing tables: CSV, TSV, Excel, Parquet."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from marquardt.tables.columns import TableError, listing

if TYPE_CHECKING:
    import pandas as pd

DELIMITED = (".csv", ".tsv", ".txt", ".dat", ".csv.gz", ".tsv.gz")
EXCEL = (".xlsx", ".xlsm")
PARQUET = (".parquet", ".pq")

# Beside what pandas takes for missing: UCI's "?", spreadsheets' error cells, and laboratory shorthand.
MISSING = (
    "?",
    "-",
    "--",
    ".",
    "n.d.",
    "N.D.",
    "n.a.",
    "N.A.",
    "#DIV/0!",
    "#VALUE!",
    "#REF!",
    "#NUM!",
    "#NAME?",
)


def read_table(path: str | os.PathLike[str], sheet: str | None = None) -> pd.DataFrame:
    """Read a table with one header line; the kind is told from the file name.

    The delimiter (comma, semicolon, tab, bar) and the decimal comma are recognized.

    Parameters
    ----------
    path : path-like
        `.csv`, `.tsv`, `.txt` (also `.gz`), `.xlsx`, `.parquet`.
    sheet : str, optional
        Sheet of an Excel file; the first without.

    Returns
    -------
    pandas.DataFrame
        Column names are strings without blanks around them; wholly empty rows are left out.

    Raises
    ------
    TableError
        If the file is missing, of another kind, empty, without header line, or malformed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "a.csv")
    ...     _ = file.write_text("dose;answer\\n0,5;1\\n1,5;2\\n")
    ...     read_table(file)["dose"].tolist()
    [0.5, 1.5]
    """
    name = os.fspath(path)
    suffix = _suffix(name)
    if not os.path.exists(path):
        raise TableError(f"there is no file {name!r}: check the path{_neighbors(path)}")
    if os.path.isdir(path):
        raise TableError(f"{name!r} is a folder: name a table in it")
    if suffix == ".xls":
        raise TableError(f"{name!r} is in Excel's format of before 2007: save it as .xlsx or .csv")
    if suffix not in (*DELIMITED, *EXCEL, *PARQUET):
        kinds = ", ".join((*DELIMITED, *EXCEL, *PARQUET))
        raise TableError(f"{name!r} has no known table ending: rename or save it as one of {kinds}")
    try:
        return _checked(name, _read(name, suffix, sheet))
    except OSError as error:
        raise TableError(f"could not read {name!r}: {error.strerror or error}") from error


def _read(name: str, suffix: str, sheet: str | None) -> pd.DataFrame:
    if suffix in EXCEL:
        return _read_excel(name, sheet)
    if sheet is not None:
        raise TableError(f"--sheet {sheet!r}: {name!r} has no sheets; leave it out")
    return _read_parquet(name) if suffix in PARQUET else _read_delimited(name)


def write_table(path: str | os.PathLike[str], frame: pd.DataFrame) -> None:
    """Write a table as `.csv`, `.tsv`, `.xlsx` or `.parquet`, in one step.

    Raises
    ------
    TableError
        If the ending is not known or the file cannot be written.
    """
    from marquardt.atomic_file import write_atomically

    name = os.fspath(path)
    suffix = _suffix(name)
    buffer = io.BytesIO()
    if suffix in EXCEL:
        _require("openpyxl", name)
        frame.to_excel(buffer, index=False)
    elif suffix in PARQUET:
        _require("pyarrow", name)
        frame.to_parquet(buffer, index=False)
    elif suffix in (".csv", ".tsv", ".txt"):
        buffer.write(frame.to_csv(index=False, sep="\t" if suffix == ".tsv" else ",").encode())
    else:
        raise TableError(f"cannot write {name!r}: use the ending .csv, .tsv, .xlsx or .parquet")
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise TableError(str(error)) from error


def _neighbors(path: str | os.PathLike[str]) -> str:
    """Close file names in the same folder, as a question."""
    folder = Path(path).parent
    names = [entry.name for entry in folder.iterdir() if entry.is_file()] if folder.is_dir() else []
    close = difflib.get_close_matches(Path(path).name, names, n=2, cutoff=0.7)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""


def _suffix(name: str) -> str:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else (suffixes[-1] if suffixes else "")


def without_ending(name: str) -> str:
    """The name of a table's file without what says its kind.

    >>> without_ending("run.2024.csv.gz"), without_ending("run.2024")
    ('run.2024', 'run.2024')
    """
    suffix = _suffix(name)
    return name[: -len(suffix)] if suffix in (*DELIMITED, *EXCEL, *PARQUET) else name


def _require(module: str, name: str) -> None:
    try:
        __import__(module)
    except ImportError as error:
        raise TableError(
            f'{name!r} needs {module}: run `python -m pip install "marquardt[tables]"`, or use a .csv file'
        ) from error


def _read_excel(name: str, sheet: str | None) -> pd.DataFrame:
    import pandas as pd

    _require("openpyxl", name)
    try:
        with pd.ExcelFile(name) as book:
            if sheet is not None and sheet not in book.sheet_names:
                raise TableError(f"--sheet {sheet!r} is not in {name!r}: it has {listing(book.sheet_names)}")
            return pd.read_excel(book, sheet if sheet is not None else 0, na_values=list(MISSING))
    except TableError:
        raise
    except Exception as error:  # openpyxl and zipfile raise many kinds for a damaged workbook
        raise TableError(
            f"{name!r} is no Excel workbook that can be read ({error}): save it again"
        ) from error


def _read_parquet(name: str) -> pd.DataFrame:
    import pandas as pd

    _require("pyarrow", name)
    try:
        return pd.read_parquet(name)
    except OSError:
        raise
    except Exception as error:  # pyarrow's own tree of exceptions
        raise TableError(f"{name!r} is no Parquet file that can be read ({error}): write it again") from error


def _read_delimited(name: str) -> pd.DataFrame:
    import pandas as pd

    opener = gzip.open if name.lower().endswith(".gz") else open
    with opener(name, "rb") as file:
        raw = file.read()
    text = _decoded(raw)
    if not text.strip():
        raise TableError(f"{name!r} is empty: it needs a header line and rows")
    delimiter = _delimiter(text)
    header = next(csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter, skipinitialspace=True))
    _refuse_repeated(name, [column.strip() for column in header if column.strip()])  # pandas renames them
    sample = text[:65536]
    decimal = (
        "," if delimiter != "," and re.search(r"\d,\d", sample) and not re.search(r"\d\.\d", sample) else "."
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text), sep=delimiter, decimal=decimal, na_values=list(MISSING), index_col=False,
                skipinitialspace=True, low_memory=False,
            )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise TableError(
            f"{name!r} is no regular table ({reason}): every line needs as many fields as the header"
        ) from error


def _decoded(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):  # "Unicode text" of spreadsheets
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")  # what Western spreadsheets write: µ and ° survive


def _delimiter(text: str) -> str:
    """The commonest of tab, semicolon, bar and comma in the header line, outside quotes."""
    header = re.sub(r'"[^"]*"', "", text.lstrip().splitlines()[0])
    counts = {mark: header.count(mark) for mark in ("\t", ";", "|", ",")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def _checked(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns=lambda column: str(column).strip()).dropna(how="all").reset_index(drop=True)
    columns = [str(column) for column in frame.columns]
    if len(frame) == 0:
        raise TableError(f"{name!r} has no rows below its header line")
    _refuse_repeated(name, columns)
    if columns and all(_is_number(column) for column in columns):
        raise TableError(
            f"the first line of {name!r} holds numbers ({listing(columns, limit=3)}), not column names: "
            "add a header line"
        )
    return frame


def _refuse_repeated(name: str, columns: list[str]) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise TableError(f"{name!r} has two columns of the name {listing(repeated)}: rename one of them")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
