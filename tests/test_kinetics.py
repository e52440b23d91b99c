"""Enzyme kinetics, on the public names alone."""

from __future__ import annotations

import numpy as np
import pytest

from curve_points import CONC, TREATED
from marquardt.apps.kinetics import (
    MECHANISMS,
    design_concentrations,
    expected_errors,
    fit_kinetics,
    linearize,
    mechanism,
    progress_curve,
    select_mechanism,
)
from marquardt.curves import compare, curve_fit
from marquardt.differences import CentralDifferences

TRUTH = {
    "michaelis_menten": [10.0, 2.0],
    "competitive": [10.0, 2.0, 5.0],
    "uncompetitive": [10.0, 2.0, 5.0],
    "noncompetitive": [10.0, 2.0, 5.0],
    "mixed": [10.0, 2.0, 5.0, 15.0],
    "substrate_inhibition": [10.0, 2.0, 30.0],
}
S, I = (a.ravel() for a in np.meshgrid(np.geomspace(0.4, 20, 8), [0.0, 2.0, 5.0, 20.0]))  # noqa: E741
NOISE = 0.05 * np.sin(37.0 * np.arange(len(S)))


def rates(name):
    law = MECHANISMS[name]
    x = S if law.n_columns == 1 else np.column_stack([S, I])
    return law, x, law.value(x, np.array(TRUTH[name]))


@pytest.mark.parametrize("name", MECHANISMS)
def test_gradients_and_starts(name):
    law, x, v = rates(name)
    theta = np.array(TRUTH[name])
    wanted = CentralDifferences().jacobian(lambda w: law.value(x, w), theta, v)
    np.testing.assert_allclose(law.jacobian(x, theta), wanted, rtol=1e-6, atol=1e-8)
    # Hanes' plane is exact for exact rates
    np.testing.assert_allclose(law.guess(x, v[None])[0], theta, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n, law in MECHANISMS.items() if law.n_columns == 2])
def test_the_mechanism_is_found(name):
    _, _, v = rates(name)
    chosen = select_mechanism(S, v + NOISE, I)
    weights = chosen.comparison.weights
    if name != "mixed":  # which contains the truth as well, and wins now and then by chance
        del weights["mixed"]
    assert weights[name] > 0.999 * sum(weights.values())
    np.testing.assert_allclose(list(chosen.fits[name].params.values()), TRUTH[name], rtol=0.1)
    assert "best by AICc" in str(chosen) and not chosen.failed


def test_substrate_inhibition_is_found():
    _, _, v = rates("substrate_inhibition")
    assert select_mechanism(S, v + NOISE).comparison.best == "substrate_inhibition"


def test_the_lines_agree_without_noise_and_not_with_it():
    v = 10 * CONC / (0.1 + CONC)
    for method in ("hanes", "lineweaver-burk", "eadie-hofstee"):
        assert linearize(CONC, v, method) == pytest.approx((10, 0.1))
    fit = fit_kinetics("michaelis_menten", CONC, TREATED).params
    hanes = linearize(CONC, TREATED)
    burk = linearize(CONC, TREATED, "lineweaver-burk", weighted=False)
    assert abs(hanes.km - fit["km"]) < abs(burk.km - fit["km"])


def test_an_ill_posed_pair_is_named_and_drawn():
    low = np.linspace(0.01, 0.1, 12)  # far below Km = 2: only vmax/km can be seen
    fit = fit_kinetics(
        "michaelis_menten", low, 10 * low / (2 + low) * (1 + 0.002 * np.sin(9.0 * np.arange(12)))
    )
    assert fit.ill_posed_pairs()[0][:2] == ("vmax", "km")
    assert any("hardly tell vmax from km" in note for note in fit.notes)
    assert len(fit.plot_correlations().axes[0].patches) == 2


def test_the_design_decides():
    law, guess = mechanism("michaelis_menten"), {"vmax": 10.0, "km": 2.0}
    wide, low = design_concentrations(2.0, 12), design_concentrations(2.0, 12, low=0.01, high=0.05)
    assert wide[0] == pytest.approx(0.4) and wide[-1] == pytest.approx(10)
    expected = expected_errors(law, wide, guess, noise=0.1)
    assert (expected_errors(law, low, guess, noise=0.1).standard_errors > 50 * expected.standard_errors).all()
    # what is expected is what a fit then has
    rng = np.random.default_rng(0)
    v = law.value(wide, np.array([10.0, 2.0]))
    fits = [fit_kinetics("michaelis_menten", wide, v + 0.1 * rng.normal(size=12)) for _ in range(150)]
    spread = np.std([fit.least_squares.w for fit in fits], axis=0)
    np.testing.assert_allclose(spread, expected.standard_errors, rtol=0.2)
    assert np.isinf(expected_errors(law, np.full(5, 2.0), guess, noise=0.1).standard_errors).all()


