"""Bayesian regularisation: closed forms, scikit-learn, dense algebra, and data made to break it."""

import numpy as np
import pytest
from sklearn.linear_model import BayesianRidge

from evidence_cases import HARD, NETWORK, dense_log_evidence, linear_data, network_data
from marquardt import Input, Linear, NetworkProblem, Status, Stopping, Tanh
from marquardt.bayesian.curvature import Curvature
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.noise import estimated_noise, known_noise, no_noise
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.precisions import PrecisionModel, PrecisionRule
from marquardt.bayesian.prior_groups import input_groups, layer_groups, one_group
from marquardt.bayesian.schedule import Schedule
from marquardt.losses import cross_entropy
from marquardt.method import Method
from marquardt.models.layers import Softmax
from tables import EXPLICIT_SOLVERS

FLAT = PrecisionRule(shape=0.0, rate=0.0)
LONG = Schedule(first=10_000, window=40, gamma_tolerance=1e-9, evidence_tolerance=1e-9)
GROUPINGS = {"one": one_group, "layer": layer_groups, "input": input_groups}
groupings = pytest.mark.parametrize("groups", GROUPINGS.values(), ids=GROUPINGS)
solvers = pytest.mark.parametrize("solver", EXPLICIT_SOLVERS.values(), ids=EXPLICIT_SOLVERS)


def linear_fit(X, y, groups=one_group, rule=FLAT, schedule=LONG, **options):
    net = Input(X.shape[1]) >> Linear(1)
    problem = NetworkProblem(net, X, y, **options)
    return maximize_evidence(problem, np.zeros(net.n_params), groups=groups, rule=rule, schedule=schedule)


# -- a linear model: everything is known in closed form --------------------------------------------


def test_the_precisions_of_bayesian_ridge():
    X, y = linear_data()
    fit = linear_fit(X, y)
    design = np.column_stack([X, np.ones(len(X))])  # our bias has the prior of the weights
    none = {"alpha_1": 0, "alpha_2": 0, "lambda_1": 0, "lambda_2": 0}
    # scikit-learn's alpha is the noise precision, its lambda that of the weights
    ridge = BayesianRidge(fit_intercept=False, tol=1e-12, max_iter=3000, compute_score=True, **none)
    ridge.fit(design, y)
    np.testing.assert_allclose(fit.noise_precision, ridge.alpha_, rtol=1e-6)
    np.testing.assert_allclose(fit.weight_precision, [ridge.lambda_], rtol=1e-6)
    np.testing.assert_allclose(fit.w, ridge.coef_, rtol=1e-6)
    np.testing.assert_allclose(fit.log_evidence, ridge.scores_[-1], rtol=1e-9)
    _, sd = ridge.predict(design[:7], return_std=True)
    variance = fit.posterior.predictive_variance(X[:7])[:, 0] + fit.posterior.noise_variance
    np.testing.assert_allclose(variance, sd**2, rtol=1e-6)


def test_the_evidence_of_a_linear_model_is_the_density_of_its_targets():
    X, y = linear_data()
    fit = linear_fit(X, y, groups=input_groups, rule=PrecisionRule(), schedule=Schedule())
    design = np.column_stack([X, np.ones(len(X))])
    variances = 1 / fit.weight_precision[fit.groups.index]
    covariance = (design * variances) @ design.T + np.eye(len(y)) / fit.noise_precision
    _, logdet = np.linalg.slogdet(covariance)
    density = -0.5 * (y @ np.linalg.solve(covariance, y) + logdet + len(y) * np.log(2 * np.pi))
    # equal at the mode, where w is to rounding
    np.testing.assert_allclose(fit.log_evidence, density, rtol=1e-7)


@groupings
def test_the_gradient_of_the_evidence_vanishes_where_the_precisions_have_converged(groups):
    X, y = linear_data()
    fit = linear_fit(X, y, groups)
    design = np.column_stack([X, np.ones(len(X))])

    def marginal(logs):
        variances = np.exp(-logs[:-1])[fit.groups.index]
        covariance = (design * variances) @ design.T + np.eye(len(y)) * np.exp(-logs[-1])
        return -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(covariance)[1])

    logs = np.log([*fit.weight_precision, fit.noise_precision])
    step = 1e-3
    slopes = [
        (marginal(logs + step * unit) - marginal(logs - step * unit)) / (2 * step)
        for unit in np.eye(len(logs))
    ]
    np.testing.assert_allclose(slopes, 0, atol=2e-4)


