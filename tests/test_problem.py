"""A network with data: its cost, its prior, its output re-solve, and every refusal of bad input."""

import numpy as np
import pytest

from dense_twin import residual
from marquardt import Input, Linear, Logistic, NetworkProblem, Softmax, Tanh
from tables import LAYOUTS, PROBLEMS, case

NET = Input(2) >> Tanh(3) >> Linear(1)
X, Y = np.arange(10.0).reshape(5, 2), np.arange(5.0)

networks = pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)


# -- cost and prior ------------------------------------------------------------------------------------


@networks
@pytest.mark.parametrize("weighted", [False, True])
def test_the_prior_penalizes_weights_and_spares_biases(network, weighted):
    data = case(network, weighted)
    problem = NetworkProblem(network, data.X, data.y, sample_weight=data.sample_weight, alpha=0.7)
    r = residual(network, data.w, data.X, data.y, data.sample_weight)
    weights = np.concatenate([W.ravel() for W, _ in network.unpack(data.w)])
    np.testing.assert_allclose(problem.cost(data.w), 0.5 * r @ r + 0.35 * weights @ weights)
    at = problem.linearize(data.w)
    np.testing.assert_allclose(at.cost, problem.cost(data.w), rtol=1e-14)
    slopes = [
        (problem.cost(data.w + h) - problem.cost(data.w - h)) / 2e-6 for h in 1e-6 * np.eye(network.n_params)
    ]
    np.testing.assert_allclose(at.gradient, slopes, atol=1e-8)
    np.testing.assert_allclose(at.gradient, at.jacobian.dense().T @ at.residual + at.offset, atol=1e-13)


def test_a_prior_entry_by_entry():
    prior = np.arange(13.0)
    problem = NetworkProblem(NET, X, Y, prior=prior)
    w = np.linspace(-1, 1, 13)
    plain = NetworkProblem(NET, X, Y)
    np.testing.assert_allclose(problem.cost(w), plain.cost(w) + 0.5 * prior @ w**2)
    np.testing.assert_allclose(problem.linearize(w).offset, prior * w)


@pytest.mark.parametrize("options", [{}, {"alpha": 0}, {"alpha": 0.0}, {"prior": np.zeros(13)}])
def test_no_prior(options):
    problem = NetworkProblem(NET, X, Y, **options)
    assert problem.prior is None
    assert problem.linearize(np.zeros(13)).offset is None


def test_targets_of_one_output_may_be_flat_or_a_column():
    w = np.linspace(-1, 1, 13)
    assert NetworkProblem(NET, X, Y).cost(w) == NetworkProblem(NET, X, Y[:, None]).cost(w)
    assert NetworkProblem(NET, X.tolist(), Y.tolist()).cost(w) == NetworkProblem(NET, X, Y).cost(w)


def test_the_data_are_copied():
    own_x, own_y, own_weights = X.copy(), Y.copy(), np.ones(5)
    problem = NetworkProblem(NET, own_x, own_y, sample_weight=own_weights)
    w = np.linspace(-1, 1, 13)
    before = problem.cost(w)
    own_x[:], own_y[:], own_weights[:] = 0, 0, 0
    assert problem.cost(w) == before


def test_parameters_changed_in_place_are_seen():
    """The forward pass is remembered for the latest point, but never for an array that may still change."""
    problem, w = NetworkProblem(NET, X, Y), np.linspace(-1, 1, 13)
    first = problem.cost(w)
    w *= 2
    assert problem.cost(w) != first
    assert problem.cost(w) == NetworkProblem(NET, X, Y).cost(w)
    frozen = w.copy()
    frozen.flags.writeable = False
    assert problem.cost(frozen) == problem.cost(w) == problem.cost(frozen)
    assert problem.linearize(frozen).cost == problem.cost(w)


# -- the output re-solve -------------------------------------------------------------------------------


def damped_output_step(problem, w, damping, scale):
    """The step of the last layer by dense algebra."""
    block = problem.network.blocks[-1]
    at = problem.linearize(w)
    J, prior = at.jacobian.dense()[:, block], np.zeros(len(w)) if problem.prior is None else problem.prior
    scale = np.ones(len(w)) if scale is None else scale
    matrix = J.T @ J + np.diag(prior[block] + damping * scale[block])
    return -np.linalg.solve(matrix, J.T @ at.residual + prior[block] * w[block])


@networks
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("n_samples", [2, 9])
def test_the_resolve_is_a_damped_step_of_the_last_layer(network, weighted, alpha, scaled, n_samples):
    data = case(network, weighted, n_samples)
    problem = NetworkProblem(network, data.X, data.y, sample_weight=data.sample_weight, alpha=alpha)
    scale = np.random.default_rng(0).uniform(0.5, 2, network.n_params) if scaled else None
    block = network.blocks[-1]
    resolved = problem.resolve_output(data.w, 0.3, scale)
    wanted = data.w.copy()
    wanted[block] += damped_output_step(problem, data.w, 0.3, scale)
    if not isinstance(network.layers[-1], Linear) and problem.cost(wanted) >= problem.cost(data.w):
        wanted = data.w  # no descent is guaranteed where the output is not linear
    np.testing.assert_allclose(resolved, wanted, rtol=1e-9, atol=1e-12)
    assert problem.cost(resolved) <= problem.cost(data.w)
    fresh = NetworkProblem(network, data.X, data.y, sample_weight=data.sample_weight, alpha=alpha)
    np.testing.assert_allclose(problem.cost(resolved), fresh.cost(resolved.copy()), rtol=1e-13)
    np.testing.assert_allclose(
        problem.linearize(resolved).gradient, fresh.linearize(resolved.copy()).gradient, atol=1e-12
    )


