"""Fits with gross errors in the data: scale of the noise, rounds, and plain residuals against SciPy."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import optimize

from marquardt import Input, Linear, NetworkProblem, Status, Stopping, Tanh, least_squares, minimize
from marquardt.initialization import default_initialization
from marquardt.lm import minimize_by
from marquardt.losses import PENALTIES, Cauchy, Huber, Quantile, SoftL1, Tukey
from marquardt.method import Method
from marquardt.residual_problem import ResidualProblem
from marquardt.reweighted_problem import ReweightedProblem
from marquardt.robust_fit import fit_robustly
from marquardt.robust_scale import equivalent_sd, errors_scale, targets_scale, weighted_median
from marquardt.target_weights import entry_weights

NETWORK = Input(1) >> Tanh(10) >> Linear(1)
STOPPING = Stopping(max_iter=500, cost_tolerance=1e-8)
GRID = np.linspace(-1, 1, 400)[:, None]


def truth(X):
    return np.sin(3 * np.pi * X[:, 0]) * np.exp(-X[:, 0])


def sine(seed, share=0.15, noise=0.1):
    """A sine with noise and gross errors to one side; the problem, a start, and which rows are in error."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (200, 1))
    y = truth(X) + noise * rng.standard_normal(200)
    gross = rng.random(200) < share
    y[gross] += rng.uniform(3, 8, gross.sum())
    problem = NetworkProblem(NETWORK, X, y, alpha=1e-4)
    return problem, default_initialization(NETWORK).draw(NETWORK, np.random.default_rng(50 + seed), X), gross


def distance(w):
    """RMSE to the truth."""
    return float(np.sqrt(np.mean((NETWORK.predict(w, GRID)[:, 0] - truth(GRID)) ** 2)))


# -- the point of it -----------------------------------------------------------------------------------


def test_gross_errors_bend_least_squares_and_not_a_robust_fit():
    """Median of five seeds; 15 % of the rows off by 30 to 80 standard deviations."""
    cases = [sine(seed)[:2] for seed in range(5)]
    squares = np.median([distance(minimize(p, w0, stopping=STOPPING).w) for p, w0 in cases])
    assert squares > 0.8
    for penalty, most in ((Huber(), 0.15), (SoftL1(), 0.2), (Cauchy(), 0.06), (Tukey(), 0.06)):
        fits = [fit_robustly(p, w0, penalty, stopping=STOPPING) for p, w0 in cases]
        assert np.median([distance(fit.w) for fit in fits]) < most
        assert 0.08 < np.median([fit.scale[0] for fit in fits]) < 0.16


def test_a_third_of_the_rows_may_be_in_error():
    for seed in range(3):
        problem, w0, gross = sine(seed, share=0.3)
        fit = fit_robustly(problem, w0, Tukey(), stopping=STOPPING)
        assert distance(fit.w) < 0.1
        assert (fit.outliers()[:, 0] == gross).mean() > 0.97
        assert (fit.weights[gross] == 0).all()
        assert np.median(fit.weights[~gross]) > 0.9


def test_without_gross_errors_it_is_nearly_least_squares():
    problem, w0, _ = sine(0, share=0.0)
    fit = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING)
    assert fit.scale[0] == pytest.approx(0.1, rel=0.2)
    assert fit.outliers().mean() < 0.02
    assert distance(fit.w) < 1.15 * distance(minimize(problem, w0, stopping=STOPPING).w)


# -- what a fit says -----------------------------------------------------------------------------------


def test_the_result_is_that_of_the_penalty_at_its_scale():
    problem, w0, _ = sine(1)
    fit = fit_robustly(problem, w0, Huber(), stopping=Stopping(max_iter=800, cost_tolerance=1e-13))
    assert fit.penalty == Huber(scale=tuple(fit.scale))
    at = problem.with_loss(fit.penalty).linearize(fit.w)
    assert fit.result.cost == pytest.approx(at.cost, rel=1e-12)
    assert np.abs(at.gradient).max() < 1e-4
    errors = problem.errors(fit.w)
    np.testing.assert_allclose(fit.errors, (errors / fit.scale[:, None]).T)
    np.testing.assert_allclose(fit.weights, Huber().weight(fit.errors))
    density = Huber().value(fit.errors).sum() + 200 * np.log(fit.scale[0])
    assert fit.log_likelihood == pytest.approx(-density, rel=1e-12)
    assert "outliers" in repr(fit)


