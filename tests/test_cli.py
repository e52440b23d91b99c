"""The command, from help to exit codes; its numbers are tested where they are made."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import marquardt
from marquardt.command.cli import Activation, Demo, app
from marquardt.command.completion import complete_column
from marquardt.datasets import DATASETS
from marquardt.files.persistence import load, save
from marquardt.tables import model as table_model
from small_model import small_model, small_table

pytestmark = pytest.mark.filterwarnings("ignore:Levenberg-Marquardt has not converged")
RUNNER = CliRunner()
QUICK = ["--hidden", "3", "--max-iter", "15"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder with `small.csv`."""
    monkeypatch.chdir(tmp_path)
    small_table().to_csv("small.csv", index=False)
    return tmp_path


def run(*arguments, code=0):
    """The outcome of a command; its exit code is checked, and that no traceback was shown."""
    outcome = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert outcome.exit_code == code, outcome.output
    assert "Traceback" not in outcome.output
    return outcome


def error_of(*arguments, code=2):
    """The single error line of a command that must fail."""
    outcome = run(*arguments, code=code)
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and outcome.stdout == ""
    return lines[0]


def fit_small(*more):
    return run("fit", "small.csv", "--target", "answer", "--output", "a.marquardt", *QUICK, *more)


# -- the way through -------------------------------------------------------------------------------


def test_fit_report_predict(folder):
    outcome = fit_small("--html", "a.html", "--unit", "mg/L")
    assert "[[Scores]]" in outcome.stdout and "mg/L" in outcome.stdout
    assert "'unit' dropped: constant ('mg')" in outcome.stdout
    assert "iteration    0" in outcome.stderr and "wrote a.marquardt" in outcome.stderr
    assert (folder / "a.html").read_text().startswith("<!doctype html>")

    again = run("report", "a.marquardt", "--html", "b.html")
    assert again.stdout == outcome.stdout
    assert (folder / "b.html").read_text() == (folder / "a.html").read_text()

    run("predict", "a.marquardt", "small.csv", "--output", "p.csv")
    predicted = pd.read_csv("p.csv")
    assert predicted.columns.tolist() == [*small_table().columns, "predicted_answer"]
    expected = load("a.marquardt").predict(small_table())["answer"]
    np.testing.assert_allclose(predicted["predicted_answer"], expected, rtol=1e-12)


def test_the_default_output_is_named_after_the_table(folder):
    small_table().to_csv("run.2024.csv", index=False)
    for name in ("small", "run.2024"):
        run("fit", f"{name}.csv", "--target", "answer", "--quiet", *QUICK)
        assert (folder / f"{name}.marquardt").exists()


def test_several_targets_and_every_option(folder):
    table = small_table().assign(other=lambda t: -t["answer"], code=lambda t: np.arange(len(t)) % 3)
    table.to_csv("two.csv", index=False)
    outcome = run(
        "fit", "two.csv", "--target", "answer,other", "--hidden", "3,2", "--activation", "logistic",
        "--test-fraction", "0.3", "--seed", "3", "--starts", "2", "--jobs", "1", "--max-iter", "5",
        "--alpha", "0.1", "--drop", "time_hours,unit", "--categorical", "code",
        "--unit", "mg/L,", "--output", "two.marquardt", "--json",
    )  # fmt: skip
    data = json.loads(outcome.stdout)
    assert outcome.stderr == ""
    assert data["targets"] == ["answer", "other"]
    assert data["network"] == "7 inputs, 3 logistic, 2 logistic, 2 linear"
    assert data["settings"]["starts"].startswith("2: ") and data["settings"]["alpha"] == "0.1"
    assert data["scores"]["other"]["held_out"]["n"] == 18
    assert [column["name"] for column in data["columns"]] == ["dose", "salt", "code"]
    rows = json.loads(run("predict", "two.marquardt", "two.csv", "--only", "--json").stdout)["rows"]
    assert len(rows) == 60 and set(rows[0]) == {"predicted_answer", "predicted_other"}