def test_a_resolved_linear_layer_is_stationary():
    problem, w = PROBLEMS["one output"]()
    resolved = problem.resolve_output(w, 1e-14, None)
    gradient = problem.linearize(resolved).gradient
    np.testing.assert_allclose(gradient[problem.network.blocks[-1]], 0, atol=1e-9)


def test_a_resolve_that_makes_things_worse_is_dropped():
    """Logistic outputs far out: the Gauss-Newton step of the layer overshoots."""
    network = Input(1) >> Logistic(1)
    problem = NetworkProblem(network, [[0.0], [1.0]], [1.0, 0.0])
    w = np.array([0.0, 4.0])
    resolved = problem.resolve_output(w, 1e-12, None)
    assert problem.cost(resolved) <= problem.cost(w)


@pytest.mark.parametrize("output", [Linear(2), Logistic(2), Softmax(2)])
def test_a_resolve_without_a_solution_leaves_everything_as_it_is(output):
    network = Input(2) >> Tanh(3) >> output
    problem = NetworkProblem(network, X, np.zeros((5, 2)))
    w = np.full(network.n_params, 1e308)
    with np.errstate(over="ignore", invalid="ignore"):
        assert problem.resolve_output(w, 0.1, None) is w
    dead = np.zeros(network.n_params)  # hidden units that give 0: singular without damping
    np.testing.assert_array_equal(problem.resolve_output(dead, 0.0, None), dead)


# -- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros(5), Y, r"X has shape \(5,\), but the network needs \(n_samples, 2\)"),
        (np.zeros((5, 3)), Y, r"X has shape \(5, 3\), but the network needs \(n_samples, 2\)"),
        (np.zeros((5, 2, 1)), Y, r"X has shape \(5, 2, 1\)"),
        (X, np.zeros((5, 2)), r"y has shape \(5, 2\), but the network needs \(n_samples, 1\)"),
        (X, 3.0, r"y has shape \(\), but the network needs"),
        (X, np.zeros((1, 5)), r"y has shape \(1, 5\)"),
        (X, np.zeros(4), "X has 5 rows and y has 4: they must be the same samples"),
        (np.zeros((0, 2)), [], "X has no rows: there is nothing to fit"),
        (
            np.where(X == 6, np.nan, X),
            Y,
            r"X holds 1 NaN and 0 infinite values, the first at index \(3, 0\): drop",
        ),
        (X, np.where(Y > 2, np.inf, Y), r"y holds 0 NaN and 2 infinite values, the first at index \(3, 0\)"),
        ([["a", "b"]] * 5, Y, "X must be numbers: could not convert string to float: .*'a'"),
        (X, [None, {}, 1, 2, 3], "y must be numbers: "),
        (X * 1j, Y, "X must be numbers: they are complex; take real and imaginary parts"),
        ([[1.0, 2.0], [3.0]], Y, "X must be numbers: "),
    ],
)
def test_data_that_do_not_fit(X, y, message):
    with pytest.raises(ValueError, match=message):
        NetworkProblem(NET, X, y)


def test_flat_targets_for_two_outputs():
    with pytest.raises(ValueError, match=r"y has shape \(5,\), but the network needs \(n_samples, 2\)"):
        NetworkProblem(Input(2) >> Linear(2), X, Y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(4), r"sample_weight has shape \(4,\), but there are 5 rows"),
        (np.ones((5, 2)), r"sample_weight has shape \(5, 2\), but y has shape \(5, 1\)"),
        (2.0, r"sample_weight has shape \(\), but there are 5 rows"),
        ([1, 1, -2, 1, 1], "sample_weight has a negative value, -2: weights must be >= 0"),
        ([1, 1, np.nan, 1, 1], "sample_weight holds 1 NaN and 0 infinite values"),
        ([1, 1, np.inf, 1, 1], "sample_weight holds 0 NaN and 1 infinite values"),
        (np.zeros(5), "sample_weight is zero for every row: there is nothing to fit"),
        (["x"] * 5, "sample_weight must be numbers"),
    ],
)
def test_weights_that_do_not_fit(weights, message):
    with pytest.raises(ValueError, match=message):
        NetworkProblem(NET, X, Y, sample_weight=weights)


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.inf])
def test_an_alpha_that_is_no_precision(alpha):
    with pytest.raises(ValueError, match=rf"alpha={alpha} must be a finite number >= 0"):
        NetworkProblem(NET, X, Y, alpha=alpha)


@pytest.mark.parametrize("prior", [np.ones(12), -np.ones(13), np.full(13, np.nan), 1.0])
def test_a_prior_that_does_not_fit(prior):
    with pytest.raises(
        ValueError, match="prior must be 13 finite values >= 0, one a parameter; it has shape"
    ):
        NetworkProblem(NET, X, Y, prior=prior)
