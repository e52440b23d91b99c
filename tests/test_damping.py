"""Damping rules as exact sequences, metrics as exact diagonals, and every refusal."""

import math

import numpy as np
import pytest

from marquardt import GainRatio, Identity, MarquardtMetric, MoreMetric, Multiplicative, Nielsen
from marquardt.damping import DampingState
from tables import DAMPINGS, METRICS

ALL_RULES = pytest.mark.parametrize("rule", DAMPINGS.values(), ids=DAMPINGS)


def play(rule, events, curvature=1.0):
    """λ after each event: a number is the gain ratio of an accepted step, None a rejection."""
    state = rule.start(curvature)
    played = [state.damping]
    for event in events:
        state = rule.rejected(state, -1.0) if event is None else rule.accepted(state, event)
        played.append(state.damping)
    return played


@pytest.mark.parametrize(
    ("rule", "events", "sequence"),
    [
        # ν doubles with every rejection and is 2 again after an acceptance
        (Nielsen(initial=1.0), [None, None, None, 1.0, None], [1, 2, 8, 64, 64 / 3, 128 / 3]),
        # 1 − (2ρ − 1)³ at ρ = 0.5 is 1, at 0.25 is 1.125, at 0.75 is 0.875, at 0+ is 2
        (Nielsen(initial=1.0), [0.5, 0.25, 0.75, 0.0], [1, 1, 1.125, 0.984375, 1.96875]),
        # ρ beyond 1, infinite included, counts as 1
        (Nielsen(initial=9.0), [5.0, math.inf], [9, 3, 1]),
        (Nielsen(initial=1.0, smallest_factor=0.1), [1.0], [1, 0.1]),
        # the default for networks, γ = 5 and p = 1: the factor is 2 − 2ρ, at least 1/5
        (Nielsen(initial=1.0, smallest_factor=0.2, power=1), [0.5, 0.75, 1.0], [1, 1, 0.5, 0.1]),
        (Multiplicative(), [0.9, 0.01, None, None], [1e-3, 1e-4, 1e-5, 1e-4, 1e-3]),
        (Multiplicative(initial=0.01, up=1.2, down=1.2), [None, 1.0], [0.01, 0.012, 0.01]),
        (Multiplicative(initial=1.0, up=3.0, down=1.0), [1.0, None], [1, 1, 3]),
        (GainRatio(initial=1.0), [0.8, 0.75, 0.25, 0.2, None], [1, 0.25, 0.25, 0.25, 1, 4]),
        (GainRatio(initial=1.0, low=0.1, high=0.5, up=2, down=8), [0.6, 0.05], [1, 0.125, 0.25]),
    ],
)
def test_exact_sequences(rule, events, sequence):
    np.testing.assert_allclose(play(rule, events), sequence, rtol=1e-14)


def test_the_start_relative_to_the_curvature():
    for rule in (Nielsen(), GainRatio(), Multiplicative(relative=True)):
        state = rule.start(500.0)
        assert (state.damping, state.maximum) == (0.5, 500 * rule.maximum)
    assert Multiplicative().start(500.0) == DampingState(1e-3, 1e10)


@ALL_RULES
@pytest.mark.parametrize("curvature", [0.0, 1e-310, 1.0, 1e305])
def test_the_damping_stays_positive_and_rejections_always_reach_the_limit(rule, curvature):
    state = rule.start(curvature)
    for _ in range(3000):
        state = rule.accepted(state, 1.0)
    assert 0 < state.damping < math.inf
    state = rule.start(curvature)
    for _ in range(10_000):
        if state.damping > state.maximum:
            break
        state = rule.rejected(state, -math.inf)
    assert state.damping > state.maximum


@ALL_RULES
def test_rules_are_pure(rule):
    state = rule.start(2.0)
    kept = (state.damping, state.maximum, state.growth)
    first = rule.accepted(state, 0.3), rule.rejected(state, -1.0)
    assert first == (rule.accepted(state, 0.3), rule.rejected(state, -1.0))
    assert (state.damping, state.maximum, state.growth) == kept


