"""Each reason to stop: as a pure function of one record, and in a run with its numbers in the message."""

import math

import numpy as np
import pytest

from marquardt import (
    Input,
    Linear,
    Multiplicative,
    NetworkProblem,
    Status,
    Stopping,
    Tanh,
    minimize,
)
from tables import PROBLEMS, exponential_curve, record


@pytest.mark.parametrize(
    ("stopping", "changes", "fails", "status", "message"),
    [
        ({"cost_goal": 1.0}, {}, 0, Status.COST_GOAL, "cost 1 <= goal 1"),
        ({"cost_goal": 0.5}, {}, 0, None, ""),
        ({}, {"cost": 0.0}, 0, Status.COST_GOAL, "cost 0 <= goal 0"),
        (
            {"gradient_tolerance": 0.1},
            {},
            0,
            Status.GRADIENT_TOLERANCE,
            "largest gradient entry 0.1 <= tolerance 0.1",
        ),
        ({"gradient_tolerance": 0.09}, {}, 0, None, ""),
        ({}, {"gradient_norm": 0.0}, 0, Status.GRADIENT_TOLERANCE, "largest gradient entry 0 <= tolerance 0"),
        ({}, {}, 6, Status.MAX_FAIL, "validation cost did not improve for 6 iterations"),
        ({}, {}, 5, None, ""),
        ({"max_fail": None}, {}, 1000, None, ""),
        ({"max_iter": 5}, {}, 0, Status.MAX_ITER, "5 iterations, limit 5"),
        ({"max_iter": 6}, {}, 0, None, ""),
        ({"max_time": 1.0}, {}, 0, Status.MAX_TIME, "1 s, limit 1 s"),
        ({"max_time": 1.01}, {}, 0, None, ""),
        (
            {"cost_tolerance": 0.1},
            {},
            0,
            Status.COST_TOLERANCE,
            "relative decrease 0.1 <= tolerance 0.1",
        ),
        ({"cost_tolerance": 0.1}, {"predicted": 0.2}, 0, None, ""),
        ({"cost_tolerance": 0.1}, {"decrease": 0.2}, 0, None, ""),
        ({"step_tolerance": 0.1}, {"step_norm": 0.21}, 0, Status.STEP_TOLERANCE, "step norm 0.21 <= 0.21"),
        ({"step_tolerance": 0.1}, {"step_norm": 0.22}, 0, None, ""),
        ({"cost_tolerance": 1.0, "step_tolerance": 1.0}, {"iteration": 0}, 0, None, ""),
        ({}, {}, 0, None, ""),
    ],
)
def test_one_record_one_reason(stopping, changes, fails, status, message):
    reason = Stopping(**stopping).reason(record(**changes), w_norm=2.0, fails=fails)
    assert reason == (None if status is None else (status, message))


def test_convergence_comes_before_the_limit_of_iterations():
    stopping = Stopping(max_iter=5, cost_tolerance=0.5, max_time=0.5)
    status, _ = stopping.reason(record(), 2.0, 0)
    assert status is Status.COST_TOLERANCE


def test_tolerances_of_zero_are_switched_off():
    stopping = Stopping(cost_tolerance=0, step_tolerance=0)
    assert stopping.reason(record(decrease=1e-300, predicted=1e-300, step_norm=1e-300), 2.0, 0) is None


# -- in a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            {"max_iter": 3},
            Status.MAX_ITER,
            "3 iterations, limit 3. The limit of iterations came first: raise",
        ),
        ({"max_iter": 0}, Status.MAX_ITER, "0 iterations, limit 0. "),
        ({"max_time": 0.0}, Status.MAX_TIME, " s, limit 0 s. The limit of time came first: raise max_time"),
        ({"cost_goal": 0.2}, Status.COST_GOAL, " <= goal 0.2. The goal is reached."),
        (
            {"gradient_tolerance": 1e-2},
            Status.GRADIENT_TOLERANCE,
            " <= tolerance 0.01. The gradient has vanish",
        ),
        ({"cost_tolerance": 1e-2}, Status.COST_TOLERANCE, " <= tolerance 0.01. The cost no longer changes"),
        (
            {"step_tolerance": 1e-2},
            Status.STEP_TOLERANCE,
            "The parameters no longer change: the fit has conv",
        ),
    ],
)
def test_each_limit_and_tolerance_ends_a_run(options, status, message):
    problem, w0 = PROBLEMS["one output"]()
    result = minimize(problem, w0, stopping=Stopping(**({"max_iter": 300} | options)))
    assert result.status is status
    assert message in result.message
    assert result.message[0].isupper() or result.message[0].isdigit()
    assert result.success
    assert result.status.converged == (status not in (Status.MAX_ITER, Status.MAX_TIME))