# -- progress curves ---------------------------------------------------------------------------------

BATCHES = np.concatenate([np.column_stack([np.linspace(0, 20, 12), np.full(12, s)]) for s in (2.0, 10.0)])


def test_the_closed_form_solves_the_equation_and_agrees_with_the_integration():
    theta = np.array([1.0, 3.0])
    closed, solved = progress_curve(), progress_curve(by_ode=True)
    P = closed.value(BATCHES, theta)
    left = BATCHES[:, 1] - P
    np.testing.assert_allclose(3 * np.log(BATCHES[:, 1] / left) + P, BATCHES[:, 0], atol=1e-9)
    np.testing.assert_allclose(solved.value(BATCHES, theta), P, atol=1e-7)
    np.testing.assert_allclose(solved.jacobian(BATCHES, theta), closed.jacobian(BATCHES, theta), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "theta", "options"),
    [
        ("michaelis_menten", [1.0, 3.0], {}),
        ("michaelis_menten", [1.0, 3.0], {"by_ode": True}),
        ("competitive", [1.0, 3.0, 2.0], {"product_inhibits": True}),
    ],
)
def test_progress_curves_are_fitted(name, theta, options):
    curve = progress_curve(name, **options)
    P = curve.value(BATCHES, np.array(theta))
    fit = curve_fit(curve, BATCHES, P + 0.002 * np.sin(37.0 * np.arange(24)))
    np.testing.assert_allclose(list(fit.params.values()), theta, rtol=0.05)
    errors = np.array(list(fit.standard_errors.values()))
    assert (np.abs(fit.least_squares.w - theta) < 4 * errors).all()


def test_sensitivities_of_the_integration():
    curve, theta = progress_curve("mixed"), np.array([1.0, 3.0, 2.0, 5.0])
    X = np.column_stack([BATCHES, np.full(24, 1.5)])
    wanted = CentralDifferences().jacobian(lambda w: curve.value(X, w), theta, curve.value(X, theta))
    np.testing.assert_allclose(curve.jacobian(X, theta), wanted, atol=2e-5)
    assert np.isnan(curve.value(X, np.array([1.0, -3.0, 2.0, 5.0]))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mechanism("competetive"), "did you mean 'competitive'"),
        (lambda: fit_kinetics("mixed", S, S), "needs the concentrations of the inhibitor"),
        (lambda: fit_kinetics("michaelis_menten", S, S, I), "has no inhibitor"),
        (lambda: fit_kinetics("mixed", S, S, I[:3]), "give \\(n,\\) both"),
        (lambda: linearize([1.0, 1.0], [2.0, 2.0]), "two concentrations"),
        (lambda: linearize(S, S, "dixon"), "method='dixon'"),
        (lambda: design_concentrations(-1.0), "km=-1.0"),
        (lambda: design_concentrations(1.0, low=3, high=2), "low below high"),
        (lambda: design_concentrations(1.0, 1), "n=1"),
        (lambda: expected_errors(mechanism("mixed"), S, {}, 1.0), "params lacks 'vmax'"),
        (lambda: progress_curve(product_inhibits=True), "has no inhibitor"),
        (lambda: progress_curve("mixed", by_ode=False), "no closed form"),
        (lambda: select_mechanism(S, S, I, ["mixed"]), "nothing to choose"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_constant_that_runs_off_is_told():
    v = MECHANISMS["uncompetitive"].value(np.column_stack([S, I]), np.array([10.0, 2.0, 5.0]))
    fit = fit_kinetics("mixed", S, v + 0.003 * I * (S < 2), I)  # a little beyond an infinite Kic
    assert any(note.startswith("kic ran off to") for note in fit.notes)


def test_one_concentration_of_an_inhibitor_tells_nothing():
    _, _, v = rates("michaelis_menten")
    with pytest.raises(ValueError, match="the inhibitor has one concentration, 3, in all rows"):
        select_mechanism(S, v, np.full(len(S), 3.0))


def test_two_exact_curves_are_no_reason_for_the_fuller_one():
    low = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
    found = compare(
        {n: fit_kinetics(n, low, 10 * low / (4 + low), np.zeros(6)) for n in ("competitive", "mixed")}
    )
    assert all(fit.rss == 0 for fit in found.statistics)
    assert found.f_tests[0].p_value == 1.0 and "competitive will do" in str(found)
