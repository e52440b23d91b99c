"""Fitting tables from Python: split, encoding, effects, and what the record says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from marquardt import LMRegressor
from marquardt.datasets import DATASETS, load_concrete, load_energy, load_yacht, two_spirals
from marquardt.reports.html_report import html_report
from marquardt.reports.text_report import text_report
from marquardt.tables.columns import TableError
from marquardt.tables.effects import column_effects, columns_that_move_together
from marquardt.tables.encoder import TableEncoder
from marquardt.tables.fit_options import FitOptions
from marquardt.tables.model import fit_table
from marquardt.tables.remarks import remarks
from small_model import small_table

QUICK = FitOptions(hidden=(4,), max_iter=30)
pytestmark = pytest.mark.filterwarnings("ignore:Levenberg-Marquardt has not converged")


def test_the_network_is_that_of_the_estimator():
    X = np.random.default_rng(0).normal(size=(30, 2)) * [1.0, 1e6]
    y = X[:, :1] * 5 + 1e-3
    regressor = LMRegressor(3, max_iter=5, random_state=0).fit(X, y)
    np.testing.assert_allclose(regressor.fitted_network_.predict(X), regressor.predict(X), rtol=1e-12)


def test_held_out_rows_do_not_leak_into_the_encoding():
    table = small_table()
    model = fit_table(table, ["answer"], QUICK)
    changed = table.copy()
    held_out = ~table["answer"].isin(model.record.train.y[:, 0])
    changed.loc[held_out, "dose"] *= 1000
    again = fit_table(changed, ["answer"], QUICK)
    assert again.encoder == model.encoder
    np.testing.assert_array_equal(again.network.w, model.network.w)


@pytest.mark.parametrize(("fraction", "expected"), [(0.2, 12), (0.0, 0), (0.001, 1), (0.99, 58)])
def test_the_split(fraction, expected):
    options = FitOptions(hidden=(2,), max_iter=2, test_fraction=fraction)
    record = fit_table(small_table(), ["answer"], options).record
    assert record.train.n_samples == 60 - expected
    assert (record.held_out is None) == (expected == 0)
    assert record.held_out is None or record.held_out.n_samples == expected


def test_what_the_record_says():
    table = pd.concat([small_table(), small_table().iloc[:2]], ignore_index=True)
    table.loc[5, "answer"] = np.nan
    record = fit_table(table, ["answer"], FitOptions(hidden=(2,), drop=("salt",)), source="a.csv").record
    assert record.notes[:3] == (
        "1 row without target left out",
        "2 rows repeat another exactly; where one is held out, its twin may be in training",
        "'salt' dropped as asked",
    )
    assert [effect.name for effect in record.effects] == ["dose", "time_hours"]
    assert record.network == "2 inputs, 2 tanh, 1 linear" and record.n_params == 9
    assert record.success and record.seconds > 0 and record.created.endswith("+00:00")


def test_a_callback_stops_the_fit_with_the_best_so_far():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fit_table(small_table(), ["answer"], QUICK, callback=lambda now: now.iteration >= 3)
    assert model.record.status == "STOPPED_BY_CALLBACK" and model.record.n_iter == 3


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_too_few_rows(n_rows):
    with pytest.raises(TableError, match=r"no row has a value|at least 4 are needed|is constant"):
        fit_table(small_table().iloc[:n_rows], ["answer"], QUICK)


def test_more_parameters_than_rows_is_said_not_refused():
    record = fit_table(small_table().iloc[:8], ["answer"], FitOptions(hidden=(30,), max_iter=3)).record
    assert record.n_params > record.train.n_samples


def test_huge_and_tiny_units():
    table = small_table()
    plain = fit_table(table, ["answer"], QUICK)
    scaled = fit_table(
        table.assign(dose=table["dose"] * 1e12, answer=table["answer"] * 1e-12), ["answer"], QUICK
    )
    assert scaled.record.held_out is not None and plain.record.held_out is not None
    assert scaled.record.held_out.scores(0)["R2"] == pytest.approx(
        plain.record.held_out.scores(0)["R2"], abs=0.02
    )


# -- effects ---------------------------------------------------------------------------------------


def test_effects_of_a_known_function():
    """f = 2a + (b is 'y'): the slope of a, the step of b, nothing of c."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": np.linspace(0, 1, 101), "b": rng.choice(["x", "y"], 101), "c": rng.normal(size=101)}
    )
    encoder = TableEncoder.fit(table)

    def predict(X):  # inputs: a, b=x, b=y, c
        return (2 * X[:, 0] + X[:, 2])[:, np.newaxis]

    a, b, c = column_effects(predict, encoder, table, predict(encoder.transform(table)), seed=0)
    assert (a.low, a.high) == ("0.1", "0.9") and a.changes[0] == pytest.approx(1.6)
    assert (b.low, b.high) == ("x", "y") and b.changes[0] == pytest.approx(1.0)
    assert c.importance == 0.0 and c.changes == (0.0,)
    assert a.importance > b.importance > 0.3


