"""A model of samples as compiled functions of flat parameters: outputs, Jacobian rows, products.

The output for a sample depends on that sample only, so a row of the Jacobian is the reverse derivative of
one sample's output, and `vmap` over samples gives a block of rows at the price of a few passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from marquardt.jax_models.parameter_tree import TreeLayout
from marquardt.jax_models.traced_code import CompiledCache, TracedCode

Constants = tuple[list[jax.Array], Any]
"""Arrays of the parameter tree that are not trained, and what else the model needs (see `Model.extra`)."""


@dataclass(frozen=True)
class SampleFormula:
    """What is compiled: ``apply(params, extra, X) -> (n_samples, ...)`` and the layout of `params`.

    Equal formulas share their compiled code.
    """

    apply: Callable[[Any, Any, Any], Any]
    layout: TreeLayout

    def outputs(self, pieces: Sequence[jax.Array], constants: Constants, X: Any) -> jax.Array:
        """Z (N, K) in float64."""
        fixed, extra = constants
        z = self.apply(self.layout.assemble(pieces, fixed), extra, X)
        return jnp.reshape(z, (z.shape[0], -1)).astype(jnp.float64)

    def traced(self, constants: Constants, X: Any) -> TracedCode:
        """Its code for data of these shapes; the outputs are as the model returns them."""

        def call(w: jax.Array, constants: Constants, X: Any) -> Any:
            fixed, extra = constants
            return self.apply(self.layout.assemble(self.layout.pieces(w), fixed), extra, X)

        return TracedCode(call, np.zeros(self.layout.n_params), constants, X)

    def functions(self, code: TracedCode) -> SampleFunctions:
        """The compiled functions of this formula."""
        return _COMPILED.get(self, code, lambda: SampleFunctions(self, code.operations))


class SampleFunctions:
    """Compiled once for each shape of X.  Outputs are feature-major, (K, N).

    `n_traces` counts compilations.
    """

    def __init__(self, formula: SampleFormula, operations: frozenset[str]) -> None:
        self.formula, self.operations = formula, operations
        self.n_traces = 0
        self.trusted: set[tuple[tuple[int, ...], ...]] = set()
        """Shapes of X with which the model has passed the checks of `fit`."""
        self.readings: dict[tuple[int, ...], Any] = {}
        """What `marquardt.jax_models.recognition` found, by the shape of X."""
        self.outputs = jax.jit(self._outputs)
        self.push = jax.jit(self._push)
        self.pull = jax.jit(self._pull)
        self.directional = jax.jit(self._directional)
        self.rows = jax.jit(self._rows)
        self.block_rows = jax.jit(self._block_rows, static_argnums=4)

    def _outputs(self, w: jax.Array, constants: Constants, X: Any) -> jax.Array:
        self.n_traces += 1
        return self._features(w, constants, X)

    def _push(self, w: jax.Array, d: jax.Array, constants: Constants, X: Any) -> jax.Array:
        """ż along d, (K, N)."""
        self.n_traces += 1
        return jax.jvp(lambda v: self._features(v, constants, X), (w,), (d,))[1]

    def _pull(self, w: jax.Array, constants: Constants, X: Any, u: jax.Array) -> jax.Array:
        """(∂z/∂w)ᵀ u (p,), for u (K, N)."""
        self.n_traces += 1
        return jax.vjp(lambda v: self._features(v, constants, X), w)[1](u)[0]

    def _directional(
        self, w: jax.Array, d: jax.Array, constants: Constants, X: Any
    ) -> tuple[jax.Array, jax.Array]:
        """ż and z̈ along w + td at t = 0, (K, N) each: forward mode over forward mode."""
        self.n_traces += 1

        def velocity(v: jax.Array) -> jax.Array:
            return jax.jvp(lambda v: self._features(v, constants, X), (v,), (d,))[1]

        return jax.jvp(velocity, (w,), (d,))

    def _rows(
        self, w: jax.Array, constants: Constants, X: Any, cotangents: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Rows cotangentᵀ ∂z_n/∂w, (m, N, p), for cotangents (m, N, K); and Z (K, N)."""
        self.n_traces += 1
        pieces = self.formula.layout.pieces(w)
        parts, z = self._pulled_by_sample(pieces, lambda own: own, constants, X, cotangents)
        return _joined(parts), z

    def _block_rows(
        self, w: jax.Array, constants: Constants, X: Any, cotangents: jax.Array, block: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """The same for the parameters of some trained leaves only, (m, N, q)."""
        self.n_traces += 1
        pieces = self.formula.layout.pieces(w)

        def whole(own: Sequence[jax.Array]) -> list[jax.Array]:
            full = list(pieces)
            for leaf, piece in zip(block, own, strict=True):
                full[leaf] = piece
            return full

        parts, z = self._pulled_by_sample([pieces[leaf] for leaf in block], whole, constants, X, cotangents)
        return _joined(parts), z

    def _pulled_by_sample(
        self,
        own: list[jax.Array],
        whole: Callable[[Sequence[jax.Array]], Sequence[jax.Array]],
        constants: Constants,
        X: Any,
        cotangents: jax.Array,
    ) -> tuple[list[jax.Array], jax.Array]:
        # With respect to the leaves, joined at the end: pulling back to w itself would add vectors of
        # length p leaf by leaf, at twice the time.
        def one(x: Any, u: jax.Array) -> tuple[list[jax.Array], jax.Array]:
            single = jax.tree.map(lambda a: a[None], x)
            z, back = jax.vjp(lambda leaves: self.formula.outputs(whole(leaves), constants, single)[0], own)
            pulled = [part[None] for part in back(u[0])[0]] if len(u) == 1 else jax.vmap(back)(u)[0]
            return pulled, z

        return jax.vmap(one, in_axes=(0, 1), out_axes=(1, 1))(X, cotangents)

    def _features(self, w: jax.Array, constants: Constants, X: Any) -> jax.Array:
        return self.formula.outputs(self.formula.layout.pieces(w), constants, X).T


_COMPILED: CompiledCache[SampleFunctions] = CompiledCache()


def _joined(parts: list[jax.Array]) -> jax.Array:
    """Leaves (m, N, *shape) side by side, (m, N, p)."""
    return jnp.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)
