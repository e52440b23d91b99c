"""Records of a run: columns, dictionaries, representation, statuses."""

import json
import math

import numpy as np
import pytest

from marquardt import History, Result, Status
from marquardt.result import record_as_dict
from tables import record


@pytest.fixture
def history():
    return History(
        [record(iteration=i, cost=4.0 / (i + 1), validation_cost=v) for i, v in enumerate([None, 2.0])]
    )


def test_a_history_is_a_sequence_of_records(history):
    assert len(history) == 2
    assert [entry.iteration for entry in history] == [0, 1]
    assert history[-1] is history[1]
    assert history[:1] == [history[0]]
    assert history[0] in history
    history.append(record(iteration=2))
    assert len(history) == 3


def test_columns_are_float64_and_none_is_nan(history):
    np.testing.assert_array_equal(history.column("cost"), [4, 2])
    np.testing.assert_array_equal(history.column("validation_cost"), [np.nan, 2])
    np.testing.assert_array_equal(history.column("accelerated"), [0, 0])
    assert history.column("iteration").dtype == float


def test_an_unknown_column(history):
    with pytest.raises(KeyError, match="no column 'loss'; there are iteration, cost, damping, gain_ratio, "):
        history.column("loss")


def test_dictionaries_go_there_and_back(history):
    columns = json.loads(json.dumps(history.to_dict()))
    assert list(History.from_dict(columns)) == list(history)
    assert list(History.from_dict(columns | {"from a newer version": [1, 2]})) == list(history)
    assert len(History.from_dict({})) == 0
    assert record_as_dict(history[0])["cost"] == 4


def test_representations(history):
    assert repr(history) == "History(2 records, cost 4 -> 2)"
    assert repr(History()) == "History(empty)"
    w = np.zeros(3)
    result = Result(w, 2.0, Status.MAX_ITER, "", history, w, n_jacobians=2, n_costs=3, time=0.5)
    assert repr(result) == "Result(MAX_ITER, cost=2, n_iter=1, time=0.5 s)"


def test_every_status_gives_advice_and_is_told_from_the_others():
    assert all(len(status.value) > 15 and status.value.endswith(".") for status in Status)
    assert len({status.value for status in Status}) == len(Status)  # equal values would be aliases
    failed = {
        Status.NO_FINITE_START,
        Status.SINGULAR,
        Status.CALLBACK_FAILED,
        Status.FUNCTION_FAILED,
    }
    history, w = History([record()]), np.zeros(1)
    for status in Status:
        result = Result(w, math.nan, status, "", history, w, 1, 1, 0.0)
        assert result.success == (status not in failed)
        assert not (status.converged and status in failed)
        assert not (status.by_hand and status.converged) and (status.may_go_on or not status.by_hand)
    by_hand = {Status.INTERRUPTED, Status.STOPPED_BY_CALLBACK, Status.CALLBACK_FAILED}
    assert {status for status in Status if status.by_hand} == by_hand
