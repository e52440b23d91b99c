"""The linear layer that gives a module's output: solved again at every trial point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from marquardt._types import FloatArray
from marquardt.losses import LossOf, cross_entropy
from marquardt.models.layers import Input, Layer, Linear, Logistic, Softmax
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.torch_models.linear_layers import last_of, owners, watched
from marquardt.torch_models.module_on_data import ModuleOnData
from marquardt.torch_models.parameter_layout import Piece
from marquardt.torch_models.targets import Targets

_PROBED = 64
_ROUNDING = 1e-9


@dataclass(frozen=True)
class OutputLayer:
    """Its inputs are the features of a network of one layer, whose problem is known how to solve."""

    model: ModuleOnData
    layer: nn.Module
    piece: Piece

    @classmethod
    def of(cls, model: ModuleOnData, w: FloatArray) -> OutputLayer | None:
        """None where there is no such layer, or its parameters are used elsewhere too: that is tried out, at
        a step as large as w."""
        rng = np.random.default_rng(1)
        near = w + 0.1 * rng.normal(size=w.shape)
        n = min(_PROBED, model.n_samples)
        probe = model.samples.part(slice(0, n))
        for piece in reversed(model.function.layout.pieces):
            layers = owners(model.function.module, [piece]) if len(piece.names) == 2 else None
            if layers is None or piece.shape[0] != model.n_outputs or not model.on_host:
                continue
            with torch.no_grad():
                z, seen = watched(model, layers, near, probe)
                if seen is None or len(seen[0].inputs) != n or last_of(z, seen) is None:
                    continue
                moved = near.copy()
                moved[piece.block] += rng.normal(size=moved[piece.block].shape)
                expected, _ = watched(model, layers, moved, probe)
            found = cls(model, layers[0], piece)
            by_layer = found._outputs(moved, seen[0].inputs.numpy())
            if np.allclose(by_layer, expected.numpy().T, rtol=_ROUNDING, atol=_ROUNDING):
                return found
        return None

    def features(self, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Inputs of the layer (N, columns), and Z (K, N)."""
        inputs, outputs = [], []
        with torch.no_grad():
            for (z, seen), _ in self.model.passes(
                lambda call, _: watched(self.model, (self.layer,), w, call)
            ):
                assert seen is not None
                inputs.append(seen[0].inputs)
                outputs.append(z)
        return torch.cat(inputs).numpy(), np.ascontiguousarray(torch.cat(outputs).numpy().T)

    def resolved(
        self,
        w: FloatArray,
        damping: float,
        scale: FloatArray | None,
        targets: Targets,
        prior: FloatArray | None,
    ) -> tuple[FloatArray, FloatArray] | None:
        """w with this layer solved again, and Z (K, N) there; None where it is not finite."""
        inputs, z = self.features(w)
        if not (np.isfinite(inputs).all() and np.isfinite(z).all()):
            return None
        block = self.piece.block
        own = None if prior is None else prior[block]
        network = MLP([Input(inputs.shape[1]), _layer(targets.loss, self.model.n_outputs)])
        problem = NetworkProblem(
            network, inputs, targets.values, sample_weight=targets.weights, prior=own, loss=targets.loss
        )
        start = w[block].copy()
        start.flags.writeable = False
        step = problem.resolve_output(start, damping, None if scale is None else scale[block])
        if step is start:
            return w, z
        resolved = w.copy()
        resolved[block] = step
        return resolved, self._outputs(resolved, inputs)

    def _outputs(self, w: FloatArray, inputs: FloatArray) -> FloatArray:
        W = w[self.piece.block].reshape(self.piece.shape)
        return W[:, :-1] @ inputs.T + W[:, -1:]


def _layer(loss: LossOf, n_outputs: int) -> Layer:
    if loss is not cross_entropy:
        return Linear(n_outputs)
    return Softmax(n_outputs) if n_outputs > 1 else Logistic(n_outputs)
