"""The BLAS and LAPACK routines in use, in double precision, as SciPy wraps them.

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


def _blas(name: str) -> Routine:
    return cast(Routine, get_blas_funcs(name, dtype=np.float64))


def _lapack(name: str) -> Routine:
    return cast(Routine, get_lapack_funcs(name, dtype=np.float64))


dgemm, dsyrk = _blas("gemm"), _blas("syrk")
dtrmm, dtrsm = _blas("trmm"), _blas("trsm")
dpotrf, dpotri, dpotrs, dposv = _lapack("potrf"), _lapack("potri"), _lapack("potrs"), _lapack("posv")
dgeqrf, dormqr = _lapack("geqrf"), _lapack("ormqr")
dlauum, dtrtri, dtrtrs = _lapack("lauum"), _lapack("trtri"), _lapack("trtrs")
