"""Fits that must not pass in silence: explosions, absorption without an oral dose, negative values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("diffrax")

import jax.numpy as jnp
import pandas as pd

from marquardt.apps.pkpd import (
    Combined,
    Constant,
    LogNormal,
    Observations,
    Proportional,
    Regimen,
    Route,
    Subject,
    Subjects,
    fit_pooled,
    fit_two_stage,
    one_compartment,
    subjects_from_table,
)
from marquardt.apps.pkpd.deadline import NEVER
from marquardt.apps.pkpd.twins import twins

T = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
ORAL, BOLUS = one_compartment("ka"), one_compartment()
TRUTH = {"ka": 1.2, "cl": 2.0, "v": 20.0}
GUESS = {"ka": 0.8, "cl": 3.0, "v": 30.0}


def measured(id, regimen, change=lambda y: y, seed=0):
    y = ORAL.concentration(TRUTH, regimen, T)
    noise = np.random.default_rng(seed).normal(size=len(T))
    return Subject(id, regimen, {"conc": Observations(T, change(y * (1 + 0.1 * noise)))})


# -- explosions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cliff:
    """First-order elimination, whose solution explodes where it is faster than 1 an hour."""

    parameters: tuple[str, ...] = ("k", "v")
    outputs: tuple[str, ...] = ("conc",)

    def predict(self, params, dosing, times):
        k = jnp.where(params["k"] > 1.0, jnp.nan, params["k"])
        return (dosing.amount[0] / params["v"] * jnp.exp(-k * times))[:, None]

    def check(self, regimen):
        pass


@pytest.fixture(scope="module")
def sound():
    """Of every error model, in closed form."""
    given = Subjects([measured(str(k), Regimen.oral(100.0), seed=k) for k in range(2)])
    return {
        type(error): fit_pooled(ORAL, given, GUESS, error=error)
        for error in (Constant(), Proportional(), Combined(), LogNormal())
    }


def told_once(fit, words):
    told = [note for note in fit.notes if "the fit went astray" in note]
    assert len(told) == 1 and "n_starts=20" in told[0] and words in told[0], fit.notes
    assert fit.status.converged and not fit.success and told[0] in fit.message


@pytest.mark.parametrize("error", [Constant(), LogNormal()])
def test_a_fit_that_exploded_is_no_success(error):
    """The data want what the solver cannot do; no step helps, and the run ends as a converged one does."""
    t = T[:5]
    given = Subjects([Subject("1", Regimen.bolus(100.0), {"conc": Observations(t, 10 * np.exp(-1.8 * t))})])
    told_once(fit_pooled(Cliff(), given, {"k": 0.5, "v": 8.0}, error=error), "this is no minimum")


@pytest.mark.parametrize("error", [Constant, Proportional, Combined, LogNormal])
def test_a_sound_fit_is_one(sound, error):
    assert sound[error].success and not sound[error].astray


@pytest.mark.parametrize("error", [Proportional, Combined, LogNormal])
def test_errors_far_above_the_predictions(sound, error):
    fit = sound[error]
    told_once(replace(fit, levels={"conc": 200 * fit.levels["conc"]}), "the errors of conc are ")


def test_measured_values_without_a_weight():
    """Nothing is predicted before a lag, and a proportional error gives nothing a weight."""
    model = one_compartment("ka", "tlag")
    given = Subjects([measured("1", Regimen.oral(100.0))])
    fit = fit_pooled(model, given, {**GUESS, "tlag": 5.0}, error=Proportional())
    assert int(fit.denied.sum()) == 5 and not fit.success
    assert "5 of 8 measured values have no weight" in fit.astray


def test_a_parameter_that_runs_away_is_told():
    """The start is so far off that clearance 0 looks best; nothing of it may be a warning of NumPy."""
    given = Subjects([measured(str(k), Regimen.oral(100.0), seed=k) for k in range(2)])
    fit = fit_pooled(ORAL, given, {"ka": 1e-3, "cl": 3.0, "v": 1e4}, error=Proportional())
    assert fit.params["cl"] < 1e-40
    assert any(note.startswith("cl has run to") for note in fit.notes) and "cl has run" in fit.report()


# -- absorption ------------------------------------------------------------------------------------------


def test_absorption_without_an_oral_dose_is_refused():
    vein = measured("vein", Regimen.bolus(100.0))
    with pytest.raises(ValueError, match=r"no dose is oral, and so nothing tells of ka: .*route=Route\.ORAL"):
        fit_pooled(ORAL, Subjects([vein]), GUESS)
    with pytest.raises(ValueError, match="nothing tells of ka, tlag"):
        fit_pooled(one_compartment("ka", "tlag"), Subjects([vein]), {**GUESS, "tlag": 0.1})
    held = fit_pooled(ORAL, Subjects([vein]), {"cl": 3.0, "v": 30.0}, fixed={"ka": 1.0})
    assert held.params["cl"] == pytest.approx(2.0, rel=0.2)


def test_who_had_both_routes_tells_of_absorption():
    both = Subjects([measured("vein", Regimen.bolus(100.0)), measured("mouth", Regimen.oral(100.0))])
    assert fit_pooled(ORAL, both, GUESS).params["ka"] == pytest.approx(1.2, rel=0.5)
    stages = fit_two_stage(ORAL, both, GUESS)
    assert list(stages) == ["mouth"] and "no dose is oral" in stages.failed["vein"]


# -- negative values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Constant(), Proportional(), Combined()])
def test_negative_values_are_told_where_none_are_predicted(error):
    given = Subjects([measured("1", Regimen.oral(100.0), lambda y: np.where(T == 24.0, -0.03, y))])
    fit = fit_pooled(ORAL, given, GUESS, error=error)
    assert any("1 of 8 values of conc are negative, down to -0.03" in note for note in fit.notes)
    assert not any("negative" in n for n in fit_pooled(
        ORAL, Subjects([measured("1", Regimen.oral(100.0))]), GUESS, error=error).notes)  # fmt: skip


def test_a_logarithmic_error_refuses_them():
    given = Subjects([measured("1", Regimen.oral(100.0), lambda y: np.where(T == 24.0, -0.03, y))])
    with pytest.raises(ValueError, match="1 observations are 0 or less"):
        fit_pooled(ORAL, given, GUESS, error=LogNormal())


# -- other optima, censoring -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flip_flop():
    """ka and ke exchanged, with v = cl/ke: the same curve."""
    given = Subjects([measured(str(k), Regimen.oral(100.0), seed=k) for k in range(2)])
    return fit_pooled(ORAL, given, GUESS, error=Combined(), n_starts=12, spread=20.0)


def test_another_optimum_is_one_in_the_weights_of_the_fit(flip_flop):
    (twin,) = flip_flop.twins
    assert sum("another optimum of equal cost" in note for note in flip_flop.notes) == 1
    task, theta = flip_flop.task, flip_flop.theta
    # the smallest ka is the greatest ke
    assert twin[0] == pytest.approx(theta[1] / theta[2], rel=1e-4)
    sd = task.scaled_sd(flip_flop.predictions, flip_flop.levels)
    r = (task.predictions(task.free(twin)) - task.batch.values) / sd
    assert r @ r == pytest.approx(2 * flip_flop.statistics.cost, rel=1e-6)


def test_ends_that_have_not_converged_are_no_optima(flip_flop):
    starts = flip_flop.starts
    assert len(twins(flip_flop, NEVER)) == 1
    none = replace(starts, at_rest=np.zeros(len(starts.costs), dtype=bool))
    assert twins(replace(flip_flop, starts=none), NEVER) == ()


def test_what_is_below_the_limit_is_told_once():
    y = np.round(measured("1", Regimen.oral(100.0)).observations["conc"].values, 3)
    dose = pd.DataFrame({"id": [1], "time": [0.0], "amt": [100.0], "dv": [None]})
    rows = pd.DataFrame({"id": 1, "time": T, "amt": 0.0, "dv": y})
    given = subjects_from_table(pd.concat([dose, rows]), route=Route.ORAL, limit=1.0)
    for notes in (fit_pooled(ORAL, given, GUESS).notes, fit_two_stage(ORAL, given, GUESS).notes):
        assert sum("limit of quantification" in note for note in notes) == 1
    bare = Subjects(given.members)
    assert any("count by their likelihood (M3)" in note for note in fit_pooled(ORAL, bare, GUESS).notes)


# -- pictures of starts ----------------------------------------------------------------------------------


def test_one_start_has_a_picture():
    fit = fit_pooled(ORAL, Subjects([measured("1", Regimen.oral(100.0))]), GUESS)
    axes = fit.starts.plot().axes[0]
    assert axes.get_title() == "one start only: n_starts=20 tells of other optima"
