"""The standard deviation of noise, from a median that gross errors do not reach."""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray
from marquardt.losses.reweighted import Penalty

MAD_TO_SD = 1.482602218505602
"""1/Φ⁻¹(3/4): standard deviation of Gaussian noise over its median absolute deviation."""


def errors_scale(errors: FloatArray, weights: FloatArray, n_params: int = 0) -> FloatArray:
    """1.4826 · median |error| of each output (K,), the weights counted as repeated rows.

    As in MATLAB's `robustfit`, the smallest errors are left out, as many as there are parameters less one,
    for the fit can make that many vanish; but never more than half of them.

    Parameters
    ----------
    errors, weights : array (K, N)
    n_params : int
        Of all outputs together.

    Examples
    --------
    >>> errors_scale(np.array([[1.0, -1.0, 2.0, -2.0, 50.0]]), np.ones((1, 5))).round(3)
    array([2.965])
    """
    left_out = max(n_params / len(errors) - 1.0, 0.0)
    medians = [weighted_median(np.abs(e), s, left_out) for e, s in zip(errors, weights, strict=True)]
    return MAD_TO_SD * np.array(medians)


def targets_scale(targets: FloatArray, weights: FloatArray) -> FloatArray:
    """The same of targets (K, N) about their medians; where more than half of them are equal, from the mean
    absolute deviation, and 1 where all are: never 0."""
    scales = np.ones(len(targets))
    for k, (y, s) in enumerate(zip(targets, weights, strict=True)):
        deviations = np.abs(y - weighted_median(y, s))
        median, mean = weighted_median(deviations, s), float(np.average(deviations, weights=s))
        if mean > 0:  # √(π/2): standard deviation of Gaussian noise over its mean absolute deviation
            scales[k] = MAD_TO_SD * median if median > 0 else np.sqrt(0.5 * np.pi) * mean
    return scales


def equivalent_sd(penalty: Penalty, residual: FloatArray, n_params: int) -> float:
    """s such that the covariance of a robust fit is s² (JᵀJ)⁻¹, J without weights; NaN where there is none.

    P. J. Huber, "Robust Statistics", 1981, eq. 7.6.3 (R's `rlm` and statsmodels' "H1"): with ψ = ρ',

        s² = κ² Σψ² / (n − p) / (mean ψ')²,     κ = 1 + p/n · var ψ' / (mean ψ')².

    It is the sandwich H⁻¹ (Jᵀ diag(ψ²) J) H⁻¹ with the means over the rows of ψ² and ψ': an error is gross by
    chance, not by the place where it was measured.  The inverse of the weighted JᵀJ, the other choice,
    forgets that the weights come from the same errors.

    Examples
    --------
    >>> from marquardt.losses import Huber
    >>> round(equivalent_sd(Huber(threshold=1e9), np.array([3.0, -4.0, 0.0]), 1) ** 2, 9)  # Σr²/(n − p)
    12.5
    """
    n = len(residual)
    if n <= n_params:
        return float("nan")
    psi, slope = penalty.weight(residual) * residual, penalty.curvature(residual)
    mean = float(slope.mean())
    if not mean > 0:
        return float("nan")
    correction = 1.0 + n_params / n * float(slope.var()) / mean**2
    return correction * float(np.sqrt(psi @ psi / (n - n_params))) / mean


def weighted_median(values: FloatArray, weights: FloatArray, left_out: float = 0.0) -> float:
    """The median of values (n,), a weight of 2 counted as a repeated row, without the smallest `left_out` of
    them (half of them at most).

    Examples
    --------
    >>> weighted_median(np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0]))
    2.5
    """
    order = np.argsort(values, kind="stable")
    values, sums = values[order], np.cumsum(weights[order])
    middle = 0.5 * (sums[-1] + min(left_out, 0.5 * sums[-1]))
    rounding = 1e-12 * sums[-1]
    low = values[np.searchsorted(sums, middle - rounding)]
    high = values[min(np.searchsorted(sums, middle + rounding), len(values) - 1)]
    return float(0.5 * (low + high))
