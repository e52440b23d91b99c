"""Scores of error bars against their definitions, and the pictures of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from marquardt.calibration import Calibration
from marquardt.reports import uncertainty_plots


def drawn(n=400, factor=1.0, seed=0):
    """Measurements with error bars `factor` times as long as they should be."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=n), rng.uniform(0.5, 2.0, size=n)
    return Calibration(mean + std * rng.normal(size=n), mean, factor * std)


def test_log_likelihood_is_scipys():
    own = drawn(20)
    assert own.log_likelihood == pytest.approx(norm.logpdf(own.y, own.mean, own.std).mean(), rel=1e-12)


@pytest.mark.parametrize("y", [-2.0, 0.1, 3.0])
def test_crps_is_the_integral_that_defines_it(y):
    """∫ (F(t) − 1[t ≥ y])² dt"""
    below, _ = quad(lambda t: norm.cdf(t, 0.5, 1.3) ** 2, -15, y)
    above, _ = quad(lambda t: norm.sf(t, 0.5, 1.3) ** 2, y, 15)
    own = Calibration(np.array([y]), np.array([0.5]), np.array([1.3]))
    assert own.crps == pytest.approx(below + above, rel=1e-8)


def test_crps_of_almost_certain_predictions_is_the_absolute_error():
    own = Calibration(np.array([1.0, 2.0]), np.array([0.0, 5.0]), np.full(2, 1e-9))
    assert own.crps == pytest.approx(2.0)


@pytest.mark.parametrize(("factor", "low", "high"), [(1.0, 0.93, 0.97), (0.5, 0.6, 0.75), (2.0, 0.99, 1.0)])
def test_coverage_tells_the_length_of_the_bars(factor, low, high):
    assert low <= drawn(2000, factor).coverage(0.95) <= high


def test_coverages_rise_with_the_level():
    values = drawn().coverages([0.1, 0.5, 0.9])
    assert (np.diff(values) > 0).all()


def test_a_certain_prediction_is_refused():
    with pytest.raises(ValueError, match="std must be positive"):
        Calibration(np.zeros(2), np.zeros(2), np.array([1.0, 0.0]))


def test_pictures():
    figure = uncertainty_plots.calibration({"training": drawn(50), "held out": drawn(20)})
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert any(label.startswith("held out: 95 % intervals hold") for label in labels)
    figure = uncertainty_plots.intervals(drawn(1000, 0.5), "yield", "g")
    assert figure.axes[0].get_ylabel() == "yield (g)"
    drawn_points = sum(len(line.get_xdata()) for line in figure.axes[0].lines[1:])
    assert 300 <= drawn_points <= 400
