"""Robust penalties: closed forms, derivatives, and the loss they make in every network, weighted or not."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import dense_twin
from exact_derivatives import cauchy_derivative, complex_step_jacobian
from marquardt import Input, Linear, NetworkProblem, Softmax, Stopping, Tanh, minimize
from marquardt.losses import Cauchy, Huber, Quantile, SoftL1, Tukey, squared_error

# ρ of e by the textbook, with threshold c
FORMULAS = {
    Huber: lambda e, c: 0.5 * e * e if abs(e) <= c else c * abs(e) - 0.5 * c * c,
    SoftL1: lambda e, c: c * c * (math.sqrt(1 + (e / c) ** 2) - 1),
    Cauchy: lambda e, c: 0.5 * c * c * math.log(1 + (e / c) ** 2),
    Tukey: lambda e, c: c * c / 6 * (1 - (1 - min(1, (e / c) ** 2)) ** 3),
}
PENALTIES = {
    "huber": Huber(0.7),
    "soft_l1": SoftL1(0.5),
    "cauchy": Cauchy(0.6),
    "tukey": Tukey(1.5),
    "quantile": Quantile(0.3, level=0.8),
    "scaled": Huber(1.345, scale=0.4),
}
penalties = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def textbook(penalty, error):
    """ρ(e) of one error, from the formulas above."""
    if isinstance(penalty, Quantile):
        side = 2 * (1 - penalty.level) if error > 0 else 2 * penalty.level
        return side * FORMULAS[Huber](error, penalty.threshold)
    return FORMULAS[type(penalty)](error, penalty.threshold * penalty.scale)


# -- the penalties -------------------------------------------------------------------------------------

ERRORS = np.array([-40.0, -2.3, -0.61, -0.02, 0.013, 0.37, 0.83, 1.9, 50.0])


@penalties
def test_values_are_those_of_the_textbook(penalty):
    wanted = [textbook(penalty, e) for e in ERRORS]
    np.testing.assert_allclose(penalty.value(ERRORS), wanted, rtol=1e-13, atol=1e-16)
    np.testing.assert_array_equal(penalty.value(np.zeros(2)), 0)


@penalties
def test_weight_and_curvature_are_derivatives_of_the_value(penalty):
    h = 1e-5
    slope = (penalty.value(ERRORS + h) - penalty.value(ERRORS - h)) / (2 * h)
    np.testing.assert_allclose(penalty.weight(ERRORS) * ERRORS, slope, rtol=1e-7, atol=1e-9)
    psi = [penalty.weight(e) * e for e in (ERRORS + h, ERRORS - h)]
    np.testing.assert_allclose(penalty.curvature(ERRORS), (psi[0] - psi[1]) / (2 * h), rtol=1e-6, atol=1e-9)


@penalties
def test_small_errors_are_squared_and_gross_ones_count_little(penalty):
    small = np.array([1e-9, -1e-9])
    sides = penalty.weight(small)
    np.testing.assert_allclose(penalty.value(small), 0.5 * sides * small**2, rtol=1e-12)
    if not isinstance(penalty, Quantile):
        np.testing.assert_allclose(sides, 1)
    assert (penalty.weight(np.array([1e6, -1e6])) < 1e-5).all()


@pytest.mark.parametrize("penalty", [Huber(), SoftL1(), Cauchy(), Tukey()], ids=repr)
def test_the_default_thresholds_have_an_efficiency_of_95_percent(penalty):
    """(E ψ')² / E ψ² under the normal law."""
    c = penalty.threshold

    def mean(function):
        pieces = [(0, c), (c, 12)]
        density = lambda e: float(function(np.array([e]))[0]) * norm.pdf(e)  # noqa: E731
        return 2 * sum(quad(density, *piece)[0] for piece in pieces)

    slope, square = mean(penalty.curvature), mean(lambda e: (penalty.weight(e) * e) ** 2)
    assert slope**2 / square == pytest.approx(0.95, abs=2e-5)


def test_a_wide_threshold_is_the_squared_error():
    z, targets = np.random.default_rng(0).normal(size=(2, 2, 7))
    activation, roots = Linear(2).activation, np.sqrt(np.arange(1.0, 8.0))
    wide, squared = Huber(1e6)(activation, targets, roots), squared_error(activation, targets, roots)
    assert wide.cost(z) == pytest.approx(squared.cost(z), rel=1e-14)
    np.testing.assert_allclose(wide.residual(z), squared.residual(z), rtol=1e-14)


def test_the_median_is_hubers_and_levels_are_quantiles():
    np.testing.assert_array_equal(Quantile(0.2).value(ERRORS), Huber(0.2).value(ERRORS))
    y = np.random.default_rng(1).standard_exponential(2001)
    for level in (0.1, 0.5, 0.9):
        problem = NetworkProblem(
            Input(1) >> Linear(1), np.zeros((2001, 1)), y, loss=Quantile(0.01, level=level)
        )
        fit = minimize(problem, [0.0, 1.0], stopping=Stopping(cost_tolerance=1e-12))
        assert fit.w[1] == pytest.approx(np.quantile(y, level), abs=0.01)


def test_a_scale_for_each_output_is_that_of_separate_errors():
    errors = np.random.default_rng(2).normal(size=(2, 6))
    both = Cauchy(scale=(0.1, 3.0))
    for name in ("value", "weight", "curvature"):
        wanted = [getattr(Cauchy(scale=s), name)(e) for s, e in zip((0.1, 3.0), errors, strict=True)]
        np.testing.assert_allclose(getattr(both, name)(errors), wanted, rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Huber(0.0), r"threshold=0.0 must be a finite number above 0"),
        (lambda: Cauchy(np.inf), r"threshold=inf must be"),
        (lambda: Tukey(scale=-1.0), r"scale=-1.0 must be a finite number above 0, or one for each output"),
        (lambda: Tukey(scale=()), r"scale=\(\) must be"),
        (lambda: Tukey(scale=(1.0, 0.0)), r"scale=\(1.0, 0.0\) must be"),
        (lambda: Quantile(level=1.0), r"level=1.0 must be between 0 and 1, e.g. 0.9"),
        (
            lambda: NetworkProblem(Input(1) >> Linear(1), [[0.0]], [0.0], loss=Huber(scale=(1.0, 2.0))),
            "scale has 2 values, but there are 1 outputs",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- in a network --------------------------------------------------------------------------------------

NETWORKS = {
    "one output": Input(2) >> Tanh(3) >> Linear(1),
    "two outputs": Input(2) >> Tanh(3) >> Linear(2),
    "tanh": Input(2) >> Tanh(2) >> Tanh(2),
    "softmax": Input(2) >> Tanh(2) >> Softmax(3),
}
WEIGHTS = ["none", "rows", "entries"]
N = 9


def setup(network, weights, penalty):
    """The problem, w, and X, y, s (N, K) of it."""
    rng = np.random.default_rng(5)
    K = network.n_outputs
    X, y = rng.normal(size=(N, 2)), rng.normal(size=(N, K))
    s = {"none": None, "rows": rng.uniform(0.2, 2, N), "entries": rng.uniform(0.2, 2, (N, K))}[weights]
    if weights == "entries":
        s[2, 0] = 0.0
        y[2, 0] = np.nan
    problem = NetworkProblem(network, X, y, sample_weight=s, alpha=0.1, loss=penalty)
    w = rng.normal(0, 0.7, network.n_params)
    w.flags.writeable = False
    full = np.ones((N, K)) if s is None else np.broadcast_to(s[:, None] if s.ndim == 1 else s, (N, K))
    return problem, w, X, np.nan_to_num(y), full


products = [
    pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS),
    pytest.mark.parametrize("weights", WEIGHTS),
    penalties,
]


def every(test):
    for product in products:
        test = product(test)
    return test


@every
def test_the_cost_is_the_sum_of_the_penalties(network, weights, penalty):
    problem, w, X, y, s = setup(network, weights, penalty)
    errors = dense_twin.outputs(network, w, X) - y
    wanted = sum(s[i] * textbook(penalty, errors[i]) for i in np.ndindex(errors.shape))
    assert problem.cost(w) == pytest.approx(wanted + 0.5 * problem.prior @ w**2, rel=1e-12)


@every
def test_gradient_and_gram_matrix_against_dense_algebra(network, weights, penalty):
    problem, w, X, y, s = setup(network, weights, penalty)
    at = problem.linearize(w)
    gradient = np.empty_like(w)
    for i in range(len(w)):
        step = np.zeros_like(w)
        step[i] = 1e-6
        gradient[i] = (problem.cost(w + step) - problem.cost(w - step)) / 2e-6
    np.testing.assert_allclose(at.gradient, gradient, atol=2e-8)
    outputs = complex_step_jacobian(lambda v: dense_twin.outputs(network, v, X).T.ravel(), w)
    errors = (dense_twin.outputs(network, w, X) - y).T.ravel()
    J = np.sqrt(s.T.ravel() * penalty.weight(errors))[:, None] * outputs
    np.testing.assert_allclose(at.jacobian.dense(), J, atol=1e-12)
    np.testing.assert_allclose(np.triu(at.jacobian.gram()), np.triu(J.T @ J), atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_second_derivative_is_that_of_the_weighted_squares(network, weights):
    problem, w, X, y, s = setup(network, weights, Cauchy(0.6))
    d = np.random.default_rng(6).normal(size=len(w))
    outputs = lambda v: dense_twin.outputs(network, v, X).T.ravel()  # noqa: E731
    errors = outputs(w) - y.T.ravel()
    wanted = cauchy_derivative(lambda t: outputs(w + t * d), 2)
    wanted *= np.sqrt(s.T.ravel() * Cauchy(0.6).weight(errors))
    np.testing.assert_allclose(
        problem.second_derivative(problem.linearize(w), d), wanted, rtol=1e-8, atol=1e-9
    )


@every
def test_solving_the_output_layer_again_never_raises_the_cost(network, weights, penalty):
    problem, w, *_ = setup(network, weights, penalty)
    for damping in (1e-3, 0.1):
        assert problem.cost(problem.resolve_output(w, damping, None)) <= problem.cost(w)
    resolved = problem.resolve_output(w, 0.1, None)
    if isinstance(penalty, Huber | SoftL1 | Cauchy) and network.layers[-1] == Linear(1):
        assert problem.cost(resolved) < problem.cost(w)  # the weighted squares lie above the cost


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_integer_weights_are_repeated_rows(network):
    rng = np.random.default_rng(7)
    X, y, s = rng.normal(size=(6, 2)), rng.normal(size=(6, network.n_outputs)), np.array([1, 2, 3, 1, 2, 2])
    w = rng.normal(size=network.n_params)
    loss = SoftL1(0.5)
    weighted = NetworkProblem(network, X, y, sample_weight=s, loss=loss).linearize(w)
    repeated = NetworkProblem(network, X.repeat(s, axis=0), y.repeat(s, axis=0), loss=loss).linearize(w)
    assert weighted.cost == pytest.approx(repeated.cost, rel=1e-13)
    np.testing.assert_allclose(weighted.gradient, repeated.gradient, atol=1e-12)
    np.testing.assert_allclose(
        np.triu(weighted.jacobian.gram()), np.triu(repeated.jacobian.gram()), atol=1e-12
    )


def test_the_loss_of_a_problem_can_be_changed():
    problem, w, *_ = setup(NETWORKS["two outputs"], "rows", Huber())
    other = problem.with_loss(Cauchy(0.2))
    assert other.cost(w) < problem.cost(w)
    assert problem.with_loss(squared_error).sums_squares
    assert not problem.sums_squares


@pytest.mark.parametrize("loss", [squared_error, Huber(), Quantile(level=0.2)])
def test_a_problem_that_was_used_can_be_sent_to_another_process(loss):
    problem, w, *_ = setup(NETWORKS["tanh"], "entries", loss)
    problem.linearize(w)
    assert pickle.loads(pickle.dumps(problem)).cost(w) == problem.cost(w)


def test_a_robust_fit_descends_to_a_stationary_point():
    rng = np.random.default_rng(3)
    X = np.linspace(-1, 1, 80)[:, None]
    y = np.sin(3 * X[:, 0]) + 0.1 * rng.normal(size=80)
    y[::9] += 4.0
    network = Input(1) >> Tanh(6) >> Linear(1)
    for loss in (Huber(0.15), SoftL1(0.15), Cauchy(0.2), Tukey(1.0)):
        problem = NetworkProblem(network, X, y, alpha=1e-3, loss=loss)
        result = minimize(problem, 0.5 * rng.normal(size=network.n_params), stopping=Stopping(max_iter=600))
        assert (np.diff(result.history.column("cost")) < 0).all()
        assert np.abs(problem.linearize(result.w).gradient).max() < 1e-4
