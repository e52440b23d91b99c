"""The network against its dense twin: predictions, Jacobian, second derivative, for every combination."""

import numpy as np
import pytest

import dense_twin
from exact_derivatives import cauchy_derivative, complex_step_jacobian
from marquardt import MLP, Input, Linear, Tanh
from tables import LAYOUTS, NETWORKS, case

NET = Input(2) >> Tanh(3) >> Linear(1)


def twin_residual(data, w):
    return dense_twin.residual(data.network, w, data.X, data.y, data.sample_weight)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_everything_against_the_dense_twin(network: MLP):
    data = case(network, weighted=network.n_params % 2 == 0, n_samples=3)
    problem = data.problem
    at = problem.linearize(data.w)
    r = twin_residual(data, data.w)
    J = complex_step_jacobian(lambda w: twin_residual(data, w), data.w)
    np.testing.assert_allclose(network.predict(data.w, data.X), dense_twin.outputs(network, data.w, data.X))
    np.testing.assert_allclose(at.residual, r, atol=1e-15)
    np.testing.assert_allclose(problem.cost(data.w), 0.5 * r @ r)
    assert at.cost == problem.cost(data.w)
    np.testing.assert_allclose(at.jacobian.dense(), J, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(at.gradient, J.T @ r, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_second_directional_derivative_is_exact(network: MLP):
    data = case(network, weighted=network.n_params % 2 == 1, n_samples=3)
    got = data.problem.second_derivative(data.problem.linearize(data.w), data.direction)

    def along(t):
        return twin_residual(data, data.w + t * data.direction)

    # A small circle, so that no unit crosses the kink of relu or elu on it; rounding / radius² is 4e-11.
    wanted = cauchy_derivative(along, order=2, radius=2e-3, count=6)
    np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)
def test_the_second_derivative_to_all_digits_and_quadratic_in_its_direction(network, weighted):
    data = case(network, weighted, seed=3)
    problem = data.problem
    at = problem.linearize(data.w)
    wanted = cauchy_derivative(lambda t: twin_residual(data, data.w + t * data.direction), 2, radius=0.03)
    got = problem.second_derivative(at, data.direction)
    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=3e-12)
    np.testing.assert_allclose(
        problem.second_derivative(at, -3 * data.direction), 9 * got, rtol=1e-12, atol=1e-13
    )


def test_predict_takes_lists_and_returns_one_row_a_sample():
    prediction = NET.predict([0.0] * 12 + [2.5], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(prediction, np.full((3, 1), 2.5))
    assert prediction.flags.c_contiguous
    assert NET.predict(np.zeros(13), np.empty((0, 2))).shape == (0, 1)


def test_the_layout_of_the_parameters():
    """Layer after layer; one row a unit, its weights and then its bias."""
    (hidden, hidden_bias), (output, output_bias) = NET.unpack(np.arange(13.0))
    np.testing.assert_array_equal(hidden, [[0, 1], [3, 4], [6, 7]])
    np.testing.assert_array_equal(hidden_bias, [2, 5, 8])
    np.testing.assert_array_equal(output, [[9, 10, 11]])
    np.testing.assert_array_equal(output_bias, [12])


@pytest.mark.parametrize("network", LAYOUTS.values(), ids=LAYOUTS)
def test_pack_inverts_unpack_and_both_copy(network):
    w = np.random.default_rng(0).normal(size=network.n_params)
    layers = network.unpack(w)
    packed = network.pack(layers)
    np.testing.assert_array_equal(packed, w)
    layers[0][0][...] = np.nan
    packed[...] = np.nan
    assert np.isfinite(w).all()


@pytest.mark.parametrize("n_params", [12, 14, 0])
@pytest.mark.parametrize("method", ["unpack", "predict", "check_parameters"])
def test_parameters_of_the_wrong_length(method, n_params):
    arguments = {"predict": ([[0.0, 0.0]],)}.get(method, ())
    message = rf"w has shape \({n_params},\), but Input\(2\) >> .* has parameters of shape \(13,\)"
    with pytest.raises(ValueError, match=message):
        getattr(NET, method)(np.zeros(n_params), *arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_unpack_refuses_parameters_that_are_not_finite(bad):
    with pytest.raises(ValueError, match="w holds NaN or infinite values: start from finite parameters"):
        NET.unpack(np.full(13, bad))


@pytest.mark.parametrize("shape", [(2,), (5, 3), (0,), (2, 2, 2)])
def test_predict_refuses_inputs_of_the_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"X has shape .*, but .* needs \(n_samples, 2\): one row a sample"):
        NET.predict(np.zeros(13), np.zeros(shape))


def test_pack_refuses_what_does_not_fit():
    hidden, output = NET.unpack(np.zeros(13))
    with pytest.raises(ValueError, match=r"layers: 1 pairs \(weights, bias\) given, 2 needed"):
        NET.pack([hidden])
    with pytest.raises(ValueError, match=r"weights \(2, 3\) and bias \(3,\) given where \(3, 2\) and \(3,\)"):
        NET.pack([(hidden[0].T, hidden[1]), output])
    with pytest.raises(ValueError, match=r"bias \(1,\) given .* \(rows are units\)"):
        NET.pack([(hidden[0], output[1]), output])
