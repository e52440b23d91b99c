"""`marquardt curve` from help to exit codes."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from curve_points import CONC_2, RATE_2, STATE_2
from marquardt.command.cli import app
from marquardt.curves import curve_fit

RUNNER = CliRunner()
ASKED = ["curve", "rates.csv", "--model", "michaelis_menten", "--x", "conc", "--y", "rate"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with `rates.csv`, which lacks one rate."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"conc": CONC_2, "rate": RATE_2, "state": STATE_2})
    pd.concat([frame, pd.DataFrame({"conc": [3.0], "rate": [None], "state": ["treated"]})]).to_csv(
        "rates.csv"
    )
    return tmp_path


def run(*arguments, code=0):
    outcome = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert outcome.exit_code == code, outcome.output
    assert "Traceback" not in outcome.output
    return outcome


def test_report_page_and_picture(folder):
    outcome = run(*ASKED, "--by", "state", "--shared", "km", "--html", "a.html", "--picture", "a.png")
    fit = curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2, shared="km")
    assert outcome.stdout.splitlines()[-1] == fit.report().splitlines()[-1]
    assert (
        "note: 1 row without a number in conc or rate left out" in outcome.stderr
        and "wrote a.html" in outcome.stderr
    )
    page = (folder / "a.html").read_text()
    assert (
        page.startswith("<!doctype html>")
        and "vmax[untreated]" in page
        and "http" not in page.split("</head>")[1]
    )
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_json_alone():
    outcome = run(*ASKED, "--by", "state", "--json")
    record = json.loads(outcome.stdout)
    wanted = curve_fit("michaelis_menten", CONC_2, RATE_2, by=STATE_2).rss
    assert record["rss"] == pytest.approx(wanted) and outcome.stderr == ""


def test_options_reach_the_fit():
    record = json.loads(run(*ASKED[:3], "hill", *ASKED[4:], "--fixed", "bottom=0,n=1", "--positive", "all",
                            "--loss", "huber", "--starts", "3", "--json").stdout)  # fmt: skip
    assert record["parameters"]["bottom"] == {"value": 0.0, "standard_error": 0.0, "kind": "fixed"}
    assert (
        "[[Group treated]]"
        in run(*ASKED, "--by", "state", "--html", "b.html", "--intervals", "profile").stdout
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curve", "rates.csv"], "which curve? Add --model NAME, one of 3pl"),
        (["curve", "rates.csv", "--model", "hil"], "did you mean 'hill'?"),
        (["curve", "rates.csv", "--model", "hill"], "which columns? Add --x NAME and --y NAME"),
        ([*ASKED[:5], "cond", *ASKED[6:]], "--x 'cond' is no column; did you mean 'conc'?"),
        ([*ASKED[:5], "state", *ASKED[6:]], "column 'state' holds text"),
        ([*ASKED, "--shared", "km"], "--shared km needs the groups: add --by COLUMN"),
        ([*ASKED, "--fixed", "km"], "--fixed 'km' must be NAME=NUMBER"),
        ([*ASKED, "--fixed", "q=1"], "fixed names 'q', which is no parameter"),
        ([*ASKED, "--intervals", "wald"], "--intervals 'wald' must be linear, profile or bootstrap"),
        (
            [*ASKED, "--loss", "hubber"],
            "--loss 'hubber' must be one of linear, huber, soft_l1, cauchy, tukey",
        ),
        ([*ASKED, "--picture", "a.jpg"], "--picture 'a.jpg' does not end in .png"),
        (["curve", "nothing.csv", *ASKED[2:]], "there is no file 'nothing.csv'"),
    ],
)
def test_one_clear_line(arguments, message):
    outcome = run(*arguments, code=2)
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert outcome.stdout == ""


def test_the_page_has_the_intervals_that_were_asked_for_and_no_more_digits_than_are_known(folder):
    outcome = run(*ASKED, "--html", "a.html", "--intervals", "profile")
    page = (folder / "a.html").read_text()
    fit = curve_fit("michaelis_menten", CONC_2, RATE_2)
    (wanted,) = (line for line in outcome.stdout.splitlines() if "    vmax " in line)
    assert wanted in page
    assert f">{wanted.split()[1]}</td>" in page and f"{fit.params['vmax']:.8g}" not in page
    assert "The band around a curve holds it in 95 % of the cases." in page


def test_groups_stand_apart():
    text = run(*ASKED, "--by", "state").stdout
    assert "\n\n[[Group untreated]]" in text and "\n\n[[Together]]" in text


def test_help():
    assert "--shared" in run("curve", "--help").stdout
