r"""Noncompartmental analysis: what a curve tells without a model, and what a model is to agree with.

Areas are by trapezoids, linear while concentrations rise and logarithmic while they fall,

    ∫ C dt ≈ Δt (C₁ + C₂)/2,      Δt (C₁ − C₂)/log(C₁/C₂),

the latter exact for exponentials.  The terminal rate λ is the slope of log C over the last samples: three or
more, as many as fit a line best by the adjusted R² (J. Gabrielsson, D. Weiner, Methods Mol. Biol. 929:377,
2012).  Then AUC∞ = AUC_last + C_last/λ, and the half-life is log 2/λ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt.apps.pkpd.subjects import Observations, Subject

_SAME_FIT = 1e-4
"""Of the adjusted R²: of the numbers of samples so near the best the largest counts (Gabrielsson, Weiner)."""
_MUCH = 0.2
"""Of AUC∞ beyond the last sample: more makes it a guess (the customary limit)."""


@dataclass(frozen=True)
class Noncompartmental:
    """Of one subject after one dose; NaN what cannot be told.  Made by `nca`."""

    c_max: float
    t_max: float
    """Of the first highest concentration, since the dose."""
    auc_last: float
    """Up to the last measured concentration."""
    auc_inf: float
    half_life: float
    clearance: float
    """Dose/AUC∞; after an oral dose over the bioavailability."""
    extrapolated: float
    """The share of AUC∞ beyond the last sample."""
    n_terminal: int
    """Samples in the terminal line; 0 if there is none."""
    notes: tuple[str, ...] = ()


def nca(subject: Subject, endpoint: str | None = None) -> Noncompartmental:
    """Peak, areas, half-life and clearance of one subject after one dose.

    Values below the limit of quantification count as 0 before the first measured one, and are left out after
    it; replicates are averaged.  A concentration at the dose that was not sampled is 0, and after a bolus the
    line of log C through the first two samples.

    Parameters
    ----------
    subject : Subject
    endpoint : str, optional
        Where there are several.

    Raises
    ------
    ValueError
        For more than one dose or none, an unknown endpoint, no concentration above 0.

    Examples
    --------
    >>> from marquardt.apps.pkpd import Regimen
    >>> t = np.array([1.0, 2.0, 4.0, 8.0, 12.0])
    >>> measured = Observations(t, 10 * np.exp(-0.2 * t))
    >>> found = nca(Subject("a", Regimen.bolus(100.0), {"conc": measured}))
    >>> round(found.auc_inf, 6), round(found.half_life, 4), round(found.clearance, 6)
    (50.0, 3.4657, 2.0)
    """
    seen = _chosen(subject, endpoint)
    doses = [dose for dose in subject.regimen.doses if dose.amount > 0]
    if len(doses) != 1:
        raise ValueError(
            f"subject {subject.id} has {len(doses)} doses: areas to infinity and half-lives are of one; "
            "choose the observations up to the next dose, Observations.where, with a regimen of that dose"
        )
    (dose,) = doses
    t, c = _curve(seen, dose.time)
    if not (c > 0).any():
        raise ValueError(f"subject {subject.id} has no concentration above 0 after the dose")
    peak = int(c.argmax())
    c_max, t_max = float(c[peak]), float(t[peak])
    quick = not dose.duration and dose.route.value == "bolus"
    if t[0] > 0:
        t, c = np.concatenate([[0.0], t]), np.concatenate([[_at_dose(t, c) if quick else 0.0], c])
    last = int(np.flatnonzero(c > 0)[-1])
    area = _area(t[: last + 1], c[: last + 1])
    # a peak that is still absorbed, or infused, is none of the line; after a bolus it is
    after = np.flatnonzero(t >= t_max if quick else t > t_max)
    after = after[(c[after] > 0) & (after <= last)]
    rate, c_last, n = _terminal(t[after], c[after])
    beyond = c_last / rate
    whole = area + beyond
    notes = []
    if not n:
        notes.append("no terminal line: fewer than three falling samples after the peak")
    elif beyond / whole > _MUCH:
        notes.append(f"{100 * beyond / whole:.0f} % of the area lie beyond the last sample: it is a guess")
    return Noncompartmental(
        c_max,
        t_max,
        area,
        whole,
        float(np.log(2)) / rate,
        dose.amount / whole,
        beyond / whole,
        n,
        tuple(notes),
    )


def _chosen(subject: Subject, endpoint: str | None) -> Observations:
    names = list(subject.observations)
    if endpoint is None and len(names) == 1:
        endpoint = names[0]
    if endpoint not in names:
        raise ValueError(f"endpoint={endpoint!r}: choose one of {', '.join(names)} of subject {subject.id}")
    return subject.observations[endpoint]


def _curve(seen: Observations, dosed: float) -> tuple[np.ndarray, np.ndarray]:
    """Times since the dose and concentrations (n,), each time once."""
    c = np.where(seen.censored, 0.0, np.maximum(seen.values, 0.0))
    measured = np.flatnonzero(c > 0)
    first = measured[0] if len(measured) else len(c)
    keep = (seen.times >= dosed) & (~seen.censored | (np.arange(len(c)) < first))
    t, where = np.unique(seen.times[keep] - dosed, return_inverse=True)
    if not len(t):
        return np.zeros(1), np.zeros(1)
    return t, np.bincount(where, c[keep]) / np.bincount(where)


def _at_dose(t: np.ndarray, c: np.ndarray) -> float:
    """C₀ after a bolus, by the first two samples; the first one itself where they do not fall."""
    if len(c) < 2 or not c[0] > c[1] > 0:
        return float(c[0])
    return float(c[0] * np.exp(np.log(c[0] / c[1]) * t[0] / (t[1] - t[0])))


def _area(t: np.ndarray, c: np.ndarray) -> float:
    """Linear up, logarithmic down."""
    wait, before, after = np.diff(t), c[:-1], c[1:]
    falls = (after < before) & (after > 0)
    ratio = np.log(np.where(falls, before, np.e) / np.where(falls, after, 1.0))
    return float((wait * np.where(falls, (before - after) / ratio, 0.5 * (before + after))).sum())


def _terminal(t: np.ndarray, c: np.ndarray) -> tuple[float, float, int]:
    """λ, the concentration of the last sample, and the number of samples of the best line."""
    best, found = -np.inf, (np.nan, np.nan, 0)
    for n in range(3, len(t) + 1):
        x, y = t[-n:], np.log(c[-n:])
        slope, height = np.polyfit(x - x.mean(), y, 1)
        total = float(((y - height) ** 2).sum())
        if slope >= 0 or not total:
            continue
        left = float(((y - height - slope * (x - x.mean())) ** 2).sum())
        adjusted = 1 - left / total * (n - 1) / (n - 2)
        if adjusted > best - _SAME_FIT:
            best, found = max(best, adjusted), (-float(slope), float(c[-1]), n)
    return found
