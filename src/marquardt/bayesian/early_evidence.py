"""Bayesian regularisation before it sees all rows: fits by the evidence of a part of them, which grows.

A part has its own evidence: fewer rows determine fewer parameters and ask for stiffer weights, so that a fit
of few rows does not run after their noise.  Parameters and precisions of one part are where the next begins;
the prior of a weight and the noise of a row are what they are for any number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_run import EvidenceRun
from marquardt.bayesian.precisions import Precisions
from marquardt.growing_rows import GrowingRows, Standing
from marquardt.method import Reason, State
from marquardt.problem import NetworkProblem

_STIFFEST = 10.0
"""Largest precision of weights that is handed on, in units of that of the start.  Without the limit one of
eight starts on 6000 rows of Friedman's function ended at 1.8 times the error, its weights held at nothing."""


def start_early(run: EvidenceRun, rows: GrowingRows, w0: ArrayLike) -> Reason | None:
    """Begin a run on parts of its rows, up to where it goes on on all; the reason to end there, if any."""
    steps = EarlyEvidence(rows, run, w0)
    try:
        for state in steps:
            run.state = state
            reason = run.record.note_early(state)
            if reason is not None:
                return reason
    finally:  # whatever ended them
        if steps.standing.n_rows:
            steps.hand_over()
    if not steps.standing.n_rows:  # so few rows that there is no part of them
        return run.start(w0)
    assert run.state is not None
    return run.state.stuck


class EarlyEvidence:
    """The steps of an `EvidenceRun` before it sees all rows.

    Parameters
    ----------
    rows : GrowingRows
    run : EvidenceRun
        Of all rows, not started.
    w0 : array (p,)
    """

    def __init__(self, rows: GrowingRows, run: EvidenceRun, w0: ArrayLike) -> None:
        self.rows, self.run = rows, run
        self.standing = Standing(run.method, w0)
        self._data_cost = np.inf  # of all rows
        self._precisions = run.precisions

    def __iter__(self) -> Iterator[State]:
        """The start, then every point from which the next step goes on, with the cost of all rows."""
        now = self.standing
        for part in self.rows.parts(self.run.problem):
            problem = cast(NetworkProblem, part.problem)
            early = self.run.on(problem)
            early.start(now.w, self._precisions, now.method())
            assert early.state is not None
            now.count(early.state)
            now.n_rows.append(problem.n_samples)
            if len(now.n_rows) == 1:
                self._data_cost = self._full_cost(now.w)
                yield self._seen(early, np.nan, part.share)
            if early.state.stuck is None:
                yield from self._on(early, part.share)

    def hand_over(self) -> None:
        """The last point, for all rows."""
        now, run = self.standing, self.run
        run.begin(now.w, self._precisions, now.method())
        assert run.state is not None
        now.count(run.state)
        run.state = now.counted(run.state)

    def _on(self, early: EvidenceRun, share: float) -> Iterator[State]:
        now = self.standing
        while True:
            before, reason, state = early.state, early.step(), early.state
            assert before is not None and state is not None
            now.count(state, before)
            if state.at.w is before.at.w:
                return
            decrease, data_cost = self._carried_over(early, state.at.w, share)
            if decrease > 0:
                self._data_cost, self._precisions = data_cost, self._handed_on(early.precisions)
                now.move(state)
                yield self._seen(early, decrease / share, share)
            if reason is not None or not decrease >= self.rows.agreement * state.decrease:
                return

    def _carried_over(self, early: EvidenceRun, new: FloatArray, share: float) -> tuple[float, float]:
        """The decrease of the cost of all rows under the prior of the step, in units of the part; and the
        cost of their data."""
        w, prior, data_cost = self.standing.w, early.problem.prior, self._full_cost(new)
        assert prior is not None
        pull = 0.5 * float(prior @ (w * w - new * new))
        return (self._data_cost - data_cost) * share + pull, data_cost

    def _handed_on(self, precisions: Precisions) -> Precisions:
        """With weights that more rows can still raise."""
        most = _STIFFEST * self.run.model.rule.initial
        return replace(precisions, weights=np.minimum(precisions.weights, most))

    def _seen(self, early: EvidenceRun, decrease: float, share: float) -> State:
        assert early.state is not None and early.problem.prior is not None
        cost = self._data_cost + 0.5 * float(early.problem.prior @ self.standing.w**2)
        return self.standing.seen(early.state, cost, decrease, share)

    def _full_cost(self, w: FloatArray) -> float:
        self.standing.n_costs += 1
        with np.errstate(over="ignore", invalid="ignore"):
            return self.run.problem.data_cost(w)
