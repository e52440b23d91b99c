"""What a colleague would say on seeing the numbers of a table, before any fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.tables.columns import as_numbers

if TYPE_CHECKING:
    import pandas as pd

DECADES = 3.0
"""A positive column that spans as many powers of ten is nearly always meant in logarithms."""
FAR = 20.0
"""A target so many robust standard deviations from the median is a typing error more often than a value."""


def remarks(inputs: pd.DataFrame, targets: Sequence[str], y: FloatArray, rows: np.ndarray) -> list[str]:
    """Sentences on columns that want a logarithm, on targets far from all others, and on classes.

    Parameters
    ----------
    inputs : pandas.DataFrame
    targets : sequence of str
    y : array (n_samples, n_targets)
        NaN where a target was not measured.
    rows : array of int (n_samples,)
        Where they stand in the table, from 0; the sentences count from 1, without the header line.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"dose": [1e-9, 1e-7, 1e-5, 1e-4]})
    >>> remarks(table, ["effect"], np.array([[0.0], [1.0], [2.0], [3.0]]), np.arange(4))[0]
    "'dose' spans 5 powers of ten: a column of its logarithm in its place is easier to learn"
    """
    said = []
    for name in inputs.columns:
        if inputs[name].dtype.kind in "if" and _decades(as_numbers(inputs[name]).to_numpy(float)) >= DECADES:
            decades = _decades(as_numbers(inputs[name]).to_numpy(float))
            said.append(
                f"{name!r} spans {decades:.0f} powers of ten: a column of its logarithm in its place is "
                f"easier to learn"
            )
    for name, column in zip(targets, y.T, strict=True):
        known = np.isfinite(column)
        values = column[known]
        said += _two_values(name, values)
        far = _far(name, values, rows[known])
        said += far
        if not far and _decades(values) >= DECADES:
            said.append(
                f"target {name!r} spans {_decades(values):.0f} powers of ten: fit its logarithm, or small "
                f"values will hardly count"
            )
    return said


def _two_values(name: str, values: FloatArray) -> list[str]:
    different = np.unique(values)
    if len(different) != 2:
        return []
    low, high = different
    return [
        f"target {name!r} has two values only, {low:g} and {high:g}: if these are classes, a prediction "
        "between them says how likely either is, and intervals mean nothing; LMClassifier in Python is made "
        "for classes"
    ]


def _far(name: str, values: FloatArray, rows: np.ndarray) -> list[str]:
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - median)))
    if spread == 0:
        return []
    distance = np.abs(values - median) / spread
    far = np.flatnonzero(distance > FAR)
    if len(far) == 0 or len(far) > 0.02 * len(values) + 1:  # many of them are a tail, not errors
        return []
    named = ", ".join(f"{values[k]:g} in row {rows[k] + 1}" for k in far[:4])
    return [
        f"target {name!r} is far from all others: {named}; check it, or let it count little by --loss cauchy"
    ]


def _decades(values: FloatArray) -> float:
    values = values[np.isfinite(values)]
    if len(values) < 3 or not (values > 0).all():
        return 0.0
    return float(np.log10(values.max() / values.min()))