def test_all_rounds_are_one_history():
    problem, w0, _ = sine(2)
    seen = []
    fit = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING, callback=seen.append)
    history = fit.result.history
    assert [record.iteration for record in history] == list(range(len(history)))
    assert seen == list(history)
    assert (np.diff(history.column("time")) >= 0).all()
    assert (np.diff(history.column("n_jacobians")) > 0).all()
    assert len(fit.scales) >= 3
    assert (np.diff(fit.scales[:, 0]) <= 0).all()
    assert fit.result.n_jacobians >= history[-1].n_jacobians


def test_limits_are_for_all_rounds_together():
    problem, w0, _ = sine(2)
    fit = fit_robustly(problem, w0, Cauchy(), stopping=Stopping(max_iter=7))
    assert fit.result.n_iter == 7
    assert fit.result.status is Status.MAX_ITER
    assert (
        fit_robustly(problem, w0, Huber(), stopping=Stopping(max_time=0.0)).result.status is Status.MAX_TIME
    )
    whole = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING)
    within = fit_robustly(problem, w0, Cauchy(), stopping=Stopping(max_iter=40, cost_tolerance=1e-8))
    assert whole.result.n_iter > 40 == within.result.n_iter


@pytest.mark.parametrize("after", [3, 30])
def test_a_callback_ends_it_with_the_best_so_far(after):
    problem, w0, _ = sine(2)
    stop = lambda record: record.iteration == after  # noqa: E731
    fit = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING, callback=stop)
    assert fit.result.status is Status.STOPPED_BY_CALLBACK
    assert fit.result.n_iter == after
    np.testing.assert_allclose(problem.with_loss(fit.penalty).cost(fit.w), fit.result.cost)


@pytest.mark.parametrize("within", [True, False])
def test_ctrl_c_gives_the_best_so_far(within, monkeypatch):
    problem, w0, _ = sine(2)
    count = 0

    def interrupt(record):
        if within and record.iteration == 25:
            raise KeyboardInterrupt

    def run(*arguments, **options):
        nonlocal count
        count += 1
        if not within and count == 3:
            raise KeyboardInterrupt
        return minimize(*arguments, **options)

    fit = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING, callback=interrupt, minimizer=run)
    assert fit.result.status is Status.INTERRUPTED
    assert isinstance(fit.result.error, KeyboardInterrupt)
    np.testing.assert_allclose(problem.with_loss(fit.penalty).cost(fit.w), fit.result.cost)


def test_ctrl_c_before_anything_is_fitted():
    def run(*arguments, **options):
        raise KeyboardInterrupt

    problem, w0, _ = sine(2)
    with pytest.raises(KeyboardInterrupt):
        fit_robustly(problem, w0, Cauchy(), minimizer=run)


def test_the_driver_can_be_another():
    problem, w0, _ = sine(3)
    plain = partial(minimize_by, Method(acceleration=None))
    fit = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING, minimizer=plain)
    assert not any(record.accelerated for record in fit.result.history)
    assert distance(fit.w) < 0.1


def test_rows_kept_out_choose_the_parameters():
    problem, w0, _ = sine(4)
    held_out = sine(5)[0]
    fit = fit_robustly(problem, w0, Cauchy(), stopping=STOPPING, validation=held_out)
    costs = fit.result.history.column("validation_cost")
    assert held_out.with_loss(fit.penalty).cost(fit.w) <= costs[-1] * (1 + 1e-12)
    assert fit.result.status.converged


# -- scales --------------------------------------------------------------------------------------------


def test_a_known_scale_is_kept():
    problem, w0, _ = sine(1)
    fit = fit_robustly(problem, w0, Tukey(), scale=0.1, stopping=STOPPING)
    assert fit.scale.tolist() == [0.1]
    assert len(fit.scales) == 2  # the first comes near
    assert distance(fit.w) < 0.08