@pytest.mark.parametrize("rule", [Nielsen, Multiplicative, GainRatio])
@pytest.mark.parametrize("name", ["initial", "maximum"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_start_and_limit_that_are_not_positive(rule, name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r} must be a positive finite number"):
        rule(**{name: value})


@pytest.mark.parametrize(
    ("rule", "arguments", "message"),
    [
        (Nielsen, {"smallest_factor": 0.0}, "smallest_factor=0.0 must be a positive finite number"),
        (Nielsen, {"smallest_factor": 1.0}, "smallest_factor=1.0 must be below 1, or λ never falls"),
        (Nielsen, {"power": 2}, "power=2 must be 1, 3, 5, 7 or 9"),
        (Multiplicative, {"up": 1.0}, "up=1.0 must exceed 1 and down=10.0 must be at least 1"),
        (Multiplicative, {"down": 0.5}, "up=10.0 must exceed 1 and down=0.5 must be at least 1"),
        (GainRatio, {"low": 0.8}, "low=0.8 must be at least 0 and below high=0.75"),
        (GainRatio, {"low": -0.1}, "low=-0.1 must be at least 0"),
        (GainRatio, {"high": math.nan}, "below high=nan"),
        (GainRatio, {"up": 1.0}, "up=1.0 and down=4.0 must exceed 1"),
        (GainRatio, {"down": 1.0}, "up=4.0 and down=1.0 must exceed 1"),
        (MarquardtMetric, {"floor": 0.0}, "floor=0.0 must be a positive finite number"),
        (MoreMetric, {"floor": -1.0}, "floor=-1.0 must be a positive finite number"),
    ],
)
def test_arguments_that_make_no_rule(rule, arguments, message):
    with pytest.raises(ValueError, match=message):
        rule(**arguments)


# -- metrics -------------------------------------------------------------------------------------------


def test_the_identity_needs_nothing():
    assert Identity().scale(np.array([1.0, 2.0]), None) is None
    assert not Identity().needs_column_norms


def test_marquardt_clamps_from_below():
    scale = MarquardtMetric(floor=1e-2).scale(np.array([100.0, 50.0, 0.5, 0.0]), None)
    np.testing.assert_array_equal(scale, [100, 50, 1, 1])


def test_marquardt_forgets():
    scale = MarquardtMetric().scale(np.array([1.0, 2.0]), np.array([5.0, 5.0]))
    np.testing.assert_array_equal(scale, [1, 2])


def test_more_keeps_the_largest_so_far():
    metric = MoreMetric()
    first = metric.scale(np.array([1.0, 4.0]), None)
    second = metric.scale(np.array([3.0, 2.0]), first)
    np.testing.assert_array_equal(second, [3, 4])
    np.testing.assert_array_equal(first, [1, 4])


def test_more_gives_a_column_of_zeros_a_scale_that_its_first_entry_replaces():
    metric = MoreMetric(floor=1e-30)
    first = metric.scale(np.array([0.0, 1e-48, 4.0]), None)
    np.testing.assert_array_equal(first, [4e-30, 1e-48, 4.0])
    np.testing.assert_array_equal(metric.scale(np.array([1e-20, 0.0, 0.0]), first), [1e-20, 1e-48, 4.0])


@pytest.mark.parametrize("metric", [MarquardtMetric(), MoreMetric()])
@pytest.mark.parametrize("norms", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_columns_without_a_scale_of_their_own(metric, norms):
    assert metric.needs_column_norms
    np.testing.assert_array_equal(metric.scale(np.array(norms), None), [1, 1])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_metrics_are_positive_and_leave_their_arguments_alone(metric):
    norms = np.array([0.0, 1e-12, 1.0, 1e12])
    kept = norms.copy()
    scale = metric.scale(norms, None)
    assert scale is None or (scale > 0).all()
    np.testing.assert_array_equal(norms, kept)
