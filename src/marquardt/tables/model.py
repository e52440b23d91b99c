"""From a table to a fitted model in one call, and back to predictions for new rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.predictive_noise import VaryingNoise
from marquardt.reports.text_report import number
from marquardt.result import Iteration, Status
from marquardt.tables.columns import TableError, as_numbers, row_counters, target_values
from marquardt.tables.effects import column_effects, columns_that_move_together
from marquardt.tables.encoder import TableEncoder
from marquardt.tables.findings import table_findings
from marquardt.tables.fit_options import FitOptions
from marquardt.tables.fit_record import ColumnEffect, EvidenceRecord, FitRecord, Outcome
from marquardt.tables.remarks import remarks

if TYPE_CHECKING:
    import pandas as pd

    from marquardt.estimators.regressor import LMRegressor
    from marquardt.files.checkpoint import Checkpoint

FEWEST_ROWS = 4
FAR_FROM_TRAINING = 5.0
"""Standard deviations; few training values lie so far out themselves."""
MOST_PARAMETERS = 50
"""Parameters for each training value from which on the user is told."""


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

    def predict_with_notes(
        self, frame: pd.DataFrame, coverage: float | None = None
    ) -> tuple[pd.DataFrame, list[str]]:
        """Predictions, and what to know of them: values replaced, and scores where the target is known.

        With `coverage`, also the columns low_NAME and high_NAME: ends of intervals that hold a new
        measurement with that probability.

        Raises
        ------
        TableError
            Also when `coverage` is not between 0 and 1, or the fit has no error bars.
        """
        import pandas as pd

        X, notes = self.encoder.encode(frame)
        prediction = self.network.predict(X)
        notes += self._far_from_training(X) + self._scores_of(frame, prediction)
        columns = dict(zip(self.targets, prediction.T, strict=True))
        if coverage is not None:
            columns |= self._intervals(X, coverage)
        return pd.DataFrame(columns, index=frame.index), notes

    def _intervals(self, X: FloatArray, coverage: float) -> dict[str, FloatArray]:
        from scipy.special import ndtri

        if not 0 < coverage < 1:
            raise TableError(f"--interval {coverage} must be between 0 and 1, e.g. 0.95")
        if not self.network.has_error_bars:
            raise TableError(
                "this model has no error bars: fit it again without --alpha, --early-stopping and --loss"
            )
        moments = self.network.moments(X)
        half = ndtri(0.5 + 0.5 * coverage) * moments.std
        low = {f"low_{name}": ends for name, ends in zip(self.targets, (moments.mean - half).T, strict=True)}
        high = {
            f"high_{name}": ends for name, ends in zip(self.targets, (moments.mean + half).T, strict=True)
        }
        return low | high

    def _far_from_training(self, X: FloatArray) -> list[str]:
        """A sentence for each numeric column whose values are unlike those of the training rows."""
        distance, sentences = np.abs(self.network.x.transform(X)), []
        features = zip(self.encoder.feature_names, self.encoder.feature_columns, distance.T, strict=True)
        for feature, column, values in features:
            count = int((values > FAR_FROM_TRAINING).sum())
            if count and feature == column:  # no category
                sentences.append(
                    f"{column!r} is more than {FAR_FROM_TRAINING:g} standard deviations from the mean of the "
                    f"training rows in {count} of these rows: predictions there are guesses"
                )
        return sentences

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
    tell: Callable[[str], None] | None = None,
    checkpoint: Checkpoint | None = None,
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
    tell : callable, optional
        Called before the fit with a sentence on what will take long.
    checkpoint : Checkpoint, optional
        Where the training is kept, to go on from after an interruption.

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
    warned = _too_large(options.hidden, X.shape[1], y[train])
    if warned and tell is not None:
        tell(warned)
    regressor = _regressor(options)
    known = y[train] if len(targets) > 1 else y[train, 0]
    regressor.fit(X[train], known, callback=callback, checkpoint=checkpoint)
    network = regressor.fitted_network_

    judged = held_out if len(held_out) >= 3 else train
    try:
        effects = column_effects(network.predict, encoder, inputs.iloc[judged], y[judged], options.seed)
    except KeyboardInterrupt:  # the fit is done: it is worth more than the judgment of the columns
        effects, notes = (), [*notes, "interrupted before the columns were judged: no importances"]
    together = columns_that_move_together(encoder, X[train])
    positions = np.flatnonzero(target_values(frame, targets)[1])
    found = _found_of_noise(network, X[train], regressor, positions[train])
    record = FitRecord(
        source=source,
        targets=tuple(targets),
        units=tuple(options.units),
        n_columns=len(encoder.used),
        n_features=len(encoder.feature_names),
        notes=(*notes, *encoder.decisions(), *replaced, *together, *found),
        train=_outcome(network, X[train], y[train]),
        held_out=_outcome(network, X[held_out], y[held_out]) if len(held_out) else None,
        effects=_with_relevance(effects, encoder, regressor),
        evidence=_evidence(regressor),
        findings=table_findings(regressor, X[train], y[train], positions[train]),
        seconds=time.perf_counter() - started,
        **_training(regressor, options),
    )
    return TableModel(encoder, network, record)


def _prepared(
    frame: pd.DataFrame, targets: Sequence[str], options: FitOptions
) -> tuple[pd.DataFrame, FloatArray, list[str]]:
    """Input columns and targets of the rows that have any target; the others are NaN."""
    y, complete = target_values(frame, targets)
    notes = []
    if not complete.all():
        count = int((~complete).sum())
        notes.append(f"{count} {'row' if count == 1 else 'rows'} without target left out")
    gaps = np.isnan(y[complete]).sum(axis=0)
    notes += [
        f"target {name!r} has {n} gap{'s' * (n > 1)}, which count nowhere; the other targets of such rows do"
        for name, n in zip(targets, gaps.tolist(), strict=True)
        if n
    ]
    repeated = int(frame[complete].duplicated().sum())
    if repeated:
        rows = "1 row repeats" if repeated == 1 else f"{repeated} rows repeat"
        notes.append(f"{rows} another exactly; where one is held out, its twin may be in training")
    if len(options.units) > len(targets):
        raise TableError(f"--unit names {len(options.units)} units for {len(targets)} targets: one for each")
    for name in options.drop:
        notes.append(f"{name!r} dropped as asked")
    for name in targets:
        if name in options.drop:
            raise TableError(f"column {name!r} cannot be both target and dropped: take it out of --drop")
        if name in options.categorical:
            raise TableError(f"target {name!r} must be numbers: take it out of --categorical")
    notes += [
        f"{name!r} counts the rows: if it is only their number, --drop {name}"
        for name in row_counters(frame, [*targets, *options.drop])
    ]
    inputs = frame.loc[complete, [c for c in frame.columns if c not in {*targets, *options.drop}]]
    if len(inputs) < FEWEST_ROWS:
        raise TableError(
            f"the table has {len(inputs)} rows with a target: at least {FEWEST_ROWS} are needed to fit"
        )
    notes += remarks(inputs, targets, y[complete], np.flatnonzero(complete))
    return inputs, y[complete], notes


def _found_of_noise(
    network: FittedNetwork, X: FloatArray, regressor: LMRegressor, rows: np.ndarray
) -> list[str]:
    """What became of the noise that varies, and which rows a robust loss sets aside."""
    said = []
    if isinstance(network.committee.noise, VaryingNoise):
        low, high = (float(np.sqrt(end)) for end in np.percentile(network.moments(X).noise[:, 0], [5, 95]))
        said.append(f"the noise of the first target varies from {low:.3g} to {high:.3g} (90 % of the rows)")
    if regressor.robust_ is not None:
        named = (rows[np.flatnonzero(regressor.robust_.outliers().any(axis=1))] + 1).tolist()
        listed = ", ".join(map(str, named[:12])) + (", ..." if len(named) > 12 else "")
        said.append(
            f"{len(named)} training rows are outliers and count little{f': {listed}' if named else ''}"
        )
    return said


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


def _too_large(hidden: Sequence[int], n_inputs: int, y: FloatArray) -> str | None:
    """A warning when the network has far more parameters than it can use."""
    sizes = [n_inputs, *hidden, y.shape[1]]
    n_params = sum(n_out * (n_in + 1) for n_in, n_out in pairwise(sizes))
    n_values = int(np.isfinite(y).sum())
    if n_params <= MOST_PARAMETERS * n_values:
        return None
    return (
        f"{n_params} parameters for {n_values} training values: this may take long and gains nothing; "
        f"--hidden 20 would do"
    )


def _outcome(network: FittedNetwork, X: FloatArray, y: FloatArray) -> Outcome:
    if not network.has_error_bars:
        return Outcome(y, network.predict(X))
    moments = network.moments(X)
    return Outcome(y, moments.mean, moments.std)


def _evidence(regressor: LMRegressor) -> EvidenceRecord | None:
    evidence = regressor.evidence_
    if evidence is None:
        return None
    noise = (evidence.noise_sd * regressor.y_scaler_.scale).tolist()
    return EvidenceRecord(evidence.log_evidence, evidence.n_effective, tuple(noise), evidence.notes)


def _with_relevance(
    effects: tuple[ColumnEffect, ...], encoder: TableEncoder, regressor: LMRegressor
) -> tuple[ColumnEffect, ...]:
    """The effects with the relevance of their columns: that of the most relevant input of each."""
    relevance = regressor.relevance_
    if relevance is None:
        return effects
    largest: dict[str, float] = {}
    for name, value in zip(encoder.feature_columns, relevance.tolist(), strict=True):
        largest[name] = max(value, largest.get(name, 0.0))
    return tuple(replace(effect, relevance=largest[effect.name]) for effect in effects)


def _regressor(options: FitOptions) -> LMRegressor:
    from marquardt.estimators.regressor import LMRegressor

    return LMRegressor(
        hidden_layer_sizes=options.hidden,
        activation=options.activation,
        regularization=options.regularization,
        loss=options.loss,
        noise="varying" if options.varying_noise else "constant",
        growing_rows="auto" if options.growing_rows is None else options.growing_rows,
        alpha=options.alpha,
        max_iter=options.max_iter,
        early_stopping=options.early_stopping,
        n_starts=options.starts,
        ensemble_size=options.committee,
        n_jobs=options.jobs,
        random_state=options.seed,
    )


def _training(regressor: LMRegressor, options: FitOptions) -> dict[str, Any]:
    """The part of the record that tells of the network and its training."""
    from marquardt import __version__

    result, starts = regressor.result_, regressor.starts_
    settings = options.as_text()
    if options.starts > 1:
        reached = f"{starts.n_at_best} reached the best fit, within {starts.margin}"
        alone = "the best fit was reached once; more starts may find a better one"
        asked = f"{len(starts)} of {options.starts}" if len(starts) < options.starts else f"{len(starts)}"
        settings["starts"] = f"{asked}: {reached if starts.n_at_best > 1 else alone}"
    status, message = result.status, result.message
    by_hand = starts[-1].status is Status.INTERRUPTED
    if options.starts > 1 and (by_hand or (len(starts) < options.starts and not starts[-1].status.by_hand)):
        status = Status.INTERRUPTED
        message = f"Interrupted, with {len(starts)} of {options.starts} starts begun; the best: {message}"
    return {
        "network": regressor.fitted_network_.describe(),
        "n_params": regressor.network_.n_params,
        "settings": settings,
        "status": status.name,
        "success": result.success,
        "message": message,
        "history": result.history,
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
