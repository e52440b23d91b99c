"""Sobol's indices: closed forms, SALib's own numbers, and what a network adds to the error bars."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("SALib")

from SALib.analyze import sobol

from marquardt import LMRegressor
from marquardt.apps.pkpd.sensitivity import (
    Factors,
    simulator_indices,
    sobol_estimates,
    surrogate_indices,
)
from marquardt.reports import png

ANGLES = Factors({name: (-np.pi, np.pi) for name in ("x1", "x2", "x3")})
UNIT = Factors({"a": (0.0, 1.0), "b": (0.0, 1.0)})


def ishigami(X):
    """Ishigami and Homma 1990, a = 7, b = 0.1."""
    return np.sin(X[:, 0]) + 7 * np.sin(X[:, 1]) ** 2 + 0.1 * X[:, 2] ** 4 * np.sin(X[:, 0])


def ishigami_indices():
    V1 = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2
    V2, V13 = 7**2 / 8, 0.1**2 * np.pi**8 * (1 / 18 - 1 / 50)
    V = V1 + V2 + V13
    return np.array([V1, V2, 0]) / V, np.array([V1 + V13, V2, V13]) / V


def clearance(X):
    """A steady state of dose/CL, in logarithms a sum, so that indices follow from the ranges."""
    return X[:, 0] / X[:, 1]


@pytest.fixture(scope="module")
def smooth():
    """A network of a sum and a product, from 120 runs."""
    X = UNIT.design(120, random_state=1)
    model = LMRegressor((6,), n_starts=3, random_state=0).fit(X, X[:, 0] + 2 * X[:, 1] + X[:, 0] * X[:, 1])
    return model


def test_ishigami():
    first, total = ishigami_indices()
    found = simulator_indices(ishigami, ANGLES, 2**14)
    np.testing.assert_allclose(found.first, first, atol=0.01)
    np.testing.assert_allclose(found.total, total, atol=0.01)
    assert ((found.plan_first[0] <= first) & (first <= found.plan_first[1])).all()
    assert found.n_runs == 5 * 2**14 and found.model_first is None
    np.testing.assert_array_equal(found.interval_total, found.plan_total)


def test_a_logarithmic_factor():
    """log Y is a sum of uniform numbers: variances are those of their ranges."""
    factors = Factors({"dose": (10.0, 100.0), "cl": (1.0, 3.0)}, logarithmic=["dose", "cl"])
    wide = np.array([np.log(10) ** 2, np.log(3) ** 2])
    found = simulator_indices(lambda X: np.log(clearance(X)), factors, 4096)
    np.testing.assert_allclose(found.first, wide / wide.sum(), atol=0.01)
    np.testing.assert_allclose(found.total, found.first, atol=0.01)
    X = factors.design(500)
    assert (X.min(axis=0) >= [10, 1]).all() and (X.max(axis=0) <= [100, 3]).all()
    np.testing.assert_allclose(np.median(np.log(X), axis=0), np.log([np.sqrt(1000), np.sqrt(3)]), atol=0.02)


def test_the_estimators_are_those_of_salib():
    n, d = 64, 3
    rng = np.random.default_rng(0)
    runs = rng.normal(size=(n, d + 2, 4))
    first, total = sobol_estimates(runs)
    for k in range(4):
        found = sobol.analyze(ANGLES.problem(), runs[:, :, k].ravel(), calc_second_order=False, seed=1)
        np.testing.assert_allclose(first[k], found["S1"], rtol=1e-10)
        np.testing.assert_allclose(total[k], found["ST"], rtol=1e-10)


def test_indices_of_a_network_hold_the_exact_ones(smooth):
    """Of y = a + 2b + ab: V = (3/2)²/12 + (5/2)²/12 + 1/144."""
    parts = np.array([2.25 / 12, 6.25 / 12, 1 / 144])
    first, total = parts[:2] / parts.sum(), (parts[:2] + parts[2]) / parts.sum()
    found = surrogate_indices(smooth, UNIT, 512, n_draws=60)
    for exact, interval in ((first, found.interval_first), (total, found.interval_total)):
        assert ((interval[0] <= exact) & (exact <= interval[1])).all()
    np.testing.assert_allclose(found.first, first, atol=0.02)
    np.testing.assert_allclose(found.total, total, atol=0.02)
    assert found.draws_first.shape == (60, 2)
    # the network's part of the interval is the smaller one here, where it is nearly exact
    assert (np.diff(found.model_first, axis=0) < 0.5 * np.diff(found.interval_first, axis=0)).all()
    again = surrogate_indices(smooth, UNIT, 512, n_draws=60)
    np.testing.assert_array_equal(found.both_total, again.both_total)
    assert "plan and network together" in str(found)


def test_fewer_runs_make_wider_intervals():
    """The same function from noisier and fewer rows: the network's interval tells it, the plan's does not."""
    rng = np.random.default_rng(3)
    widths = []
    for n, noise in ((400, 0.02), (30, 0.4)):
        X = UNIT.design(n, random_state=2)
        y = X[:, 0] + 2 * X[:, 1] + noise * rng.standard_normal(n)
        model = LMRegressor((4,), n_starts=2, random_state=0).fit(X, y)
        found = surrogate_indices(model, UNIT, 128, n_draws=40)
        widths.append([np.diff(found.model_first, axis=0).mean(), np.diff(found.plan_first, axis=0).mean()])
    (sure, plan), (unsure, other_plan) = widths
    assert unsure > 5 * sure and other_plan < 2 * plan


def test_blocks_of_draws_and_transforms(smooth, monkeypatch):
    whole = surrogate_indices(smooth, UNIT, 64, n_draws=25)
    monkeypatch.setattr("marquardt.apps.pkpd.sensitivity._BLOCK", 1)  # blocks of 20
    parts = surrogate_indices(smooth, UNIT, 64, n_draws=25)
    assert parts.draws_first.shape == whole.draws_first.shape and np.isfinite(parts.draws_first).all()
    # indices do not see a straight line
    line = surrogate_indices(smooth, UNIT, 64, n_draws=25, transform=lambda y: 3 - 2 * y)
    np.testing.assert_allclose(line.first, parts.first, rtol=1e-9)
    halves = Factors({"a": (0.0, 0.5), "b": (0.0, 0.5)})
    inner = surrogate_indices(smooth, halves, 64, n_draws=25, inputs=lambda X: 2 * X)
    np.testing.assert_allclose(inner.first, parts.first, rtol=1e-9)


def test_a_committee_without_posteriors_will_do():
    X = UNIT.design(60)
    committee = LMRegressor((3,), alpha=1e-3, n_starts=3, ensemble_size=3, random_state=0)
    committee.fit(X, X[:, 0] + 2 * X[:, 1])
    found = surrogate_indices(committee, UNIT, 64, n_draws=30)
    assert len(np.unique(found.draws_first[:, 0])) == 3


def test_the_picture(smooth):
    found = surrogate_indices(smooth, UNIT, 64, n_draws=20)
    figure = found.plot(truth=([0.3, 0.7], [0.3, 0.7]))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["first order", "total", "exact", "95 %: network", "95 %: network and plan"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert len(png(figure)) > 1000
    assert len(png(simulator_indices(clearance, Factors({"d": (1, 2), "c": (1, 2)}), 64).plot())) > 1000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Factors({}), "bounds is empty"),
        (lambda: Factors({"a": (1.0, 1.0)}), "a from 1 to 1: the lower bound"),
        (lambda: Factors({"a": (0.0, np.nan)}), "a from 0 to nan"),
        (lambda: Factors({"a": (0.0, 1.0)}, ["a"]), "logarithmic input must be above 0"),
        (lambda: Factors({"a": (0.0, 1.0)}, ["b"]), "which bounds does not have"),
        (lambda: UNIT.design(1), "n=1 must be at least 2"),
        (lambda: simulator_indices(clearance, UNIT, 100), "n=100 must be a power of 2"),
        (lambda: simulator_indices(lambda X: X, UNIT, 64), r"returned shape \(256, 2\) for 256 points"),
        (lambda: simulator_indices(lambda X: np.log(X[:, 0] - 0.5 + 0j).real * np.nan, UNIT, 64), "NaN"),
        (lambda: simulator_indices(lambda X: np.ones(len(X)), UNIT, 64), "function is constant"),
        (lambda: simulator_indices(clearance, UNIT, 64, random_state=-1), "must not be negative"),
    ],
)
def test_what_has_no_indices(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_networks_that_have_none(smooth):
    with pytest.raises(ValueError, match="n_draws=5 must be at least 20"):
        surrogate_indices(smooth, UNIT, 64, n_draws=5)
    X = UNIT.design(40)
    both = LMRegressor((2,), n_starts=1, random_state=0).fit(X, X)
    with pytest.raises(ValueError, match="one number for each is needed"):
        surrogate_indices(both, UNIT, 64)
    bare = LMRegressor((2,), alpha=0.1, n_starts=1, random_state=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="no error bars"):
        surrogate_indices(bare, UNIT, 64)
    with pytest.raises(ValueError, match="NaN or infinite"):
        surrogate_indices(smooth, UNIT, 64, transform=lambda y: np.where(y > 1.0, np.nan, y))


def test_without_salib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "SALib.analyze.sobol", None)
    with pytest.raises(ImportError, match=r"pip install 'marquardt\[pkpd\]'"):
        simulator_indices(clearance, UNIT, 64)
