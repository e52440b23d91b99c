"""The dense twin of a network: plain loops over samples, layers and units, for real or complex parameters.

Written from the documented layout of the parameters only: layer after layer, within a layer one row per
unit, its weights and then its bias.
"""

import numpy as np
from scipy.special import erf

FORMULAS = {
    "Linear": lambda z: z,
    "Tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "Logistic": lambda z: 1 / (1 + np.exp(-z)),
    "Sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "Relu": lambda z: z * (np.real(z) > 0),
    "Elu": lambda z: np.where(np.real(z) > 0, z, np.exp(z) - 1),
    "Softplus": lambda z: np.log(1 + np.exp(z)),
    "Sine": np.sin,
    "Gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "Swish": lambda z: z / (1 + np.exp(-z)),
    "Softmax": lambda z: np.exp(z) / np.exp(z).sum(),
}
"""φ of every kind of layer for a vector of units, analytic wherever the function is."""


def outputs(network, w, X):
    """f(x_n; w), (n_samples, n_outputs)."""
    rows = []
    for x in np.asarray(X, dtype=float):
        a, at = x, 0
        for layer in network.layers[1:]:
            z = []
            for _ in range(layer.units):
                weights, bias = w[at : at + len(a)], w[at + len(a)]
                z.append(bias + sum(weight * value for weight, value in zip(weights, a, strict=True)))
                at += len(a) + 1
            a = FORMULAS[type(layer).__name__](np.array(z))
        rows.append(a)
    assert at == len(w)
    return np.array(rows)


def residual(network, w, X, y, sample_weight=None):
    """√s (f − y), output-major: entry k·N + n is output k of sample n."""
    y = np.asarray(y, dtype=float).reshape(len(X), -1)
    r = outputs(network, w, X) - y
    if sample_weight is not None:
        r = r * np.sqrt(sample_weight)[:, None]
    return r.T.ravel()
