"""However a run ends, the best parameters come back: callbacks, Ctrl-C, validation, refusals."""

import numpy as np
import pytest

from marquardt import (
    Cholesky,
    Geodesic,
    Input,
    Linear,
    NetworkProblem,
    Result,
    Status,
    Stopping,
    Tanh,
    minimize,
)
from marquardt.residual_problem import ResidualProblem
from tables import PROBLEMS

MAKERS = pytest.mark.parametrize(
    "make", [PROBLEMS["one output"], PROBLEMS["curve"]], ids=["network", "curve"]
)


class Recorder:
    """A callback that keeps its records and does something at iteration `k`."""

    def __init__(self, k=None, action=None):
        self.k, self.action, self.records = k, action, []

    def __call__(self, record):
        self.records.append(record)
        return self.action() if record.iteration == self.k else None


def raiser(error):
    def action():
        raise error

    return action


def check_best_so_far(result: Result, problem, w0, k):
    """The point after iteration k, that is the end of a run limited to k iterations."""
    limited = minimize(problem, w0, stopping=Stopping(max_iter=k))
    np.testing.assert_array_equal(result.w, limited.w)
    np.testing.assert_array_equal(result.w_last, limited.w)
    assert result.cost == limited.cost == problem.cost(result.w)
    assert result.n_iter == k
    assert len(result.history) == k + 1


@MAKERS
def test_the_callback_sees_every_record_once_and_in_order(make):
    callback = Recorder()
    result = minimize(*make(), callback=callback, stopping=Stopping(max_iter=5))
    assert callback.records == list(result.history)
    assert [record.iteration for record in callback.records] == list(range(6))


@MAKERS
@pytest.mark.parametrize("k", [0, 1, 4])
def test_a_true_value_stops(make, k):
    problem, w0 = make()
    result = minimize(problem, w0, callback=Recorder(k, lambda: True))
    assert result.status is Status.STOPPED_BY_CALLBACK
    assert result.message == f"After {k} iterations. {Status.STOPPED_BY_CALLBACK.value}"
    assert result.success
    assert result.error is None
    check_best_so_far(result, problem, w0, k)


@MAKERS
@pytest.mark.parametrize("k", [0, 1, 4])
def test_a_callback_that_raises_loses_nothing_and_hides_nothing(make, k):
    problem, w0 = make()
    error = KeyError("no such column")
    result = minimize(problem, w0, callback=Recorder(k, raiser(error)))
    assert result.status is Status.CALLBACK_FAILED
    assert result.error is error
    assert not result.success
    assert result.message.startswith(
        "KeyError: 'no such column'. The callback or the validation raised an exception (see Result."
    )
    check_best_so_far(result, problem, w0, k)


@MAKERS
@pytest.mark.parametrize("k", [0, 1, 4])
def test_ctrl_c_in_a_callback(make, k):
    problem, w0 = make()
    result = minimize(problem, w0, callback=Recorder(k, raiser(KeyboardInterrupt())))
    assert result.status is Status.INTERRUPTED
    assert isinstance(result.error, KeyboardInterrupt)
    assert result.message == f"After {k} iterations. {Status.INTERRUPTED.value}"
    check_best_so_far(result, problem, w0, k)


@pytest.mark.parametrize("method", ["linearize", "cost", "second_derivative", "resolve_output"])
@pytest.mark.parametrize("call", [3, 4, 5])
def test_ctrl_c_in_the_middle_of_a_step(monkeypatch, method, call):
    """Wherever it strikes, what comes back is the point after the last complete iteration."""
    problem, w0 = PROBLEMS["one output"]()
    whole = minimize(problem, w0, stopping=Stopping(max_iter=10))
    calls, original = [], getattr(problem, method)

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(problem, method, interrupted)
    result = minimize(problem, w0)
    assert result.status is Status.INTERRUPTED
    assert result.cost == whole.history[result.n_iter].cost
    monkeypatch.undo()
    assert problem.cost(result.w) == result.cost


def test_ctrl_c_before_there_is_anything_to_return():
    problem, w0 = PROBLEMS["one output"]()
    problem.linearize = lambda w: raiser(KeyboardInterrupt())()
    with pytest.raises(KeyboardInterrupt):
        minimize(problem, w0)


def test_an_error_in_the_residual_is_a_programming_error_and_is_raised():
    def residual(w):
        return w["a"]

    with pytest.raises(IndexError):
        minimize(ResidualProblem(residual, 1, lambda w: np.eye(1)), [1.0])


@MAKERS
@pytest.mark.parametrize("method", ["linearize", "cost", "second_derivative", "resolve_output"])
@pytest.mark.parametrize("call", [3, 4, 5])
def test_a_function_that_raises_in_mid_run_loses_nothing(monkeypatch, make, method, call):
    problem, w0 = make()
    whole = minimize(problem, w0, stopping=Stopping(max_iter=10))
    calls, original, error = [], getattr(problem, method), KeyError("no such column")

    def raising(*arguments):
        calls.append(1)
        if len(calls) >= call:
            raise error
        return original(*arguments)

    monkeypatch.setattr(problem, method, raising)
    result = minimize(problem, w0)
    assert result.status is Status.FUNCTION_FAILED and not result.success
    assert result.error is error
    assert result.message == (
        f"In iteration {result.n_iter + 1}, KeyError: 'no such column'. {Status.FUNCTION_FAILED.value}"
    )
    assert result.cost == whole.history[result.n_iter].cost
    monkeypatch.undo()
    assert problem.cost(result.w) == result.cost


