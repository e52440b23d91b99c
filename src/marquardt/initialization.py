"""Where training starts: laws from which the parameters of a network are drawn.

Each law is a frozen record with one method, ``draw(network, rng, X=None) -> w``.  X are the inputs as the
network sees them (standardized, in the estimator); the laws that look at data say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite
from marquardt._types import FloatArray
from marquardt.models.layers import Elu, Gelu, Linear, Logistic, Relu, Sigmoid, Softplus, Swish
from marquardt.models.mlp import MLP, augmented

_RECTIFYING = (Relu, Elu, Softplus, Gelu, Swish)
_UNFIT_FOR_TILING = (Relu, Linear)


class Initialization(Protocol):
    """The contract of a law."""

    def draw(self, network: MLP, rng: np.random.Generator, X: ArrayLike | None = None) -> FloatArray:
        """Parameters w (n_params,) for `network`.

        Parameters
        ----------
        network : MLP
        rng : numpy.random.Generator
        X : array (n_samples, n_inputs), optional
            The inputs as the network sees them.
        """
        ...


@dataclass(frozen=True)
class Uniform:
    """Weights and biases uniform in (−limit, limit).

    Parameters
    ----------
    limit : float

    Examples
    --------
    >>> from marquardt import Input, Linear, Tanh
    >>> w = Uniform(0.1).draw(Input(2) >> Tanh(3) >> Linear(1), np.random.default_rng(0))
    >>> w.shape, bool(abs(w).max() < 0.1)
    ((13,), True)
    """

    limit: float = 0.1

    def __post_init__(self) -> None:
        if not (np.isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"limit={self.limit!r} must be a positive finite number")

    def draw(self, network: MLP, rng: np.random.Generator, X: ArrayLike | None = None) -> FloatArray:
        del X
        return rng.uniform(-self.limit, self.limit, network.n_params)


@dataclass(frozen=True)
class Glorot:
    """Weights uniform in ±√(6 / (n_in + n_out)), so that variances stay alike forward and backward.

    Parameters
    ----------
    bias : float
        Biases are uniform in ±bias / √n_in.  The paper has 0; small random biases spread the units over the
        inputs, and the measurements of the default step were made with them.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, eq. (16).

    Examples
    --------
    >>> from marquardt import Input, Linear, Tanh
    >>> net = Input(2) >> Tanh(4) >> Linear(1)
    >>> (W, b), _ = net.unpack(Glorot(bias=0.0).draw(net, np.random.default_rng(0)))
    >>> bool(abs(W).max() < 1.0), bool(b.any())
    (True, False)
    """

    bias: float = 1.0

    def draw(self, network: MLP, rng: np.random.Generator, X: ArrayLike | None = None) -> FloatArray:
        del X
        w = np.empty(network.n_params)
        for W in network.matrices(w):
            n_out, n_in = W.shape[0], W.shape[1] - 1
            limit = np.sqrt(6.0 / (n_in + n_out))
            W[:, :-1] = rng.uniform(-limit, limit, (n_out, n_in))
            W[:, -1] = _random_biases(rng, self.bias, n_out, n_in)
        return w


@dataclass(frozen=True)
class He:
    """Weights normal with variance 2 / n_in, so that rectifying units keep the variance of their inputs; the
    output layer, which rectifies nothing, has variance 1 / n_in.

    Parameters
    ----------
    bias : float
        Biases are uniform in ±bias / √n_in.  The paper has 0, which puts the kink of every unit through the
        origin.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852, eq. (10).

    Examples
    --------
    >>> from marquardt import Input, Linear, Relu
    >>> net = Input(50) >> Relu(400) >> Linear(1)
    >>> (W, b), _ = net.unpack(He().draw(net, np.random.default_rng(0)))
    >>> round(float(W.var() * 50), 1)
    2.0
    """

    bias: float = 1.0

    def draw(self, network: MLP, rng: np.random.Generator, X: ArrayLike | None = None) -> FloatArray:
        del X
        w = np.empty(network.n_params)
        matrices = network.matrices(w)
        for i, W in enumerate(matrices):
            n_out, n_in = W.shape[0], W.shape[1] - 1
            gain = 2.0 if i < len(matrices) - 1 else 1.0
            W[:, :-1] = rng.normal(0.0, np.sqrt(gain / n_in), (n_out, n_in))
            W[:, -1] = _random_biases(rng, self.bias, n_out, n_in)
        return w


@dataclass(frozen=True)
class NguyenWidrow:
    """Hidden units that share the range of their inputs among them; best when inputs are few.

    A hidden layer of h units with n inputs in [−1, 1] gets weight rows of random direction and length
    β = 0.7 h^(1/n), and biases spread evenly over [−β, β], with the sign of the row's first weight: the
    active zones of the units tile the cube.  With X the first layer is rescaled from [−1, 1] to the range of
    each input.
    Logistic units see twice the argument, which makes them the same functions as tanh units.
    The output layer is uniform in ±1/√n_in.

    References
    ----------
    D. Nguyen, B. Widrow, "Improving the learning speed of 2-layer neural networks by choosing initial values
    of the adaptive weights", IJCNN 1990, vol. 3, pp. 21-26.  Even biases instead of random ones are those of
    MATLAB's `initnw`.

    Examples
    --------
    >>> from marquardt import Input, Linear, Tanh
    >>> net = Input(2) >> Tanh(9) >> Linear(1)
    >>> (W, b), _ = net.unpack(NguyenWidrow().draw(net, np.random.default_rng(0)))
    >>> np.linalg.norm(W, axis=1).round(3)
    array([2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1])
    """

    def draw(self, network: MLP, rng: np.random.Generator, X: ArrayLike | None = None) -> FloatArray:
        w = np.empty(network.n_params)
        matrices = network.matrices(w)
        for layer, W in zip(network.layers[1:-1], matrices[:-1], strict=True):
            n_out, n_in = W.shape[0], W.shape[1] - 1
            direction = rng.uniform(-1.0, 1.0, (n_out, n_in))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            beta = 0.7 * n_out ** (1.0 / n_in)
            if isinstance(layer, Logistic | Sigmoid):
                beta *= 2.0
            spread = np.linspace(-1.0, 1.0, n_out) if n_out > 1 else np.zeros(1)
            W[:, :-1] = beta * direction
            W[:, -1] = beta * spread * np.sign(direction[:, 0])
        if X is not None and len(matrices) > 1:
            _map_inputs(matrices[0], _checked(network, X))
        last = matrices[-1]
        last[:] = rng.uniform(-1.0, 1.0, last.shape) / np.sqrt(last.shape[1] - 1)
        return w


@dataclass(frozen=True)
class LSUV:
    """Layer-sequential unit variance: orthonormal weights, each layer scaled on data until its arguments
    have variance 1.  Looks at X; biases are 0, so one scaling a layer is exact.

    References
    ----------
    D. Mishkin, J. Matas, "All you need is a good init", ICLR 2016, arXiv:1511.06422, algorithm 1.

    Examples
    --------
    >>> from marquardt import Input, Linear, Tanh
    >>> net, rng = Input(3) >> Tanh(8) >> Linear(1), np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 3))
    >>> w = LSUV().draw(net, rng, X)
    >>> round(float(net.predict(w, X).var()), 6)
    1.0
    """

    def draw(self, network: MLP, rng: np.random.Generator, X: ArrayLike | None = None) -> FloatArray:
        if X is None:
            raise ValueError("LSUV needs the inputs: draw(network, rng, X)")
        w = np.zeros(network.n_params)
        a = augmented(_checked(network, X))
        for layer, W in zip(network.layers[1:], network.matrices(w), strict=True):
            W[:, :-1] = _orthonormal(rng, W.shape[0], W.shape[1] - 1)
            z = W @ a
            sd = float(z.std())
            if sd > 0:  # data without any variance say nothing about scale
                W[:, :-1] /= sd
                z /= sd
            a = np.ones((layer.units + 1, z.shape[1]))
            layer.activation.value(z, a[:-1])
        return w


def default_initialization(network: MLP) -> Initialization:
    """The law for a network, by measurement.

    - Fewer than four inputs into smooth units: `NguyenWidrow`.  Glorot's law takes two to three times the
      iterations on a two-dimensional function, with tanh, logistic, elu, softplus, gelu, swish and sine.
    - Else, a rectifying first hidden layer (relu, elu, softplus, gelu, swish): `He`.
    - Else `Glorot`, with small random biases.

    Examples
    --------
    >>> from marquardt import Input, Linear, Relu, Tanh
    >>> default_initialization(Input(1) >> Tanh(10) >> Linear(1))
    NguyenWidrow()
    >>> default_initialization(Input(10) >> Tanh(10) >> Linear(1))
    Glorot(bias=1.0)
    """
    first = network.layers[1] if len(network.layers) > 2 else None
    if first is not None and network.n_inputs < 4 and not isinstance(first, _UNFIT_FOR_TILING):
        return NguyenWidrow()
    return He() if isinstance(first, _RECTIFYING) else Glorot()


INITIALIZATIONS: dict[str, type[NguyenWidrow | Glorot | He | LSUV | Uniform]] = {
    "nguyen-widrow": NguyenWidrow,
    "glorot": Glorot,
    "he": He,
    "lsuv": LSUV,
    "uniform": Uniform,
}
"""Every law by its name, for the estimator and the command."""


def _random_biases(rng: np.random.Generator, bias: float, n_out: int, n_in: int) -> FloatArray:
    return bias * rng.uniform(-1.0, 1.0, n_out) / np.sqrt(n_in)


def _checked(network: MLP, X: ArrayLike) -> FloatArray:
    X = as_float("X", X)
    if X.ndim != 2 or X.shape[1] != network.n_inputs or len(X) == 0:
        raise ValueError(f"X has shape {X.shape}, but {network!r} needs (n_samples, {network.n_inputs})")
    check_finite("X", X)
    return X


def _map_inputs(W: FloatArray, X: FloatArray) -> None:
    """Rewrite W (n_out, n_in + 1), made for inputs in [−1, 1], for the range of X; in place.

    A constant input keeps its weight and is centered.
    """
    low, high = X.min(axis=0), X.max(axis=0)
    half = 0.5 * (high - low)
    half[half == 0] = 1.0
    W[:, :-1] /= half
    W[:, -1] -= W[:, :-1] @ (0.5 * (low + high))


def _orthonormal(rng: np.random.Generator, n_out: int, n_in: int) -> FloatArray:
    """(n_out, n_in) with orthonormal rows or columns, whichever are fewer, uniformly distributed."""
    gaussian = rng.normal(size=(max(n_out, n_in), min(n_out, n_in)))
    q, r = np.linalg.qr(gaussian)
    q *= np.sign(np.diag(r))  # without it QR's choice of signs would bias the draw
    return q if n_out >= n_in else q.T
