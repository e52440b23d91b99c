r"""A module as a function of its parameters: outputs, Jacobian rows, products, for some samples.

The output for a sample depends on that sample only, so a row of the Jacobian is the reverse derivative of
one sample's output, and `vmap` over samples gives a block of rows at the price of a few passes.
"""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from marquardt.torch_models.double_precision import in_double, precision
from marquardt.torch_models.parameter_layout import ParameterLayout, Tensors
from marquardt.torch_models.samples import Call
from marquardt.torch_models.written_out import WrittenOut


class ModuleFunction:
    """Outputs Z (N, K) and their derivatives; the module itself is not changed.

    Parameters
    ----------
    module : torch.nn.Module
    layout : ParameterLayout
        What is trained.  All else, buffers included, keeps the value that it has now.
    """

    def __init__(self, module: nn.Module, layout: ParameterLayout) -> None:
        self.module, self.layout = module, layout
        self.by_sample = True
        """Whether `vmap` can take the module; False makes rows one by one."""
        self.bends = True
        """Whether the second directional derivative is there, and right."""
        fixed = {name: value for name, value in module.named_parameters() if name not in layout.trained}
        constants = fixed | dict(module.named_buffers())
        self.dtype = torch.float64
        self.constants: Tensors = {name: _in(torch.float64, value) for name, value in constants.items()}
        self._recurrent = [layer for layer in module.modules() if isinstance(layer, nn.RNNBase)]

    @cached_property
    def single(self) -> ModuleFunction:
        """The same in float32, for `rows`."""
        other = copy.copy(self)
        other.dtype = torch.float32
        other.constants = {name: _in(torch.float32, value) for name, value in self.constants.items()}
        return other

    def raw(self, params: Tensors, call: Call) -> Any:
        """What the module returns."""
        args, kwargs = call
        with self._recurrences():
            return functional_call(self.module, {**self.constants, **params}, args, kwargs)

    def outputs(self, params: Tensors, call: Call) -> Tensor:
        """Z (N, K) in float64."""
        z = self.raw(params, call)
        return z.reshape(len(z), -1).double()

    @in_double
    def push(self, params: Tensors, tangents: Tensors, call: Call) -> Tensor:
        """ż (N, K) along `tangents`."""
        try:
            with WrittenOut():
                return jvp(lambda own: self.outputs(own, call), (params,), (tangents,))[1]
        except (NotImplementedError, RuntimeError):  # an operation without forward mode
            return self._push_in_reverse(params, tangents, call)

    @in_double
    def directional(self, params: Tensors, tangents: Tensors, call: Call) -> tuple[Tensor, Tensor]:
        """ż and z̈ (N, K) along params + t · tangents at t = 0: forward mode over forward mode."""

        def velocity(own: Tensors) -> Tensor:
            return jvp(lambda inner: self.outputs(inner, call), (own,), (tangents,))[1]

        with WrittenOut():
            z1, z2 = jvp(velocity, (params,), (tangents,))[:2]
        return z1, z2

    @in_double
    def pull(self, params: Tensors, call: Call, u: Tensor) -> Tensors:
        """Σ_n (∂z_n/∂w)ᵀ u_n by name, for u (N, K)."""
        with torch.enable_grad():
            leaves = _leaves(params)
            z = self.outputs(leaves, call)
            return _gradients(z, leaves, u)

    def rows(self, params: Tensors, call: Call, cotangents: Tensor) -> tuple[Tensors, Tensor]:
        """Rows cotangentᵀ ∂z_n/∂w by name, (m, N, *shape), for cotangents (m, N, K); and Z (N, K)."""
        with precision(self.dtype):
            return (self._rows if self.by_sample else self._rows_one_by_one)(params, call, cotangents)

    # -- within --------------------------------------------------------------------------------

    def _push_in_reverse(self, params: Tensors, tangents: Tensors, call: Call) -> Tensor:
        """ż as the derivative of ⟨(∂z/∂w)ᵀu, tangents⟩ with respect to u."""
        with torch.enable_grad():
            leaves = _leaves(params)
            z = self.outputs(leaves, call)
            u = torch.zeros_like(z, requires_grad=True)
            pulled = torch.autograd.grad(z, list(leaves.values()), u, create_graph=True, allow_unused=True)
            pairs = zip(pulled, tangents.values(), strict=True)
            products = [(part * d).sum() for part, d in pairs if part is not None]
            return torch.autograd.grad(torch.stack(products).sum(), u)[0]

    def _rows(self, params: Tensors, call: Call, cotangents: Tensor) -> tuple[Tensors, Tensor]:
        def one(call: Call, u: Tensor) -> tuple[Tensors, Tensor]:
            args, kwargs = call
            single = (tuple(t[None] for t in args), {name: t[None] for name, t in kwargs.items()})
            z, back = vjp(lambda own: self.outputs(own, single)[0], params)[:2]
            if len(u) > 1:
                return vmap(back)(u)[0], z
            return {name: part[None] for name, part in back(u[0])[0].items()}, z

        rows, z = vmap(one, in_dims=((0, 0), 1), out_dims=(1, 0))(call, cotangents)
        return rows, z

    def _rows_one_by_one(self, params: Tensors, call: Call, cotangents: Tensor) -> tuple[Tensors, Tensor]:
        m, n, _ = cotangents.shape
        rows = {name: value.new_empty(m, n, *value.shape) for name, value in params.items()}
        outputs = []
        args, kwargs = call
        for i in range(n):
            own = slice(i, i + 1)
            single = (tuple(t[own] for t in args), {name: t[own] for name, t in kwargs.items()})
            with torch.enable_grad():
                leaves = _leaves(params)
                z = self.outputs(leaves, single)
                for k in range(m):
                    gradients = _gradients(z, leaves, cotangents[k, own], keep=k < m - 1)
                    for name, gradient in gradients.items():
                        rows[name][k, i] = gradient
            outputs.append(z.detach())
        return rows, torch.cat(outputs)

    @contextmanager
    def _recurrences(self) -> Iterator[None]:
        """LSTM, GRU and RNN under `vmap`: a first state that belongs to the samples, and not cuDNN's kernel,
        which has one derivative only."""
        with ExitStack() as stack:
            for layer in self._recurrent:
                hook = layer.register_forward_pre_hook(_with_first_state, with_kwargs=True)
                stack.callback(hook.remove)
            if self._recurrent and torch.backends.cudnn.is_available():
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield


