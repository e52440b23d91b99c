"""Many starts: ranking, processes, and every way to end."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from marquardt import Glorot, Input, Linear, Method, NetworkProblem, Status, Stopping, Tanh
from marquardt.estimators.fits import PlainFit
from marquardt.estimators.starts import Start, Starts, n_processes, run_starts

NETWORK = Input(2) >> Tanh(4) >> Linear(1)


def problem(n_samples=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 2))
    return NetworkProblem(NETWORK, X, np.sin(X[:, 0]) * X[:, 1])


def start_points(count):
    return [Glorot().draw(NETWORK, np.random.default_rng(seed)) for seed in range(count)]


def fit(n_samples=40, max_iter=12):
    return PlainFit(problem(n_samples), Method(), Stopping(max_iter=max_iter))


def record(cost, validation_cost=None):
    return Start(cost, validation_cost, Status.MAX_ITER, 10, 11, 0.1)


def test_starts_are_ranked_by_cost_and_those_without_one_come_last():
    starts = Starts([record(np.nan), record(2.0), record(1.0), record(1.005), record(np.inf)])
    assert starts.ranking == [2, 3, 1, 0, 4]
    assert (starts.best, starts.n_at_best) == (2, 2)
    assert [s.cost for s in starts][1:3] == [2.0, 1.0]
    assert starts[1:3][0] is starts[1]
    assert repr(starts) == "Starts(5 starts, best cost 1, reached within 1 % by 2)"


def test_a_validation_cost_ranks_before_the_cost():
    starts = Starts([record(1.0, 5.0), record(2.0, 4.0)])
    assert starts.best == 1
    assert "best validation cost 4," in repr(starts)


def test_an_evidence_ranks_before_all_and_counts_by_differences():
    starts = Starts([Start(1.0, None, Status.EVIDENCE, 9, 9, 0.1, e) for e in (-40.0, -12.5, -13.0, np.nan)])
    assert starts.ranking == [1, 2, 0, 3]
    assert starts.n_at_best == 2
    assert repr(starts) == "Starts(4 starts, best log evidence -12.5, reached within 1 in log evidence by 2)"


def test_exact_fits_count_as_one_another():
    assert Starts([record(0.0), record(0.0), record(1e-3)]).n_at_best == 2


def test_results_are_those_of_single_runs():
    runs = run_starts(fit(), start_points(3))
    assert len(runs.trained) == len(runs.starts) == 3
    for w0, trained in zip(start_points(3), runs.trained, strict=True):
        alone, result = run_starts(fit(), [w0]).best.result, trained.result
        np.testing.assert_array_equal(alone.w, result.w)
        assert result.linearization is None
    assert runs.best.result.cost == min(trained.result.cost for trained in runs.trained)


def test_processes_change_nothing_even_for_data_that_are_handed_over_as_files():
    """joblib maps arrays above 1 MB from disk."""
    large, points = fit(60_000, max_iter=2), start_points(2)
    one, two = (run_starts(large, points, n_jobs=n) for n in (1, 2))
    for a, b in zip((t.result for t in one.trained), (t.result for t in two.trained), strict=True):
        assert np.array_equal(a.w, b.w)
        assert a.history.column("cost").tolist() == b.history.column("cost").tolist()


@pytest.mark.parametrize(
    ("n_jobs", "n_starts", "expected"), [(None, 5, 1), (1, 5, 1), (8, 1, 1), (2, 5, 2), (9, 3, 3)]
)
def test_no_more_processes_than_starts(n_jobs, n_starts, expected):
    assert n_processes(n_jobs, n_starts) == expected


class Ends:
    """A callback that raises or stops at iteration 3 of run number `run`."""

    def __init__(self, run, answer):
        self.run, self.answer, self.runs = run, answer, 0

    def __call__(self, iteration):
        self.runs += iteration.iteration == 0
        if self.runs == self.run and iteration.iteration == 3:
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer
        return None


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize(
    ("answer", "status"), [(True, Status.STOPPED_BY_CALLBACK), (OSError("disk"), Status.CALLBACK_FAILED)]
)
def test_a_callback_ends_all_starts(n_jobs, answer, status):
    runs = run_starts(fit(), start_points(5), n_jobs=n_jobs, callback=Ends(2, answer))
    assert len(runs.trained) == 2
    assert runs.trained[-1].result.status is status
    assert runs.trained[-1].result.message.endswith(status.value)
    assert runs.error is (answer if isinstance(answer, OSError) else None)
    assert not runs.interrupted


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_ctrl_c_keeps_the_starts_that_are_done(n_jobs):
    runs = run_starts(fit(), start_points(5), n_jobs=n_jobs, callback=Ends(3, KeyboardInterrupt()))
    assert runs.interrupted
    assert len(runs.trained) == (3 if n_jobs is None else 2)  # in one process, the running one counts


def test_ctrl_c_before_anything_is_done_is_raised():
    with pytest.raises(KeyboardInterrupt):
        run_starts(fit(), start_points(4), n_jobs=2, callback=Ends(1, KeyboardInterrupt()))


def test_ctrl_c_while_a_job_is_on_its_way_to_the_pool(monkeypatch):
    """The pool's thread takes its time after each result, as on a busy machine, when Ctrl-C comes."""
    from joblib.externals.loky import process_executor

    plain, faults = process_executor._ExecutorManagerThread.process_result_item, []

    def slow(self, item):
        plain(self, item)
        time.sleep(0.1)

    monkeypatch.setattr(process_executor._ExecutorManagerThread, "process_result_item", slow)
    monkeypatch.setattr(threading, "excepthook", faults.append)
    with pytest.raises(KeyboardInterrupt):
        run_starts(fit(), start_points(8), n_jobs=2, callback=Ends(1, KeyboardInterrupt()))
    run_starts(fit(), start_points(2), n_jobs=2)  # a new pool: the old one has ended
    assert not faults


def test_a_function_that_raises_ends_its_start_and_no_other(monkeypatch):
    calls, linearize = [], NetworkProblem.linearize

    def breaking(self, w):
        calls.append(1)
        if len(calls) == 20:
            raise OSError("no license")
        return linearize(self, w)

    monkeypatch.setattr(NetworkProblem, "linearize", breaking)
    runs = run_starts(fit(), start_points(3))
    statuses = [trained.result.status for trained in runs.trained]
    assert statuses == [Status.MAX_ITER, Status.FUNCTION_FAILED, Status.MAX_ITER]
    assert runs.trained[1].result.n_iter == 5


def test_after_each_sees_every_start():
    seen = []
    run_starts(fit(), start_points(3), after_each=lambda i, trained: seen.append((i, trained.result.n_iter)))
    assert [i for i, _ in seen] == [0, 1, 2]
