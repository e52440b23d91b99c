"""A network from covariates and schedule to exposure and maximal inhibition, with error bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import norm

from marquardt import LMRegressor
from marquardt.apps.pkpd.cohort import Cohort


class ExposureInterval(NamedTuple):
    """Medians and intervals, each (n,)."""

    auc: np.ndarray
    auc_low: np.ndarray
    auc_high: np.ndarray
    inhibition: np.ndarray
    inhibition_low: np.ndarray
    inhibition_high: np.ndarray


@dataclass(frozen=True)
class ExposureNetwork:
    """Two networks, for log AUC and for logit inhibition, so that each has the noise of its own target.

    On these scales patients who share their covariates differ by about the same factor everywhere; AUC is
    positive and inhibition a share, whatever the networks say.

    Examples
    --------
    >>> from marquardt.apps.pkpd.cohort import simulate_cohort
    >>> network = fit_exposure(simulate_cohort(150), hidden_layer_sizes=(4,), n_starts=1, random_state=0)
    >>> new = network.predict(simulate_cohort(5, random_state=1).X)
    >>> bool((new.auc_low < new.auc).all() and (new.inhibition_high < 1).all())
    True
    """

    auc: LMRegressor
    """Of log AUC."""
    inhibition: LMRegressor
    """Of logit inhibition."""

    def predict(self, X: ArrayLike, coverage: float = 0.95) -> ExposureInterval:
        """For new patients with features X (n, n_features): what a patient like that has, what is the most
        likely and within which limits, by the differences between patients and by what the rows leave open.

        With inputs far from those of the cohort intervals grow, but not without bound.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage!r} must be between 0 and 1, e.g. 0.95")
        auc, inhibition = (_limits(model, X, coverage) for model in (self.auc, self.inhibition))
        return ExposureInterval(*np.exp(auc), *expit(inhibition))

    def mean(self, X: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Means of log AUC and logit inhibition given X (2, n), and their standard errors (2, n): the
        uncertainty of the networks alone, without the differences between patients."""
        moments = [model.predict_moments(X) for model in (self.auc, self.inhibition)]
        error = np.stack([np.sqrt(m.model + m.spread)[:, 0] for m in moments])
        return np.stack([m.mean[:, 0] for m in moments]), error

    def sample(self, X: ArrayLike, n_samples: int, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """AUC and inhibition by functions drawn from the posterior, each (n, n_samples): see
        `LMRegressor.sample_y`."""
        auc, inhibition = (
            model.sample_y(X, n_samples, random_state + k)
            for k, model in enumerate((self.auc, self.inhibition))
        )
        return np.exp(auc), expit(inhibition)


def fit_exposure(
    cohort: Cohort,
    hidden_layer_sizes: tuple[int, ...] = (6,),
    *,
    noise: str = "varying",
    random_state: int = 0,
    **options: Any,
) -> ExposureNetwork:
    """Train both networks on the rows of a cohort.

    Parameters
    ----------
    cohort : Cohort
    hidden_layer_sizes : tuple of int
    noise : str
        "varying": patients differ by more at some doses than at others, inhibition above all, which is nearly
        the same for all when it is nearly complete; "constant" otherwise.
    **options
        Of `LMRegressor`.
    """
    models = [
        LMRegressor(hidden_layer_sizes, noise=noise, random_state=random_state + k, **options)
        for k in range(2)
    ]
    for model, target in zip(models, cohort.targets, strict=True):
        model.fit(cohort.X, target)
    return ExposureNetwork(*models)


def _limits(model: LMRegressor, X: ArrayLike, coverage: float) -> np.ndarray:
    """Mean, low and high (3, n)."""
    mean, std = model.predict(X, return_std=True)
    half = norm.ppf(0.5 + 0.5 * coverage) * np.asarray(std)
    return np.stack([mean, mean - half, mean + half])
