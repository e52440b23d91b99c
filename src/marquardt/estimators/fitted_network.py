"""Trained networks with the scaling around them: numbers in, numbers out, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.posterior import Posterior
from marquardt.committee import Committee, Member, Moments
from marquardt.estimators.scaling import Scaler
from marquardt.models.layers import LAYERS
from marquardt.models.mlp import MLP
from marquardt.predictive_noise import noise_from_arrays


@dataclass(frozen=True)
class FittedNetwork:
    """A committee, of one network or more, that sees (x − offset) / scale and answers (y − offset) / scale.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> one = Scaler.identity(1)
    >>> double = FittedNetwork(Committee.of(Input(1) >> Linear(1), [np.array([2.0, 0.0])]), one, one)
    >>> double.predict([[3.0]])
    array([[6.]])
    """

    committee: Committee
    x: Scaler
    y: Scaler

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the network: they may come from a file."""
        net = self.network
        wanted = {
            "x_offset": (self.x.offset, net.n_inputs),
            "x_scale": (self.x.scale, net.n_inputs),
            "y_offset": (self.y.offset, net.n_outputs),
            "y_scale": (self.y.scale, net.n_outputs),
        }
        for k, member in enumerate(self.committee.members):
            wanted["w" if k == 0 else f"w of member {k}"] = (member.w, net.n_params)
        for name, (values, length) in wanted.items():
            if values.shape != (length,) or values.dtype != np.float64:
                found = f"{values.dtype} of shape {values.shape}"
                raise ValueError(f"{name} is {found}, but {net!r} needs float64 of shape ({length},)")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds NaN or infinite values")
        if (self.x.scale == 0).any() or (self.y.scale == 0).any():
            raise ValueError("a scale is 0")

    @property
    def network(self) -> MLP:
        return self.committee.network

    @property
    def w(self) -> FloatArray:
        """Parameters of the best member (n_params,)."""
        return self.committee.members[0].w

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predictions (n_samples, n_outputs) for inputs X (n_samples, n_inputs), both in their own units."""
        return self.y.inverse(self.committee.predict(self._scaled(X)))

    @property
    def has_error_bars(self) -> bool:
        """Whether `moments` can be asked for."""
        return self.committee.has_posterior

    def moments(self, X: ArrayLike) -> Moments:
        """Mean and variances at X (n_samples, n_inputs), in the units of y and their squares."""
        scaled, squares = self.committee.moments(self._scaled(X)), self.y.scale**2
        return Moments(
            self.y.inverse(scaled.mean), *(v * squares for v in (scaled.noise, scaled.model, scaled.spread))
        )

    def draw_functions(self, X: ArrayLike, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Functions drawn from the posterior at X, (n_draws, n_samples, n_outputs), in the units of y."""
        drawn = self.committee.draw_functions(self._scaled(X), n_draws, rng)
        return drawn * self.y.scale + self.y.offset

    def layer_names(self) -> list[list[Any]]:
        """The layers as JSON data: `[["Input", 8], ["Tanh", 20], ["Linear", 1]]`."""
        return [[type(layer).__name__, layer.units] for layer in self.network.layers]

    def describe(self) -> str:
        """The layers in words: `8 inputs, 20 tanh, 1 linear`."""
        first, *rest = self.network.layers
        layers = [f"{layer.units} {type(layer).__name__.lower()}" for layer in rest]
        count = [] if len(self.committee) == 1 else [f"mean of {len(self.committee)} networks"]
        return ", ".join([f"{first.units} inputs", *layers, *count])

    def arrays(self) -> dict[str, FloatArray]:
        """The numbers by name, for a file."""
        best, *others = self.committee.members
        arrays = {"w": best.w, "x_offset": self.x.offset, "x_scale": self.x.scale,
                  "y_offset": self.y.offset, "y_scale": self.y.scale}  # fmt: skip
        if others:
            arrays["members"] = np.array([member.w for member in others])
        for k, member in enumerate(self.committee.members):
            if member.posterior is not None:
                arrays |= {
                    f"posterior.{k}.{name}": values for name, values in member.posterior.arrays().items()
                }
        return arrays if self.committee.noise is None else arrays | self.committee.noise.arrays()

    @classmethod
    def from_data(cls, layers: Any, arrays: Mapping[str, Any]) -> FittedNetwork:
        """The inverse of `layer_names` and `arrays`; ValueError when the data are not theirs.

        Layers are looked up in the table of known kinds: no name in a file is ever imported or called.
        """
        try:
            network = MLP([LAYERS[name](units) for name, units in layers])
            parameters = [arrays["w"], *arrays.get("members", ())]
            members = tuple(Member(w, _posterior(network, w, arrays, k)) for k, w in enumerate(parameters))
            x = Scaler(arrays["x_offset"], arrays["x_scale"])
            y = Scaler(arrays["y_offset"], arrays["y_scale"])
            noise = noise_from_arrays(arrays, network.n_inputs, network.n_outputs)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the network's data are malformed: {error}") from error
        return cls(Committee(network, members, noise), x, y)

    def _scaled(self, X: ArrayLike) -> FloatArray:
        return self.x.transform(np.asarray(X, dtype=float))


def _posterior(network: MLP, w: FloatArray, arrays: Mapping[str, Any], k: int) -> Posterior | None:
    prefix = f"posterior.{k}."
    own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
    return Posterior.from_arrays(network, w, own) if own else None
