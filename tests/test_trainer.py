"""NeuPy's face: its vocabulary, its events, and where it differs on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt import (
    MLP,
    Input,
    LevenbergMarquardt,
    Linear,
    Multiplicative,
    NetworkProblem,
    Nielsen,
    Sigmoid,
    Status,
    Stopping,
    Tanh,
    minimize,
)
from marquardt.trainer.escalating import Escalating
from small_trainer import sine, sine_trainer

X_PAIR, Y_PAIR = np.array([[1, 2], [3, 4]]), np.array([[1], [0]])


@pytest.mark.parametrize(
    "network",
    [
        Input(2) >> Sigmoid(3) >> Sigmoid(1),
        [Input(2), Sigmoid(3), Sigmoid(1)],
        (Input(2), Sigmoid(3), Sigmoid(1)),
        (2, 3, 1),
        [np.int64(2), 3, 1],
    ],
    ids=["chain", "list", "tuple", "sizes", "numpy sizes"],
)
def test_the_documented_example(network):
    optimizer = LevenbergMarquardt(network, random_state=0)
    assert optimizer.network == MLP([Input(2), Sigmoid(3), Sigmoid(1)])
    assert optimizer.train(X_PAIR, Y_PAIR) is None
    assert np.abs(optimizer.predict(X_PAIR) - Y_PAIR).max() < 0.01


def test_fit_returns_the_trainer_and_score_is_the_error():
    X, y = sine()
    optimizer = sine_trainer()
    assert optimizer.fit(X, y, epochs=20) is optimizer
    assert optimizer.score(X, y) == pytest.approx(optimizer.errors.train[-1], rel=1e-9)
    np.testing.assert_array_equal(optimizer.transform(X), optimizer.predict(X))


def test_the_squares_are_not_squared_again():
    """The best constant for 0, 0, 0, 10 is the mean, 2.5; for the sum of fourth powers it is 4.09."""
    optimizer = LevenbergMarquardt(Input(1) >> Linear(1), random_state=0)
    optimizer.train(np.zeros((4, 1)), [0.0, 0.0, 0.0, 10.0])
    assert optimizer.predict([[0.0]]) == pytest.approx(2.5)


@pytest.mark.parametrize("mu", [1e-8, 0.01, 1e4])
@pytest.mark.parametrize("parts", [True, False])
def test_the_error_never_rises(mu, parts):
    X, y = sine()
    optimizer = sine_trainer(mu=mu, acceleration=parts, resolve_output=parts)
    optimizer.train(X, y, epochs=30)
    assert (np.diff(optimizer.errors.train) <= 0).all()


def test_the_steps_are_those_of_the_driver():
    X, y = sine()
    rule = Multiplicative(initial=0.01, up=1.2, down=1.2)
    optimizer = sine_trainer(damping=rule)
    w0 = optimizer.w
    optimizer.train(X, y, epochs=15)
    stopping = Stopping(max_iter=15)
    result = minimize(NetworkProblem(optimizer.network, X, y), w0, damping=rule, stopping=stopping)
    np.testing.assert_array_equal(optimizer.w, result.w)
    np.testing.assert_allclose(optimizer.errors.train, 2 * result.history.column("cost")[1:] / 40, rtol=1e-14)
    assert optimizer.history[-1].n_costs == result.n_costs


def test_training_in_two_parts_is_training_in_one():
    X, y = sine()
    whole, parts = sine_trainer(), sine_trainer()
    whole.train(X, y, epochs=12)
    parts.train(X, y, epochs=5)
    parts.train(X, y, epochs=7)
    np.testing.assert_array_equal(parts.w, whole.w)
    assert parts.last_epoch == parts.n_updates_made == 12 == len(parts.errors.train)


def test_one_training_update_is_one_step():
    X, y = sine()
    whole, loop = sine_trainer(), sine_trainer()
    whole.train(X, y, epochs=4)
    errors = [loop.one_training_update(X, y) for _ in range(4)]
    np.testing.assert_array_equal(errors, whole.errors.train)
    assert loop.n_updates_made == 4 and loop.last_epoch == 0 and loop.errors.train == []


def test_errors_on_test_data_have_one_entry_an_epoch():
    X, y = sine()
    optimizer = sine_trainer()
    optimizer.train(X[::2], y[::2], X[1::2], y[1::2], epochs=6)
    assert len(optimizer.errors.valid) == 6
    assert optimizer.errors.valid[-1] == pytest.approx(optimizer.score(X[1::2], y[1::2]))
    assert "6 epochs, last train" in repr(optimizer.errors)


def test_vectors_are_columns():
    X, y = sine()
    matrix, vector = sine_trainer(), sine_trainer()
    matrix.train(X, y, X, y, epochs=3)
    vector.train(X[:, 0], y[:, 0], X[:, 0], y[:, 0], epochs=3)
    np.testing.assert_array_equal(vector.predict(X[:, 0]), matrix.predict(X))
    assert LevenbergMarquardt((3, 2, 1), random_state=0).predict([1.0, 2.0, 3.0]).shape == (1, 1)


@pytest.mark.filterwarnings("ignore:the targets go from")  # logistic outputs, as in NeuPy
def test_several_outputs_and_the_mean_over_them():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    optimizer = LevenbergMarquardt((3, 4, 2), random_state=0)
    optimizer.train(X, y, epochs=3)
    assert optimizer.errors.train[-1] == pytest.approx(np.mean((optimizer.predict(X) - y) ** 2))


def test_training_ends_when_there_is_nothing_left_to_gain():
    optimizer = LevenbergMarquardt(Input(1) >> Linear(1), random_state=0)
    optimizer.train([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 0.0, 1.0], epochs=1000)
    assert optimizer.last_epoch < 50
    assert optimizer.status is not None and optimizer.status.converged
    assert optimizer.message.endswith(optimizer.status.value)


def test_training_goes_on_after_it_was_at_its_end():
    """Where no step was found, mu is at its limit; other data need the first one again."""
    X, y = sine()
    optimizer = sine_trainer()
    optimizer.train(X, y, epochs=3)
    w = optimizer.w
    optimizer.train(X, optimizer.predict(X), epochs=3)
    assert optimizer.last_epoch == 4, "the targets are met: the first epoch finds no step"
    np.testing.assert_array_equal(optimizer.w, w)
    optimizer.train(X, y, epochs=50)
    assert optimizer.errors.train[-1] < 0.1 * optimizer.errors.train[2]


def test_setting_the_weights():
    X, y = sine()
    optimizer = sine_trainer()
    first = optimizer.w
    optimizer.train(X, y, epochs=5)
    optimizer.w = first
    np.testing.assert_array_equal(optimizer.w, first)
    given = LevenbergMarquardt(Input(1) >> Tanh(6) >> Linear(1), w=first)
    for trainer in (optimizer, given):
        trainer.train(X, y, epochs=5)
    np.testing.assert_array_equal(optimizer.w, given.w)


def test_the_seed_decides_the_weights():
    a, b, c = (LevenbergMarquardt((2, 3, 1), random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.w, b.w)
    assert (a.w != c.w).any()


def test_the_law_of_the_weights_sees_the_inputs():
    """Nguyen-Widrow's units are spread over the range of X, wherever it is."""
    X, y = sine()
    blind, seeing = sine_trainer(), sine_trainer()
    blind.w  # noqa: B018  drawn here, without inputs
    for trainer in (blind, seeing):
        trainer.train(X + 10.0, y, epochs=30)
    assert seeing.errors.train[-1] < 1e-2 * blind.errors.train[-1]


