"""What a fit shows while it runs."""

from __future__ import annotations

import io
import math
import re

import pytest

from marquardt.reports.progress import Progress, cost_curve
from marquardt.result import Iteration


def record(iteration, cost=1.0, time=0.0, validation=None):
    return Iteration(iteration, cost, 0.1, 1.0, 0.5, 0.1, 0, 1, 1, time, validation)


def shown(records, **options):
    stream = io.StringIO()
    with Progress(stream, **options) as progress:
        for item in records:
            assert progress(item) is None
    return stream.getvalue()


def test_plain_lines_are_few_and_end_with_the_last():
    lines = shown([record(i) for i in range(124)]).splitlines()
    assert [int(line.split()[1]) for line in lines] == [0, 1, 2, 5, 10, 20, 50, 100, 123]


def test_a_slow_fit_is_never_silent_for_long():
    lines = shown([record(i, time=4.0 * i) for i in range(9)]).splitlines()
    assert [int(line.split()[1]) for line in lines] == [0, 1, 2, 5, 8]


def test_later_starts_show_their_end_only():
    lines = shown([record(i) for _ in range(3) for i in range(4)]).splitlines()
    assert [line.split("cost")[0].split() for line in lines[-3:]] == [
        ["iteration", "3"],
        ["start", "2:", "iteration", "3"],
        ["start", "3:", "iteration", "3"],
    ]


def test_validation_cost_and_quiet():
    assert "validation 0.25" in shown([record(0, validation=0.25)])
    assert shown([record(0)], quiet=True) == ""
    assert shown([]) == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_gets_one_moving_line(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Progress(stream) as progress:
        for i in range(50):
            progress(record(i, cost=10.0 ** (-i)))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    last = [line.rstrip() for line in plain.splitlines() if "iteration" in line][-1]
    assert last.startswith("iteration   49   cost 1e-49")
    assert len(last) <= width
    assert ("█" in last) == (width > 70)


def test_cost_curves_of_odd_costs():
    assert cost_curve([1.0]) == cost_curve([0.0, -1.0, math.nan]) == cost_curve([2.0, 1.0], width=1) == ""
    assert cost_curve([2.0, 2.0]) == "▁▁"
    assert len(cost_curve([float(i + 1) for i in range(1000)], width=10)) == 10
