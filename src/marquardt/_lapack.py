"""The BLAS and LAPACK routines in use, as SciPy wraps them: in double precision, and some in single.

They are column-major.  A row-major upper triangle is a column-major lower one of the transposed view, so
callers pass ``matrix.T`` and ``lower=1`` and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

Routine = Callable[..., Any]
"""SciPy's wrappers take and return arrays as their docstrings say; they carry no types of their own."""


def _blas(name: str, dtype: type = np.float64) -> Routine:
    return cast(Routine, get_blas_funcs(name, dtype=dtype))


def _lapack(name: str, dtype: type = np.float64) -> Routine:
    return cast(Routine, get_lapack_funcs(name, dtype=dtype))


dgemm, dsyrk = _blas("gemm"), _blas("syrk")
dtrmm, dtrsm = _blas("trmm"), _blas("trsm")
dpotrf, dpotri, dpotrs, dposv = _lapack("potrf"), _lapack("potri"), _lapack("potrs"), _lapack("posv")
dgeqrf, dormqr = _lapack("geqrf"), _lapack("ormqr")
dlauum, dtrtri, dtrtrs = _lapack("lauum"), _lapack("trtri"), _lapack("trtrs")

spotrf, spotrs = _lapack("potrf", np.float32), _lapack("potrs", np.float32)
_GEMM = {np.dtype(np.float64): dgemm, np.dtype(np.float32): _blas("gemm", np.float32)}
_SYRK = {np.dtype(np.float64): dsyrk, np.dtype(np.float32): _blas("syrk", np.float32)}


def add_gram(rows: np.ndarray, out: np.ndarray, first: bool) -> None:
    """out (+)= rowsᵀ rows by the rank-k update, in the precision of `out` (p, p) and its upper triangle only.

    `rows` (n, p) is contiguous in either order, in the precision of `out`.
    """
    # `out` row-major, upper triangle = its transpose column-major, lower triangle
    rank_k, beta = _SYRK[out.dtype], 0.0 if first else 1.0
    if rows.flags.c_contiguous:
        rank_k(1.0, rows.T, beta=beta, c=out.T, lower=1, overwrite_c=1)
    else:
        rank_k(1.0, rows, beta=beta, c=out.T, trans=1, lower=1, overwrite_c=1)


def add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray, first: bool) -> None:
    """out (+)= left rightᵀ, in the precision of all three.  BLAS is column-major: outᵀ = right leftᵀ."""
    _GEMM[out.dtype](1.0, right.T, left.T, beta=0.0 if first else 1.0, c=out.T, trans_a=1, overwrite_c=1)
