"""A curve written in JAX: its gradient is exact, and both are compiled once, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from marquardt.curves.curve import Curve


def jax_curve(function: Callable[..., Any]) -> Curve:
    """The curve of a function f(x, a, b, ...) in `jax.numpy`, for `curve_fit`.

    Needs JAX: ``pip install 'marquardt[jax]'``.  The user's precision setting is not touched.

    Parameters
    ----------
    function : callable
        x is a JAX array (n,) or (n, d), the parameters are numbers; its defaults are the starts.
    """
    from marquardt.jax_models import double_precision  # says what to install

    import jax  # isort: skip  # pyright: ignore[reportMissingImports]

    def packed(theta: Any, x: Any) -> Any:
        return function(x, *theta)

    value, slopes = jax.jit(packed), jax.jit(jax.jacfwd(packed))

    def plain(x: Any, *theta: Any) -> Any:
        with double_precision():
            return np.asarray(value(np.array(theta), x))

    def gradient(x: Any, *theta: Any) -> Any:
        with double_precision():
            return list(np.asarray(slopes(np.array(theta), x)).T)

    return replace(Curve.of(function), function=plain, gradient=gradient)