def test_the_same_seed_gives_the_same_fit(folder):
    first, second = (json.loads(fit_small("--json", "--seed", "5").stdout) for _ in range(2))
    assert first["scores"] == second["scores"]
    other = json.loads(fit_small("--json", "--seed", "6").stdout)
    assert first["scores"] != other["scores"]


def test_quiet_is_silent(folder):
    outcome = fit_small("--quiet")
    assert outcome.output == ""
    outcome = run("predict", "a.marquardt", "small.csv", "--quiet", "--output", "p.csv")
    assert outcome.output == ""


def test_predictions_to_standard_output_and_notes_to_the_other(folder):
    fit_small("--quiet")
    outcome = run("predict", "a.marquardt", "small.csv", "--only")
    assert outcome.stdout.splitlines()[0] == "predicted_answer" and len(outcome.stdout.splitlines()) == 61
    assert "note: 'dose': 1 value is missing" in outcome.stderr


def test_predictions_are_scored_where_the_target_is_known(folder):
    fit_small("--quiet")
    note = run("predict", "a.marquardt", "small.csv", "--output", "p.csv").stderr
    assert re.search(r"note: 'answer' is known for 60 of these rows: R2 \S+, RMSE \S+, MAE", note)


def test_other_kinds_of_table(folder):
    small_table().to_excel("small.xlsx", sheet_name="raw", index=False)
    run("fit", "small.xlsx", "--sheet", "raw", "--target", "answer", "--quiet", *QUICK)
    run("predict", "small.marquardt", "small.xlsx", "--output", "p.parquet")
    assert "predicted_answer" in pd.read_parquet("p.parquet")


def test_report_as_json_is_that_of_the_fit(folder):
    fitted = json.loads(fit_small("--json").stdout)
    assert json.loads(run("report", "a.marquardt", "--json").stdout) == fitted


# -- demo ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_demo_of_a_table(folder, name):
    outcome = run("demo", name)
    assert f"table           {name}.csv" in outcome.stdout
    assert "wrote marquardt-demo.html" in outcome.stderr and "CC BY 4.0" in outcome.stderr
    assert (folder / "marquardt-demo.html").stat().st_size > 100_000
    score = re.search(r"held out +(\S+)", outcome.stdout)
    assert score is not None and float(score.group(1)) > 0.8


def test_demo_spirals(folder, monkeypatch):
    real = marquardt.lm.minimize
    stopping = marquardt.Stopping(max_iter=3)
    monkeypatch.setattr(marquardt.lm, "minimize", lambda *a, **k: real(*a, **{**k, "stopping": stopping}))
    outcome = run("demo", "spirals", "--html", "s.html")
    assert "[[Two spirals]]" in outcome.stdout and "127 parameters" in outcome.stdout
    assert (folder / "s.html").read_text().count("<img") == 2
    data = json.loads(run("demo", "spirals", "--json").stdout)
    assert data["scores"]["training"]["n"] == 400 and data["n_iter"] == 3


@pytest.mark.slow
def test_demo_spirals_in_full(folder):
    data = json.loads(run("demo", "spirals", "--json").stdout)
    assert data["scores"]["held_out"]["accuracy"] >= 0.95


