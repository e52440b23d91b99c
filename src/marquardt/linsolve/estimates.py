r"""Traces and determinants by random probes, with their standard errors.

    Hutchinson          tr F = E zᵀFz,       diag F = E z ∘ Fz,        z of random signs
    Lanczos quadrature  log det A = log det M + E zᵀM^−½ log(M^−½AM^−½) M^−½z,        Cov z = M

A preconditioner M near A leaves little to the second expectation.  Where there are as many probes as
dimensions the unit vectors take the place of the random ones, and the answers are exact.

References
----------
M. F. Hutchinson, Communications in Statistics 18(3):1059, 1989.  C. Bekas, E. Kokiopoulou, Y. Saad, Applied
Numerical Mathematics 57:1214, 2007.  S. Ubaru, J. Chen, Y. Saad, SIAM J. Matrix Anal. Appl. 38(4):1075, 2017.
J. R. Gardner et al., GPyTorch, NeurIPS 2018, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray


@dataclass(frozen=True)
class Estimate:
    """A mean over probes and its standard error; the error is 0 where all dimensions were asked."""

    value: FloatArray
    error: FloatArray


def sign_probes(dimension: int, count: int, seed: int) -> Iterator[FloatArray]:
    """`count` vectors z of signs; all unit vectors, if they are no more."""
    if dimension <= count:
        yield from np.eye(dimension)
        return
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.choice([-1.0, 1.0], dimension)


def root_probes(
    diagonal: FloatArray, transposed: Callable[[FloatArray], FloatArray], n: int, count: int, seed: int
) -> Iterator[FloatArray]:
    """Vectors with Σ zzᵀ or E zzᵀ = M = diag(diagonal) + BBᵀ, by `transposed` u (n,) -> Bu."""
    p, roots = len(diagonal), np.sqrt(diagonal)
    if p + n <= count:
        yield from np.diag(roots)
        for u in np.eye(n):
            yield transposed(u)
        return
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield roots * rng.choice([-1.0, 1.0], p) + transposed(rng.choice([-1.0, 1.0], n))


def estimated(samples: list[FloatArray], dimension: int, count: int) -> Estimate:
    """From what each probe gave: the sum over unit vectors, the mean over random ones."""
    values = np.array(samples)
    if dimension <= count:
        return Estimate(values.sum(axis=0), np.zeros_like(values[0]))
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full_like(values[0], np.inf)
    return Estimate(values.mean(axis=0), spread / np.sqrt(len(values)))
