"""Doses and subjects: what is read, what is said, what is refused.  Needs no JAX."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from marquardt.apps.pkpd import (
    Batch,
    Columns,
    Dose,
    Observations,
    Regimen,
    Route,
    Subject,
    Subjects,
    stacked_dosing,
    subjects_from_table,
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Regimen.bolus(-1.0), "amount=-1.0"),
        (lambda: Regimen.oral(float("nan")), "amount=nan"),
        (lambda: Regimen.oral(1.0, time=-2.0), "time=-2.0"),
        (lambda: Regimen.infusion(1.0, duration=0.0), "an infusion has a duration above 0"),
        (lambda: Regimen.infusion(1.0, duration=-1.0), "duration=-1.0"),
        (lambda: Regimen.infusion(1.0, duration=np.inf), "duration=inf"),
        (lambda: Dose(1.0, 0.0, Route.ORAL, 2.0), "no other dose has one"),
        (lambda: Regimen((Dose(1.0, 2.0), Dose(1.0, 1.0))), "not in the order of time: dose 1 is at 1"),
        (lambda: Regimen.bolus(1.0, n_doses=3), "interval=None"),
        (lambda: Regimen.bolus(1.0, interval=0.0, n_doses=3), "interval=0.0"),
        (lambda: Regimen.bolus(1.0, interval=2.0, n_doses=0), "n_doses=0"),
        (lambda: Regimen.bolus(1.0, interval=2.0, n_doses=1.5), "n_doses=1.5"),  # type: ignore[arg-type]
    ],
)
def test_a_regimen_refuses(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_regimens_repeat_and_add():
    both = Regimen.oral(100.0, interval=24.0, n_doses=3) + Regimen.bolus(50.0, time=24.0)
    assert [dose.time for dose in both.doses] == [0.0, 24.0, 24.0, 48.0]
    assert both.total == 350.0 and both.has_oral and not Regimen.bolus(1.0).has_oral
    pair = (Regimen.bolus(1.0) + Regimen.oral(2.0, time=1.0)).repeated(10.0, 2)
    assert [(dose.time, dose.amount) for dose in pair.doses] == [(0, 1), (1, 2), (10, 1), (11, 2)]


def test_dosing_is_padded():
    dosing = stacked_dosing([Regimen.infusion(6.0, 2.0), both := Regimen.oral(1.0, interval=1.0, n_doses=2)])
    np.testing.assert_array_equal(dosing.amount, [[6, 0], [1, 1]])
    np.testing.assert_array_equal(dosing.duration, [[2, 0], [0, 0]])
    np.testing.assert_array_equal(dosing.oral, [[0, 0], [1, 1]])
    with pytest.raises(ValueError, match="n_rows=1"):
        both.dosing(1)


@pytest.mark.parametrize(
    ("times", "values", "words"),
    [
        ([2.0, 1.0], [1.0, 1.0], "1 comes after 2"),
        ([-1.0, 1.0], [1.0, 1.0], "-1"),
        ([1.0, np.nan], [1.0, 1.0], "times has 1 NaN"),
        ([1.0, 2.0], [1.0, np.inf], "values has 1 NaN"),
        ([1.0, 2.0], [1.0], "same length"),
    ],
)
def test_observations_refuse(times, values, words):
    with pytest.raises(ValueError, match=words):
        Observations(times, values)


def test_half_limit_keeps_the_first_of_a_run():
    observed = Observations(np.arange(6.0), [5, 1, 1, 3, 1, 1], [False, True, True, False, True, True])
    np.testing.assert_array_equal(observed.half_limit().times, [0, 1, 3, 4])
    np.testing.assert_array_equal(observed.half_limit().values, [5, 0.5, 3, 0.5])
    np.testing.assert_array_equal(observed.without_censored().times, [0, 3])


TABLE = pd.DataFrame(
    {
        "ID": [1, 1, 1, 1, 2, 2, 2],
        "TIME": [0.0, 1.0, 1.0, 8.0, 0.0, 2.0, 3.0],
        "AMT": [100, 0, 0, 0, 50, 0, 0],
        "DV": [".", "9.5", "9.1", "<0.5", ".", "3.0", None],
        "EVID": [1, 0, 0, 0, 1, 0, 0],
        "II": [12, 0, 0, 0, 0, 0, 0],
        "ADDL": [2, 0, 0, 0, 0, 0, 0],
        "RATE": [0, 0, 0, 0, 25, 0, 0],
        "WT": [70, 70, 70, 70, 61, 61, 61],
    }
)


def test_a_nonmem_table_is_read():
    subjects = subjects_from_table(TABLE, route=Route.ORAL)
    one, two = subjects["1"], subjects["2"]
    assert [(d.time, d.route) for d in one.regimen.doses] == [(t, Route.ORAL) for t in (0.0, 12.0, 24.0)]
    assert two.regimen.doses == (Dose(50.0, 0.0, Route.INFUSION, 2.0),)
    np.testing.assert_array_equal(one.observations["conc"].values, [9.5, 9.1, 0.5])
    np.testing.assert_array_equal(one.observations["conc"].censored, [False, False, True])
    assert one.covariates == {"WT": 70}
    said = " | ".join(subjects.notes)
    assert "1 rows without a value" in said
    assert "1 times were measured twice" in said
    assert "1 of 4 values of conc lie below the limit" in said


def test_a_limit_censors_what_is_below():
    plain = TABLE.assign(DV=[0, 9.5, 0.3, 0.1, 0, 3.0, 0.2])
    subjects = subjects_from_table(plain, limit=0.5)
    np.testing.assert_array_equal(subjects["1"].observations["conc"].values, [9.5, 0.5, 0.5])
    assert subjects.n_censored == 3
    assert subjects.without_censored().n_censored == 0
    assert "left out (M1)" in subjects.without_censored().notes[-1]
    assert len(subjects.half_limit().table()) == 4
    by_column = subjects_from_table(TABLE.assign(DV=1.0, CENS=[0, 0, 0, 1, 0, 0, 1]))
    assert by_column.n_censored == 2


def replaced(row, column, value):
    table = TABLE.copy().astype({column: object})
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (replaced(3, "TIME", 0.5), {}, "subject 1: time goes back to 0.5 in row 3"),
        (TABLE.assign(TIME=TABLE.TIME - 1), {}, "time -1 in row 0 is negative"),
        (replaced(0, "AMT", -100), {}, "subject 1, row 0 of the table: amount=-100"),
        (replaced(1, "DV", "high"), {}, "row 1 of 'DV' is 'high'"),
        (replaced(1, "TIME", "noon"), {}, "row 1 of 'TIME' is 'noon'"),
        (replaced(1, "TIME", None), {}, "row 1 of 'TIME' has no finite number"),
        (replaced(2, "ID", None), {}, "row 2 of the table has no id"),
        (replaced(2, "EVID", 4), {}, "a reset"),
        (TABLE.drop(columns="DV"), {}, "no column 'dv'"),
        (TABLE.iloc[:0], {}, "no rows"),
        (TABLE, {"limit": -1.0}, "limit=-1.0"),
        (TABLE, {"route": Route.INFUSION}, "rates or durations"),
        (TABLE, {"regimen": Regimen.bolus(1.0)}, "doses of its own"),
        (TABLE.assign(DV=None), {}, "no subject has observations"),
        (TABLE.to_dict(), {}, "give a pandas DataFrame"),
    ],
)
def test_a_table_is_refused(table, options, words):
    with pytest.raises(ValueError, match=words):
        subjects_from_table(table, **options)


def test_a_subject_without_observations_is_left_out_and_named():
    bare = TABLE.assign(DV=[None, 1, 2, 3, None, None, None])
    subjects = subjects_from_table(bare)
    assert list(subjects) == ["1"]
    assert any("nothing was measured in them: 2" in note for note in subjects.notes)


def test_one_dose_in_every_row():
    table = pd.DataFrame(
        {"Subject": ["a", "a", "b"], "Time": [0.0, 1, 0], "Dose": [4.0, 4, 3], "conc": [0.1, 2, 3]}
    )
    columns = Columns(id="Subject", time="Time", value="conc")
    subjects = subjects_from_table(table, columns, route=Route.ORAL)
    assert subjects["b"].regimen.doses == (Dose(3.0, 0.0, Route.ORAL),)
    with pytest.raises(ValueError, match="several values of 'Dose'"):
        subjects_from_table(table.assign(Dose=[4.0, 5, 3]), columns)


def test_subjects_choose_rename_and_refuse():
    two = {"conc": Observations([1.0], [2.0]), "effect": Observations([2.0], [5.0])}
    subjects = Subjects(
        [Subject("a", Regimen.bolus(1.0), two), Subject("b", Regimen(), {"conc": two["conc"]})]
    )
    assert subjects.endpoints == ("conc", "effect")
    assert list(subjects.only("effect")) == ["a"]
    assert subjects.renamed({"effect": "pca"}).endpoints == ("conc", "pca")
    with pytest.raises(ValueError, match="no endpoint 'pd'"):
        subjects.only("pd")
    with pytest.raises(ValueError, match="no endpoint 'pd'"):
        subjects.renamed({"pd": "x"})
    with pytest.raises(ValueError, match="two subjects 'a'"):
        Subjects([subjects["a"], subjects["a"]])
    with pytest.raises(KeyError, match="no subject 'c'"):
        subjects["c"]


def test_a_batch_finds_every_observation_again():
    """Law: predictions t + 100 s + 1000 k come back as such for every observation."""
    replicate = Observations([1.0, 1.0, 4.0], [1.0, 2.0, 3.0])
    members = [
        Subject("a", Regimen.bolus(1.0), {"effect": Observations([2.0, 9.0], [4.0, 5.0]), "conc": replicate}),
        Subject("b", Regimen.bolus(1.0, interval=1.0, n_doses=2), {"conc": Observations([3.0], [6.0])}),
    ]
    batch = Batch.of(members, ("conc", "effect"), 3, 6)
    assert batch.times.shape == (2, 6) and batch.dosing.amount.shape == (2, 3)
    s, k = np.arange(2)[:, None, None], np.arange(2)
    predicted = batch.times[:, :, None] + 100 * s + 1000 * k
    np.testing.assert_array_equal(batch.observed_of(predicted), [1002, 1009, 1, 1, 4, 103])
    np.testing.assert_array_equal(batch.values, [4, 5, 1, 2, 3, 6])
