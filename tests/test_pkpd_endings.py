"""Fits of models that are ended before their time: Ctrl-C anywhere, callbacks, a limit of time."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("diffrax")

from marquardt import Status, Stopping
from marquardt.apps.pkpd import (
    Observations,
    Proportional,
    Regimen,
    Subject,
    Subjects,
    fit_pooled,
    fit_two_stage,
    one_compartment,
)
from marquardt.apps.pkpd.deadline import Deadline
from marquardt.apps.pkpd.population_task import PopulationTask

MODEL = one_compartment("ka")
GUESS = {"ka": 0.8, "cl": 3.0, "v": 30.0}
T = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])


def cohort(n):
    rng = np.random.default_rng(0)
    members = []
    for k in range(n):
        y = MODEL.concentration({"ka": 1.2, "cl": 2.0, "v": 20.0}, regimen := Regimen.oral(100.0), T)
        y = y * (1 + 0.1 * rng.normal(size=len(T)))
        members.append(Subject(str(k), regimen, {"conc": Observations(T, y)}))
    return Subjects(members)


def interrupt_at(monkeypatch, name, call):
    """Ctrl-C at the given call of a method of the task, outside of every run of the driver."""
    whole, n = getattr(PopulationTask, name), 0

    def method(self, *args, **options):
        nonlocal n
        n += 1
        if n == call:
            raise KeyboardInterrupt
        return whole(self, *args, **options)

    monkeypatch.setattr(PopulationTask, name, method)


@pytest.mark.parametrize(
    ("name", "call", "words"),
    [
        ("run", 3, "no further start was tried"),  # of 5 starts
        ("levels", 1, "Interrupted"),
        ("levels", 2, "Interrupted"),
        ("run", 7, "Interrupted"),
    ],
)
def test_ctrl_c_between_runs_keeps_the_best(monkeypatch, name, call, words):
    interrupt_at(monkeypatch, name, call)
    fit = fit_pooled(MODEL, cohort(3), GUESS, error=Proportional(), n_starts=5)
    assert fit.interrupted and any(words in note for note in fit.notes)
    assert fit.params["cl"] == pytest.approx(2.0, rel=0.2)
    assert fit.levels["conc"][0] == pytest.approx(0.1, rel=0.4)  # of the residuals, not the first guess
    assert fit.relative_errors["cl"] == pytest.approx(0.03, rel=0.5) and "cl" in fit.report()


def test_ctrl_c_before_there_is_anything(monkeypatch):
    interrupt_at(monkeypatch, "run", 1)
    with pytest.raises(KeyboardInterrupt):
        fit_pooled(MODEL, cohort(1), GUESS)


@pytest.mark.parametrize("name", ["first_levels", "run"])
def test_ctrl_c_between_subjects_keeps_those_that_are_done(monkeypatch, name):
    with monkeypatch.context() as patch:
        n_runs = []
        whole = PopulationTask.run
        patch.setattr(PopulationTask, "run", lambda *a, **o: (n_runs.append(1), whole(*a, **o))[1])
        fit_two_stage(MODEL, Subjects(cohort(3).members[:1]), GUESS)
    interrupt_at(monkeypatch, name, 2 if name == "first_levels" else len(n_runs) + 1)
    stages = fit_two_stage(MODEL, cohort(3), GUESS)
    assert list(stages) == ["0"] and stages["0"].status.converged
    assert stages.failed == {"1": "interrupted before a first fit", "2": "interrupted before its turn"}


def stop(iteration):
    return iteration.iteration >= 2


def fail(iteration):
    if iteration.iteration >= 2:
        raise OSError("disk full")


@pytest.mark.parametrize(
    ("callback", "status", "words"),
    [
        (stop, Status.STOPPED_BY_CALLBACK, "the callback asked to stop"),
        (fail, Status.CALLBACK_FAILED, "disk full"),
    ],
)
def test_a_callback_ends_the_whole_fit(callback, status, words):
    """Not one run after the other, each at its second iteration."""
    n_begun = 0

    def counted(iteration):
        nonlocal n_begun
        n_begun += iteration.iteration == 0
        return callback(iteration)

    fit = fit_pooled(MODEL, cohort(2), GUESS, error=Proportional(), n_starts=6, callback=counted)
    assert n_begun == 1 and fit.status is status and fit.interrupted
    assert any(words in note for note in fit.notes)
    n_begun = 0
    stages = fit_two_stage(MODEL, cohort(4), GUESS, callback=counted)
    assert n_begun == 1 and len(stages) == 1 and len(stages.failed) == 3


def test_a_limit_of_time_is_one_for_all_runs():
    def slow(iteration):
        time.sleep(0.02)

    fit_two_stage(MODEL, Subjects(cohort(6).members[:1]), GUESS)  # compiled
    begun = time.monotonic()
    stages = fit_two_stage(
        MODEL, cohort(6), GUESS, n_starts=50, callback=slow, stopping=Stopping(max_time=0.3, max_iter=300)
    )
    assert time.monotonic() - begun < 2.0
    assert len(stages) >= 1 and stages["0"].params["cl"] == pytest.approx(2.0, rel=0.3)
    assert "the limit of time came before its turn" in stages.failed["5"]
    assert any("the limit of time came after" in note for note in stages.notes)


def test_levels_that_had_no_time_to_settle_are_told():
    fit = fit_pooled(MODEL, cohort(2), GUESS, error=Proportional(), stopping=Stopping(max_time=0.0))
    assert fit.status is Status.MAX_TIME and not fit.interrupted
    assert "the levels of the error model have not settled: the limit of time came" in fit.notes
    np.testing.assert_allclose(list(fit.params.values()), list(GUESS.values()))


def test_a_deadline_that_has_passed_leaves_a_run_nothing():
    assert Deadline(0.0).passed and Deadline(0.0).within(Stopping()).max_time == 0.0
    assert not Deadline.of(Stopping()).passed and not Deadline.of(None).passed
