"""Bayesian regularisation of classifiers: dense algebra, finite differences, separable classes."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from marquardt import Input, Linear, Logistic, NetworkProblem, Softmax, Status, Stopping, Tanh
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import input_groups, layer_groups, one_group
from marquardt.bayesian.probit import mean_probabilities
from marquardt.bayesian.schedule import Schedule
from marquardt.losses import cross_entropy
from marquardt.method import Method
from marquardt.models.mlp import MLP
from tables import EXPLICIT_SOLVERS

FLAT = PrecisionRule(shape=0.0, rate=0.0)
LONG = Schedule(first=10_000, window=40, gamma_tolerance=1e-9, evidence_tolerance=1e-9, patience=1000)
groupings = pytest.mark.parametrize("groups", [one_group, layer_groups, input_groups])
NETWORKS = {
    "softmax": Input(2) >> Tanh(4) >> Softmax(3),
    "logistic": Input(2) >> Tanh(4) >> Logistic(1),
    "labels": Input(2) >> Tanh(3) >> Logistic(2),
    "linear": Input(2) >> Logistic(1),
}
networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def data(network, n_samples=60, seed=0):
    """Overlapping classes, and a start."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 2))
    score = np.column_stack([X[:, 0], np.sin(2 * X[:, 1]), X[:, 0] * X[:, 1]]) + 0.5 * rng.normal(
        size=(n_samples, 3)
    )
    K = network.n_outputs
    y = np.eye(3)[score.argmax(axis=1)] if K == 3 else (score[:, :K] > 0).astype(float)
    return X, y, rng.normal(0, 0.5, network.n_params)


def problem_of(network, X, y, **options):
    return NetworkProblem(network, X, y, loss=cross_entropy, **options)


def dense_hessian(network, w, X, weights):
    """Σ s Jᵀ (∂²L/∂z²) J with J = ∂z/∂w by central differences."""
    bare, step = MLP([*network.layers[:-1], Linear(network.n_outputs)]), 1e-5
    J = np.stack(
        [
            (bare.predict(w + step * unit, X) - bare.predict(w - step * unit, X)) / (2 * step)
            for unit in np.eye(len(w))
        ],
        axis=-1,
    )  # (N, K, p)
    p = network.predict(w, X)
    curvature = np.einsum("nk,kj->nkj", p, np.eye(p.shape[1]))
    softmax = isinstance(network.layers[-1], Softmax)
    curvature -= p[:, :, None] * p[:, None, :] if softmax else np.einsum("nk,kj->nkj", p**2, np.eye(len(p.T)))
    return np.einsum("n,nkp,nkj,njq->pq", weights, J, curvature, J)


@groupings
@networks
def test_log_evidence_and_effective_parameters_by_dense_algebra(network, groups):
    X, y, start = data(network)
    weights = np.random.default_rng(3).uniform(0.2, 2, len(X))
    problem = problem_of(network, X, y, sample_weight=weights)
    fit = maximize_evidence(problem, start, groups=groups, stopping=Stopping(max_iter=60))
    alpha = fit.weight_precision[fit.groups.index]
    H = dense_hessian(network, fit.w, X, weights) + np.diag(alpha)
    joint = -problem.cost(fit.w) - 0.5 * alpha @ fit.w**2
    exact = joint + 0.5 * np.log(alpha).sum() - 0.5 * np.linalg.slogdet(H)[1]
    assert fit.noise_precision == 1.0 and fit.result.success
    assert fit.log_evidence == pytest.approx(exact, rel=1e-6)
    effective = fit.groups.sums(1 - alpha * np.linalg.inv(H).diagonal())
    np.testing.assert_allclose(fit.effective_parameters, effective, rtol=1e-5, atol=1e-6)
    assert fit.result.cost == pytest.approx(problem.cost(fit.w) + 0.5 * alpha @ fit.w**2, rel=1e-12)


