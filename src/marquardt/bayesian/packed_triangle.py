"""A triangular factor as one array of its m(m + 1)/2 numbers."""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray


def packed(lower: FloatArray) -> FloatArray:
    """The columns of a lower triangle (m, m) from the diagonal down, one after another.

    Examples
    --------
    >>> packed(np.array([[1.0, np.nan], [2.0, 3.0]]))
    array([1., 2., 3.])
    """
    m, start = len(lower), 0
    result = np.empty(m * (m + 1) // 2)
    for j in range(m):
        result[start : start + m - j] = lower[j:, j]
        start += m - j
    return result


def unpacked(values: FloatArray) -> FloatArray:
    """The inverse of `packed`, column-major, zero above the diagonal.

    Raises
    ------
    ValueError
        When the number of values is not that of a triangle, or they are not those of a Cholesky factor.

    Examples
    --------
    >>> unpacked(np.array([1.0, 2.0, 3.0]))
    array([[1., 0.],
           [2., 3.]])
    """
    m = int((2 * values.size + 0.25) ** 0.5)
    if values.ndim != 1 or m * (m + 1) // 2 != values.size or m == 0:
        raise ValueError(f"factor has shape {values.shape}: m(m + 1)/2 numbers, a packed triangle, needed")
    lower, start = np.zeros((m, m), order="F"), 0
    for j in range(m):
        lower[j:, j] = values[start : start + m - j]
        start += m - j
    if not (np.isfinite(values).all() and (lower.diagonal() > 0).all()):
        raise ValueError("factor must hold finite numbers with a positive diagonal: the file is damaged")
    return lower
