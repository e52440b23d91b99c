"""A Jacobian whose columns stand in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian


@dataclass(frozen=True)
class ReorderedJacobian:
    """Column ``order[i]`` of this one is column i of `inner`.

    Its parameters are v where those of `inner` are ``v[order]``.  Meant for a look at a finished fit: every
    matrix that it returns is a copy.

    Examples
    --------
    >>> from marquardt.jacobian import DenseJacobian
    >>> J = ReorderedJacobian(DenseJacobian(np.array([[1.0, 2.0, 3.0]])), np.array([2, 0, 1]))
    >>> J.dense()
    array([[2., 3., 1.]])
    >>> J.mv(np.array([1.0, 0.0, 0.0]))
    array([2.])
    """

    inner: Jacobian
    order: IntArray
    """A bijection (p,)."""

    @property
    def places(self) -> IntArray:
        """Where the columns of this one stand in `inner`."""
        return np.argsort(self.order)

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    def mv(self, v: FloatArray) -> FloatArray:
        return self.inner.mv(v[self.order])

    def rmv(self, u: FloatArray) -> FloatArray:
        return self.inner.rmv(u)[self.places]

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        upper = np.triu(self.inner.gram(None if out is None else np.empty_like(out)))
        whole = upper + np.triu(upper, 1).T
        out = np.empty_like(whole) if out is None else out
        out[...] = whole[np.ix_(self.places, self.places)]
        return out

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        return self.inner.cogram(None if weights is None else weights[self.order], out)

    def column_sqnorms(self) -> FloatArray:
        return self.inner.column_sqnorms()[self.places]

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return self.inner.column_forms(matrix, groups[self.order], n_groups)

    def gram_flops(self) -> float:
        return self.inner.gram_flops()

    def cogram_flops(self) -> float:
        return self.inner.cogram_flops()

    def row_chunks(self) -> Iterator[FloatArray]:
        places = self.places
        for chunk in self.inner.row_chunks():
            yield chunk[:, places]

    def dense(self) -> FloatArray:
        return self.inner.dense()[:, self.places]
