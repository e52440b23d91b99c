"""PyTorch in one precision, by kernels with derivatives of every order, for as long as a `with` lasts."""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

P = ParamSpec("P")
T = TypeVar("T")


def double_precision() -> AbstractContextManager[None]:
    """`precision` in float64.

    >>> with double_precision():
    ...     inside = torch.zeros(1).dtype
    >>> inside, torch.zeros(1).dtype
    (torch.float64, torch.float32)
    """
    return precision(torch.float64)


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """This one for tensors that a module makes itself, no autocast, and attention written out.

    The fused kernels of attention have no forward mode.  All is put back at the end.
    """
    default = torch.get_default_dtype()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.set_default_dtype(dtype)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext(),
            torch.autocast("cuda", enabled=False),
            torch.autocast("cpu", enabled=False),
            sdpa_kernel(SDPBackend.MATH),
            warnings.catch_warnings(),
        ):
            # raised by PyTorch itself, when it first loads the formulas of forward mode
            warnings.filterwarnings("ignore", ".*torch.jit.script.*", DeprecationWarning)
            warnings.filterwarnings("ignore", ".*CUDA is not available.*", UserWarning)
            # an operation that `vmap` takes sample by sample
            warnings.filterwarnings("ignore", ".*performance drop.*batching rule.*", UserWarning)
            yield
    finally:
        torch.set_default_dtype(default)
        torch.backends.mha.set_fastpath_enabled(fast_path)


def in_double(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, run in `double_precision`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with double_precision():
            return function(*args, **kwargs)

    return run
