"""`trainbr`'s face: the manners of `LevenbergMarquardt`, trained by the evidence."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from marquardt import (
    BayesianRegularization,
    Input,
    LevenbergMarquardt,
    Linear,
    NetworkProblem,
    Status,
    Stopping,
    StopTraining,
    Tanh,
    maximize_evidence,
)
from marquardt.bayesian.prior_groups import input_groups, layer_groups, one_group
from marquardt.method import Method
from marquardt.trainer.escalating import Escalating
from marquardt.trainer.signals import EVENTS

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (80, 2))
Y = (np.sin(3 * X[:, 0]) + 0.1 * RNG.normal(size=80))[:, None]
NETWORK = Input(2) >> Tanh(6) >> Linear(1)
GROUPS = {"input": input_groups, "layer": layer_groups, "one": one_group}


def trainer(**settings):
    return BayesianRegularization(NETWORK, random_state=0, **settings)


@pytest.mark.parametrize("groups", GROUPS)
def test_the_steps_are_those_of_the_evidence(groups):
    ours = trainer(groups=groups)
    w0 = ours.stepper.weights(X).copy()
    ours.train(X, Y, epochs=25)
    fit = maximize_evidence(
        NetworkProblem(NETWORK, X, Y),
        w0,
        groups=GROUPS[groups],
        method=Method(damping=Escalating(0.005, 10.0)),
        stopping=Stopping(max_iter=25, step_tolerance=0.0),
    )
    np.testing.assert_array_equal(ours.w, fit.w)
    assert ours.evidence.log_evidence == ours.log_evidence == fit.log_evidence
    assert ours.effective_parameters == fit.n_effective
    assert ours.noise_sd == fit.noise_sd
    np.testing.assert_array_equal(ours.weight_precision, fit.weight_precision)
    assert (ours.relevance is None) == (groups != "input")
    np.testing.assert_array_equal(ours.history.column("cost"), fit.result.history.column("cost"))


def test_it_ends_by_the_evidence_with_the_weights_of_its_highest():
    ours = trainer()
    assert ours.fit(X, Y) is ours
    assert ours.status is Status.EVIDENCE and "og evidence" in ours.message
    assert ours.log_evidence >= max(update.log_evidence for update in ours.evidence.updates)
    assert ours.noise_sd == pytest.approx(0.1, rel=0.3)
    assert ours.relevance[0] == 1 and ours.relevance[1] < 0.2
    assert 3 < ours.effective_parameters < 15
    assert ours.score(X, Y) == pytest.approx(np.mean((ours.predict(X) - Y) ** 2))
    np.testing.assert_array_equal(ours.transform(X), ours.predict(X))


def test_the_errors_are_without_the_penalty_and_one_an_epoch():
    ours = trainer()
    ours.train(X[::2], Y[::2], X[1::2], Y[1::2], epochs=7)
    assert len(ours.errors.train) == len(ours.errors.valid) == ours.last_epoch == ours.n_updates_made == 7
    assert ours.errors.train[-1] < 2 * ours.history[-1].cost / 40


class Watching:
    """All eight events, and what each saw of the weights."""

    def __init__(self):
        self.seen, self.counts = [], Counter()

    def __getattr__(self, name):
        if name not in EVENTS:
            raise AttributeError(name)

        def event(trainer, **data):
            self.counts[name] += 1
            self.seen.append((name, trainer.w, trainer.score(X, Y), data.get("value")))

        return event


def test_all_events_fire_and_see_the_weights_of_their_time():
    watching = Watching()
    ours = trainer(signals=watching)
    ours.train(X, Y, X, Y, epochs=5)
    assert watching.counts == {**dict.fromkeys(EVENTS, 5), "train_start": 1, "train_end": 1}
    order = [name for name, *_ in watching.seen]
    epoch = ["epoch_start", "update_start", "train_error", "update_end", "valid_error", "epoch_end"]
    assert order == ["train_start", *epoch * 5, "train_end"]
    for name, _, score, value in watching.seen:
        if name in ("train_error", "valid_error"):
            assert value == pytest.approx(score, rel=1e-12)
    weights = [w for name, w, *_ in watching.seen if name == "update_end"]
    assert all((a != b).any() for a, b in pairwise(weights))
    np.testing.assert_array_equal(watching.seen[-1][1], ours.evidence.w)


def test_training_in_two_parts_is_training_in_one():
    whole, parts = trainer(), trainer()
    whole.train(X, Y, epochs=14)
    parts.train(X, Y, epochs=5)
    assert parts.predict_interval(X)[0].shape == (80, 1)  # the error bars do not disturb
    parts.train(X, Y, epochs=9)
    np.testing.assert_array_equal(parts.w, whole.w)
    assert parts.log_evidence == whole.log_evidence
    assert parts.errors.train == whole.errors.train
    np.testing.assert_array_equal(parts.weight_precision, whole.weight_precision)


def test_other_data_begin_anew_from_the_weights():
    ours = trainer()
    ours.train(X, Y, epochs=20)
    w = ours.w
    ours.train(X, -Y, epochs=100)
    fresh = trainer(w=w)
    fresh.train(X, -Y, epochs=100)
    np.testing.assert_array_equal(ours.w, fresh.w)


def test_one_training_update_is_one_epoch():
    whole, loop = trainer(), trainer()
    whole.train(X, Y, epochs=4)
    errors = [loop.one_training_update(X, Y) for _ in range(4)]
    np.testing.assert_array_equal(errors, whole.errors.train)


def test_error_bars():
    ours = trainer().fit(X, Y)
    mean, sd = ours.predict(X, return_std=True)
    assert mean.shape == sd.shape == (80, 1)
    np.testing.assert_array_equal(mean, ours.predict(X))
    variance = ours.evidence.posterior.predictive_variance(X) + ours.noise_sd**2
    np.testing.assert_allclose(sd, np.sqrt(variance), rtol=1e-12)
    low, high = ours.predict_interval(X, coverage=0.95)
    np.testing.assert_allclose(high - low, 2 * 1.959964 * sd, rtol=1e-6)
    assert 0.85 < np.mean((low < Y) & (high > Y)) <= 1
    far = ours.predict([[5.0, 0.0]], return_std=True)[1]
    assert far > 1.5 * sd.max(), "away from data"


def test_several_outputs_and_a_vector_for_one_input():
    ours = BayesianRegularization(Input(2) >> Tanh(4) >> Linear(2), random_state=0)
    ours.train(X, np.column_stack([Y, -Y]), epochs=10)
    assert ours.predict(X, return_std=True)[1].shape == (80, 2)
    single = BayesianRegularization(Input(1) >> Tanh(3) >> Linear(1), random_state=0)
    single.train(X[:, 0], Y[:, 0], epochs=10)
    assert single.predict(X[:3, 0], return_std=True)[1].shape == (3, 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk")])
def test_exceptions_pass_through_and_training_goes_on_after_them(error):
    def raises(now):
        if now.last_epoch == 6:
            raise error

    ours, whole = trainer(signals=raises), trainer()
    with pytest.raises(type(error)):
        ours.train(X, Y)
    assert ours.message == "Ended by an exception." and ours.last_epoch == 6
    with pytest.raises(ValueError, match="no evidence yet"):
        _ = ours.log_evidence
    ours.train(X, Y, epochs=6)
    whole.train(X, Y, epochs=12)
    np.testing.assert_array_equal(ours.w, whole.w)


def test_a_signal_stops_the_training_and_the_evidence_is_there():
    def enough(now):
        if now.last_epoch == 6:
            raise StopTraining("enough")

    ours = trainer(signals=enough).fit(X, Y)
    assert ours.status is Status.STOPPED_BY_CALLBACK and ours.message == "Stopped in epoch 6: enough."
    assert np.isfinite(ours.log_evidence)


def test_weights_that_are_set_forget_the_evidence():
    ours = trainer().fit(X, Y, epochs=10)
    ours.w = 0.1 * ours.w
    assert ours.evidence is None
    with pytest.raises(ValueError, match="the weights were changed since"):
        ours.predict(X, return_std=True)
    assert ours.predict(X).shape == (80, 1)
    ours.train(X, Y, epochs=3)
    assert np.isfinite(ours.log_evidence)


def test_weights_that_a_signal_sets_are_trained_on():
    other = np.full(NETWORK.n_params, 0.3)

    def sets(now):
        if now.last_epoch == 3:
            now.w = other

    ours = trainer(signals=sets)
    ours.train(X, Y, epochs=6)
    alone = trainer(w=other)
    alone.train(X, Y, epochs=3)
    np.testing.assert_array_equal(ours.w, alone.w)


def test_limits_of_stopping_are_kept_and_test_data_do_not_end_it():
    assert trainer(stopping=Stopping(max_time=0.0)).fit(X, Y).status is Status.MAX_TIME
    ours = trainer(stopping=Stopping(max_fail=1)).fit(X, Y, X[:5], -Y[:5], epochs=10)
    assert ours.last_epoch == 10


def test_weights_in_a_file_are_those_of_the_other_trainer_too(tmp_path):
    ours = trainer().fit(X, Y, epochs=5)
    ours.save(tmp_path / "w.marquardt")
    plain = LevenbergMarquardt(NETWORK)
    plain.load(tmp_path / "w.marquardt")
    np.testing.assert_array_equal(plain.predict(X), ours.predict(X))
    again = trainer()
    again.load(tmp_path / "w.marquardt")
    np.testing.assert_array_equal(again.w, ours.w)


def test_what_it_prints(capsys):
    ours = trainer(verbose=True, show_epoch=5)
    ours.train(X, Y, epochs=10)
    ours.architecture()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("BayesianRegularization(Input(2) >> Tanh(6) >> Linear(1), Escalating(")
    assert [line[:4] for line in lines if line.startswith("#")] == ["#1 :", "#5 :", "#10 "]
    assert lines[-1].split() == ["total", "25"]


def test_a_picture_of_the_errors():
    assert trainer().fit(X, Y, epochs=3).plot_errors(show=False).axes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": "layers"}, "groups='layers' must be one of 'input', 'layer', 'one'"),
        ({"loss": "mae"}, "loss='mae': the noise is Gaussian"),
        ({"mu": 0}, "mu=0 must be a number above 0"),
        ({"show_epoch": 0}, "show_epoch=0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        trainer(**settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 8}, "batch_size=8: every step needs all rows"),
        ({"y_train": None}, "targets are missing"),
        ({"X_test": X}, "y_test is missing"),
    ],
)
def test_data_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        trainer().train(**{"X_train": X, "y_train": Y, **arguments})


@pytest.mark.parametrize("coverage", [0, 1, 95, float("nan")])
def test_coverages_that_cannot_be(coverage):
    with pytest.raises(ValueError, match=r"coverage=.* must be between 0 and 1"):
        trainer().predict_interval(X, coverage)


def test_a_start_without_finite_cost_is_told():
    ours = trainer(w=np.full(NETWORK.n_params, 1e200))
    ours.train(X, Y)
    assert ours.status is Status.NO_FINITE_START
    with pytest.raises(ValueError, match="this training has no error bars"):
        ours.predict(X, return_std=True)
