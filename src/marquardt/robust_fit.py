r"""Robust fits with the scale of the noise estimated from the errors.

σ from the targets about their median
fit by a narrow Cauchy penalty, which hardly sees a gross error
repeat:  σ = 1.4826 · median |error|, output by output, if that is less
         stop when σ no longer changes
         fit from where the last round ended, by the penalty at scale σ

As in MM-estimation (V. J. Yohai, Ann. Stat. 15:642, 1987) the scale comes from a fit that gross errors do not
bend, and no later round may raise it: with Huber's penalty alone a third of rows in error bend the fit, the
scale grows, and more of them pass for noise.  Each round is a whole run of the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.lm import Callback, minimize
from marquardt.losses.robust import Cauchy, Robust
from marquardt.problem import NetworkProblem, Problem
from marquardt.result import History, Iteration, Result, Status
from marquardt.reweighted_problem import ReweightedLinearization
from marquardt.robust_scale import errors_scale, targets_scale
from marquardt.run_record import Checkpoints
from marquardt.stopping import Stopping

FIRST_PENALTY = Cauchy(threshold=0.2)
"""At the scale of the targets.  A sine with 30 % one-sided gross errors, then Tukey's penalty, 20 seeds:
median RMSE to the truth 0.043; with soft-L1 of threshold 0.05 first 0.97, with Huber's 1.9.  0.1 and 0.4 are
as good (`benchmarks/robust.py`)."""

ROUND_TOLERANCE = 1e-4
"""Cost tolerance of the rounds before the last: the scale needs no more digits.  On the sine with 15 %, after
a first round by soft-L1, 1e-6 took 1.2 to 1.6 times the Jacobians; the median error moved by -17 to +2 %."""

SMALLEST_SCALE = 1e-6
"""Of the scale of the targets."""


class RobustProblem(Protocol):
    """What is fitted: a `NetworkProblem`, or a `ReweightedProblem` of plain residuals."""

    @property
    def n_params(self) -> int:
        """p."""
        ...

    @property
    def targets(self) -> FloatArray:
        """(K, N); their spread is where the scale begins."""
        ...

    @property
    def entry_weights(self) -> FloatArray:
        """s (K, N)."""
        ...

    def errors(self, w: FloatArray) -> FloatArray:
        """Prediction minus target (K, N)."""
        ...

    def with_loss(self, loss: Robust) -> Problem:
        """The same under a penalty."""
        ...


@dataclass(frozen=True)
class RobustFit:
    """A fit in which gross errors count little, and what it says about the rows."""

    result: Result
    """Of all rounds together; the costs in its history are those under the penalty of their time."""
    penalty: Robust
    """Of the last round, at its scale."""
    scales: FloatArray
    """Standard deviation of the noise that each round was fitted at (n_rounds, n_outputs)."""
    weights: FloatArray
    """How much each entry of y counts, from 1 to 0 (n_samples, n_outputs); NaN where nothing was measured."""
    errors: FloatArray
    """Prediction minus target in units of the scale, likewise."""
    log_likelihood: float
    """−Σ s (ρ(e)/σ² + log σ), to compare fits from several starts: their costs are at different scales."""
    notes: tuple[str, ...] = ()
    """What to know of the scale, in sentences."""

    @property
    def w(self) -> FloatArray:
        """Parameters (n_params,)."""
        return self.result.w

    @property
    def scale(self) -> FloatArray:
        """Standard deviation of the noise (n_outputs,)."""
        return self.scales[-1]

    def outliers(self, beyond: float = 3.0) -> np.ndarray:
        """Which entries (n_samples, n_outputs) lie further than `beyond` standard deviations from the fit."""
        return np.abs(self.errors) > beyond  # NaN compares false

    def __repr__(self) -> str:
        scale = ", ".join(f"{value:.4g}" for value in self.scale)
        return (
            f"RobustFit({self.result.status.name}, scale={scale}, {int(self.outliers().sum())} outliers, "
            f"{len(self.scales)} rounds)"
        )


def fit_robustly(
    problem: RobustProblem,
    w0: ArrayLike,
    penalty: Robust,
    *,
    scale: float | ArrayLike | None = None,
    minimizer: Callable[..., Result] = minimize,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
    validation: NetworkProblem | None = None,
    max_rounds: int = 10,
    tolerance: float = 0.03,
    checkpoint: Checkpoints | None = None,
) -> RobustFit:
    """Fit a network, or plain residuals, by a robust penalty.

    Parameters
    ----------
    problem : NetworkProblem or ReweightedProblem
        Data, weights and prior; its own loss is not used.
    w0 : array (n_params,)
        The start.
    penalty : Robust
        `Huber()`, `SoftL1()`, `Cauchy()`, `Tukey()` or `Quantile(level=...)`; its scale is not used.
    scale : float or array (n_outputs,), optional
        Standard deviation of the noise, where it is known; None estimates it.
    minimizer : callable
        `minimize`, or another driver that is called like it.
    stopping, callback
        As in `minimize`, for all rounds together: limits of iterations and time are those of the sum.
    validation : NetworkProblem, optional
        Rows kept out: each round returns the parameters of lowest cost on them, under its penalty.
    max_rounds : int
        Most fits before the last.
    tolerance : float
        The rounds end when no scale changes by more than this fraction.
    checkpoint : Checkpoint, optional
        As in `minimize`; the rounds that are done are kept too.

    Returns
    -------
    RobustFit

    Raises
    ------
    ValueError
        For a scale that is not positive, or w0 of the wrong shape.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> from marquardt.losses import Huber
    >>> X = np.arange(20.0)[:, None] / 10
    >>> y = 2 * X[:, 0] + 1 + 0.1 * np.cos(7 * np.arange(20))
    >>> y[3] = 50.0
    >>> fit = fit_robustly(NetworkProblem(Input(1) >> Linear(1), X, y), [0.0, 0.0], Huber())
    >>> fit.w.round(1), np.flatnonzero(fit.outliers())
    (array([2., 1.]), array([3]))
    """
    if not max_rounds >= 1:
        raise ValueError(f"max_rounds={max_rounds!r} must be >= 1")
    rounds = _Rounds(
        problem,
        minimizer,
        stopping or Stopping(),
        callback,
        validation,
        np.array(w0, dtype=float),
        checkpoint,
    )
    first = targets_scale(problem.targets, problem.entry_weights)
    known = None
    if scale is not None:
        known = np.broadcast_to(np.asarray(scale, dtype=float), first.shape)
        penalty = penalty.at_scale(tuple(known.tolist()))  # refuses a scale that is none
    try:
        rounds.run(penalty, first, known, max_rounds, tolerance)
    except KeyboardInterrupt as error:  # between two runs; within one the driver sees to it
        rounds.interrupt(error)
    if checkpoint is not None and not rounds.results[-1].status.may_go_on:
        checkpoint.clear()
    return rounds.fit()


class _Rounds:
    """The runs so far."""

    def __init__(
        self,
        problem: RobustProblem,
        minimizer: Callable[..., Result],
        stopping: Stopping,
        callback: Callback | None,
        validation: NetworkProblem | None,
        w0: FloatArray,
        checkpoint: Checkpoints | None,
    ) -> None:
        self.checkpoint = checkpoint
        self.problem, self.minimizer = problem, minimizer
        self.stopping, self.callback, self.validation = stopping, callback, validation
        self.w = w0
        self.results: list[Result] = []
        self.penalties: list[Robust] = []
        self.scales: list[FloatArray] = []
        self.notes: list[str] = []

    def run(
        self, penalty: Robust, first: FloatArray, known: FloatArray | None, max_rounds: int, tolerance: float
    ) -> None:
        over = self._minimize(FIRST_PENALTY, first, ROUND_TOLERANCE)
        scale = self._next_scale(first, first) if known is None else known
        for count in range(max_rounds if known is None and not over else 0):
            over = self._minimize(penalty, scale, ROUND_TOLERANCE)
            before, scale = scale, self._next_scale(scale, first)
            if over or (scale >= (1.0 - tolerance) * before).all():
                break
            if count == max_rounds - 1:
                self.notes.append(
                    f"the scale still fell by more than {tolerance:.0%} after {max_rounds} rounds: the fit "
                    "may pass through most of the rows; take fewer units"
                )
        if not over:
            self._minimize(penalty, scale, 0.0)

    def _minimize(self, penalty: Robust, scale: FloatArray, least_tolerance: float) -> bool:
        """One run; whether it was the last that may be."""
        penalty = penalty.at_scale(tuple(scale.tolist()))
        stopping = self.stopping
        kept = {}
        if self.checkpoint is not None:
            kept["checkpoint"] = self.checkpoint.part(f"round{len(self.results) + 1}")
        left = None if stopping.max_time is None else max(0.0, stopping.max_time - self._sum("time"))
        result = self.minimizer(
            self.problem.with_loss(penalty),
            self.w,
            stopping=replace(
                stopping,
                max_iter=max(0, stopping.max_iter - self._sum("n_iter")),
                max_time=left,
                cost_tolerance=max(stopping.cost_tolerance, least_tolerance),
            ),
            callback=None if self.callback is None else self._call_back,
            validation=None if self.validation is None else self.validation.with_loss(penalty).cost,
            **kept,
        )
        self.results.append(result)
        self.penalties.append(penalty)
        self.scales.append(scale)
        self.w = result.w
        return not result.status.converged

    def _next_scale(self, scale: FloatArray, first: FloatArray) -> FloatArray:
        problem = self.problem
        new = errors_scale(self._errors(self.results[-1]), problem.entry_weights, problem.n_params)
        least = SMALLEST_SCALE * first
        if (new < least).any() and not self.notes:
            self.notes.append(
                "more than half of the rows are fitted exactly, and their errors give no scale of the noise: "
                f"it is held at {SMALLEST_SCALE:g} of that of the targets"
            )
        return np.clip(new, least, scale)

    def _errors(self, result: Result) -> FloatArray:
        """(K, N), from the linearization where it is of residuals: their function may raise by now."""
        at = result.linearization
        if isinstance(at, ReweightedLinearization) and np.array_equal(at.w, result.w):
            return at.plain.residual[None]
        return self.problem.errors(result.w)

    # -- all runs as one -----------------------------------------------------------------------

    def _sum(self, name: str) -> int:
        return sum(getattr(result, name) for result in self.results)

    def _call_back(self, record: Iteration) -> bool | None:
        assert self.callback is not None
        if self.results and record.iteration == 0:
            return None  # the end of the last run, at another scale
        return self.callback(self._moved(record, self.results))

    def _moved(self, record: Iteration, before: list[Result]) -> Iteration:
        """A record, counted on from the runs before."""
        return replace(
            record,
            iteration=record.iteration + sum(result.n_iter for result in before),
            n_jacobians=record.n_jacobians + sum(result.n_jacobians for result in before),
            n_costs=record.n_costs + sum(result.n_costs for result in before),
            time=record.time + sum(result.time for result in before),
        )

    def interrupt(self, error: KeyboardInterrupt) -> None:
        """Ctrl-C between two runs: the last one counts."""
        if not self.results:
            raise error
        message = f"After {self._sum('n_iter')} iterations. {Status.INTERRUPTED.value}"
        last = replace(self.results[-1], status=Status.INTERRUPTED, message=message, error=error)
        self.results[-1] = last

    def fit(self) -> RobustFit:
        history = History()
        for index, result in enumerate(self.results):
            for record in list(result.history)[min(index, 1) :]:
                history.append(self._moved(record, self.results[:index]))
        names = ("n_jacobians", "n_costs", "time")
        result = replace(self.results[-1], history=history, **{name: self._sum(name) for name in names})
        s, error = self.problem.entry_weights, self._errors(result)
        used, sd = self.penalties[-1], self.scales[-1][:, None]
        loss = np.where(s > 0, s * (used.value(error) / sd**2 + np.log(sd)), 0.0)
        return RobustFit(
            result,
            used,
            np.array(self.scales),
            np.where(s > 0, used.weight(error), np.nan).T,
            np.where(s > 0, error / sd, np.nan).T,
            -float(loss.sum()),
            tuple(self.notes),
        )
