"""What error models draw, and how they weigh what was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt.apps.pkpd import Combined, Constant, LogNormal, Proportional

MODELS = [(Constant(), [0.3]), (Proportional(), [0.4]), (LogNormal(), [0.8]), (Combined(), [0.2, 0.3])]


@pytest.mark.parametrize(("error", "levels"), MODELS, ids=lambda part: type(part).__name__)
def test_residuals_of_what_was_drawn_are_standard_normal(error, levels):
    """Law: residual(draw(f)) is N(0, 1), whatever f."""
    rng, levels = np.random.default_rng(0), np.array(levels)
    f = np.geomspace(0.1, 30.0, 20_000)
    z = error.residual(error.draw(f, levels, rng), f, levels)
    for part in (z[:10_000], z[10_000:]):
        assert abs(part.mean()) < 0.04 and abs(part.std() - 1) < 0.03
        assert abs((np.abs(part) > 1.96).mean() - 0.05) < 0.01
    found = error.levels(f, (error.draw(f, levels, rng) - f) ** 2)
    if not isinstance(error, LogNormal):  # whose levels come from squares of logarithms
        np.testing.assert_allclose(found, levels, rtol=0.1)
    assert error.draw(np.ones((3, 4)), levels, rng).shape == (3, 4)


def test_log_normal_draws_stay_above_zero():
    assert LogNormal().draw(np.ones(10_000), np.array([1.5]), np.random.default_rng(0)).min() > 0


@pytest.mark.parametrize("error", [Proportional(), LogNormal()])
def test_of_a_prediction_of_nothing_nothing_is_drawn_and_nothing_is_weighed(error):
    f, levels = np.array([0.0, 5.0]), np.array([0.2])
    assert error.draw(f, levels, np.random.default_rng(0))[0] == 0
    assert error.residual(np.array([0.3, 5.0]), f, levels).tolist() == [0.0, 0.0]