def test_a_lack_of_memory_before_the_first_step_is_raised(monkeypatch):
    """Nothing is lost by it, and the run needs another solver."""

    def full(*arguments):
        raise MemoryError("601 parameters need 8.7 MB")

    problem, w0 = PROBLEMS["one output"]()
    monkeypatch.setattr(Cholesky, "prepare", full)
    with pytest.raises(MemoryError, match=r"8\.7 MB"):
        minimize(problem, w0, solver=Cholesky())


# -- validation ----------------------------------------------------------------------------------------


def run_with_validation(costs, **stopping):
    """A run whose validation costs are given; returns the result and every point it passed."""
    problem, w0 = PROBLEMS["one output"]()
    points, costs = [], iter(costs)

    def validation(w):
        points.append(w.copy())
        return next(costs)

    return minimize(problem, w0, validation=validation, stopping=Stopping(**stopping)), points


def test_the_parameters_of_the_lowest_validation_cost_come_back():
    result, points = run_with_validation([5, 4, 3, 4, 5, 6, 7], max_iter=6)
    np.testing.assert_array_equal(result.w, points[2])
    np.testing.assert_array_equal(result.w_last, points[-1])
    assert result.cost == result.history[2].cost
    np.testing.assert_array_equal(result.history.column("validation_cost"), [5, 4, 3, 4, 5, 6, 7])


@pytest.mark.parametrize(("max_fail", "n_iter"), [(1, 2), (2, 5), (3, 6), (4, None), (None, None)])
def test_failures_are_counted_in_a_row(max_fail, n_iter):
    costs = [9, 8, 8, 7, 7.5, 7.5, 7, 6.9, 6.9, 6]  # an equal cost is no improvement
    result, points = run_with_validation(costs, max_fail=max_fail, max_iter=9)
    assert result.status is (Status.MAX_ITER if n_iter is None else Status.MAX_FAIL)
    assert result.n_iter == (9 if n_iter is None else n_iter)
    assert len(points) == result.n_iter + 1


def test_a_validation_cost_that_is_nan_never_wins():
    result, points = run_with_validation([np.nan, 4, np.nan, 3, np.nan], max_iter=4)
    np.testing.assert_array_equal(result.w, points[3])


def test_without_a_finite_validation_cost_the_run_ends_and_says_so():
    result, points = run_with_validation([np.nan] * 20, max_fail=3)
    assert result.status is Status.MAX_FAIL
    assert result.n_iter == 3
    np.testing.assert_array_equal(result.w, points[0])


# -- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16,), (18,), (17, 1), (0,), ()])
def test_a_start_of_the_wrong_shape(shape):
    problem, w0 = PROBLEMS["one output"]()
    assert len(w0) == 17
    with pytest.raises(ValueError, match=r"w0 has shape .*, but the problem has 17 parameters"):
        minimize(problem, np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_start_where_nothing_is_finite(bad):
    rng = np.random.default_rng(0)
    problem = NetworkProblem(Input(2) >> Tanh(3) >> Linear(1), rng.normal(size=(9, 2)), rng.normal(size=9))
    result = minimize(problem, np.full(13, bad))
    assert result.status is Status.NO_FINITE_START
    assert not result.success
    assert (
        "at the start. The cost or its Jacobian is not finite at the start: check the data" in result.message
    )
    assert result.n_iter == 0
    np.testing.assert_array_equal(result.w, np.full(13, bad))


def test_a_jacobian_that_is_not_finite_at_the_start():
    problem = ResidualProblem(lambda w: w - 1, 2, lambda w: np.full((2, 2), np.nan))
    result = minimize(problem, [0.0, 0.0])
    assert result.status is Status.NO_FINITE_START
    assert result.cost == 1.0


def test_a_start_given_as_integers_or_read_only_or_reused():
    problem, w0 = PROBLEMS["one output"]()
    assert minimize(problem, [0] * 17, stopping=Stopping(max_iter=20)).success
    w0.flags.writeable = False
    first = minimize(problem, w0)
    np.testing.assert_array_equal(minimize(problem, w0, acceleration=Geodesic()).w, first.w)
    assert first.w.flags.writeable
    assert first.w_last.flags.writeable


@MAKERS
def test_a_validation_that_raises_loses_nothing(make):
    problem, w0 = make()
    calls = []

    def validation(w):
        if len(calls) == 4:
            raise KeyError("no such column")
        calls.append(problem.cost(w))
        return calls[-1]

    result = minimize(problem, w0, validation=validation)
    assert result.status is Status.CALLBACK_FAILED
    assert isinstance(result.error, KeyError)
    assert "Validation raised KeyError" in result.message
    assert problem.cost(result.w) == min(calls)


@pytest.mark.parametrize("part", ["damping", "metric", "solver", "search"])
def test_a_class_in_place_of_an_object_is_refused(part):

    problem, w0 = PROBLEMS["one output"]()
    with pytest.raises(TypeError, match=rf"{part}=.* write Cholesky\(\), with brackets"):
        minimize(problem, w0, **{part: Cholesky})


def test_a_part_that_lacks_a_method_is_named():
    class Halving:
        def start(self, curvature):
            return curvature

    problem, w0 = PROBLEMS["one output"]()
    with pytest.raises(TypeError, match=r"damping=.* lacks accepted, rejected"):
        minimize(problem, w0, damping=Halving())