def test_each_output_has_its_own_scale_and_gaps_count_nowhere():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (300, 1))
    clean = np.column_stack([np.sin(3 * X[:, 0]), X[:, 0] ** 2])
    y = clean + rng.normal(size=(300, 2)) * [0.02, 0.3]
    y[::10, 1] += 8.0
    holed = y.copy()
    holed[::7, 0] = np.nan
    network = Input(1) >> Tanh(6) >> Linear(2)
    problem = NetworkProblem(network, X, holed, sample_weight=entry_weights(holed), alpha=1e-3)
    fit = fit_robustly(problem, 0.5 * rng.normal(size=network.n_params), Cauchy(), stopping=STOPPING)
    np.testing.assert_allclose(fit.scale, [0.02, 0.3], rtol=0.35)
    np.testing.assert_array_equal(np.isnan(fit.weights), np.isnan(holed))
    np.testing.assert_array_equal(np.flatnonzero(fit.outliers(10)[:, 1]), np.arange(0, 300, 10))


def test_integer_weights_are_repeated_rows():
    problem, w0, _ = sine(0)
    X, y = problem._first[:1].T, problem.targets[0]
    s = np.random.default_rng(0).integers(0, 4, 200)
    weighted = NetworkProblem(NETWORK, X, y, sample_weight=s, alpha=1e-2)
    repeated = NetworkProblem(NETWORK, X.repeat(s, axis=0), y.repeat(s), alpha=1e-2)
    fits = [fit_robustly(p, w0, Huber(), stopping=Stopping(max_iter=12)) for p in (weighted, repeated)]
    np.testing.assert_allclose(fits[0].w, fits[1].w, rtol=1e-6)
    np.testing.assert_allclose(fits[0].scales, fits[1].scales, rtol=1e-9)
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, rel=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_data_without_noise_end_with_a_note_and_a_scale_above_zero(penalty):
    X = np.linspace(-1, 1, 30)[:, None]
    y = 2 * X[:, 0] + 1
    y[4] = 9.0
    fit = fit_robustly(NetworkProblem(Input(1) >> Linear(1), X, y), [0.0, 0.0], penalty)
    assert fit.scale[0] > 0
    assert np.isfinite(fit.result.cost)
    np.testing.assert_allclose(fit.w, [2, 1], atol=1e-5)
    assert fit.notes
    assert fit.notes[0].startswith(("more than half of the rows are fitted exactly", "the scale still fell"))
    assert np.flatnonzero(fit.weights[:, 0] < 0.1).tolist() == [4]


@pytest.mark.parametrize("y", [np.zeros(20), np.full(20, 3.0), np.r_[np.zeros(15), np.arange(5.0)]])
def test_targets_of_which_most_are_equal(y):
    X = np.linspace(-1, 1, 20)[:, None]
    fit = fit_robustly(NetworkProblem(Input(1) >> Linear(1), X, y, alpha=1e-6), [0.5, -0.5], Cauchy())
    assert fit.result.success
    assert np.median(np.abs(Input(1).units * (X[:, 0] * fit.w[0] + fit.w[1]) - y)) < 1e-2


