"""Fits over subjects: against published numbers, SciPy, known truth, and bad data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares as scipys
from scipy.optimize import minimize
from scipy.special import lambertw
from scipy.stats import norm

pytest.importorskip("jax")
pytest.importorskip("diffrax")

import jax.numpy as jnp

from marquardt import Status
from marquardt.apps.pkpd import (
    Combined,
    Constant,
    LogNormal,
    Observations,
    OdeModel,
    Proportional,
    Regimen,
    Subject,
    Subjects,
    Verdict,
    fast_nonstiff,
    fit_pooled,
    fit_two_stage,
    one_compartment,
    two_compartments,
)
from marquardt.apps.pkpd.weighted_residuals import residual, slope

# Theophylline, subject 4 of R's `Theoph`: hours, mg/L after 4.4 mg/kg; indomethacin, subject 1 of `Indometh`.
HOURS = np.array([0.0, 0.35, 0.6, 1.07, 2.13, 3.5, 5.02, 7.02, 9.02, 11.98, 24.65])
THEOPH = np.array([0.0, 1.89, 4.6, 8.6, 8.38, 7.54, 6.88, 5.78, 5.33, 4.19, 1.15])
INDOMETH_HOURS = np.array([0.25, 0.5, 0.75, 1.0, 1.25, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
INDOMETH = np.array([1.5, 0.94, 0.78, 0.48, 0.37, 0.19, 0.12, 0.11, 0.08, 0.07, 0.05])
START = {"ka": 1.0, "cl": 0.04, "v": 0.5}


def single(regimen, times, values, censored=None):
    return Subjects([Subject("1", regimen, {"conc": Observations(times, values, censored)})])


THEOPH_4 = single(Regimen.oral(4.4), HOURS, THEOPH)


def test_theophylline_as_r_prints_it():
    """R's datasets-Ex.Rout.save: nls(conc ~ SSfol(Dose, Time, lKe, lKa, lCl)), subject 4."""
    fit = fit_pooled(one_compartment("ka"), THEOPH_4, START)
    logs = {
        "lKe": (lambda p: np.log(p["cl"] / p["v"]), -2.4365, 0.2257),
        "lKa": (lambda p: np.log(p["ka"]), 0.1583, 0.2297),
        "lCl": (lambda p: np.log(p["cl"]), -3.2861, 0.1448),
    }
    for function, estimate, error in logs.values():
        found = fit.derived(function)
        assert found == (pytest.approx(estimate, abs=6e-5), pytest.approx(error, abs=6e-5))
    assert fit.residual_sd == pytest.approx(0.8465, abs=6e-5)
    assert fit.levels["conc"][0] == pytest.approx(0.8465, abs=6e-5)
    assert fit.relative_errors["ka"] == pytest.approx(0.2297, abs=6e-5)  # the error of the logarithm
    assert fit.success


def test_two_compartments_against_scipy():
    """Indomethacin: 8 digits of the sum of squares and of the parameters."""
    model, regimen = two_compartments(), Regimen.bolus(25.0)
    names = ("cl", "v1", "q", "v2")

    def r(u):
        return (
            model.concentration(dict(zip(names, np.exp(u), strict=True)), regimen, INDOMETH_HOURS) - INDOMETH
        )

    other = scipys(r, np.log([8.0, 10.0, 5.0, 20.0]), method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    fit = fit_pooled(
        model,
        single(regimen, INDOMETH_HOURS, INDOMETH),
        dict(zip(names, (8.0, 10.0, 5.0, 20.0), strict=True)),
    )
    assert fit.rss == pytest.approx(2 * other.cost, rel=1e-9)
    np.testing.assert_allclose(fit.theta, np.exp(other.x), rtol=1e-6)


def test_flip_flop_twins_are_told():
    """ka and ke exchanged, with v = cl/ke: the same curve."""
    fit = fit_pooled(one_compartment("ka"), THEOPH_4, START, n_starts=12, spread=20.0)
    assert fit.starts.share > 0.8
    assert any("another optimum of equal cost" in note for note in fit.notes)


# -- error models ----------------------------------------------------------------------------------------


def cohort(n=8, seed=3, cv=0.0, sd=0.1, times=None):
    """Oral one-compartment subjects, log-normal with CV `cv`, proportional error."""
    rng = np.random.default_rng(seed)
    t = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0]) if times is None else times
    members = []
    for k in range(n):
        theta = {name: v * np.exp(cv * rng.normal()) for name, v in {"ka": 1.2, "cl": 2.0, "v": 20.0}.items()}
        c = one_compartment("ka").concentration(theta, regimen := Regimen.oral(100.0 + 20 * k), t)
        observed = Observations(t, c * (1 + sd * rng.normal(size=len(t))))
        members.append(Subject(str(k), regimen, {"conc": observed}, {"wt": 50.0 + 5 * k}))
    return Subjects(members)


