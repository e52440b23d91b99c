"""What a fitted regressor says of new rows: predictions, and how sure they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.committee import Committee, Moments
from marquardt.estimators.checks import checked_inputs
from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.estimators.scaling import Scaler
from marquardt.models.mlp import MLP


class Predictions:
    """The predicting half of `LMRegressor`."""

    network_: MLP
    w_: FloatArray
    x_scaler_: Scaler
    y_scaler_: Scaler
    committee_: Committee
    evidence_: EvidenceResult | None
    message_: str
    y_ndim_: int

    def predict(self, X: ArrayLike, return_std: bool = False) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predictions (n_samples,) or (n_samples, n_outputs), like y, for X (n_samples, n_features).

        Parameters
        ----------
        return_std : bool
            Also give, in the same shape, the standard deviation of a new measurement: noise, uncertainty of
            the parameters (linearized Laplace), and spread of the committee.

        Raises
        ------
        ValueError
            With `return_std`, when the fit has no error bars.
        """
        fitted = self.fitted_network_
        inputs = checked_inputs(self._estimator, X)
        if not return_std:
            return self._like_y(fitted.predict(inputs))
        moments = self._moments(fitted, inputs)
        return self._like_y(moments.mean), self._like_y(moments.std)

    def predict_interval(self, X: ArrayLike, coverage: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends, each like y, of intervals that hold a new measurement with probability
        `coverage`; needs Bayesian regularization.

        Raises
        ------
        ValueError
            When `coverage` is not between 0 and 1, or the fit has no error bars.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage!r} must be between 0 and 1, e.g. 0.95")
        moments = self.predict_moments(X)
        half = norm.ppf(0.5 + 0.5 * coverage) * moments.std
        return self._like_y(moments.mean - half), self._like_y(moments.mean + half)

    def predict_moments(self, X: ArrayLike) -> Moments:
        """Mean and the parts of its variance (noise, model, spread), each (n_samples, n_outputs), in the
        units of y and their squares; needs Bayesian regularization.

        Raises
        ------
        ValueError
            When the fit has no error bars.
        """
        return self._moments(self.fitted_network_, checked_inputs(self._estimator, X))

    def sample_y(
        self, X: ArrayLike, n_samples: int = 1, random_state: int | np.random.Generator | None = 0
    ) -> FloatArray:
        """Functions that the training rows allow, at X: (n_rows, n_samples), or with several outputs
        (n_rows, n_outputs, n_samples), the shapes of `GaussianProcessRegressor.sample_y`.

        Each column is one function, drawn from the (linearized) posterior of the weights, of the committee's
        members in turn.  They are smooth: the noise of a new measurement is not in them.  For what is
        computed from a whole curve, such as its maximum, an integral or an index of sensitivity.

        Raises
        ------
        ValueError
            When `n_samples` is not positive, or the fit is a single network without error bars.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r} must be at least 1, e.g. 100")
        fitted = self.fitted_network_
        inputs = checked_inputs(self._estimator, X)
        if len(fitted.committee) == 1:
            self._check_error_bars(fitted)
        drawn = fitted.draw_functions(inputs, n_samples, np.random.default_rng(random_state))
        drawn = np.moveaxis(drawn, 0, -1)
        return drawn[:, 0] if self.y_ndim_ == 1 else drawn

    @property
    def relevance_(self) -> FloatArray | None:
        """Of each input, between 0 and 1."""
        return None if self.evidence_ is None else self.evidence_.relevance

    @property
    def noise_std_(self) -> FloatArray | None:
        """In the units of y."""
        return None if self.evidence_ is None else self.evidence_.noise_sd * self.y_scaler_.scale

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of each layer, (n_in, n_out), for scaled data."""
        return [weights.T for weights, _ in self.network_.unpack(self.w_)]

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of each layer, (n_out,), for scaled data."""
        return [bias for _, bias in self.network_.unpack(self.w_)]

    @property
    def fitted_network_(self) -> FittedNetwork:
        """The committee with the scaling around it: predictions without scikit-learn's checks."""
        check_is_fitted(self)
        return FittedNetwork(self.committee_, self.x_scaler_, self.y_scaler_)

    def _moments(self, fitted: FittedNetwork, inputs: FloatArray) -> Moments:
        self._check_error_bars(fitted)
        return fitted.moments(inputs)

    def _check_error_bars(self, fitted: FittedNetwork) -> None:
        if not fitted.has_error_bars:
            why = (
                "set regularization='bayesian'"
                if self.evidence_ is None
                else f"see message_: {self.message_}"
            )
            raise ValueError(f"this fit has no error bars: {why}")

    def _like_y(self, values: FloatArray) -> FloatArray:
        return values[:, 0] if self.y_ndim_ == 1 else values

    @property
    def _estimator(self) -> BaseEstimator:
        assert isinstance(self, BaseEstimator)
        return self
