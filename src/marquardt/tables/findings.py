"""The diagnosis of a fit to a table, with the rows named as they stand in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray
from marquardt.diagnosis import Finding, diagnose_network
from marquardt.target_weights import entry_weights

if TYPE_CHECKING:
    from marquardt.estimators.regressor import LMRegressor


def table_findings(
    regressor: LMRegressor, X: FloatArray, y: FloatArray, positions: np.ndarray
) -> tuple[Finding, ...]:
    """What a diagnosis finds of the best network on its training rows.

    Parameters
    ----------
    regressor : LMRegressor
        Fitted.
    X, y : array (n_samples, n_inputs), (n_samples, n_targets)
        The training rows, encoded and not scaled; NaN where a target was not measured.
    positions : array of int (n_samples,)
        Where they stand in the table, from 0; the findings count from 1, without the header line.
    """
    scaled_X, scaled_y = regressor.x_scaler_.transform(X), regressor.y_scaler_.transform(y)
    evidence = regressor.evidence_
    alpha = regressor.default_alpha if regressor.alpha is None else regressor.alpha
    fit = regressor.result_ if evidence is None else evidence
    numbers = (positions + 1).tolist()
    try:
        found = diagnose_network(
            regressor.network_,
            scaled_X,
            scaled_y,
            fit,
            rows=numbers,
            alpha=alpha,
            sample_weight=entry_weights(scaled_y),
        )
    except KeyboardInterrupt:  # the fit is done, and worth more than its diagnosis
        return ()
    return found.findings
