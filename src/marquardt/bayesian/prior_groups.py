"""Groups of parameters that share one prior precision: all, one per layer, or one per input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.models.mlp import MLP


@dataclass(frozen=True)
class PriorGroups:
    """A partition of the parameters of a network.

    Parameters
    ----------
    index : array of int (n_params,)
        The group of each parameter.
    names : tuple of str (G,)
    inputs : tuple of int
        The groups of the weights of input 0, 1, ...; empty unless every input has its own.

    Examples
    --------
    >>> from marquardt import Input, Linear, Tanh
    >>> groups = input_groups(Input(2) >> Tanh(3) >> Linear(1))
    >>> groups.names
    ('input 1', 'input 2', 'biases 1', 'weights 2', 'biases 2')
    >>> groups.counts
    array([3., 3., 3., 3., 1.])
    """

    index: np.ndarray
    names: tuple[str, ...]
    inputs: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def counts(self) -> FloatArray:
        """n_g (G,), parameters in each group."""
        return self.sums(np.ones(len(self.index)))

    def sums(self, values: FloatArray) -> FloatArray:
        """Σ over each group of `values` (n_params,): (G,)."""
        return np.bincount(self.index, values, minlength=len(self)).astype(float, copy=False)

    def spread(self, values: FloatArray) -> FloatArray:
        """`values` (G,) for each parameter: (n_params,)."""
        return values[self.index]


Grouping = Callable[[MLP], PriorGroups]
"""How the parameters of a network are grouped: `one_group`, `layer_groups`, `input_groups`, or your own."""


def one_group(network: MLP) -> PriorGroups:
    """One precision for all weights and biases, as MATLAB's `trainbr` has it."""
    return PriorGroups(np.zeros(network.n_params, dtype=int), ("all",))


def layer_groups(network: MLP) -> PriorGroups:
    """One precision for the weights of each layer, and one for its biases."""
    return _grouped(network, [])


def input_groups(network: MLP) -> PriorGroups:
    """Automatic relevance determination: one precision for the first-layer weights of each input, then one
    for each vector of biases and for the weights of each later layer.

    References
    ----------
    R. M. Neal, "Bayesian learning for neural networks", Springer 1996, section 1.2.
    """
    return _grouped(network, [f"input {j + 1}" for j in range(network.n_inputs)])


GROUPINGS: dict[str, Grouping] = {"input": input_groups, "layer": layer_groups, "one": one_group}
"""By the names that the faces use."""


def _grouped(network: MLP, inputs: Sequence[str]) -> PriorGroups:
    index, names = np.empty(network.n_params, dtype=int), list(inputs)
    for number, (block, shape) in enumerate(zip(network.blocks, network.shapes, strict=True), start=1):
        own = index[block].reshape(shape)
        if number == 1 and inputs:
            own[:, :-1] = np.arange(len(inputs))
        else:
            own[:, :-1] = len(names)
            names.append(f"weights {number}")
        own[:, -1] = len(names)
        names.append(f"biases {number}")
    return PriorGroups(index, tuple(names), tuple(range(len(inputs))))
