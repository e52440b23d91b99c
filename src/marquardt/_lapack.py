"""The BLAS and LAPACK routines in use, in double precision, as SciPy wraps them.

They are column-major.  A row-major upper triangle is a column-major lower one of the transposed view, so
callers pass ``matrix.T`` and ``lower=1`` and nothing is copied.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

dgemm, dsyrk, dtrsm = get_blas_funcs(("gemm", "syrk", "trsm"), dtype=np.float64)
dpotrf, dpotri, dpotrs, dposv = get_lapack_funcs(("potrf", "potri", "potrs", "posv"), dtype=np.float64)
dgeqrf, dormqr, dtrtri, dtrtrs = get_lapack_funcs(("geqrf", "ormqr", "trtri", "trtrs"), dtype=np.float64)
