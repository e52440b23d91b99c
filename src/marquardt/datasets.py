"""Tables that ship with the package, and the two spirals.

The tables are from the UCI Machine Learning Repository, CC BY 4.0; `data/SOURCE.md` names their authors.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from marquardt._types import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """A table that ships with the package."""

    name: str
    title: str
    target: str
    unit: str
    citation: str

    def load(self) -> pd.DataFrame:
        """The table, inputs first, target last."""
        import pandas as pd

        with resources.files("marquardt").joinpath("data", f"{self.name}.csv").open("rb") as file:
            return pd.read_csv(file)


_UCI = "UCI Machine Learning Repository, CC BY 4.0"
DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset("energy", "Heating load of 768 simulated buildings", "heating_load", "kWh/m²",
                f"A. Tsanas, A. Xifara (2012), Energy Efficiency, {_UCI}"),
        Dataset("concrete", "Compressive strength of 1030 concrete mixtures", "strength_mpa", "MPa",
                f"I-C. Yeh (1998), Concrete Compressive Strength, {_UCI}"),
        Dataset("yacht", "Resistance of sailing yachts in 308 towing-tank runs", "residuary_resistance", "",
                f"J. Gerritsma, R. Onnink, A. Versluis (1981), Yacht Hydrodynamics, {_UCI}"),
    )
}  # fmt: skip
"""The tables of the demonstrations."""
WINE = Dataset("wine", "Quality of 1599 red wines, as tasters marked it", "quality", "",
               f"P. Cortez et al. (2009), Wine Quality, {_UCI}")  # fmt: skip
"""Mostly noise: no network explains more than about 40 % of its variance."""


def load_energy() -> pd.DataFrame:
    """Energy Efficiency (UCI): 768 simulated buildings, 8 inputs, heating load in kWh/m².

    Returns
    -------
    pandas.DataFrame (768, 9)
        Inputs first, target last.

    Examples
    --------
    >>> load_energy().shape
    (768, 9)
    """
    return DATASETS["energy"].load()


def load_concrete() -> pd.DataFrame:
    """Concrete Compressive Strength (UCI): 1030 mixtures, 8 inputs, strength in MPa.

    Returns
    -------
    pandas.DataFrame (1030, 9)
        Inputs first, target last.

    Examples
    --------
    >>> load_concrete().columns[-1]
    'strength_mpa'
    """
    return DATASETS["concrete"].load()


def load_yacht() -> pd.DataFrame:
    """Yacht Hydrodynamics (UCI): 308 towing-tank runs, 6 inputs, resistance per unit weight of displacement.

    Returns
    -------
    pandas.DataFrame (308, 7)
        Inputs first, target last.

    Examples
    --------
    >>> load_yacht().shape
    (308, 7)
    """
    return DATASETS["yacht"].load()


def load_red_wine() -> pd.DataFrame:
    """Wine Quality, red (UCI): 1599 wines, 11 inputs, quality from 3 to 8; 240 rows are repeated.

    Returns
    -------
    pandas.DataFrame (1599, 12)
        Inputs first, target last.

    Examples
    --------
    >>> load_red_wine().shape
    (1599, 12)
    """
    return WINE.load()


@dataclass(frozen=True)
class TwoSpirals:
    """The two spirals with the split and the start that different optimizers share."""

    X_train: FloatArray
    """(400, 2)."""
    T_train: FloatArray
    """(400, 2), one-hot."""
    X_test: FloatArray
    """(100, 2)."""
    T_test: FloatArray
    """(100, 2), one-hot."""
    w0: FloatArray
    """Start of a 2-25-2 network, (127,), in the order of `MLP`."""


def two_spirals(n_samples: int = 500) -> TwoSpirals:
    """Two intertwined spirals of 1.75 turns, split 80/20, with a start for a 2-25-2 network.

    Point i of the n on each spiral lies at radius r = 5 i/n and angle t = 1.75 · 2π i/n (+ π on the second),
    at (r sin t, r cos t).  The training rows are drawn by NumPy's legacy generator with seed 0, the weights,
    uniform in (-0.1, 0.1), with seed 1: for each layer a column-major block (n_in + 1, n_out), bias in the
    last row.

    Parameters
    ----------
    n_samples : int
        Points in all, an even number.

    Returns
    -------
    TwoSpirals

    Examples
    --------
    >>> spirals = two_spirals()
    >>> spirals.X_train.shape, spirals.T_test.sum(axis=0), spirals.w0.shape
    ((400, 2), array([..., ...]), (127,))
    """
    n = n_samples // 2
    share = np.arange(n) / n
    radius, angle = 5.0 * share, 1.75 * share * 2.0 * np.pi
    arms = [np.column_stack([radius * np.sin(t), radius * np.cos(t)]) for t in (angle, angle + np.pi)]
    X, T = np.vstack(arms), np.repeat(np.eye(2), n, axis=0)
    # The comparison is defined by the legacy generator; a private one gives its numbers, not the global.
    train = np.zeros(2 * n, dtype=bool)
    train[np.random.RandomState(0).choice(2 * n, round(0.8 * 2 * n), replace=False)] = True
    draw = np.random.RandomState(1)
    # A column-major (n_in + 1, n_out) block is, read as row-major, our (n_out, n_in + 1).
    w0 = np.concatenate(
        [draw.uniform(-0.1, 0.1, size=rows * columns) for rows, columns in ((3, 25), (26, 2))]
    )
    return TwoSpirals(X[train], T[train], X[~train], T[~train], w0)
