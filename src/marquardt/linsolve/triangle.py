"""The inverse of a triangular factor, of which only the lengths of the columns are wanted."""

from __future__ import annotations

import numpy as np

from marquardt._lapack import dtrtri
from marquardt._types import FloatArray

_BLOCK = 64


def inverse_column_sqnorms(lower: FloatArray, overwrite: bool = False) -> FloatArray:
    """‖L⁻¹e_j‖² of a column-major lower triangle: the diagonal of (LLᵀ)⁻¹, at half of the flops of dpotri.

    Above the diagonal may stand anything.  `overwrite` leaves the inverse in the place of L.

    Examples
    --------
    >>> inverse_column_sqnorms(np.asfortranarray([[2.0, np.nan], [1.0, 1.0]]))
    array([0.5, 1. ])
    """
    inverse, _ = dtrtri(lower, lower=1, overwrite_c=int(overwrite))
    columns = inverse.T  # contiguous, those below the diagonal now beside it
    result = np.empty(len(columns))
    for start in range(0, len(columns), _BLOCK):
        block = columns[start : start + _BLOCK, start:]
        own, rest = np.triu(block[:, : len(block)]), block[:, len(block) :]
        squares = np.einsum("ij,ij->i", own, own) + np.einsum("ij,ij->i", rest, rest)
        result[start : start + len(block)] = squares
    return result
