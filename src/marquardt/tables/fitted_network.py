"""A trained network with the scaling around it: numbers in, numbers out, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.models.layers import LAYERS
from marquardt.models.mlp import MLP

if TYPE_CHECKING:
    from marquardt.estimators.regressor import LMRegressor


@dataclass(frozen=True)
class FittedNetwork:
    """Parameters of a network that sees (x − offset) / scale and answers (y − offset) / scale.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> double = FittedNetwork(Input(1) >> Linear(1), np.array([2.0, 0.0]), zero, one, zero, one)
    >>> double.predict([[3.0]])
    array([[6.]])
    """

    network: MLP
    w: FloatArray
    """(n_params,)."""
    x_offset: FloatArray
    x_scale: FloatArray
    """(n_inputs,)."""
    y_offset: FloatArray
    y_scale: FloatArray
    """(n_outputs,)."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the network: they may come from a file."""
        net = self.network
        wanted = {"w": net.n_params, "x_offset": net.n_inputs, "x_scale": net.n_inputs,
                  "y_offset": net.n_outputs, "y_scale": net.n_outputs}  # fmt: skip
        for name, length in wanted.items():
            values = getattr(self, name)
            if values.shape != (length,) or values.dtype != np.float64:
                found = f"{values.dtype} of shape {values.shape}"
                raise ValueError(f"{name} is {found}, but {net!r} needs float64 of shape ({length},)")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds NaN or infinite values")
        if (self.x_scale == 0).any() or (self.y_scale == 0).any():
            raise ValueError("a scale is 0")

    @classmethod
    def from_regressor(cls, regressor: LMRegressor) -> FittedNetwork:
        """The trained network of a fitted `LMRegressor`."""
        x, y = regressor.x_scaler_, regressor.y_scaler_
        arrays = (regressor.w_, x.offset, x.scale, y.offset, y.scale)
        return cls(regressor.network_, *(np.array(values, dtype=float).reshape(-1) for values in arrays))

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predictions (n_samples, n_outputs) for inputs X (n_samples, n_inputs), both in their own units."""
        scaled = (np.asarray(X, dtype=float) - self.x_offset) / self.x_scale
        return self.network.predict(self.w, scaled) * self.y_scale + self.y_offset

    def layer_names(self) -> list[list[Any]]:
        """The layers as JSON data: `[["Input", 8], ["Tanh", 20], ["Linear", 1]]`."""
        return [[type(layer).__name__, layer.units] for layer in self.network.layers]

    def describe(self) -> str:
        """The layers in words: `8 inputs, 20 tanh, 1 linear`."""
        first, *rest = self.network.layers
        return ", ".join(
            [f"{first.units} inputs", *(f"{layer.units} {type(layer).__name__.lower()}" for layer in rest)]
        )

    def arrays(self) -> dict[str, FloatArray]:
        """The numbers by name, for a file."""
        names = ("w", "x_offset", "x_scale", "y_offset", "y_scale")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_data(cls, layers: Any, arrays: Mapping[str, Any]) -> FittedNetwork:
        """The inverse of `layer_names` and `arrays`; ValueError when the data are not theirs.

        Layers are looked up in the table of known kinds: no name in a file is ever imported or called.
        """
        try:
            network = MLP([LAYERS[name](units) for name, units in layers])
            values = [arrays[name] for name in ("w", "x_offset", "x_scale", "y_offset", "y_scale")]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the network's data are malformed: {error}") from error
        return cls(network, *values)
