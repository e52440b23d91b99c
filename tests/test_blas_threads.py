"""BLAS is held to one thread inside a block, and put back after it."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import marquardt._lapack  # noqa: F401 (loads SciPy's BLAS)
from marquardt.blas_threads import SMALL, one_thread_if_small


def threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("n_params, expected", [(10, 1), (SMALL, 2)])
def test_small_fits_have_one_thread(n_params, expected):
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with one_thread_if_small(n_params):
            assert threads() == [min(expected, n) for n in before]
        assert threads() == before


def test_an_exception_puts_the_threads_back():
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with pytest.raises(KeyError), one_thread_if_small(10):
            raise KeyError
        assert threads() == before
