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
    one_compartment,
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
        (replaced(2, "EVID", 7), {}, "row 2 of 'EVID' is 7"),
        (replaced(4, "RATE", -2), {}, "row 4 of 'RATE' is -2: rates and durations that NONMEM would"),
        (TABLE.assign(SS=[1, 0, 0, 0, 0, 0, 0]), {}, "row 0 of 'SS' is 1: a steady state"),
        (TABLE.assign(CENS=[0, 0, 0, 0, 0, -1, 0]), {}, "row 5 of 'CENS' is -1"),
        (TABLE.assign(MDV=[1, 0, 2, 0, 1, 0, 0]), {}, "row 2 of 'MDV' is 2"),
        (TABLE.assign(CMT=[1, 2, 3, 2, 1, 2, 2]), {}, r"Columns\(endpoint='CMT'\)"),
        (TABLE.assign(CMT=[1, 2, 2, 2, 2, 2, 2], RATE=0), {}, "several compartments of 'CMT', 1, 2: say"),
        (TABLE.assign(CMT=1, RATE=[0, 0, 0, 0, 25, 0, 0]), {"route": Route.ORAL}, "infusion into the depot"),
        (TABLE.assign(CMT=1), {"route": {2: Route.ORAL}}, "the route of compartment '1'"),
        (TABLE, {"route": {1: Route.ORAL}}, "has no column 'cmt'"),
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


def read(rows, names="id time amt dv", **options):
    """Rows as tuples."""
    return subjects_from_table(pd.DataFrame(rows, columns=names.split()), **options)


def test_missing_dependent_values_are_left_out():
    """NONMEM's MDV = 1: the zero that fills DV is no measurement."""
    rows = [(1, 0, 100, 0, 1), (1, 1, 0, 9.0, 0), (1, 2, 0, 0.0, 1), (1, 3, 0, "?", 1), (1, 4, 0, 5.0, 0)]
    subjects = read(rows, "id time amt dv mdv")
    np.testing.assert_array_equal(subjects["1"].observations["conc"].values, [9.0, 5.0])
    assert subjects["1"].regimen.total == 100 and not subjects["1"].covariates
    assert "2 rows with mdv = 1 are left out" in subjects.notes


def test_compartments_are_endpoints_and_routes():
    rows = [(1, 0, 100, ".", 1), (1, 0, 50, ".", 2), (1, 1, 0, 4.0, 2), (1, 1, 0, 80.0, 3), (1, 2, 0, 3.0, 2)]
    where = {1: Route.ORAL, 2: Route.BOLUS}
    one = read(rows, "id time amt dv cmt", columns=Columns(endpoint="cmt"), route=where)["1"]
    assert [(dose.amount, dose.route) for dose in one.regimen.doses] == [(100, Route.ORAL), (50, Route.BOLUS)]
    assert {name: len(seen) for name, seen in one.observations.items()} == {"2": 2, "3": 1}
    assert not one.covariates
    named = [(*row[:4], {1: "gut", 2: "blood", 3: "effect"}[row[4]]) for row in rows]
    other = read(
        named,
        "id time amt dv cmt",
        columns=Columns(endpoint="cmt"),
        route={"gut": Route.ORAL, "blood": Route.BOLUS},
    )["1"]
    assert other.regimen == one.regimen and list(other.observations) == ["blood", "effect"]


def test_whole_numbers_name_endpoints_whatever_their_type():
    rows = [(1, 0, 100, None, None), (1, 1, 0, 4.0, 1), (1, 2, 0, 3.0, 2)]  # 1.0 and 2.0 beside NaN
    assert read(rows, "id time amt dv dvid").endpoints == ("1", "2")


@pytest.mark.parametrize("at", [0.0, 24.0])
def test_the_order_of_rows_tells_troughs_from_peaks(at):
    """An observation whose row comes before a dose of the same time was taken before it."""
    rows = [(1, at, 0, 1.0), (1, at, 100, None), (1, at, 0, 9.0), (1, at + 1, 0, 8.0)]
    subjects = read([(1, 0.0, 10, None), *rows] if at else rows)
    (one,) = subjects.members
    seen = one_compartment().concentration(
        {"cl": 1.0, "v": 10.0}, one.regimen, one.observations["conc"].times
    )
    before = np.exp(-2.4) if at else 0.0
    np.testing.assert_allclose(seen[:2], [before, before + 10], rtol=1e-12)
    np.testing.assert_allclose(one.observations["conc"].times, [at, at, at + 1], atol=1e-9)
    assert any(note.startswith("1 observation at the time of a dose") for note in subjects.notes)
    assert not any("replicates" in note for note in subjects.notes)
    assert repr(one.regimen).endswith(f"100 bolus at {at:g})")
    assert not any("at the time of a dose" in note for note in read(rows[1:]).notes)


def test_long_numbers_are_names_too():
    """1234567.0 and 1234568.0 are one number in six digits."""
    assert list(read([(1234567.0, 0, 100, None), (1234567.0, 1, 0, 4.0), (1234568.0, 1, 0, 3.0)])) == [
        "1234567",
        "1234568",
    ]


def test_doses_of_rows_win_over_a_column_of_nominal_doses():
    rows = [(1, 0, 100, None, 100), (1, 1, 0, 4.0, 100), (1, 2, 0, 3.0, 100)]
    subjects = read(rows, "id time amt dv dose")
    assert subjects["1"].regimen.total == 100 and subjects["1"].covariates == {"dose": 100}
    assert any("'dose' is not read as doses" in note for note in subjects.notes)


def test_what_varies_within_a_subject_is_told():
    rows = [(1, 0, 100, None, 70, 3), (1, 1, 0, 4.0, 70, 4), (2, 0, 100, None, 60, 3), (2, 1, 0, 4.0, 60, 3)]
    rows = [(*row, k) for k, row in enumerate(rows, 1)]  # R's row names are no covariate that anyone misses
    subjects = read(rows, "id time amt dv wt visit rownames")
    assert subjects["1"].covariates == {"wt": 70}
    assert "no covariates, since they vary within a subject: visit" in subjects.notes


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
