"""Targets with entries that were not measured, and weights of entries."""

from __future__ import annotations

import numpy as np
import pytest

import dense_twin
from exact_derivatives import complex_step_jacobian
from marquardt import Input, Linear, Logistic, NetworkProblem, Softmax, Stopping, Tanh, minimize
from marquardt.estimators.scaling import Scaler
from marquardt.losses import Cauchy, cross_entropy, squared_error
from marquardt.target_weights import entry_weights

RNG = np.random.default_rng(0)
N, K = 12, 3
X, Y = RNG.normal(size=(N, 2)), RNG.normal(size=(N, K))
GAPS = RNG.uniform(size=(N, K)) < 0.3
HOLED = np.where(GAPS, np.nan, Y)
ROWS = RNG.uniform(0.3, 2, N)
KEEP = ~GAPS.T.ravel()  # of the residuals, output-major
NETWORKS = {
    "linear": Input(2) >> Linear(K),
    "tanh": Input(2) >> Tanh(4) >> Linear(K),
    "bounded": Input(2) >> Tanh(4) >> Tanh(K),
    "softmax": Input(2) >> Tanh(3) >> Softmax(K),
}
networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def masked(network, rows=None, y=HOLED, **options):
    return NetworkProblem(network, X, y, sample_weight=entry_weights(y, rows), **options)


def parameters(network):
    w = np.random.default_rng(1).normal(0, 0.7, network.n_params)
    w.flags.writeable = False
    return w


@networks
@pytest.mark.parametrize("rows", [None, ROWS], ids=["equal", "weighted"])
def test_an_entry_that_is_not_measured_has_no_residual(network, rows):
    """Against the dense twin, whose rows of such entries are deleted."""
    w = parameters(network)
    at = masked(network, rows).linearize(w)
    r = dense_twin.residual(network, w, X, Y, rows)[KEEP]
    J = complex_step_jacobian(lambda v: dense_twin.residual(network, v, X, Y, rows), w)[KEEP]
    np.testing.assert_allclose(at.residual[KEEP], r, atol=1e-13)
    np.testing.assert_array_equal(at.residual[~KEEP], 0)
    np.testing.assert_array_equal(at.jacobian.dense()[~KEEP], 0)
    np.testing.assert_allclose(at.jacobian.dense()[KEEP], J, atol=1e-12)
    np.testing.assert_allclose(np.triu(at.jacobian.gram()), np.triu(J.T @ J), atol=1e-12)
    np.testing.assert_allclose(at.gradient, J.T @ r, atol=1e-12)
    assert at.cost == pytest.approx(0.5 * r @ r, rel=1e-13)


@networks
def test_the_output_layer_is_solved_as_if_the_entry_were_absent(network):
    problem, w = masked(network, alpha=0.1), parameters(network)
    at, block = problem.linearize(w), network.blocks[-1]
    J, prior = at.jacobian.dense()[KEEP][:, block], problem.prior[block]
    step = np.linalg.solve(J.T @ J + np.diag(prior + 0.3), J.T @ at.residual[KEEP] + prior * w[block])
    resolved = problem.resolve_output(w, 0.3, None)
    np.testing.assert_allclose(resolved[block], w[block] - step, rtol=1e-9)


def test_each_output_is_solved_under_its_own_prior():
    network = NETWORKS["tanh"]
    prior = np.random.default_rng(3).uniform(0.1, 2.0, network.n_params)
    problem, w, block = masked(network, prior=prior), parameters(network), network.blocks[-1]
    at = problem.linearize(w)
    J = at.jacobian.dense()[:, block]
    step = np.linalg.solve(J.T @ J + np.diag(prior[block] + 0.3), J.T @ at.residual + prior[block] * w[block])
    np.testing.assert_allclose(problem.resolve_output(w, 0.3, None)[block], w[block] - step, rtol=1e-9)


