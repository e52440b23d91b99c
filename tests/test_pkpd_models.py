"""Closed forms, differential equations and effects, one against the other."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

pytest.importorskip("jax")
pytest.importorskip("diffrax")

import diffrax
import jax
import jax.numpy as jnp

from marquardt.apps.pkpd import (
    EMAX,
    DirectEffect,
    Inhibition,
    Integration,
    Observations,
    OdeModel,
    Predictor,
    Proportional,
    Regimen,
    Saturation,
    Stimulation,
    Subject,
    Subjects,
    as_ode,
    effect_compartment,
    fast_nonstiff,
    fit_pooled,
    indirect_response,
    michaelis_menten_elimination,
    nonstiff,
    one_compartment,
    stiff,
    tmdd,
    tmdd_quasi_steady,
    two_compartments,
)
from marquardt.apps.pkpd.compartments import lagging
from marquardt.apps.pkpd.subjects import Batch
from marquardt.jax_models import double_precision

T = np.linspace(0.0, 40.0, 33)
MIXED = (
    Regimen.oral(100.0, interval=6.0, n_doses=3)
    + Regimen.infusion(50.0, 2.5, time=3.0)
    + Regimen.bolus(20.0, time=7.0)
)
ONE = {"ka": 0.9, "tlag": 0.3, "f": 0.7, "cl": 2.0, "v": 10.0}
TWO = {"ka": 0.9, "tlag": 0.3, "f": 0.7, "cl": 2.0, "v1": 10.0, "q": 3.0, "v2": 25.0}
FLIP_FLOP = {"ka": 0.2, "tlag": 0.3, "f": 0.7, "cl": 2.0, "v": 10.0}
CASES = [
    (one_compartment("ka", "tlag", "f"), ONE),
    (two_compartments("ka", "tlag", "f"), TWO),
    (one_compartment("ka", "tlag", "f"), FLIP_FLOP),
]


@cache
def sensitivities(model):
    """theta, dosing -> (times, parameters), compiled once for each model; equal models are one."""
    names = model.parameters

    def concentration(theta, dosing):
        return model.predict(dict(zip(names, theta, strict=True)), dosing, jnp.asarray(T))[:, 0]

    return jax.jit(jax.jacfwd(concentration))


@pytest.mark.parametrize(("model", "params"), CASES, ids=["one", "two", "ka = ke"])
def test_closed_form_and_equations_agree(model, params):
    """Values to 1e-9 of the largest; sensitivities as well, and both with finite differences."""
    closed = model.concentration(params, MIXED, T)
    course = as_ode(model).solve(params, MIXED, T)
    assert course.success
    np.testing.assert_allclose(course.outputs["conc"], closed, atol=1e-9 * closed.max(), rtol=0)
    params = {name: params[name] for name in model.parameters}
    theta = np.array(list(params.values()))
    dosing = MIXED.dosing()
    with double_precision():
        exact = np.asarray(sensitivities(model)(theta, dosing))
        whole = len(params) == len(TWO)  # the larger model has all that the smaller one has
        through = np.asarray(sensitivities(as_ode(model))(theta, dosing)) if whole else exact
    steps = 1e-6 * np.eye(len(theta))
    differences = np.stack(
        [
            (
                model.concentration(dict(zip(params, theta + s, strict=True)), MIXED, T)
                - model.concentration(dict(zip(params, theta - s, strict=True)), MIXED, T)
            )
            / 2e-6
            for s in steps
        ],
        axis=1,
    )
    size = np.abs(exact).max(axis=0)
    np.testing.assert_allclose(through / size, exact / size, atol=2e-9, rtol=0)
    np.testing.assert_allclose(differences / size, exact / size, atol=3e-8, rtol=0)


def lagged(ka, tau, ke):
    return lagging(tau, ka, ke, jnp)


FIRST, SECOND = jax.jit(jax.grad(lagged)), jax.jit(jax.grad(jax.grad(lagged)))
"""Compiled once for all; without jit each of a hundred operations would be compiled by itself."""


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-6, 1e-3, 0.1, 5.0, -0.1, -1e-6])
def test_absorption_as_fast_as_elimination_is_no_special_case(apart):
    """Oral input against the integral of the bolus response, for ka near ke; first and second derivatives
    against their limits."""
    ke, tau = 0.4, 3.0
    ka = ke + apart
    integral = quad(lambda s: np.exp(-ka * s - ke * (tau - s)), 0, tau, epsabs=1e-15)[0]
    assert lagging(tau, ka, ke, np) == pytest.approx(integral, rel=1e-13)
    slope = quad(lambda s: -s * np.exp(-ka * s - ke * (tau - s)), 0, tau, epsabs=1e-15)[0]
    bend = quad(lambda s: s * s * np.exp(-ka * s - ke * (tau - s)), 0, tau, epsabs=1e-15)[0]
    with double_precision():
        assert float(FIRST(ka, tau, ke)) == pytest.approx(slope, rel=1e-12)
        assert float(SECOND(ka, tau, ke)) == pytest.approx(bend, rel=1e-11)


def test_extreme_rates_neither_overflow_nor_vanish():
    theta = {"ka": 1e4, "cl": 1.0, "v": 1.0}
    bolus = one_compartment().concentration({"cl": 1.0, "v": 1.0}, Regimen.bolus(1.0), [1.0, 50.0])
    oral = one_compartment("ka").concentration(theta, Regimen.oral(1.0), [1.0, 50.0])
    np.testing.assert_allclose(oral, bolus, rtol=2e-4)
    slow = one_compartment("ka").concentration({"ka": 1e-9, "cl": 900.0, "v": 1.0}, Regimen.oral(1.0), [50.0])
    assert slow[0] == pytest.approx(1e-9 / 900.0, rel=1e-6)
    kept = one_compartment().concentration(
        {"cl": 0.0, "v": 2.0}, Regimen.infusion(8.0, 4.0), [1.0, 4.0, 99.0]
    )
    np.testing.assert_allclose(kept, [1.0, 4.0, 4.0])


@pytest.mark.parametrize(("model", "params"), CASES[:2], ids=["one", "two"])
def test_doses_superpose(model, params):
    parts = [Regimen((dose,)) for dose in MIXED.doses]
    together = model.concentration(params, MIXED, T)
    apart = sum(model.concentration(params, part, T) for part in parts)
    np.testing.assert_allclose(together, apart, rtol=1e-13, atol=1e-15)


def test_area_under_the_curve_is_dose_over_clearance():
    """For any route, any number of compartments: ∫C = F dose/CL."""
    t = np.linspace(0, 400, 200_001)
    c = two_compartments("ka", "tlag", "f").concentration(TWO, Regimen.oral(100.0), t)
    assert np.trapezoid(c, t) == pytest.approx(0.7 * 100 / 2.0, rel=1e-5)


def test_two_compartments_become_one():
    many = two_compartments().concentration(
        {"cl": 2.0, "v1": 10.0, "q": 1e-12, "v2": 5.0}, Regimen.bolus(5.0), T
    )
    one = one_compartment().concentration({"cl": 2.0, "v": 10.0}, Regimen.bolus(5.0), T)
    np.testing.assert_allclose(many, one, rtol=1e-10)


def test_numpy_and_jax_are_one_formula():
    model, params = CASES[1]
    with double_precision():
        traced = jax.jit(lambda p: model.predict(p, MIXED.dosing(), jnp.asarray(T)))(params)
    np.testing.assert_allclose(np.asarray(traced)[:, 0], model.concentration(params, MIXED, T), rtol=1e-12)


def test_the_users_precision_is_not_touched():
    model, params = CASES[0]
    assert as_ode(model).solve(params, MIXED, T).states.dtype == np.float64
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: one_compartment("tlag"), "needs a rate, 'ka'"),
        (lambda: one_compartment("ka", "tlog"), "did you mean 'tlag'"),
        (
            lambda: one_compartment().concentration({"cl": 1.0, "v": 1.0}, Regimen.oral(1.0), T),
            "no absorption",
        ),
        (lambda: one_compartment().concentration({"cl": 1.0}, Regimen.bolus(1.0), T), "params lacks 'v'"),
        (lambda: as_ode(one_compartment()).solve({"cl": 1.0, "v": 1.0}, Regimen.oral(1.0), T), "no depot"),
        (lambda: as_ode(one_compartment()).solve({"cl": 1.0}, Regimen.bolus(1.0), T), "params lacks 'v'"),
        (
            lambda: as_ode(one_compartment()).solve({"cl": 1.0, "v": 1.0}, Regimen.bolus(1.0), [-1.0]),
            "at least 0",
        ),
        (lambda: Integration(rtol=0.0), "rtol=0.0"),
        (lambda: Integration(max_steps=0), "max_steps=0"),
        (lambda: tmdd("q"), "both 'q' and 'v2'"),
        (lambda: tmdd("kb"), "'kb' is no part"),
        (lambda: tmdd("f"), "absorption, 'ka', first of all"),
        (lambda: indirect_response(one_compartment()), "the drug does nothing"),
        (lambda: OdeModel(lambda t, y, p: y, ("a",), (), ("a",), lambda y, p: y, central="b"), "central='b'"),
        (
            lambda: OdeModel(lambda t, y, p: y, ("a",), (), ("a",), lambda y, p: y, central="a", lag="x"),
            "lag='x'",
        ),
    ],
)
def test_bad_input_is_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# -- differential equations ------------------------------------------------------------------------------


@pytest.mark.parametrize("integration", [fast_nonstiff(), stiff()])
def test_solvers_keep_their_tolerance(integration):
    model, params = CASES[0]
    closed = model.concentration(params, MIXED, T)
    course = as_ode(model, integration).solve(params, MIXED, T)
    np.testing.assert_allclose(
        course.outputs["conc"], closed, atol=100 * integration.rtol * closed.max(), rtol=0
    )


def test_times_may_come_in_any_order():
    model, params = CASES[0]
    mixed = np.random.default_rng(0).permutation(T)
    course = as_ode(model).solve(params, MIXED, mixed)
    np.testing.assert_allclose(course.outputs["conc"], model.concentration(params, MIXED, mixed), atol=1e-8)
    assert len(as_ode(model).solve(params, MIXED, []).times) == 0


def explosion(t, y, p):
    return p["k"] * y * y


def undefined(t, y, p):
    return jnp.log(2.0 - t) * jnp.ones_like(y)


@pytest.mark.parametrize(
    ("rhs", "integration"), [(explosion, nonstiff()), (explosion, stiff()), (undefined, nonstiff())]
)
def test_what_has_no_solution_is_nan_and_told(rhs, integration):
    """y' = y² from 1 explodes at t = 1; the logarithm ends at t = 2."""
    model = OdeModel(rhs, ("y",), ("k",), ("y",), lambda y, p: y, central="y", integration=integration)
    course = model.solve({"k": 1.0}, Regimen.bolus(1.0), [0.5, 3.0, 4.0])
    assert not course.success and "explodes" in course.reason
    np.testing.assert_array_equal(np.isnan(course.outputs["y"]), [False, True, True])


