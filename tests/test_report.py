"""The reports: what they say, in text, HTML and JSON."""

from __future__ import annotations

import html.parser
import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from marquardt.diagnosis import Finding, Severity
from marquardt.reports.html_report import html_report
from marquardt.reports.json_report import json_report
from marquardt.reports.text_report import advice, duration, number, overfit_ratio, r_squared, text_report
from marquardt.tables.fit_record import ColumnEffect, EvidenceRecord, Outcome
from small_model import small_model

RECORD = small_model().record


@cache
def page_of_record():
    return html_report(RECORD)


def outcome(error, n_samples=50):
    y = np.linspace(0, 10, n_samples)[:, None]
    return Outcome(y, y + error * np.resize([1.0, -1.0], (n_samples, 1)))


def test_scores():
    scores = Outcome(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 1.0]]))
    assert scores.scores(0) == {"R2": 0.5, "RMSE": np.sqrt(0.5), "MAE": 0.5}
    assert np.isnan(scores.scores(1)["R2"])  # equal targets
    assert np.isnan(Outcome(np.ones((1, 1)), np.ones((1, 1))).scores(0)["R2"])


def test_the_text_has_every_section_and_no_long_line():
    text = text_report(RECORD)
    assert re.findall(r"\[\[(\w+)\]\]", text) == [
        "Data",
        "Network",
        "Training",
        "Scores",
        "Columns",
        "Advice",
    ]
    assert max(map(len, text.splitlines())) <= 110
    for piece in (
        "small.csv, 60 rows: 45 to train, 15 held out",
        "3 columns, 5 inputs of the network after encoding",
        "'unit' dropped: constant ('mg')",
        "'dose': 1 value is missing, median",
        "5 inputs, 4 tanh, 1 linear",
        "29 (1.6 training values each)",
        "max iter: 15 iterations, limit 15.",
        "0.2 to 1.8: +4.8 mg/L",
    ):
        assert piece in re.sub(r"\s+", " ", text), piece


def test_the_text_of_several_targets_and_no_held_out_rows():
    text = text_report(small_model(n_targets=2).record)
    assert "minus -4.8" in text
    text = text_report(small_model(held_out=False).record)
    assert "held out       " not in text and "No rows were held out" in text


def test_the_text_of_early_stopping():
    assert "the best on the validation rows" in text_report(small_model(validation=True).record)


def test_many_columns_are_cut():
    effects = tuple(ColumnEffect(f"c{i}", 1.0, 0.0, "0", "1", (1.0,)) for i in range(40))
    assert "... and 10 more" in text_report(replace(RECORD, effects=effects))
    assert "[[Columns]]" not in text_report(replace(RECORD, effects=()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"held_out": None}, "No rows were held out, so these scores say nothing about new rows: use"),
        (
            {"held_out": outcome(1.0, 20), "train": outcome(1.0)},
            "Only 20 rows are held out: their scores change",
        ),
        (
            {"held_out": outcome(3.0), "train": outcome(1.0)},
            "The error on held-out rows is 3 times that on training",
        ),
        (
            {"held_out": outcome(9.0), "train": outcome(9.0)},
            "The network explains less than half of the variance",
        ),
        ({"n_params": 1000}, "The network has more parameters (1000) than there are training values (45)"),
        ({"status": "INTERRUPTED"}, "The fit was interrupted: let it run to its end before judging it."),
        ({"success": False}, "The fit failed: these numbers are those of the best parameters before it did"),
        ({"held_out": None}, "Without measurable effect on the predictions: try --drop salt."),
    ],
)
def test_advice(change, sentence):
    assert any(said.startswith(sentence) for said in advice(replace(RECORD, **change)))


def test_advice_after_early_stopping_does_not_repeat_it():
    record = replace(small_model(validation=True).record, train=outcome(1.0), held_out=outcome(3.0))
    said = " ".join(advice(record))
    assert "larger --alpha" in said and "Try --early-stopping" not in said


def test_a_good_fit_needs_no_advice():
    record = replace(RECORD, train=outcome(0.1), held_out=outcome(0.1), effects=())
    assert advice(record) == []
    assert "[[Advice]]" not in text_report(record)


def with_bars(z, sd=1.0):
    """Held-out rows of 50 whose errors are so many predicted standard deviations."""
    z = np.asarray(z, dtype=float)[:, None]
    y = np.linspace(0, 10, len(z))[:, None]
    return Outcome(y, y + sd * z, np.full_like(y, sd))


FEW_FAR = [0.1] * 89 + [3.0, -4.0, 3.0, 3.0] * 2 + [3.0] * 3  # 89 of 100 inside, far inside
ALL_FAR = [1.0, -1.5, 1.9, 2.5, -1.2] * 20  # 80 of 100 inside, none near the middle


@pytest.mark.parametrize(
    ("z", "settings", "pieces"),
    [
        (
            FEW_FAR,
            {},
            ["hold 89 of 100 held-out rows (89 %)", "(90 to 99 %): most rows are predicted"],
        ),
        (FEW_FAR, {}, ["those few may be measured less well", "try --varying-noise", "1.5 times as long."]),
        (FEW_FAR, {"noise": "varying"}, ["a few much worse", "the points outside). Until then"]),
        (ALL_FAR, {}, ["hold 80 of 100", "rows like these are predicted worse", "1.3 times as long."]),
        ([0.1, *FEW_FAR[:-1]], {}, None),  # 90 of 100: the edge of what chance explains
        ([0.1] * 100, {}, None),
        ([0.1] * 8 + [3.0], {}, None),  # 8 of 9: chance explains that
    ],
)
def test_intervals_that_hold_too_few_rows_are_explained(z, settings, pieces):
    record = replace(RECORD, held_out=with_bars(z), train=outcome(1.0), settings=settings, effects=())
    said = [item for item in advice(record) if item.startswith("The 95 % intervals hold")]
    if pieces is None:
        assert not said
    else:
        assert all(piece in said[0] for piece in pieces)


