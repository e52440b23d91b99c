r"""The parameters that a model depends on in a straight line: its output layer, as a rule.

They are found by trial, not by name, so that the amplitudes and the offset of a physical formula count as
well.  For a squared error they can be solved again at every trial point (variable projection, damped).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marquardt._lapack import dposv, dsyrk
from marquardt._types import FloatArray, IntArray
from marquardt.jax_models.model_on_data import ModelOnData

_MOST_LEAVES = 16
"""Leaves tried, from the last one on: a trial costs four passes."""
_MOST_BYTES = 256 * 2**20
"""Size of its rows, kept whole at each trial."""
_ROUNDING = 1e-11
"""Most of the outputs' size that a straight line may be missed by, over steps of the size of w."""


@dataclass(frozen=True)
class AffineBlock:
    """Some trained leaves, in which the outputs are jointly affine."""

    leaves: tuple[int, ...]
    entries: IntArray
    """Their places in w (q,)."""

    @classmethod
    def of(cls, model: ModelOnData, w: FloatArray) -> AffineBlock | None:
        """The block of a model, looked for near w; None where there is none, or where it would not pay."""
        trained = model.functions.formula.layout.trained
        rng = np.random.default_rng(0)
        near = w + 0.1 * rng.normal(size=w.shape)
        chosen: list[int] = []
        for leaf in range(len(trained) - 1, max(-1, len(trained) - 1 - _MOST_LEAVES), -1):
            together = [leaf, *chosen]
            entries = _entries(model, together)
            if _pays(model, len(entries)) and _is_affine(model, near, entries, rng):
                chosen = together
        return cls.at(model, chosen) if chosen else None

    @classmethod
    def at(cls, model: ModelOnData, leaves: Sequence[int]) -> AffineBlock:
        """The block of these leaves."""
        return cls(tuple(leaves), _entries(model, leaves))

    @classmethod
    def of_layer(cls, model: ModelOnData, entries: IntArray) -> AffineBlock | None:
        """The block of an output layer that is known, by its entries; None where it would not pay."""
        trained = model.functions.formula.layout.trained
        leaves = [i for i, leaf in enumerate(trained) if np.isin(leaf.start, entries)]
        whole = np.array_equal(np.sort(entries), np.sort(_entries(model, leaves)))
        return cls.at(model, leaves) if leaves and whole and _pays(model, len(entries)) else None

    def step(
        self,
        w: FloatArray,
        terms: Sequence[tuple[FloatArray, FloatArray]],
        prior: FloatArray | None,
        damping: float | FloatArray,
    ) -> FloatArray | None:
        """b (q,) of (ΣΦᵀΦ + S₀ + λD) b = −(ΣΦᵀr + S₀w), for terms of Φ = ∂r/∂b (n, q) and r (n,)."""
        q = len(self.entries)
        matrix, rhs = np.zeros((q, q)), np.zeros(q)
        for phi, residual in terms:
            dsyrk(1.0, phi.T, beta=1.0, c=matrix.T, lower=1, overwrite_c=1)
            rhs += phi.T @ residual
        matrix.ravel()[:: q + 1] += damping
        if prior is not None:
            matrix.ravel()[:: q + 1] += prior[self.entries]
            rhs += prior[self.entries] * w[self.entries]
        if not np.isfinite(rhs).all():
            return None
        _, step, info = dposv(matrix.T, rhs, lower=1, overwrite_a=1, overwrite_b=1)
        return None if info else -step


def _entries(model: ModelOnData, leaves: Sequence[int]) -> IntArray:
    trained = model.functions.formula.layout.trained
    parts = [np.arange(trained[leaf].block.start, trained[leaf].block.stop) for leaf in leaves]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=int)


def _pays(model: ModelOnData, q: int) -> bool:
    """Whether its rows fit, and its Gram matrix costs less than half of the whole one, at each trial."""
    fits = 8 * model.n_outputs * model.n_samples * q <= _MOST_BYTES
    return fits and q < model.n_params and model.n_outputs * q**2 <= 0.5 * model.n_params**2


def _is_affine(model: ModelOnData, w: FloatArray, entries: IntArray, rng: np.random.Generator) -> bool:
    """z̈ = 0 exactly, and z(w ± d) on the line for a d as large as w (a Relu passes the first test only)."""
    d = np.zeros_like(w)
    d[entries] = rng.normal(size=len(entries)) * (1.0 + np.abs(w[entries]))
    z1, z2 = model.directional(w, d)
    if not np.isfinite(z1).all() or z2.any():
        return False
    z = model.outputs(w)
    size = np.abs(z).max() + np.abs(z1).max()
    misses = [np.abs(model.outputs(w + t * d) - z - t * z1).max() for t in (-1.0, 1.0)]
    return bool(max(misses) <= _ROUNDING * size)