def test_stiff_equations_ask_for_a_stiff_solver():
    model, params = CASES[0]
    fast = params | {"ka": 1.0, "cl": 1e6, "v": 1.0}
    course = as_ode(model, Integration(diffrax.Tsit5, max_steps=300)).solve(fast, MIXED, T)
    assert "integration=stiff()" in course.reason
    course = as_ode(model, stiff()).solve(fast, MIXED, T)  # of the shapes of the test above, compiled once
    closed = model.concentration(fast, MIXED, T)
    there = (closed > 1e-9) & (T != 7.0)  # of the bolus at 7 nothing is left within microseconds
    assert there.sum() > 10
    np.testing.assert_allclose(course.outputs["conc"][there], closed[there], rtol=1e-5)


# -- effects ---------------------------------------------------------------------------------------------

PK = {"cl": 1.0, "v": 10.0}
RESPONSE = PK | {"r0": 50.0, "kout": 0.4, "imax": 0.9, "ic50": 1.5}


def test_direct_effect_follows_the_concentration():
    model = DirectEffect(one_compartment(), Saturation(hill="h"))
    theta = PK | {"e0": 5.0, "emax": 20.0, "ec50": 2.0, "h": 3.0}
    predicted = model.predict(theta, Regimen.bolus(100.0).dosing(), T)
    c = 10 * np.exp(-0.1 * T)
    np.testing.assert_allclose(predicted, np.column_stack([c, 5 + 20 * c**3 / (8 + c**3)]), rtol=1e-12)
    assert model.outputs == ("conc", "effect")


