r"""The contract of a linear solver: prepare once a Jacobian, factorise once a damping, solve many.

With J (n, p), prior precision S₀ and metric D (diagonals, S₀ often zero, D often one):

    solver.prepare(J, S₀, D)  ->  system              everything that does not depend on λ
    system.factorize(λ)       ->  factor              of  A = JᵀJ + S₀ + λD
    factor.solve(r, q)        ->  −A⁻¹ (Jᵀr + q)      q in parameter space, zero where S₀ is zero

The right-hand side arrives in residual space, because QR and the dual keep their digits only there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian


class SingularSystemError(ArithmeticError):
    """The damped matrix is not numerically positive definite: an ordinary event, answered by more damping."""


class Factor(Protocol):
    """A factor of A = JᵀJ + S₀ + λD."""

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        """−A⁻¹ (Jᵀ residual + offset), (p,).

        `gradient` is Jᵀ residual + offset, where it is at hand; the solvers that work in parameter space
        anyway take it and save a product.
        """
        ...

    def logdet(self) -> float:
        """log det A."""
        ...

    def trace_inverse(self) -> float:
        """tr A⁻¹."""
        ...

    def inverse_diagonal(self) -> FloatArray:
        """diag A⁻¹, (p,)."""
        ...

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        """How many parameters of each group the data determine, (n_groups,): the sums over the groups of

            diag(A⁻¹JᵀJ)_j = 1 − S_j (A⁻¹)_jj,      S = S₀ + λD.

        `diagonal` (p,) is S, and the same within a group; `groups` (p,) says where a parameter belongs.
        May take the place of the factor: ask for nothing after it.
        """
        ...


@dataclass(frozen=True)
class Buffers:
    """The memory of a system that is done, for the next one: its square matrices, contents undefined."""

    owner: type
    """The solver that made them."""
    matrices: tuple[FloatArray, ...] = field(repr=False)
    inner: type | None = None
    """Of a solver that works by another: that one, which made all matrices but the last."""
    trace: float = float("nan")
    """Of the last JᵀJ, where the solver's precision depends on it; inf asks for float64."""

    def of(self, owner: type, side: int) -> tuple[FloatArray, ...]:
        """The matrices, if they were made by this solver for this side; else none."""
        fits = self.owner is owner and bool(self.matrices) and self.matrices[0].shape == (side, side)
        return self.matrices if fits else ()

    def emptied(self) -> Buffers | None:
        """Without the matrices, where what is left tells something."""
        return None if np.isnan(self.trace) else Buffers(self.owner, (), self.inner, self.trace)


class DampedSystem(Protocol):
    """A Jacobian made ready for many dampings."""

    def factorize(self, damping: float) -> Factor:
        """The factor for this λ; valid until the next call.  Raises SingularSystemError."""
        ...

    def release(self) -> Buffers | None:
        """What the next system may take over, without the Jacobian; this one must not be used again."""
        ...


class LinearSolver(Protocol):
    """A way to solve the damped system."""

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> DampedSystem:
        """Make `jacobian` ready.  `prior` (p,) is S₀, None for 0; `scale` (p,) is D, None for 1.

        `recycle` is what the last system released.
        """
        ...


def group_sums(values: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
    """Σ over each group of `values` (p,), (n_groups,)."""
    return np.bincount(groups, values, minlength=n_groups).astype(float, copy=False)


def right_hand_side(
    jacobian: Jacobian, residual: FloatArray, offset: FloatArray | None, gradient: FloatArray | None
) -> FloatArray:
    """Jᵀ residual + offset, for factors in parameter space; `gradient` is the same where it is at hand."""
    if gradient is not None:
        return gradient
    rhs = jacobian.rmv(residual)
    return rhs if offset is None else np.add(rhs, offset, out=rhs)
