"""A model of another library that is in truth a multilayer perceptron, trained by the network in NumPy.

The network takes the same steps in less time, since its Jacobian is never formed.  The parameters are
the same numbers in another order; a run is in the order of the network, and is translated at its two ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from marquardt._memory import available_bytes
from marquardt._types import FloatArray, IntArray
from marquardt.lm import minimize
from marquardt.losses import LossOf, cross_entropy, squared_error
from marquardt.models.activations import SoftmaxActivation
from marquardt.models.layers import LAYERS, Input, Layer, Linear, Logistic, Softmax
from marquardt.models.mlp import MLP, augmented
from marquardt.problem import Linearization, NetworkProblem
from marquardt.reordered_jacobian import ReorderedJacobian
from marquardt.result import Result

_ROUNDING = 1e-11
"""Most of their size that outputs and their derivatives may differ by in two libraries."""
_SMALL = 100e6
"""Bytes below which nobody asks the system how much is free."""
_FREE_SHARE = 0.5
"""Share of the free memory that the activations may take; a model that runs in chunks needs less."""
_FAR = np.array([20.5, 37.0, 100.0, 1000.0])
_ARGUMENTS = np.r_[-_FAR, np.linspace(-9.7, 9.3, 39), np.linspace(-0.63, 0.71, 12), _FAR]
"""Where activation functions are told apart: within, where they saturate, and where they overflow.  PyTorch's
softplus is a straight line beyond 20."""


@dataclass(frozen=True, eq=False)
class DenseModel:
    """A network, and where its parameters stand in the model's: ``w_network = w[order]``."""

    network: MLP
    order: IntArray
    """A bijection (p,)."""
    features: Callable[[FloatArray], FloatArray] | None = None
    """What is made of each entry of X (N, d) before the first layer, such as its scaling."""

    def inputs(self, X: FloatArray) -> FloatArray:
        """Of the network (N, d)."""
        if self.features is None:
            return X
        with np.errstate(all="ignore"):
            return np.asarray(self.features(X), dtype=float)

    def outputs_along(self, w: FloatArray, d: FloatArray, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Outputs at w and their derivative along d, (K, N) each; w and d in the order of the model."""
        network, own = self.network, w[self.order]
        passed = network.forward(own, augmented(self.inputs(X)))
        z1, _ = network.directional(own, d[self.order], passed, network.slopes(passed))
        z, last = passed.arguments[-1], network.layers[-1].activation
        a = last.value(z, np.empty_like(z))
        if isinstance(last, SoftmaxActivation):
            return a, a * (z1 - (a * z1).sum(axis=0))
        return a, last.slope(z, a) * z1

    def pulled(self, w: FloatArray, u: FloatArray, X: FloatArray) -> FloatArray:
        """(∂outputs/∂w)ᵀ u (p,) at w, for u (K, N)."""
        own = NetworkProblem(self.network, self.inputs(X), np.zeros_like(u.T)).linearize(w[self.order])
        return own.jacobian.rmv(u.ravel())[np.argsort(self.order)]

    def problem(
        self,
        X: FloatArray,
        y: FloatArray,
        sample_weight: FloatArray | None,
        prior: FloatArray | None,
        loss: LossOf,
    ) -> DenseProblem | None:
        """The training on data, S₀ (p,) in the order of the model; None where the network would not do.

        The cross-entropy of a model is that of logits, so that here the outputs get a layer of their own.
        """
        network, K, X = self.network, self.network.n_outputs, self.inputs(X)
        if not np.isfinite(X).all():
            return None  # the model says for which samples
        if not isinstance(network.layers[-1], Linear) and loss is not squared_error:
            return None  # other losses are of a linear output
        need = _bytes(network, len(X), loss is cross_entropy or isinstance(network.layers[-1], Softmax))
        if need > _SMALL and need > _free_bytes():
            return None
        if loss is cross_entropy:
            network = MLP([*network.layers[:-1], Softmax(K) if K > 1 else Logistic(1)])
        own = None if prior is None else prior[self.order]
        inner = NetworkProblem(network, X, y, sample_weight=sample_weight, prior=own, loss=loss)
        return DenseProblem(self, X, inner)


class DenseProblem:
    """The training of a `DenseModel` on data; parameters are in the order of the model, outputs (K, N).

    Parameters
    ----------
    model : DenseModel
    X : array (n_samples, n_inputs)
        Of the network.
    inner : NetworkProblem
        In the order of the network.
    """

    def __init__(self, model: DenseModel, X: FloatArray, inner: NetworkProblem) -> None:
        self.model, self.inner = model, inner
        self.n_params, self.n_residuals = inner.n_params, inner.targets.size
        self._X = X
        self._latest: tuple[FloatArray, FloatArray] | None = None

    @property
    def output_layer(self) -> IntArray:
        """Entries of w that the outputs depend on in a straight line; none where the output is bent."""
        network, order = self.model.network, self.model.order
        return order[network.blocks[-1]] if isinstance(network.layers[-1], Linear) else order[:0]

    def outputs(self, w: FloatArray) -> FloatArray:
        """What the model returns at w (K, N)."""
        return self.model.network.predict(w[self.model.order], self._X).T

    def cost(self, w: FloatArray) -> float:
        return self.inner.cost(self._translated(w))

    def gradient(self, w: FloatArray) -> FloatArray:
        """∇C (p,)."""
        return self.inner.linearize(self._translated(w)).gradient[self._places]

    def minimize(self, w0: FloatArray, **options: Any) -> Result:
        """`marquardt.minimize` from w0, with a result in the order of the model.

        A bent output is not solved again, as it is not for other models.
        """
        if not len(self.output_layer):
            options["resolve_output"] = False
        validation: Callable[[FloatArray], float] | None = options.get("validation")
        if validation is not None:
            options["validation"] = lambda w: validation(_fixed(w[self._places]))
        result = minimize(self.inner, w0[self.model.order], **options)
        at = result.linearization
        return replace(
            result,
            w=_fixed(result.w[self._places]),
            w_last=_fixed(result.w_last[self._places]),
            linearization=None if at is None else self._restored(at),
        )

    # -- within --------------------------------------------------------------------------------

    @cached_property
    def _places(self) -> IntArray:
        """Where the model's parameters stand in the network's."""
        return np.argsort(self.model.order)

    def _translated(self, w: FloatArray) -> FloatArray:
        """w of the network, the same array for the same w, which the problem knows again."""
        if self._latest is None or self._latest[0] is not w:
            own = _fixed(w[self.model.order])
            if w.flags.writeable:  # its owner may still change it
                return own
            self._latest = (w, own)
        return self._latest[1]

    def _restored(self, at: Linearization) -> Linearization:
        return Linearization(
            _fixed(at.w[self._places]),
            at.cost,
            at.residual,
            ReorderedJacobian(at.jacobian, self.model.order),
            None if at.offset is None else at.offset[self._places],
            at.gradient[self._places],
        )


def agree(ours: FloatArray, theirs: FloatArray) -> bool:
    """Whether numbers that two libraries computed are finite and the same, but for rounding.

    Examples
    --------
    >>> agree(np.array([1.0, 0.0]), np.array([1.0, 1e-12]))
    True
    >>> agree(np.array([1.0, 0.0]), np.array([1.0, 1e-9]))
    False
    """
    if ours.shape != theirs.shape or not np.isfinite(theirs).all():
        return False
    return bool(np.abs(ours - theirs).max(initial=0.0) <= _ROUNDING * np.abs(theirs).max(initial=0.0))


def layer_of(function: Callable[[FloatArray], FloatArray]) -> type[Layer] | None:
    """The kind of layer whose activation has the values of an elementwise function; None for another one.

    Examples
    --------
    >>> layer_of(lambda z: np.where(z > 0, z, np.expm1(z)))
    <class 'marquardt.models.layers.Elu'>
    >>> layer_of(lambda z: 1.7159 * np.tanh(z / 1.5)) is None
    True
    """
    with np.errstate(all="ignore"):
        values = np.asarray(function(_ARGUMENTS), dtype=float)
    for kind in LAYERS.values():
        if kind in (Input, Softmax):
            continue
        own = kind.activation.value(_ARGUMENTS, np.empty_like(_ARGUMENTS))
        if np.allclose(own, values, rtol=1e-12, atol=1e-13):
            return kind
    return None


def _fixed(w: FloatArray) -> FloatArray:
    """A new array that says of itself that it does not change."""
    w.flags.writeable = False
    return w


def _bytes(network: MLP, n_samples: int, coupled: bool) -> float:
    """About what activations and sensitivities take, by the counts of `estimators.training_memory`."""
    K, hidden = network.n_outputs, sum(network.sizes[1:-1])
    numbers = (12 + 2 * K) * hidden + 6 * K + 4 * network.n_inputs + (3.5 * K**2 if coupled else 0.0)
    return 8.0 * n_samples * numbers


def _free_bytes() -> float:
    free = available_bytes()
    return np.inf if free is None else _FREE_SHARE * free
