"""Signals, what is printed and drawn, and what is kept: NeuPy's face around the training."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from marquardt import LevenbergMarquardt, Status, StopTraining
from marquardt.trainer.signals import EVENTS
from small_trainer import sine, sine_trainer


class Recorder:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.data: dict[str, dict[str, object]] = {}

    def __getattr__(self, name: str):
        if name not in EVENTS:
            raise AttributeError(name)

        def record(trainer: LevenbergMarquardt, **data: object) -> None:
            assert isinstance(trainer, LevenbergMarquardt)
            self.seen.append(name)
            self.data[name] = data

        return record


def test_the_eight_events_and_their_data():
    X, y = sine()
    recorder = Recorder()
    optimizer = sine_trainer(signals=recorder)
    optimizer.train(X, y, X[:5], y[:5], epochs=2)
    epoch = [name for name in EVENTS if name not in ("train_start", "train_end")]
    epoch = ["epoch_start", "update_start", "train_error", "update_end", "valid_error", "epoch_end"]
    assert recorder.seen == ["train_start", *epoch, *epoch, "train_end"]
    start = recorder.data["train_start"]
    assert start["X_train"] is X and start["y_train"] is y
    assert start["epochs"] == 2 and start["batch_size"] is None
    for name, value, n in (("train_error", optimizer.errors.train[-1], 40), ("valid_error", None, 5)):
        data = dict(recorder.data[name])
        assert data.pop("eta") >= 0  # type: ignore[operator]
        assert value is None or data["value"] == value
        del data["value"]
        assert data == {"epoch": 2, "n_updates": 2, "n_samples": n}


def test_signals_may_be_functions_classes_and_objects():
    calls: list[object] = []

    class Instantiated:
        def __init__(self) -> None:
            self.epochs = 0

        def epoch_end(self, optimizer: LevenbergMarquardt) -> None:
            self.epochs += 1
            calls.append(("class", self.epochs))

        def train_end(self, optimizer: LevenbergMarquardt) -> None:
            calls.append("train_end")

    def on_epoch_end(optimizer: LevenbergMarquardt) -> None:
        calls.append(optimizer.last_epoch)

    sine_trainer(signals=[on_epoch_end, Instantiated]).train(*sine(), epochs=2)
    assert calls == [1, ("class", 1), 2, ("class", 2), "train_end"]
    calls.clear()
    sine_trainer(signals=on_epoch_end).train(*sine(), epochs=1)
    sine_trainer(signals=(calls.append,)).train(*sine(), epochs=1)
    assert calls[0] == 1 and isinstance(calls[1], LevenbergMarquardt)


def test_stop_from_a_signal():
    recorder = Recorder()

    def on_epoch_end(optimizer: LevenbergMarquardt) -> None:
        if optimizer.errors.valid[-1] < 1e-3:
            raise StopTraining("good enough")

    X, y = sine()
    optimizer = sine_trainer(signals=[on_epoch_end, recorder])
    optimizer.train(X, y, X, y, epochs=1000)
    assert optimizer.last_epoch < 100 and optimizer.errors.valid[-1] < 1e-3
    assert optimizer.status is Status.STOPPED_BY_CALLBACK
    assert optimizer.message == f"Stopped in epoch {optimizer.last_epoch}: good enough."
    assert recorder.seen[-1] == "train_end"
    assert optimizer.score(X, y) == pytest.approx(optimizer.errors.train[-1])


@pytest.mark.filterwarnings("ignore:the targets go from")  # logistic outputs, as in NeuPy
def test_the_documented_early_stopping_with_weights_from_a_file(tmp_path):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))

    def on_epoch_end(optimizer: LevenbergMarquardt) -> None:
        epoch, errors = optimizer.last_epoch, optimizer.errors.valid
        if len(errors) >= 2 and errors[-1] > errors[-2]:
            optimizer.load(tmp_path / f"epoch-{epoch - 1}.marquardt")
            raise StopTraining
        optimizer.save(tmp_path / f"epoch-{epoch}.marquardt")

    optimizer = LevenbergMarquardt((3, 10, 1), signals=on_epoch_end, random_state=0)
    optimizer.train(X[:20], y[:20], X[20:], y[20:], epochs=200)
    assert optimizer.message == f"Stopped in epoch {optimizer.last_epoch}."
    assert optimizer.score(X[20:], y[20:]) == pytest.approx(optimizer.errors.valid[-2])


def test_a_signal_may_change_the_weights_and_training_goes_on():
    X, y = sine()

    def restart(optimizer: LevenbergMarquardt) -> None:
        if optimizer.last_epoch == 3:
            optimizer.w = first

    optimizer = sine_trainer(signals=restart)
    first = optimizer.w
    optimizer.train(X, y, epochs=6)
    np.testing.assert_array_equal(optimizer.errors.train[:3], optimizer.errors.train[3:])


def test_an_exception_in_a_signal_passes_and_loses_nothing():
    def fail(optimizer: LevenbergMarquardt) -> None:
        if optimizer.last_epoch == 3:
            raise RuntimeError("mine")

    X, y = sine()
    optimizer, other = sine_trainer(signals=fail), sine_trainer()
    with pytest.raises(RuntimeError, match="mine"):
        optimizer.train(X, y)
    other.train(X, y, epochs=3)
    np.testing.assert_array_equal(optimizer.w, other.w)
    assert optimizer.status is None and optimizer.message == "Ended by an exception."


def test_verbose_prints_first_every_and_last_epoch(capsys):
    X, y = sine()
    optimizer = sine_trainer(verbose=True, show_epoch=3)
    optimizer.train(X, y, X, y, epochs=7)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("LevenbergMarquardt(Input(1) >> Tanh(6) >> Linear(1), Escalating(")
    assert [line.split(" : ")[0] for line in lines[1:-1]] == ["#1", "#3", "#6", "#7"]
    assert "train: " in lines[1] and ", valid: " in lines[1]
    assert lines[-1] == optimizer.message


def test_quiet_prints_nothing(capsys):
    sine_trainer().train(*sine(), epochs=2)
    assert capsys.readouterr().out == ""


def test_architecture_is_a_table(capsys):
    sine_trainer().architecture()
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "19"]


@pytest.mark.parametrize("show", [True, False])
def test_plot_errors_leaves_no_window_behind(show):
    from matplotlib import pyplot

    X, y = sine()
    optimizer = sine_trainer()
    with pytest.raises(ValueError, match="call train"):
        optimizer.plot_errors()
    optimizer.train(X, y, X, y, epochs=4)
    figure = optimizer.plot_errors(show=show, logx=True, figsize=(5, 3))
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["training", "validation"]
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3, 4]
    assert axes.get_yscale() == axes.get_xscale() == "log"
    assert pyplot.get_fignums() == []


def test_a_trainer_can_be_pickled():
    X, y = sine()
    optimizer = sine_trainer()
    optimizer.train(X, y, epochs=3)
    copy = pickle.loads(pickle.dumps(optimizer))
    for trainer in (optimizer, copy):
        trainer.train(X, y, epochs=3)
    np.testing.assert_array_equal(copy.w, optimizer.w)