GUESS = {"ka": 0.8, "cl": 3.0, "v": 30.0}


@pytest.mark.parametrize("error", [Constant(), Proportional(), Combined()])
def test_levels_and_estimates_agree_with_each_other(error):
    """At the end the parameters are the weighted least squares for the levels, and the levels the likeliest
    ones for the residuals, n/(n − p) included."""
    subjects = cohort()
    fit = fit_pooled(one_compartment("ka"), subjects, GUESS, error=error)
    f, y = fit.predictions, fit.task.batch.values
    n, p = len(y), 3
    gradient = fit.statistics.jacobian.T @ fit.statistics.residual
    assert np.abs(gradient).max() < 1e-4 * np.sqrt(n)
    squares = (y - f) ** 2 * n / (n - p)

    def deviance(logs):
        v = error.sd(f, np.exp(logs)) ** 2
        return np.sum(np.log(v) + squares / v)

    best = minimize(deviance, np.log(fit.levels["conc"]) + 0.3, method="Nelder-Mead", tol=1e-12)
    assert deviance(np.log(fit.levels["conc"])) <= best.fun + 1e-6
    assert fit.statistics.residual_sd == pytest.approx(1.0, rel=0.02)
    assert fit.success and len(fit.table()) == n


def test_a_log_normal_error_is_the_fit_of_logarithms():
    subjects, names = cohort(), ("ka", "cl", "v")
    fit = fit_pooled(one_compartment("ka"), subjects, GUESS, error=LogNormal())

    def r(u):
        theta = dict(zip(names, np.exp(u), strict=True))
        parts = [
            np.log(one_compartment("ka").concentration(theta, m.regimen, m.observations["conc"].times))
            - np.log(m.observations["conc"].values)
            for m in subjects.members
        ]
        return np.concatenate(parts)

    other = scipys(r, np.log(list(GUESS.values())), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(fit.theta, np.exp(other.x), rtol=2e-4)  # of the shift
    assert fit.levels["conc"][0] == pytest.approx(np.sqrt(2 * other.cost / 61), rel=1e-3)
    near = fit_pooled(one_compartment("ka"), subjects, GUESS, error=Proportional())
    assert fit.minus_twice_log_likelihood == pytest.approx(near.minus_twice_log_likelihood, abs=2.0)
    zero = single(Regimen.oral(1.0), [0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="1 observations are 0 or less"):
        fit_pooled(one_compartment("ka"), zero, GUESS, error=LogNormal())


def test_a_combined_error_finds_its_levels():
    rng = np.random.default_rng(0)
    f = np.exp(rng.uniform(-3, 3, 20_000))
    squares = (0.3**2 + (0.1 * f) ** 2) * rng.normal(size=len(f)) ** 2
    np.testing.assert_allclose(Combined().levels(f, squares), [0.3, 0.1], rtol=0.03)


def test_the_true_weights_give_the_smaller_errors():
    """80 cohorts would tell; the expected errors of one do, by the same Jacobian."""
    subjects = cohort()
    proper = fit_pooled(one_compartment("ka"), subjects, GUESS, error=Proportional())
    assert proper.levels["conc"][0] == pytest.approx(0.1, rel=0.2)
    for name, truth in {"ka": 1.2, "cl": 2.0, "v": 20.0}.items():
        assert abs(proper.params[name] - truth) < 4 * proper.standard_errors[name]
        assert proper.relative_errors[name] < 0.05
    low, high = proper.intervals("cl")["cl"]
    width = 2 * 1.99 * proper.standard_errors["cl"]
    assert low < proper.params["cl"] < high and high - low == pytest.approx(width, rel=0.05)


def test_a_prediction_of_nothing_has_no_weight_under_a_proportional_error():
    subjects = cohort(times=np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0]))
    fit = fit_pooled(one_compartment("ka"), subjects, GUESS, error=Proportional())
    assert any("8 observations have no weight" in note for note in fit.notes)
    assert np.isfinite(fit.theta).all() and fit.params["cl"] == pytest.approx(2.0, rel=0.1)


