"""One BLAS thread for small fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# With fewer parameters than this the matrices are too small to share: threads mostly wait for each other.
# On a busy machine of two cores the two spirals, 127 parameters, took 74 s with two threads, 3.5 s with one.
SMALL = 500


@contextmanager
def one_thread_if_small(n_params: int) -> Iterator[None]:
    """Hold BLAS to one thread inside the block when a fit has few parameters, and put it back after.

    Small fits are faster so, and do not depend on the number of cores.

    Parameters
    ----------
    n_params : int

    Examples
    --------
    >>> with one_thread_if_small(100):
    ...     pass
    """
    if n_params >= SMALL:
        yield
        return
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(limits=1, user_api="blas"):
        yield