def test_a_weighted_median_is_that_of_repeated_rows():
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        values, weights = rng.normal(size=n), rng.integers(1, 4, n)
        repeated = values.repeat(weights)
        assert weighted_median(values, weights.astype(float)) == pytest.approx(np.median(repeated))
        left = int(rng.integers(0, len(repeated) // 2 + 1))
        kept = np.sort(repeated)[left:]
        assert weighted_median(values, weights.astype(float), left) == pytest.approx(np.median(kept))
        assert weighted_median(values, 0.37 * weights) == pytest.approx(np.median(repeated))


def test_scales_of_gaussian_noise():
    noise = np.random.default_rng(0).normal(size=(2, 40_000)) * [[0.1], [7.0]]
    ones = np.ones_like(noise)
    np.testing.assert_allclose(errors_scale(noise, ones), [0.1, 7.0], rtol=0.02)
    np.testing.assert_allclose(targets_scale(noise + 50, ones), [0.1, 7.0], rtol=0.02)
    assert errors_scale(noise, ones, 1000)[0] > errors_scale(noise, ones)[0]
    np.testing.assert_array_equal(targets_scale(np.full((1, 5), 3.0), np.ones((1, 5))), [1.0])
    assert targets_scale(np.array([[0.0, 0, 0, 0, 5.0]]), np.ones((1, 5)))[0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, r"scale=\(0.0,\) must be a finite number above 0"),
        ({"scale": np.nan}, "must be a finite number above 0"),
        ({"max_rounds": 0}, "max_rounds=0 must be >= 1"),
        ({"w0": np.zeros(3)}, r"w0 has shape \(3,\)"),
    ],
)
def test_refusals(options, message):
    problem, w0, _ = sine(0)
    with pytest.raises(ValueError, match=message):
        fit_robustly(problem, **{"w0": w0, "penalty": Huber(), **options})


# -- plain residuals -----------------------------------------------------------------------------------

T = np.linspace(0, 3, 40)
START = np.array([2.0, 1.0, 0.3])


def curve(w):
    return w[0] * np.exp(-w[1] * T) + w[2]


def analytic(w):
    decay = np.exp(-w[1] * T)
    return np.column_stack([decay, -w[0] * T * decay, np.ones_like(T)])


def measured(seed=0):
    rng = np.random.default_rng(seed)
    y = curve([2.5, 1.3, 0.5]) + 0.05 * rng.normal(size=40)
    y[[3, 17, 30]] += [2.0, -1.5, 3.0]
    return y


Y = measured()


