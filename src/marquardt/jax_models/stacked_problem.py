"""Several models of samples over the same parameters as one problem: groups of residuals.

r = [r₁; r₂; …], group after group, each with its own function, samples and weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian, Jacobian
from marquardt.jax_models.affine_block import AffineBlock
from marquardt.jax_models.sample_problem import SampleProblem
from marquardt.jax_models.streamed_jacobian import StreamedJacobian
from marquardt.output_seed import OutputSeed
from marquardt.problem import Linearization
from marquardt.stacked_jacobian import StackedJacobian

KEPT_BYTES = 256 * 2**20
"""A Jacobian up to this size is made once an iteration and kept: the dual wants it whole, and a product with
it costs less than another pass through the models.  Larger ones are streamed."""


@dataclass(frozen=True)
class StackedLinearization(Linearization):
    """With the outputs Z (K, N) of each group at w."""

    outputs: tuple[FloatArray, ...]


class StackedProblem:
    """C = Σ_g ½‖r_g(w)‖² + ½ wᵀS₀w.

    Parameters
    ----------
    parts : sequence of SampleProblem
        Over the same parameters, without priors.
    prior : array (p,), optional
        S₀.
    """

    def __init__(self, parts: Sequence[SampleProblem], prior: FloatArray | None = None) -> None:
        self.parts, self.prior = tuple(parts), prior
        self.n_params = self.parts[0].n_params
        self.n_residuals = sum(part.n_residuals for part in self.parts)
        self.output_layer: AffineBlock | None = None
        """Set by `find_output_layer`."""
        self.exact = False
        """Whether every group is affine in the output layer; else a step of it is one of Gauss-Newton, and
        must pay."""
        self._scratch = Scratch()

    @property
    def on_host(self) -> bool:
        return self.parts[0].model.on_host

    @property
    def notes(self) -> list[str]:
        """What had to be done differently on the way."""
        return [note for part in self.parts for note in part.notes]

    def find_output_layer(self, w: FloatArray) -> None:
        """Look for an output layer among the leaves that some group is affine in."""
        blocks = [AffineBlock.of(part.model, w) for part in self.parts]
        found = [set(block.leaves) for block in blocks if block is not None]
        common = sorted(set.intersection(*found)) if found else []
        if not common:
            return
        self.output_layer = AffineBlock.at(self.parts[0].model, common)
        self.exact = all(block is not None and set(block.leaves) >= set(common) for block in blocks)

    def outputs(self, w: FloatArray) -> tuple[FloatArray, ...]:
        return tuple(part.outputs(w) for part in self.parts)

    def costs(self, w: FloatArray) -> FloatArray:
        """½‖r_g‖² of each group."""
        return np.array([part.cost(w) for part in self.parts])

    def cost(self, w: FloatArray) -> float:
        return float(sum(part.cost(w) for part in self.parts)) + self._prior_cost(w)

    def gradient(self, w: FloatArray) -> FloatArray:
        """∇C (p,), without the Jacobian."""
        gradient = np.sum([part.gradient(w) for part in self.parts], axis=0)
        return gradient if self.prior is None else gradient + self.prior * w

    def linearize(self, w: FloatArray) -> StackedLinearization:
        outputs = self.outputs(w)
        pairs = list(zip(self.parts, outputs, strict=True))
        residual = np.concatenate([part.loss.residual(z).ravel() for part, z in pairs])
        jacobian = self._jacobian(w, outputs)
        gradient = jacobian.rmv(residual)
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient = gradient + offset
        return StackedLinearization(w, self.cost(w), residual, jacobian, offset, gradient, outputs)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray:
        assert isinstance(at, StackedLinearization)
        seconds = []
        for part, z in zip(self.parts, at.outputs, strict=True):
            z1, z2 = part.model.directional(at.w, direction)
            seconds.append(part.loss.second(z, z1, z2.copy()).ravel())
        return np.concatenate(seconds)

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """One damped Gauss-Newton step of the output layer: exact where every group is affine in it."""
        layer = self.output_layer
        if layer is None:
            return w
        rows = [part.model.block_rows(w, layer.leaves) for part in self.parts]
        if not all(np.isfinite(z).all() and np.isfinite(own).all() for own, z in rows):
            return w
        terms = [
            (OutputSeed(part.loss.seed(z), len(z)).times_rows(own), part.loss.residual(z).ravel())
            for part, (own, z) in zip(self.parts, rows, strict=True)
        ]
        own_damping = damping if scale is None else damping * scale[layer.entries]
        step = layer.step(w, terms, self.prior, own_damping)
        if step is None:
            return w
        resolved = w.copy()
        resolved[layer.entries] += step
        resolved.flags.writeable = False
        if self.exact:
            for part, (own, z) in zip(self.parts, rows, strict=True):
                new_z = z + own @ step
                new_z.flags.writeable = False  # so that the loss may remember what it made of it
                part.remember(resolved, new_z)
            return resolved
        before = sum(part.loss.cost(z) for part, (_, z) in zip(self.parts, rows, strict=True))
        return resolved if self.cost(resolved) < before + self._prior_cost(w) else w

    # -- within --------------------------------------------------------------------------------

    def _jacobian(self, w: FloatArray, outputs: Sequence[FloatArray]) -> Jacobian:
        streams = [
            StreamedJacobian(part.model, w, OutputSeed(part.loss.seed(z), len(z)), self._scratch)
            for part, z in zip(self.parts, outputs, strict=True)
        ]
        if not self.on_host or 8 * self.n_residuals * self.n_params > KEPT_BYTES:
            return StackedJacobian(streams, self._scratch)
        matrix, start = np.empty((self.n_residuals, self.n_params)), 0
        for stream in streams:
            stop = start + stream.shape[0]
            stream.fill(matrix[start:stop])
            start = stop
        return DenseJacobian(matrix)

    def _prior_cost(self, w: FloatArray) -> float:
        return 0.0 if self.prior is None else 0.5 * float(self.prior @ (w * w))
