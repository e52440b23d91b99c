"""The same curve fitted to each of several groups by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.curves.fitted_curve import CurveFit
from marquardt.curves.statistics import Statistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GroupFits(Mapping[str, CurveFit]):
    """The fits by the name of their group; the statistics are those of all together, with one noise level.

    Examples
    --------
    >>> from marquardt.curves import curve_fit
    >>> x, y = np.tile(np.arange(4.0), 2), np.array([0.1, 0.9, 2.1, 2.9, 5.0, 4.1, 2.9, 2.0])
    >>> fits = curve_fit("linear", x, y, by=["up"] * 4 + ["down"] * 4)
    >>> {name: round(fit.params["slope"], 2) for name, fit in fits.items()}
    {'up': 0.96, 'down': -1.02}
    """

    fits: Mapping[str, CurveFit]
    failed: Mapping[str, str]
    """Groups without a fit, and why."""

    def __getitem__(self, group: str) -> CurveFit:
        return self.fits[str(group)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    def __repr__(self) -> str:
        missing = f", {len(self.failed)} failed" if self.failed else ""
        return f"GroupFits({len(self)} groups{missing}, rss={self.rss:.8g})"

    @property
    def statistics(self) -> Statistics:
        """Of all fits together."""
        fits = list(self.values())
        return Statistics.of(
            sum(fit.statistics.rss for fit in fits),
            sum(len(fit.data) for fit in fits),
            sum(len(fit.names) for fit in fits),
            known_sigma=all(fit.absolute_sigma for fit in fits),
        )

    @property
    def rss(self) -> float:
        return sum(fit.rss for fit in self.values())

    @property
    def degrees_of_freedom(self) -> int:
        return self.statistics.degrees_of_freedom

    @property
    def residual_sd(self) -> float:
        """Of all fits together."""
        dof = self.degrees_of_freedom
        return float(np.sqrt(self.rss / dof)) if dof > 0 else float("nan")

    @property
    def aic(self) -> float:
        return self.statistics.aic

    @property
    def aicc(self) -> float:
        return self.statistics.aicc

    @property
    def bic(self) -> float:
        return self.statistics.bic

    @property
    def success(self) -> bool:
        return all(fit.success for fit in self.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """Of every group, and the groups without a fit."""
        said = [f"{group}: no fit: {reason}" for group, reason in self.failed.items()]
        return (*said, *(f"{group}: {note}" for group, fit in self.items() for note in fit.notes))

    def predict(self, x: Any, *, by: Any, **options: Any) -> Any:
        """Each row by the fit of its group; see `CurveFit.predict`.  Without a fit NaN."""
        rows = np.atleast_1d(np.asarray(x, dtype=float))
        labels = np.array([str(label) for label in np.broadcast_to(np.asarray(by, dtype=object), len(rows))])
        if options:
            raise ValueError("bands are those of a group: fits[group].predict(x, band=...)")
        y = np.full(len(rows), np.nan)
        for group in np.unique(labels):
            if group in self.fits:
                mine = labels == group
                y[mine] = self.fits[str(group)].predict(rows[mine])
        return y

    def table(self) -> pd.DataFrame:
        """One row a group: every parameter with its standard error."""
        import pandas as pd

        rows = {}
        for group, fit in self.items():
            errors = fit.standard_errors
            row: dict[str, Any] = {}
            for name, value in fit.params.items():
                row |= {name: value, f"{name}_se": errors[name]}
            rows[group] = {**row, "rss": fit.rss, "n": len(fit.data), "status": fit.status.name}
        return pd.DataFrame.from_dict(rows, orient="index")

    def report(self, intervals: Any = "linear", **options: Any) -> str:
        """The reports of all groups, and what they come to together."""
        parts = []
        for group, fit in self.items():
            parts.append(f"[[Group {group}]]\n{fit.report(intervals, **options)}\n")
        s = self.statistics
        together = [
            f"groups        {len(self)}",
            f"data          {s.n_points} points, {s.n_params} parameters, {s.degrees_of_freedom} degrees "
            f"of freedom",
            f"chi-square    {s.rss:.10g}, residual standard deviation {self.residual_sd:.6g}",
            f"AIC, BIC      {s.aic:.6g}, {s.bic:.6g}",
            *(f"no fit of {group}: {reason}" for group, reason in self.failed.items()),
        ]
        return "\n".join([*parts, "[[Together]]", *(f"    {line}" for line in together)])

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers and texts, for JSON."""
        s = self.statistics
        return {
            "groups": {group: fit.to_dict() for group, fit in self.items()},
            "failed": dict(self.failed),
            "n_points": s.n_points,
            "degrees_of_freedom": s.degrees_of_freedom,
            "rss": s.rss,
            "residual_sd": self.residual_sd,
            "aic": s.aic,
            "aicc": s.aicc,
            "bic": s.bic,
        }

    def plot(self, *, coverage: float = 0.95) -> Figure:
        """All groups in one picture."""
        from marquardt.curves.curve_plots import plot_groups

        return plot_groups(self, coverage)

    @property
    def residual(self) -> FloatArray:
        """Of all groups, one after the other (n,)."""
        return np.concatenate([fit.residual for fit in self.values()])
