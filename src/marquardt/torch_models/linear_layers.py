r"""Modules all of whose parameters sit in linear layers that see each sample once: any such graph, such as a
multilayer perceptron, with skip connections or several inputs.

Their Jacobian is known by the inputs and the sensitivities of each layer (`marquardt.gram`), so that JᵀJ
costs what the network in NumPy costs, and much less than a product of Jacobian rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from marquardt._types import FloatArray
from marquardt.gram import LayerFactors, Scratch
from marquardt.jacobian import KhatriRaoJacobian
from marquardt.output_seed import OutputSeed
from marquardt.torch_models.double_precision import in_double
from marquardt.torch_models.module_on_data import ModuleOnData
from marquardt.torch_models.parameter_layout import Piece
from marquardt.torch_models.samples import Call

_PROBED = 64
"""Samples on which the derivatives by layers are compared with those of the module."""
_ROUNDING = 1e-9


@dataclass
class Seen:
    """What a layer saw in one pass."""

    inputs: Tensor
    """(N, columns)."""
    outputs: Tensor
    """(N, rows)."""
    versions: tuple[int, int]

    @property
    def is_as_it_was(self) -> bool:
        """False after an operation in place, such as ``nn.ReLU(inplace=True)``."""
        return self.versions == (self.inputs._version, self.outputs._version)


@dataclass(frozen=True)
class LinearLayers:
    """The layers of a module, and which one gives its output."""

    model: ModuleOnData
    layers: tuple[nn.Module, ...]
    """One for each piece of w, in order."""
    last: int | None
    """Place of the layer whose output is that of the module."""
    scratch: Scratch = field(default_factory=Scratch, repr=False)

    @classmethod
    def of(cls, model: ModuleOnData, w: FloatArray) -> LinearLayers | None:
        """None when the module is of another kind, which a comparison of derivatives near w decides."""
        pieces = model.function.layout.pieces
        layers = owners(model.function.module, pieces)
        if layers is None or not model.on_host:
            return None
        rng = np.random.default_rng(0)
        near = w + 0.1 * rng.normal(size=w.shape)
        probe = slice(0, min(_PROBED, model.n_samples))
        with torch.no_grad():
            z, seen = watched(model, layers, near, model.samples.part(probe))
        if seen is None or any(not len(one.inputs) == len(one.outputs) == probe.stop for one in seen):
            return None
        last = last_of(z, seen)
        # Not the last of w: then it is a layer like the others, since `marquardt.gram` counts on the order.
        found = cls(model, layers, last if last == len(layers) - 1 else None)
        return found if found._agrees(near, probe, rng) else None

    def jacobian(self, w: FloatArray, seed: OutputSeed) -> KhatriRaoJacobian:
        """J at w."""
        inputs, deltas = self._tables(self.model.n_samples)
        for _ in self.model.passes(lambda call, part: self._watch(w, seed, call, part, inputs, deltas)):
            pass
        return KhatriRaoJacobian(self._factors(seed, inputs, deltas), self.model.n_outputs, self.scratch)

    # -- within --------------------------------------------------------------------------------

    def _tables(self, n: int) -> tuple[list[FloatArray], list[FloatArray]]:
        """Room for the inputs (columns, n), below them the 1 of the bias, and sensitivities (K, rows, n)."""
        pieces = self.model.function.layout.pieces
        inputs = [np.ones((piece.shape[1], n)) for piece in pieces]
        return inputs, [np.zeros((self.model.n_outputs, piece.shape[0], n)) for piece in pieces]

    def _factors(
        self, seed: OutputSeed, inputs: list[FloatArray], deltas: list[FloatArray]
    ) -> list[LayerFactors]:
        pieces = self.model.function.layout.pieces
        sensitivities = [seed.values if i == self.last else delta for i, delta in enumerate(deltas)]
        return [
            LayerFactors(a, delta, piece.block, (piece.shape[0], piece.shape[1]))
            for a, delta, piece in zip(inputs, sensitivities, pieces, strict=True)
        ]

    @in_double
    def _watch(
        self,
        w: FloatArray,
        seed: OutputSeed,
        call: Call,
        part: slice,
        inputs: list[FloatArray],
        deltas: list[FloatArray],
    ) -> None:
        """Note inputs and sensitivities of some samples."""
        wanted = [i for i in range(len(self.layers)) if i != self.last]
        with torch.set_grad_enabled(bool(wanted)):
            z, seen = watched(self.model, self.layers, w, call)
        assert seen is not None
        for one, a in zip(seen, inputs, strict=True):
            a[: one.inputs.shape[1], part] = one.inputs.detach().numpy().T
        outputs = [seen[i].outputs for i in wanted]
        cotangents = torch.from_numpy(seed.cotangents(part)) if wanted else ()
        for k, u in enumerate(cotangents):
            keep = k < len(cotangents) - 1
            found = torch.autograd.grad(z, outputs, u, retain_graph=keep, allow_unused=True)
            for i, delta in zip(wanted, found, strict=True):
                if delta is not None:
                    deltas[i][k, :, part] = delta.numpy().T

    def _agrees(self, w: FloatArray, probe: slice, rng: np.random.Generator) -> bool:
        """Whether Jᵀu by layers is that of the module, for a random u."""
        layout, n = self.model.function.layout, probe.stop
        seed = OutputSeed(rng.normal(size=(self.model.n_outputs, n)), self.model.n_outputs)
        call = self.model.samples.part(probe)
        inputs, deltas = self._tables(n)
        self._watch(w, seed, call, probe, inputs, deltas)
        pulled = KhatriRaoJacobian(self._factors(seed, inputs, deltas), self.model.n_outputs).rmv(
            np.ones(seed.values.size)
        )
        u = torch.from_numpy(np.ascontiguousarray(seed.values.T))
        by_name = self.model.function.pull(self.model.params(w), call, u)
        expected = layout.fill(by_name, torch.empty(len(w), dtype=torch.float64)).numpy()
        return bool(np.allclose(pulled, expected, rtol=_ROUNDING, atol=_ROUNDING * np.abs(expected).max()))


@in_double
def watched(
    model: ModuleOnData, layers: tuple[nn.Module, ...], w: FloatArray, call: Call
) -> tuple[Tensor, list[Seen] | None]:
    """Z (N, K) and what the layers saw, in their order; None for a layer used twice, never, on a
    sequence, or written over."""
    params = {name: value.requires_grad_() for name, value in model.params(w).items()}
    calls: dict[nn.Module, list[Seen]] = {layer: [] for layer in layers}
    with _hooks(calls):
        z = model.function.outputs(params, call)
    seen = [
        own[0] for own in calls.values() if len(own) == 1 and own[0].inputs.dim() == 2 and own[0].is_as_it_was
    ]
    return z, seen if len(seen) == len(layers) else None


@contextmanager
def _hooks(calls: dict[nn.Module, list[Seen]]) -> Iterator[None]:
    def note(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if args:
            calls[layer].append(Seen(args[0], output, (args[0]._version, output._version)))

    handles = [layer.register_forward_hook(note) for layer in calls]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def owners(module: nn.Module, pieces: list[Piece]) -> tuple[nn.Module, ...] | None:
    """The linear layer of each piece; None unless each has its own."""
    found = []
    for piece in pieces:
        prefix, _, name = piece.names[0].rpartition(".")
        owner = module.get_submodule(prefix)
        bias_is_trained = type(owner) is nn.Linear and (owner.bias is None or len(piece.names) == 2)
        if type(owner) is not nn.Linear or name != "weight" or not bias_is_trained:
            return None
        found.append(owner)
    return tuple(found)


def last_of(z: Tensor, seen: list[Seen]) -> int | None:
    for place, one in enumerate(seen):
        y = one.outputs
        if y.data_ptr() == z.data_ptr() and y.numel() == z.numel() and y.is_contiguous():
            return place
    return None