def test_error_bars_that_are_too_short_are_not_said_to_count_the_overfit_in():
    evidence = EvidenceRecord(1.0, 5.0, (0.1,))
    sound = replace(
        RECORD, train=with_bars([0.5] * 50), held_out=with_bars([0.5] * 50, 3.0), evidence=evidence
    )
    short = replace(sound, held_out=with_bars(ALL_FAR))
    assert "the error bars count this in" in " ".join(advice(sound))
    assert "the error bars count this in" not in " ".join(advice(short))
    assert "The error on held-out rows is" in " ".join(advice(short))


def test_the_share_that_chance_explains_stands_beside_the_share_held():
    record = replace(
        RECORD,
        train=with_bars([0.5] * 50),
        held_out=with_bars(ALL_FAR),
        evidence=EvidenceRecord(1.0, 5.0, (0.1,)),
    )
    text = text_report(record)
    assert re.search(r"held out +hold 80 % +90 to 99 %", text)
    assert re.search(r"training +hold 100 %  +\d", text)
    assert '<td class="n">90 to 99 %</td>' in html_report(record)


def test_overfit_ratio_at_the_floor():
    assert overfit_ratio(replace(RECORD, train=outcome(0.0), held_out=outcome(1e-13))) == 1.0
    assert np.isnan(overfit_ratio(replace(RECORD, held_out=None)))


def test_units_are_given_or_told_by_the_name():
    record = replace(RECORD, targets=("strength_mpa", "load", "x_hours"), units=("", "kN"))
    assert [record.unit(k) for k in range(3)] == ["MPa", "kN", "h"]


def test_numbers():
    assert (number(0.0), number(1e-9), r_squared(1.0), r_squared(-3.0)) == ("0", "1e-09", "1.0000", "-3.0000")
    assert r_squared(1 - 3e-9) == "0.9999999970"
    assert (duration(0.05), duration(59.9), duration(3600)) == ("0.05 s", "60 s", "60 min 0 s")


class Page(html.parser.HTMLParser):
    """Collects tags and addresses, and checks that tags are closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_html_is_whole_and_asks_for_nothing():
    page = Page()
    page.feed(page_of_record())
    assert page.open == []
    assert page.tags.count("img") == 5
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "form", "object"} & set(page.tags)


def test_names_from_the_table_cannot_write_html():
    evil = '<script>alert("x")</script>'
    record = replace(
        RECORD, source=evil, targets=(evil,), units=(evil,), notes=(evil,), message=evil, network=evil,
        effects=(ColumnEffect(evil, 1.0, 0.1, evil, evil, (1.0,)),), version=evil, settings={evil: evil},
    )  # fmt: skip
    text = html_report(record)
    assert "<script" not in text and "&lt;script&gt;" in text


@pytest.mark.parametrize(
    "model", [small_model(n_targets=2), small_model(held_out=False)], ids=["two", "no held out"]
)
def test_other_shapes_of_html(model):
    page = Page()
    page.feed(html_report(model.record))
    assert page.open == []


def test_html_of_a_run_without_iterations():
    assert "<h2>Training</h2>" not in html_report(replace(RECORD, history=type(RECORD.history)(), effects=()))


def test_json():
    data = json.loads(json.dumps(json_report(RECORD), allow_nan=False))
    assert data["scores"]["answer"]["held_out"]["n"] == 15
    assert data["columns"][0]["changes"] == {"answer": 4.8}
    record = replace(RECORD, held_out=Outcome(np.ones((2, 1)), np.ones((2, 1))))
    assert json_report(record)["scores"]["answer"]["held_out"]["R2"] is None


def test_short_names_and_negative_importances_stay_in_line():
    effects = (
        ColumnEffect("a", 0.5, 0.1, "0", "1", (1.0,)),
        ColumnEffect("b", -0.004, 0.011, "0", "1", (1.0,)),
    )
    lines = text_report(replace(small_model().record, effects=effects)).splitlines()
    head = next(line for line in lines if "effect, from low" in line)
    assert head.split()[:2] == ["column", "importance"]
    assert {line.index("0 to 1:") for line in lines if "0 to 1:" in line} == {head.index("effect,")}


def test_an_importance_that_overflows_does_not_end_the_report():
    effects = (ColumnEffect("a", float("nan"), float("nan"), "0", "1", (1e300,)),)
    assert "nan ± nan" in text_report(replace(small_model().record, effects=effects))


NUMBERS = {"layer_1": 2.0, "share": np.inf}
FINDING = Finding("dead units", Severity.WARNING, NUMBERS, "2 of 4 units <are> dead.", "Start again.")


def test_findings_are_told_in_every_form():
    record = replace(RECORD, findings=(FINDING,))
    text = text_report(record)
    assert "[[Diagnosis]]\n    - dead units: 2 of 4 units <are> dead. Start again.\n" in text
    page = html_report(record)
    assert "<h2>Diagnosis</h2>" in page and "<td>2 of 4 units &lt;are&gt; dead.</td>" in page
    (found,) = json.loads(json.dumps(json_report(record), allow_nan=False))["findings"]
    assert found["evidence"] == {"layer_1": 2.0, "share": "inf"} and found["severity"] == "warning"
    for silent in (text_report(RECORD), page_of_record()):
        assert "Diagnosis" not in silent
    assert json_report(RECORD)["findings"] == []
