"""A tree of parameters as one flat vector w, and back.

Leaves in floating point are trained; others stay as they are.  Trained leaves stand in w in the order of the
tree, row-major, free of their bounds (`marquardt.jax_models.transforms`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from marquardt._types import FloatArray
from marquardt.jax_models.double_precision import double_precision
from marquardt.jax_models.transforms import Transform

Trainable = Callable[[str], bool] | Any
"""Which leaves to train: a function of a leaf's path, or a tree of booleans (a prefix of the parameters)."""


@dataclass(frozen=True)
class TrainedLeaf:
    """Where a leaf stands in the tree and in w."""

    path: str
    position: int
    shape: tuple[int, ...]
    start: int
    transform: Transform | None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    @property
    def block(self) -> slice:
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class TreeLayout:
    """The shape of a tree, without its numbers: equal layouts share compiled code."""

    treedef: Any
    trained: tuple[TrainedLeaf, ...]
    fixed: tuple[int, ...]
    """Positions of the arrays that are not trained."""
    static: tuple[tuple[int, Any], ...]
    """Positions and values of the leaves that are no arrays: functions, names, ..."""

    @property
    def n_params(self) -> int:
        return self.trained[-1].block.stop

    def pieces(self, w: jax.Array) -> list[jax.Array]:
        """w cut into the trained leaves, free of bounds."""
        return [w[leaf.block].reshape(leaf.shape) for leaf in self.trained]

    def assemble(self, pieces: Sequence[jax.Array], fixed: Sequence[jax.Array]) -> Any:
        """The tree as the model sees it."""
        leaves: list[Any] = [None] * self.treedef.num_leaves
        for leaf, piece in zip(self.trained, pieces, strict=True):
            leaves[leaf.position] = piece if leaf.transform is None else leaf.transform.value(piece)
        for position, value in zip(self.fixed, fixed, strict=True):
            leaves[position] = value
        for position, value in self.static:
            leaves[position] = value
        return self.treedef.unflatten(leaves)

    def leaf_of(self, index: int) -> str:
        """The name of entry `index` of w, such as ``layers.0.weight[3, 1]``."""
        leaf = next(leaf for leaf in self.trained if index < leaf.block.stop)
        if not leaf.shape:
            return leaf.path
        where = np.unravel_index(index - leaf.start, leaf.shape)
        return f"{leaf.path}[{', '.join(str(int(i)) for i in where)}]"


class ParameterTree:
    """The parameters of a model: a layout and the numbers at the start.

    Parameters
    ----------
    params : pytree
    trainable : callable or pytree of bool, optional
        ``path -> bool``, or booleans in the structure of `params` or of a prefix of it (as for
        `equinox.partition`).  None trains every leaf in floating point.
    transforms : mapping, optional
        From a path, or the beginning of one, to `Positive()` or `Bounded(low, high)`.
    keeps_others : bool
        Whether integers, names and the like are kept as they are, as modules have them; else they are
        refused.  Functions, such as the activation within a module, are always kept.

    Examples
    --------
    >>> from marquardt.jax_models.transforms import Positive
    >>> tree = ParameterTree({"rate": 2.0, "weights": np.ones((2, 2))}, transforms={"rate": Positive()})
    >>> [leaf.path for leaf in tree.layout.trained]
    ['rate', 'weights']
    >>> tree.start.round(4)
    array([1.8546, 1.    , 1.    , 1.    , 1.    ])
    >>> tree.restore(tree.start)["rate"]
    2.0
    """

    def __init__(
        self,
        params: Any,
        *,
        trainable: Trainable | None = None,
        transforms: Mapping[str, Transform] | None = None,
        keeps_others: bool = False,
    ) -> None:
        flat, treedef = jax.tree_util.tree_flatten_with_path(params)
        self.leaves = [leaf for _, leaf in flat]
        paths = [path_name(path) for path, _ in flat]
        if type(params).__module__.startswith("flax."):  # Flax wraps every array in a variable
            paths = [path.removesuffix(".value") for path in paths]
        wanted = _wanted(trainable, params, paths)
        transform_of = by_path("transforms", transforms or {}, paths)
        trained: list[TrainedLeaf] = []
        fixed: list[int] = []
        static: list[tuple[int, Any]] = []
        values: list[FloatArray] = []
        for position, (path, leaf) in enumerate(zip(paths, self.leaves, strict=True)):
            if wanted[position] and _is_floating(leaf):
                start = trained[-1].block.stop if trained else 0
                value = np.asarray(leaf).astype(float)
                transform = transform_of.get(path)
                trained.append(TrainedLeaf(path, position, value.shape, start, transform))
                values.append(_free(path, value, transform).ravel())
            elif wanted[position] and not callable(leaf) and (not keeps_others or _is_complex(leaf)):
                raise TypeError(_refusal(path, leaf))
            elif _is_number(leaf):
                fixed.append(position)
            else:
                static.append((position, leaf))
        if not values or not sum(map(len, values)):
            raise ValueError(
                "there is nothing to train: no leaf of the parameters is an array in floating point"
                + ("" if trainable is None else " for which trainable= is true")
            )
        self.layout = TreeLayout(treedef, tuple(trained), tuple(fixed), tuple(static))
        self.start: FloatArray = np.concatenate(values)
        """w of the parameters as they were given."""
        self.fixed = [in_double(self.leaves[position]) for position in fixed]

    def restore(self, w: FloatArray) -> Any:
        """The parameters at w, in their own structure, types and precision."""
        leaves = list(self.leaves)
        with double_precision():
            for leaf in self.layout.trained:
                value = w[leaf.block].reshape(leaf.shape)
                if leaf.transform is not None:
                    value = np.asarray(leaf.transform.value(jnp.array(value)))
                leaves[leaf.position] = _like(leaves[leaf.position], value)
        return self.layout.treedef.unflatten(leaves)

    def pack(self, params: Any) -> FloatArray:
        """w of parameters in the structure of the tree."""
        leaves = self.layout.treedef.flatten_up_to(params)
        parts = [
            _free(leaf.path, np.asarray(leaves[leaf.position]).astype(float), leaf.transform).ravel()
            for leaf in self.layout.trained
        ]
        return np.concatenate(parts)

    def prior(self, alpha: float | Mapping[str, float]) -> FloatArray | None:
        """S₀ (p,), None for zero.

        A number is the precision of the leaves with two axes and more, the weights of layers; biases and
        physical parameters stay free.  A mapping gives it by path, or the beginning of one.
        """
        trained = self.layout.trained
        for value in alpha.values() if isinstance(alpha, Mapping) else [alpha]:
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"alpha={alpha!r} must be finite and >= 0")
        if not isinstance(alpha, Mapping):
            alpha = {leaf.path: alpha for leaf in trained if len(leaf.shape) >= 2}
        precisions = by_path("alpha", alpha, [leaf.path for leaf in trained])
        prior = np.zeros(self.layout.n_params)
        for leaf in trained:
            prior[leaf.block] = precisions.get(leaf.path, 0.0)
        return prior if prior.any() else None


