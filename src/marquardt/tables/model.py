"""From a table to a fitted model in one call, and back to predictions for new rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.reports.text_report import number
from marquardt.result import Iteration
from marquardt.tables.columns import TableError, as_numbers, target_values
from marquardt.tables.effects import column_effects, columns_that_move_together
from marquardt.tables.encoder import TableEncoder
from marquardt.tables.fit_record import FitRecord, Outcome
from marquardt.tables.fitted_network import FittedNetwork

if TYPE_CHECKING:
    import pandas as pd

    from marquardt.estimators.regressor import LMRegressor

FEWEST_ROWS = 4


@dataclass(frozen=True)
class FitOptions:
    """How to fit a table; the defaults are those of the command.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    activation : str
        Of the hidden layers, as in `LMRegressor`.
    test_fraction : float
        Share of the rows held out for the scores, 0 for none.
    seed : int
        Of the split and of the starts.
    starts : int
        Fits from so many random starts; the best is kept.
    jobs : int
        Processes for the starts; -1 takes every core.
    max_iter : int
    early_stopping : bool
        Stop where a tenth of the training rows, set aside, is fitted best.
    alpha : float
        Weight penalty: ½ alpha |w|² is added to the cost (scaled units).
    drop, categorical : tuple of str
        Columns to leave out, and columns of numbers that are codes.
    units : tuple of str
        Of the targets, for the report.
    """

    hidden: tuple[int, ...] = (20,)
    activation: str = "tanh"
    test_fraction: float = 0.2
    seed: int = 0
    starts: int = 1
    jobs: int = 1
    max_iter: int = 300
    early_stopping: bool = False
    alpha: float = 0.01
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.test_fraction < 1.0:
            raise ValueError(f"test_fraction={self.test_fraction} must be at least 0 and below 1, e.g. 0.2")
        if not 0.0 <= self.alpha < float("inf"):
            raise ValueError(f"--alpha {self.alpha} must be a number of at least 0, e.g. 0.01")
        for option, value, least in (
            ("--starts", self.starts, 1),
            ("--max-iter", self.max_iter, 1),
            ("--seed", self.seed, 0),
        ):
            if value < least:
                raise ValueError(f"{option} {value} must be a whole number of at least {least}")

    def as_text(self) -> dict[str, str]:
        """What the report says of them."""
        said = {"seed": str(self.seed), "alpha": f"{self.alpha:g}"}
        if self.early_stopping:
            said["early stopping"] = "on"
        return said


@dataclass(frozen=True)
class TableModel:
    """A network fitted to a table, with the encoding of the columns and the record of the fit."""

    encoder: TableEncoder
    network: FittedNetwork
    record: FitRecord

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns it predicts."""
        return self.record.targets

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions for the rows of a table that has the input columns.

        Returns
        -------
        pandas.DataFrame
            One column for each target, in its units; the index of `frame`.

        Raises
        ------
        TableError
            If an input column is missing or holds infinite values.
        """
        return self.predict_with_notes(frame)[0]

    def predict_with_notes(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Predictions, and what to know of them: values replaced, and scores where the target is known."""
        import pandas as pd

        X, notes = self.encoder.encode(frame)
        prediction = self.network.predict(X)
        notes += self._scores_of(frame, prediction)
        return pd.DataFrame(prediction, index=frame.index, columns=list(self.targets)), notes

    def _scores_of(self, frame: pd.DataFrame, prediction: FloatArray) -> list[str]:
        """A sentence for each target that the table has too: how well it is predicted."""
        sentences = []
        for k, target in enumerate(self.targets):
            if target in frame.columns:
                y = as_numbers(frame[target]).to_numpy(dtype=float)
                known = np.isfinite(y)
                if known.any():
                    scores = Outcome(y[known, np.newaxis], prediction[known, k : k + 1]).scores(0)
                    numbers = ", ".join(f"{name} {number(value)}" for name, value in scores.items())
                    sentences.append(f"{target!r} is known for {known.sum()} of these rows: {numbers}")
        return sentences


