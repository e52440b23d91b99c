"""Findings that need only the record of the run: how the cost fell, and how the damping and the trials went.

Each detector is a pure function of the subject and gives a finding or None.  A run that converged has
answered most of these questions itself; then they are silent.
"""

from __future__ import annotations

import math

import numpy as np

from marquardt._types import FloatArray
from marquardt.diagnosis.finding import Finding, Severity
from marquardt.diagnosis.subject import Subject
from marquardt.result import Status

_CUT_SHORT = {Status.MAX_ITER, Status.MAX_TIME, Status.INTERRUPTED, Status.STOPPED_BY_CALLBACK}


def log_reductions(subject: Subject) -> FloatArray:
    """log C_before − log C_after of every step (n_iter,), at one and the same prior."""
    history = subject.history[1:]
    cost = np.array([record.cost for record in history])
    decrease = np.array([record.decrease for record in history])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(np.where(cost > 0, decrease / cost, np.inf))


SLOW_LEAST = 0.1
"""The cost must still have fallen by this fraction in the last half, its RMSE by 5 %: less is nearly done."""
SLOW_RATE = 0.01
"""Mean log reduction a step: below it, halving the cost takes more than 69 steps."""


def slow_convergence(subject: Subject) -> Finding | None:
    """The limit came while the cost was creeping down."""
    rates = log_reductions(subject)
    if subject.result.status not in _CUT_SHORT or len(rates) < 30:
        return None
    half = rates[len(rates) // 2 :]
    rate, fallen = float(np.mean(half)), 1.0 - math.exp(-float(np.sum(half)))
    if not (fallen >= SLOW_LEAST and rate < SLOW_RATE):
        return None
    shares = subject.history.column("damping_share")[1:][len(rates) // 2 :]
    share = float(np.nanmedian(shares)) if np.isfinite(shares).any() else math.nan
    halving = math.log(2.0) / rate
    said = (
        f"In the last {len(half)} iterations the cost fell by {rate:.2%} each, {fallen:.0%} in all: "
        f"to halve it again takes {halving:.0f} more."
    )
    remedy = "Try more starts, inputs and targets of unit spread, or a larger max_iter."
    if share > 0.9:
        said += f" The damping alone makes the steps short (share {share:.2f})."
        remedy = (
            "The fit follows a narrow valley or a plateau: scale the inputs, try more starts, a "
            "rule that lets the damping fall faster, or fewer units."
        )
    numbers = {"mean_log_reduction": rate, "fallen": fallen, "halving": halving, "damping_share": share}
    return Finding("slow convergence", Severity.WARNING, numbers, said, remedy)


def unfinished(subject: Subject) -> Finding | None:
    """The limit came while the cost was falling fast."""
    rates = log_reductions(subject)
    if subject.result.status not in {Status.MAX_ITER, Status.MAX_TIME} or len(rates) < 1:
        return None
    last = rates[-max(3, len(rates) // 4) :]
    rate = float(np.mean(last))
    if not rate >= SLOW_RATE:
        return None
    said = f"The cost was still falling by {-math.expm1(-rate):.1%} an iteration when the limit came."
    numbers = {"mean_log_reduction": rate, "iterations": len(rates)}
    return Finding("unfinished", Severity.WARNING, numbers, said, "Raise max_iter (or max_time).")


MANY_REJECTIONS = 2.0
"""Trials rejected for each accepted step, on average.  The healthy fits of the tests have at most 0.6; MGH's
hardest valleys 1."""
COLLAPSE = 6
"""Trials rejected for one step: with the default factor of 3 the damping was 700 times too small."""


def divergence(subject: Subject) -> Finding | None:
    """Trial after trial raised the cost: the damping falls further than the model can be trusted."""
    rejected = subject.history.column("rejected")[1:]
    damping = subject.history.column("damping")
    if len(rejected) < 5:
        return None
    mean, worst = float(rejected.mean()), int(rejected.max())
    collapses = int((rejected >= COLLAPSE).sum())
    if not (mean >= MANY_REJECTIONS or collapses >= max(3, len(rejected) // 10)):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        jump = float(np.nanmax(np.diff(np.log10(damping))))
    said = (
        f"{mean:.1f} trial steps were rejected for each one taken, up to {worst} in a row; from one "
        f"iteration to the next the damping rose by up to {max(jump, 0.0):.1f} decades."
    )
    remedy = (
        "The linear model is wrong at the length of these steps: let the damping fall more slowly (a "
        "smaller factor, or Nielsen()), leave the acceleration on, and check a Jacobian of your own."
    )
    numbers = {
        "rejected_per_step": mean,
        "worst": float(worst),
        "collapses": float(collapses),
        "decades": jump,
    }
    return Finding("divergence", Severity.WARNING, numbers, said, remedy)


FLOOR = 1e-20
"""Cost over that of the start, below which an exact fit has come to its rounding."""


def stalled(subject: Subject) -> Finding | None:
    """The run was stopped by its damping while it was still gaining."""
    if subject.result.status is not Status.DAMPING_LIMIT:
        return None
    rates = log_reductions(subject)
    last = float(rates[-1]) if len(rates) else math.inf
    trials = subject.result.n_costs - (subject.history[-1].n_costs if len(subject.history) else 0)
    first = subject.history[0].cost if len(subject.history) else math.inf
    if (
        not last > 1e-3 or subject.result.cost <= FLOOR * first
    ):  # a fit with noise gains less in its last step
        return None
    where = "at the start" if not len(rates) else f"after {len(rates)} steps, the last of {last:.1%},"
    said = f"No step was found {where} in {trials} trials, however strongly damped."
    remedy = (
        "Check a Jacobian of your own against differences (jac='3-point'), look for jumps and rounding in "
        "the residual function, or start elsewhere."
    )
    numbers = {"trials": trials, "last_log_reduction": last, "cost": subject.result.cost}
    return Finding("stalled", Severity.FAULT, numbers, said, remedy)


CYCLE_SHARE = 0.5
"""Share of the power of the series in its strongest frequency and that frequency's neighbors."""


CYCLE_LEAST = 0.01
"""Log cost moved in the last half: a run that moves less is at its end."""


def oscillation(subject: Subject) -> Finding | None:
    """Cost decrements, or the damping, go round in a cycle while little is gained."""
    rates = log_reductions(subject)
    if subject.result.status not in _CUT_SHORT or len(rates) < 32:
        return None
    half = len(rates) // 2
    cost = np.array([record.cost for record in subject.history])
    damping = subject.history.column("damping")
    with np.errstate(divide="ignore", invalid="ignore"):
        falls = -np.diff(np.log(cost))[half:]
        swings = np.log10(damping)[1:][half:]
    if not (np.isfinite(falls).all() and np.isfinite(swings).all()):
        return None
    if falls.mean() >= SLOW_RATE or abs(falls).sum() < CYCLE_LEAST:
        return None  # a run that gains is left in peace, whatever its rhythm, and so is one that is done
    for what, series, least in (("cost", falls, 2.0 * abs(falls.mean())), ("damping", swings, 0.3)):
        period, share, chance = cycle_of(series)
        swing = float(np.ptp(series))
        if share >= CYCLE_SHARE and chance < 1e-6 and swing >= least and swing > 1e-6:
            return _cycling(what, period, share, swing, float(falls.mean()))
    return None


def _cycling(what: str, period: float, share: float, swing: float, rate: float) -> Finding:
    said = (
        f"The {'decrease of the cost' if what == 'cost' else 'damping'} repeats itself every {period:.1f} "
        f"iterations ({share:.0%} of its variation), and the cost falls by only {rate:.2%} each."
    )
    remedy = (
        "The damping falls too far and is driven up again: take smaller factors, e.g. Nielsen() or "
        "GainRatio(up=2, down=3), and leave the acceleration on."
    )
    numbers = {"period": period, "share": share, "swing": swing, "mean_log_reduction": rate}
    return Finding(f"oscillation of the {what}", Severity.WARNING, numbers, said, remedy)


def cycle_of(series: FloatArray) -> tuple[float, float, float]:
    """Period of the strongest cycle, its share of the power, and the chance of such a share in white noise.

    The chance is Fisher's, P ≈ m (1 − g)^(m−1) for the largest of m ordinates of the periodogram
    (R. A. Fisher, Proc. R. Soc. A 125:54, 1929).  The line of best fit is taken out first.

    Examples
    --------
    >>> period, share, chance = cycle_of(np.tile([0.0, 1.0, 0.0, -1.0], 12))
    >>> period, round(share, 2), chance < 1e-12
    (4.0, 1.0, True)
    """
    n = len(series)
    t = np.arange(n) - 0.5 * (n - 1)
    flat = series - series.mean() - t * (t @ series) / (t @ t)
    power = np.abs(np.fft.rfft(flat)[1:]) ** 2
    total, m = float(power.sum()), len(power)
    if m < 8 or not total > 1e-24 * n * float(series @ series):
        return math.inf, 0.0, 1.0
    peak = 3 + int(np.argmax(power[3:]))  # fewer than four periods are a drift, and no cycle
    g = float(power[peak] / total)
    near = float(power[peak - 1 : peak + 2].sum() / total)  # a period seldom fits the window exactly
    return n / (peak + 1), near, min(1.0, m * (1.0 - g) ** (m - 1))


RISE = 2.0
"""Validation cost at the end over its best: twice, where the training cost fell on."""


def validation_rise(subject: Subject) -> Finding | None:
    """The cost of the validation rows rose while that of the training rows fell."""
    validation = subject.history.column("validation_cost")
    if not np.isfinite(validation).any():
        return None
    best = int(np.nanargmin(validation))
    cost = subject.history.column("cost")
    if not (validation[best] > 0 and cost[best] > 0):
        return None
    rise, fall = float(validation[-1] / validation[best]), float(1 - cost[-1] / cost[best])
    if not (rise > RISE and fall > 0.1):
        return None
    said = (
        f"After iteration {best} the cost of the validation rows rose to {rise:.1f} times its best, while "
        f"that of the training rows fell by {fall:.0%}: what was learned there is noise."
    )
    remedy = f"The parameters of iteration {best} are kept; fewer units or a larger alpha may do better."
    return Finding("validation rise", Severity.NOTE, {"best": best, "rise": rise, "fall": fall}, said, remedy)
