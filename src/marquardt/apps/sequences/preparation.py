"""From series to rows: what MATLAB's `preparets` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marquardt import Feedback
from marquardt.apps.sequences.delays import Delays
from marquardt.apps.sequences.series import Series, checked_series


@dataclass(frozen=True)
class Prepared:
    """Rows (t of a series) with the delayed values that predict y(t)."""

    X: np.ndarray
    """(N, number of inputs): u at all its delays, then y at all its delays; NaN where y was not measured."""
    y: np.ndarray
    """(N, k)."""
    series: np.ndarray
    """(N,): the series of a row."""
    time: np.ndarray
    """(N,): its time, the row of that series."""
    names: tuple[str, ...]
    """Of the columns of X."""
    lags: tuple[int, ...]
    """Of the last columns of X, which are outputs: rows back."""

    @property
    def complete(self) -> np.ndarray:
        """(N,): rows whose delayed values, and one output at least, were measured: those for open-loop
        training."""
        return np.asarray(np.isfinite(self.X).all(axis=1) & np.isfinite(self.y).any(axis=1))

    def take(self, rows: np.ndarray) -> Prepared:
        """Some of the rows."""
        parts = {name: getattr(self, name)[rows] for name in ("X", "y", "series", "time")}
        return replace(self, **parts)

    def closed(self, horizon: int | None = None) -> tuple[Prepared, Feedback]:
        """Rows for the closed loop, and the feedback: rows before a series is known are left out.

        With a horizon the loop is opened every so many rows, where the outputs before were measured.
        """
        k, fed = self.y.shape[1], len(self.lags)
        first = self.X.shape[1] - fed
        steps = np.full(len(self.y), -1)
        for n in range(len(steps)):
            before = steps[n - 1] if n and self.series[n - 1] == self.series[n] else -1
            due = before < 0 or (horizon is not None and before + 1 >= horizon)
            steps[n] = 0 if due and self._known(n, first) else before + 1 if before >= 0 else -1
        rows = np.flatnonzero(steps >= 0)
        kept = self.take(rows)
        steps = steps[rows]
        # what is fed back is never read: it need not have been measured
        kept.X[:, first:][steps[:, None] >= np.array(self.lags)] = 0.0
        outputs = [c % k for c in range(fed)]
        return kept, Feedback(list(range(first, first + fed)), outputs, self.lags, steps)

    def _known(self, n: int, first: int) -> bool:
        """Whether the loop can start at row n: all that it reads from X until it feeds itself is measured."""
        for j in range(max(self.lags)):
            if n + j >= len(self.X) or self.series[n + j] != self.series[n]:
                return True
            read = np.array(self.lags) > j
            if not np.isfinite(self.X[n + j, first:][read]).all():
                return False
        return True


def prepare(
    u: Any, y: Any, input_delays: Sequence[int] = (1, 2), output_delays: Sequence[int] = (1, 2)
) -> Prepared:
    """Rows of delayed values from series u and y.

    Parameters
    ----------
    u : array (T,) or (T, m), a list of them, or None
        Inputs; a list of arrays is several series.
    y : array (T,) or (T, k), or a list of them
    input_delays, output_delays : sequence of int

    Examples
    --------
    >>> rows = prepare([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [0], [1])
    >>> rows.names
    ('u(t)', 'y(t-1)')
    >>> rows.X
    array([[ 2., 10.], [ 3., 20.]])
    >>> rows.y.ravel(), rows.time
    (array([20., 30.]), array([1, 2]))
    """
    delays = Delays(() if u is None else input_delays, output_delays)
    return rows_of(checked_series(u, y, delays.longest)[0], delays)


def rows_of(series: Sequence[Series], delays: Delays) -> Prepared:
    """Rows of delayed values from checked series."""
    start, m, k = delays.longest, series[0].u.shape[1], series[0].y.shape[1]
    blocks = []
    for one in series:
        T = len(one)
        parts = [one.u[start - d : T - d] for d in delays.inputs] + [
            one.y[start - d : T - d] for d in delays.outputs
        ]
        blocks.append(np.hstack(parts))
    names = [_name("u", j, m, d) for d in delays.inputs for j in range(m)]
    names += [_name("y", j, k, d) for d in delays.outputs for j in range(k)]
    lengths = [len(one) - start for one in series]
    return Prepared(
        np.vstack(blocks),
        np.vstack([one.y[start:] for one in series]),
        np.repeat(np.arange(len(series)), lengths),
        np.concatenate([np.arange(start, len(one)) for one in series]),
        tuple(names),
        tuple(d for d in delays.outputs for _ in range(k)),
    )


def _name(signal: str, j: int, count: int, delay: int) -> str:
    return f"{signal}{j + 1 if count > 1 else ''}(t{f'-{delay}' if delay else ''})"