def test_effects_need_rows_and_spread():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    encoder = TableEncoder.fit(table)
    assert column_effects(encoder.transform, encoder, table.iloc[:2], np.ones((2, 1)), 0) == ()
    assert column_effects(encoder.transform, encoder, table, np.ones((3, 1)), 0) == ()


def test_many_rows_are_sampled(monkeypatch):
    monkeypatch.setattr("marquardt.tables.effects.ROWS", 50)
    table = pd.DataFrame({"a": np.linspace(0, 1, 500)})
    encoder = TableEncoder.fit(table)
    seen = []

    def predict(X):
        seen.append(len(X))
        return X[:, :1].copy()

    column_effects(predict, encoder, table, predict(encoder.transform(table)), 0)
    assert max(seen[1:]) == 50


def test_a_wide_table_is_encoded_once(monkeypatch):
    """Encoded for every shuffle, 300 columns took ten minutes."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 40))).rename(columns=str)
    encoder, calls = TableEncoder.fit(table), []
    encode = TableEncoder.encode
    monkeypatch.setattr(TableEncoder, "encode", lambda *given: calls.append(1) or encode(*given))
    effects = column_effects(lambda X: X[:, :1].copy(), encoder, table, table[["0"]].to_numpy(), 0)
    assert len(calls) == 1 and effects[0].importance > 0 and effects[1].importance == 0


def test_ctrl_c_while_the_columns_are_judged_keeps_the_fit(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("marquardt.tables.model.column_effects", interrupted)
    x = np.linspace(0, 1, 20)
    model = fit_table(pd.DataFrame({"x": x, "y": 2 * x}), ["y"], FitOptions(hidden=(2,)))
    assert model.record.effects == () and "interrupted" in " ".join(model.record.notes)


@pytest.mark.parametrize("in_start", [1, 2])
def test_ctrl_c_in_one_of_several_starts_is_said(in_start):
    begun = []

    def callback(record):
        begun.extend([1] if record.iteration == 0 else [])
        if len(begun) == in_start and record.iteration == 3:
            raise KeyboardInterrupt

    x = np.linspace(0, 1, 40)
    frame, options = pd.DataFrame({"x": x, "y": np.sin(5 * x)}), FitOptions(hidden=(3,), starts=4)
    with pytest.warns(UserWarning, match="interrupted"):
        record = fit_table(frame, ["y"], options, callback=callback).record
    assert record.status == "INTERRUPTED" and record.settings["starts"].startswith(f"{in_start} of 4: ")
    assert record.message.startswith(f"Interrupted, with {in_start} of 4 starts begun; the best: ")


def test_a_target_of_two_values_may_be_classes():
    y = np.array([0.0, 1.0] * 5)[:, None]
    said = remarks(pd.DataFrame({"x": np.arange(10.0)}), ["active"], y, np.arange(10))
    assert said[0].startswith("target 'active' has two values only, 0 and 1: if these are classes")
    y[0] = 0.5
    assert remarks(pd.DataFrame({"x": np.arange(10.0)}), ["active"], y, np.arange(10)) == []


@pytest.mark.parametrize("option", ["drop", "categorical"])
def test_a_target_is_neither_dropped_nor_categorical(option):
    table = pd.DataFrame({"x": [1.0, 2, 3, 4, 5], "y": [1.0, 3, 2, 5, 4]})
    with pytest.raises(TableError, match=f"'y' .* take it out of --{option}"):
        fit_table(table, ["y"], FitOptions(**{option: ("y",)}))


def test_columns_that_move_together_are_told():
    a = np.linspace(0, 1, 20)
    table = pd.DataFrame(
        {f"c{i}": a * (i + 1) for i in range(4)} | {"other": a**2 % 0.1, "text": ["x", "y"] * 10}
    )
    encoder = TableEncoder.fit(table)
    said = columns_that_move_together(encoder, encoder.transform(table))
    assert said[0].endswith("move together (correlation 1.00): what each does alone is uncertain")
    assert said[-1] == "so do 2 more pairs"
    assert columns_that_move_together(*_encoded(table[["c0"]])) == []
    assert columns_that_move_together(*_encoded(table[["text"]])) == []


def _encoded(table):
    encoder = TableEncoder.fit(table)
    return encoder, encoder.transform(table)


# -- data ------------------------------------------------------------------------------------------


def test_tables_that_ship():
    for load, name in ((load_energy, "energy"), (load_concrete, "concrete"), (load_yacht, "yacht")):
        table = load()
        assert table.columns[-1] == DATASETS[name].target
        assert table.notna().all().all()
        assert str(len(table)) in DATASETS[name].title


def test_two_spirals_are_those_of_the_comparison():
    spirals = two_spirals()
    X = np.vstack([spirals.X_train, spirals.X_test])
    T = np.vstack([spirals.T_train, spirals.T_test])
    assert T.sum(axis=0).tolist() == [250, 250]
    radius = np.sort(np.hypot(*X[T[:, 0] == 1].T))
    np.testing.assert_allclose(radius, 5.0 * np.arange(250) / 250, atol=1e-12)
    first = X[(T[:, 0] == 1) & (np.hypot(*X.T) > 4.97)][0]
    angle = 1.75 * 249 / 250 * 2 * np.pi
    np.testing.assert_allclose(first, 5 * 249 / 250 * np.array([np.sin(angle), np.cos(angle)]))
    # the first weights of numpy.random.seed(1); uniform(-0.1, 0.1): two inputs and the bias of the first unit
    np.testing.assert_allclose(spirals.w0[:3], [-0.0165956, 0.04406490, -0.0999771], atol=1e-7)


def test_findings_name_the_rows_of_the_table():
    """From 1, without the header line, whatever was left out or held out before."""
    x = np.linspace(-1, 1, 60)
    table = pd.DataFrame({"x": x, "y": 2 * x + 0.05 * np.random.default_rng(0).normal(size=60)})
    table.loc[[0, 3], "y"] = np.nan
    table.loc[41, ["x", "y"]] = 4.0, -3.0
    model = fit_table(table, ["y"], FitOptions(hidden=(2,), test_fraction=0.0, alpha=0.01))
    found = {finding.name: finding for finding in model.record.findings}
    assert found["influential rows"].evidence["row"] == 42
    assert "Row 42 moves the estimates" in found["influential rows"].sentence


def test_a_sound_table_has_no_findings():
    model = fit_table(load_energy(), ["heating_load"], FitOptions(alpha=0.01))
    assert model.record.findings == ()


def gaps_in_two_targets():
    table = small_table().assign(minus=lambda t: -t["answer"] + t["time_hours"])
    table.loc[[4, 9, 20], "answer"] = np.nan
    table.loc[[9, 30], "minus"] = np.nan
    return table


def test_gaps_in_several_targets_count_nowhere_as_in_python():
    """A row with one of two targets is kept; one without any is left out."""
    table = gaps_in_two_targets()
    options = FitOptions(hidden=(4,), max_iter=30, test_fraction=0.0, starts=2)
    model = fit_table(table, ["answer", "minus"], options)
    assert model.record.train.n_samples == 59 and model.record.train.n_values == 2 * 59 - 3
    assert model.record.notes[:3] == (
        "1 row without target left out",
        "target 'answer' has 2 gaps, which count nowhere; the other targets of such rows do",
        "target 'minus' has 1 gap, which count nowhere; the other targets of such rows do",
    )
    rows = table.drop(index=9)
    X, _ = model.encoder.encode(rows)
    y = rows[["answer", "minus"]].to_numpy()
    python = LMRegressor((4,), max_iter=30, n_starts=2, random_state=options.seed).fit(X, y)
    np.testing.assert_array_equal(model.predict(rows).to_numpy(), python.predict(X))
    known = np.isfinite(y[:, 0])
    scores = model.record.train.scores(0)
    assert scores["R2"] == pytest.approx(r2_score(y[known, 0], python.predict(X)[known, 0]), rel=1e-9)


@pytest.mark.parametrize(
    "options", [{}, {"loss": "cauchy"}, {"early_stopping": True}, {"varying_noise": True}]
)
def test_reports_of_targets_with_gaps(options):
    """Nothing of them may be a NaN, or a warning."""
    fit = FitOptions(hidden=(3,), max_iter=20, starts=1, **options)
    record = fit_table(gaps_in_two_targets(), ["answer", "minus"], fit).record
    assert record.effects and all(np.isfinite(effect.importance) for effect in record.effects)
    text = text_report(record)
    assert "nan" not in text.lower().split()
    assert options or "answer" in html_report(record)