def test_a_weight_of_two_is_a_repeated_row():
    X, y = linear_data()
    weights = np.ones(len(y))
    weights[:10] = 2
    weighted = linear_fit(X, y, sample_weight=weights)
    repeated = linear_fit(np.vstack([X, X[:10]]), np.concatenate([y, y[:10]]))
    assert weighted.noise_precision == pytest.approx(repeated.noise_precision, rel=1e-6)
    assert weighted.log_evidence == pytest.approx(repeated.log_evidence, rel=1e-9)
    assert weighted.constant_log_evidence == pytest.approx(repeated.constant_log_evidence, rel=1e-9)


@pytest.mark.parametrize("n_samples", [24, 9], ids=["primal", "dual"])
@groupings
def test_weights_and_repeated_rows_of_a_network(groups, n_samples):
    X, y = network_data(n_samples)
    counts = np.random.default_rng(2).integers(0, 4, n_samples)
    weighted = NetworkProblem(NETWORK, X, y, sample_weight=counts.astype(float))
    repeated = NetworkProblem(NETWORK, np.repeat(X, counts, axis=0), np.repeat(y, counts))
    # further on rounding grows
    one, other = (
        maximize_evidence(problem, NETWORK_START, groups=groups, stopping=Stopping(max_iter=6))
        for problem in (weighted, repeated)
    )
    np.testing.assert_allclose(one.w, other.w, rtol=1e-6)
    np.testing.assert_allclose(one.weight_precision, other.weight_precision, rtol=1e-6)
    assert one.noise_precision == pytest.approx(other.noise_precision, rel=1e-7)
    assert one.log_evidence == pytest.approx(other.log_evidence, rel=1e-8)
    assert one.constant_log_evidence == pytest.approx(other.constant_log_evidence, rel=1e-10)


# -- a network: dense algebra ----------------------------------------------------------------------


@groupings
def test_log_evidence_and_effective_parameters_by_dense_algebra(groups):
    X, y = network_data()
    fit = maximize_evidence(NetworkProblem(NETWORK, X, y), NETWORK_START, groups=groups)
    log_evidence, effective = dense_log_evidence(fit, X, y)
    assert fit.log_evidence == pytest.approx(log_evidence, rel=1e-9)
    np.testing.assert_allclose(fit.effective_parameters, effective, rtol=1e-6, atol=1e-8)


NETWORK_START = 0.5 * np.random.default_rng(1).normal(size=NETWORK.n_params)


@groupings
@solvers
def test_the_solvers_agree(solver, groups):
    X, y = network_data()
    problem, stopping = NetworkProblem(NETWORK, X, y), Stopping(max_iter=12)
    fits = [
        maximize_evidence(problem, NETWORK_START, groups=groups, method=Method(solver=s), stopping=stopping)
        for s in (solver, EXPLICIT_SOLVERS["cholesky"])
    ]
    np.testing.assert_allclose(fits[0].weight_precision, fits[1].weight_precision, rtol=1e-4)
    assert fits[0].noise_precision == pytest.approx(fits[1].noise_precision, rel=1e-5)
    assert fits[0].log_evidence == pytest.approx(fits[1].log_evidence, abs=1e-4)


@solvers
def test_one_curvature_serves_many_priors(solver):
    X, y = network_data()
    jacobian = NetworkProblem(NETWORK, X, y).linearize(NETWORK_START).jacobian
    J, curvature = jacobian.dense(), Curvature(solver, jacobian)
    p = NETWORK.n_params
    priors = [np.full(p, 0.3), np.full(p, 2.0), np.linspace(0.1, 3, p), np.linspace(3, 1, p), np.full(p, 0.1)]
    for prior in priors:
        factor, exact = curvature.factor(prior), J.T @ J + np.diag(prior)
        np.testing.assert_allclose(factor.inverse_diagonal(), np.linalg.inv(exact).diagonal(), rtol=1e-8)
        assert factor.logdet() == pytest.approx(np.linalg.slogdet(exact)[1], rel=1e-10)
    known = curvature.known()
    for _ in range(2):  # a solver adds its prior to what it gets: the next must not see it
        gram = known.gram(getattr(known, "gram_matrix", None))
        np.testing.assert_allclose(np.triu(gram), np.triu(J.T @ J), rtol=1e-10, atol=1e-12)
        gram.ravel()[:: p + 1] += 7.0
    kernel = known.cogram(None, getattr(known, "kernel", None))
    np.testing.assert_allclose(np.triu(kernel), np.triu(J @ J.T), rtol=1e-10, atol=1e-12)
    weighted = known.cogram(np.full(p, 2.0))
    np.testing.assert_allclose(np.triu(weighted), 2 * np.triu(J @ J.T), rtol=1e-10, atol=1e-12)