@pytest.mark.filterwarnings("ignore:the targets go from")  # logistic outputs, as in NeuPy
def test_max_fail_restores_the_best_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4))
    y = X[:, :1] + 0.5 * rng.normal(size=(30, 1))
    optimizer = LevenbergMarquardt((4, 12, 1), stopping=Stopping(max_fail=4), random_state=0)
    optimizer.train(X[:20], y[:20], X[20:], y[20:])
    assert optimizer.status is Status.MAX_FAIL
    assert np.argmin(optimizer.errors.valid) == len(optimizer.errors.valid) - 5
    assert optimizer.score(X[20:], y[20:]) == pytest.approx(min(optimizer.errors.valid))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({}, Escalating(0.01, 1.2)),
        ({"mu": 3, "mu_update_factor": 2}, Escalating(3.0, 2.0)),
        ({"mu": 0.1, "mu_update_factor": None}, Nielsen(initial=0.1)),
        ({"damping": Multiplicative()}, Multiplicative()),
    ],
)
def test_the_damping_rule(settings, rule):
    optimizer = LevenbergMarquardt((2, 3, 1), **settings)
    assert optimizer.method.damping == rule
    assert repr(rule) in repr(optimizer)


def test_escalating_raises_its_factor_when_patience_ends():
    rule = Escalating(initial=1.0, factor=2.0, patience=3)
    state, dampings = rule.start(curvature=1.0), []
    for _ in range(6):
        state = rule.rejected(state, -1.0)
        dampings.append(state.damping)
    assert dampings == [2, 4, 8, 8 * 4, 8 * 4 * 8, 8 * 4 * 8 * 16]
    state = rule.accepted(state, 0.5)
    assert state.damping == 8 * 4 * 8 * 16 / 2
    assert rule.rejected(state, -1.0).damping == 2 * state.damping
