"""A fitted `LMRegressor` as JSON data and arrays, and back; the file is in `marquardt.files.persistence`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.files.archive import ModelFileError
from marquardt.files.estimator_file import estimator_data, params_from_data, restore_estimator

if TYPE_CHECKING:
    from marquardt.estimators.regressor import LMRegressor

_OUTCOMES = ("loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "y_ndim_")


def regressor_data(regressor: LMRegressor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays of a fitted regressor, as `estimator_data` makes them.

    Raises
    ------
    ModelFileError
        Also if it is not fitted.
    """
    if not hasattr(regressor, "w_"):
        raise ModelFileError(f"{type(regressor).__name__} is not fitted: call fit before saving it")
    return estimator_data(regressor, regressor.fitted_network_, _OUTCOMES)


def regressor_from_data(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LMRegressor:
    """The inverse of `regressor_data`; KeyError, TypeError or ValueError when the data are not its own."""
    from marquardt.estimators.regressor import LMRegressor

    fitted = FittedNetwork.from_data(header["layers"], arrays)
    regressor = LMRegressor(**params_from_data(header, arrays))
    restore_estimator(regressor, fitted, header, arrays, _OUTCOMES)
    regressor.robust_ = None  # it tells of the training rows, which are not in the file
    regressor.y_scaler_ = fitted.y
    regressor.out_activation_ = "identity"
    return regressor
