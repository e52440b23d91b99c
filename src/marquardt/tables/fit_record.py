"""What is kept of a fit to a table, beside the network: enough to write its report again, years later."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from marquardt._types import FloatArray
from marquardt.calibration import Calibration
from marquardt.diagnosis.finding import Finding
from marquardt.result import History
from marquardt.tables.units import split_unit

SCORES = ("R2", "RMSE", "MAE")


@dataclass(frozen=True)
class Outcome:
    """Measured and predicted targets of a group of rows, in units of the targets.

    Examples
    --------
    >>> Outcome(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]])).scores(0)
    {'R2': 0.5, 'RMSE': 0.707..., 'MAE': 0.5}
    """

    y: FloatArray
    """(n_samples, n_targets); NaN where a target was not measured."""
    prediction: FloatArray
    """(n_samples, n_targets)."""
    std: FloatArray | None = None
    """Predicted standard deviations of the measurements, (n_samples, n_targets); None without error bars."""

    def of(self, target: int) -> Outcome:
        """Of one target, on the rows where it was measured: (n, 1) each.

        >>> Outcome(np.array([[1.0, np.nan], [2.0, 3.0]]), np.zeros((2, 2))).of(1).y
        array([[3.]])
        """
        rows = np.isfinite(self.y[:, target])
        parts = (self.y, self.prediction) if self.std is None else (self.y, self.prediction, self.std)
        return Outcome(*(part[rows, target : target + 1] for part in parts))

    @property
    def n_values(self) -> int:
        """Measured values of all targets."""
        return int(np.isfinite(self.y).sum())

    def calibration(self, target: int) -> Calibration | None:
        """Of the error bars of one target; None without them, or when they are all of no width."""
        own = self.of(target)
        if own.std is None or not (own.std > 0).all():
            return None
        return Calibration(own.y[:, 0], own.prediction[:, 0], own.std[:, 0])

    @property
    def n_samples(self) -> int:
        return len(self.y)

    def scores(self, target: int) -> dict[str, float]:
        """R², root-mean-square error and mean absolute error of one target.

        R² is NaN where it has no meaning: fewer than two rows, or targets that are all equal.
        """
        own = self.of(target)
        y, error = own.y[:, 0], (own.prediction - own.y)[:, 0]
        if not len(y):
            return dict.fromkeys(SCORES, math.nan)
        spread = float(np.sum((y - y.mean()) ** 2)) if len(y) > 1 else 0.0
        r2 = 1.0 - float(np.sum(error**2)) / spread if spread > 0 else math.nan
        return {"R2": r2, "RMSE": float(np.sqrt(np.mean(error**2))), "MAE": float(np.mean(np.abs(error)))}


@dataclass(frozen=True)
class ColumnEffect:
    """What one column of the table does to the predictions."""

    name: str
    importance: float
    """Permutation importance: loss of R² (mean over targets) when the column is shuffled among the rows."""
    sd: float
    """Standard deviation of `importance` over the shuffles."""
    low: str
    """Where the change starts: the 10 % quantile, or the category of the lowest mean prediction."""
    high: str
    """Where it ends: the 90 % quantile, or the category of the highest mean prediction."""
    changes: tuple[float, ...]
    """Change of the mean prediction of each target from `low` to `high`, all other columns as they are."""
    relevance: float | None = None
    """With Bayesian regularization: how far the column can move the network, the most relevant one 1."""


@dataclass(frozen=True)
class EvidenceRecord:
    """What Bayesian regularization found."""

    log_evidence: float
    effective_parameters: float
    noise_std: tuple[float, ...]
    """Of each target, in its units."""
    notes: tuple[str, ...] = ()
    """What its guards did."""


@dataclass(frozen=True)
class FitRecord:
    """A fit to a table, as data: what `text_report` and `html_report` are written from."""

    source: str
    """File name of the table, or what stands for it."""
    targets: tuple[str, ...]
    units: tuple[str, ...]
    """One for each target, "" where not known."""
    n_columns: int
    """Input columns used."""
    n_features: int
    """Inputs of the network, after one-hot encoding."""
    notes: tuple[str, ...]
    """What was done to the table: rows left out, columns dropped or encoded, values imputed."""
    network: str
    """The layers, e.g. "8 inputs, 20 tanh, 1 linear"."""
    n_params: int
    settings: dict[str, str]
    """Options of the fit that differ from one fit to the next, as text, in order."""
    status: str
    """Name of the `Status`."""
    success: bool
    message: str
    """The reason the run ended, with its numbers and the advice."""
    seconds: float
    train: Outcome
    held_out: Outcome | None
    effects: tuple[ColumnEffect, ...]
    history: History = field(repr=False)
    evidence: EvidenceRecord | None = None
    findings: tuple[Finding, ...] = ()
    """What a diagnosis of the fit found; rows are numbered from 1, as they stand in the table."""
    version: str = ""
    """Version of marquardt that fitted it."""
    created: str = ""
    """Date and time of the fit, ISO 8601, UTC."""

    @property
    def groups(self) -> dict[str, Outcome]:
        """The groups of rows by name: "training", and "held out" where there are some."""
        named = {"training": self.train}
        return named if self.held_out is None else {**named, "held out": self.held_out}

    @property
    def n_iter(self) -> int:
        """Iterations of the run that was kept."""
        return max(len(self.history) - 1, 0)

    @property
    def early_stopping(self) -> bool:
        """Whether a part of the training rows served for early stopping."""
        return any(record.validation_cost is not None for record in self.history)

    def unit(self, target: int) -> str:
        """The unit of a target: as given, else as its name ends, else ""."""
        given = self.units[target] if target < len(self.units) else ""
        return given or split_unit(self.targets[target])[1]
