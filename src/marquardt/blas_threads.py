"""How many threads BLAS works with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

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
    with _blas().limit(limits=1):
        yield


def one_pool() -> AbstractContextManager[Any]:
    """Hold NumPy's own BLAS to one thread where SciPy has another one, whose threads do the heavy work.

    The wheels of NumPy and of SciPy each bring an OpenBLAS, and its threads keep spinning for a while when
    they are done.  A fit calls both in turn, so that they stand in each other's way: 10-50-12-1 with 5000
    rows takes 209 ms an iteration on two cores as they come, 158 ms with one thread, 89 ms so
    (`benchmarks/threads.py`).

    Examples
    --------
    >>> with one_pool():
    ...     pass
    """
    own = _numpys_own()
    return nullcontext() if own is None else own.limit(limits=1)


@cache
def _blas() -> Any:
    """The controller of all BLAS that is loaded; made once, since a search for it takes a millisecond."""
    from threadpoolctl import ThreadpoolController  # comes with scikit-learn

    return ThreadpoolController().select(user_api="blas")


@cache
def _numpys_own() -> Any:
    """The controller of NumPy's BLAS; None where it is SciPy's too, as in conda, or has no threads."""
    every = _blas()
    of_numpy = [
        library["filepath"]
        for library in every.info()
        if any(part.startswith("numpy") for part in Path(library["filepath"]).parts)
    ]
    return every.select(filepath=of_numpy) if of_numpy and len(every.info()) > len(of_numpy) else None
