"""A network within the right-hand side: closed forms, positivity, recovery of a law, bad input."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("diffrax")

from scipy.integrate import solve_ivp

from marquardt import Status, Stopping
from marquardt.apps.pkpd import Combined, Observations, Regimen, Subject, Subjects
from marquardt.apps.pkpd.hybrid import fit_hybrid
from marquardt.apps.pkpd.positive_law import NETWORK, PositiveLaw, unknown_elimination
from marquardt.jax_models import double_precision
from marquardt.reports import png

VMAX, KM, VOLUME = 3.0, 2.5, 20.0
TIMES = np.array([0.25, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0])
LAW = PositiveLaw(0.1, 20.0, units=4)


def true_rate(c):
    return VMAX / (KM + c)


def saturable(dose):
    start = [dose / VOLUME]
    found = solve_ivp(lambda t, c: -VMAX * c / (KM + c), (0, 24), start, t_eval=TIMES, rtol=1e-9, atol=1e-12)
    return found.y[0]


def study(noise=0.05, seed=3):
    rng = np.random.default_rng(seed)
    members = []
    for dose in (20.0, 100.0, 400.0):
        c = saturable(dose)
        keep = c > 0.02
        y = c[keep] * (1 + noise * rng.standard_normal(keep.sum()))
        members.append(Subject(f"{dose:g} mg", Regimen.bolus(dose), {"conc": Observations(TIMES[keep], y)}))
    return Subjects(members)


@pytest.fixture(scope="module")
def fitted():
    return fit_hybrid(study(), n_starts=1, n_rounds=3)


# -- the law -----------------------------------------------------------------------------------------------


def test_a_flat_law_is_first_order_elimination():
    params = {"volume": 10.0, NETWORK: LAW.start(0.3, bent=0.0)}
    model = unknown_elimination(LAW)
    regimen = Regimen.bolus(50.0) + Regimen.bolus(30.0, time=4.0)
    t = np.array([0.0, 1.0, 3.9, 4.0, 10.0])
    exact = 5 * np.exp(-0.3 * t) + np.where(t >= 4, 3 * np.exp(-0.3 * (t - 4)), 0.0)
    np.testing.assert_allclose(model.solve(params, regimen, t).outputs["conc"], exact, rtol=1e-5)
    infusions = Regimen.infusion(50.0, duration=4.0) + Regimen.bolus(0.0, time=4.0)
    course = model.solve(params, infusions, t).outputs["conc"]  # of the same shapes, compiled once
    slow = 1.25 / 0.3 * (1 - np.exp(-0.3 * np.minimum(t, 4))) * np.exp(-0.3 * np.maximum(t - 4, 0))
    np.testing.assert_allclose(course, slow, rtol=1e-5, atol=1e-8)


def test_no_weights_make_a_concentration_negative():
    """Some laws are too stiff for the solver; those that are solved must be most."""
    assert sum(solved_and_never_negative(seed) for seed in range(4)) >= 3


def solved_and_never_negative(seed):
    rng = np.random.default_rng(seed)
    wild = {name: 4 * rng.standard_normal(np.shape(part)) for name, part in LAW.start(1.0).items()}
    c = np.concatenate([[0.0], np.geomspace(1e-9, 1e9, 200)])
    with double_precision():
        rate = np.asarray(LAW.value(wild, c))
    assert (rate > 0).all() and np.isfinite(rate).all()
    params = {"volume": 10.0, NETWORK: wild}
    two = Regimen.bolus(100.0) + Regimen.bolus(1.0, time=2.0)
    course = unknown_elimination(LAW).solve(params, two, np.array([0.0, 0.1, 0.5, 1.0, 1.9]))
    conc = course.outputs["conc"]
    if course.success:
        assert (conc > -1e-8).all() and (np.diff(conc) <= 1e-8).all()
    return course.success


# -- learning it -------------------------------------------------------------------------------------------


def test_the_law_is_recovered_with_honest_bands(fitted):
    c = np.geomspace(*fitted.seen, 40)
    band = fitted.rate(c)
    assert band.inside.all()
    np.testing.assert_allclose(band.value, true_rate(c), rtol=0.2)
    assert ((band.low <= true_rate(c)) & (true_rate(c) <= band.high)).mean() > 0.7
    assert np.median(np.abs(np.log(band.value / true_rate(c)))) < 0.05
    np.testing.assert_allclose(fitted.params["volume"], VOLUME, rtol=0.05)
    assert fitted.success and 2 < fitted.effective_parameters < 8
    np.testing.assert_allclose(fitted.levels, 0.05, rtol=0.6)


def test_what_was_not_measured_is_told(fitted):
    low, high = fitted.seen
    band = fitted.rate([low / 10, low, high, 10 * high])
    assert band.inside.tolist() == [False, True, True, False]
    width = np.log(band.high / band.low)
    assert width[3] > 2 * width[2]
    t = TIMES[:6]
    assert fitted.outside(Regimen.bolus(4000.0), t).all()
    assert not fitted.outside(Regimen.bolus(200.0), t).any()
    np.testing.assert_allclose(fitted.predict(Regimen.bolus(200.0), t), saturable(200.0)[:6], rtol=0.1)
    narrow = fitted.rate([1.0], coverage=0.5)
    assert narrow.high < fitted.rate([1.0]).high


def test_the_band_is_the_linearized_posterior(fitted):
    """Slopes of log k by differences, in the layout of the parameters."""
    problem = fitted.fit.problem
    w, step = fitted.fit.result.w, 1e-6

    def log_rate(w):
        with double_precision():
            return float(LAW_OF(fitted, problem.params_at(w)))

    slopes = np.array(
        [(log_rate(w + step * e) - log_rate(w - step * e)) / (2 * step) for e in np.eye(len(w))]
    )
    std = np.sqrt(slopes @ fitted.covariance @ slopes)
    band = fitted.rate([1.5])
    np.testing.assert_allclose(np.log(band.high / band.low)[0], 2 * 1.959964 * std, rtol=1e-4)


def LAW_OF(fitted, params):
    return fitted.law.logarithm(params[NETWORK], 1.5)


def test_its_words_and_pictures(fitted):
    assert "the law is known from" in str(fitted) and f"{len(fitted.goodness.observed)} observations" in str(
        fitted
    )
    figure = fitted.plot_rate(true_rate)
    assert figure.axes[0].get_xlabel() == "concentration (mg/L)"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["95 % band", "no data: a guess", "learned", "true", "measured concentrations"]
    assert len(png(figure)) > 10_000 and len(png(fitted.goodness.plot())) > 10_000
    with pytest.raises(ValueError, match="concentration must be finite"):
        fitted.rate([-1.0])
    with pytest.raises(ValueError, match="coverage=2"):
        fitted.rate([1.0], coverage=2)


def test_a_limit_ends_it_with_the_best_so_far():
    found = fit_hybrid(study(), n_starts=1, n_rounds=1, stopping=Stopping(max_iter=2))
    assert found.fit.status is Status.MAX_ITER and np.isfinite(found.rate([1.0]).value).all()


def test_the_user_ends_all_rounds():
    calls = []

    def after_three(iteration):
        calls.append(iteration.cost)
        return len(calls) >= 3

    found = fit_hybrid(study(), n_starts=3, callback=after_three)
    assert len(calls) == 3 and found.fit.status is Status.STOPPED_BY_CALLBACK
    assert 2 * found.fit.cost <= 2 * calls[0] * (1 + 1e-12)


# -- bad input ---------------------------------------------------------------------------------------------


def one(values, times=None, regimen=None, censored=None):
    times = np.arange(1.0, len(values) + 1) if times is None else times
    return Subjects(
        [
            Subject(
                "a",
                Regimen.bolus(10.0) if regimen is None else regimen,
                {"conc": Observations(times, values, censored)},
            )
        ]
    )


FALL = [5.0, 4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        (one([3.0, 2.0, 1.0]), "3 observations are too few"),
        (one([2.0] * 6), "all the same"),
        (one([0.0] * 5 + [-1.0]), "none is above 0"),
        (one(FALL, censored=[False] * 4 + [True]), "1 values are below the limit"),
        (one(FALL, regimen=Regimen.oral(10.0)), "oral doses"),
        (one(FALL, regimen=Regimen()), "was given no dose"),
    ],
)
def test_data_that_teach_no_law(subjects, message):
    with pytest.raises(ValueError, match=message):
        fit_hybrid(subjects)


QUICK = {"n_starts": 1, "n_rounds": 2, "stopping": Stopping(max_iter=3)}


def changed(observations=lambda o: o, regimen=lambda dose: Regimen.bolus(dose)):
    """The study, of whose shapes and range everything is compiled already, with other numbers."""
    doses = (20.0, 100.0, 400.0)
    return Subjects(
        [
            Subject(m.id, regimen(dose), {"conc": observations(m.observations["conc"])})
            for m, dose in zip(study().members, doses, strict=True)
        ]
    )


@pytest.mark.parametrize("begin", [lambda d: Regimen.bolus(d, time=0.2), lambda d: Regimen.infusion(d, 0.2)])
def test_samples_before_the_dose_teach_nothing(begin):
    """A concentration of 0 that is predicted exactly has no proportional error."""

    def early(o):
        return Observations(np.append(0.0, o.times), np.append(0.0, o.values))

    found = fit_hybrid(changed(early, begin), **QUICK)
    assert len(found.goodness.observed) == sum(m.n_observations for m in study().members)
    assert np.isfinite(found.rate(found.seen).value).all()
    assert any("3 observations before the first dose" in note for note in found.notes)


def test_zeros_after_a_dose_need_an_error_that_does_not_vanish():
    def with_zero(o):
        return Observations(o.times, np.where(o.times == 4.0, 0.0, o.values))

    with pytest.raises(ValueError, match=r"2 of 15 observations .* error=Combined\(\)"):
        fit_hybrid(changed(with_zero), **QUICK)
    found = fit_hybrid(changed(with_zero), error=Combined(), **QUICK)
    assert np.isfinite(found.levels).all() and np.isfinite(found.goodness.predicted).all()


def test_two_endpoints_are_one_too_many():
    both = {"conc": Observations([1.0], [2.0]), "effect": Observations([1.0], [2.0])}
    with pytest.raises(ValueError, match=r"2 endpoints, conc, effect: choose the concentration"):
        fit_hybrid(Subjects([Subject("a", Regimen.bolus(1.0), both)]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PositiveLaw(0.0, 1.0), "must be 0 < low < high"),
        (lambda: PositiveLaw(1.0, 2.0, units=0), "units=0"),
        (lambda: LAW.start(-1.0), "value=-1.0 must be above 0"),
        (lambda: fit_hybrid(one(FALL), n_starts=0), "n_starts=0"),
        (lambda: fit_hybrid(one(FALL), volume=-3.0), "volume=-3.0 must be above 0"),
    ],
)
def test_numbers_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()
