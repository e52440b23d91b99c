"""Do the intervals hold what they say?  If not: what that means, and what to do."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from marquardt._types import FloatArray
from marquardt.calibration import Calibration
from marquardt.tables.fit_record import FitRecord

LEVEL = 0.95
"""Of the intervals that the reports speak of."""


def by_chance(n: int, level: ArrayLike = LEVEL) -> tuple[FloatArray, FloatArray]:
    """The shares of n rows, from and to, that right intervals of this probability hold in 95 % of the cases.

    Examples
    --------
    >>> low, high = by_chance(100)
    >>> float(low), float(high)
    (0.9, 0.99)
    """
    p = np.asarray(level, dtype=float)
    low, high = (np.asarray(binom.ppf(end, n, p), dtype=float) / n for end in (0.025, 0.975))
    return low, high


def chance_text(n: int) -> str:
    """`90 to 99 %`, for 95 % intervals on n rows."""
    low, high = by_chance(n)
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def too_short(record: FitRecord, target: int) -> bool:
    """Whether the 95 % intervals hold fewer of the held-out rows than chance explains."""
    own = _held_out(record, target)
    return own is not None and bool(own.coverage(LEVEL) < by_chance(len(own.y))[0])


def error_bar_advice(record: FitRecord) -> list[str]:
    """A sentence or two for each target whose intervals are too short on the held-out rows.

    Where the 50 % intervals hold half of the rows and the 95 % ones too few, the errors have not the shape of
    the bell that the bars take for granted: the usual row is fine.  On the energy table 95 % intervals hold
    90, 92 and 92 % (seeds 0 to 2), and with a network for the noise 94, 95 and 97 %.
    """
    said = []
    for k, name in enumerate(record.targets):
        own = _held_out(record, k)
        if own is None or not too_short(record, k):
            continue
        n, held = len(own.y), own.coverage(LEVEL)
        of = f" of {name}" if len(record.targets) > 1 else ""
        found = (
            f"The 95 % intervals{of} hold {round(n * held)} of {n} held-out rows ({100 * held:.0f} %), fewer "
            f"than chance explains ({chance_text(n)})"
        )
        longer = float(np.quantile(np.abs(own.z), LEVEL, method="higher")) / 1.96
        said.append(
            f"{found}: {_meaning(record, own)}. Until then make the intervals {longer:.2g} times as long."
        )
    return said


def _meaning(record: FitRecord, own: Calibration) -> str:
    if own.coverage(0.5) < 0.5:
        return (
            "rows like these are predicted worse than their error bars say; more rows help, or more --starts "
            "with a --committee"
        )
    varying = "" if record.settings.get("noise") == "varying" else ", try --varying-noise"
    return (
        "most rows are predicted better than their error bars say, and a few much worse; those few may be "
        "measured less well, or be of a kind rare among the training rows: look at them (in the HTML report, "
        f"the points outside){varying}"
    )


def _held_out(record: FitRecord, target: int) -> Calibration | None:
    return None if record.held_out is None else record.held_out.calibration(target)