def path_name(path: tuple[Any, ...]) -> str:
    """The path of a leaf as a user would write it: ``layers.0.weight``."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def by_path(argument: str, values: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """`values`, given for paths or their beginnings, for each full path; the longest beginning wins."""
    paths, result = list(paths), {}
    for key in sorted(values, key=len):
        under = [path for path in paths if path == key or path.startswith(f"{key}.")]
        if not under:
            raise ValueError(f"{argument} names {key!r}, which is no parameter; there are {', '.join(paths)}")
        result.update(dict.fromkeys(under, values[key]))
    return result


def in_double(value: Any) -> Any:
    """A copy on the device, since the caller may change theirs: in float64 when it is in floating point."""
    with double_precision():
        if isinstance(value, float) or _is_array(value):
            floating = isinstance(value, float) or jnp.issubdtype(value.dtype, jnp.floating)
            return jnp.array(value, dtype=np.float64 if floating else None)
        return jnp.asarray(value)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)


def _is_number(leaf: Any) -> bool:
    return _is_array(leaf) or type(leaf) is float


def _is_floating(leaf: Any) -> bool:
    return type(leaf) is float or (_is_array(leaf) and bool(jnp.issubdtype(leaf.dtype, jnp.floating)))


def _is_complex(leaf: Any) -> bool:
    return isinstance(leaf, complex) or (
        _is_array(leaf) and bool(jnp.issubdtype(leaf.dtype, np.complexfloating))
    )


def _like(old: Any, value: FloatArray) -> Any:
    """`value` as the kind of leaf that stood there; rounded by NumPy, since JAX compiles for each shape."""
    if type(old) is float:
        return float(value)
    with np.errstate(over="ignore"):
        array = value.astype(old.dtype)
    if isinstance(old, np.generic):
        return array[()]
    return array if isinstance(old, np.ndarray) else jax.device_put(array)


def _wanted(trainable: Trainable | None, params: Any, paths: Sequence[str]) -> list[bool]:
    if trainable is None:
        return [True] * len(paths)
    marks = jax.tree.leaves(trainable)
    are_booleans = all(isinstance(mark, bool | np.bool_) for mark in marks)
    if marks and are_booleans:  # asked first, since a module of booleans is callable too
        full = jax.tree.map(lambda mark, part: jax.tree.map(lambda _: bool(mark), part), trainable, params)
        if len(jax.tree.leaves(full)) == len(paths):
            return jax.tree.leaves(full)
    elif callable(trainable):
        return [bool(trainable(path)) for path in paths]
    raise TypeError(
        f"trainable={trainable!r} must be a function of a leaf's path, or booleans in the structure of the "
        "parameters"
    )


def _free(path: str, value: FloatArray, transform: Transform | None) -> FloatArray:
    if not np.isfinite(value).all():
        raise ValueError(f"{path} holds NaN or infinite values: start from finite parameters")
    if transform is None:
        return value
    try:
        return transform.inverse(value)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def _refusal(path: str, leaf: Any) -> str:
    kind = str(leaf.dtype) if _is_array(leaf) else type(leaf).__name__
    return (
        f"the parameter {path or 'params'} is {kind}: parameters must be real and in floating point; write "
        "it as a float, hand it over as data, or leave it out with trainable="
    )
