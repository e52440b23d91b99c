"""The choice between the primal, the dual and the iterative solver, by cost and memory."""

from __future__ import annotations

from dataclasses import dataclass

from marquardt._memory import available_bytes, readable
from marquardt._types import FloatArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.cholesky import Cholesky
from marquardt.linsolve.dual import Dual
from marquardt.linsolve.iterative import Iterative
from marquardt.linsolve.mixed import MixedCholesky
from marquardt.linsolve.row_sample import sample_size
from marquardt.linsolve.system import Buffers, DampedSystem, LinearSolver

_SMALL = 2000
"""Sides below this (100 MB for three matrices) are not checked against the free memory."""
_FACTOR_FLOPS = 4 / 3
"""Price of a Jacobian's factors over p³: a factor takes a third, but dpotrf runs at half the speed of a
product, and rejected trials make it one to two factors a Jacobian.  Measured: energy, 768 rows and 501
parameters, takes 98 ms by the primal and 160 ms by the dual."""
_PRODUCTS = 300
"""Price of an iteration of the iterative solver in pairs of products with J and Jᵀ, at 4np flops a pair.  In
`benchmarks/iterative.py` it takes the time of 80, at the rate of a large matrix product; the rest is for the
end of exact fits, where a solve takes hundreds of steps."""
_VECTORS = 12
"""Of p numbers each, in an iteration of the iterative solver."""
_LARGE = 300
"""From so many parameters on, a float32 factor and its refinement take less time than a float64 factor, or as
long where it is seldom to be had (`benchmarks/mixed_precision.py`)."""
_SOLVERS: dict[type, LinearSolver] = {
    solver: solver() for solver in (Cholesky, MixedCholesky, Dual, Iterative)
}


@dataclass(frozen=True)
class Auto:
    """Dual when its flops are fewer than the primal's, else primal; the other when one does not fit; the
    iterative one when neither does, or when it is far cheaper.  The primal is `MixedCholesky` from 300
    parameters on, below it `Cholesky`.

    Flops of the primal: the Gram matrix and 4p³/3 for its factors; of the dual: the kernel and 4n³/3 (for p
    parameters and n residuals).  With one output that means the dual below about n = 1.1 p.  Memory of the
    primal: three p × p matrices; of the dual: three n × n.  Flops of the iterative solver: 1200 np.

    Parameters
    ----------
    margin : float
        The iterative solver is taken when the others need so many times its flops, from about 4000
        parameters and as many rows on; inf: only where the others do not fit.

    Raises
    ------
    MemoryError
        When nothing fits; the message says how much each needs and what there is.
    """

    margin: float = 4.0

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> DampedSystem:
        # the shape stays, and so does the choice
        solver = None if recycle is None else _SOLVERS.get(recycle.owner)
        if solver is None:
            solver = self.choose(jacobian)
        return solver.prepare(jacobian, prior, scale, recycle)

    def choose(self, jacobian: Jacobian) -> LinearSolver:
        """The solver for this Jacobian."""
        n, p = jacobian.shape
        primal = jacobian.gram_flops() + _FACTOR_FLOPS * p**3
        dual = jacobian.cogram_flops() + _FACTOR_FLOPS * n**3
        direct = MixedCholesky() if p >= _LARGE else Cholesky()
        order = sorted([(primal, p, direct), (dual, n, Dual())], key=lambda choice: choice[0])
        # where rows cannot be drawn cheaply, on a device say, these prices do not hold
        if hasattr(jacobian, "subset") and order[0][0] > self.margin * _PRODUCTS * 4.0 * n * p:
            return Iterative()
        if order[0][1] < _SMALL:
            return order[0][2]
        free = available_bytes()
        for _, side, solver in order:
            if free is None or 24 * side**2 <= free:
                return solver
        assert free is not None
        need = iterative_bytes(n, p)
        if need <= free:
            return Iterative()
        raise MemoryError(
            f"{p} parameters and {n} residuals: the primal solver needs {readable(24 * p**2)}, the dual "
            f"{readable(24 * n**2)}, the iterative one {readable(need)}, and {readable(free)} are free. Take "
            f"fewer units or fewer rows: the primal fits up to {int((free / 24) ** 0.5)} parameters, the "
            "dual up to as many residuals."
        )


def iterative_bytes(n: int, p: int) -> float:
    """Memory of the iterative solver: vectors, and two kernels of the sampled rows."""
    return 8.0 * _VECTORS * p + 16.0 * sample_size((n, p)) ** 2
