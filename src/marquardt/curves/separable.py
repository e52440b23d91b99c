r"""Starts from the data, by variable projection on a grid.

Most curves are linear in some of their parameters once the others, α, are known: f = Σ_j c_j φ_j(x; α).
For each α of a grid the best c is a linear fit; the α whose fit is best is the start.  The basis depends on
x only, so that many curves measured at the same x cost little more than one.  (G. H. Golub, V. Pereyra,
"The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM
J. Numer. Anal. 10, 1973.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray

MOST_ROWS = 400
"""A start needs no more: of longer data an even selection is taken."""


@dataclass(frozen=True)
class SeparableGuess:
    """The start of a curve that is linear in part of its parameters.

    Parameters
    ----------
    grid : callable
        x -> values of α (g, a) to try.
    basis : callable
        (x, α columns of shape (g, 1)) -> q arrays (g, n), the φ_j.
    assemble : callable
        (c (m, q), α (m, a)) -> starts (m, p).

    Examples
    --------
    >>> decay = SeparableGuess(
    ...     lambda x: np.geomspace(0.1, 10, 41)[:, None],
    ...     lambda x, k: [np.exp(-k * x)],
    ...     lambda c, alpha: np.column_stack([c, alpha]),
    ... )
    >>> x = np.linspace(0, 3, 20)
    >>> decay(x, 5 * np.exp(-2 * x)[None]).round(1)
    array([[5., 2.]])
    """

    grid: Callable[[FloatArray], FloatArray]
    basis: Callable[..., list[FloatArray]]
    assemble: Callable[[FloatArray, FloatArray], FloatArray]

    def __call__(self, x: FloatArray, Y: FloatArray) -> FloatArray:
        if len(x) > MOST_ROWS:
            rows = np.linspace(0, len(x) - 1, MOST_ROWS).astype(int)
            x, Y = x[rows], Y[:, rows]
        alpha = self.grid(x)
        with np.errstate(all="ignore"):
            columns = self.basis(x, *(alpha[:, k : k + 1] for k in range(alpha.shape[1])))
        phi = np.stack([np.broadcast_to(c, (len(alpha), len(x))) for c in columns], axis=2)  # (g, n, q)
        usable = np.isfinite(phi).all(axis=(1, 2))
        if not usable.any():  # x is where this curve overflows
            return self.assemble(np.ones((len(Y), phi.shape[2])), np.repeat(alpha[:1], len(Y), axis=0))
        alpha, phi = alpha[usable], phi[usable]
        Q, R = _orthogonal(phi)
        g, n, q = Q.shape
        along = (Q.transpose(0, 2, 1).reshape(g * q, n) @ Y.T).reshape(g, q, len(Y))  # Qᵀy
        explained = np.einsum("gqm,gqm->gm", along, along)  # ‖y‖² less the squares left over
        best = explained.argmax(axis=0)  # (m,)
        c = along[best, :, np.arange(len(Y))]  # (m, q)
        for j in reversed(range(q)):  # R c = Qᵀy
            pivot = R[best, j, j]
            c[:, j] = np.where(pivot > 0, c[:, j] / np.where(pivot > 0, pivot, 1.0), 0.0)
            c[:, :j] -= R[best, :j, j] * c[:, j : j + 1]
        return self.assemble(c, alpha[best])


def _orthogonal(phi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Q (g, n, q) and R (g, q, q) by Gram and Schmidt, all at once; a column that depends on others is
    left out."""
    g, _, q = phi.shape
    Q, R = phi.copy(), np.zeros((g, q, q))
    for j in range(q):
        before = np.linalg.norm(Q[:, :, j], axis=1)
        for i in range(j):
            R[:, i, j] = np.einsum("gn,gn->g", Q[:, :, i], Q[:, :, j])
            Q[:, :, j] -= R[:, i, j, None] * Q[:, :, i]
        length = np.linalg.norm(Q[:, :, j], axis=1)
        kept = length > 1e-7 * before
        R[:, j, j] = np.where(kept, length, 0.0)
        Q[:, :, j] *= np.where(kept, 1 / np.where(kept, length, 1.0), 0.0)[:, None]
    return Q, R


def rates(x: FloatArray, count: int = 40) -> FloatArray:
    """Rates of exponentials that x can tell (count,): from a tenth of the span to twenty a spacing."""
    span, spacing = _span(x)
    return np.geomspace(0.05 / span, 5.0 / spacing, count)


def middles(x: FloatArray, count: int = 40) -> FloatArray:
    """Positive values of x where half of a rise may lie (count,), beyond the data on both sides."""
    positive = x[x > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    return np.geomspace(low / 10, high * 10, count)


def places(x: FloatArray, count: int = 40) -> FloatArray:
    """Values of x, evenly (count,)."""
    return np.linspace(x.min(), x.max(), count)


def widths(x: FloatArray, count: int = 12) -> FloatArray:
    """Lengths along x that it can tell (count,)."""
    span, spacing = _span(x)
    return np.geomspace(0.5 * spacing, span, count)


def product(*axes: FloatArray) -> FloatArray:
    """All combinations (g, a)."""
    return np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=1)


def _span(x: FloatArray) -> tuple[float, float]:
    """The length of x, and its usual spacing."""
    distinct = np.unique(x)
    if len(distinct) < 2:
        return 1.0, 1.0
    span = float(distinct[-1] - distinct[0])
    return span, max(float(np.median(np.diff(distinct))), 1e-6 * span)
