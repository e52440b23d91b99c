"""`NARXRegressor`, its rows, and how far back a gradient reaches."""

from __future__ import annotations

import copy
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from marquardt import ClosedLoopProblem, Input, Linear, NetworkProblem, Relu, Status, Stopping, minimize
from marquardt.apps.sequences import Delays, GradientFlow, NARXRegressor, Watched, closed_training, prepare
from marquardt.apps.sequences.closed_training import train_closed
from marquardt.apps.sequences.preparation import rows_of
from marquardt.apps.sequences.series import Series


def plant(u, a=0.6, b=-0.2):
    """y' = a y + b y₁ + sin 2u, from rest."""
    y = np.zeros(len(u))
    for t in range(1, len(u)):
        y[t] = a * y[t - 1] + b * (y[t - 2] if t > 1 else 0.0) + np.sin(2 * u[t - 1])
    return y


U = np.random.default_rng(0).uniform(-1, 1, 300)
Y = plant(U)
NOISY = Y + 0.1 * np.random.default_rng(1).normal(size=300)


def model(**options):
    chosen = {"alpha": 1e-4, "n_starts": 1, "random_state": 0, **options}
    return NARXRegressor(5, [1], [1, 2], **chosen)


OPEN = model().fit(U, Y)

# -- rows --------------------------------------------------------------------------------------------