@pytest.mark.parametrize("loss", [squared_error, Cauchy(0.5)], ids=["squared", "cauchy"])
def test_what_stands_in_a_gap_does_not_matter(loss):
    network = NETWORKS["tanh"]
    weights = (~GAPS).astype(float)
    fits = [
        minimize(
            NetworkProblem(network, X, np.where(GAPS, filled, Y), sample_weight=weights, loss=loss),
            parameters(network),
            stopping=Stopping(max_iter=30),
        )
        for filled in (np.nan, np.inf, 1e30, 0.0)
    ]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.w, fits[0].w)


def test_columns_that_share_nothing_are_fitted_as_alone():
    network, one = NETWORKS["linear"], Input(2) >> Linear(1)
    together = minimize(masked(network, alpha=0.2), np.zeros(network.n_params)).w.reshape(K, -1)
    for k in range(K):
        there = ~GAPS[:, k]
        alone = minimize(NetworkProblem(one, X[there], Y[there, k], alpha=0.2), np.zeros(one.n_params)).w
        np.testing.assert_allclose(together[k], alone, rtol=1e-9)


@networks
def test_a_row_without_any_measurement_is_absent(network):
    holed = Y.copy()
    holed[[1, 5]] = np.nan
    w, kept = parameters(network), np.delete(np.arange(N), [1, 5])
    at = masked(network, y=holed).linearize(w)
    without = NetworkProblem(network, X[kept], Y[kept]).linearize(w)
    assert at.cost == pytest.approx(without.cost, rel=1e-13)
    np.testing.assert_allclose(at.gradient, without.gradient, atol=1e-13)
    assert entry_weights(holed).shape == (N,)


@networks
def test_integer_weights_of_entries_are_repeated_entries(network):
    """The repeated data have rows in which one entry only is measured."""
    counts = np.random.default_rng(4).integers(0, 3, (N, K))
    counts[0] = 1
    w = parameters(network)
    at = NetworkProblem(network, X, Y, sample_weight=counts).linearize(w)
    rows = [(n, k) for n in range(N) for k in range(K) for _ in range(counts[n, k])]
    single = np.full((len(rows), K), np.nan)
    for i, (n, k) in enumerate(rows):
        single[i, k] = Y[n, k]
    repeated = NetworkProblem(network, X[[n for n, _ in rows]], single, sample_weight=entry_weights(single))
    other = repeated.linearize(w)
    assert at.cost == pytest.approx(other.cost, rel=1e-13)
    np.testing.assert_allclose(at.gradient, other.gradient, atol=1e-12)
    np.testing.assert_allclose(np.triu(at.jacobian.gram()), np.triu(other.jacobian.gram()), atol=1e-12)


@networks
def test_weights_of_outputs_multiply_their_squares(network):
    v, w = np.array([0.5, 1.0, 3.0]), parameters(network)
    at = NetworkProblem(network, X, Y, sample_weight=entry_weights(Y, ROWS, v)).linearize(w)
    r = dense_twin.residual(network, w, X, Y, ROWS).reshape(K, N) * np.sqrt(v)[:, None]
    np.testing.assert_allclose(at.residual, r.ravel(), atol=1e-13)


def test_labels_that_are_not_known():
    """Logistic cross-entropy of several labels: a label alone can be missing."""
    network = Input(2) >> Tanh(3) >> Logistic(K)
    labels = (Y > 0).astype(float)
    w = parameters(network)
    problem = masked(network, y=np.where(GAPS, np.nan, labels), loss=cross_entropy)
    p = dense_twin.outputs(network, w, X)
    wanted = -np.log(np.where(labels > 0, p, 1 - p))[~GAPS].sum()
    assert problem.cost(w) == pytest.approx(wanted, rel=1e-12)
    gradient = [(problem.cost(w + h) - problem.cost(w - h)) / 2e-6 for h in 1e-6 * np.eye(network.n_params)]
    np.testing.assert_allclose(problem.linearize(w).gradient, gradient, atol=1e-7)


