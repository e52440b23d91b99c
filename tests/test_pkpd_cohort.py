"""Simulated cohorts: closed forms against quadrature, known laws, and a network that finds them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from marquardt.apps.pkpd.cohort import Patients, PopulationLaw, Schedules, repeated_oral, simulate_cohort
from marquardt.apps.pkpd.exposure import fit_exposure
from marquardt.apps.pkpd.regimen import Regimen

ONE = Patients(*np.array([[70.0], [40.0], [0.0], [100 * 70 / 72 / 100], [2.0]]))  # 100 mL/min
NO_SPREAD = dict.fromkeys(("clearance", "volume", "absorption", "ic50"), 0.0)


def course(t, regimen, clearance, volume, absorption):
    k = clearance / volume
    waits = [t - dose.time for dose in regimen.doses if t >= dose.time]
    shape = sum(np.exp(-k * s) - np.exp(-absorption * s) for s in waits)
    return regimen.doses[0].amount / volume * absorption / (absorption - k) * shape


@pytest.mark.parametrize(("n", "interval", "clearance"), [(1, 24.0, 4.0), (5, 8.0, 4.0), (14, 6.0, 0.4)])
def test_exposure_by_quadrature(n, interval, clearance):
    regimen = Regimen.oral(100.0, interval=interval, n_doses=n)
    taken = Schedules(np.array([100.0]), np.array([interval]), np.array([float(n)]))
    auc, highest = repeated_oral(taken, np.array([clearance]), np.array([40.0]), np.array([1.1]))
    ends = interval * np.arange(n + 1)
    pieces = [quad(course, a, b, (regimen, clearance, 40.0, 1.1))[0] for a, b in pairwise(ends)]
    np.testing.assert_allclose(auc, sum(pieces), rtol=1e-9)
    last = ends[-2]
    found = minimize_scalar(lambda t: -course(t, regimen, clearance, 40.0, 1.1), method="bounded",
                            bounds=(last, last + 30), options={"xatol": 1e-9})  # fmt: skip
    np.testing.assert_allclose(highest, -found.fun, rtol=1e-9)


def test_equal_rates_are_no_fault():
    taken = Schedules(np.full(3, 100.0), np.full(3, 8.0), np.full(3, 4.0))
    rates = np.array([0.1, 0.1 * (1 + 2e-6), 0.1 * (1 - 2e-6)])
    auc, highest = repeated_oral(taken, np.full(3, 4.0), np.full(3, 40.0), rates)
    np.testing.assert_allclose(auc, auc[0], rtol=1e-5)
    np.testing.assert_allclose(highest, highest[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "clearance", "volume"),
    [
        ({}, 6.0, 50.0),
        ({"weight": 140.0, "creatinine": 2 * 70 / 72}, 4 * 2**0.75 + 2.0, 100.0),  # the kidneys as before
        ({"genotype": 0}, 4 * 0.3 + 2.0, 50.0),
        ({"female": 1, "creatinine": 0.85 * 70 / 72}, 6.0, 50 * 0.85),
        ({"age": 50.0, "creatinine": 0.9 * 70 / 72}, 4 * 0.94 + 2.0, 50.0),
    ],
)
def test_the_laws(change, clearance, volume):
    values = {
        name: getattr(ONE, name).copy() for name in ("weight", "age", "female", "creatinine", "genotype")
    }
    patients = Patients(**(values | {name: np.array([value]) for name, value in change.items()}))
    np.testing.assert_allclose(patients.creatinine_clearance, 100.0)
    found = PopulationLaw().typical(patients)[:, 0]
    np.testing.assert_allclose(found, [clearance, volume, 1.2, 0.9])


def test_a_saturated_liver():
    """Of a small dose a fifth passes, of a huge one all."""
    law = PopulationLaw(spread=NO_SPREAD)
    dose = np.array([1e-3, 1e6])
    two = Patients(
        *(np.repeat(getattr(ONE, n), 2) for n in ("weight", "age", "female", "creatinine", "genotype"))
    )
    auc = law.exposure(two, Schedules(dose, np.full(2, 200.0), np.ones(2))).auc
    np.testing.assert_allclose(auc / (dose / 6.0), [0.2, 1.0], rtol=1e-4)


def test_the_truth_is_the_mean_over_patients():
    """By 40 000 copies of one patient."""
    cohort = simulate_cohort(1, random_state=5)
    n = 40_000
    p = cohort.patients
    copies = Patients(
        *(np.repeat(getattr(p, k), n) for k in ("weight", "age", "female", "creatinine", "genotype"))
    )
    s = cohort.schedules
    eta = cohort.law.omega * np.random.default_rng(1).standard_normal((n, 4))
    same = Schedules(np.repeat(s.dose, n), np.repeat(s.interval, n), np.repeat(s.n_doses, n))
    exposure = cohort.law.exposure(copies, same, eta)
    targets = np.stack([np.log(exposure.auc), np.log(exposure.inhibition / (1 - exposure.inhibition))])
    error = targets.std(axis=1) / np.sqrt(n)
    assert (np.abs(targets.mean(axis=1) - cohort.truth[:, 0]) < 4 * error).all()
    fine = cohort.law.expected(p, s, n_nodes=7)
    np.testing.assert_allclose(cohort.truth, fine, atol=5e-6)


def test_a_cohort_is_that_of_its_seed():
    one, same, other = (simulate_cohort(50, random_state=k) for k in (3, 3, 4))
    np.testing.assert_array_equal(one.X, same.X)
    np.testing.assert_array_equal(one.targets, same.targets)
    assert not np.array_equal(one.X, other.X)
    assert one.X.shape == (50, len(one.feature_names)) and np.isfinite(one.X).all() and len(one) == 50
    alike = simulate_cohort(40, PopulationLaw(spread=NO_SPREAD), random_state=3)
    np.testing.assert_allclose(alike.targets, alike.truth, atol=1e-9)


@pytest.fixture(scope="module")
def trained():
    return fit_exposure(simulate_cohort(400, random_state=2), n_starts=4, ensemble_size=4)


def test_the_network_finds_the_law(trained):
    new = simulate_cohort(1000, random_state=77)
    mean, error = trained.mean(new.X)
    off = mean - new.truth
    assert (np.sqrt(np.mean(off**2, axis=1)) < [0.1, 0.2]).all()  # patients differ by 0.22 and 0.41
    assert ((np.abs(off) < 1.96 * error).mean(axis=1) > 0.7).all()
    from sklearn.linear_model import LinearRegression

    old = simulate_cohort(400, random_state=2)
    for k in range(2):
        line = LinearRegression().fit(old.X, old.targets[k]).predict(new.X)
        assert np.mean(off[k] ** 2) < 0.7 * np.mean((line - new.truth[k]) ** 2)


def test_intervals_hold_new_patients(trained):
    new = simulate_cohort(1000, random_state=78)
    found = trained.predict(new.X)
    inside = (new.exposure.auc > found.auc_low) & (new.exposure.auc < found.auc_high)
    assert 0.9 < inside.mean() < 0.985
    inside = (new.exposure.inhibition > found.inhibition_low) & (
        new.exposure.inhibition < found.inhibition_high
    )
    assert 0.9 < inside.mean() < 0.985
    assert (found.inhibition_high < 1).all() and (found.auc_low > 0).all()
    narrow = trained.predict(new.X, coverage=0.5)
    assert (narrow.auc_high < found.auc_high).all()
    auc, inhibition = trained.sample(new.X[:5], 30)
    assert auc.shape == inhibition.shape == (5, 30) and (auc > 0).all() and (inhibition < 1).all()
    with pytest.raises(ValueError, match="coverage=95"):
        trained.predict(new.X, coverage=95)


COLUMNS = {"weight": [70.0], "age": [40.0], "female": [0.0], "creatinine": [1.0], "genotype": [1]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: simulate_cohort(0), "n=0 must be at least 1 patient"),
        (lambda: PopulationLaw(volume=-1.0), "volume=-1.0 of a PopulationLaw"),
        (lambda: PopulationLaw(greatest=1.5), "must not exceed 1"),
        (lambda: PopulationLaw(first_pass=1.2), "must be a share below 1"),
        (lambda: PopulationLaw(spread={"clearance": 0.2}), "must hold clearance, volume"),
        (lambda: Schedules([100.0], [0.0], [1.0]), "interval holds 0"),
        (lambda: Schedules([-1.0], [8.0], [1.0]), "dose holds -1"),
        (lambda: Schedules([1.0], [8.0], [0.5]), "at least one dose"),
        (lambda: Schedules([1.0, 2.0], [8.0], [1.0]), "one value for each patient"),
        (lambda: Patients(**(COLUMNS | {"weight": [np.nan]})), "weight holds nan"),
        (lambda: Patients(**(COLUMNS | {"genotype": [3]})), "genotype must hold one of 0, 1, 2"),
        (lambda: Patients(**(COLUMNS | {"age": [400.0]})), "age holds 400: years"),
        (lambda: Patients(**(COLUMNS | {"weight": []})), "one value for each patient"),
    ],
)
def test_what_no_cohort_is(make, message):
    with pytest.raises(ValueError, match=message):
        make()