# -- below the limit of quantification -------------------------------------------------------------------


def test_the_censored_residual_is_the_likelihood():
    f, limit, sd = np.linspace(-3, 9, 41), np.ones(41), np.full(41, 0.7)
    below = np.ones(41, dtype=bool)
    r = residual(f, limit, below, sd)
    np.testing.assert_allclose(0.5 * r**2, -norm.logcdf((1 - f) / 0.7), rtol=1e-9, atol=1e-15)
    step = 1e-6
    difference = (residual(f + step, limit, below, sd) - residual(f - step, limit, below, sd)) / (2 * step)
    np.testing.assert_allclose(slope(f, limit, below, sd), difference, rtol=1e-5, atol=1e-9)
    far = np.array([-1e3, 1e3])
    assert np.isfinite(slope(far, limit[:2], below[:2], sd[:2])).all()


def test_censoring_against_the_whole_likelihood():
    """Estimates of θ, given the level, against a direct minimisation of −log L."""
    full = cohort(sd=0.15)
    limit = 1.0
    cut = Subjects(
        [
            Subject(m.id, m.regimen, {"conc": Observations(
                o.times, np.maximum(o.values, limit), o.values < limit)})
            for m in full.members for o in [m.observations["conc"]]
        ]
    )  # fmt: skip
    assert cut.n_censored >= 4
    model = one_compartment("ka")
    fit = fit_pooled(model, cut, GUESS)
    sd = fit.levels["conc"][0]

    def minus_log_likelihood(u):
        theta = dict(zip(("ka", "cl", "v"), np.exp(u), strict=True))
        total = 0.0
        for m in cut.members:
            o = m.observations["conc"]
            f = model.concentration(theta, m.regimen, o.times)
            total -= norm.logcdf((limit - f) / sd)[o.censored].sum()
            total += 0.5 * (((o.values - f) / sd)[~o.censored] ** 2).sum()
        return total

    best = minimize(minus_log_likelihood, np.log(fit.theta) + 0.05, method="Nelder-Mead",
                    options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})  # fmt: skip
    np.testing.assert_allclose(np.log(fit.theta), best.x, atol=2e-5)
    assert any("count by their likelihood (M3)" in note for note in fit.notes)


# -- two stages ------------------------------------------------------------------------------------------


def test_two_stage_finds_the_variation():
    stages = fit_two_stage(one_compartment("ka"), cohort(n=30, cv=0.3, sd=0.05), GUESS, error=Proportional())
    assert stages.success and len(stages) == 30
    for name, truth in {"ka": 1.2, "cl": 2.0, "v": 20.0}.items():
        assert abs(stages.mean[name] - truth) < 3.5 * stages.standard_errors[name]
        raw, corrected = stages.between_cv()[name], stages.between_cv(corrected=True)[name]
        assert corrected < raw and raw == pytest.approx(31, rel=0.4)
    np.testing.assert_allclose(np.diag(stages.correlations()), 1.0)
    assert stages.table().shape[0] == 30 and "CV %" in stages.report()


