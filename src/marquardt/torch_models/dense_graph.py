"""The graph of a module, read: whether it is a chain of linear layers and activations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd

from marquardt._types import FloatArray
from marquardt.dense_model import DenseModel, layer_of
from marquardt.models.layers import Input, Layer, Softmax
from marquardt.models.mlp import MLP
from marquardt.torch_models.parameter_layout import ParameterLayout

_ACTIVATIONS = (nn.ELU, nn.GELU, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Tanh)
_FUNCTIONS = {
    F.elu,
    F.gelu,
    F.relu,
    F.silu,
    F.sigmoid,
    F.softplus,
    F.tanh,
    torch.relu,
    torch.sigmoid,
    torch.sin,
    torch.tanh,
}
_METHODS = {"relu", "sigmoid", "sin", "tanh"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

_ARITHMETIC = {operator.add, operator.mul, operator.sub, operator.truediv}
Function = Callable[[Tensor], Tensor]
Function2 = Callable[[Any, Any], Tensor]
Step = nn.Linear | Function


@dataclass(frozen=True)
class _Functions:
    """What is done to each entry of a table, one after the other."""

    functions: list[Function] = field(default_factory=list)

    def of(self, z: FloatArray) -> FloatArray:
        with torch.no_grad():
            a = torch.tensor(z)  # a copy, which a function in place may write over
            for function in self.functions:
                a = function(a)
        return a.numpy()


@dataclass(frozen=True)
class _Layer:
    linear: nn.Linear
    activation: _Functions = field(default_factory=_Functions)


@dataclass(frozen=True)
class _Chain:
    before: _Functions = field(default_factory=_Functions)
    """What is done to the inputs."""
    layers: list[_Layer] = field(default_factory=list)


@dataclass(frozen=True)
class _Scaling:
    """Arithmetic with a number, or with one number a column."""

    operation: Function2
    first: bool
    """Whether the number comes first."""
    number: float | Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return self.operation(self.number, x) if self.first else self.operation(x, self.number)


def dense_model(module: nn.Module, layout: ParameterLayout) -> DenseModel | None:
    """The network that a module is, when its layers hold all parameters of `layout`; None for any other."""
    if any(getattr(layer, hooks) for layer in module.modules() for hooks in _HOOKS):
        return None
    blocks = dict(_owners(module, layout))
    chain = _chain(module) if len(blocks) == len(layout.pieces) else None
    if chain is None or len(chain.layers) != len(blocks):
        return None
    layers: list[Layer] = [Input(chain.layers[0].linear.in_features)]
    places = []
    for layer in chain.layers:
        kind = _kind(layer)
        if kind is Softmax and layer is not chain.layers[-1]:
            return None
        block = blocks.pop(layer.linear, None)  # which is gone when a layer comes again
        if kind is None or block is None or layer.linear.in_features != layers[-1].units:
            return None
        layers.append(kind(layer.linear.out_features))
        places.append(np.arange(block.start, block.stop))
    features = chain.before.of if chain.before.functions else None
    return DenseModel(MLP(layers), np.concatenate(places), features)


def _kind(layer: _Layer) -> type[Layer] | None:
    functions = layer.activation.functions
    if any(isinstance(function, nn.Softmax) for function in functions):
        return Softmax if len(functions) == 1 and layer.linear.out_features > 1 else None
    return layer_of(layer.activation.of)


def _owners(module: nn.Module, layout: ParameterLayout) -> Iterator[tuple[nn.Module, slice]]:
    """Linear layers that are trained whole, and where they stand in w, bias last as in `MLP`."""
    for piece in layout.pieces:
        prefix, _, name = piece.names[0].rpartition(".")
        owner = module.get_submodule(prefix)
        if type(owner) is nn.Linear and name == "weight" and len(piece.names) == 2:
            yield owner, piece.block


def _chain(module: nn.Module) -> _Chain | None:
    """The layers of a module that is nothing but a chain of them."""
    steps = [_step_of_layer(layer) for layer in _in_sequence(module)]
    if any(step is None for step in steps):  # a forward of the user's own
        steps = _traced(module)
    chain = _Chain()
    functions = chain.before.functions
    for step in steps:
        if isinstance(step, nn.Linear):
            chain.layers.append(_Layer(step))
            functions = chain.layers[-1].activation.functions
        elif step is None or (chain.layers and isinstance(step, _Scaling)):
            return None
        elif step is not _itself:
            functions.append(step)
    return chain


def _in_sequence(module: nn.Module) -> Iterator[nn.Module]:
    if type(module) is not nn.Sequential:
        yield module
        return
    for layer in module:
        yield from _in_sequence(layer)


def _traced(module: nn.Module) -> list[Step | None]:
    """What the forward of a module does, one after the other; None where that is anything else."""
    whole = nn.Sequential(module)
    try:
        with _unchanged(module):
            graph = fx.Tracer().trace(whole)
    except Exception:  # whatever a forward says that cannot be called without numbers
        return [None]
    steps: list[Step | None] = []
    constants: dict[fx.Node, Tensor] = {}
    latest: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder" and latest is None:
            latest = node
            continue
        if node.op == "get_attr":
            constants[node] = attrgetter(str(node.target))(whole)
            continue
        if latest is None or [part for part in node.all_input_nodes if part not in constants] != [latest]:
            return [None]
        if node.op == "output":
            return steps if node.args == (latest,) else [None]
        steps.append(_step(node, latest, whole, constants))
        latest = node
    return [None]


def _step(node: fx.Node, latest: fx.Node, whole: nn.Module, constants: dict[fx.Node, Tensor]) -> Step | None:
    """What a node of the graph does: a layer, a function of each entry; None for anything else."""
    rest, options = node.args[1:], dict(node.kwargs)
    if node.op == "call_function" and node.target in _ARITHMETIC:
        return None if options else _scaling(node, latest, constants)
    if node.args[:1] != (latest,) or node.all_input_nodes != [latest]:
        return None
    if node.op == "call_module" and not (rest or options):
        return _step_of_layer(whole.get_submodule(str(node.target)))
    if node.op == "call_function" and node.target in _FUNCTIONS:
        return lambda z: node.target(z, *rest, **options)  # type: ignore[operator]
    if node.op == "call_function" and node.target in (F.softmax, torch.softmax):
        axis: Any = rest[0] if rest else options.get("dim")
        plain = isinstance(axis, int) and len(rest) < 2 and options.get("dtype") is None
        return _step_of_layer(nn.Softmax(axis)) if plain else None
    if node.op == "call_method" and node.target in _METHODS:
        return lambda z: getattr(z, str(node.target))(*rest, **options)
    if _name(node) in ("squeeze", "flatten") and not options and rest in ((1,), (-1,)):
        return _itself  # of a table with one row a sample
    return None


def _scaling(node: fx.Node, latest: fx.Node, constants: dict[fx.Node, Tensor]) -> _Scaling | None:
    others = [part for part in node.args if part is not latest]
    if len(node.args) != 2 or len(others) != 1:
        return None
    number = constants.get(others[0]) if isinstance(others[0], fx.Node) else others[0]
    if isinstance(number, Tensor):
        of_columns = number.dim() <= 1 or (number.dim() == 2 and len(number) == 1)
        number = number.detach().double() if of_columns else None
    if not isinstance(number, int | float | Tensor):
        return None
    return _Scaling(node.target, node.args[1] is latest, number)  # type: ignore[arg-type]


def _step_of_layer(layer: nn.Module) -> Step | None:
    if type(layer) is nn.Softmax:
        return layer if layer.dim in (1, -1) else None
    if type(layer) is nn.Linear or type(layer) in _ACTIVATIONS:
        return layer
    off = isinstance(layer, _DropoutNd) and (not layer.training or layer.p == 0)
    flat = type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)
    return _itself if off or flat or type(layer) is nn.Identity else None


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _itself(z: Tensor) -> Tensor:
    return z


@contextmanager
def _unchanged(module: nn.Module) -> Iterator[None]:
    """Attributes that a forward sets, such as a layer's latest output, are as they were at the end."""
    before: list[tuple[nn.Module, dict[str, Any]]] = [(part, dict(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, values in before:
            vars(part).clear()
            vars(part).update(values)
