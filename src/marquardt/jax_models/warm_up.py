"""First-order steps before Levenberg-Marquardt, and a hand-over that never raises the cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import jax
import numpy as np

from marquardt._types import FloatArray
from marquardt.jax_models.double_precision import double_precision


class Descendable(Protocol):
    """A problem that gives its gradient without its Jacobian."""

    def cost(self, w: FloatArray) -> float: ...

    def gradient(self, w: FloatArray) -> FloatArray: ...


@dataclass(frozen=True)
class WarmUp:
    """Some full-batch steps of an optax optimizer; the best point on the way is handed on.

    Parameters
    ----------
    n_steps : int
    optimizer : optax.GradientTransformation, optional
        By default ``optax.adam(1e-2)``.  The gradient is that of the mean over the residuals, so that usual
        learning rates do.

    Examples
    --------
    >>> WarmUp(-1)
    Traceback (most recent call last):
    ValueError: n_steps=-1 must be >= 0
    """

    n_steps: int = 500
    optimizer: Any = None

    def __post_init__(self) -> None:
        if self.n_steps < 0:
            raise ValueError(f"n_steps={self.n_steps!r} must be >= 0")

    def run(self, problem: Descendable, w0: FloatArray) -> FloatArray:
        """The point of lowest cost among w0 and the points after each step."""
        start, advance = _compiled(self.optimizer)
        with double_precision():
            w, best, lowest = w0, w0, problem.cost(w0)
            scale = 1.0 / max(1.0, float(getattr(problem, "n_residuals", 1)))
            state = start(w0)
            for _ in range(self.n_steps):
                gradient = problem.gradient(w) * scale
                if not np.isfinite(gradient).all():
                    break
                w, state = advance(w, gradient, state)
                w = np.array(w)
                w.flags.writeable = False
                cost = problem.cost(w)
                if cost < lowest:
                    best, lowest = w, cost
        return best


@lru_cache(maxsize=8)
def _compiled(optimizer: Any) -> tuple[Callable[[FloatArray], Any], Callable[..., tuple[jax.Array, Any]]]:
    """``start(w) -> state`` and ``advance(w, gradient, state) -> (w, state)``."""
    try:
        import optax
    except ImportError:
        raise ImportError(
            "a warm-up needs optax, which is not installed: pip install 'marquardt[jax]'"
        ) from None
    chosen = optax.adam(1e-2) if optimizer is None else optimizer

    @jax.jit
    def advance(w: jax.Array, gradient: jax.Array, state: Any) -> tuple[jax.Array, Any]:
        updates, state = chosen.update(gradient, state, w)
        return cast(jax.Array, optax.apply_updates(w, updates)), state

    return jax.jit(chosen.init), advance
