"""A model of samples in JAX as a problem of the driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray, IntArray
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian, Jacobian
from marquardt.jax_models.affine_block import AffineBlock
from marquardt.jax_models.model_on_data import ModelOnData
from marquardt.jax_models.streamed_jacobian import StreamedJacobian
from marquardt.jax_models.targets import Targets
from marquardt.losses import Loss
from marquardt.output_seed import OutputSeed
from marquardt.problem import Linearization


@dataclass(frozen=True)
class SampleLinearization(Linearization):
    """With the outputs Z (K, N) at w."""

    outputs: FloatArray


class SampleProblem:
    """C(w) = L(z(w)) + ½ wᵀS₀w, with z_n = model(x_n; w) and a loss L of `marquardt.losses`.

    The output for a sample depends on that sample only.  Residuals are output-major, as for a
    `NetworkProblem`, and so are all numbers: same weights, same cost, gradient and steps.

    Parameters
    ----------
    model : ModelOnData
    loss : Loss
        Over all samples, (K, N).
    prior : array (p,) or None
        S₀.
    targets : Targets or None
        What the loss was made of, where that is known.
    """

    def __init__(
        self,
        model: ModelOnData,
        loss: Loss,
        prior: FloatArray | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.model, self.loss, self.prior, self.targets = model, loss, prior, targets
        self.n_params = model.n_params
        self.n_residuals = model.n_samples * model.n_outputs
        self.affine: AffineBlock | None = None
        """Set by `find_affine_block`."""
        self._scratch = Scratch()
        self._latest: tuple[FloatArray, FloatArray] | None = None

    @property
    def notes(self) -> list[str]:
        """What had to be done differently on the way."""
        return self.model.notes

    def find_affine_block(self, w: FloatArray) -> None:
        """Look for an output layer to solve again at trial points."""
        self.affine = AffineBlock.of(self.model, w)

    def know_affine_block(self, entries: IntArray) -> None:
        """The same by the entries of w of an output layer, with no look at the model."""
        self.affine = AffineBlock.of_layer(self.model, entries)

    def outputs(self, w: FloatArray) -> FloatArray:
        """Z (K, N); the latest is kept, since an accepted trial point is linearised next."""
        if self._latest is not None and self._latest[0] is w:
            return self._latest[1]
        z = self.model.outputs(w)
        if not w.flags.writeable:  # its owner cannot change it
            self._latest = (w, z)
        return z

    def cost(self, w: FloatArray) -> float:
        return self._cost_of(self.outputs(w), w)

    def gradient(self, w: FloatArray) -> FloatArray:
        """∇C (p,), without the Jacobian."""
        z = self.outputs(w)
        back = OutputSeed(self.loss.seed(z), len(z)).transposed_times(self.loss.residual(z))
        gradient = self.model.pull(w, back)
        return gradient if self.prior is None else gradient + self.prior * w

    def linearize(self, w: FloatArray) -> SampleLinearization:
        z = self.outputs(w)
        residual = self.loss.residual(z).ravel()
        seed = OutputSeed(self.loss.seed(z), len(z))
        jacobian = self._jacobian(w, seed)
        gradient = jacobian.rmv(residual)
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient = gradient + offset
        return SampleLinearization(w, self._cost_of(z, w), residual, jacobian, offset, gradient, z)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray:
        assert isinstance(at, SampleLinearization)
        z1, z2 = self.model.directional(at.w, direction)
        if not z2.flags.writeable:  # JAX owns it, and a loss may work in place
            z2 = z2.copy()
        return self.loss.second(at.outputs, z1, z2).ravel()

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """One damped Gauss-Newton step of the affine block, exact for a squared error."""
        block = self.affine
        if block is None:
            return w
        rows, z = self.model.block_rows(w, block.leaves)
        if not (np.isfinite(z).all() and np.isfinite(rows).all()):
            return w
        seed, residual = OutputSeed(self.loss.seed(z), len(z)), self.loss.residual(z).ravel()
        own_damping = damping if scale is None else damping * scale[block.entries]
        step = block.step(w, [(seed.times_rows(rows), residual)], self.prior, own_damping)
        if step is None:
            return w
        resolved = w.copy()
        resolved[block.entries] += step
        new_z = z + rows @ step
        new_z.flags.writeable = False  # so that the loss may remember what it made of it
        if not (self.loss.linear or self._cost_of(new_z, resolved) < self._cost_of(z, w)):
            return w  # no descent is guaranteed
        resolved.flags.writeable = False
        self.remember(resolved, new_z)
        return resolved

    def remember(self, w: FloatArray, z: FloatArray) -> None:
        """Z (K, N) at w, known from elsewhere; neither array may change any more."""
        self._latest = (w, z)

    def _jacobian(self, w: FloatArray, seed: OutputSeed) -> Jacobian:
        if self.model.is_small:
            rows, part = next(self.model.rows(w, seed))
            if part.stop == self.model.n_samples:  # else memory ran out, and the chunks are smaller now
                return DenseJacobian(np.asarray(rows).reshape(-1, self.n_params))
        return StreamedJacobian(self.model, w, seed, self._scratch)

    def _cost_of(self, z: FloatArray, w: FloatArray) -> float:
        cost = self.loss.cost(z)
        return cost if self.prior is None else cost + 0.5 * float(self.prior @ (w * w))
