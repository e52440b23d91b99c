"""Fit a mechanism to rates, and choose among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.kinetics.mechanisms import MECHANISMS, mechanism
from marquardt.curves import Comparison, CurveFit, compare, curve_fit


@dataclass(frozen=True)
class Selection:
    """Several mechanisms fitted to the same rates."""

    fits: Mapping[str, CurveFit]
    comparison: Comparison
    failed: Mapping[str, str]
    """Mechanisms that could not be fitted, and why."""

    @property
    def best(self) -> CurveFit:
        """The fit of highest AICc weight."""
        return self.fits[self.comparison.best]

    def __str__(self) -> str:
        lines = [str(self.comparison)]
        for name, fit in self.fits.items():
            lines += [f"{name}: {note}" for note in fit.notes]
        return "\n".join([*lines, *(f"{name}: no fit: {reason}" for name, reason in self.failed.items())])


def fit_kinetics(
    name: str, S: ArrayLike, v: ArrayLike, inhibitor: ArrayLike | None = None, **options: Any
) -> CurveFit:
    """Fit a rate law, from a start by Hanes' straight line.

    Parameters
    ----------
    name : str
        Of `MECHANISMS`.
    S, v : array (n,)
        Concentrations of the substrate, and rates.
    inhibitor : array (n,), optional
        Its concentrations, for the mechanisms with one.
    **options
        Of `marquardt.curves.curve_fit`: sigma, fixed, positive, loss, ...

    Examples
    --------
    >>> S = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    >>> v = np.array([2.51, 4.02, 5.69, 7.31, 8.39])
    >>> fit = fit_kinetics("michaelis_menten", S, v)
    >>> {name: round(value, 2) for name, value in fit.params.items()}
    {'vmax': 9.97, 'km': 2.97}
    """
    law = mechanism(name)
    if law.n_columns == 2 and inhibitor is None:
        raise ValueError(f"{law.name!r} needs the concentrations of the inhibitor: inhibitor=")
    if law.n_columns == 1 and inhibitor is not None:
        raise ValueError(f"{law.name!r} has no inhibitor: leave inhibitor= out, or take e.g. 'mixed'")
    import pandas as pd

    columns = {"S": np.asarray(S, dtype=float)}  # names for the axes of pictures
    if inhibitor is not None:
        columns["I"] = np.asarray(inhibitor, dtype=float)
        if columns["S"].shape != columns["I"].shape or columns["S"].ndim != 1:
            raise ValueError(
                f"S has shape {columns['S'].shape} and inhibitor {columns['I'].shape}: give (n,) both"
            )
    return curve_fit(law, pd.DataFrame(columns), pd.Series(np.asarray(v), name="v"), **options)


def select_mechanism(
    S: ArrayLike,
    v: ArrayLike,
    inhibitor: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    **options: Any,
) -> Selection:
    """Fit all mechanisms that the columns allow, and compare them.

    Parameters
    ----------
    S, v, inhibitor, options
        As in `fit_kinetics`.
    names : sequence of str, optional
        Of the mechanisms to try.

    Examples
    --------
    >>> S, I = [a.ravel() for a in np.meshgrid([2.0, 5, 10, 20, 50], [0.0, 5, 20])]
    >>> v = 10 * S / ((5 * (1 + I / 8)) + S) + 0.05 * np.cos(9.0 * np.arange(15))
    >>> select_mechanism(S, v, I).comparison.best
    'competitive'
    """
    if inhibitor is not None and len(amounts := np.unique(np.asarray(inhibitor, dtype=float))) < 2:
        raise ValueError(
            f"the inhibitor has one concentration, {', '.join(f'{a:g}' for a in amounts)}, in all rows, "
            "which tells no mechanism from another: measure with and without it, or leave inhibitor= out"
        )
    n_columns = 1 if inhibitor is None else 2
    chosen = [n for n, law in MECHANISMS.items() if law.n_columns == n_columns] if names is None else names
    fits, failed = {}, {}
    for name in chosen:
        try:
            fits[mechanism(name).name] = fit_kinetics(name, S, v, inhibitor, **options)
        except ValueError as error:
            failed[name] = str(error)
    if len(fits) < 2:
        reason = next(iter(failed.values()), "name two or more")
        raise ValueError(f"{len(fits)} mechanism could be fitted, there is nothing to choose: {reason}")
    return Selection(fits, compare(fits), failed)
