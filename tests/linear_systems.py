"""Damped systems (JᵀJ + S₀ + λD) d = −(Jᵀr + q) for the tests of the solvers, with dense references."""

from dataclasses import dataclass

import numpy as np

from marquardt.jacobian import DenseJacobian
from tables import LAYOUTS, case

SHAPES = {
    "tall": (30, 7, 7),
    "wide": (6, 15, 6),
    "square": (9, 9, 9),
    "tall, rank 3": (30, 7, 3),
    "wide, rank 3": (6, 15, 3),
    "square, rank 3": (9, 9, 3),
    "one row": (1, 5, 1),
    "one column": (8, 1, 1),
    "one number": (1, 1, 1),
    "zero": (6, 4, 0),
}
"""Name -> (rows, columns, rank)."""


@dataclass(frozen=True)
class System:
    """All that defines a system, with answers from plain NumPy."""

    J: np.ndarray
    r: np.ndarray
    damping: float
    prior: np.ndarray | None = None
    offset: np.ndarray | None = None
    scale: np.ndarray | None = None
    jacobian: object = None

    @property
    def matrix(self):
        """A = JᵀJ + S₀ + λD."""
        p = self.J.shape[1]
        prior = np.zeros(p) if self.prior is None else self.prior
        scale = np.ones(p) if self.scale is None else self.scale
        return self.J.T @ self.J + np.diag(prior + self.damping * scale)

    @property
    def gradient(self):
        """Jᵀr + q."""
        return self.J.T @ self.r + (0 if self.offset is None else self.offset)

    def factor(self, solver, recycle=None):
        """The factor by one of ours."""
        return self.prepared(solver, recycle).factorize(self.damping)

    def prepared(self, solver, recycle=None):
        """The prepared system by one of ours."""
        jacobian = DenseJacobian(self.J) if self.jacobian is None else self.jacobian
        return solver.prepare(jacobian, self.prior, self.scale, recycle)


def matrix_of_rank(rows, columns, rank, rng):
    """U diag(s) Vᵀ with s from 2 down to 0.5, and its parts."""
    U, _ = np.linalg.qr(rng.normal(size=(rows, rows)))
    V, _ = np.linalg.qr(rng.normal(size=(columns, columns)))
    s = np.linspace(2.0, 0.5, rank)
    return (U[:, :rank] * s) @ V[:, :rank].T, s, V


def dense_system(shape, prior, scaled, damping, seed=0):
    """A random system; `prior` is None, "some" (a third of its entries are zero) or "all"."""
    rng = np.random.default_rng(seed)
    J, _, _ = matrix_of_rank(*SHAPES[shape], rng)
    return _with_parts(J, None, prior, scaled, damping, rng)


def network_system(layout, prior, scaled, damping, weighted=False, n_samples=6):
    """A system whose Jacobian is that of a network, never formed by the solvers that need not."""
    data = case(LAYOUTS[layout], weighted, n_samples)
    jacobian = data.problem.linearize(data.w).jacobian
    return _with_parts(jacobian.dense(), jacobian, prior, scaled, damping, np.random.default_rng(1))


def _with_parts(J, jacobian, prior, scaled, damping, rng):
    n, p = J.shape
    values = offset = None
    if prior is not None:
        values = rng.uniform(0.1, 1, p)
        if prior == "some":
            values[::3] = 0.0
        offset = values * rng.normal(size=p)
    scale = rng.uniform(0.5, 2, p) if scaled else None
    return System(J, rng.normal(size=n), damping, values, offset, scale, jacobian)
