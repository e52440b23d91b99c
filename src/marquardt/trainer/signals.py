"""Signals: what runs at the events of a training, in NeuPy's words.

A signal is an object with one method or more of these names; each is called with the trainer first:

==================================  =====================================================================
train_start(trainer, **data)        training starts; X_train, y_train, epochs, batch_size
epoch_start(trainer)                an epoch starts
update_start(trainer)               the step is about to be computed
train_error(trainer, value, **data) the error on the training data; eta (seconds the step took), epoch,
                                    n_updates, n_samples
valid_error(trainer, value, **data) the same for the test data, where there are any
update_end(trainer)                 the step is done
epoch_end(trainer)                  the epoch is done
train_end(trainer)                  training is over, whatever ended it short of an exception
==================================  =====================================================================

A plain function is a signal for `epoch_end`; a class is called without arguments to make one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from numpy.typing import ArrayLike

from marquardt.models.mlp import MLP
from marquardt.result import History, Status

if TYPE_CHECKING:
    from marquardt.trainer.stepper import Steps

EVENTS = (
    "train_start",
    "epoch_start",
    "update_start",
    "train_error",
    "valid_error",
    "update_end",
    "epoch_end",
    "train_end",
)

Signals: TypeAlias = "Callable[..., Any] | object | list[Any] | tuple[Any, ...] | None"


class Trainer(Protocol):
    """What signals and epochs see of a trainer: `LevenbergMarquardt` or `BayesianRegularization`."""

    network: MLP
    events: Events
    show_epoch: int
    verbose: bool
    last_epoch: int
    status: Status | None
    message: str

    @property
    def stepper(self) -> Steps:
        """What it trains with."""
        ...

    @property
    def history(self) -> History:
        """One record a step."""
        ...

    @property
    def n_updates_made(self) -> int:
        """Steps so far."""
        ...

    def predict(self, X: ArrayLike) -> Any:
        """Outputs (n_samples, n_outputs)."""
        ...


class StopTraining(Exception):
    """Raise it in a signal to end the training; the weights stay as they are.

    Examples
    --------
    >>> def enough(trainer):
    ...     if trainer.errors.train[-1] < 1e-3:
    ...         raise StopTraining("the training error is below 1e-3")
    """


class Errors:
    """The errors of every epoch: a signal of its own, and the attribute `errors` of a trainer."""

    def __init__(self) -> None:
        self.train: list[float] = []
        """Mean squared error on the training data after each update."""
        self.valid: list[float] = []
        """Mean squared error on the test data after each epoch that had some."""
        self.train_epochs: list[int] = []
        self.valid_epochs: list[int] = []
        """The epochs of the entries, counted from 1."""

    def train_error(self, trainer: Trainer, value: float, epoch: int, **data: Any) -> None:
        del trainer, data
        self.train.append(value)
        self.train_epochs.append(epoch)

    def valid_error(self, trainer: Trainer, value: float, epoch: int, **data: Any) -> None:
        del trainer, data
        self.valid.append(value)
        self.valid_epochs.append(epoch)

    def __repr__(self) -> str:
        last = "".join(
            f", last {name} {values[-1]:.6g}"
            for name, values in (("train", self.train), ("valid", self.valid))
            if values
        )
        return f"Errors({len(self.train)} epochs{last})"


class EpochPrinter:
    """With `verbose`, one line for the first, every `show_epoch`-th and the last epoch."""

    def __init__(self) -> None:
        self.first = self.shown = 0
        self.started = 0.0
        self.line = ""

    def train_start(self, trainer: Trainer, **data: Any) -> None:
        del data
        self.first, self.shown = trainer.last_epoch + 1, 0

    def epoch_start(self, trainer: Trainer) -> None:
        del trainer
        self.started, self.line = time.perf_counter(), ""

    def train_error(self, trainer: Trainer, value: float, **data: Any) -> None:
        del trainer, data
        self.line = f"train: {value:.6g}"

    def valid_error(self, trainer: Trainer, value: float, **data: Any) -> None:
        del trainer, data
        self.line += f", valid: {value:.6g}"

    def epoch_end(self, trainer: Trainer) -> None:
        epoch = trainer.last_epoch
        self.line = f"#{epoch} : [{_duration(time.perf_counter() - self.started)}] {self.line}"
        if epoch % trainer.show_epoch == 0 or epoch == self.first:
            self._print(trainer)

    def train_end(self, trainer: Trainer) -> None:
        if trainer.last_epoch != self.shown and self.line.startswith("#"):
            self._print(trainer)
        if trainer.verbose:
            print(trainer.message)

    def _print(self, trainer: Trainer) -> None:
        self.shown = trainer.last_epoch
        if trainer.verbose:
            print(self.line, flush=True)


class EpochEnd:
    """A plain function as a signal."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def epoch_end(self, trainer: Trainer) -> None:
        self.function(trainer)


class Events:
    """The signals of one trainer, in order, and the way to trigger them."""

    def __init__(self, signals: list[Any]) -> None:
        self.signals = signals

    def trigger(self, name: str, trainer: Trainer, **data: Any) -> None:
        """Call the method `name` of every signal that has it."""
        for signal in self.signals:
            method = getattr(signal, name, None)
            if method is not None:
                method(trainer, **data)


def as_signals(signals: Signals) -> list[Any]:
    """What the user gave as a list of signal objects.

    Raises
    ------
    TypeError
        When an entry is neither a function nor has a method named like an event.

    Examples
    --------
    >>> [type(signal).__name__ for signal in as_signals([print, Errors])]
    ['EpochEnd', 'Errors']
    """
    if signals is None:
        return []
    given = list(signals) if isinstance(signals, list | tuple) else [signals]
    return [_as_signal(signal) for signal in given]


def _as_signal(signal: Any) -> Any:
    if isinstance(signal, type):
        signal = signal()
    if any(callable(getattr(signal, name, None)) for name in EVENTS):
        return signal
    if callable(signal):
        return EpochEnd(signal)
    raise TypeError(
        f"signals: {signal!r} is neither a function nor an object with a method named like an event; "
        f"the events are {', '.join(EVENTS)}"
    )


def _duration(seconds: float) -> str:
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"