def test_the_largest_damping_ends_a_run():
    """A cost that rises whatever one does: its Jacobian has the wrong sign."""
    right, w0 = exponential_curve()
    wrong, _ = exponential_curve(lambda w: -right.linearize(w).jacobian.dense())
    result = minimize(wrong, w0, damping=Multiplicative(maximum=1e4), acceleration=None)
    assert result.status is Status.DAMPING_LIMIT
    assert "Damping 1e+05 > limit 1e+04. No step decreases the cost any more" in result.message
    np.testing.assert_array_equal(result.w, w0)
    assert result.n_iter == 0


def test_a_wrong_jacobian_is_not_called_convergence():
    right, w0 = exponential_curve()
    wrong, _ = exponential_curve(lambda w: -right.linearize(w).jacobian.dense())
    result = minimize(wrong, w0)
    assert result.status is Status.DAMPING_LIMIT
    assert "The linear model promised a decrease of" in result.message
    assert "check a Jacobian of your own" in result.message


def test_a_step_that_promises_nothing_is_convergence():
    problem, w0 = exponential_curve()
    converged = minimize(problem, w0)
    again = minimize(problem, converged.w, stopping=Stopping(cost_tolerance=0, step_tolerance=0))
    assert again.status is Status.COST_TOLERANCE
    assert "is rounding of cost" in again.message


def test_validation_ends_a_run_and_gives_its_best_back():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    network = Input(2) >> Tanh(8) >> Linear(1)
    held_out = NetworkProblem(network, rng.normal(size=(50, 2)), rng.normal(size=50))
    problem = NetworkProblem(network, X, y)
    stopping = Stopping(max_fail=4, max_iter=100)
    result = minimize(
        problem, 0.1 * rng.normal(size=network.n_params), validation=held_out.cost, stopping=stopping
    )
    assert result.status is Status.MAX_FAIL
    assert result.message.startswith("Validation cost did not improve for 4 iterations. Stopped early")
    validation = result.history.column("validation_cost")
    assert validation.argmin() == len(validation) - 5
    assert held_out.cost(result.w) == validation.min()
    assert problem.cost(result.w) == result.cost == result.history[-5].cost
    assert problem.cost(result.w_last) == result.history[-1].cost < result.cost


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_iter": -1}, "max_iter=-1 must be an integer >= 0"),
        ({"max_iter": 2.5}, "max_iter=2.5 must be an integer >= 0"),
        ({"max_iter": math.inf}, "max_iter=inf must be an integer >= 0"),
        ({"max_iter": math.nan}, "max_iter=nan must be an integer >= 0"),
        ({"max_time": -1.0}, "max_time=-1.0 must be >= 0 seconds, or None for no limit"),
        ({"max_time": math.nan}, "max_time=nan must be"),
        ({"max_fail": 0}, "max_fail=0 must be >= 1, or None for no limit"),
        ({"cost_goal": -1.0}, "cost_goal=-1.0 must be >= 0"),
        ({"cost_goal": math.nan}, "cost_goal=nan must be >= 0"),
        ({"gradient_tolerance": -1e-3}, "gradient_tolerance=-0.001 must be >= 0"),
        ({"cost_tolerance": -1.0}, "cost_tolerance=-1.0 must be >= 0"),
        ({"step_tolerance": -1.0}, "step_tolerance=-1.0 must be >= 0"),
    ],
)
def test_arguments_that_make_no_limits(arguments, message):
    with pytest.raises(ValueError, match=message):
        Stopping(**arguments)


def test_counts_may_be_numpy_integers():
    assert Stopping(max_iter=np.int64(3)).max_iter == 3