def test_a_subject_with_too_little_does_not_stop_the_others():
    subjects = cohort(n=3)
    short = Subject("short", Regimen.oral(1.0), {"conc": Observations([1.0], [0.5])})
    empty = Subject("empty", Regimen.oral(1.0), {})
    stages = fit_two_stage(one_compartment("ka"), Subjects([*subjects.members, short, empty]), GUESS)
    assert "1 observations do not determine 3 parameters" in stages.failed["short"]
    assert len(stages) == 3 and any("empty" in note for note in stages.notes)
    with pytest.raises(ValueError, match="no subject could be fitted"):
        fit_two_stage(one_compartment("ka"), Subjects([short]), GUESS)


def test_ctrl_c_ends_all_subjects_and_keeps_the_best():
    n = 0

    def interrupt(*state):
        nonlocal n
        n += 1
        if n == 3:
            raise KeyboardInterrupt

    stages = fit_two_stage(one_compartment("ka"), cohort(n=4), GUESS, callback=interrupt)
    assert len(stages) == 1 and stages["0"].status is Status.INTERRUPTED
    assert set(stages.failed.values()) == {"interrupted before its turn"}


# -- covariates, identifiability, equations --------------------------------------------------------------


def test_covariates_make_individual_parameters():
    fit = fit_pooled(
        one_compartment("ka"), cohort(), {**GUESS, "power": 0.1}, real=["power"], covariates=["wt"],
        individual=lambda p, c: p | {"cl": p["cl"] * (c["wt"] / 70.0) ** p["power"]},
        error=Proportional(),
    )  # fmt: skip
    assert abs(fit.params["power"]) < 4 * fit.standard_errors["power"]
    new = fit.predict(Regimen.oral(100.0), [4.0], {"wt": 70.0})["conc"]
    plain = one_compartment("ka").concentration(fit.params, Regimen.oral(100.0), [4.0])
    np.testing.assert_allclose(new, plain, rtol=1e-12)
    with pytest.raises(ValueError, match="no covariate 'wt'"):
        fit.predict(Regimen.oral(100.0), [4.0])


def test_identifiability_in_words():
    """Bioavailability, clearance and volume only as ratios; nothing is known of the lag."""
    subjects = cohort(times=np.array([1.0, 2.0, 4.0, 8.0, 12.0, 24.0]))
    fit = fit_pooled(one_compartment("ka", "f"), subjects, {**GUESS, "f": 0.9}, error=Proportional())
    told = fit.identifiability()
    assert told["ka"].verdict is Verdict.DETERMINED
    for name in ("f", "cl", "v"):
        assert told[name].verdict is Verdict.UNDETERMINED
        assert "can make up for any change of it" in told[name].text
    worst = dict(told.directions[0].powers)
    assert {n: round(abs(p), 2) for n, p in worst.items()} == {"f": 0.58, "cl": 0.58, "v": 0.58}
    assert "f is not determined" in fit.report()


TRACES = []


def decay(t, y, p):
    TRACES.append(1)
    return -p["k"] * y / (p["km"] + y)


SATURABLE = OdeModel(
    decay, ("c",), ("k", "km"), ("conc",), lambda y, p: y, central="c", integration=fast_nonstiff()
)


def saturable(k=2.0, km=3.0):
    """In closed form: c + km log c falls evenly, c = km W(c₀/km exp((c₀ − k t)/km))."""
    t = np.linspace(0.5, 8, 12)
    doses = (5.0, 20.0)
    members = []
    for dose in doses:
        c = km * lambertw(dose / km * np.exp((dose - k * t) / km)).real
        members.append(
            Subject(
                f"{dose:g}", Regimen.bolus(dose), {"conc": Observations(t, c * (1 + 0.02 * np.sin(9 * t)))}
            )
        )
    return Subjects(members)


def test_equations_are_compiled_once_for_all_starts():
    subjects = saturable()
    fit_pooled(SATURABLE, subjects, {"k": 1.0, "km": 1.0})
    n = len(TRACES)
    fit = fit_pooled(SATURABLE, subjects, {"k": 1.5, "km": 1.0}, n_starts=10, spread=5.0)
    assert len(TRACES) == n
    assert fit.starts.share == 1.0 and len(fit.starts.costs) == 10
    assert fit.params["k"] == pytest.approx(2.0, rel=0.05)


