"""Subjects fitted one by one, and how their parameters are distributed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from marquardt.apps.pkpd.fitted_model import FittedModel
from marquardt.apps.pkpd.second_stage import variance_between
from marquardt.apps.pkpd.visual_check import LogNormalSubjects

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TwoStageFit(Mapping[str, FittedModel]):
    """The standard two-stage method: the fit of each subject by its id, and statistics over subjects.

    Parameters are taken as log-normal over subjects, where they are fitted as logarithms.  (J.-L. Steimer et
    al., J. Pharmacokinet. Biopharm. 12:265, 1984; the variance between estimates holds their own errors too,
    and is too large by them: `between_cv(corrected=True)` takes them off.)
    """

    fits: Mapping[str, FittedModel]
    failed: Mapping[str, str]
    """Subjects without a fit, and why."""
    notes_of_data: tuple[str, ...] = ()

    def __getitem__(self, id: str) -> FittedModel:
        return self.fits[str(id)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def names(self) -> tuple[str, ...]:
        return next(iter(self.values())).names

    @property
    def positive(self) -> np.ndarray:
        """Which parameters are fitted as logarithms (p,)."""
        return next(iter(self.values())).task.positive

    @property
    def estimates(self) -> np.ndarray:
        """Of the subjects (s, p), in their own units."""
        return np.array([fit.theta for fit in self.values()])

    @property
    def free(self) -> np.ndarray:
        """Of the subjects (s, p), as they are fitted: logarithms."""
        return np.array([fit.statistics.w for fit in self.values()])

    @property
    def mean(self) -> dict[str, float]:
        """Geometric means over subjects; of parameters named in real= arithmetic ones."""
        middle = self.free.mean(axis=0)
        values = np.where(self.positive, np.exp(np.where(self.positive, middle, 0.0)), middle)
        return dict(zip(self.names, values.tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """Of the means: sd/√s; of geometric means by the delta method."""
        spread = self.free.std(axis=0, ddof=1) / np.sqrt(len(self)) if len(self) > 1 else np.nan
        stretch = np.where(self.positive, list(self.mean.values()), 1.0)
        return dict(zip(self.names, (spread * stretch).tolist(), strict=True))

    def between_variance(self, corrected: bool = False) -> np.ndarray:
        """Covariance of the parameters over subjects (p, p), of logarithms.

        Parameters
        ----------
        corrected : bool
            Without the covariance that the estimates have by themselves, see `second_stage`.
        """
        if len(self) < 2:
            return np.full((len(self.names), len(self.names)), np.nan)
        own = np.array([fit.free_covariance for fit in self.values()]) if corrected else None
        return variance_between(self.free, own)

    def between(self) -> LogNormalSubjects:
        """The population that the subjects are from, without the errors of their estimates: for simulations
        of new subjects.

        Raises
        ------
        ValueError
            For fewer than two subjects, parameters that may be negative, errors that no subject determines.
        """
        if not self.positive.all():
            signed = self.names[int(np.flatnonzero(~self.positive)[0])]
            raise ValueError(f"{signed!r} may be negative, and is not log-normal: see between_variance()")
        return LogNormalSubjects(self.free.mean(axis=0), self.between_variance(corrected=True))

    def between_cv(self, corrected: bool = False) -> dict[str, float]:
        """Variation between subjects in percent: √(exp ω² − 1) of log-normal parameters, else sd/|mean|."""
        variance = np.maximum(np.diag(self.between_variance(corrected)), 0.0)
        with np.errstate(over="ignore"):
            cv = np.where(
                self.positive,
                np.sqrt(np.expm1(variance)),
                np.sqrt(variance) / np.abs(list(self.mean.values())),
            )
        return dict(zip(self.names, (100 * cv).tolist(), strict=True))

    def correlations(self) -> np.ndarray:
        """Of the parameters over subjects (p, p)."""
        variance = self.between_variance()
        spread = np.sqrt(np.diag(variance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return variance / np.outer(spread, spread)

    @property
    def rss(self) -> float:
        return sum(fit.rss for fit in self.values())

    @property
    def success(self) -> bool:
        return not self.failed and all(fit.success for fit in self.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the data, of every subject, and the subjects without a fit."""
        said = [*self.notes_of_data, *(f"{id}: no fit: {reason}" for id, reason in self.failed.items())]
        shared = set(self.notes_of_data)
        said += [f"{id}: {note}" for id, fit in self.items() for note in fit.notes if note not in shared]
        if len(self) < 10:
            said.append(f"{len(self)} subjects tell little of the variation between subjects")
        return tuple(said)

    def table(self) -> pd.DataFrame:
        """One row a subject: every parameter with its standard error."""
        import pandas as pd

        rows = {}
        for id, fit in self.items():
            errors = fit.standard_errors
            row: dict[str, float | str] = {}
            for name in self.names:
                row |= {name: fit.params[name], f"{name}_se": errors[name]}
            rows[id] = {**row, "rss": fit.rss, "n": len(fit.task.batch), "status": fit.status.name}
        return pd.DataFrame.from_dict(rows, orient="index")

    def report(self) -> str:
        """Means, variation between subjects, correlations, notes."""
        mean, errors = self.mean, self.standard_errors
        raw, corrected = self.between_cv(), self.between_cv(corrected=True)
        lines = [
            f"two-stage, {len(self)} subjects, {len(self.failed)} without a fit",
            f"{'parameter':<12}{'mean':>12}{'std. error':>12}{'CV %':>9}{'corrected':>11}",
        ]
        for name in self.names:
            lines.append(
                f"{name:<12}{mean[name]:>12.5g}{errors[name]:>12.4g}{raw[name]:>9.3g}{corrected[name]:>11.3g}"
            )
        matrix = self.correlations()
        for i in range(len(self.names)):
            for j in range(i):
                if abs(matrix[i, j]) >= 0.5:
                    lines.append(f"correlation of {self.names[j]} and {self.names[i]}: {matrix[i, j]:.2f}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.5g}" for name, value in self.mean.items())
        return f"TwoStageFit({len(self)} subjects, {len(self.failed)} failed, {shown})"