@solvers
@pytest.mark.parametrize("first", [True, False], ids=["same for all first", "different first"])
def test_what_is_known_of_a_jacobian_is_not_what_has_been_overwritten(solver, first):
    X, y = network_data()
    jacobian = NetworkProblem(NETWORK, X, y).linearize(NETWORK_START).jacobian
    J, p = jacobian.dense(), NETWORK.n_params
    priors = [np.full(p, 0.3), np.linspace(0.1, 3, p)]
    order = priors if first else priors[::-1]
    curvature = Curvature(solver, jacobian)
    for prior in [*order, *order, *order]:
        factor, exact = curvature.factor(prior), J.T @ J + np.diag(prior)
        assert factor.logdet() == pytest.approx(np.linalg.slogdet(exact)[1], rel=1e-10)
        factor.determined(prior, np.arange(p) if not first else np.zeros(p, dtype=int), p if not first else 1)
        curvature = Curvature(solver, curvature.known(), curvature.buffers)
        if prior is order[0]:
            curvature.factor(order[0])  # and the next by the same one


@pytest.mark.parametrize("n_samples", [60, 12], ids=["primal", "dual"])
def test_predictive_variance_by_dense_algebra(n_samples):
    X, y = network_data(n_samples)
    prior = np.linspace(0.5, 2, NETWORK.n_params)
    problem = NetworkProblem(NETWORK, X, y)
    posterior = Posterior.at(problem, NETWORK_START, prior, 4.0)
    new = np.random.default_rng(5).normal(size=(9, 2))
    J = problem.linearize(NETWORK_START).jacobian.dense()
    rows = NetworkProblem(NETWORK, new, np.zeros(9)).linearize(NETWORK_START).jacobian.dense()
    exact = np.diag(rows @ np.linalg.inv(4.0 * (J.T @ J + np.diag(prior))) @ rows.T)
    np.testing.assert_allclose(posterior.predictive_variance(new)[:, 0], exact, rtol=1e-8)
    assert posterior.noise_variance == 0.25
    far = posterior.predictive_variance([[0.0, 0.0], [30.0, 30.0]])
    assert far[1] > far[0]
    with pytest.raises(ValueError, match="X has shape"):
        posterior.predictive_variance(new[:, :1])


def test_irrelevant_inputs_are_found():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (120, 4))
    y = np.sin(2 * X[:, 0]) + X[:, 2] ** 2 + 0.05 * rng.normal(size=120)
    net = Input(4) >> Tanh(8) >> Linear(1)
    start = rng.uniform(-0.6, 0.6, net.n_params)
    fit = maximize_evidence(NetworkProblem(net, X, y), start)
    relevance = fit.relevance
    assert fit.result.status is Status.EVIDENCE
    assert min(relevance[[0, 2]]) > 5 * max(relevance[[1, 3]])
    assert fit.noise_sd == pytest.approx(0.05, rel=0.3)
    assert fit.log_evidence > fit.constant_log_evidence
    one = maximize_evidence(NetworkProblem(net, X, y), start, groups=one_group)
    assert one.relevance is None and one.log_evidence < fit.log_evidence


# -- data made to break it -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2, 5])  # the last two creep up a valley for thousands of iterations
def test_an_exact_fit_comes_to_an_end(seed):
    x = np.linspace(-1.7, 1.7, 40)[:, None]
    net = Input(1) >> Tanh(3) >> Linear(1)
    start = np.random.default_rng(seed).uniform(-1, 1, net.n_params)
    fit = maximize_evidence(NetworkProblem(net, x, x[:, 0]), start, stopping=Stopping(max_iter=700))
    assert fit.result.status is Status.EVIDENCE and fit.noise_sd < 5e-3


@groupings
def test_pure_noise_is_told(groups):
    case = HARD["pure noise"]
    fit = maximize_evidence(case.problem, case.start, groups=groups)
    assert fit.constant_log_evidence > fit.log_evidence - 1.5
    if fit.constant_log_evidence > fit.log_evidence:
        assert "a constant has the higher evidence" in fit.message
    signal = maximize_evidence(HARD["a line"].problem, HARD["a line"].start, groups=groups)
    assert signal.log_evidence > signal.constant_log_evidence + 10 and not signal.notes


@groupings
@pytest.mark.parametrize("name", HARD)
def test_nothing_collapses_or_runs_away(name, groups):
    case = HARD[name]
    fit = maximize_evidence(case.problem, case.start, groups=groups, stopping=Stopping(max_iter=80))
    assert fit.result.success, fit.message
    for values in (fit.w, fit.weight_precision, fit.effective_parameters):
        assert np.isfinite(values).all()
    assert np.isfinite([fit.noise_precision, fit.log_evidence]).all()
    assert -1e-9 <= fit.n_effective <= case.problem.n_params
    assert case.check(fit), (fit.message, fit.noise_sd, fit.n_effective)
    assert (case.problem.network.predict(fit.w, case.new) < 1e3).all()
    assert fit.posterior is None or np.isfinite(fit.posterior.predictive_variance(case.new)).all()


