"""Bayesian regularisation with noise that is known: closed forms of a linear model."""

import numpy as np
import pytest

from evidence_cases import NETWORK, linear_data, network_data
from marquardt import Input, Linear, NetworkProblem, Status, Stopping, Tanh
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.noise import EstimatedNoise, KnownNoise, known_noise, spread_of
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import input_groups, layer_groups, one_group
from marquardt.bayesian.schedule import Schedule
from marquardt.target_weights import entry_weights

FLAT = PrecisionRule(shape=0.0, rate=0.0)
LONG = Schedule(first=10_000, window=40, gamma_tolerance=1e-9, evidence_tolerance=1e-9, patience=1000)
groupings = pytest.mark.parametrize("groups", [one_group, layer_groups, input_groups])


def known_fit(groups):
    X, y = linear_data()
    sigma = np.linspace(0.2, 0.7, len(y))
    net = Input(3) >> Linear(1)
    problem = NetworkProblem(net, X, y, sample_weight=1 / sigma**2)
    fit = maximize_evidence(
        problem, np.zeros(net.n_params), groups=groups, noise=known_noise, rule=FLAT, schedule=LONG
    )
    return fit, np.column_stack([X, np.ones(len(y))]), y, sigma


def marginal(logs, groups, design, y, sigma):
    """log density of the targets, weights integrated out."""
    covariance = (design * np.exp(-logs)[groups.index]) @ design.T + np.diag(sigma**2)
    _, logdet = np.linalg.slogdet(covariance)
    return -0.5 * (y @ np.linalg.solve(covariance, y) + logdet + len(y) * np.log(2 * np.pi))


@groupings
def test_the_evidence_is_the_density_of_the_targets(groups):
    fit, design, y, sigma = known_fit(groups)
    assert fit.noise_precision == 1.0 and fit.result.status is Status.EVIDENCE
    logs = np.log(fit.weight_precision)
    exact = marginal(logs, fit.groups, design, y, sigma)
    np.testing.assert_allclose(fit.log_evidence, exact, rtol=1e-9)
    step = 1e-3
    slopes = [
        marginal(logs + step * unit, fit.groups, design, y, sigma)
        - marginal(logs - step * unit, fit.groups, design, y, sigma)
        for unit in np.eye(len(logs))
    ]
    np.testing.assert_allclose(np.divide(slopes, 2 * step), 0, atol=2e-4)


def test_the_error_bars_are_those_of_generalized_least_squares():
    fit, design, y, sigma = known_fit(one_group)
    alpha = fit.weight_precision[0]
    H = (design.T / sigma**2) @ design + alpha * np.eye(4)
    np.testing.assert_allclose(fit.w, np.linalg.solve(H, design.T @ (y / sigma**2)), rtol=1e-8)
    assert fit.posterior is not None
    exact = np.einsum("ij,ij->i", design @ np.linalg.inv(H), design)
    np.testing.assert_allclose(fit.posterior.predictive_variance(design[:, :3])[:, 0], exact, rtol=1e-8)


@pytest.mark.parametrize("given, low, high", [(0.05, 0.5, 1.4), (1.0, 1.5, np.inf)])
def test_what_is_told_to_be_noise_is_not_fitted(given, low, high):
    X, y = network_data()
    problem = NetworkProblem(NETWORK, X, y, sample_weight=np.full(len(y), given**-2))
    start = 0.5 * np.random.default_rng(1).normal(size=NETWORK.n_params)
    fit = maximize_evidence(problem, start, noise=known_noise)
    left = np.std(y - NETWORK.predict(fit.w, X)[:, 0])
    assert low * 0.1 < left < high
    free = maximize_evidence(NetworkProblem(NETWORK, X, y), start)
    assert (fit.n_effective < free.n_effective) == (given > 0.5)


def test_an_unmeasured_entry_counts_for_nothing():
    targets = np.array([[1.0, 2.0, 7.0], [0.5, 99.0, 1.5]])
    weights = np.array([[1.0, 1.0, 4.0], [1.0, 0.0, 2.0]])
    without = [np.array([1.0, 2.0, 7.0, 0.5, 1.5]), np.array([1.0, 1.0, 4.0, 1.0, 2.0])]
    known = KnownNoise(targets, weights)
    exact = 0.5 * np.log(without[1] / (2 * np.pi)).sum()
    assert known.normalizer(1.0) == pytest.approx(exact)
    assert EstimatedNoise(targets, weights).n_observations == 9.0
    changed = np.where(weights > 0, targets, -3.0)
    for kind in (KnownNoise, EstimatedNoise):
        found = [kind(values, weights).constant_log_evidence() for values in (targets, changed)]
        assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("values, spread", [([1.0, 3.0], 1.0), ([2.0, 2.0], 4.0), ([0.0, 0.0], 1.0)])
def test_the_spread_is_never_zero(values, spread):
    assert spread_of(np.array([values]), np.ones((1, 2))) == pytest.approx(spread)


def test_a_singular_hessian_raises_the_precisions_of_the_weights():
    X, y = network_data()
    problem = NetworkProblem(NETWORK, X, y, sample_weight=np.full(len(y), 1e40))
    fit = maximize_evidence(
        problem, np.full(NETWORK.n_params, 0.3), noise=known_noise, stopping=Stopping(max_iter=5)
    )
    assert np.isfinite(fit.w).all() and fit.noise_precision == 1.0
    assert "precisions of the weights raised" in fit.message


@groupings
@pytest.mark.parametrize("n_samples", [40, 9], ids=["primal", "dual"])
def test_entries_that_were_not_measured(groups, n_samples):
    rng = np.random.default_rng(8)
    X = rng.uniform(-1, 1, (n_samples, 2))
    y = np.column_stack([np.sin(3 * X[:, 0]), X[:, 1]]) + 0.1 * rng.normal(size=(n_samples, 2))
    y[rng.uniform(size=y.shape) < 0.3] = np.nan
    net = Input(2) >> Tanh(4) >> Linear(2)
    problem = NetworkProblem(net, X, y, sample_weight=entry_weights(y))
    start = rng.normal(0, 0.5, net.n_params)
    fit = maximize_evidence(problem, start, groups=groups, stopping=Stopping(max_iter=30))
    measured = np.isfinite(y.T).ravel()
    at = NetworkProblem(net, X, np.nan_to_num(y)).linearize(fit.w)
    J, r, n = at.jacobian.dense()[measured], at.residual[measured], measured.sum()
    alpha, beta = fit.weight_precision[fit.groups.index], fit.noise_precision
    H = beta * J.T @ J + np.diag(alpha)
    exact = -0.5 * beta * r @ r - 0.5 * alpha @ fit.w**2 - 0.5 * np.linalg.slogdet(H)[1]
    exact += 0.5 * np.log(alpha).sum() + 0.5 * n * np.log(beta / (2 * np.pi))
    assert fit.log_evidence == pytest.approx(exact, rel=1e-8)
    shares = fit.groups.sums(1 - alpha * np.linalg.inv(H).diagonal())
    np.testing.assert_allclose(fit.effective_parameters, shares, rtol=1e-6, atol=1e-8)
    assert fit.posterior is not None
    new = at.jacobian.dense()
    variance = np.einsum("ij,jk,ik->i", new, np.linalg.inv(H), new).reshape(2, -1).T
    np.testing.assert_allclose(fit.posterior.predictive_variance(X), variance, rtol=1e-6)