def fit_table(
    frame: pd.DataFrame,
    targets: Sequence[str],
    options: FitOptions | None = None,
    *,
    source: str = "table",
    callback: Callable[[Iteration], bool | None] | None = None,
) -> TableModel:
    """Fit a network to a table: split, encode, train, score, judge the columns.

    Parameters
    ----------
    frame : pandas.DataFrame (n_samples, n_columns)
    targets : sequence of str
        Columns to predict; all others are inputs.
    options : FitOptions, optional
    source : str
        Name of the table, for the report.
    callback : callable, optional
        Called with the record of every iteration; a true answer stops the fit, with the best so far.

    Returns
    -------
    TableModel

    Raises
    ------
    TableError
        If the table has too few rows, no usable input column, or a target that is not numeric or is constant.

    Examples
    --------
    >>> import pandas as pd
    >>> x = np.linspace(0, 1, 40)
    >>> model = fit_table(pd.DataFrame({"x": x, "y": 3 * x + 1}), ["y"], FitOptions(hidden=(3,)))
    >>> round(float(model.predict(pd.DataFrame({"x": [0.5]}))["y"].iloc[0]), 3)
    2.5
    """
    options = options or FitOptions()
    started = time.perf_counter()
    inputs, y, notes = _prepared(frame, targets, options)
    train, held_out = _split(len(inputs), options)
    encoder = TableEncoder.fit(inputs.iloc[train], options.categorical)
    X, replaced = encoder.encode(inputs)
    regressor = _regressor(options)
    regressor.fit(X[train], y[train] if len(targets) > 1 else y[train, 0], callback=callback)
    network = FittedNetwork.from_regressor(regressor)

    judged = held_out if len(held_out) >= 3 else train
    try:
        effects = column_effects(network.predict, encoder, inputs.iloc[judged], y[judged], options.seed)
    except KeyboardInterrupt:  # the fit is done: it is worth more than the judgment of the columns
        effects, notes = (), [*notes, "interrupted before the columns were judged: no importances"]
    together = columns_that_move_together(encoder, X[train])
    record = FitRecord(
        source=source,
        targets=tuple(targets),
        units=tuple(options.units),
        n_columns=len(encoder.used),
        n_features=len(encoder.feature_names),
        notes=(*notes, *encoder.decisions(), *replaced, *together),
        train=Outcome(y[train], network.predict(X[train])),
        held_out=Outcome(y[held_out], network.predict(X[held_out])) if len(held_out) else None,
        effects=effects,
        seconds=time.perf_counter() - started,
        **_training(regressor, options),
    )
    return TableModel(encoder, network, record)


def _prepared(
    frame: pd.DataFrame, targets: Sequence[str], options: FitOptions
) -> tuple[pd.DataFrame, FloatArray, list[str]]:
    """Input columns and targets of the rows that have every target."""
    y, complete = target_values(frame, targets)
    notes = []
    if not complete.all():
        count = int((~complete).sum())
        notes.append(f"{count} {'row' if count == 1 else 'rows'} without target left out")
    repeated = int(frame[complete].duplicated().sum())
    if repeated:
        rows = "1 row repeats" if repeated == 1 else f"{repeated} rows repeat"
        notes.append(f"{rows} another exactly; where one is held out, its twin may be in training")
    for name in options.drop:
        notes.append(f"{name!r} dropped as asked")
    for name in targets:
        if name in options.drop:
            raise TableError(f"column {name!r} cannot be both target and dropped: take it out of --drop")
        if name in options.categorical:
            raise TableError(f"target {name!r} must be numbers: take it out of --categorical")
    inputs = frame.loc[complete, [c for c in frame.columns if c not in {*targets, *options.drop}]]
    if len(inputs) < FEWEST_ROWS:
        raise TableError(
            f"the table has {len(inputs)} rows with a target: at least {FEWEST_ROWS} are needed to fit"
        )
    return inputs, y[complete], notes


def _split(n_samples: int, options: FitOptions) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training rows and of the held-out rows, each in the order of the table."""
    from sklearn.model_selection import train_test_split

    everything = np.arange(n_samples)
    n_held_out = round(options.test_fraction * n_samples)
    if options.test_fraction > 0:
        n_held_out = min(max(n_held_out, 1), n_samples - 2)
    if n_held_out == 0:
        return everything, everything[:0]
    train, held_out = train_test_split(everything, test_size=n_held_out, random_state=options.seed)
    return np.sort(train), np.sort(held_out)


def _regressor(options: FitOptions) -> LMRegressor:
    from marquardt.estimators.regressor import LMRegressor

    return LMRegressor(
        hidden_layer_sizes=options.hidden,
        activation=options.activation,
        alpha=options.alpha,
        max_iter=options.max_iter,
        early_stopping=options.early_stopping,
        n_starts=options.starts,
        n_jobs=options.jobs,
        random_state=options.seed,
    )


def _training(regressor: LMRegressor, options: FitOptions) -> dict[str, Any]:
    """The part of the record that tells of the network and its training."""
    from marquardt import __version__

    result, starts = regressor.result_, regressor.starts_
    settings = options.as_text()
    if options.starts > 1:
        settings["starts"] = f"{len(starts)} ({starts.n_at_best} came within 1 % of the best)"
    return {
        "network": FittedNetwork.from_regressor(regressor).describe(),
        "n_params": regressor.network_.n_params,
        "settings": settings,
        "status": result.status.name,
        "success": result.success,
        "message": result.message,
        "history": result.history,
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