def test_a_start_without_a_solution_is_told():
    explosion = OdeModel(
        lambda t, y, p: p["k"] * y * y, ("c",), ("k",), ("conc",), lambda y, p: y, central="c",
        integration=fast_nonstiff(),
    )  # fmt: skip
    data = single(Regimen.bolus(1.0), [0.5, 0.9], [2.0, 9.0])
    with pytest.raises(ValueError, match="no finite predictions at any start"):
        fit_pooled(explosion, data, {"k": 5.0})
    fit = fit_pooled(explosion, data, {"k": 0.5})  # trial points beyond k = 1/0.9 are rejected
    assert fit.params["k"] == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": {"ka": 1.0, "cl": 1.0}}, "start lacks 'v'"),
        ({"start": {**START, "q": 1.0}}, "'q' is no parameter"),
        ({"start": {**START, "ka": -1.0}}, "start\\['ka'\\]=-1.0 must be above 0"),
        ({"start": {**START, "ka": np.nan}}, "ka=nan"),
        ({"start": {}}, "start is empty"),
        ({"fixed": {"ka": 1.0}}, "'ka' stands in start and in fixed"),
        ({"real": ["x"]}, "real='x'"),
        ({"n_starts": 0}, "n_starts=0"),
        ({"spread": 1.0}, "spread=1.0"),
        ({"error": {"effect": Constant()}}, "no error model of the endpoint 'conc'"),
        ({"model": one_compartment(), "start": {"cl": 1.0, "v": 1.0}}, "no absorption"),
        ({"subjects": THEOPH_4.renamed({"conc": "cp"})}, "observations of 'cp', but the model gives conc"),
        (
            {"subjects": single(Regimen.oral(1.0), [1.0, 2.0], [1.0, 1.0])},
            "2 observations do not determine 3",
        ),
    ],
)
def test_bad_input_is_told(options, words):
    given = {"model": one_compartment("ka"), "subjects": THEOPH_4, "start": START} | options
    with pytest.raises(ValueError, match=words):
        fit_pooled(**given)


def test_residuals_of_a_perfect_fit_are_no_trouble():
    c = one_compartment("ka").concentration(START, Regimen.oral(4.0), HOURS)
    fit = fit_pooled(one_compartment("ka"), single(Regimen.oral(4.0), HOURS, c), {**START, "ka": 2.0})
    np.testing.assert_allclose(fit.theta, list(START.values()), rtol=1e-6)
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize(
    ("individual", "covariates", "words"),
    [
        (
            lambda p, c: {**p, "CL": p["cl"]},
            ["wt"],
            "returns 'CL', which is no parameter: the model has ka, cl, v",
        ),
        (lambda p, c: {"ka": p["ka"], "cl": p["cl"]}, ["wt"], "lacks 'v'"),
        (lambda p, c: {**p, "cl": p["cl"] * c["WT"]}, ["wt"], "asks for 'WT': .* covariates wt"),
        (lambda p, c: {**p, "cl": p["cl"] * c["wt"]}, [], "asks for 'wt': .*name them with covariates="),
    ],
)
def test_a_function_of_covariates_that_does_not_fit_the_model(individual, covariates, words):
    member = Subject("1", Regimen.oral(100.0), {"conc": Observations([1.0, 4.0], [2.0, 1.0])}, {"wt": 70.0})
    start = {"ka": 1.0, "cl": 3.0, "v": 30.0}
    with pytest.raises(ValueError, match=words):
        fit_pooled(
            one_compartment("ka"), Subjects([member]), start, individual=individual, covariates=covariates
        )


@pytest.mark.parametrize("error", ["proportional", Proportional])
def test_an_error_model_is_an_object(error):
    member = Subject("1", Regimen.oral(100.0), {"conc": Observations([1.0, 4.0], [2.0, 1.0])})
    with pytest.raises(TypeError, match=r"must be an object: Constant\(\), Proportional\(\)"):
        fit_pooled(one_compartment("ka"), Subjects([member]), {"ka": 1.0, "cl": 3.0, "v": 30.0}, error=error)