def test_a_linear_classifier_is_scikit_learns_under_its_own_precision():
    network = NETWORKS["linear"]
    X, y, start = data(network)
    fit = maximize_evidence(problem_of(network, X, y), start, groups=one_group, rule=FLAT, schedule=LONG)
    (alpha,) = fit.weight_precision
    design = np.column_stack([X, np.ones(len(X))])  # our bias has the prior of the weights
    sklearn = LogisticRegression(C=1 / alpha, fit_intercept=False, tol=1e-12, max_iter=1000)
    np.testing.assert_allclose(fit.w, sklearn.fit(design, y[:, 0]).coef_[0], rtol=1e-5)
    # where the derivative of the evidence vanishes, the Hessian held
    assert alpha == pytest.approx(fit.n_effective / float(fit.w @ fit.w), rel=1e-5)

    def evidence(log):
        """Of the weights as they are: what the re-estimation maximises."""
        H = dense_hessian(network, fit.w, X, np.ones(len(X))) + np.exp(log) * np.eye(3)
        return 0.5 * (3 * log - np.linalg.slogdet(H)[1] - np.exp(log) * fit.w @ fit.w)

    log, step = np.log(alpha), 1e-3
    assert (evidence(log + step) - evidence(log - step)) / (2 * step) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("solver", EXPLICIT_SOLVERS.values(), ids=EXPLICIT_SOLVERS)
@pytest.mark.parametrize("n_samples", [40, 8])
def test_the_solvers_agree(solver, n_samples):
    network = NETWORKS["softmax"]
    X, y, start = data(network, n_samples)
    fits = [
        maximize_evidence(
            problem_of(network, X, y), start, method=Method(solver=s), stopping=Stopping(max_iter=8)
        )
        for s in (solver, EXPLICIT_SOLVERS["cholesky"])
    ]
    np.testing.assert_allclose(fits[0].weight_precision, fits[1].weight_precision, rtol=1e-5)
    assert fits[0].log_evidence == pytest.approx(fits[1].log_evidence, rel=1e-6)


@networks
def test_weights_and_repeated_rows(network):
    X, y, start = data(network, 30)
    counts = np.random.default_rng(2).integers(0, 4, 30)
    weighted = problem_of(network, X, y, sample_weight=counts.astype(float))
    repeated = problem_of(network, np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0))
    one, other = (maximize_evidence(p, start, stopping=Stopping(max_iter=6)) for p in (weighted, repeated))
    np.testing.assert_allclose(one.weight_precision, other.weight_precision, rtol=1e-6)
    assert one.log_evidence == pytest.approx(other.log_evidence, rel=1e-8)
    assert one.constant_log_evidence == pytest.approx(other.constant_log_evidence, rel=1e-10)


@groupings
@pytest.mark.parametrize("network", [NETWORKS["softmax"], NETWORKS["logistic"]], ids=["softmax", "logistic"])
@pytest.mark.parametrize("rows", [40, 3])
def test_separable_classes_stay_finite(network, groups, rows):
    X = np.linspace(-2, 2, 2 * rows).reshape(rows, 2)
    K = network.n_outputs
    y = np.eye(3)[np.arange(rows) * 3 // rows] if K == 3 else (X[:, :1] > 0).astype(float)
    start = np.random.default_rng(0).normal(0, 0.5, network.n_params)
    fit = maximize_evidence(problem_of(network, X, y), start, groups=groups)
    assert fit.result.success and np.isfinite(fit.log_evidence) and fit.posterior is not None
    assert np.abs(fit.w).max() < 100 and np.isfinite(fit.weight_precision).all()
    new = np.vstack([X, [[30.0, -30.0], [1e6, 1e6]]])
    p = mean_probabilities(fit.posterior, new)
    assert np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1
    # far from the data no class is certain
    certain = network.predict(fit.w, new)
    assert (p[-2:].max() < certain[-2:].max()) or certain[-2:].max() < 1 - 1e-9


def test_labels_without_a_pattern_are_told():
    rng = np.random.default_rng(0)
    network = Input(3) >> Tanh(5) >> Logistic(1)
    X, y = rng.normal(size=(80, 3)), rng.integers(0, 2, 80).astype(float)
    fit = maximize_evidence(problem_of(network, X, y), rng.normal(0, 0.5, network.n_params))
    assert fit.constant_log_evidence == pytest.approx(-80 * np.log(2), rel=0.02)
    assert fit.n_effective < 3 and fit.log_evidence < fit.constant_log_evidence + 1.5
    assert fit.result.status is Status.EVIDENCE


def test_one_class_only():
    network = NETWORKS["softmax"]
    X, _, start = data(network)
    fit = maximize_evidence(problem_of(network, X, np.tile([0.0, 1.0, 0.0], (len(X), 1))), start)
    assert np.isfinite(fit.w).all() and fit.posterior is not None
    p = mean_probabilities(fit.posterior, X)
    assert (p[:, 1] > 0.8).all()
