"""The posterior of the parameters: dense algebra, fixed priors, files; and the probabilities of classes."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, softmax
from scipy.stats import norm

from evidence_cases import NETWORK, network_data
from marquardt import Input, Linear, Logistic, NetworkProblem, Softmax, Tanh
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.probit import logistic_mean, mean_probabilities, softmax_mean
from marquardt.linsolve import SingularSystemError
from marquardt.losses import cross_entropy
from marquardt.models.mlp import MLP

rows = pytest.mark.parametrize("n_samples", [60, 12], ids=["primal", "dual"])
CLASSIFIERS = {"softmax": Input(2) >> Tanh(5) >> Softmax(3), "labels": Input(2) >> Tanh(5) >> Logistic(2)}
classifiers = pytest.mark.parametrize("network", CLASSIFIERS.values(), ids=CLASSIFIERS)
NEW = np.random.default_rng(5).normal(size=(9, 2))


def classifier_posterior(network, n_samples, prior=None):
    rng = np.random.default_rng(4)
    X, K = rng.normal(size=(n_samples, 2)), network.n_outputs
    y = np.eye(3)[rng.integers(0, 3, n_samples)] if K == 3 else rng.integers(0, 2, (n_samples, K))
    problem = NetworkProblem(network, X, y, loss=cross_entropy)
    w = rng.normal(0, 0.7, network.n_params)
    prior = rng.uniform(0.5, 2, network.n_params) if prior is None else prior
    return problem, w, prior, Posterior.at(problem, w, prior, 1.0)


def derivative(network, w, X):
    """Of the argument of the output layer, (N, K, p), by central differences."""
    bare, step = MLP([*network.layers[:-1], Linear(network.n_outputs)]), 1e-5
    slopes = [bare.predict(w + step * unit, X) - bare.predict(w - step * unit, X) for unit in np.eye(len(w))]
    return np.stack(slopes, axis=-1) / (2 * step)


@rows
@classifiers
def test_the_covariance_of_the_arguments(network, n_samples):
    problem, w, prior, posterior = classifier_posterior(network, n_samples)
    J, K = problem.linearize(w).jacobian.dense(), network.n_outputs
    covariance = np.linalg.inv(J.T @ J + np.diag(prior))
    slopes = derivative(network, w, NEW)
    exact = np.einsum("nkp,pq,njq->nkj", slopes, covariance, slopes)
    np.testing.assert_allclose(posterior.argument_covariance(NEW), exact, rtol=1e-6, atol=1e-8)
    found = posterior.argument_variance(NEW)
    np.testing.assert_allclose(found, np.einsum("nkk->nk", exact), rtol=1e-6)
    z = posterior.arguments(NEW)
    shares = softmax(z, axis=1) if K == 3 else expit(z)
    np.testing.assert_allclose(shares, network.predict(w, NEW), rtol=1e-12)
    assert posterior.argument_covariance(NEW[:0]).shape == (0, K, K)
    assert posterior.predictive_variance(NEW[:0]).shape == (0, K)


def test_predictions_come_in_chunks(monkeypatch):
    _, _, _, posterior = classifier_posterior(CLASSIFIERS["softmax"], 12)
    whole = posterior.argument_covariance(NEW), posterior.argument_variance(NEW)
    monkeypatch.setattr("marquardt.bayesian.posterior._ROWS_BYTES", 8 * 3 * 36 * 2)  # two rows
    np.testing.assert_allclose(posterior.argument_covariance(NEW), whole[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(posterior.argument_variance(NEW), whole[1], rtol=1e-10)


# -- a prior that was given ------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [60, 18])
@pytest.mark.parametrize("biases", [True, False], ids=["biases free", "all held"])
def test_under_a_fixed_penalty(n_samples, biases):
    X, y = network_data(n_samples)
    weights = np.linspace(0.5, 2, n_samples)
    p = NETWORK.n_params
    given = {"alpha": 0.3} if biases else {"prior": np.full(p, 0.3)}
    problem = NetworkProblem(NETWORK, X, y, sample_weight=weights, **given)
    w = 0.5 * np.random.default_rng(1).normal(size=p)
    posterior = Posterior.under_own_prior(problem, w)
    at = problem.linearize(w)
    J = at.jacobian.dense()
    inverse = np.linalg.inv(J.T @ J + np.diag(problem.prior))
    gamma = np.trace(inverse @ J.T @ J)
    beta = (weights.sum() - gamma) / (at.residual @ at.residual)
    assert posterior.n_effective == pytest.approx(gamma, rel=1e-7)
    assert posterior.noise_precision == pytest.approx(beta, rel=1e-7)
    slopes = derivative(NETWORK, w, NEW)[:, 0]
    exact = np.einsum("np,pq,nq->n", slopes, inverse, slopes) / beta
    np.testing.assert_allclose(posterior.predictive_variance(NEW)[:, 0], exact, rtol=1e-5)


def test_under_a_fixed_penalty_classes_have_no_noise():
    network = CLASSIFIERS["softmax"]
    problem, w, _, _ = classifier_posterior(network, 60)
    alpha = NetworkProblem(network, NEW, np.eye(3)[np.arange(9) % 3], alpha=0.2).prior
    posterior = Posterior.under_own_prior(problem.with_prior(alpha), w)
    assert posterior.noise_precision == 1.0
    np.testing.assert_allclose(posterior.prior, alpha, atol=1e-6)  # a trace, where it is 0


def test_no_posterior_without_freedom():
    X, y = network_data(12)
    w = 0.5 * np.random.default_rng(1).normal(size=NETWORK.n_params)
    with pytest.raises(SingularSystemError, match="posterior is not positive definite"):
        Posterior.under_own_prior(NetworkProblem(NETWORK, X, y), w)  # 21 parameters, 12 rows, no prior
    net = Input(1) >> Linear(1)
    exact = NetworkProblem(net, [[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(SingularSystemError, match="leave no noise"):
        Posterior.under_own_prior(exact, np.array([1.0, 0.0]))


# -- files -----------------------------------------------------------------------------------------


def stored(n_samples=60):
    X, y = network_data(n_samples)
    w, prior = np.linspace(-1, 1, NETWORK.n_params), np.linspace(0.5, 2, NETWORK.n_params)
    return Posterior.at(NetworkProblem(NETWORK, X, y), w, prior, 4.0)


@rows
def test_to_arrays_and_back(n_samples, tmp_path):
    posterior = stored(n_samples)
    arrays = posterior.arrays()
    assert sum(array.nbytes for array in arrays.values()) == posterior.nbytes
    np.savez(tmp_path / "posterior.npz", **arrays)
    with np.load(tmp_path / "posterior.npz", allow_pickle=False) as loaded:
        again = Posterior.from_arrays(NETWORK, posterior.w, dict(loaded))
    np.testing.assert_array_equal(again.predictive_variance(NEW), posterior.predictive_variance(NEW))
    assert again.noise_variance == posterior.noise_variance
    for name, values in again.arrays().items():
        np.testing.assert_array_equal(values, arrays[name])


DAMAGE = {
    "lack factor": lambda a: a.pop("factor"),
    "packed triangle": lambda a: a.update(factor=a["factor"][:-1]),
    "of side 3": lambda a: a.update(factor=np.ones(6)),
    "positive diagonal": lambda a: a.update(factor=-a["factor"]),
    "finite numbers": lambda a: a.update(factor=np.full_like(a["factor"], np.nan)),
    "prior must": lambda a: a.update(prior=-a["prior"]),
    "noise_precision=0": lambda a: a.update(noise_precision=0.0),
    "noise_precision=": lambda a: a.update(noise_precision=[1.0, 2.0]),
    "jacobian has shape": lambda a: a.update(jacobian=np.ones((2, 2))),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damaged_arrays(message):
    posterior = stored()
    arrays = posterior.arrays()
    DAMAGE[message](arrays)
    with pytest.raises(ValueError, match=message):
        Posterior.from_arrays(NETWORK, posterior.w, arrays)


# -- probabilities of classes ----------------------------------------------------------------------


@pytest.mark.parametrize("sd", [0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("z", [0.0, 0.5, 3.0, -6.0])
def test_the_mean_of_the_logistic_function(z, sd):
    exact, _ = quad(lambda t: expit(z + sd * t) * norm.pdf(t), -12, 12, limit=200)
    found = float(logistic_mean(np.array([z]), np.array([sd**2]))[0])
    assert found == pytest.approx(exact, abs=0.02)


def random_logits(n=200, K=4, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n, K, K)) * rng.uniform(0.1, 2, (n, 1, 1))
    # a softmax does not see what its logits have in common: only the prior holds that, and not by much
    return 3 * rng.normal(size=(n, K)), half @ half.transpose(0, 2, 1) + 20.0 * np.ones((K, K))


def test_the_mean_of_the_softmax_by_sampling():
    z, covariance = random_logits()
    draws = np.random.default_rng(1).normal(size=(len(z), 2000, z.shape[1]))
    roots = np.linalg.cholesky(covariance)
    sampled = softmax(z[:, None] + np.einsum("nkj,nsj->nsk", roots, draws), axis=-1).mean(axis=1)
    found = softmax_mean(z, covariance)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found - sampled).mean() < 0.025
    own = np.einsum("nkk->nk", covariance)
    each = softmax(z / np.sqrt(1 + np.pi / 8 * own), axis=1)  # Gibbs 1997
    assert np.abs(each - sampled).mean() > 3 * np.abs(found - sampled).mean()


def test_the_mean_of_the_softmax_has_its_symmetries():
    z, covariance = random_logits()
    found = softmax_mean(z, covariance)
    np.testing.assert_allclose(softmax_mean(z + 7.0, covariance + 3.0), found, rtol=1e-9)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        softmax_mean(z[:, order], covariance[:, order][:, :, order]), found[:, order], rtol=1e-9
    )
    np.testing.assert_allclose(softmax_mean(z, 0 * covariance), softmax(z, axis=1), rtol=1e-9)
    z, covariance = random_logits(K=2)
    variance = covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1]
    binary = logistic_mean(z[:, 0] - z[:, 1], variance)
    np.testing.assert_allclose(softmax_mean(z, covariance)[:, 0], binary, rtol=1e-9)
    huge = softmax_mean(np.array([[1e5, -1e5, 0.0]]), np.eye(3)[None])
    assert np.isfinite(huge).all() and huge[0, 0] == pytest.approx(1)


@classifiers
def test_probabilities_are_less_certain_than_those_of_the_mode(network):
    _, w, _, posterior = classifier_posterior(network, 60)
    p, mode = mean_probabilities(posterior, NEW), network.predict(w, NEW)
    assert p.shape == mode.shape and (p >= 0).all() and (p <= 1).all()
    entropy = [-(q * np.log(q) + (1 - q) * np.log1p(-q)).sum() for q in (p, mode)]
    assert entropy[0] > entropy[1]


def test_probabilities_need_classes():
    with pytest.raises(ValueError, match="Softmax or Logistic"):
        mean_probabilities(stored(), NEW)


# -- functions drawn from it -----------------------------------------------------------------------


@rows
def test_drawn_functions_have_the_covariance_of_the_posterior(n_samples):
    X, y = network_data(n_samples)
    problem = NetworkProblem(NETWORK, X, y)
    rng = np.random.default_rng(2)
    w, prior = rng.normal(0, 0.7, NETWORK.n_params), rng.uniform(0.5, 2, NETWORK.n_params)
    posterior = Posterior.at(problem, w, prior, 25.0)
    n_draws = 40_000
    drawn = posterior.draw_functions(NEW, n_draws, np.random.default_rng(3))[:, :, 0]
    J = problem.linearize(w).jacobian.dense()
    slopes = derivative(NETWORK, w, NEW)[:, 0]
    exact = slopes @ np.linalg.inv(J.T @ J + np.diag(prior)) @ slopes.T / 25.0
    scale = np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
    # an entry of a sample covariance has a standard error of at most scale sqrt(2/n): five of them
    assert np.abs((np.cov(drawn.T) - exact) / scale).max() < 5 * np.sqrt(2 / n_draws)
    error = (drawn.mean(axis=0) - NETWORK.predict(w, NEW)[:, 0]) / np.sqrt(exact.diagonal() / n_draws)
    assert np.abs(error).max() < 5
    again = posterior.draw_functions(NEW, 3, np.random.default_rng(3))
    assert again.shape == (3, 9, 1) and posterior.draw_functions(NEW[:0], 3, rng).shape == (3, 0, 1)
