"""Layers, joined by ``>>`` into a network: ``Input(10) >> Tanh(20) >> Linear(1)``.

A layer is a frozen description (number of units, activation); it holds no weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from marquardt.models import activations as act

if TYPE_CHECKING:
    from marquardt.models.mlp import MLP


@dataclass(frozen=True)
class Layer:
    """One layer of `units` units.  Use its kinds: `Tanh(20)`, `Linear(1)`, ...

    Parameters
    ----------
    units : int
        Number of units, at least 1.

    Raises
    ------
    TypeError, ValueError
        When `units` is not a whole number of at least 1.
    """

    units: int
    activation: ClassVar[act.Activation] = act.Identity()

    def __post_init__(self) -> None:
        if isinstance(self.units, bool) or not hasattr(self.units, "__index__"):
            raise TypeError(f"{type(self).__name__}(units={self.units!r}): units must be an integer")
        if int(self.units) < 1:
            raise ValueError(f"{type(self).__name__}(units={self.units!r}): units must be at least 1")
        object.__setattr__(self, "units", int(self.units))

    def __rshift__(self, other: Layer | Chain | MLP) -> Chain | MLP:
        return join([self], other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.units})"


class Input(Layer):
    """The inputs of a network; `units` is the number of columns of X."""


class Linear(Layer):
    """φ(z) = z; the usual output layer of a regression."""


class Tanh(Layer):
    """φ(z) = tanh z; the best default hidden layer for smooth functions."""

    activation = act.TanhActivation()


class Logistic(Layer):
    """φ(z) = 1 / (1 + e⁻ᶻ)."""

    activation = act.LogisticActivation()


class Sigmoid(Layer):
    """Another name of `Logistic`, NeuPy's."""

    activation = act.LogisticActivation()


class Relu(Layer):
    """φ(z) = max(z, 0).  Its second derivative is zero nearly everywhere: prefer a smooth one for LM."""

    activation = act.ReluActivation()


class Elu(Layer):
    """φ(z) = z for z > 0, else eᶻ − 1."""

    activation = act.EluActivation()


class Softplus(Layer):
    """φ(z) = log(1 + eᶻ), a smooth ReLU."""

    activation = act.SoftplusActivation()


class Sine(Layer):
    """φ(z) = sin z, for oscillating functions."""

    activation = act.SineActivation()


class Gelu(Layer):
    """φ(z) = zΦ(z), Φ the normal distribution function."""

    activation = act.GeluActivation()


class Swish(Layer):
    """φ(z) = z / (1 + e⁻ᶻ), also called SiLU."""

    activation = act.SwishActivation()


class Softmax(Layer):
    """Shares that add to 1; an output layer only."""

    activation = act.SoftmaxActivation()


LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (Input, Linear, Tanh, Logistic, Sigmoid, Relu, Elu, Softplus, Sine, Gelu, Swish, Softmax)
}
"""Every kind of layer by its name, for the estimator, the command and the file format."""


class Chain:
    """Layers that are not yet a network, because the first is not an `Input`."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = tuple(layers)

    def __rshift__(self, other: Layer | Chain | MLP) -> Chain | MLP:
        return join(self.layers, other)

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.layers))


def join(left: Iterable[Layer], right: Layer | Chain | MLP) -> Chain | MLP:
    """The layers of both sides in order: a network when they start with `Input`, else a `Chain`."""
    from marquardt.models.mlp import MLP  # here, because a network is made of layers

    if not isinstance(right, Layer | Chain | MLP):
        raise TypeError(f"cannot join a layer with {right!r}: write e.g. Input(2) >> Tanh(5) >> Linear(1)")
    layers = [*left, *((right,) if isinstance(right, Layer) else right.layers)]
    return MLP(layers) if isinstance(layers[0], Input) else Chain(layers)
