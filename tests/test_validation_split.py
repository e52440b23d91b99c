"""Rows set aside for early stopping: at random, by time, by group, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GroupShuffleSplit, PredefinedSplit

from marquardt import LMClassifier, LMRegressor
from marquardt.estimators.training_rows import TrainingRows
from marquardt.estimators.validation_split import set_aside


def rows(n=20, groups=None):
    return TrainingRows(np.arange(float(n))[:, None], np.zeros((n, 1)), None, groups)


def split(how, given, fraction=0.25, seed=0):
    return [part.X.ravel() for part in set_aside(given, how, fraction, np.random.default_rng(seed))]


BY_HAND = PredefinedSplit([0 if k in (3, 7) else -1 for k in range(20)])
GROUPS = np.repeat(list("abcdefghij"), 2)


@pytest.mark.parametrize(
    ("how", "groups"),
    [("random", None), ("last", None), ("random", GROUPS), (BY_HAND, None), (GroupShuffleSplit(1), GROUPS)],
    ids=["random", "last", "groups", "by hand", "splitter"],
)
def test_every_row_is_on_one_side(how, groups):
    train, validation = split(how, rows(groups=groups))
    assert sorted([*train, *validation]) == list(range(20))
    assert len(train) > 0 and len(validation) > 0


def test_the_last_rows_are_the_last():
    assert split("last", rows())[1].tolist() == [15, 16, 17, 18, 19]


def test_rows_of_ones_choice():
    assert split(BY_HAND, rows())[1].tolist() == [3, 7]


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed):
    groups = np.random.default_rng(seed).choice(["x", "y", "z", "u", "v"], size=20)
    parts = split("random", rows(groups=groups), seed=seed)
    sides = [set(groups[part.astype(int)]) for part in parts]
    assert not sides[0] & sides[1]
    assert len(parts[1]) >= 5 or len(sides[0]) == 1


@pytest.mark.parametrize(
    ("how", "given", "message"),
    [
        ("last", rows(1), "leaves none to train on"),
        ("random", rows(4, np.zeros(4)), "groups has only one value"),
        (PredefinedSplit([0] * 20), rows(), "gives 0 rows to train on and 20 to validate on"),
    ],
)
def test_what_is_refused(how, given, message):
    with pytest.raises(ValueError, match=message):
        split(how, given)


@pytest.mark.parametrize("estimator", [LMRegressor, LMClassifier])
def test_in_the_estimators(estimator):
    X = np.linspace(-1, 1, 40)[:, None]
    y = (X[:, 0] > 0).astype(float)
    model = estimator((3,), early_stopping=True, random_state=0, max_iter=20, tol=1e-2)
    model.fit(X, y, groups=np.repeat(np.arange(10), 4))
    assert model.validation_scores_ is not None
    model.set_params(validation_split=PredefinedSplit(np.tile([-1, -1, -1, 0], 10))).fit(X, y)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\), but there are 40 rows"):
        model.fit(X, y, groups=[1, 2, 3])


def test_groups_lose_the_rows_of_weight_zero():
    X = np.linspace(-1, 1, 40)[:, None]
    weights = np.tile([1.0, 0.0], 20)
    model = LMRegressor((3,), early_stopping=True, random_state=0, max_iter=20)
    weighted = model.fit(X, X[:, 0], weights, groups=np.repeat(np.arange(10), 4)).w_
    alone = model.fit(X[::2], X[::2, 0], groups=np.repeat(np.arange(10), 4)[::2]).w_
    np.testing.assert_array_equal(weighted, alone)