def test_a_power_of_nothing_has_derivatives():
    with double_precision():
        action = Saturation(hill="h")
        slope = jax.jit(jax.grad(lambda h, c: action.value(c, {"emax": 1.0, "ec50": 2.0, "h": h})))(1.5, 0.0)
    assert float(slope) == 0.0


def test_effect_compartment_in_closed_form():
    """C_e = C₀ ke0 (e^{−kt} − e^{−ke0 t})/(ke0 − k)."""
    theta = PK | {"ke0": 0.3, "e0": 1.0, "emax": 4.0, "ec50": 2.0}
    model = effect_compartment(one_compartment(), EMAX)
    course = model.solve(theta, Regimen.bolus(100.0), T)
    site = 10 * 0.3 * (np.exp(-0.1 * T) - np.exp(-0.3 * T)) / 0.2
    np.testing.assert_allclose(course.outputs["effect"], 1 + 4 * site / (2 + site), rtol=1e-7)


@pytest.mark.parametrize(
    ("actions", "made", "lost"),
    [
        ({"production": Inhibition()}, -1, 0),
        ({"loss": Inhibition()}, 0, -1),
        ({"production": Stimulation(Saturation("imax", "ic50"))}, 1, 0),
        ({"loss": Stimulation(Saturation("imax", "ic50"))}, 0, 1),
    ],
    ids=["I", "II", "III", "IV"],
)
def test_indirect_responses(actions, made, lost):
    """Their equations for any concentration and response; with a start at rest."""
    model = indirect_response(one_compartment(), **actions)
    with double_precision():
        for c, r in np.random.default_rng(0).uniform([0.0, 0.0], [20.0, 100.0], (5, 2)):
            s = 0.9 * c / (1.5 + c)
            found = np.asarray(model.rhs(0.0, jnp.array([0.0, 10 * c, r]), RESPONSE))
            wanted = [0.0, -c, 0.4 * (50 * (1 + made * s) - (1 + lost * s) * r)]
            np.testing.assert_allclose(found, wanted, rtol=1e-12)
            np.testing.assert_allclose(model.observe(jnp.array([0.0, 10 * c, r]), RESPONSE), [c, r])
        np.testing.assert_array_equal(model.initial(RESPONSE), [0.0, 0.0, 50.0])


