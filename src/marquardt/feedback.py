r"""Feedback: inputs of a network that are its own outputs of earlier rows.

Along the rows a network with feedback is an equation of all its outputs at once, ŷ = F(w, ŷ), in which a row
depends on earlier ones only.  Its derivative L = I − ∂F/∂ŷ is a band below a diagonal of ones: one banded
triangular solve replaces a recursion over time, forward and backward, for one vector or many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg.lapack import dtbtrs

from marquardt._types import FloatArray, IntArray


class Feedback:
    """Which inputs are earlier outputs, and of which rows.

    Parameters
    ----------
    columns : sequence of int
        Columns of X that are fed back.
    outputs : sequence of int
        The output that each of them is.
    lags : sequence of int
        How many rows before; at least 1.
    steps : array of int (n_samples,), optional
        Of every row, how many rows of the same series come right before it; by default all rows are one
        series.  Where there are fewer than a lag, X holds the value to start from.

    Raises
    ------
    ValueError
        For unequal lengths, a lag below 1, a column or an output with its lag given twice, steps that jump.

    Examples
    --------
    >>> feedback = Feedback([0], [0], [1])
    >>> X = np.array([[5.0], [0.0], [0.0]])
    >>> feedback.write(np.array([[1.0, 2.0, 3.0]]), X.T)
    >>> X.ravel()
    array([5., 1., 2.])
    """

    def __init__(
        self,
        columns: Sequence[int],
        outputs: Sequence[int],
        lags: Sequence[int],
        steps: ArrayLike | None = None,
    ) -> None:
        self.columns, self.outputs, self.lags = tuple(columns), tuple(outputs), tuple(lags)
        if not len(self.columns) == len(self.outputs) == len(self.lags) >= 1:
            raise ValueError(
                f"columns {self.columns}, outputs {self.outputs} and lags {self.lags} must be of one length, "
                "at least 1"
            )
        if min(self.lags) < 1:
            raise ValueError(f"lags {self.lags} must be >= 1: an output cannot depend on itself")
        pairs = list(zip(self.outputs, self.lags, strict=True))
        if len(set(self.columns)) < len(self.columns) or len(set(pairs)) < len(pairs):
            raise ValueError(
                f"columns {self.columns}, outputs {self.outputs}, lags {self.lags}: one is given twice"
            )
        self.steps: IntArray | None = None if steps is None else _checked_steps(steps)

    def check(self, n_samples: int, n_inputs: int, n_outputs: int) -> None:
        """ValueError when X of (n_samples, n_inputs) and n_outputs do not fit."""
        if not (min(self.columns) >= 0 and max(self.columns) < n_inputs):
            raise ValueError(f"columns {self.columns} of the feedback must be among {n_inputs} inputs")
        if not (min(self.outputs) >= 0 and max(self.outputs) < n_outputs):
            raise ValueError(f"outputs {self.outputs} of the feedback must be among {n_outputs} outputs")
        if self.steps is not None and len(self.steps) != n_samples:
            raise ValueError(f"steps has {len(self.steps)} values, but there are {n_samples} rows")

    def write(self, y: FloatArray, x: FloatArray) -> None:
        """Put the outputs y (K, N) where they are fed back into the inputs x (n_inputs or more, N)."""
        for column, output, lag in zip(self.columns, self.outputs, self.lags, strict=True):
            target, source = x[column, lag:], y[output, : max(y.shape[1] - lag, 0)]
            if self.steps is None:
                target[...] = source
            else:
                np.copyto(target, source, where=self.steps[lag:] >= lag)

    def coupling(self, slopes: FloatArray) -> Coupling:
        """L from ∂F/∂x (K, number of columns fed back, N)."""
        n_outputs, _, n = slopes.shape
        # column of L by column, and in it downward from the diagonal, which is not read
        band = np.zeros((n * n_outputs, (max(self.lags) + 1) * n_outputs))
        for c, (output, lag) in enumerate(zip(self.outputs, self.lags, strict=True)):
            if lag >= n:
                continue
            values = slopes[:, c, lag:]
            if self.steps is not None:
                values = values * (self.steps[lag:] >= lag)
            for k in range(n_outputs):
                np.negative(
                    values[k],
                    out=band[output : (n - lag) * n_outputs : n_outputs, lag * n_outputs + k - output],
                )
        return Coupling(band)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Feedback) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        steps = "" if self.steps is None else f", steps={self.steps.tolist()}"
        return f"Feedback({list(self.columns)}, {list(self.outputs)}, {list(self.lags)}{steps})"


class Coupling:
    """L = I − ∂F/∂ŷ, over the entries of ŷ sample by sample, (N·K, N·K).

    Parameters
    ----------
    band : array (N·K, bandwidth)
        Row j holds column j of L from its diagonal down; the diagonal counts as 1.

    Examples
    --------
    >>> Coupling(np.array([[1.0, -0.5], [1.0, -0.5], [1.0, 0.0]])).solve(np.array([1.0, 0.0, 0.0]))
    array([1.  , 0.5 , 0.25])
    """

    def __init__(self, band: FloatArray) -> None:
        self._band = band.T

    def solve(self, values: FloatArray) -> FloatArray:
        """L⁻¹ values: how changes go on in time.  (N·K,), or (N·K, n); overwritten when Fortran-ordered."""
        return dtbtrs(self._band, values, uplo="L", trans="N", diag="U", overwrite_b=1)[0]

    def solve_transposed(self, values: FloatArray) -> FloatArray:
        """L⁻ᵀ values: back-propagation through time.  As `solve`."""
        return dtbtrs(self._band, values, uplo="L", trans="T", diag="U", overwrite_b=1)[0]


def _checked_steps(steps: ArrayLike) -> IntArray:
    checked = np.asarray(steps)
    if checked.ndim != 1 or checked.dtype.kind not in "iu" or len(checked) == 0:
        raise ValueError(f"steps must be whole numbers, one a row; they have shape {checked.shape}")
    checked = checked.astype(np.intp)
    if checked[0] != 0 or not ((checked[1:] == 0) | (checked[1:] == checked[:-1] + 1)).all():
        raise ValueError("steps must count 0, 1, 2, ... within each series, its rows one after the other")
    return checked
