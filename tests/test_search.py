"""Searches over pretended trials: which dampings are tried, which is taken, when they give up."""

import math

import numpy as np
import pytest

from marquardt import FirstImprovement, Multiplicative, RatioProbing
from marquardt.search import Trial

RULE = Multiplicative(initial=1.0, up=10.0, down=10.0, maximum=1e4)


class Trials:
    """Answers every damping from a rule and keeps the list of what was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def __call__(self, damping):
        self.asked.append(damping)
        return self.answer(damping)


def trial(damping, gain_ratio=0.9, acceptable=True, negligible=False, computed=True):
    w = np.zeros(1) if computed else None
    return Trial(damping, w, 1.0, gain_ratio, 1.0, acceptable, negligible, False, n_costs=int(computed))


def refused(damping, **options):
    return trial(damping, -math.inf, acceptable=False, **options)


def test_the_first_trial_that_improves_is_taken():
    attempt = Trials(trial)
    found = FirstImprovement().run(attempt, RULE, RULE.start(1.0))
    assert attempt.asked == [1.0]
    assert (found.trial.damping, found.state.damping, found.rejected, found.n_costs) == (1.0, 0.1, 0, 1)


def test_the_rule_says_what_follows_a_rejection():
    attempt = Trials(lambda damping: trial(damping) if damping >= 100 else refused(damping))
    found = FirstImprovement().run(attempt, RULE, RULE.start(1.0))
    assert attempt.asked == [1.0, 10.0, 100.0]
    assert (found.trial.damping, found.state.damping, found.rejected, found.n_costs) == (100.0, 10.0, 2, 3)


def test_a_trial_without_a_step_costs_nothing():
    attempt = Trials(lambda damping: trial(damping) if damping >= 100 else refused(damping, computed=False))
    assert FirstImprovement().run(attempt, RULE, RULE.start(1.0)).n_costs == 1


def test_it_gives_up_beyond_the_maximum():
    attempt = Trials(refused)
    found = FirstImprovement().run(attempt, RULE, RULE.start(1.0))
    assert attempt.asked == [1.0, 10.0, 100.0, 1e3, 1e4]
    assert not found.trial.acceptable
    assert (found.state.damping, found.rejected) == (1e5, 5)


def test_it_gives_up_when_the_change_is_rounding():
    attempt = Trials(lambda damping: refused(damping, negligible=True))
    assert not FirstImprovement().run(attempt, RULE, RULE.start(1.0)).trial.acceptable
    assert attempt.asked == [1.0]


# -- ratio probing -------------------------------------------------------------------------------------


def test_probing_takes_the_longest_step_that_is_good_enough():
    attempt = Trials(lambda damping: trial(damping, gain_ratio=damping))
    found = RatioProbing(target=0.5, decades=1.0, count=5).run(attempt, RULE, RULE.start(1.0))
    grid = 10.0 ** np.array([1, 0.5, 0, -0.5])
    np.testing.assert_allclose(attempt.asked, grid)  # stops at the first that is not
    assert found.trial.damping == found.state.damping == 1.0
    assert (found.rejected, found.n_costs) == (0, 4)


def test_probing_goes_down_to_the_end_of_its_grid():
    found = RatioProbing(decades=2.0, count=3).run(trial, RULE, RULE.start(1.0))
    np.testing.assert_allclose(found.state.damping, 0.01)


def test_probing_moves_its_grid_up_when_nothing_is_good_enough():
    attempt = Trials(lambda damping: trial(damping) if damping >= 500 else refused(damping))
    found = RatioProbing(decades=1.0, count=3).run(attempt, RULE, RULE.start(1.0))
    np.testing.assert_allclose(attempt.asked, [10, 1000, 100])
    assert (found.trial.damping, found.rejected) == (1000.0, 1)


@pytest.mark.parametrize("negligible", [False, True])
def test_probing_gives_up(negligible):
    attempt = Trials(lambda damping: refused(damping, negligible=negligible))
    found = RatioProbing().run(attempt, RULE, RULE.start(1.0))
    assert not found.trial.acceptable
    np.testing.assert_allclose(attempt.asked, [10.0] if negligible else [10, 1e3, 1e5])


@pytest.mark.parametrize(
    "arguments", [{"target": 0.0}, {"target": 1.0}, {"decades": 0.0}, {"count": 1}, {"decades": math.nan}]
)
def test_arguments_that_make_no_grid(arguments):
    with pytest.raises(
        ValueError, match=r"target=.* between 0 and 1, decades=.* positive, count=.* at least 2"
    ):
        RatioProbing(**arguments)
