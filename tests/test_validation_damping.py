"""Damping guided by the validation cost: which trial is taken, and how it composes."""

import numpy as np
import pytest

from marquardt import Input, Linear, LMRegressor, Multiplicative, NetworkProblem, Stopping, Tanh, minimize
from marquardt.initialization import Glorot
from marquardt.search import FirstImprovement, Trial
from marquardt.validation_damping import ValidationGuided

RULE = Multiplicative(initial=1.0, up=10.0, down=10.0, maximum=1e4)


def run(best, acceptable=lambda damping: True, **options):
    """Search over trials whose point is log10 λ, and whose validation cost is least at λ = `best`."""
    asked = []

    def attempt(damping):
        asked.append(damping)
        w = np.array([np.log10(damping)])
        good = acceptable(damping)
        return Trial(damping, w, 1.0, 0.9 if good else -1.0, 1.0, good, False, False, n_costs=1)

    guided = ValidationGuided(RULE, **options)
    search = guided.search(FirstImprovement(), lambda w: abs(w[0] - np.log10(best)))
    return search.run(attempt, guided, guided.start(1.0)), asked


@pytest.mark.parametrize(
    ("best", "taken", "tries"),
    [
        (1.0, 1.0, [1.0, 10.0, 0.1]),
        (100.0, 100.0, [1.0, 10.0, 100.0, 1000.0]),
        (0.01, 0.01, [1.0, 10.0, 0.1, 0.01, 0.001]),
        (1e9, 1e3, [1.0, 10.0, 100.0, 1000.0]),
    ],
)
def test_the_damping_of_lowest_validation_cost_is_taken(best, taken, tries):
    found, asked = run(best, factor=10.0, reach=3)
    np.testing.assert_allclose(asked, tries)
    assert found.trial.damping == pytest.approx(taken)
    assert found.n_costs == len(tries)
    # the rule goes on where nothing was better than its own damping; else λ is kept
    assert found.state.damping == pytest.approx(0.1 if taken == 1.0 else taken)


def test_a_trial_that_does_not_lower_the_cost_is_never_taken():
    found, asked = run(1e-3, acceptable=lambda damping: damping >= 1.0, factor=10.0)
    assert found.trial.damping == 1.0
    np.testing.assert_allclose(asked, [1.0, 10.0, 0.1])
    assert not run(1.0, acceptable=lambda damping: False)[0].trial.acceptable


def problems():
    rng, network = np.random.default_rng(0), Input(2) >> Tanh(8) >> Linear(1)
    X = rng.uniform(-1, 1, (60, 2))
    y = np.sin(3 * X[:, 0]) + 0.3 * rng.normal(size=60)
    train, other = NetworkProblem(network, X[:40], y[:40]), NetworkProblem(network, X[40:], y[40:])
    return train, other, Glorot().draw(network, rng)


def test_a_fit_keeps_what_the_validation_rows_liked_best_and_lowers_the_cost():
    train, other, w0 = problems()
    stopping = Stopping(max_iter=30, max_fail=None)
    fit = minimize(train, w0, damping=ValidationGuided(), validation=other.cost, stopping=stopping)
    costs = fit.history.column("cost")
    assert (np.diff(costs) < 0).all()
    assert other.cost(fit.w) == min(fit.history.column("validation_cost")) < other.cost(w0)


def test_it_needs_validation_rows():
    train, _, w0 = problems()
    with pytest.raises(ValueError, match=r"damping=ValidationGuided\(\) needs rows .* give validation="):
        minimize(train, w0, damping=ValidationGuided())
    with pytest.raises(
        ValueError, match="'validation' is guided by validation rows: set early_stopping=True"
    ):
        LMRegressor(damping="validation").fit(np.eye(9), np.arange(9.0))


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_the_estimators_offer_it(loss):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (80, 2))
    model = LMRegressor(
        (5,), damping="validation", early_stopping=True, n_starts=1, random_state=0, loss=loss
    )
    assert model.fit(X, X[:, 0] + 0.1 * rng.normal(size=80)).score(X, X[:, 0]) > 0.9


@pytest.mark.parametrize("options", [{"factor": 1.0}, {"reach": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match="must exceed 1"):
        ValidationGuided(**options)
