r"""How strongly to damp: rules for the damping λ, and metrics D, of (JᵀJ + S₀ + λD) d = −g.

A rule is a frozen dataclass of pure functions.  It sees scalars only: the scale of the problem at the
start, and for each trial step whether it was accepted and its gain ratio

    ρ = (C(w) − C(w + d)) / (½ dᵀ(λDd − g))          actual over predicted decrease.

A metric turns the squared column norms of J (the diagonal of JᵀJ) into the diagonal D.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from marquardt._types import FloatArray


@dataclass(frozen=True)
class DampingState:
    """What a rule remembers between trial steps."""

    damping: float
    """λ of the next trial step."""
    maximum: float
    """Above this λ the run ends with `Status.DAMPING_LIMIT`: no step, however short, decreases the cost."""
    growth: float = 2.0
    """Factor of the next rejection (Nielsen's ν); other rules ignore it."""


class DampingRule(Protocol):
    """The contract of a damping rule."""

    def start(self, curvature: float) -> DampingState:
        """The state before the first trial; `curvature` is the largest entry of diag(JᵀJ) / D."""
        ...

    def accepted(self, state: DampingState, gain_ratio: float) -> DampingState:
        """The state after an accepted step."""
        ...

    def rejected(self, state: DampingState, gain_ratio: float) -> DampingState:
        """The state after a rejected step (`gain_ratio` is -inf when the trial cost was not finite)."""
        ...


_SMALLEST = 1e-300  # λ stays positive, so that a rejection can always raise it
_LARGEST = 1e300  # the limit of λ stays finite, so that raising λ always ends


def _relative(initial: float, maximum: float, curvature: float) -> DampingState:
    """λ and its limit in units of the curvature."""
    unit = max(curvature, _SMALLEST / initial)
    return DampingState(min(initial * unit, _LARGEST), min(maximum * unit, _LARGEST))


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}={value!r} must be a positive finite number")


@dataclass(frozen=True)
class Nielsen:
    """Nielsen's gain-ratio rule: λ falls smoothly with a good step and rises ever faster with bad ones.

    λ ← λ max(1/γ, 1 − (2ρ − 1)ᵖ) after an accepted step; λ ← λν, ν ← 2ν after a rejected one.
    The start is `initial` times the largest diagonal entry of JᵀJ (over D).  The defaults are the paper's.

    Parameters
    ----------
    initial : float
        λ₀ relative to the largest curvature. 1e-3 is the middle of Nielsen's range.
    smallest_factor : float
        1/γ, the least factor of an accepted step.
    power : int
        p, odd: how abruptly the factor passes from 2 at ρ = 0 to its least value.
    maximum : float
        Upper limit of λ, relative to the largest curvature at the start.  The curvature of saturated units or
        zero output weights may grow by 10²⁰ later, and the rise from 10¹⁶ to 10³² takes five trials.

    References
    ----------
    H. B. Nielsen, "Damping parameter in Marquardt's method", report IMM-REP-1999-05, eq. (2.6).

    Examples
    --------
    >>> rule = Nielsen()
    >>> state = rule.start(curvature=1000.0)
    >>> state.damping
    1.0
    >>> state = rule.rejected(rule.rejected(state, -1.0), -1.0)
    >>> state.damping, state.growth
    (8.0, 8.0)
    """

    initial: float = 1e-3
    smallest_factor: float = 1 / 3
    power: int = 3
    maximum: float = 1e32

    def __post_init__(self) -> None:
        _positive(initial=self.initial, smallest_factor=self.smallest_factor, maximum=self.maximum)
        if self.power not in (1, 3, 5, 7, 9):
            raise ValueError(f"power={self.power!r} must be 1, 3, 5, 7 or 9")
        if self.smallest_factor >= 1:
            raise ValueError(f"smallest_factor={self.smallest_factor!r} must be below 1, or λ never falls")

    def start(self, curvature: float) -> DampingState:
        return _relative(self.initial, self.maximum, curvature)

    def accepted(self, state: DampingState, gain_ratio: float) -> DampingState:
        # ρ may exceed 1 by far when acceleration and re-solve beat the linear prediction; ρ = 1 already
        # gives the smallest factor, so clip there (the power would overflow otherwise).
        factor = max(self.smallest_factor, 1.0 - (2.0 * min(gain_ratio, 1.0) - 1.0) ** self.power)
        return replace(state, damping=max(state.damping * factor, _SMALLEST), growth=2.0)

    def rejected(self, state: DampingState, gain_ratio: float) -> DampingState:
        del gain_ratio
        return replace(state, damping=state.damping * state.growth, growth=2.0 * state.growth)


@dataclass(frozen=True)
class Multiplicative:
    """λ ← λ / down after an accepted step, λ ← λ·up after a rejected one (Marquardt 1963).

    The defaults are those of MATLAB's `trainlm` (mu 0.001, mu_inc 10, mu_dec 0.1, mu_max 1e10), in
    absolute units.  NeuPy's rule is ``Multiplicative(initial=mu, up=1.2, down=1.2)``.

    Parameters
    ----------
    initial : float
        λ₀.
    up, down : float
        Factors above 1.
    maximum : float
        Upper limit of λ.
    relative : bool
        When true, `initial` and `maximum` are multiplied by the largest curvature at the start.

    Examples
    --------
    >>> rule = Multiplicative()
    >>> state = rule.start(curvature=5.0)
    >>> rule.accepted(state, 0.9).damping, rule.rejected(state, -1.0).damping
    (0.0001, 0.01)
    """

    initial: float = 1e-3
    up: float = 10.0
    down: float = 10.0
    maximum: float = 1e10
    relative: bool = False

    def __post_init__(self) -> None:
        _positive(initial=self.initial, maximum=self.maximum)
        if not (self.up > 1 and self.down >= 1):
            raise ValueError(f"up={self.up!r} must exceed 1 and down={self.down!r} must be at least 1")

    def start(self, curvature: float) -> DampingState:
        return _relative(self.initial, self.maximum, curvature if self.relative else 1.0)

    def accepted(self, state: DampingState, gain_ratio: float) -> DampingState:
        del gain_ratio
        return replace(state, damping=max(state.damping / self.down, _SMALLEST))

    def rejected(self, state: DampingState, gain_ratio: float) -> DampingState:
        del gain_ratio
        return replace(state, damping=state.damping * self.up)


