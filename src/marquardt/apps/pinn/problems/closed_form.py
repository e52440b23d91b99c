"""Exact solutions as formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from marquardt.jax_models import double_precision


@dataclass(frozen=True)
class ClosedForm:
    """A formula in JAX that NumPy can call: coordinates by name -> the first field, in float64.

    >>> import jax.numpy as jnp
    >>> ClosedForm(lambda x: jnp.sin(x))(x=0.5) == np.sin(0.5)
    np.True_
    """

    law: Callable[..., Any]
    """Coordinates by name -> the field, or a tuple of all fields."""

    def __call__(self, **coordinates: ArrayLike) -> NDArray[np.float64]:
        with double_precision():
            fields = self.law(**{name: np.asarray(value, dtype=float) for name, value in coordinates.items()})
            return np.asarray(fields[0] if isinstance(fields, tuple) else fields)
