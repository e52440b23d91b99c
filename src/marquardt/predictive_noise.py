"""The noise in predictions at new rows, where it is not the one variance of the posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float
from marquardt._types import FloatArray
from marquardt.bayesian.noise_network import NoiseNetwork, corrected_squares, fit_noise_network
from marquardt.bayesian.posterior import Posterior
from marquardt.models.layers import Input, Linear, Tanh
from marquardt.models.mlp import MLP


class PredictiveNoise(Protocol):
    """The contract of a noise."""

    def variance(self, X: ArrayLike, mean: FloatArray) -> FloatArray:
        """(n_samples, n_outputs) at the rows of X, where the predictions are `mean`."""
        ...

    def arrays(self) -> dict[str, FloatArray]:
        """Its numbers by name, for a file."""
        ...


@dataclass(frozen=True)
class UnknownNoise:
    """That of new rows is not known, as after a fit to rows of known noise: predictions leave it out.

    Examples
    --------
    >>> UnknownNoise().variance([[1.0]], np.array([[2.0]]))
    array([[0.]])
    """

    def variance(self, X: ArrayLike, mean: FloatArray) -> FloatArray:
        del X
        return np.zeros_like(mean)

    def arrays(self) -> dict[str, FloatArray]:
        return {"noise.unknown": np.zeros(1)}


@dataclass(frozen=True)
class VaryingNoise:
    """A network for the logarithm of the variance of each output, of the inputs and the predictions."""

    networks: tuple[NoiseNetwork, ...]

    @classmethod
    def of(
        cls, posteriors: Sequence[Posterior], X: FloatArray, y: FloatArray, weights: FloatArray
    ) -> VaryingNoise:
        """From the errors of fits at their own rows, averaged over the fits.

        Parameters
        ----------
        posteriors : sequence of Posterior
            Of networks that predict together.
        X, y, weights : arrays (n_samples, n_inputs), (n_samples, n_outputs), (n_samples, n_outputs)
            Entries of weight 0 are left out.

        Raises
        ------
        ValueError
            When an output is fitted without any error.
        """
        means = [at.network.predict(at.w, X) for at in posteriors]
        own = [at.predictive_variance(X) for at in posteriors]
        mean = np.mean(means, axis=0)
        networks = []
        for k in range(y.shape[1]):
            rows = weights[:, k] > 0
            squares = [
                corrected_squares((m - y)[rows, k], v[rows, k], at.noise_variance)
                for m, v, at in zip(means, own, posteriors, strict=True)
            ]
            inputs = np.column_stack([X, mean[:, k]])[rows]
            weight = weights[rows, k]
            networks.append(fit_noise_network(inputs, np.mean(squares, axis=0), sample_weight=weight))
        return cls(tuple(networks))

    def variance(self, X: ArrayLike, mean: FloatArray) -> FloatArray:
        X = as_float("X", X)
        columns = [
            network.variance(np.column_stack([X, values]))
            for network, values in zip(self.networks, mean.T, strict=True)
        ]
        return np.column_stack(columns)

    def arrays(self) -> dict[str, FloatArray]:
        scales = np.array([network.scale for network in self.networks])
        return {"noise.scale": scales, "noise.w": np.array([network.w for network in self.networks])}


def noise_from_arrays(
    arrays: Mapping[str, FloatArray], n_inputs: int, n_outputs: int
) -> PredictiveNoise | None:
    """The inverse of `arrays`; None where there is none.  ValueError when the data are not theirs."""
    if "noise.unknown" in arrays:
        return UnknownNoise()
    if "noise.w" not in arrays:
        return None
    w, scale = arrays["noise.w"], arrays["noise.scale"]
    n_hidden, rest = divmod(w.shape[-1] - 1, n_inputs + 3)  # h (d + 2) + h + 1 parameters of d + 1 inputs
    if w.ndim != 2 or w.shape[0] != n_outputs or scale.shape != (n_outputs,) or rest or n_hidden < 1:
        raise ValueError(f"the noise has arrays of shapes {w.shape} and {scale.shape}")
    if not (np.isfinite(w).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("the noise holds NaN, infinite values or a scale that is not positive")
    network = MLP([Input(n_inputs + 1), Tanh(n_hidden), Linear(1)])
    return VaryingNoise(tuple(NoiseNetwork(float(s), network, own) for s, own in zip(scale, w, strict=True)))