def _with_first_state(layer: nn.RNNBase, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Zeros made from the input, added to a state that is given: those that the layer or its user makes are
    unknown to `vmap`."""
    x = args[0] if args else kwargs.get("input")
    given = args[1] if len(args) > 1 else kwargs.get("hx")
    if not isinstance(x, Tensor):  # a packed sequence
        return None
    if given is not None:
        if isinstance(given, Tensor):
            return (x, given + x.new_zeros(given.shape)), {}
        return (x, tuple(state + x.new_zeros(state.shape) for state in given)), {}
    n_layers = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = [] if x.dim() == 2 else [x.shape[0 if layer.batch_first else 1]]
    state = x.new_zeros(n_layers, *batch, layer.proj_size or layer.hidden_size)
    if isinstance(layer, nn.LSTM):
        state = (state, x.new_zeros(n_layers, *batch, layer.hidden_size))
    return (x, state), {}


def _leaves(params: Tensors) -> Tensors:
    return {name: value.detach().requires_grad_() for name, value in params.items()}


def _gradients(z: Tensor, leaves: Tensors, u: Tensor, keep: bool = False) -> Tensors:
    """(∂z/∂w)ᵀ u by name, zero where z does not depend on a parameter."""
    if not z.requires_grad:
        return {name: torch.zeros_like(value) for name, value in leaves.items()}
    found = torch.autograd.grad(z, list(leaves.values()), u, retain_graph=keep, allow_unused=True)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(leaves.items(), found, strict=True)
    }


def _in(dtype: torch.dtype, value: Tensor) -> Tensor:
    value = value.detach().clone()
    return value.to(dtype) if value.is_floating_point() else value
