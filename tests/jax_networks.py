"""Networks in JAX with the weights of their NumPy twins."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from marquardt.jax_models.model_kinds import take_apart
from marquardt.jax_models.parameter_tree import ParameterTree
from marquardt.jax_models.problem_from_samples import Samples, problem_from_samples
from marquardt.jax_models.sample_problem import SampleProblem
from marquardt.losses import squared_error

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Tanh": jnp.tanh,
    "Logistic": jax.nn.sigmoid,
    "Swish": jax.nn.swish,
    "Sine": jnp.sin,
    "Linear": lambda z: z,
}


@cache
def layered(network) -> Callable[[Any, Any], Any]:
    """f(params, X) for params [W, b] of each layer as one matrix (n_out, n_in + 1), as `MLP.matrices`.

    Of the output layer it gives the argument: the targets of squared error, or the logits.  One function for
    equal networks, so that they share what is compiled.
    """
    kinds = [FUNCTIONS[type(layer).__name__] for layer in network.layers[1:-1]] + [FUNCTIONS["Linear"]]

    def function(params, X):
        a = X
        for W, kind in zip(params, kinds, strict=True):
            a = kind(a @ W[:, :-1].T + W[:, -1])
        return a

    return function


def twin(network, w, X, y, sample_weight=None, prior=None, loss=squared_error) -> SampleProblem:
    """The `SampleProblem` that equals `NetworkProblem(network, X, y, ...)`, w in the same order."""
    parts = take_apart((layered(network), [np.array(W) for W in network.matrices(w)]), None)
    tree = ParameterTree(parts.params)
    return problem_from_samples(parts, tree, Samples.of(X), y, sample_weight, prior, loss)[0]


X = np.linspace(-1, 1, 40)[:, None]
Y = np.sin(3 * X)


def network(params, X):
    """One hidden layer, for a sine."""
    hidden = jnp.tanh(X @ params["W"] + params["b"])
    return hidden @ params["v"]


def start(dtype=np.float32, seed=0):
    """Parameters for `network`."""
    rng = np.random.default_rng(seed)
    sizes = {"W": (1, 6), "b": (6,), "v": (6, 1)}
    return {name: jnp.asarray(rng.normal(size=size).astype(dtype)) for name, size in sizes.items()}
