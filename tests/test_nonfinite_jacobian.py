"""A trial point with a finite cost and a Jacobian that is not finite is rejected like any other bad one."""

from __future__ import annotations

import numpy as np

from marquardt import Status, least_squares


def residual(w):
    return np.array([w[0] - 3.0, 0.1])


def test_a_point_with_nan_jacobian_is_passed_over():
    seen: list[float] = []

    def jac(w):
        seen.append(float(w[0]))
        return np.array([[1.0 if len(seen) != 2 else np.nan], [0.0]])  # the first accepted point fails

    fit = least_squares(residual, [0.0], jac, refinement=False)
    assert abs(fit.w[0] - 3.0) < 1e-6
    assert fit.success


def test_jacobians_that_are_never_finite_end_in_a_status():
    calls = iter(range(1000))
    fit = least_squares(residual, [0.0], lambda w: [[1.0 if next(calls) == 0 else np.inf], [0.0]])
    assert fit.status in (Status.SINGULAR, Status.DAMPING_LIMIT)
    assert np.isfinite(fit.w).all()