@dataclass(frozen=True)
class Continued:
    """A rule that goes on at the λ where another run had ended, in its absolute size.

    Parameters
    ----------
    rule : DampingRule
    damping : float
        λ₀.

    Examples
    --------
    >>> Continued(Nielsen(), 1e-9).start(curvature=1000.0).damping
    1e-09
    """

    rule: DampingRule
    damping: float

    def __post_init__(self) -> None:
        _positive(damping=self.damping)

    def start(self, curvature: float) -> DampingState:
        return replace(self.rule.start(curvature), damping=self.damping)

    def accepted(self, state: DampingState, gain_ratio: float) -> DampingState:
        return self.rule.accepted(state, gain_ratio)

    def rejected(self, state: DampingState, gain_ratio: float) -> DampingState:
        return self.rule.rejected(state, gain_ratio)


@dataclass(frozen=True)
class GainRatio:
    """Thresholds on the gain ratio: λ falls when ρ > high, rises when ρ < low, else stays.

    Parameters
    ----------
    initial, maximum : float
        λ₀ and its upper limit, relative to the largest curvature at the start.
    low, high : float
        The thresholds, 0.25 and 0.75 in Fletcher (1971) and in most textbooks.
    up, down : float
        The factors above 1.

    References
    ----------
    R. Fletcher, "A modified Marquardt subroutine for non-linear least squares", AERE-R 6799, 1971.

    Examples
    --------
    >>> rule = GainRatio()
    >>> state = rule.start(curvature=1000.0)
    >>> [rule.accepted(state, ratio).damping for ratio in (0.9, 0.5, 0.1)]
    [0.25, 1.0, 4.0]
    """

    initial: float = 1e-3
    low: float = 0.25
    high: float = 0.75
    up: float = 4.0
    down: float = 4.0
    maximum: float = 1e32

    def __post_init__(self) -> None:
        _positive(initial=self.initial, maximum=self.maximum)
        if not (0 <= self.low < self.high):
            raise ValueError(f"low={self.low!r} must be at least 0 and below high={self.high!r}")
        if not (self.up > 1 and self.down > 1):
            raise ValueError(f"up={self.up!r} and down={self.down!r} must exceed 1")

    def start(self, curvature: float) -> DampingState:
        return _relative(self.initial, self.maximum, curvature)

    def accepted(self, state: DampingState, gain_ratio: float) -> DampingState:
        if gain_ratio > self.high:
            return replace(state, damping=max(state.damping / self.down, _SMALLEST))
        return replace(state, damping=state.damping * self.up) if gain_ratio < self.low else state

    def rejected(self, state: DampingState, gain_ratio: float) -> DampingState:
        del gain_ratio
        return replace(state, damping=state.damping * self.up)


class Metric(Protocol):
    """The contract of a metric."""

    def scale(self, column_sqnorms: FloatArray, previous: FloatArray | None) -> FloatArray | None:
        """The diagonal D at this iteration; None means the identity.  `previous` is the last D."""
        ...

    @property
    def needs_column_norms(self) -> bool:
        """Whether D depends on J."""
        ...


@dataclass(frozen=True)
class Identity:
    """D = I.  The default for networks: it keeps weak directions (saturated units) from running away."""

    @property
    def needs_column_norms(self) -> bool:
        return False

    def scale(self, column_sqnorms: FloatArray, previous: FloatArray | None) -> None:
        del column_sqnorms, previous


@dataclass(frozen=True)
class MarquardtMetric:
    """D = diag(JᵀJ), clamped from below at `floor` times its largest entry (Marquardt 1963)."""

    floor: float = 1e-6

    def __post_init__(self) -> None:
        _positive(floor=self.floor)

    @property
    def needs_column_norms(self) -> bool:
        return True

    def scale(self, column_sqnorms: FloatArray, previous: FloatArray | None) -> FloatArray:
        del previous
        return _clamped(column_sqnorms, self.floor)


@dataclass(frozen=True)
class MoreMetric:
    """D = the largest diag(JᵀJ) seen so far, entry by entry (Moré 1978, eq. 6.3).  Makes the path
    independent of the units of the parameters, which plain residual functions need.

    A column of zeros has D = `floor` times the largest entry, so that it takes its own scale once it has one.
    """

    floor: float = 1e-30

    def __post_init__(self) -> None:
        _positive(floor=self.floor)

    @property
    def needs_column_norms(self) -> bool:
        return True

    def scale(self, column_sqnorms: FloatArray, previous: FloatArray | None) -> FloatArray:
        own = (column_sqnorms > np.finfo(float).tiny) & (column_sqnorms < np.inf)
        scale = np.where(own, column_sqnorms, _clamped(column_sqnorms, self.floor))
        return scale if previous is None else np.maximum(scale, previous)


def _clamped(column_sqnorms: FloatArray, floor: float) -> FloatArray:
    largest = float(np.max(column_sqnorms, initial=0.0))
    if not (np.isfinite(largest) and largest > 0):
        return np.ones_like(column_sqnorms)  # a Jacobian of zeros has no scale of its own
    return np.maximum(column_sqnorms, floor * largest)
