"""The points that a curve is fitted to, checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import as_float, check_finite
from marquardt._types import FloatArray, IntArray
from marquardt.curves.curve import Curve


@dataclass(frozen=True)
class CurveData:
    """x, y and how much each point counts."""

    x: FloatArray
    """(n,) or (n, d)."""
    y: FloatArray
    """(n,)."""
    roots: FloatArray | None
    """√weight, or 1/σ (n,); None for 1."""
    x_names: tuple[str, ...]
    y_name: str = "y"

    @classmethod
    def of(
        cls, x: Any, y: Any, weights: ArrayLike | None = None, sigma: ArrayLike | None = None
    ) -> CurveData:
        """From what the user gives; ValueError with the next action for data that no curve can be fitted
        to."""
        rows = as_columns(x)
        y_name = str(name) if (name := getattr(y, "name", None)) is not None else "y"
        values = as_float("y", y)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise ValueError(f"y has shape {values.shape}: it must be one row of numbers, (n,)")
        if len(values) == 0:
            raise ValueError("y has no values: there is nothing to fit")
        if len(rows) != len(values):
            raise ValueError(f"x has {len(rows)} rows and y has {len(values)}: they must be the same points")
        what = "leave those points out, e.g. keep = np.isfinite(y)"
        check_finite("x", rows, what)
        check_finite("y", values, what)
        return cls(rows, values, _roots(weights, sigma, len(values)), _column_names(x, rows), y_name)

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, chosen: IntArray) -> CurveData:
        """Some of the points."""
        roots = None if self.roots is None else self.roots[chosen]
        return replace(self, x=self.x[chosen], y=self.y[chosen], roots=roots)

    def weighted(self, error: FloatArray) -> FloatArray:
        """Errors (n,), or the rows of a matrix (n, p), in units of their weight."""
        if self.roots is None:
            return error
        return error * (self.roots if error.ndim == 1 else self.roots[:, None])


def as_columns(x: Any) -> FloatArray:
    """x as (n,) for one column, else (n, d)."""
    array = as_float("x", x)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(f"x has shape {array.shape}: it must be (n,), or (n, d) with one row a point")
    return array


def check_columns(curve: Curve, x: FloatArray) -> None:
    """ValueError when a curve cannot take x."""
    columns = 1 if x.ndim == 1 else x.shape[1]
    if curve.n_columns is not None and columns != curve.n_columns:
        raise ValueError(
            f"x has {columns} columns, but {curve.label} needs {curve.n_columns}: {curve.formula}"
        )
    smallest = float(x.min(initial=np.inf))
    if smallest < curve.least_x:
        needed = "above 0" if curve.least_x > 0 else f"of at least {curve.least_x:g}"
        raise ValueError(
            f"x has the value {smallest:g}, but {curve.label} needs values {needed}: {curve.formula}; for "
            "logarithms of doses take logistic4"
        )


def check_spread(x: FloatArray, n_params: int, where: str = "") -> None:
    """ValueError when there is only one x for several parameters."""
    if n_params > 1 and len(x) > 1 and (x == x[0]).all():
        raise ValueError(
            f"all x{where} are {np.array2string(x[0], precision=6)}: one place does not determine {n_params} "
            "parameters; measure at others, or fix all but one"
        )


def _roots(weights: ArrayLike | None, sigma: ArrayLike | None, n: int) -> FloatArray | None:
    if weights is not None and sigma is not None:
        raise ValueError("weights and sigma are two ways to say the same: give one of them")
    name, given = ("weights", weights) if sigma is None else ("sigma", sigma)
    if given is None:
        return None
    values = as_float(name, given)
    if values.ndim == 0:
        values = np.full(n, float(values))
    if values.shape != (n,):
        raise ValueError(f"{name} has shape {values.shape}, but there are {n} points")
    check_finite(name, values, "every point needs one; weights may be 0")
    if name == "sigma":
        if (values <= 0).any():
            raise ValueError(f"sigma has the value {values.min():g}: standard deviations must be above 0")
        return 1 / values
    if (values < 0).any() or not values.any():
        raise ValueError(
            f"weights run from {values.min():g} to {values.max():g}: they must be >= 0, not all 0"
        )
    return np.sqrt(values)


def _column_names(x: Any, rows: FloatArray) -> tuple[str, ...]:
    if hasattr(x, "columns"):
        return tuple(str(name) for name in x.columns)
    name = getattr(x, "name", None)
    if name is not None:
        return (str(name),)
    return ("x",) if rows.ndim == 1 else tuple(f"x{k}" for k in range(rows.shape[1]))
