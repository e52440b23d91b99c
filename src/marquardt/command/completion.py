"""Completion of column names in the shell."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Where the shells put the words typed so far.  The parser is no help: while an option waits for its value,
# as it does during completion, the arguments have not been looked at yet.
_WORDS = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")


def complete_column(incomplete: str) -> Iterator[str]:
    """Column names of the table on the command line; after a comma, of the next name.

    Parameters
    ----------
    incomplete : str
        What has been typed of the option's value.
    """
    from marquardt.tables.reading import DELIMITED, EXCEL, PARQUET, TableError, read_table

    words = [word for name in _WORDS for word in os.environ.get(name, "").split()]
    tables = [word for word in words if word.lower().endswith((*DELIMITED, *EXCEL, *PARQUET))]
    if not tables:
        return
    done, comma, last = incomplete.rpartition(",")
    try:
        columns = read_table(tables[0]).columns
    except TableError:
        return
    yield from (f"{done}{comma}{name}" for name in columns if name.startswith(last))
