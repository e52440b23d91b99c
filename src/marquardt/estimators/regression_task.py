"""What regression adds to a training: scaled targets, and R² on the rows kept out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.estimators.scaling import Scaler
from marquardt.estimators.training_rows import TrainingRows


@dataclass(frozen=True)
class Scalers:
    """Of the inputs and of the targets."""

    x: Scaler
    y: Scaler

    @classmethod
    def of(cls, rows: TrainingRows, scale_inputs: bool, scale_target: bool, robust: bool) -> Scalers:
        """From the mean and spread of the rows, weights counted; of the targets by medians when `robust`."""
        x = Scaler.standard(rows.X, rows.row_weights) if scale_inputs else Scaler.identity(rows.X.shape[1])
        if not scale_target:
            return cls(x, Scaler.identity(rows.y.shape[1]))
        return cls(x, (Scaler.robust if robust else Scaler.standard)(rows.y, rows.weights))


def r2_scores(validation: TrainingRows, mean_losses: FloatArray) -> FloatArray:
    """R² from losses ½ Σ s r² / Σ s on the validation rows.

    With V such a loss, R² = 1 − 2V Σ s / Σ s (y − ȳ)²; NaN where all y are equal.

    Examples
    --------
    >>> rows = TrainingRows(np.zeros((2, 1)), np.array([[-1.0], [1.0]]))
    >>> r2_scores(rows, np.array([0.5, 0.0]))
    array([0., 1.])
    """
    y, weights = validation.y, validation.weights
    if weights is not None and weights.ndim == 2:
        y = np.where(weights > 0, y, 0.0)
    deviations = np.average((y - np.average(y, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
    spread = float(deviations.sum())
    if spread == 0:
        return np.full(len(mean_losses), np.nan)
    return 1.0 - 2.0 * mean_losses / spread
