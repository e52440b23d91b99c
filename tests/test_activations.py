"""Every activation: value, slope and curvature against complex arithmetic, and at the far ends."""

import numpy as np
import pytest
from scipy.special import erfc

from dense_twin import FORMULAS
from exact_derivatives import cauchy_derivative
from marquardt.models.activations import SoftmaxActivation
from tables import ACTIVATIONS

Z = np.array([-6.0, -2.5, -1.0, -0.3, -0.11, 0.11, 0.4, 1.0, 2.0, 5.5])
"""No entry within 0.1 of the kinks at 0, so that a circle of that radius stays on one side."""

FAR = {
    "Linear": (-1e3, 1e3),
    "Tanh": (-1, 1),
    "Logistic": (0, 1),
    "Sigmoid": (0, 1),
    "Relu": (0, 1e3),
    "Elu": (-1, 1e3),
    "Softplus": (0, 1e3),
    "Sine": (-np.sin(1e3), np.sin(1e3)),
    "Gelu": (0, 1e3),
    "Swish": (0, 1e3),
}


def evaluated(name, z):
    """Value, slope and curvature at z, with `z` proved untouched."""
    activation, kept = ACTIVATIONS[name].activation, z.copy()
    out = np.full_like(z, np.nan)
    a = activation.value(z, out)
    assert a is out
    slope = activation.slope(z, a)
    curvature = activation.curvature(z, a, slope)
    assert not np.shares_memory(curvature, slope) and not np.shares_memory(slope, a)
    np.testing.assert_array_equal(z, kept)
    return a, slope, curvature


def test_the_tables_know_every_activation():
    assert set(FAR) == set(ACTIVATIONS) == set(FORMULAS) - {"Softmax"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_slope_and_curvature(name):
    for got, order in zip(evaluated(name, Z), (0, 1, 2), strict=True):
        wanted = cauchy_derivative(lambda t: FORMULAS[name](Z + t), order, radius=0.1, count=32)
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=3e-13)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extreme_arguments_saturate_without_a_warning(name):
    a, slope, curvature = evaluated(name, np.array([-1e3, 1e3]))
    np.testing.assert_allclose(a, FAR[name], atol=1e-300)
    assert np.isfinite(slope).all()
    assert np.isfinite(curvature).all()
    if name != "Sine":
        np.testing.assert_array_equal(curvature, 0)


@pytest.mark.parametrize("name", ["Logistic", "Softplus", "Gelu", "Swish", "Elu"])
def test_the_left_tail_keeps_its_digits(name):
    """Where the value is tiny it must not be a difference of large numbers."""
    z = np.array([-12.0, -8.0])
    wanted = {
        "Logistic": np.exp(z) / (1 + np.exp(z)),
        "Softplus": np.log1p(np.exp(z)),
        "Gelu": z * 0.5 * erfc(-z / np.sqrt(2)),
        "Swish": z * np.exp(z) / (1 + np.exp(z)),
        "Elu": np.expm1(z),
    }[name]
    np.testing.assert_allclose(evaluated(name, z)[0], wanted, rtol=1e-12)


def test_relu_takes_slope_zero_at_its_kink():
    a, slope, curvature = evaluated("Relu", np.zeros(1))
    assert (a[0], slope[0], curvature[0]) == (0, 0, 0)


def test_softmax_shares_add_to_one_whatever_the_scale():
    z = np.array([[1e3, -1e3, 0.0], [1e3, 1e3, 0.0], [-1e3, 0.0, 0.0]])
    shares = SoftmaxActivation().value(z, np.empty_like(z))
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    np.testing.assert_allclose(shares[:, 0], [0.5, 0.5, 0])
    np.testing.assert_allclose(shares[:, 2], 1 / 3)


def test_softmax_is_not_elementwise():
    z = np.zeros((2, 3))
    for refused in (SoftmaxActivation().slope, lambda z, a: SoftmaxActivation().curvature(z, a, a)):
        with pytest.raises(TypeError, match="mixes the units of a layer: it can only be the last layer"):
            refused(z, z)
