"""A network for the logarithm of the noise variance: its loss, and what it finds."""

import numpy as np
import pytest

from marquardt import MLP, Glorot, Input, Linear, NetworkProblem, Tanh
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.noise_network import corrected_squares, fit_noise_network, fit_varying_noise
from marquardt.losses import squared_error
from marquardt.losses.log_variance import LogVariance, log_variance

NETWORK = MLP([Input(2), Tanh(4), Linear(1)])


def squares_of(log_variance_of, n_samples, seed):
    """X in the unit square about 0, q, and log σ² at them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.7, 1.7, (n_samples, 2))
    truth = log_variance_of(X)
    return X, np.maximum(np.exp(truth) * rng.normal(size=n_samples) ** 2, 1e-9), truth


# -- the loss --------------------------------------------------------------------------------------


def problem_of(weights=None, loss=log_variance):
    X, q, _ = squares_of(lambda X: X[:, 0], 30, seed=1)
    return NetworkProblem(NETWORK, X, q, sample_weight=weights, loss=loss)


def parameters():
    return np.random.default_rng(2).normal(size=NETWORK.n_params)


@pytest.mark.parametrize("weights", [None, np.linspace(0.0, 2.0, 30)], ids=["no weights", "weights"])
def test_the_gradient_of_the_cost(weights):
    problem, w = problem_of(weights), parameters()
    step = 1e-6 * np.eye(len(w))
    numerical = [(problem.cost(w + e) - problem.cost(w - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(problem.linearize(w).gradient, numerical, rtol=1e-6, atol=1e-7)


def test_the_cost_is_the_negative_log_likelihood_less_its_least_value():
    rng = np.random.default_rng(0)
    q, z = rng.uniform(0.1, 3, (1, 9)), rng.normal(size=(1, 9))
    density = 0.5 * (z + q * np.exp(-z))
    least = 0.5 * (np.log(q) + 1)
    assert LogVariance(q).cost(z) == pytest.approx(float((density - least).sum()), rel=1e-13)


def test_a_weight_of_two_is_a_repeated_row():
    q, z = np.array([[0.5, 2.0]]), np.array([[0.3, -0.2]])
    twice = LogVariance(np.array([[0.5, 0.5, 2.0]])).cost(np.array([[0.3, 0.3, -0.2]]))
    assert LogVariance(q, np.sqrt([2.0, 1.0])).cost(z) == pytest.approx(twice)


def test_the_curvature_is_the_expected_one():
    """½ for each row, so that JᵀJ is half the Gram matrix of the plain Jacobian."""
    w = parameters()
    J, plain = (problem_of(loss=loss).linearize(w).jacobian.dense() for loss in (log_variance, squared_error))
    np.testing.assert_allclose(J, np.sqrt(0.5) * plain, atol=1e-14)


def test_far_below_the_squares_the_residual_stays_finite():
    loss = LogVariance(np.array([[1.0]]))
    assert np.isfinite(loss.residual(np.array([[-1e4]]))).all()


@pytest.mark.parametrize(
    "build", [lambda: LogVariance(np.array([[0.0]])), lambda: LogVariance(-np.ones((1, 2)))]
)
def test_squares_must_be_positive(build):
    with pytest.raises(ValueError, match="must be positive"):
        build()


def test_the_output_must_be_linear():
    with pytest.raises(ValueError, match="Linear output"):
        NetworkProblem(MLP([Input(1), Tanh(1)]), np.ones((2, 1)), np.ones(2), loss=log_variance)


# -- what is found ---------------------------------------------------------------------------------

KNOWN = {
    "linear": lambda X: 1.0 + 1.5 * X[:, 0],
    "step": lambda X: 2.0 * np.tanh(4.0 * X[:, 1]),
    "wave": lambda X: 1.5 * np.sin(2.0 * X[:, 0]) - 3.0,
}


@pytest.mark.parametrize("log_variance_of", KNOWN.values(), ids=KNOWN)
def test_a_known_noise_is_recovered(log_variance_of):
    X, q, _ = squares_of(log_variance_of, 600, seed=0)
    new, _, truth = squares_of(log_variance_of, 500, seed=99)
    noise = fit_noise_network(X, q)
    error = np.log(noise.variance(new)) - truth
    # of log σ² by k parameters from n squares: about √(2k/n)
    assert not noise.is_constant and np.sqrt(np.mean(error**2)) < 0.35
    assert 1 < noise.fit.n_effective < 15


@pytest.mark.parametrize("n_samples", [40, 200])
@pytest.mark.parametrize("seed", range(3))
def test_one_noise_gives_back_a_constant(n_samples, seed):
    X, q, _ = squares_of(lambda X: np.full(len(X), np.log(0.04)), n_samples, seed)
    noise = fit_noise_network(X, q)
    sd = np.sqrt(noise.variance(X))
    assert noise.fit.n_effective < 4
    assert sd.max() / sd.min() < (3.0 if n_samples < 100 else 2.0)
    # the mean of n squares has the relative standard deviation √(2/n)
    assert sd.mean() == pytest.approx(0.2, rel=3.0 * np.sqrt(0.5 / n_samples) + 0.05)


def test_one_outlier_is_no_trend():
    X, q, _ = squares_of(lambda X: np.zeros(len(X)), 200, seed=5)
    without = fit_noise_network(X, q)
    q[7] = 100.0  # of ten standard deviations
    sd = np.sqrt(fit_noise_network(X, q).variance(X))
    assert np.median(sd) == pytest.approx(np.sqrt(without.variance(X)).mean(), rel=0.4)
    assert sd.max() < 6.0


def test_errors_of_zero_do_not_pull_the_variance_to_zero():
    X, q, _ = squares_of(lambda X: np.zeros(len(X)), 200, seed=6)
    q[::10] = 0.0
    sd = np.sqrt(fit_noise_network(X, q).variance(X))
    assert sd.min() > 0.5


def test_squares_of_any_size():
    X, q, _ = squares_of(KNOWN["linear"], 200, seed=7)
    expected = fit_noise_network(X, q).variance(X)
    np.testing.assert_allclose(fit_noise_network(X, 1e-20 * q).variance(X), 1e-20 * expected, rtol=1e-6)


def test_a_linear_log_variance():
    X, q, truth = squares_of(KNOWN["linear"], 600, seed=0)
    noise = fit_noise_network(X, q, n_hidden=0)
    assert noise.network.n_params == 3
    assert np.abs(np.log(noise.variance(X)) - truth).max() < 0.5


def test_the_uncertainty_of_the_logarithm_shrinks_with_the_rows():
    spreads = []
    for n_samples in (150, 1200):
        X, q, _ = squares_of(KNOWN["linear"], n_samples, seed=3)
        spreads.append(float(fit_noise_network(X, q, n_hidden=0).log_variance_std(X).mean()))
    # 3 parameters of n/2 information each: √(2·3/n)
    np.testing.assert_allclose(spreads, [np.sqrt(6 / 150), np.sqrt(6 / 1200)], rtol=0.3)


BAD = {
    "squares has shape": (np.ones((4, 2)), np.ones(3)),
    "squares has a negative value": (np.ones((2, 2)), np.array([1.0, -1.0])),
    "squares are all zero": (np.ones((2, 2)), np.zeros(2)),
    "squares holds 1 NaN": (np.ones((2, 2)), np.array([1.0, np.nan])),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_squares_are_named(message):
    with pytest.raises(ValueError, match=message):
        fit_noise_network(*BAD[message])


# -- squares from a fit ----------------------------------------------------------------------------


def test_corrected_squares_of_a_fit_that_took_much_have_the_variance_of_the_noise():
    """30 parameters of 60 rows: the raw squares have half the variance."""
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(60, 29))
        y = X @ rng.normal(size=29) + 0.5 * rng.normal(size=60)
        problem = NetworkProblem(MLP([Input(29), Linear(1)]), X, y)
        fit = maximize_evidence(problem, np.zeros(30))
        assert fit.posterior is not None
        model = fit.posterior.predictive_variance(X)[:, 0]
        found.append(np.mean(corrected_squares(problem.errors(fit.w)[0], model, fit.noise_sd**2)))
    assert np.mean(found) == pytest.approx(0.25, rel=0.15)


def test_a_row_that_the_fit_passes_through_keeps_a_finite_square():
    squares = corrected_squares(np.array([1e-3, 0.1]), np.array([2.0, 0.0]), 1.0)
    np.testing.assert_allclose(squares, [1.0, 0.01], rtol=1e-3)


# -- both networks in alternation --------------------------------------------------------------------


def varying_data(seed, n_samples=300):
    """A sine whose noise is 0.02 on the left and 0.5 on the right."""
    rng = np.random.default_rng(seed)
    X = np.sort(rng.uniform(-1.7, 1.7, n_samples))[:, None]
    sigma = np.where(X[:, 0] < 0, 0.02, 0.5)
    return X, np.sin(2 * X[:, 0]), sigma, sigma * rng.normal(size=n_samples)


def alternated(seed, rounds):
    X, truth, _, noise = varying_data(seed)
    network = MLP([Input(1), Tanh(8), Linear(1)])
    start = Glorot().draw(network, np.random.default_rng(seed))
    return X, truth, fit_varying_noise(network, X, truth + noise, start, rounds=rounds)


def test_the_noise_on_both_sides_is_found():
    X, _, found = alternated(seed=0, rounds=2)
    _, model, noise = found.predict(X)
    away = np.abs(X[:, 0]) > 0.4
    _, _, sigma, _ = varying_data(seed=0)
    assert np.abs(np.log(np.sqrt(noise) / sigma))[away].max() < 1.0
    assert (model[away] < noise[away]).all()


def test_the_second_fit_is_the_better_where_the_noise_is_low():
    errors = []
    for rounds in (1, 2):
        X, truth, found = alternated(seed=0, rounds=rounds)
        errors.append(np.sqrt(np.mean((found.predict(X)[0] - truth)[X[:, 0] < 0] ** 2)))
    assert errors[1] < 0.7 * errors[0]


def test_more_rounds_do_not_collapse():
    X, truth, found = alternated(seed=1, rounds=6)
    mean, _, noise = found.predict(X)
    assert np.sqrt(noise).min() > 0.01
    assert np.sqrt(np.mean((mean - truth)[X[:, 0] < 0] ** 2)) < 0.02


@pytest.mark.parametrize(
    ("network", "rounds", "message"),
    [(MLP([Input(1), Linear(2)]), 2, "2 outputs"), (MLP([Input(1), Linear(1)]), 0, "rounds=0")],
)
def test_bad_alternations_are_named(network, rounds, message):
    y = np.zeros((4, network.n_outputs))
    with pytest.raises(ValueError, match=message):
        fit_varying_noise(network, np.ones((4, 1)), y, np.zeros(network.n_params), rounds=rounds)