def test_demo_names_are_those_of_the_datasets():
    assert {demo.value for demo in Demo} == {*DATASETS, "spirals"}


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nofile.csv", "-t", "answer"], "error: there is no file 'nofile.csv': check the path"),
        (["smal.csv", "-t", "answer"], "(did you mean 'small.csv'?)"),
        (
            ["small.csv"],
            "which column is to be predicted? Add --target NAME, one of 'dose', 'time_hours', 'salt'",
        ),
        (["small.csv", "-t", "anwser"], "--target 'anwser' is no column; did you mean 'answer'?"),
        (["small.csv", "-t", "salt"], "target 'salt' must be numbers, but 60 of 60 rows hold text ("),
        (["small.csv", "-t", "answer", "--drop", "dos"], "--drop 'dos' is no column; did you mean 'dose'?"),
        (
            ["small.csv", "-t", "answer", "--categorical", "x"],
            "--categorical 'x' is no column; the columns are",
        ),
        (
            ["small.csv", "-t", "answer", "--drop", "dose,time_hours,salt"],
            "no input column is left to learn from",
        ),
        (
            ["small.csv", "-t", "answer", "--hidden", "2,x"],
            "--hidden '2,x' must be whole numbers of at least 1",
        ),
        (["small.csv", "-t", "answer", "--hidden", "0"], "--hidden '0' must be whole numbers of at least 1"),
        (
            ["small.csv", "-t", "answer", "--test-fraction", "1.5"],
            "--test-fraction 1.5 must be at least 0 and below 1",
        ),
        (["small.csv", "-t", "answer", "--alpha", "-1"], "alpha"),
        (["small.csv", "-t", "answer", "--unit", "mg,L"], "--unit names 2 units for 1 targets"),
        (["small.csv", "-t", "answer", "--starts", "0"], "--starts 0 must be a whole number of at least 1"),
        (
            ["small.csv", "-t", "answer", "--sheet", "1"],
            "--sheet '1': 'small.csv' has no sheets; leave it out",
        ),
        (["small.csv", "-t", "answer", "--max-iter", "-5"], "--max-iter"),
        (["small.csv", "-t", "answer", *QUICK, "-o", "no/a.marquardt"], "Create the folder "),
        (["small.csv", "-t", "answer", *QUICK, "--html", "no/a.html"], "Create the folder "),
    ],
)
def test_bad_input_to_fit(folder, arguments, message):
    assert message in error_of("fit", *arguments)


def test_a_disk_that_fills_during_the_fit_loses_no_report(folder, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fit_small("--quiet")
    before = (folder / "a.marquardt").read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    outcome = run("fit", "small.csv", "-t", "answer", "-o", "a.marquardt", *QUICK, code=2)
    assert "[[Scores]]" in outcome.stdout
    assert (
        "error: could not write 'a.marquardt': No space left on device; the old file is untouched"
        in outcome.stderr
    )
    assert (folder / "a.marquardt").read_bytes() == before


def test_too_few_rows(folder):
    small_table().iloc[:1].to_csv("one.csv", index=False)
    assert "the table has 1 rows with a target: at least 4 are needed" in error_of(
        "fit", "one.csv", "-t", "answer"
    )


def test_bad_input_to_predict_and_report(folder):
    fit_small("--quiet")
    small_table().rename(columns={"dose": "Dose"}).to_csv("renamed.csv", index=False)
    message = error_of("predict", "a.marquardt", "renamed.csv")
    assert "the model's input 'dose' is no column; did you mean 'Dose'?" in message
    error = error_of("report", "small.csv")
    assert "is not a model file that marquardt can read" in error and "does not begin like one" in error
    assert "there is no file 'b.marquardt'" in error_of("predict", "b.marquardt", "small.csv")
    assert "use the ending .csv" in error_of("predict", "a.marquardt", "small.csv", "-o", "p.doc")


def test_usage_errors(folder):
    assert run("fit", code=2).stdout == ""
    assert run("nonsense", code=2).stdout == ""
    assert run("demo", "nonsense", code=2).stdout == ""
    assert run("fit", "small.csv", "--activation", "step", code=2).stdout == ""


def test_a_failed_fit_is_saved_and_exits_with_1(folder, monkeypatch):
    model = small_model()
    failed = table_model.TableModel(model.encoder, model.network, _changed(model.record, "SINGULAR", False))
    monkeypatch.setattr(table_model, "fit_table", lambda *a, **k: failed)
    outcome = run("fit", "small.csv", "-t", "answer", "-o", "a.marquardt", code=1)
    assert "error: it broke" in outcome.stderr and "The fit failed" in outcome.stdout
    assert (folder / "a.marquardt").exists()


def test_an_interrupted_fit_is_saved_and_exits_with_130(folder, monkeypatch):
    model = small_model()
    stopped = table_model.TableModel(
        model.encoder, model.network, _changed(model.record, "INTERRUPTED", True)
    )
    monkeypatch.setattr(table_model, "fit_table", lambda *a, **k: stopped)
    run("fit", "small.csv", "-t", "answer", "-o", "a.marquardt", code=130)
    assert (folder / "a.marquardt").exists()


def _changed(record, status, success):
    from dataclasses import replace

    return replace(record, status=status, success=success, message="it broke")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError("needs 80 GB, there are 8"), 2, "not enough memory: needs 80 GB, there are 8"),
        (MemoryError(), 2, "not enough memory: use fewer --hidden units"),
        (ImportError("no openpyxl"), 2, "no openpyxl: run `python -m pip install"),
        (RuntimeError("odd"), 3, "RuntimeError: odd. This is a fault of marquardt, please report it"),
        (KeyboardInterrupt(), 130, "interrupted before there was anything to save"),
    ],
)
def test_every_exception_is_one_line(folder, monkeypatch, error, code, message):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(table_model, "fit_table", broken)
    assert message in error_of("fit", "small.csv", "-t", "answer", code=code)
    if code != 130:
        monkeypatch.setenv("MARQUARDT_DEBUG", "1")
        with pytest.raises(type(error)):
            RUNNER.invoke(app, ["fit", "small.csv", "-t", "answer"], catch_exceptions=False)


