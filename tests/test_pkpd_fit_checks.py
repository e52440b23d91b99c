"""The checks of pooled and two-stage fits."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

from marquardt.apps.pkpd import (
    EMAX,
    Combined,
    Constant,
    DirectEffect,
    LogNormal,
    Observations,
    Proportional,
    Regimen,
    Subject,
    Subjects,
    fit_checks,
    fit_pooled,
    fit_two_stage,
    one_compartment,
    predictive_check,
)
from marquardt.apps.pkpd.fit_checks import goodness_of, predictive_check_of
from marquardt.reports import png

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0])
DOSES = np.where(np.arange(24) % 2 == 0, 100.0, 300.0)
START = {"cl": 2.0, "v": 20.0}


def study(n=24, limit=None, spread=0.3, noise=0.1):
    rng = np.random.default_rng(0)
    members = []
    for k, dose in enumerate(DOSES[:n]):
        cl, v = np.exp(np.log([3.0, 30.0]) + spread * rng.standard_normal(2))
        y = dose / v * np.exp(-cl / v * TIMES) * (1 + noise * rng.standard_normal(len(TIMES)))
        below = np.zeros(len(y), bool) if limit is None else y < limit
        seen = Observations(TIMES, np.where(below, limit or 0.0, y), below)
        members.append(Subject(f"s{k}", Regimen.bolus(dose), {"conc": seen}))
    return Subjects(members)


@pytest.fixture(scope="module")
def two_stage():
    return fit_two_stage(one_compartment(), study(), START, error=Proportional())


@pytest.fixture(scope="module")
def pooled():
    return fit_pooled(one_compartment(), study(), START, error=Proportional())


def test_goodness_of_a_two_stage_fit(two_stage):
    found = goodness_of(two_stage, unit="mg/L")
    table = np.concatenate([fit.table()["predicted"] for fit in two_stage.values()])
    np.testing.assert_allclose(found.individual, table)
    mean, rows = two_stage.mean, found.rows_of("s1")
    typical = 300 / mean["v"] * np.exp(-mean["cl"] / mean["v"] * TIMES)
    np.testing.assert_allclose(found.predicted[rows], typical, rtol=1e-10)
    curve = found.curves["s1"]
    np.testing.assert_allclose(np.interp(TIMES, curve.time, curve.population), typical, rtol=1e-2)
    assert found.subjects == [f"s{k}" for k in range(24)]
    assert len(png(found.plot())) > 10_000 and len(png(found.plot_individuals(logarithmic=True))) > 10_000


def test_goodness_of_a_pooled_fit(pooled):
    found = goodness_of(pooled)
    np.testing.assert_allclose(found.weighted_residuals, pooled.table()["weighted_residual"])
    assert found.individual is None and found.lag_correlation > 0.3  # subjects do differ


def test_the_right_fit_passes_its_check(two_stage):
    for corrected in (False, True):
        check = predictive_check_of(two_stage, n_replicates=200, corrected=corrected)
        assert check.outside.mean() < 0.2 and check.corrected is corrected
    again = predictive_check_of(two_stage, n_replicates=200, corrected=True)
    np.testing.assert_array_equal(check.low, again.low)


def test_new_subjects_are_spread_as_the_fit_says(two_stage):
    """Without residual error, log concentrations at time 0.5 vary nearly as log volumes."""
    check = predictive_check_of(two_stage, n_replicates=300, corrected=True, bins=[0, 0.75, 20])
    spread = np.log(check.median[2, 0] / check.median[0, 0]) / (2 * 1.645)
    omega = np.sqrt(two_stage.between_variance(corrected=True)[1, 1])
    assert abs(spread - np.hypot(omega, 0.1)) < 0.06


def test_a_limit_of_quantification_cuts_both():
    fit = fit_pooled(one_compartment(), study(limit=1.2, spread=0.0), START, error=Proportional())
    assert fit.task.batch.censored.sum() > 5
    assert len(goodness_of(fit).observed) == 24 * 6 - fit.task.batch.censored.sum()
    check = predictive_check_of(fit, n_replicates=200)
    assert check.observed.min() == 1.2 and check.low.min() == 1.2 and check.outside.mean() < 0.2


@pytest.mark.parametrize("error", [Proportional(), LogNormal(), Combined()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("corrected", [False, True])
def test_samples_before_the_dose_are_left_out_of_the_check(error, corrected):
    """Nothing is predicted there: there is no error to draw, and no ratio to correct by."""
    fit = fit_pooled(one_compartment("ka"), predose_study(error), START | {"ka": 1.0}, error=error)
    check = predictive_check_of(fit, n_replicates=50, corrected=corrected)
    kept = isinstance(error, Combined) and not corrected
    assert (check.time.min() == 0) == kept
    assert any("24 observations are left out" in note for note in check.notes) != kept
    assert np.isfinite(check.low).all() and check.corrected is corrected


def predose_study(error):
    """Oral doses, sampled at time 0 too; a logarithm needs something above 0 there."""
    rng = np.random.default_rng(1)
    t = np.concatenate([[0.0], TIMES])
    members = []
    for k, dose in enumerate(DOSES):
        regimen = Regimen.oral(dose)
        f = one_compartment("ka").concentration({"ka": 1.0, "cl": 3.0, "v": 30.0}, regimen, t)
        y = f * np.exp(0.1 * rng.standard_normal(len(t)))
        if isinstance(error, LogNormal):
            y[0] = 1e-3
        members.append(Subject(f"s{k}", regimen, {"conc": Observations(t, y)}))
    return Subjects(members)


def test_replicates_of_a_log_normal_error_are_positive():
    """f + b f z would fall below 0 in every eighth draw at b = 0.9."""
    fit = fit_pooled(one_compartment(), study(noise=0.0, spread=0.9), START, error=LogNormal())
    assert fit.levels["conc"][0] > 0.5
    check = predictive_check_of(fit, n_replicates=200, coverage=0.98)
    assert check.low.min() > 0
    found = goodness_of(fit)
    np.testing.assert_allclose(
        found.weighted_residuals, np.log(found.observed / found.predicted) / fit.levels["conc"][0], rtol=1e-6
    )


def test_endpoints_that_were_not_measured_need_no_name():
    """The effect model also predicts concentrations."""
    regimen, t = Regimen.bolus(100.0), TIMES
    model = DirectEffect(one_compartment(), EMAX)
    c = 100 / 30 * np.exp(-0.1 * t)
    effect = 10 + 50 * c / (1.0 + c) + 0.5 * np.sin(37 * np.arange(len(t)))
    subjects = Subjects([Subject("a", regimen, {"effect": Observations(t, effect)})])
    start = {"e0": 8.0, "emax": 40.0, "ec50": 1.5}
    fit = fit_pooled(model, subjects, start, fixed={"cl": 3.0, "v": 30.0})
    assert predictive_check_of(fit, n_replicates=20).observed.shape == (3, len(t))
    with pytest.raises(ValueError, match="choose one of effect"):
        predictive_check_of(fit, "conc")


def test_replicates_without_a_solution_are_told(two_stage, monkeypatch):
    """An implicit solver raises where its equations have no finite solution."""
    run, calls = fit_checks._compiled(next(iter(two_stage.values())).task.predictor), []

    def fragile(*numbers):
        calls.append(1)
        if len(calls) in broken:
            raise RuntimeError("The linear solver returned non-finite (NaN or inf) output.")
        return run(*numbers)

    monkeypatch.setattr(fit_checks, "_compiled", lambda predictor: fragile)
    broken = [3]  # the first is the typical course
    with pytest.raises(ValueError, match="1 of 5 replicates hold NaN"):
        predictive_check_of(two_stage, n_replicates=5)
    broken, calls[:] = [1], []
    with pytest.raises(ValueError, match="no solution for the typical parameters"):
        predictive_check_of(two_stage, n_replicates=5)


@pytest.mark.parametrize("peak", [24.0, np.nextafter(24.0, 30)])  # the middle is rounded up, and down
def test_a_trough_and_a_peak_of_one_time_have_bins_of_their_own(peak):
    time = np.repeat([0.0, np.nextafter(peak, 0), peak, 30.0], 12)
    values = np.repeat([1.0, 2.0, 9.0, 5.0], 12)
    for bins in (None, 4):
        check = predictive_check(time, values, np.tile(values, (3, 1)), bins=bins)
        assert check.counts.tolist() == [12] * 4 and check.observed[1].tolist() == [1, 2, 9, 5]


def test_what_cannot_be_checked(two_stage):
    with pytest.raises(ValueError, match="endpoint='effect': choose one of conc"):
        goodness_of(two_stage, "effect")
    with pytest.raises(ValueError, match="n_replicates=1"):
        predictive_check_of(two_stage, n_replicates=1)
    single = fit_two_stage(one_compartment(), study(1), START, error=Constant())
    with pytest.raises(ValueError, match="one subject does not tell"):
        predictive_check_of(single)
    assert goodness_of(single).individual is not None
