"""How sure a fit is: covariance, censored and weightless rows, choice among minima, second stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

pytest.importorskip("jax")
pytest.importorskip("diffrax")

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
from marquardt.apps.pkpd.fitted_model import likeliest
from marquardt.apps.pkpd.second_stage import variance_between
from marquardt.apps.pkpd.weighted_residuals import information

NAMES = ("ka", "cl", "v")
TRUTH = {"ka": 1.2, "cl": 2.0, "v": 20.0}
GUESS = {"ka": 0.8, "cl": 3.0, "v": 30.0}
MODEL = one_compartment("ka")
T = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 30.0, 36.0])


def cohort(n=4, sd=0.15, limit=0.0, extra=(), seed=3):
    """Oral subjects with constant error; values below `limit` are censored; `extra` values at time 0."""
    rng = np.random.default_rng(seed)
    members = []
    for k in range(n):
        regimen = Regimen.oral(100.0)
        y = MODEL.concentration(TRUTH, regimen, T) + sd * rng.normal(size=len(T))
        t = np.concatenate([np.zeros(len(extra)), T])
        y = np.concatenate([extra, y])
        members.append(Subject(str(k), regimen, {"conc": Observations(t, np.maximum(y, limit), y < limit)}))
    return Subjects(members)


def minus_log_likelihood(u, subjects, sd):
    theta: dict[str, float] = dict(zip(NAMES, np.exp(u), strict=True))
    total = 0.0
    for m in subjects.members:
        o = m.observations["conc"]
        f = MODEL.concentration(theta, m.regimen, o.times)
        total -= norm.logcdf((o.values - f) / sd)[o.censored].sum()
        total += 0.5 * (((o.values - f) / sd)[~o.censored] ** 2).sum()
    return total


def hessian(function, u, h=2e-3):
    p, steps = len(u), h * np.eye(len(u))
    return np.array(
        [
            [
                (
                    function(u + steps[i] + steps[j]) - function(u + steps[i] - steps[j])
                    - function(u - steps[i] + steps[j]) + function(u - steps[i] - steps[j])
                ) / (4 * h * h)
                for j in range(p)
            ]
            for i in range(p)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("limit", [0.0, 0.6, 1.5])
def test_errors_of_censored_fits_are_those_of_the_likelihood(limit):
    """The curvature of -log L by differences: none, 30 % and 50 % of the rows censored."""
    subjects = cohort(limit=limit)
    fit = fit_pooled(MODEL, subjects, GUESS)
    sd = float(fit.levels["conc"][0])
    H = hessian(lambda u: minus_log_likelihood(u, subjects, sd), np.log(fit.theta))
    expected = np.sqrt(np.diag(np.linalg.inv(H)))
    found = np.array([fit.relative_errors[name] for name in NAMES])
    np.testing.assert_allclose(found, expected, rtol=0.04)


def test_information_of_a_censored_row_is_the_curvature_of_its_likelihood():
    z, h = np.linspace(-6, 6, 25), 1e-4
    curvature = -(norm.logcdf(z + h) - 2 * norm.logcdf(z) + norm.logcdf(z - h)) / h**2
    below = np.ones(25, dtype=bool)
    np.testing.assert_allclose(information(-z, np.zeros(25), below, np.ones(25)), curvature, atol=2e-6)
    ends = information(
        np.array([1e6, 60.0, -1e6, 0.0]), np.zeros(4), np.array([True] * 3 + [False]), np.ones(4)
    )
    np.testing.assert_allclose(ends, [1.0, 1 - 1 / 3600, 0.0, 1.0], atol=1e-6)


def test_the_level_is_likeliest_for_degrees_of_freedom():
    """0 = ∂ log L/∂σ of measured and censored rows, of which p are spent: σ² = Σe²/(m + Σzλ − p)."""
    fit = fit_pooled(MODEL, cohort(limit=1.5), GUESS)
    sd, below = float(fit.levels["conc"][0]), fit.task.batch.censored
    e = fit.task.batch.values - fit.predictions
    z = e[below] / sd
    n = (~below).sum() + (z * norm.pdf(z) / norm.cdf(z)).sum() - len(NAMES)
    assert sd**2 == pytest.approx((e[~below] ** 2).sum() / n, rel=1e-3)
    assert len(e) - below.sum() - 3 < fit.degrees_of_freedom < len(e) - 3


def test_rows_that_say_nothing_change_neither_levels_nor_errors():
    """Zeros before the dose, under a proportional error; many of them made errors too small."""
    fits = [
        fit_pooled(MODEL, cohort(sd=0.02, extra=(0.0,) * k), GUESS, error=Proportional()) for k in (0, 10)
    ]
    plain, padded = fits
    assert any("40 observations have no weight" in note for note in padded.notes)
    np.testing.assert_allclose(padded.levels["conc"], plain.levels["conc"], rtol=1e-4)
    for name in NAMES:
        assert padded.standard_errors[name] == pytest.approx(plain.standard_errors[name], rel=1e-4)
    np.testing.assert_allclose(padded.intervals("cl")["cl"], plain.intervals("cl")["cl"], rtol=1e-4)
    assert padded.bic == pytest.approx(plain.bic, abs=1e-3)
    assert padded.identifiability()["cl"].relative_error == pytest.approx(
        plain.relative_errors["cl"], rel=1e-3
    )


def test_intervals_are_students():
    """With 2 degrees of freedom, on the scale of logarithms, where the model is nearly linear."""
    short = cohort(n=1, sd=0.01)
    o = short.members[0].observations["conc"]
    keep = [0, 2, 4, 6, 7]
    one = Subjects(
        [replace(short.members[0], observations={"conc": Observations(o.times[keep], o.values[keep])})]
    )
    fit = fit_pooled(MODEL, one, GUESS)
    low, high = np.log(fit.intervals("cl")["cl"])
    assert high - low == pytest.approx(2 * student.ppf(0.975, 2) * fit.relative_errors["cl"], rel=0.03)


def test_criteria():
    fit = fit_pooled(MODEL, cohort(limit=0.6), GUESS)
    n, k = len(fit.task.batch), len(NAMES) + 1
    assert fit.aic == pytest.approx(fit.minus_twice_log_likelihood + 2 * k)
    assert fit.bic == pytest.approx(fit.minus_twice_log_likelihood + np.log(n) * k)
    assert "BIC = " in fit.report()
    sd = float(fit.levels["conc"][0])
    total = 2 * minus_log_likelihood(np.log(fit.theta), cohort(limit=0.6), sd)
    n_measured = n - int(fit.task.batch.censored.sum())
    assert fit.minus_twice_log_likelihood == pytest.approx(total + n_measured * np.log(2 * np.pi * sd**2))


def test_a_fit_is_not_chosen_because_it_predicts_nothing():
    """A lag beyond an early sample takes that sample out of the likelihood."""
    members = []
    for k, member in enumerate(cohort(sd=0.02).members):
        times, values = T[2:], member.observations["conc"].values[2:]
        if k == 0:
            times, values = np.append(0.4, times), np.append(0.3, values)
        members.append(replace(member, observations={"conc": Observations(times, values)}))
    near, beyond = (
        fit_pooled(
            one_compartment("ka", "tlag"), Subjects(members), TRUTH, fixed={"tlag": lag}, error=Proportional()
        )
        for lag in (0.2, 0.45)
    )
    assert near.denied.sum() == 0 and beyond.denied.sum() == 1
    assert beyond.minus_twice_log_likelihood < near.minus_twice_log_likelihood - 30
    assert likeliest([beyond, near]) is near
    assert any("those of fits that leave out the same" in note for note in beyond.notes)


def test_where_nothing_was_measured_nothing_may_be_predicted():
    """Zeros before the lag: the fits are compared by the rows that count in all."""
    subjects = cohort(sd=0.02, extra=(0.0, 0.0))
    fits = [
        fit_pooled(MODEL, subjects, {"ka": 1.0, "v": 20.0}, fixed={"cl": cl}, error=Proportional())
        for cl in (2.5, 2.0)
    ]
    assert not any(fit.denied.any() for fit in fits) and fits[0].counted.sum() == 40
    assert likeliest(fits) is fits[1]
    np.testing.assert_array_equal(fits[1].deviances[~fits[1].counted], 0.0)


# -- second stage ----------------------------------------------------------------------------------------


def test_the_second_stage_is_one():
    """A subject that tells nothing of a parameter leaves the variation of the others."""
    stages = fit_two_stage(MODEL, spread_cohort(), GUESS)
    between, variance = stages.between(), stages.between_variance(corrected=True)
    np.testing.assert_allclose(between.covariance, variance)
    np.testing.assert_allclose(between.typical, list(stages.mean.values()))
    assert np.linalg.eigvalsh(variance).min() > -1e-12
    assert (np.diag(variance) < np.diag(stages.between_variance())).all()
    blind = dict(stages.fits)
    first = blind["0"]
    huge = replace(first, statistics=replace(first.statistics, jacobian=1e-3 * first.statistics.jacobian))
    found = replace(stages, fits={**blind, "0": huge}).between_variance(corrected=True)
    np.testing.assert_allclose(found, variance, rtol=0.5, atol=0.02)
    with pytest.raises(ValueError, match="may be negative"):
        fit_two_stage(MODEL, spread_cohort(), GUESS, real=["cl"]).between()


def spread_cohort(n=12):
    rng = np.random.default_rng(1)
    members = []
    for k in range(n):
        theta = {name: value * np.exp(0.3 * rng.normal()) for name, value in TRUTH.items()}
        y = MODEL.concentration(theta, regimen := Regimen.oral(100.0), T) + 0.15 * rng.normal(size=len(T))
        members.append(Subject(str(k), regimen, {"conc": Observations(T, y)}))
    return Subjects(members)


def test_the_correction_is_no_covariance_where_the_plain_difference_is_none():
    free = np.array([[0.0, 0.0], [1.0, 0.9], [2.0, 2.1], [3.0, 2.9]])
    own = np.diag([0.1, 1.5])
    assert np.linalg.eigvalsh(np.cov(free.T) - own).min() < 0
    found = variance_between(free, np.stack([own] * 4))
    values = np.linalg.eigvalsh(found)
    assert values.min() > -1e-12 and values.max() > 1
    np.testing.assert_allclose(variance_between(free), np.cov(free.T))


# -- pictures --------------------------------------------------------------------------------------------


def test_waterfall_of_the_starts():
    plt = pytest.importorskip("matplotlib.pyplot")
    fit = fit_pooled(MODEL, cohort(n=1), GUESS, n_starts=6, spread=20.0)
    figure = fit.starts.plot()
    lines, legend = figure.axes[0].lines, figure.axes[0].get_legend()
    np.testing.assert_array_equal(lines[1].get_ydata(), np.sort(fit.starts.costs))
    assert legend is not None
    assert legend.get_texts()[0].get_text() == f"the best cost: {fit.starts.reached.sum()}"
    lost = replace(fit.starts, costs=fit.starts.costs * [1, 1, 1, 1, 1, 1e3], n_failed=2)
    assert lost.plot().axes[0].get_yscale() == "log"
    plt.close("all")


def test_what_is_taken_off_never_adds_variance():
    """Also where the error of estimation is larger than the spread, in some direction or in all."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        free, factors = rng.normal(size=(6, 3)), rng.normal(size=(6, 3, 3))
        raw, found = variance_between(free), variance_between(free, factors @ factors.transpose(0, 2, 1))
        assert np.linalg.eigvalsh(found).min() > -1e-12
        assert np.linalg.eigvalsh(raw - found).min() > -1e-12