def test_rows_of_several_signals_and_series():
    u = [np.arange(10.0).reshape(5, 2), 100 + np.arange(8.0).reshape(4, 2)]
    y = [np.arange(5.0), 50 + np.arange(4.0)]
    rows = prepare(u, y, [0, 2], [1])
    assert rows.names == ("u1(t)", "u2(t)", "u1(t-2)", "u2(t-2)", "y(t-1)")
    np.testing.assert_array_equal(rows.X[0], [4, 5, 0, 1, 1])
    np.testing.assert_array_equal(rows.X[3], [104, 105, 100, 101, 51])
    np.testing.assert_array_equal(rows.series, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(rows.time, [2, 3, 4, 2, 3])
    np.testing.assert_array_equal(rows.y.ravel(), [2, 3, 4, 52, 53])


@pytest.mark.parametrize(
    ("missing", "horizon", "expected"),
    [
        ([], None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ([5], None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ([0], None, [0, 1, 2, 3, 4, 5, 6]),
        ([1], None, [0, 1, 2, 3, 4, 5]),
        ([], 3, [0, 1, 2, 0, 1, 2, 0, 1]),
        ([], 1, [0] * 8),
        ([4], 3, [0, 1, 2, 3, 4, 0, 1, 2]),  # the loop stays closed over the gap
    ],
)
def test_steps_of_the_closed_loop(missing, horizon, expected):
    y = np.arange(10.0)[:, None]
    y[missing] = np.nan
    rows, feedback = rows_of([Series(np.empty((10, 0)), y)], Delays((), (1, 2))).closed(horizon)
    np.testing.assert_array_equal(feedback.steps, expected)
    assert np.isfinite(rows.X).all()


# -- fits --------------------------------------------------------------------------------------------


def test_a_linear_model_is_least_squares():
    fitted = NARXRegressor((), [1], [1, 2], alpha=0.0, n_starts=1, random_state=0).fit(U, NOISY)
    rows = prepare(U, NOISY, [1], [1, 2])
    A = np.column_stack([rows.X, np.ones(len(rows.X))])
    expected = A @ np.linalg.lstsq(A, rows.y[:, 0], rcond=None)[0]
    np.testing.assert_allclose(fitted.predict(U, NOISY)[2:], expected, atol=1e-5)


def test_closed_training_simulates_better_than_open_where_measurements_are_noisy():
    a, b = model(alpha=0.01).fit(U, NOISY), model(alpha=0.01, training="closed").fit(U, NOISY)
    fresh = np.random.default_rng(5).uniform(-1, 1, 300)
    truth = plant(fresh)
    assert 1 - b.score(fresh, truth) < 0.7 * (1 - a.score(fresh, truth))
    assert b.score(U, NOISY) > a.score(U, NOISY)
    assert b.score(U, NOISY, 1) < a.score(U, NOISY, 1)  # each is the best at what it was trained for


def test_bayesian_closed_training_finds_the_noise():
    fitted = NARXRegressor(4, [1], [1, 2], training="closed", n_starts=2, random_state=0).fit(U, NOISY)
    assert fitted.evidence_.noise_sd * fitted.y_scaler_.scale_[0] == pytest.approx(0.1, rel=0.2)


def test_horizon_of_one_is_open_loop():
    a, b = model(tol=1e-9).fit(U, NOISY), model(tol=1e-9, training="closed", horizon=1).fit(U, NOISY)
    assert b.result_.cost == pytest.approx(a.result_.cost, rel=1e-3)


def test_n_steps_ahead_is_a_short_simulation():
    ahead = OPEN.predict(U, NOISY, 4)
    for t in (5, 17, 299):
        start = t - 4 - 1  # two measured outputs, up to t - 4
        short = OPEN.simulate(U[start : t + 1], NOISY[start : start + 2])
        assert ahead[t] == pytest.approx(short[-1], abs=1e-10)
    assert np.isnan(ahead[:5]).all() and np.isfinite(ahead[5:]).all()


def test_score_ahead_falls_to_that_of_the_simulation():
    scores = [OPEN.score(U, NOISY, n) for n in (1, 2, 20)]
    assert scores[2] == pytest.approx(OPEN.score(U, NOISY), abs=2e-3)


def test_units_do_not_matter():
    other = model().fit(1e6 * U - 3, 1e-6 * Y + 5)
    np.testing.assert_allclose(
        (other.predict(1e6 * U - 3, 1e-6 * Y + 5) - 5) * 1e6, OPEN.predict(U, Y), atol=1e-3
    )


def test_several_series_and_their_form():
    us, ys = [U[:100], U[100:250]], [NOISY[:100], NOISY[100:250]]
    fitted = model().fit(us, ys)
    found = fitted.predict(us, ys)
    assert [f.shape for f in found] == [(100,), (150,)]
    np.testing.assert_allclose(found[1], fitted.predict(us[1], ys[1]))
    np.testing.assert_allclose(fitted.simulate(us, ys)[1], fitted.simulate(us[1], ys[1]))
    assert 0.9 < fitted.score(us, ys) < 1
    assert fitted.predict(us[0][:, None], ys[0][:, None]).shape == (100, 1)


def test_a_nested_list_is_one_series():
    """[[1.0], [2.0], ...] was read as T series of one time."""
    u, y = U[:60, None], NOISY[:60, None]
    a, b = model().fit(u.tolist(), y.tolist()), model().fit(u, y)
    np.testing.assert_array_equal(a.w_, b.w_)
    assert a.predict(u.tolist(), y.tolist()).shape == (60, 1)
    with pytest.raises(ValueError, match="several series are a list of arrays"):
        model().fit([U[:50].tolist(), U[:60].tolist()], [Y[:50], Y[:60]])


def test_two_inputs_two_outputs():
    rng = np.random.default_rng(2)
    u, y = rng.uniform(-1, 1, (300, 2)), np.zeros((300, 2))
    for t in range(1, 300):
        y[t, 0] = 0.5 * y[t - 1, 0] + 0.3 * y[t - 1, 1] + u[t - 1, 0]
        y[t, 1] = 0.4 * y[t - 1, 1] - 0.2 * np.tanh(y[t - 1, 0]) + u[t - 1, 1] ** 2
    fitted = NARXRegressor(
        8, [1], [1], alpha=1e-6, n_starts=1, training="closed", random_state=0, max_iter=50
    )
    fitted.fit(u[:200], y[:200])
    assert fitted.score(u[200:], y[200:]) > 0.999
    assert fitted.simulate(u[200:], y[200:201]).shape == (100, 2)


def test_without_inputs():
    y = np.sin(0.3 * np.arange(120))
    fitted = NARXRegressor((), output_delays=[1, 2], alpha=0.0, n_starts=1, random_state=0).fit(None, y)
    np.testing.assert_allclose(fitted.simulate(None, y[:2], n_steps=60), y[:60], atol=1e-3)
    with pytest.raises(ValueError, match="n_steps is needed"):
        fitted.simulate(None, y[:2])


def test_gaps_are_told_and_bridged():
    y = NOISY.copy()
    y[[0, 40, 41, 42, 150]] = np.nan
    fitted = model(training="closed").fit(U, y)
    assert "touch a gap" in fitted.notes_[0]
    assert fitted.score(U, Y) > 0.99
    assert np.isnan(fitted.predict(U, y)[42]) and np.isfinite(fitted.predict(U, y)[50])


@pytest.mark.parametrize(("which", "name"), [(0, "u signal 2"), (1, "y signal 1")])
def test_constant_signals_are_told(which, name):
    u = np.column_stack([U, np.full(300, 7.0) if which == 0 else U**2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evidence may say that there is nothing to find
        fitted = model().fit(u, np.full(300, 3.0) if which else Y)
    assert f"{name} is constant" in fitted.notes_[0]
    if which:
        np.testing.assert_allclose(fitted.simulate(u, [3.0, 3.0]), 3.0, atol=1e-6)


def test_constant_outputs_in_closed_loop():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model(training="closed").fit(U, np.full(300, 3.0))
    assert fitted.notes_ == ("y signal 1 is constant: nothing can be learned of it",)


def test_an_unstable_loop_is_told():
    """A plant that grows until it is caught: its open-loop model, followed alone, goes away."""
    rng = np.random.default_rng(0)
    y = np.zeros(150)
    for t in range(1, 150):
        y[t] = 1.3 * y[t - 1] + rng.normal() if abs(y[t - 1]) < 20 else rng.normal()
    series = [part for part in np.split(y, 1 + np.flatnonzero(abs(y) >= 20)) if len(part) > 3]
    fitted = NARXRegressor((), output_delays=[1], alpha=0.0, n_starts=1, random_state=0).fit(None, series)
    assert fitted.stability_.verdict == "exploding"
    assert any("amplifies" in note for note in fitted.notes_)
    with pytest.warns(UserWarning, match="overflows from time"):
        found = fitted.simulate(None, [5.0], n_steps=4000)
    assert np.isnan(found[-1]) and np.isfinite(found[:100]).all()


def rectifier(seed=0):
    """Problems of a horizon, and an open-loop fit whose loop has a gain of 1.4: none can be simulated."""
    rng = np.random.default_rng(seed)
    network, u, y = Input(2) >> Relu(3) >> Linear(1), rng.normal(size=3000), np.zeros(3000)
    for t in range(1, 3000):
        y[t] = 0.7 * y[t - 1] + np.maximum(u[t], 0)
    rows = rows_of([Series(u[:, None], y[:, None])], Delays((0,), (1,)))
    # relu(y) - relu(-y) with that gain
    w = network.pack(
        [(np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]), np.zeros(3)), ([[1.4, -1.4, 1.0]], [0.0])]
    )

    def problem_of(horizon):
        kept, feedback = rows.closed(horizon)
        return ClosedLoopProblem(network, kept.X, kept.y, feedback)

    return problem_of, w


def test_growing_horizons_where_no_start_can_be_simulated():
    problem_of, w = rectifier()
    fit = train_closed(problem_of, [w], Stopping(max_iter=30), bayesian=False, horizon=None)
    assert "over horizons of 4" in fit.notes[0]
    assert re.fullmatch(r"\d+ simulations overflowed; such steps were rejected", fit.notes[1])
    assert fit.result.cost < 1e-6


def interrupt_training(monkeypatch, number, inside):
    """Ctrl-C in that training of the closed loop, or before it; -> the list of all that were begun."""
    whole, begun = closed_training.minimize, []

    def run(problem, w, *, stopping):
        begun.append(stopping)
        if len(begun) != number:
            return whole(problem, w, stopping=stopping)
        if not inside:
            raise KeyboardInterrupt

        def stop(iteration):
            if iteration.iteration == (number == 1):  # the later ones have converged
                raise KeyboardInterrupt

        return whole(problem, w, stopping=stopping, callback=stop)

    monkeypatch.setattr(closed_training, "minimize", run)
    return begun


@pytest.mark.parametrize("bayesian", [False, True])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("number", [1, 3])  # on a short horizon; on the whole loop (2 has no start there)
def test_ctrl_c_ends_all_closed_loop_trainings(monkeypatch, number, inside, bayesian):
    problem_of, w = rectifier()
    begun = interrupt_training(monkeypatch, number, inside)
    fit = train_closed(problem_of, [w], Stopping(max_iter=30), bayesian=bayesian, horizon=None)
    assert fit.result.status is Status.INTERRUPTED
    assert [stopping.max_iter for stopping in begun[number:]] == ([] if bayesian else [0])
    assert (fit.evidence is not None) == bayesian
    assert np.isfinite(fit.w).all() and fit.result.w is fit.w


def test_one_limit_of_time_for_all_closed_loop_trainings(monkeypatch):
    problem_of, w = rectifier()
    begun = interrupt_training(monkeypatch, 0, False)
    fit = train_closed(problem_of, [w], Stopping(max_iter=30, max_time=0.0), bayesian=False, horizon=None)
    assert len(begun) == 1  # which had no time for a step
    np.testing.assert_array_equal(fit.w, w)
    begun.clear()
    train_closed(problem_of, [w], Stopping(max_iter=30, max_time=1e3), bayesian=False, horizon=None)
    limits = [stopping.max_time for stopping in begun]
    assert len(limits) >= 4 and (np.diff(limits) < 0).all()


@pytest.mark.parametrize("start", [0, 2])
def test_no_closed_loop_training_after_an_interrupted_open_one(monkeypatch, start):
    """Ctrl-C in the first start of four, and between the second and the third."""
    from marquardt.estimators import starts as rooms

    whole, n = rooms._run, 0

    def run(*args):
        nonlocal n
        n += 1
        if n == start + 1 and start:
            raise KeyboardInterrupt
        done = whole(*args)
        return (
            replace(done, result=replace(done.result, status=Status.INTERRUPTED)) if n == start + 1 else done
        )

    monkeypatch.setattr(rooms, "_run", run)
    begun = interrupt_training(monkeypatch, 0, False)
    with pytest.warns(UserWarning, match="interrupted"):
        fitted = model(training="closed", n_starts=4).fit(U, NOISY)
    assert not begun and any("the fit is that of the open loop" in note for note in fitted.notes_)
    assert fitted.score(U, Y) > 0.5


def test_scikit_learn_manners():
    twin = clone(OPEN)
    assert twin.get_params() == OPEN.get_params()
    np.testing.assert_array_equal(twin.fit(U, Y).w_, OPEN.w_)


# -- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_delays": [0, 1]}, "cannot depend on itself"),
        ({"output_delays": []}, "feeds nothing back"),
        ({"output_delays": [1, 1]}, "has 1 twice"),
        ({"input_delays": [0, 2, 2]}, "has 2 twice"),
        ({"input_delays": [-1]}, "negative delay"),
        ({"input_delays": 2}, "in a sequence"),
        ({"input_delays": [0.5]}, "whole numbers"),
        ({"training": "parallel"}, "must be 'open' or 'closed'"),
        ({"regularization": "l1"}, "must be 'auto'"),
        ({"horizon": 0, "training": "closed"}, "must be a whole number"),
        ({"horizon": 5}, "is for training='closed'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        NARXRegressor(**options).fit(U, Y)


def with_value(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("u", "y", "message"),
    [
        (U[:-1], Y, "u has 299 times and y has 300"),
        (U[:2], Y[:2], "has 2 times, but the longest delay is 2"),
        ([U, U[:1]], [Y, Y[:1]], "series 1 has 1 times"),
        ([U, U], [Y], "u has 2 series and y has 1"),
        (with_value(U, 7, np.nan), Y, "u of series 0 is NaN at time 7: fill the gap"),
        (with_value(U, 7, np.inf), Y, "u is infinite at time 7"),
        (U, with_value(Y, 3, -np.inf), "y is infinite at time 3"),
        (U, np.full(300, np.nan), "without any measured value"),
        (U, np.where(np.arange(300) % 2 == 0, Y, np.nan), "0 rows have all their delayed outputs"),
        (U, np.zeros((300, 0)), "y has shape"),
        (U, ["a"] * 300, "must be numbers"),
        ([U, np.column_stack([U, U])], [Y, Y], "different numbers of signals"),
    ],
)
def test_bad_series(u, y, message):
    with pytest.raises(ValueError, match=message):
        model().fit(u, y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.simulate(U, Y[:1]), "y_start of series 0 has 1 rows"),
        (lambda m: m.simulate(U, [np.nan, 0.0]), "holds NaN"),
        (lambda m: m.simulate(U[:2], Y[:2]), "the start takes 2"),
        (lambda m: m.simulate([U, U], Y[:2]), "2 series and y_start 1"),
        (lambda m: m.simulate(np.column_stack([U, U]), Y[:2]), "u has 2 signals"),
        (lambda m: m.predict(U, np.column_stack([Y, Y])), "y 2, but the model was trained on 1 and 1"),
        (lambda m: m.predict(U, Y, 0), "n_steps=0"),
        (lambda m: m.predict(U[:2], Y[:2]), "longest delay is 2"),
    ],
)
def test_bad_use(call, message):
    with pytest.raises(ValueError, match=message):
        call(OPEN)


# -- gradients through time --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norms", "verdict", "factor", "words"),
    [
        (0.5 ** np.arange(20.0), "vanishing", 0.5, "below 1 % beyond 6 steps"),
        (1.3 ** np.arange(20.0), "exploding", 1.3, "errors of the state grow alike"),
        (np.full(20, 2.0), "steady", 1.0, "steady"),
        ([1.0, 0.0, 0.0], "vanishing", 0.0, "below 1 % beyond 0 steps"),
        ([0.0, 0.0], "steady", 0.0, "steady"),
        ([1.0, np.inf], "exploding", np.nan, "overflows"),
        ([1.0, np.nan], "exploding", np.nan, "overflows"),
    ],
)
def test_flow_in_words(norms, verdict, factor, words):
    flow = GradientFlow(norms)
    assert flow.verdict == verdict
    np.testing.assert_allclose(flow.factor, factor, atol=1e-12)
    assert words in str(flow)


@pytest.mark.parametrize("norms", [[1.0], [[1.0, 2.0]], [1.0, -1.0]])
def test_no_flow(norms):
    with pytest.raises(ValueError, match="two or more numbers"):
        GradientFlow(norms)


def test_a_watched_problem_takes_the_same_steps():
    X, y = np.linspace(-1, 1, 9)[:, None], np.linspace(-1, 1, 9) ** 3
    problem, lines = NetworkProblem(Input(1) >> Linear(1), X, y, alpha=0.1), []
    watched = Watched(problem, flow=lambda w: np.array([1.0, abs(w[0])]), show=lines.append)
    assert str(watched) == "nothing was linearized yet"
    result = minimize(watched, [0.3, 0.1])
    np.testing.assert_array_equal(result.w, minimize(problem, [0.3, 0.1]).w)
    assert len(watched.gradient_norms) == len(watched.flows) == len(lines) == result.n_jacobians
    assert "Through time at the end" in str(watched) and "|g|" in lines[0]
    assert copy.copy(watched).n_params == 2
