"""The history of a run as plain arrays, for a file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.result import History

_PREFIX = "history."
_COUNTS = ("iteration", "rejected", "n_jacobians", "n_costs")


def history_arrays(history: History) -> dict[str, FloatArray]:
    """Every column as `history.<field>`, float64; a missing validation cost is NaN."""
    return {f"{_PREFIX}{name}": history.column(name) for name in history.to_dict()}


def history_from_arrays(arrays: Mapping[str, np.ndarray]) -> History:
    """The inverse of `history_arrays`; other arrays are ignored.

    Raises
    ------
    KeyError, ValueError
        If a column is missing or has the wrong shape: the arrays may come from a file.

    Examples
    --------
    >>> from marquardt.result import Iteration
    >>> history = History([Iteration(0, 2.0, 1.0, 0.9, 0.5, 0.1, 0, 1, 1, 0.0)])
    >>> history_from_arrays(history_arrays(history))[0].cost
    2.0
    """
    columns: dict[str, list[Any]] = {}
    for key, values in arrays.items():
        if key.startswith(_PREFIX):
            if values.ndim != 1:
                raise ValueError(f"{key} has shape {values.shape}")
            columns[key.removeprefix(_PREFIX)] = values.tolist()
    for name in _COUNTS:
        columns[name] = [int(value) for value in columns[name]]
    columns["accelerated"] = [bool(value) for value in columns["accelerated"]]
    columns["validation_cost"] = [None if np.isnan(value) else value for value in columns["validation_cost"]]
    if len({len(values) for values in columns.values()}) != 1:
        raise ValueError("the columns of the history have different lengths")
    return History.from_dict(columns)
