"""What a model's outputs are compared with, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from marquardt._checks import as_float, check_finite
from marquardt._types import FloatArray
from marquardt.losses import Loss, LossOf, cross_entropy
from marquardt.models.activations import Activation, Identity, LogisticActivation, SoftmaxActivation


@dataclass(frozen=True)
class Targets:
    """Targets, weights and the loss, which is made of them."""

    values: FloatArray
    """(K, N)."""
    weights: FloatArray | None
    """(N,), None for 1."""
    loss: LossOf

    @classmethod
    def of(cls, y: Any, shape: tuple[int, ...], weights: FloatArray | None, loss: LossOf) -> Targets:
        """For a model that returns `shape`, (N, ...)."""
        table, n_outputs = np.asarray(y), int(np.prod(shape[1:], dtype=int))
        if loss is cross_entropy:
            table = _one_hot(table, n_outputs)
        column = n_outputs == 1 and table.size == shape[0] and len(table) == shape[0]  # (n,) for (n, 1)
        if table.shape != shape and not column:
            raise ValueError(f"the model returns shape {shape}, but y has shape {table.shape}")
        table = as_float("y", table)
        check_finite("y", table)
        return cls(np.ascontiguousarray(table.reshape(shape[0], -1).T), weights, loss)

    def over_all(self) -> Loss:
        """The loss over all samples, (K, N)."""
        activation: Activation = Identity()
        if self.loss is cross_entropy:
            activation = SoftmaxActivation() if len(self.values) > 1 else LogisticActivation()
        return self.loss(activation, self.values, None if self.weights is None else np.sqrt(self.weights))


def _one_hot(labels: np.ndarray, n_outputs: int) -> np.ndarray:
    """Class labels 0 to K − 1 as one-hot rows; one-hot rows as they are."""
    if labels.ndim != 1 or n_outputs == 1:
        return labels
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= n_outputs:
        raise ValueError(
            f"y must hold class labels from 0 to {n_outputs - 1}, or one-hot rows (n_samples, {n_outputs})"
        )
    return np.eye(n_outputs)[labels]
