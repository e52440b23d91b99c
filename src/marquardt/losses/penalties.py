"""Robust penalties by name, at the defaults of each."""

from __future__ import annotations

from marquardt.losses.quantile import Quantile
from marquardt.losses.robust import Cauchy, Huber, Robust, SoftL1, Tukey

PENALTIES: dict[str, Robust] = {
    "huber": Huber(),
    "soft_l1": SoftL1(),
    "cauchy": Cauchy(),
    "tukey": Tukey(),
    "quantile": Quantile(),
}
"""The first three are SciPy's names; "quantile" is the median here, `Quantile(level=...)` any other."""
