"""What a module's outputs are compared with, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from marquardt._checks import as_float, check_finite, check_weights
from marquardt._types import FloatArray
from marquardt.losses import Huber, LogisticCrossEntropy, Loss, LossOf, cross_entropy, squared_error
from marquardt.models.activations import Activation, Identity, LogisticActivation, SoftmaxActivation
from marquardt.target_weights import weighed


def logistic_cross_entropy(
    activation: Activation, targets: FloatArray, root_weights: FloatArray | None
) -> Loss:
    """Cross-entropy of logits, each output on its own: several labels a row."""
    del activation
    return LogisticCrossEntropy(targets, root_weights)


_OF_TORCH: dict[type[nn.Module], LossOf] = {
    nn.MSELoss: squared_error,
    nn.CrossEntropyLoss: cross_entropy,
    nn.BCEWithLogitsLoss: logistic_cross_entropy,
}
_PLAIN = {
    nn.MSELoss: (),
    nn.CrossEntropyLoss: ("weight", "label_smoothing"),
    nn.BCEWithLogitsLoss: ("weight", "pos_weight"),
}


def loss_of(loss: Any) -> LossOf:
    """A loss of `marquardt.losses`, for one of them or for its equal in `torch.nn`.

    >>> loss_of(nn.HuberLoss(delta=0.5))
    Huber(threshold=0.5, scale=1.0)
    """
    if isinstance(loss, nn.HuberLoss):
        return Huber(threshold=loss.delta)
    if type(loss) in _OF_TORCH:
        for option in _PLAIN[type(loss)]:
            value = getattr(loss, option)
            if value is not None and not (isinstance(value, float) and value == 0.0):
                raise ValueError(f"loss={loss!r} has {option}: give weights of rows as sample_weight")
        return _OF_TORCH[type(loss)]
    if isinstance(loss, nn.Module | str | type) or not callable(loss):
        raise TypeError(
            f"loss={loss!r} must be squared_error, cross_entropy or Huber() of marquardt.losses, their "
            "equals in torch.nn, or ModuleLoss(function) for a function of your own"
        )
    return cast(LossOf, loss)


@dataclass(frozen=True)
class Targets:
    """Targets, weights and the loss, which is made of them."""

    values: FloatArray
    """(N, K)."""
    weights: FloatArray | None
    """(N,) or (N, K), None for 1."""
    loss: LossOf

    @classmethod
    def of(cls, y: Any, shape: tuple[int, ...], sample_weight: Any, loss: Any) -> Targets:
        """For a module that returns `shape`, (N, ...)."""
        n_outputs = int(np.prod(shape[1:], dtype=int))
        chosen = loss_of(loss)
        table = _array(y)
        if chosen is cross_entropy:
            table = _one_hot(table, n_outputs, shape)
        column = n_outputs == 1 and table.size == shape[0] and len(table) == shape[0]  # (n,) for (n, 1)
        if table.shape != shape and not column:
            raise ValueError(f"the module returns shape {shape}, but y has shape {table.shape}")
        values, weights = weighed(table.reshape(shape[0], -1), _weights(sample_weight, shape))
        values = as_float("y", values)
        check_finite("y", values)
        if weights is None or weights.ndim == 1:
            weights = check_weights(weights, shape[0])
        return cls(values, weights, chosen)

    def over_all(self) -> Loss:
        """The loss over all samples, (K, N)."""
        activation: Activation = Identity()
        if self.loss is cross_entropy:
            activation = SoftmaxActivation() if self.values.shape[1] > 1 else LogisticActivation()
        roots = None if self.weights is None else np.sqrt(np.ascontiguousarray(self.weights.T))
        return self.loss(activation, np.ascontiguousarray(self.values.T), roots)


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _weights(sample_weight: Any, shape: tuple[int, ...]) -> FloatArray | None:
    """One a sample (N,), or one an entry of y (N, K)."""
    if sample_weight is None:
        return None
    weights = as_float("sample_weight", _array(sample_weight))
    return weights.reshape(shape[0], -1) if weights.shape == shape and len(shape) > 1 else weights


def _one_hot(labels: np.ndarray, n_outputs: int, shape: tuple[int, ...]) -> np.ndarray:
    """Class labels 0 to K − 1 as one-hot rows; one-hot rows as they are."""
    if len(shape) > 2:
        raise ValueError(
            f"cross_entropy needs outputs (n_samples, n_classes), but the module returns {shape}; "
            "take ModuleLoss for classes at every place of an output"
        )
    if labels.ndim != 1 or n_outputs == 1:
        return labels
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= n_outputs:
        raise ValueError(
            f"y must hold class labels from 0 to {n_outputs - 1}, or one-hot rows (n_samples, {n_outputs})"
        )
    return np.eye(n_outputs)[labels]