def test_an_indirect_response_against_scipy():
    """One of the four: they are solved alike."""

    def slope(t, r):
        c = 10 * np.exp(-0.1 * t)
        return 0.4 * (50 - (1 - 0.9 * c / (1.5 + c)) * r)

    expected = solve_ivp(slope, (0, 40), [50.0], "DOP853", t_eval=T, rtol=1e-11, atol=1e-11).y[0]
    course = indirect_response(one_compartment(), loss=Inhibition()).solve(RESPONSE, Regimen.bolus(100.0), T)
    np.testing.assert_allclose(course.outputs["effect"], expected, rtol=1e-7)


# -- target-mediated disposition -------------------------------------------------------------------------

TARGET = {"cl": 0.2, "v": 3.0, "kint": 0.2, "kdeg": 0.5, "r0": 10.0}
DAYS = np.array([0.5, 2.0, 7.0, 14.0, 28.0])


def test_fast_binding_is_the_quasi_steady_state():
    """The error is of the order 1/kon: ten times the rate, a tenth of the error."""
    quick = tmdd_quasi_steady().solve(TARGET | {"kss": 0.5}, Regimen.bolus(30.0), DAYS)
    errors = []
    for kon in (100.0, 1000.0):
        full = tmdd().solve(TARGET | {"kon": kon, "kd": 0.5 - 0.2 / kon}, Regimen.bolus(30.0), DAYS)
        assert full.success
        names = ("free_drug", "total_drug", "free_target", "total_target")
        errors.append(max(np.abs(full.outputs[n] / quick.outputs[n] - 1).max() for n in names))
    assert errors[1] < 2e-3 and errors[1] == pytest.approx(errors[0] / 10, rel=0.2)


def test_much_drug_is_michaelis_and_menten():
    """For C ≫ K and a target that turns over at k_int = k_deg, elimination is V_max = k_int R₀."""
    same = TARGET | {"kdeg": 0.2, "kss": 0.05}
    quick = tmdd_quasi_steady().solve(same, Regimen.bolus(3000.0), DAYS)  # compiled above
    plain = michaelis_menten_elimination().solve(
        {"cl": 0.2, "v": 3.0, "vmax": 2.0, "km": 0.05}, Regimen.bolus(3000.0 - 30.0), DAYS
    )
    np.testing.assert_allclose(quick.outputs["free_drug"], plain.outputs["conc"], rtol=2e-3)


