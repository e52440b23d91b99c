"""Layers and how they are joined, with every refusal."""

import numpy as np
import pytest

from marquardt import MLP, Input, Linear, Logistic, Sigmoid, Softmax, Tanh
from marquardt.models.layers import LAYERS, Chain


def test_arrows_and_lists_make_the_same_network():
    arrows = Input(10) >> Tanh(20) >> Linear(1)
    assert arrows == MLP([Input(10), Tanh(20), Linear(1)]) == MLP((Input(10), Tanh(20), Linear(1)))
    assert hash(arrows) == hash(MLP(arrows.layers))
    assert repr(arrows) == "Input(10) >> Tanh(20) >> Linear(1)"
    assert (arrows.sizes, arrows.n_params, arrows.n_inputs, arrows.n_outputs) == ((10, 20, 1), 241, 10, 1)


def test_any_grouping_of_arrows_gives_the_same_network():
    tail = Tanh(3) >> Linear(1)
    assert isinstance(tail, Chain)
    assert repr(tail) == "Tanh(3) >> Linear(1)"
    whole = Input(2) >> Tanh(4) >> Tanh(3) >> Linear(1)
    assert Input(2) >> (Tanh(4) >> tail) == whole
    assert (Input(2) >> Tanh(4)) >> tail == whole
    assert Input(2) >> ((Tanh(4) >> Tanh(3)) >> Linear(1)) == whole


def test_networks_differ_by_size_and_by_kind():
    network = Input(2) >> Tanh(3) >> Linear(1)
    assert network != Input(2) >> Tanh(4) >> Linear(1)
    assert network != Input(2) >> Logistic(3) >> Linear(1)
    assert network != "Input(2) >> Tanh(3) >> Linear(1)"


def test_units_may_be_any_integer_type():
    assert Tanh(np.int64(3)) == Tanh(3)
    assert type(Tanh(np.int64(3)).units) is int


def test_sigmoid_computes_the_logistic_function():
    w, X = np.linspace(-1, 1, 5), [[0.3], [2.0]]
    sigmoid, logistic = (Input(1) >> kind(1) >> Linear(1) for kind in (Sigmoid, Logistic))
    np.testing.assert_array_equal(sigmoid.predict(w[:4], X), logistic.predict(w[:4], X))


@pytest.mark.parametrize("kind", LAYERS.values())
@pytest.mark.parametrize("units", [1.0, "3", None, True, [3]])
def test_units_that_are_no_integer(kind, units):
    with pytest.raises(TypeError, match=rf"{kind.__name__}\(units=.*\): units must be an integer"):
        kind(units)


@pytest.mark.parametrize("units", [0, -1])
def test_units_below_one(units):
    with pytest.raises(ValueError, match=rf"Tanh\(units={units}\): units must be at least 1"):
        Tanh(units)


@pytest.mark.parametrize("wrong", [5, "Linear(1)", None, Linear])
@pytest.mark.parametrize("left", [Input(2), Tanh(3), Tanh(3) >> Tanh(3), Input(2) >> Tanh(3)])
def test_joining_with_what_is_no_layer(left, wrong):
    with pytest.raises(TypeError, match=r"cannot join a layer with .*: write e\.g\. Input\(2\) >> Tanh"):
        left >> wrong


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([], ValueError, r"layers \[\] must begin with Input\(number of columns of X\)"),
        ([Tanh(3), Linear(1)], ValueError, r"layers \[Tanh\(3\), Linear\(1\)\] must begin with Input"),
        ([Input(2)], ValueError, "an Input alone is no network; add an output layer"),
        ([Input(2), Input(2), Linear(1)], ValueError, "have an Input that is not the first"),
        ([Input(2), Softmax(2), Linear(1)], ValueError, "have a Softmax that is not the last"),
        ([2, 3, 1], TypeError, r"layers: 2 is not a layer; write e\.g\. \[Input\(2\), Tanh\(5\)"),
        ([Input(2), Linear], TypeError, "is not a layer"),
    ],
)
def test_lists_that_are_no_network(layers, error, message):
    with pytest.raises(error, match=message):
        MLP(layers)


def test_two_networks_do_not_join():
    with pytest.raises(ValueError, match="have an Input that is not the first"):
        (Input(2) >> Tanh(3)) >> (Input(3) >> Linear(1))
