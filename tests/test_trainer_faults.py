"""What NeuPy's face says to settings and data that cannot be."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from marquardt import BayesianRegularization, Input, LevenbergMarquardt, Linear, Logistic, Status, Tanh
from marquardt.files.archive import ModelFileError
from small_trainer import sine, sine_trainer

X_PAIR, Y_PAIR = np.array([[1, 2], [3, 4]]), np.array([[1], [0]])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"loss": "mae"}, ValueError, "loss='mae': the method minimizes a sum of squares"),
        ({"mu": 0}, ValueError, "mu=0 must be a number above 0"),
        ({"mu": float("nan")}, ValueError, "mu=nan must be a number above 0"),
        ({"mu_update_factor": 1}, ValueError, "mu_update_factor=1 must be a number above 1, or None"),
        ({"show_epoch": 0}, ValueError, "show_epoch=0 must be a whole number of at least 1"),
        ({"signals": 3}, TypeError, "signals: 3 is neither a function nor an object"),
        ({"signals": [object()]}, TypeError, "the events are train_start, epoch_start"),
        ({"w": [1.0]}, ValueError, r"w has shape \(1,\)"),
        ({"network": "2-3-1"}, TypeError, "network '2-3-1' is none: write Input"),
        ({"network": Tanh(3) >> Linear(1)}, TypeError, "begins with Input"),
        ({"network": (2, Logistic(3))}, TypeError, "mixes layers and numbers"),
        ({"network": [Tanh(3), Linear(1)]}, ValueError, "must begin with Input"),
        ({"network": (2, 0)}, ValueError, "units must be at least 1"),
        ({"network": (2,)}, ValueError, "add an output layer"),
    ],
)
def test_settings_that_cannot_be(settings, error, message):
    with pytest.raises(error, match=message):
        LevenbergMarquardt(**{"network": (2, 3, 1), **settings})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be a whole number of at least 1"),
        ({"epochs": -3}, "epochs=-3"),
        ({"epochs": 2.5}, "epochs=2.5"),
        ({"epochs": "many"}, "epochs='many'"),
        ({"batch_size": 8}, "batch_size=8: every step needs all rows"),
        ({"y_train": None}, "targets are missing"),
        ({"X_test": X_PAIR}, "y_test is missing: give both"),
        ({"y_test": Y_PAIR}, "X_test is missing: give both"),
        ({"X_test": X_PAIR[:, :1], "y_test": Y_PAIR}, r"in X_test and y_test: X has shape \(2, 1\)"),
        ({"X_train": np.ones((2, 3))}, r"X has shape \(2, 3\), but the network needs \(n_samples, 2\)"),
        ({"y_train": np.ones((2, 2))}, r"y has shape \(2, 2\)"),
        ({"y_train": np.ones(3)}, "X has 2 rows and y has 3"),
        ({"X_train": [[1.0, np.nan], [1.0, 2.0]]}, "X holds 1 NaN"),
        ({"y_train": [1.0, np.inf]}, "y holds 0 NaN and 1 infinite"),
        ({"X_train": np.empty((0, 2)), "y_train": []}, "X has no rows"),
        ({"X_train": [["a", "b"], ["c", "d"]]}, "X must be numbers"),
    ],
)
def test_data_that_cannot_be(arguments, message):
    optimizer = LevenbergMarquardt((2, 3, 1))
    with pytest.raises(ValueError, match=message):
        optimizer.train(**{"X_train": X_PAIR, "y_train": Y_PAIR, **arguments})
    assert optimizer.last_epoch == 0 and optimizer.errors.train == []


def test_one_row_constant_targets_and_wide_scales():
    one = LevenbergMarquardt((2, 3, 1), random_state=0)
    one.train([[1.0, 2.0]], [0.25])
    assert one.predict([[1.0, 2.0]]) == pytest.approx(0.25, abs=1e-6)
    constant = sine_trainer()
    constant.train(sine()[0], np.full(40, 7.0))
    assert constant.errors.train[-1] < 1e-12
    X, y = sine()
    for scale in (1e-12, 1e12):
        wide = sine_trainer(mu_update_factor=None)
        wide.train(X * scale, y)
        assert wide.errors.train[-1] < 0.1 * np.var(y)


def test_an_absurd_mu_costs_some_trials_not_hundreds():
    X, y = sine()
    optimizer = sine_trainer()
    optimizer.train(1e6 * X, 1e9 * y, epochs=1)
    assert optimizer.history[-1].rejected < 40


def test_a_start_without_finite_cost_is_told():
    optimizer = LevenbergMarquardt(Input(1) >> Linear(1), w=[1e200, 0.0])
    optimizer.train([[1e200], [1.0]], [0.0, 1.0])
    assert optimizer.status is Status.NO_FINITE_START
    assert "smaller parameters" in optimizer.message


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.marquardt"
    LevenbergMarquardt((2, 3, 1)).save(path)
    with pytest.raises(ModelFileError, match=r"not of Input\(2\) >> Sigmoid\(4\)"):
        LevenbergMarquardt((2, 4, 1)).load(path)
    with pytest.raises(ModelFileError):
        LevenbergMarquardt((2, 3, 1)).load(tmp_path / "none.marquardt")


@pytest.mark.parametrize(
    ("network", "y", "ends"),
    [
        ((2, 3, 1), [[0.0], [1.2]], "0 and 1: end it in Linear"),
        ((2, 3, 1), [[-0.1], [1.0]], "0 and 1: end it in Linear"),
        (Input(2) >> Tanh(3) >> Tanh(1), [[-1.0], [1.2]], "-1 and 1: end it in Linear"),
        ((2, 3, 1), [[0.0], [1.0]], None),
        (Input(2) >> Tanh(3) >> Linear(1), [[-7.0], [5.0]], None),
    ],
)
@pytest.mark.parametrize("trainer", [LevenbergMarquardt, BayesianRegularization])
def test_targets_that_the_output_units_cannot_reach_are_told(trainer, network, y, ends):
    optimizer = trainer(network, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer.train(X_PAIR, y, epochs=1)
    if ends is None:
        assert not caught
    else:
        (warning,) = caught
        assert ends in str(warning.message) and warning.filename == __file__
