"""A PyTorch module with samples and a loss as a problem of the driver."""

from __future__ import annotations

from dataclasses import dataclass

from marquardt._types import FloatArray
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian, Jacobian
from marquardt.losses import Loss
from marquardt.output_seed import OutputSeed
from marquardt.problem import Linearization
from marquardt.torch_models.linear_layers import LinearLayers
from marquardt.torch_models.module_on_data import ModuleOnData
from marquardt.torch_models.output_layer import OutputLayer
from marquardt.torch_models.streamed_jacobian import StreamedJacobian
from marquardt.torch_models.targets import Targets


@dataclass(frozen=True)
class ModuleLinearization(Linearization):
    """With the outputs Z (K, N) at w."""

    outputs: FloatArray


class ModuleProblem:
    """C(w) = L(z(w)) + ½ wᵀS₀w, with z_n = module(x_n; w) and a loss L of `marquardt.losses`.

    Residuals are output-major, as for a `NetworkProblem`, and so are all numbers: same weights, same cost,
    gradient and steps.  `fit_module` makes one from a module and checks it.

    Parameters
    ----------
    model : ModuleOnData
    targets : Targets
        With the loss.
    prior : array (p,) or None
        S₀.
    """

    def __init__(self, model: ModuleOnData, targets: Targets, prior: FloatArray | None = None) -> None:
        self.model, self.targets, self.prior = model, targets, prior
        self.loss: Loss = targets.over_all()
        self.n_params = model.n_params
        self.n_residuals = model.n_samples * model.n_outputs
        self.layers: LinearLayers | None = None
        self.output_layer: OutputLayer | None = None
        self._scratch = Scratch()
        self._latest: tuple[FloatArray, FloatArray] | None = None

    @property
    def notes(self) -> list[str]:
        """What had to be done differently on the way."""
        return self.model.notes

    def find_structure(self, w: FloatArray) -> None:
        """Look for linear layers: a cheaper Jacobian, and an output layer to solve again at trial points."""
        self.layers = LinearLayers.of(self.model, w)
        self.output_layer = OutputLayer.of(self.model, w)

    def outputs(self, w: FloatArray) -> FloatArray:
        """Z (K, N); the latest is kept, since an accepted trial point is linearised next."""
        if self._latest is not None and self._latest[0] is w:
            return self._latest[1]
        z = self.model.outputs(w)
        self._keep(w, z)
        return z

    def cost(self, w: FloatArray) -> float:
        return self._cost_of(self.outputs(w), w)

    def gradient(self, w: FloatArray) -> FloatArray:
        """∇C (p,), without the Jacobian."""
        z = self.outputs(w)
        back = OutputSeed(self.loss.seed(z), len(z)).transposed_times(self.loss.residual(z))
        gradient = self.model.pull(w, back)
        return gradient if self.prior is None else gradient + self.prior * w

    def linearize(self, w: FloatArray) -> ModuleLinearization:
        z = self.outputs(w)
        residual = self.loss.residual(z).ravel()
        jacobian = self._jacobian(w, OutputSeed(self.loss.seed(z), len(z)))
        gradient = jacobian.rmv(residual)
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient = gradient + offset
        return ModuleLinearization(w, self._cost_of(z, w), residual, jacobian, offset, gradient, z)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        assert isinstance(at, ModuleLinearization)
        along = self.model.directional(at.w, direction)
        return None if along is None else self.loss.second(at.outputs, *along).ravel()

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """The output layer by `NetworkProblem.resolve_output`, its inputs being the data."""
        if self.output_layer is None:
            return w
        found = self.output_layer.resolved(w, damping, scale, self.targets, self.prior)
        if found is None:
            return w
        resolved, z = found
        resolved.flags.writeable = False
        self._keep(resolved, z)
        return resolved

    def _jacobian(self, w: FloatArray, seed: OutputSeed) -> Jacobian:
        if self.layers is not None:
            return self.layers.jacobian(w, seed)
        if self.model.on_host and self.model.rows_fit_one_chunk:
            rows, part = next(self.model.rows(w, seed, kept=True))
            if part.stop == self.model.n_samples:  # else memory ran out, and the chunks are smaller now
                return DenseJacobian(rows.numpy().reshape(-1, self.n_params))
        return StreamedJacobian(self.model, w, seed, self._scratch)

    def _keep(self, w: FloatArray, z: FloatArray) -> None:
        z.flags.writeable = False  # so that the loss may remember what it made of it
        if not w.flags.writeable:  # its owner cannot change it
            self._latest = (w, z)

    def _cost_of(self, z: FloatArray, w: FloatArray) -> float:
        cost = self.loss.cost(z)
        return cost if self.prior is None else cost + 0.5 * float(self.prior @ (w * w))