@pytest.mark.parametrize(
    ("y", "rows", "columns", "wanted"),
    [
        (Y, None, None, None),
        (Y, np.ones(N), np.ones(K), None),
        (Y, ROWS, None, (N,)),
        (Y, ROWS, np.full(K, 2.0), (N,)),
        (Y, None, np.array([1.0, 2.0, 1.0]), (N, K)),
        (HOLED, None, None, (N, K)),
        (HOLED[:, :1], None, None, (N,)),
    ],
)
def test_weights_are_as_simple_as_they_can_be(y, rows, columns, wanted):
    weights = entry_weights(y, rows, columns)
    assert (None if weights is None else weights.shape) == wanted


def test_equal_columns_of_weights_keep_the_quick_seed():
    problem = NetworkProblem(NETWORKS["tanh"], X, Y, sample_weight=np.repeat(ROWS[:, None], K, axis=1))
    assert problem.sample_weight.shape == (N,)
    np.testing.assert_array_equal(problem.entry_weights, np.repeat(ROWS[None], K, axis=0))


EMPTY = np.where(np.arange(K) == 1, np.nan, Y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: entry_weights(EMPTY),
            r"no measured value of positive weight in column 1 \(counted from 0\)",
        ),
        (
            lambda: entry_weights(np.where(Y > 0, np.nan, Y), (Y[:, 0] > 0).astype(float)),
            "no measured value of positive weight in column 0",
        ),
        (lambda: masked(NETWORKS["tanh"], y=np.full((N, K), np.nan)), "in column 0, 1, 2 "),
        (lambda: entry_weights(Y[:, 0]), r"y has shape \(12,\): it must be \(n_samples, n_outputs\)"),
        (lambda: entry_weights(Y, None, [1.0]), r"output_weight has shape \(1,\), but y has 3 columns"),
        (lambda: entry_weights(Y, None, [1, 0, 1]), "output_weight has the value 0: weights must be > 0"),
        (lambda: entry_weights(Y, None, [1, np.nan, 1]), "output_weight holds 1 NaN"),
        (lambda: entry_weights(Y, -ROWS), "sample_weight has a negative value"),
        (
            lambda: NetworkProblem(NETWORKS["tanh"], X, Y, sample_weight=np.ones((N, 2))),
            r"sample_weight has shape \(12, 2\), but y has shape \(12, 3\)",
        ),
        (
            lambda: NetworkProblem(NETWORKS["tanh"], X, Y, sample_weight=-np.ones((N, K))),
            "sample_weight has a negative value, -1",
        ),
        (
            lambda: NetworkProblem(NETWORKS["tanh"], X, Y, sample_weight=np.full((N, K), np.nan)),
            "sample_weight holds 36 NaN",
        ),
        (
            lambda: NetworkProblem(NETWORKS["tanh"], X, HOLED, sample_weight=np.ones((N, K))),
            "y holds .* NaN",
        ),
        (lambda: NetworkProblem(NETWORKS["tanh"], X, HOLED), "y holds .* NaN"),
        (
            lambda: masked(NETWORKS["softmax"], loss=cross_entropy),
            "the classes of a softmax share one probability: weigh whole rows",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- scaling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, ROWS], ids=["equal", "weighted"])
def test_a_gap_counts_nowhere_in_the_scaling(rows):
    scaler = Scaler.standard(HOLED, rows)
    for k in range(K):
        there = ~GAPS[:, k]
        alone = Scaler.standard(Y[there, k : k + 1], None if rows is None else rows[there])
        assert scaler.offset[k] == pytest.approx(alone.offset[0], rel=1e-12, abs=1e-14)
        assert scaler.scale[k] == pytest.approx(alone.scale[0], rel=1e-12)
    np.testing.assert_array_equal(np.isnan(scaler.transform(HOLED)), GAPS)


def test_weights_of_entries_scale_as_the_gaps_they_are():
    weights = entry_weights(HOLED, ROWS)
    np.testing.assert_allclose(Scaler.standard(Y, weights).scale, Scaler.standard(HOLED, ROWS).scale)


def test_a_column_of_gaps_is_left_as_it_is():
    scaler = Scaler.standard(EMPTY)
    assert (scaler.offset[1], scaler.scale[1]) == (0.0, 1.0)