# -- endings ---------------------------------------------------------------------------------------


def ended(callback=None, stopping=None):
    X, y = network_data()
    return maximize_evidence(
        NetworkProblem(NETWORK, X, y), NETWORK_START, callback=callback, stopping=stopping
    )


def test_limits_and_callbacks_end_the_run():
    assert ended(stopping=Stopping(max_iter=0)).result.status is Status.MAX_ITER
    assert ended(stopping=Stopping(max_iter=7)).result.n_iter == 7
    assert ended(stopping=Stopping(max_time=0.0)).result.status is Status.MAX_TIME
    stopped = ended(callback=lambda now: now.iteration == 4)
    assert stopped.result.status is Status.STOPPED_BY_CALLBACK and len(stopped.updates) == 3

    def fails(now):
        if now.iteration == 5:
            raise RuntimeError("disk full")

    failed = ended(callback=fails)
    assert failed.result.status is Status.CALLBACK_FAILED and "disk full" in failed.message
    assert isinstance(failed.result.error, RuntimeError) and np.isfinite(failed.log_evidence)


WITHIN = [
    (Curvature, "factor", False),
    (Curvature, "factor", True),
    (PrecisionModel, "evidence", False),
    (PrecisionModel, "evidence", True),
    (PrecisionModel, "reestimated", False),
    (NetworkProblem, "with_prior", True),
    (Curvature, "known", True),
    (Schedule, "ended", False),
]
"""Where Ctrl-C comes within a re-estimation, and whether what is interrupted has done its work."""


@pytest.mark.parametrize("owner, name, after", WITHIN, ids=[f"{n} {a}" for _, n, a in WITHIN])
def test_interrupted_within_a_re_estimation(owner, name, after, monkeypatch):
    calls, plain = [], getattr(owner, name)

    def interrupted(*arguments):
        calls.append(name)
        result = plain(*arguments) if after or len(calls) != 5 else None
        if len(calls) == 5:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name, interrupted)
    fit = ended()
    assert fit.result.status is Status.INTERRUPTED and len(fit.updates) in (3, 4, 5)
    X, y = network_data()
    assert fit.log_evidence == pytest.approx(dense_log_evidence(fit, X, y)[0], rel=1e-9)
    assert fit.log_evidence >= max(update.log_evidence for update in fit.updates)
    assert fit.posterior is not None


def test_interrupted_while_the_error_bars_are_made(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Posterior, "of", interrupted)
    fit = ended()
    assert fit.result.status is Status.INTERRUPTED and fit.posterior is None
    assert np.isfinite(fit.log_evidence) and "no error bars" in fit.message


def test_the_best_evidence_is_kept():
    fit = ended()
    assert fit.result.status is Status.EVIDENCE and "log evidence" in fit.message
    assert fit.log_evidence >= max(update.log_evidence for update in fit.updates)


def test_what_is_refused():
    X, y = network_data()
    net = Input(2) >> Softmax(2)
    problem = NetworkProblem(net, X, np.column_stack([y > 0, y <= 0]), loss=cross_entropy)
    for noise in (estimated_noise, known_noise):
        with pytest.raises(ValueError, match="squared error"):
            maximize_evidence(problem, np.zeros(net.n_params), noise=noise)
    with pytest.raises(ValueError, match="no_noise is for a cross-entropy"):
        maximize_evidence(NetworkProblem(NETWORK, X, y), NETWORK_START, noise=no_noise)
    with pytest.raises(ValueError, match="sweeps=0"):
        Schedule(sweeps=0)
    with pytest.raises(ValueError, match="settled=-1"):
        Schedule(settled=-1)
    with pytest.raises(ValueError, match="patience=0"):
        Schedule(patience=0)
    with pytest.raises(ValueError, match="factor=1"):
        PrecisionRule(factor=1)
    with pytest.raises(ValueError, match="initial=0"):
        PrecisionRule(initial=0)
    with pytest.raises(ValueError, match="w0 has shape"):
        maximize_evidence(NetworkProblem(NETWORK, X, y), np.zeros(3))


def test_a_start_without_a_finite_cost():
    X, y = network_data()
    fit = maximize_evidence(NetworkProblem(NETWORK, X, y), np.full(NETWORK.n_params, 1e300))
    assert fit.result.status is Status.NO_FINITE_START and fit.posterior is None
