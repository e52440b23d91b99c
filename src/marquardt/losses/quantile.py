"""Quantile regression by a smoothed pinball."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marquardt._types import FloatArray
from marquardt.losses.robust import Huber


@dataclass(frozen=True)
class Quantile(Huber):
    """The quantile of the targets at `level`: Huber's penalty, times 2·level where the prediction is below
    the target and 2·(1 − level) where it is above.

    The pinball loss has a kink at 0, and no quadratic model; here it is rounded off within the threshold
    (C. Chen, "A finite smoothing algorithm for quantile regression", J. Comput. Graph. Stat. 16:136, 2007),
    which shifts the quantile by no more than the threshold.  At level 0.5 it is Huber's.

    Parameters
    ----------
    threshold : float
        Half the width of the rounding, in units of `scale`.
    level : float
        Between 0 and 1.

    Examples
    --------
    >>> Quantile(level=0.9, threshold=0.01).value(np.array([-1.0, 1.0])).round(5)
    array([0.01791, 0.00199])
    """

    threshold: float = 0.1
    level: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level!r} must be between 0 and 1, e.g. 0.9")

    def value(self, error: FloatArray) -> FloatArray:
        return self._side(error) * super().value(error)

    def weight(self, error: FloatArray) -> FloatArray:
        return self._side(error) * super().weight(error)

    def curvature(self, error: FloatArray) -> FloatArray:
        return self._side(error) * super().curvature(error)

    def _side(self, error: FloatArray) -> FloatArray:
        return np.where(error > 0, 2.0 * (1.0 - self.level), 2.0 * self.level)
