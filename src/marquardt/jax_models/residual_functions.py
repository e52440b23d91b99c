"""Any function of a parameter tree as compiled functions of flat parameters.

The Jacobian comes whole, by columns (forward mode) or by rows (reverse mode), a batch of them at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from marquardt.jax_models.parameter_tree import TreeLayout, in_double, path_name
from marquardt.jax_models.traced_code import CompiledCache, TracedCode

Numbers = tuple[list[jax.Array], list[jax.Array]]
"""Arrays of the parameter tree that are not trained, and arrays among the further arguments."""


@dataclass(frozen=True)
class Arguments:
    """Further arguments of a residual function, split into arrays and the rest."""

    treedef: Any
    arrays: tuple[int, ...]
    static: tuple[tuple[int, Any], ...]

    @classmethod
    def split(cls, args: Sequence[Any]) -> tuple[Arguments, list[jax.Array]]:
        leaves, treedef = jax.tree.flatten(tuple(args))
        is_array = [isinstance(leaf, float | np.ndarray | np.generic | jax.Array) for leaf in leaves]
        arrays = tuple(i for i, known in enumerate(is_array) if known)
        static = tuple((i, leaf) for i, leaf in enumerate(leaves) if not is_array[i])
        return cls(treedef, arrays, static), [in_double(leaves[i]) for i in arrays]

    def join(self, values: Sequence[jax.Array]) -> tuple[Any, ...]:
        leaves: list[Any] = [None] * self.treedef.num_leaves
        for i, value in [*zip(self.arrays, values, strict=True), *self.static]:
            leaves[i] = value
        return self.treedef.unflatten(leaves)


@dataclass(frozen=True)
class ResidualFormula:
    """What is compiled: ``residual(params, *args)`` -> any tree of real arrays.  Equal ones share code."""

    residual: Callable[..., Any]
    layout: TreeLayout
    arguments: Arguments

    def tree(self, w: jax.Array, numbers: Numbers) -> Any:
        """The residuals in their own structure."""
        fixed, values = numbers
        params = self.layout.assemble(self.layout.pieces(w), fixed)
        return self.residual(params, *self.arguments.join(values))

    def flat(self, w: jax.Array, numbers: Numbers) -> jax.Array:
        """r (n,), leaf after leaf."""
        leaves = jax.tree.leaves(self.tree(w, numbers))
        return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float64) for leaf in leaves])

    def traced(self, numbers: Numbers) -> TracedCode:
        """Its code; the outputs are as the residual function returns them."""
        return TracedCode(self.tree, np.zeros(self.layout.n_params), numbers)

    def functions(self, code: TracedCode) -> ResidualFunctions:
        """The compiled functions of this formula."""
        return _COMPILED.get(self, code, lambda: ResidualFunctions(self))


def count(outputs: Any) -> int:
    """n of the residuals; TypeError or ValueError for what cannot be squared and summed."""
    total = 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(outputs)[0]:
        if not np.issubdtype(leaf.dtype, np.floating):
            name = path_name(path)
            raise TypeError(
                f"the residuals{f' at {name}' if name else ''} are {leaf.dtype}: they must be real and in "
                "floating point; stack real and imaginary parts of complex ones"
            )
        total += int(np.prod(leaf.shape, dtype=int))
    if total == 0:
        raise ValueError("the residual function returns no numbers: there is nothing to fit")
    return total


class ResidualFunctions:
    """Compiled once for each shape of the arguments; `n_traces` counts compilations."""

    def __init__(self, formula: ResidualFormula) -> None:
        self.formula = formula
        self.n_traces = 0
        self.residual = jax.jit(self._residual)
        self.push = jax.jit(self._push)
        self.pull = jax.jit(self._pull)
        self.directional = jax.jit(self._directional)
        self.columns = jax.jit(self._columns, static_argnums=2)
        self.rows = jax.jit(self._rows, static_argnums=3)

    def _residual(self, w: jax.Array, numbers: Numbers) -> jax.Array:
        self.n_traces += 1
        return self.formula.flat(w, numbers)

    def _push(self, w: jax.Array, d: jax.Array, numbers: Numbers) -> jax.Array:
        """Jd (n,)."""
        self.n_traces += 1
        return jax.jvp(partial(self.formula.flat, numbers=numbers), (w,), (d,))[1]

    def _pull(self, w: jax.Array, numbers: Numbers, u: jax.Array) -> jax.Array:
        """Jᵀu (p,)."""
        self.n_traces += 1
        return jax.vjp(partial(self.formula.flat, numbers=numbers), w)[1](u)[0]

    def _directional(self, w: jax.Array, d: jax.Array, numbers: Numbers) -> jax.Array:
        """d²r/dt² along w + td at t = 0 (n,): forward mode over forward mode."""
        self.n_traces += 1

        def velocity(v: jax.Array) -> jax.Array:
            return jax.jvp(partial(self.formula.flat, numbers=numbers), (v,), (d,))[1]

        return jax.jvp(velocity, (w,), (d,))[1]

    def _columns(self, w: jax.Array, numbers: Numbers, batch: int) -> jax.Array:
        """Jᵀ (p, n) by forward mode, `batch` columns of J at a time."""
        self.n_traces += 1
        _, push = jax.linearize(partial(self.formula.flat, numbers=numbers), w)
        return jax.lax.map(lambda i: push(jax.nn.one_hot(i, len(w))), jnp.arange(len(w)), batch_size=batch)

    def _rows(self, w: jax.Array, numbers: Numbers, start: jax.Array, count: int) -> jax.Array:
        """`count` rows of J from `start` on (count, p), by reverse mode; rows beyond the last are zero."""
        self.n_traces += 1
        r, pull = jax.vjp(partial(self.formula.flat, numbers=numbers), w)
        return jax.vmap(lambda i: pull(jax.nn.one_hot(i, len(r)))[0])(start + jnp.arange(count))


_COMPILED: CompiledCache[ResidualFunctions] = CompiledCache()
