"""The command with error bars, committees, and warnings before long work."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from marquardt import LMRegressor
from marquardt.files.persistence import load
from marquardt.tables.columns import TableError
from marquardt.tables.fit_options import FitOptions
from marquardt.tables.model import fit_table
from small_model import small_table
from test_cli import error_of, fit_small, folder, run

__all__ = ["folder"]
pytestmark = pytest.mark.filterwarnings("ignore:Levenberg-Marquardt has not converged")


def test_a_fit_has_error_bars_by_default(folder):
    outcome = fit_small("--html", "a.html")
    assert "regularization Bayesian" in outcome.stdout
    assert "[[Uncertainty]]" in outcome.stdout and "95 % intervals" in outcome.stdout
    page = (folder / "a.html").read_text()
    assert "Error bars of answer" in page and "Relevance" in page
    again = run("report", "a.marquardt", "--json")
    data = json.loads(again.stdout)
    assert 0 < data["evidence"]["effective_parameters"] < data["n_params"]
    assert 0 <= data["scores"]["answer"]["held_out"]["coverage_95"] <= 1
    assert max(column["relevance"] for column in data["columns"]) <= 1.0


def test_intervals_in_the_predicted_table(folder):
    fit_small("--starts", "3", "--committee", "2")
    run("predict", "a.marquardt", "small.csv", "--interval", "0.9", "--only", "--output", "p.csv")
    table = pd.read_csv("p.csv")
    assert table.columns.tolist() == ["predicted_answer", "low_answer", "high_answer"]
    assert (table["low_answer"] < table["predicted_answer"]).all()
    assert (table["predicted_answer"] < table["high_answer"]).all()
    model = load("a.marquardt")
    assert len(model.network.committee) == 2
    assert model.network.describe().endswith("mean of 2 networks")
    moments = model.network.moments(model.encoder.encode(small_table())[0])
    np.testing.assert_allclose(
        table["high_answer"] - table["predicted_answer"], 1.6448536 * moments.std[:, 0]
    )


@pytest.mark.parametrize("option", [["--alpha", "0.1"], ["--early-stopping"], ["--no-bayesian"]])
def test_another_way_against_overfitting_has_none(folder, option):
    outcome = fit_small(*option)
    assert "[[Uncertainty]]" not in outcome.stdout and "alpha" in outcome.stdout
    assert "no error bars: fit it again without --alpha" in error_of(
        "predict", "a.marquardt", "small.csv", "--interval", "0.9"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bayesian", "--alpha", "1"], "--bayesian finds the penalty itself: leave out --alpha 1.0"),
        (["--bayesian", "--early-stopping"], "--bayesian needs no rows set aside"),
        (["--committee", "4", "--starts", "2"], "--committee 4 of --starts 2: raise --starts"),
        (["--committee", "0"], "--committee 0 must be a whole number of at least 1"),
        (["--jobs", "0"], "--jobs 0 would do nothing"),
        (["--bayesian", "--loss", "huber"], "--bayesian is for a squared error: leave out --loss huber"),
        (
            ["--growing-rows", "--loss", "huber"],
            "--growing-rows is for a squared error: leave out --loss huber",
        ),
        (["--varying-noise", "--alpha", "1"], "--varying-noise is for a Bayesian fit"),
    ],
)
def test_options_that_contradict_one_another(folder, options, message):
    assert message in error_of("fit", "small.csv", "--target", "answer", *options)


@pytest.mark.parametrize(
    ("options", "growing_rows", "said"),
    [
        (["--growing-rows"], True, "growing rows on"),
        (["--no-growing-rows", "--alpha", "1"], False, "growing rows off"),
        ([], "auto", None),
    ],
)
def test_whether_rows_grow_reaches_the_fit(folder, monkeypatch, options, growing_rows, said):
    taken, fit = [], LMRegressor.fit
    monkeypatch.setattr(
        LMRegressor, "fit", lambda s, *a, **k: (taken.append(s.growing_rows), fit(s, *a, **k))[1]
    )
    outcome = fit_small(*options)
    assert taken == [growing_rows]
    assert said in outcome.stdout if said else "growing rows" not in outcome.stdout


@pytest.mark.parametrize("coverage", ["0", "95"])
def test_an_interval_is_a_probability(folder, coverage):
    fit_small()
    error = error_of("predict", "a.marquardt", "small.csv", "--interval", coverage)
    assert "must be between 0 and 1, e.g. 0.95" in error


def test_a_network_that_is_far_too_large_is_told_before_the_work(folder):
    outcome = run("fit", "small.csv", "--target", "answer", "--hidden", "600", "--max-iter", "1")
    assert "parameters for 48 training values" in outcome.stderr.splitlines()[0]
    assert "--hidden 20 would do" in outcome.stderr.splitlines()[0]


def test_a_column_that_counts_the_rows_is_told():
    table = small_table().assign(number=np.arange(60))
    model = fit_table(table, ["answer"], FitOptions(hidden=(2,), max_iter=3))
    assert any("'number' counts the rows" in note for note in model.record.notes)
    dropped = fit_table(table, ["answer"], FitOptions(hidden=(2,), max_iter=3, drop=("number",)))
    assert not any("counts the rows" in note for note in dropped.record.notes)


def test_the_refusal_in_python_too():
    model = fit_table(small_table(), ["answer"], FitOptions(hidden=(2,), max_iter=3, alpha=0.1))
    with pytest.raises(TableError, match="no error bars"):
        model.predict_with_notes(small_table(), 0.9)


def test_robust_and_varying_noise(folder):
    robust = fit_small("--loss", "cauchy")
    assert "loss cauchy" in robust.stdout and "[[Uncertainty]]" not in robust.stdout
    varying = fit_small("--varying-noise")
    assert "noise varying" in varying.stdout and "[[Uncertainty]]" in varying.stdout
    assert load("a.marquardt").network.committee.noise is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "small.csv", "-t", "answer", "-o", "small.csv"], "'small.csv' is the input"),
        (["fit", "small.csv", "-t", "answer", "--html", "small.csv"], "does not end in .html"),
        (["fit", "small.csv", "-t", "answer", "--checkpoint", "small.csv"], "is no checkpoint, and is left"),
        (["report", "a.marquardt", "--html", "a.marquardt"], "does not end in .html"),
        (
            ["predict", "a.marquardt", "small.csv", "-o", "a.marquardt"],
            "is the input, and would be overwritten",
        ),
        (["curve", "small.csv", "--html", "small.csv"], "does not end in .html"),
    ],
)
def test_no_input_is_ever_overwritten(folder, arguments, message):
    fit_small()
    before = {name: (folder / name).read_bytes() for name in ("small.csv", "a.marquardt")}
    assert message in error_of(*arguments)
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_remarks_on_logarithms_and_far_targets():
    table = small_table().assign(conc=np.logspace(-9, -4, 60))
    table.loc[10, "answer"] = 1000.0
    model = fit_table(table, ["answer"], FitOptions(hidden=(2,), max_iter=3, loss="cauchy"))
    notes = " ".join(model.record.notes)
    assert "'conc' spans 5 powers of ten" in notes
    assert "1000 in row 11; check it, or let it count little by --loss cauchy" in notes
    assert "training rows are outliers" in notes
    few = fit_table(small_table().iloc[:12], ["answer"], FitOptions(hidden=(2,)))
    assert any("degrees of freedom are left" in note for note in few.record.evidence.notes)


def test_a_path_is_a_checkpoint_and_no_other_file_is_touched(tmp_path):
    X, y = np.linspace(-1, 1, 20)[:, None], np.linspace(0, 1, 20)
    model = LMRegressor((2,), n_starts=2, random_state=0).fit(X, y, checkpoint=str(tmp_path / "run.ckpt"))
    assert model.status_.converged and list(tmp_path.iterdir()) == []
    mine = tmp_path / "mine.csv"
    mine.write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match="is no checkpoint, and is left as it is"):
        LMRegressor((2,)).fit(X, y, checkpoint=mine)
    assert mine.read_text() == "x,y\n1,2\n"


def test_rows_unlike_the_training_rows_are_told():
    model = fit_table(small_table(), ["answer"], FitOptions(hidden=(2,), max_iter=3))
    assert not any("guesses" in note for note in model.predict_with_notes(small_table())[1])
    far = small_table().iloc[:5].assign(dose=[1.0, 1.0, 1.0, 100.0, 1000.0])
    assert any("'dose'" in note and "in 2 of these rows" in note for note in model.predict_with_notes(far)[1])