def test_a_regressor_file_is_no_table_model(folder):
    from marquardt import LMRegressor

    save(LMRegressor(hidden_layer_sizes=(2,), max_iter=2).fit(np.eye(4), np.arange(4.0)), "r.marquardt")
    assert "holds an estimator without a table" in error_of("report", "r.marquardt")


# -- help and completion ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["fit"], ["predict"], ["report"], ["demo"]])
def test_help_has_examples(command):
    text = run(*command, "--help").stdout
    assert "Exit codes" in text if not command else "marquardt " + command[0] in text


def test_version():
    assert run("--version").stdout == f"marquardt {marquardt.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("a", ["answer"]), ("dose,a", ["dose,answer"]), ("x", []), ("", [*small_table().columns])],
)
def test_completion_offers_the_columns_of_the_table(folder, monkeypatch, typed, offered):
    monkeypatch.setenv("COMP_WORDS", f"marquardt fit small.csv --target {typed}")
    assert list(complete_column(typed)) == offered
    monkeypatch.setenv("COMP_WORDS", f"marquardt fit none.csv --target {typed}")
    assert list(complete_column(typed)) == []
    monkeypatch.delenv("COMP_WORDS")
    assert list(complete_column(typed)) == []


def test_completion_works_in_a_shell(folder):
    words = {"COMP_WORDS": "marquardt fit small.csv --target a", "COMP_CWORD": "4"}
    code = "from marquardt.command.cli import app; app(prog_name='marquardt')"
    outcome = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_MARQUARDT_COMPLETE": "complete_bash", **words},
        capture_output=True,
        text=True,
    )
    assert outcome.stdout.split() == ["answer"]


def test_activations_are_those_of_the_estimator():
    from marquardt import LMRegressor

    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20.0)
    for activation in Activation:
        LMRegressor(hidden_layer_sizes=(2,), activation=activation.value, max_iter=1).fit(X, y)


def test_the_installed_command_and_its_streams(folder):
    """Once as a process: help loads nothing heavy, and JSON is all there is on standard output."""
    code = (
        "import sys; from marquardt.command.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pandas', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1] == "[]"
    command = [sys.executable, "-m", "marquardt", "fit", "small.csv", "-t", "answer", "--json", *QUICK]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(outcome.stdout)["targets"] == ["answer"] and outcome.stderr == ""


def test_a_terminal_without_unicode(folder):
    fit_small("--quiet")
    command = [sys.executable, "-m", "marquardt", "report", "a.marquardt"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    outcome = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"[[Scores]]" in outcome.stdout and outcome.stderr == b""


@pytest.mark.parametrize("option", ["--alpha", "--starts", "--max-iter", "--seed"])
def test_a_number_out_of_range_names_its_option(folder, option):
    outcome = RUNNER.invoke(app, ["fit", "small.csv", "--target", "y", option, "-3"])
    assert outcome.exit_code == 2 and option in outcome.output and "LMRegressor" not in outcome.output
