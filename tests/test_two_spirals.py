"""The two spirals: the data of the classic comparison, and that we solve them from its start."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from marquardt import LevenbergMarquardt, NetworkProblem, Result, Status, Stopping, minimize
from marquardt.datasets import two_spirals
from marquardt.models.layers import Input, Sigmoid, Softmax
from marquardt.models.mlp import MLP

NETWORK = MLP([Input(2), Sigmoid(25), Softmax(2)])
BEST_SSE = 1.0  # both spirals begin at the origin, with different labels


def right(w: np.ndarray, X: np.ndarray, T: np.ndarray) -> int:
    return int(np.sum(NETWORK.predict(w, X).argmax(axis=1) == T.argmax(axis=1)))


def test_the_data_are_those_of_the_classic_comparison():
    """Written out again as its loops, on NumPy's global generator as it was used there."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        points, labels = [], []
        for label, turn in ((0, 0.0), (1, np.pi)):
            for i in range(250):
                r, t = i / 250 * 5, 1.75 * i / 250 * 2 * np.pi + turn
                points.append((r * np.sin(t), r * np.cos(t)))
                labels.append(label)
        np.random.seed(0)  # noqa: NPY002
        train = np.sort(np.random.choice(500, 400, replace=False))  # noqa: NPY002
        np.random.seed(1)  # noqa: NPY002
        blocks = [
            np.random.uniform(-0.1, 0.1, (n_in + 1) * n_out).reshape((n_in + 1, n_out), order="F")  # noqa: NPY002
            for n_in, n_out in ((2, 25), (25, 2))
        ]
    finally:
        np.random.set_state(state)  # noqa: NPY002
    spirals = two_spirals()
    test = np.setdiff1d(np.arange(500), train)
    np.testing.assert_allclose(spirals.X_train, np.array(points)[train], rtol=0, atol=1e-13)
    np.testing.assert_allclose(spirals.X_test, np.array(points)[test], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(spirals.T_train, np.eye(2)[np.array(labels)[train]])
    np.testing.assert_array_equal(spirals.T_test, np.eye(2)[np.array(labels)[test]])
    weights = NETWORK.pack([(block[:-1].T, block[-1]) for block in blocks])  # the bias is the last row
    np.testing.assert_array_equal(spirals.w0, weights)


def test_both_spirals_begin_at_the_origin_in_the_training_set():
    spirals = two_spirals()
    at_origin = np.abs(spirals.X_train).max(axis=1) == 0
    np.testing.assert_array_equal(spirals.T_train[at_origin], np.eye(2))


def starts(n: int) -> list[np.ndarray]:
    """The classic start, which has seed 1, and the next ones of its law.

    A run of hundreds of steps over plateaus depends on rounding, hence on the machine: ask for most of some
    starts, not for a certain one.
    """
    drawn = [np.random.RandomState(seed).uniform(-0.1, 0.1, NETWORK.n_params) for seed in range(1, n + 1)]
    np.testing.assert_array_equal(drawn[0], two_spirals().w0)
    return drawn


def test_solved_from_the_classic_start_and_its_neighbors():
    """93 % of 200 such starts are solved; here two of at most five."""
    spirals = two_spirals()
    problem = NetworkProblem(NETWORK, spirals.X_train, spirals.T_train)
    stopping = Stopping(max_iter=600, cost_goal=0.5 * (BEST_SSE + 1e-3))
    solved: list[Result] = []
    for w0 in starts(5):
        result = minimize(problem, w0, stopping=stopping)
        if result.status is Status.COST_GOAL:
            solved.append(result)
        if len(solved) == 2:
            break
    assert len(solved) == 2
    for result in solved:
        assert right(result.w, spirals.X_train, spirals.T_train) == 399
        assert right(result.w, spirals.X_test, spirals.T_test) >= 90
        assert 2 * result.cost >= BEST_SSE


def test_solved_by_neupys_face():
    """Its rule, mu 0.01 and factor 1.2, with our step: 98 % of 200 such starts."""
    spirals = two_spirals()
    for w0 in starts(2):
        stopping = Stopping(cost_goal=0.5 * (BEST_SSE + 1e-3), max_fail=None)
        optimizer = LevenbergMarquardt([Input(2), Sigmoid(25), Softmax(2)], w=w0, stopping=stopping)
        optimizer.train(spirals.X_train, spirals.T_train, epochs=600)
        if optimizer.status is Status.COST_GOAL:
            break
    assert optimizer.status is Status.COST_GOAL, optimizer.message
    assert right(optimizer.w, spirals.X_train, spirals.T_train) == 399
    assert 800 * optimizer.errors.train[-1] == pytest.approx(BEST_SSE, abs=2e-3)


@pytest.mark.slow
def test_the_example_draws_its_picture(tmp_path, monkeypatch, capsys):
    script = Path(__file__).parents[1] / "examples" / "two_spirals.py"
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path / "spirals.png")])
    runpy.run_path(str(script), run_name="__main__")
    assert (tmp_path / "spirals.png").stat().st_size > 50_000
    rows = capsys.readouterr().out.splitlines()[2:6]
    assert [row.split()[0] for row in rows] == ["marquardt", "SciPy", "Adam", "Adam,"]
