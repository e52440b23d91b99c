"""A Jacobian kept in float32, whose products are summed in float64.

Rounding its entries moves J by 6e-8 of itself, which a damping of 1e-8 of its square does not see; rounding
its products would hide all that lies below 1e-7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from marquardt._lapack import add_gram
from marquardt._types import FloatArray

_BLOCK_BYTES = 2**19
"""Of rows in float64, which stay in the cache."""


@dataclass(frozen=True)
class SingleJacobian:
    """J (n, p), row-major float32.

    Examples
    --------
    >>> J = SingleJacobian(np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32))
    >>> J.mv(np.array([1.0, 1.0])), J.rmv(np.array([1.0, 1.0]))
    (array([3., 7.]), array([4., 6.]))
    """

    rows: FloatArray

    def mv(self, v: FloatArray) -> FloatArray:
        """Jv (n,)."""
        return np.concatenate([block @ v for block, _ in self._blocks()])

    def rmv(self, u: FloatArray) -> FloatArray:
        """Jᵀu (p,)."""
        total = np.zeros(self.rows.shape[1])
        for block, part in self._blocks():
            total += u[part] @ block
        return total

    def gram(self, out: FloatArray) -> FloatArray:
        """JᵀJ (p, p), upper triangle, in float32."""
        add_gram(self.rows, out, first=True)
        return out

    def _blocks(self) -> Iterator[tuple[FloatArray, slice]]:
        n, p = self.rows.shape
        size = max(1, _BLOCK_BYTES // (8 * p))
        table = np.empty((min(size, n), p))
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            block = table[: part.stop - start]
            np.copyto(block, self.rows[part])
            yield block, part
