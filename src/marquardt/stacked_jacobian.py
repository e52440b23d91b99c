"""Several Jacobians over the same parameters, one above the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.cogram import dense_cogram
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian, Jacobian


@dataclass(frozen=True)
class StackedJacobian:
    """J = [J₁; J₂; …] (Σn, p), whose parts are made when they are asked for.

    Examples
    --------
    >>> J = StackedJacobian([DenseJacobian(np.eye(2)), DenseJacobian(np.array([[3.0, 4.0]]))])
    >>> J.shape, J.mv(np.array([1.0, 1.0]))
    ((3, 2), array([1., 1., 7.]))
    """

    parts: Sequence[Jacobian]
    scratch: Scratch = field(default_factory=Scratch, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        return sum(part.shape[0] for part in self.parts), self.parts[0].shape[1]

    def mv(self, v: FloatArray) -> FloatArray:
        return np.concatenate([part.mv(v) for part in self.parts])

    def rmv(self, u: FloatArray) -> FloatArray:
        total = np.zeros(self.shape[1])
        for part, rows in self._with_rows():
            total += part.rmv(u[rows])
        return total

    def gram(self, out: FloatArray | None = None) -> FloatArray:
        p = self.shape[1]
        out = np.zeros((p, p)) if out is None else out
        buffer = self.scratch.table("gram", p, p, out.dtype) if len(self.parts) > 1 else out
        self.parts[0].gram(out)
        for part in self.parts[1:]:
            out += part.gram(buffer)
        return out

    def gram_on_device(self) -> Any:
        """JᵀJ (p, p), both triangles, in an array of the model's library; for parts that have it."""
        parts: Any = self.parts
        return sum((part.gram_on_device() for part in parts[1:]), start=parts[0].gram_on_device())

    def cogram(self, weights: FloatArray | None = None, out: FloatArray | None = None) -> FloatArray:
        n, p = self.shape
        matrix = self._fill(self.scratch.table("rows", n, p))
        if weights is not None:
            matrix *= np.sqrt(weights)
        return dense_cogram(matrix, out)

    def column_sqnorms(self) -> FloatArray:
        return np.sum([part.column_sqnorms() for part in self.parts], axis=0)

    def column_forms(self, matrix: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return DenseJacobian(self.dense()).column_forms(matrix, groups, n_groups)

    def gram_flops(self) -> float:
        return sum(part.gram_flops() for part in self.parts)

    def cogram_flops(self) -> float:
        n, p = self.shape
        return float(n) ** 2 * p

    def row_chunks(self) -> Iterator[FloatArray]:
        for part in self.parts:
            yield from part.row_chunks()

    def dense(self) -> FloatArray:
        return self._fill(np.empty(self.shape))

    def _fill(self, matrix: FloatArray) -> FloatArray:
        start = 0
        for rows in self.row_chunks():
            matrix[start : start + len(rows)] = rows
            start += len(rows)
        return matrix

    def _with_rows(self) -> Iterator[tuple[Jacobian, slice]]:
        start = 0
        for part in self.parts:
            yield part, slice(start, start + part.shape[0])
            start += part.shape[0]
