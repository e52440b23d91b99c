"""Areas and half-lives without a model: closed forms, odd samples, refusals.  Needs no JAX."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt.apps.pkpd import Observations, Regimen, Subject, nca, one_compartment

THETA = {"ka": 1.5, "cl": 2.0, "v": 10.0}
DENSE = np.concatenate([np.linspace(0, 4, 401), np.linspace(4.1, 40, 360)])


def subject(regimen, times, values=None, censored=None):
    y = one_compartment("ka").concentration(THETA, regimen, times) if values is None else values
    return Subject("a", regimen, {"conc": Observations(times, y, censored)})


@pytest.mark.parametrize(
    "regimen", [Regimen.bolus(100.0), Regimen.oral(100.0, time=3.0), Regimen.infusion(100.0, duration=2.0)]
)
def test_dense_samples_tell_the_parameters(regimen):
    """AUC = D/CL and half-life = log 2 V/CL, whatever the route; absorption bends the line a little."""
    found = nca(subject(regimen, DENSE + regimen.doses[0].time))
    assert found.auc_inf == pytest.approx(50.0, rel=1e-4)
    assert found.half_life == pytest.approx(np.log(2) * 5, rel=1e-2 if regimen.has_oral else 1e-6)
    assert found.clearance == pytest.approx(2.0, rel=1e-4)
    assert found.extrapolated < 0.01 and not found.notes


def test_the_peak_of_an_oral_dose():
    found = nca(subject(Regimen.oral(100.0), DENSE))
    assert found.t_max == pytest.approx(np.log(1.5 / 0.2) / 1.3, abs=0.01)
    assert found.c_max == pytest.approx(10 * np.exp(-0.2 * found.t_max), rel=1e-4)


def test_areas_by_hand():
    """Linear up: 2, 6; logarithmic down: 2 (4 − 2)/log 2 twice over, and the rest 1/λ of the last."""
    t, c = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 8.0]), np.array([0.0, 4.0, 8.0, 4.0, 2.0, 1.0])
    found = nca(subject(Regimen.oral(10.0), t, c))
    assert found.auc_last == pytest.approx(2 + 6 + 2 * (4 + 2 + 1) / np.log(2))
    assert found.half_life == pytest.approx(2.0) and found.n_terminal == 3
    assert found.auc_inf == pytest.approx(found.auc_last + 1 / (np.log(2) / 2))


def test_values_below_the_limit_end_the_curve():
    t, c = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0]), np.array([0.5, 0.5, 4, 8, 4, 2, 1, 0.5])
    below = np.array([True, True] + [False] * 5 + [True])
    cut = nca(subject(Regimen.oral(10.0), t, c, below))
    zeros = nca(subject(Regimen.oral(10.0), t[:-1], np.where(below, 0.0, c)[:-1]))
    assert cut == zeros


def test_few_samples_have_no_end():
    found = nca(subject(Regimen.oral(10.0), np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])))
    assert np.isnan([found.auc_inf, found.half_life, found.clearance]).all() and found.n_terminal == 0
    assert "no terminal line" in found.notes[0] and found.auc_last > 0
    early = nca(subject(Regimen.bolus(100.0), np.array([0.5, 1.0, 1.5])))
    assert "beyond the last sample" in early.notes[0] and early.auc_inf == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nca(subject(Regimen.oral(1.0, interval=2.0, n_doses=2), DENSE)), "has 2 doses"),
        (lambda: nca(subject(Regimen.oral(1.0), DENSE), "effect"), "choose one of conc"),
        (lambda: nca(subject(Regimen.oral(1.0, time=50.0), DENSE)), "no concentration above 0"),
    ],
)
def test_what_cannot_be_analyzed(make, words):
    with pytest.raises(ValueError, match=words):
        make()
