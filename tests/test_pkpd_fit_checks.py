"""The checks of pooled and two-stage fits."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

from marquardt.apps.pkpd import (
    Constant,
    Observations,
    Proportional,
    Regimen,
    Subject,
    Subjects,
    fit_pooled,
    fit_two_stage,
    one_compartment,
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


def test_what_cannot_be_checked(two_stage):
    with pytest.raises(ValueError, match="endpoint='effect': choose one of conc"):
        goodness_of(two_stage, "effect")
    with pytest.raises(ValueError, match="n_replicates=1"):
        predictive_check_of(two_stage, n_replicates=1)
    single = fit_two_stage(one_compartment(), study(1), START, error=Constant())
    with pytest.raises(ValueError, match="one subject does not tell"):
        predictive_check_of(single)
    assert goodness_of(single).individual is not None