@pytest.mark.parametrize("jac", [analytic, "3-point", "2-point"])
@pytest.mark.parametrize("f_scale", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy"])
def test_the_minimum_is_that_of_scipy(loss, f_scale, jac):
    ours = least_squares(lambda w: curve(w) - Y, START, jac, loss=loss, f_scale=f_scale)
    theirs = optimize.least_squares(
        lambda w: curve(w) - Y,
        START,
        analytic,
        loss=loss,
        f_scale=f_scale,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    assert ours.success
    assert ours.cost <= theirs.cost * (1 + 1e-10)
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-8)
    np.testing.assert_allclose(ours.w, theirs.x, rtol=2e-4)
    psi = ours.loss.weight(ours.residual) * ours.residual
    assert np.abs(analytic(ours.w).T @ psi).max() < 1e-5


def test_an_estimated_scale_finds_the_curve_and_the_outliers():
    for loss in ("huber", "soft_l1", "cauchy", "tukey", Cauchy()):
        fit = least_squares(lambda w: curve(w) - Y, START, analytic, loss=loss, f_scale=None)
        np.testing.assert_allclose(fit.w, [2.5, 1.3, 0.5], atol=0.12)
        assert fit.loss.scale == pytest.approx(0.05, rel=0.4)
        assert {3, 17, 30} <= set(np.flatnonzero(fit.weights < 0.5))
        assert (fit.weights < 0.5).sum() <= 5
        assert "residuals count less than half" in fit.summary()


def test_a_problem_of_plain_residuals_is_weighted_row_by_row():
    plain = ResidualProblem(lambda w: curve(w) - Y, 3, analytic)
    problem, d = ReweightedProblem(plain, Cauchy(0.1), START), np.array([0.3, -0.2, 0.1])
    at, raw = problem.linearize(START), plain.linearize(START)
    roots = np.sqrt(Cauchy(0.1).weight(raw.residual))
    np.testing.assert_allclose(at.residual, roots * raw.residual)
    np.testing.assert_allclose(at.jacobian.dense(), roots[:, None] * analytic(START))
    gradient = [(problem.cost(START + h) - problem.cost(START - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(at.gradient, gradient, atol=1e-7)
    np.testing.assert_allclose(
        problem.second_derivative(at, d), roots * plain.second_derivative(raw, d), rtol=1e-12
    )
    assert problem.second_derivative(at, np.zeros(3)) is None
    assert problem.resolve_output(START, 0.1, None) is START


def test_a_linear_loss_is_least_squares():
    plain = least_squares(lambda w: curve(w) - Y, START, analytic)
    named = least_squares(lambda w: curve(w) - Y, START, analytic, loss="linear", f_scale=7.0)
    np.testing.assert_array_equal(named.w, plain.w)
    assert plain.loss is None
    assert (plain.weights == 1).all()
    wide = least_squares(lambda w: curve(w) - Y, START, analytic, loss="huber", f_scale=1e3)
    np.testing.assert_allclose(wide.w, plain.w, rtol=1e-8)
    np.testing.assert_allclose(wide.covariance(), plain.covariance(), rtol=1e-6)


def test_the_covariance_is_hubers_sandwich():
    fit = least_squares(lambda w: curve(w) - Y, START, analytic, loss=Huber(scale=0.05))
    r, J, c = curve(fit.w) - Y, analytic(fit.w), 1.345 * 0.05
    psi, inside = np.clip(r, -c, c), np.abs(r) <= c
    share = inside.mean()
    correction = 1 + 3 / 40 * (1 - share) / share  # var/mean² of an indicator
    wanted = correction**2 * (psi @ psi / 37) / share**2 * np.linalg.inv(J.T @ J)
    np.testing.assert_allclose(fit.covariance(), wanted, rtol=1e-5)
    np.testing.assert_allclose(fit.covariance(absolute_sigma=True), wanted, rtol=1e-5)
    np.testing.assert_allclose(fit.standard_errors() ** 2, np.diag(wanted), rtol=1e-5)


def test_a_standard_error_covers_the_truth_as_often_as_it_should():
    """The share of 200 fits with gross errors whose estimate of k lies within one standard error."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = curve([2.5, 1.3, 0.5]) + 0.05 * rng.normal(size=40)
        gross = rng.random(40) < 0.1
        y[gross] += rng.choice([-1, 1], gross.sum()) * rng.uniform(0.5, 2, gross.sum())
        fit = least_squares(
            lambda w, y=y: curve(w) - y, START, analytic, loss=Huber(scale=0.05), refinement=False
        )
        hits += abs(fit.w[1] - 1.3) < fit.standard_errors()[1]
    assert 0.6 < hits / 200 < 0.76


def test_no_covariance_without_freedom_or_near_errors():
    assert np.isnan(equivalent_sd(Huber(), np.ones(3), 3))
    assert np.isnan(equivalent_sd(Tukey(scale=1e-3), np.ones(9), 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "arctan"}, "loss='arctan' must be 'linear', 'huber', 'soft_l1', 'cauchy', 'tukey'"),
        ({"loss": 3}, "loss=3 must be"),
        (
            {"loss": "huber", "f_scale": 0.0},
            "f_scale=0.0 must be a finite number above 0, or None to estimate",
        ),
        ({"loss": "huber", "f_scale": np.inf}, "f_scale=inf must be"),
        ({"loss": Huber(), "f_scale": 2.0}, r"f_scale=2.0 is for the name of a loss: write loss=Huber\("),
    ],
)
def test_refusals_of_plain_fits(options, message):
    with pytest.raises(ValueError, match=message):
        least_squares(lambda w: curve(w) - Y, START, **options)


def test_a_function_that_is_undefined_in_places():
    """Steps into NaN are rejected under a robust loss too."""

    def residual(w):
        return np.log(w[0]) * np.ones(5) - np.array([0.0, 0.1, -0.1, 0.05, 9.0])

    fit = least_squares(residual, [30.0], loss="cauchy", f_scale=0.1)
    assert fit.success
    assert fit.w[0] == pytest.approx(1.0, abs=0.05)


def test_quantiles_of_a_curve():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 2000)
    y = 1 + 2 * t + rng.standard_exponential(2000)
    fit = least_squares(lambda w: w[0] + w[1] * t - y, [0.0, 0.0], loss=Quantile(0.02, level=0.8))
    assert np.mean(fit.residual > 0) == pytest.approx(0.8, abs=0.01)
