r"""The multilayer perceptron, exact and structured, in NumPy float64.

Conventions, for this file and all that read parameters:

- Parameters `w` are flat: layer after layer; within a layer one row per unit, its weights and then its
  bias, so that a layer's block is a row-major matrix W of shape (n_out, n_in + 1).
- Inside, arrays are feature-major, (units, n_samples), and each layer's input carries a last row of ones
  for the bias: Z = W [A; 1] is a single matrix product, and a unit's values over the samples are contiguous.
- Residual space is output-major: entry k·N + n is output k of sample n.  With one output that is the
  order of the samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.models.layers import Chain, Input, Layer, Softmax, join


@dataclass(frozen=True)
class ForwardPass:
    """What one pass through a network leaves behind, per weight layer."""

    inputs: tuple[FloatArray, ...]
    """[A; 1] going into each weight layer, (n_in + 1, N)."""
    arguments: tuple[FloatArray, ...]
    """Z = W [A; 1] of each layer, (n_out, N)."""


class MLP:
    """A multilayer perceptron: an immutable list of layers, which holds no weights.

    Parameters
    ----------
    layers : sequence of Layer
        First an `Input`, then at least one more layer.

    Raises
    ------
    TypeError, ValueError
        When the list is empty, does not begin with `Input`, or has `Softmax` or `Input` inside.

    Examples
    --------
    >>> from marquardt import Input, Linear, Tanh
    >>> net = Input(2) >> Tanh(3) >> Linear(1)
    >>> net
    Input(2) >> Tanh(3) >> Linear(1)
    >>> net.n_params
    13
    >>> net.predict(np.zeros(13), [[0.5, 1.0]])
    array([[0.]])
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        layers = tuple(layers)
        _check_layers(layers)
        self.layers: tuple[Layer, ...] = layers
        self.sizes = tuple(layer.units for layer in layers)
        shapes = [(n_out, n_in + 1) for n_in, n_out in pairwise(self.sizes)]
        self.shapes: tuple[tuple[int, int], ...] = tuple(shapes)
        edges = np.cumsum([0] + [rows * columns for rows, columns in shapes]).tolist()
        self.blocks = tuple(slice(a, b) for a, b in pairwise(edges))
        self.n_params = int(edges[-1])

    @property
    def n_inputs(self) -> int:
        """Number of columns of X."""
        return self.sizes[0]

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return self.sizes[-1]

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.layers))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MLP) and self.layers == other.layers

    def __hash__(self) -> int:
        return hash(self.layers)

    def __rshift__(self, other: Layer | Chain | MLP) -> Chain | MLP:
        return join(self.layers, other)

    # -- parameters ------------------------------------------------------------------------------

    def matrices(self, w: FloatArray) -> list[FloatArray]:
        """Views of `w` as the matrices W (n_out, n_in + 1), bias last."""
        return [w[block].reshape(shape) for block, shape in zip(self.blocks, self.shapes, strict=True)]

    def unpack(self, w: ArrayLike) -> list[tuple[FloatArray, FloatArray]]:
        """Weights (n_out, n_in) and bias (n_out,) of each layer, copied out of `w` (n_params,)."""
        matrices = self.matrices(self.check_parameters(w))
        return [(W[:, :-1].copy(), W[:, -1].copy()) for W in matrices]

    def pack(self, layers: Sequence[tuple[ArrayLike, ArrayLike]]) -> FloatArray:
        """The inverse of `unpack`: flat parameters from weights (n_out, n_in) and biases (n_out,)."""
        if len(layers) != len(self.shapes):
            raise ValueError(f"layers: {len(layers)} pairs (weights, bias) given, {len(self.shapes)} needed")
        w = np.empty(self.n_params)
        for W, (weights, bias) in zip(self.matrices(w), layers, strict=True):
            weights, bias = np.asarray(weights, dtype=float), np.asarray(bias, dtype=float)
            if weights.shape != W[:, :-1].shape or bias.shape != W[:, -1].shape:
                raise ValueError(
                    f"layers: weights {weights.shape} and bias {bias.shape} given where "
                    f"{W[:, :-1].shape} and {W[:, -1].shape} are needed (rows are units)"
                )
            W[:, :-1], W[:, -1] = weights, bias
        return w

    def check_parameters(self, w: ArrayLike) -> FloatArray:
        """`w` as float64 (n_params,); ValueError when its length or a value is wrong."""
        w = np.asarray(w, dtype=float)
        if w.shape != (self.n_params,):
            raise ValueError(
                f"w has shape {w.shape}, but {self!r} has parameters of shape ({self.n_params},)"
            )
        if not np.isfinite(w).all():
            raise ValueError("w holds NaN or infinite values: start from finite parameters")
        return w

    # -- passes ----------------------------------------------------------------------------------

    def predict(self, w: ArrayLike, X: ArrayLike) -> FloatArray:
        """Outputs (n_samples, n_outputs) for inputs X (n_samples, n_inputs)."""
        X = np.asarray(X, dtype=float)
        if X.ndim != 2 or X.shape[1] != self.n_inputs:
            raise ValueError(
                f"X has shape {X.shape}, but {self!r} needs (n_samples, {self.n_inputs}): one row a sample"
            )
        w = np.asarray(w, dtype=float)
        if w.shape != (self.n_params,):
            raise ValueError(
                f"w has shape {w.shape}, but {self!r} has parameters of shape ({self.n_params},)"
            )
        z = self.forward(w, augmented(X)).arguments[-1]
        return np.ascontiguousarray(self.layers[-1].activation.value(z, np.empty_like(z)).T)

    def forward(self, w: FloatArray, first: FloatArray) -> ForwardPass:
        """One pass; `first` is [Xᵀ; 1] of shape (n_inputs + 1, N).  Stops at the last argument Z."""
        matrices = self.matrices(w)
        n = first.shape[1]
        inputs, arguments = [first], []
        for W, layer in zip(matrices[:-1], self.layers[1:-1], strict=True):
            z = W @ inputs[-1]
            a = np.empty((layer.units + 1, n))
            layer.activation.value(z, a[:-1])
            a[-1] = 1.0
            arguments.append(z)
            inputs.append(a)
        arguments.append(matrices[-1] @ inputs[-1])
        return ForwardPass(tuple(inputs), tuple(arguments))

    def slopes(self, passed: ForwardPass) -> list[FloatArray]:
        """φ'(Z) of each hidden layer, (n_out, N)."""
        hidden = zip(self.layers[1:-1], passed.arguments[:-1], passed.inputs[1:], strict=True)
        return [layer.activation.slope(z, a[:-1]) for layer, z, a in hidden]

    def directional(
        self,
        w: FloatArray,
        d: FloatArray,
        passed: ForwardPass,
        slopes: Sequence[FloatArray],
        x1: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """First and second derivative of the last argument Z along w + td at t = 0, each (n_outputs, N).

        With V the direction in matrix form:  ż = V[a; 1] + Wȧ,  z̈ = 2Vȧ + Wä  (the bias row of ȧ and ä is
        0), and through φ:  ȧ = φ'ż,  ä = φ''ż² + φ'z̈.  Exact, at the price of about two forward passes.
        `x1` (n_inputs, N) moves the inputs along, x + t·x1.
        """
        W_all, V_all = self.matrices(w), self.matrices(d)
        z1 = V_all[0] @ passed.inputs[0]
        z2: FloatArray | None = None  # the first layer is linear in its parameters
        if x1 is not None:
            z1 += W_all[0][:, :-1] @ x1
            z2 = 2.0 * (V_all[0][:, :-1] @ x1)
        for i, layer in enumerate(self.layers[1:-1]):
            a = passed.inputs[i + 1]
            curvature = layer.activation.curvature(passed.arguments[i], a[:-1], slopes[i])
            a1 = slopes[i] * z1
            curvature *= z1
            curvature *= z1  # φ''ż² first: one buffer serves for ä
            a2 = curvature
            if z2 is not None:
                z2 *= slopes[i]
                a2 += z2
            W, V = W_all[i + 1], V_all[i + 1]
            z1 = V @ a
            z1 += W[:, :-1] @ a1
            z2 = V[:, :-1] @ a1
            z2 *= 2.0
            z2 += W[:, :-1] @ a2
        return z1, np.zeros_like(z1) if z2 is None else z2

    def sensitivities(
        self,
        w: FloatArray,
        seed: FloatArray,
        diagonal: bool,
        slopes: Sequence[FloatArray],
    ) -> list[FloatArray]:
        """∂r_k/∂Z of every hidden layer, (n_outputs, n_out, N) each, first layer first.

        `seed` is ∂r_k/∂Z of the output layer: (K, N) when it is diagonal (residual k sees output k only),
        else (K, K, N), residual first.
        """
        matrices = self.matrices(w)
        result: list[FloatArray] = []
        delta = seed
        for i in range(len(matrices) - 1, 0, -1):
            weights = matrices[i][:, :-1]
            if diagonal and i == len(matrices) - 1:
                back = weights[:, :, None] * delta[:, None, :]  # (K, n_in, N)
            else:
                back = np.matmul(weights.T, delta)  # (K, n_in, N)
            back *= slopes[i - 1]
            result.append(back)
            delta = back
        return result[::-1]


def augmented(X: FloatArray) -> FloatArray:
    """[Xᵀ; 1], (n_inputs + 1, n_samples), contiguous."""
    first = np.empty((X.shape[1] + 1, X.shape[0]))
    first[:-1] = X.T
    first[-1] = 1.0
    return first


def _check_layers(layers: tuple[Layer, ...]) -> None:
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"layers: {layer!r} is not a layer; write e.g. [Input(2), Tanh(5), Linear(1)]")
    if not layers or not isinstance(layers[0], Input):
        raise ValueError(f"layers {list(layers)} must begin with Input(number of columns of X)")
    if len(layers) < 2:
        raise ValueError("layers: an Input alone is no network; add an output layer such as Linear(1)")
    if any(isinstance(layer, Input) for layer in layers[1:]):
        raise ValueError(f"layers {list(layers)} have an Input that is not the first")
    if any(isinstance(layer, Softmax) for layer in layers[1:-1]):
        raise ValueError(f"layers {list(layers)} have a Softmax that is not the last: it is an output layer")
