"""Equinox modules, Flax NNX modules and plain functions, all as one function of parameters and inputs.

Equinox and Flax are recognised where their users have imported them; neither is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Model:
    """A model taken apart."""

    params: Any
    """Tree of parameters."""
    extra: Any
    """Tree of arrays that belong to the model and are no parameters (running means, random keys)."""
    apply: Callable[[Any, Any, Any], Any]
    """(params, extra, X) -> outputs, one row a sample; hashable, and equal for equal models."""
    rebuild: Callable[[Any], Any]
    """Other parameters, of the same structure, as the kind of model that was given."""
    keeps_others: bool
    """Whether `params` may have leaves that are no parameters."""


def take_apart(model: Any, batched: bool | None) -> Model:
    """The kind of model, by its type.

    `batched` tells whether the model takes all samples at once; None: Equinox modules take one, others all.
    """
    equinox, nnx = sys.modules.get("equinox"), sys.modules.get("flax.nnx")
    if equinox is not None and isinstance(model, equinox.Module):
        own = _CallModule(batched=bool(batched))
        return Model(model, None, own, lambda params: params, keeps_others=True)
    if nnx is not None and isinstance(model, nnx.Module):
        graph, params, extra = nnx.split(model, nnx.Param, ...)
        own = _CallNnx(graph, batched=batched is not False)
        return Model(params, extra, own, lambda params: nnx.merge(graph, params, extra), keeps_others=True)
    if isinstance(model, tuple) and len(model) == 2 and callable(model[0]):
        function, params = model
        own = _CallFunction(function, batched=batched is not False)
        return Model(params, None, own, lambda params: (function, params), keeps_others=False)
    raise TypeError(
        f"model is a {type(model).__name__}: give an Equinox module, a Flax NNX module, or a pair "
        "(function, params) with function(params, X) -> outputs"
    )


@dataclass(frozen=True)
class _CallModule:
    batched: bool

    def __call__(self, params: Any, extra: Any, X: Any) -> Any:
        del extra
        return params(X) if self.batched else jax.vmap(params)(X)


@dataclass(frozen=True)
class _CallNnx:
    graph: Any
    batched: bool

    def __call__(self, params: Any, extra: Any, X: Any) -> Any:
        # Variables made here: Flax lets a model count its random draws only in variables of this trace.
        params, extra = jax.tree.map(lambda leaf: leaf, (params, extra))
        module = sys.modules["flax.nnx"].merge(self.graph, params, extra)
        return module(X) if self.batched else jax.vmap(module)(X)


@dataclass(frozen=True)
class _CallFunction:
    function: Callable[[Any, Any], Any]
    batched: bool

    def __call__(self, params: Any, extra: Any, X: Any) -> Any:
        del extra
        if self.batched:
            return self.function(params, X)
        return jax.vmap(self.function, in_axes=(None, 0))(params, X)