def simulated(model, free, fixed, regimens, times, outputs, noise=0.0):
    """Subjects with proportional errors, by the code that the fit of them compiles."""
    predictor = Predictor(model, tuple(free), tuple(fixed.items()))
    nothing = {name: Observations(times, np.zeros(len(times))) for name in outputs}
    empty = [Subject(id, regimen, nothing) for id, regimen in regimens.items()]
    batch = Batch.of(empty, model.outputs)
    y = predictor.values(np.array(list(free.values())), batch, empty).reshape(len(empty), len(outputs), -1)
    y = y * (1 + noise * np.random.default_rng(0).normal(size=y.shape))
    return Subjects(
        [
            replace(m, observations={name: Observations(times, own[k]) for k, name in enumerate(outputs)})
            for m, own in zip(empty, y, strict=True)
        ]
    )


@pytest.mark.parametrize("make", [tmdd, tmdd_quasi_steady, michaelis_menten_elimination])
def test_without_a_target_the_kinetics_are_linear(make):
    """Two compartments, and doses under the skin that arrive late and in part, as of antibodies: with neither
    target nor saturation they are the closed form."""
    theta = {"ka": 0.3, "tlag": 0.6, "f": 0.7, "q": 0.5, "v2": 4.0, "cl": 0.2, "v": 3.0}
    theta |= {"kint": 0.2, "kdeg": 0.5, "r0": 0.0, "kon": 1.0, "kd": 1.0, "kss": 1.0, "vmax": 0.0, "km": 1.0}
    regimen = Regimen.oral(30.0) + Regimen.bolus(5.0, time=3.0)
    course = make("ka", "tlag", "f", "q", "v2", integration=nonstiff()).solve(theta, regimen, DAYS)
    linear = two_compartments("ka", "tlag", "f").concentration(theta | {"v1": 3.0}, regimen, DAYS)
    np.testing.assert_allclose(next(iter(course.outputs.values())), linear, rtol=1e-8)


def test_an_antibody_into_vein_and_skin_tells_its_bioavailability():
    """Exact data of two subjects: f and the lag are found, with their sensitivities through the equations."""
    theta = {"ka": 0.4, "tlag": 0.3, "f": 0.6, "cl": 0.2, "v": 3.0, "vmax": 1.0, "km": 0.5}
    model = michaelis_menten_elimination("ka", "tlag", "f", integration=fast_nonstiff())
    days = np.array([0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0])
    regimens = {"vein": Regimen.bolus(30.0), "skin": Regimen.oral(60.0)}
    start = {name: 1.3 * value for name, value in theta.items()}
    fit = fit_pooled(model, simulated(model, theta, {}, regimens, days, ["conc"]), start)
    np.testing.assert_allclose([fit.params[name] for name in theta], list(theta.values()), rtol=1e-3)


def test_the_target_rests_without_drug():
    course = tmdd().solve(TARGET | {"kon": 1.0, "kd": 1.0}, Regimen.bolus(0.0), DAYS)
    np.testing.assert_allclose(course.outputs["total_target"], 10.0, rtol=1e-9)


def test_target_mediated_disposition_is_found_from_its_data():
    """The full model, from starts off by a factor of two; 5 % noise on free drug and total target."""
    truth = TARGET | {"kon": 1.0, "kd": 0.4}
    model, t = tmdd(integration=fast_nonstiff(1e-5, 1e-7)), np.array([0.2, 1.0, 4.0, 10.0, 20.0, 35.0])
    free = {"cl": 2.0, "v": 0.5, "kon": 2.0, "kint": 0.5, "r0": 2.0}
    fixed = {"kd": truth["kd"], "kdeg": truth["kdeg"]}
    regimens = {f"{dose:g}": Regimen.bolus(dose) for dose in (30.0, 150.0)}
    seen = simulated(
        model, {name: truth[name] for name in free}, fixed, regimens, t, ["free_drug", "total_target"], 0.05
    )
    start = {name: factor * truth[name] for name, factor in free.items()}
    fit = fit_pooled(model, seen, start, fixed=fixed, error=Proportional())
    assert fit.status.converged and fit.relative_errors["r0"] < 0.03
    for name in free:
        assert abs(np.log(fit.params[name] / truth[name])) < 3 * fit.relative_errors[name] < 0.3
