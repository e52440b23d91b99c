"""Losses: from the output argument Z (K, N) to residuals, their derivatives and the cost."""

from marquardt.losses.cross_entropy import LogisticCrossEntropy, SoftmaxCrossEntropy, cross_entropy
from marquardt.losses.loss import Loss, LossOf
from marquardt.losses.penalties import PENALTIES
from marquardt.losses.quantile import Quantile
from marquardt.losses.reweighted import Penalty, Reweighted
from marquardt.losses.robust import Cauchy, Huber, Robust, SoftL1, Tukey
from marquardt.losses.squared import SoftmaxSquaredError, SquaredError, squared_error

__all__ = [
    "PENALTIES",
    "Cauchy",
    "Huber",
    "LogisticCrossEntropy",
    "Loss",
    "LossOf",
    "Penalty",
    "Quantile",
    "Reweighted",
    "Robust",
    "SoftL1",
    "SoftmaxCrossEntropy",
    "SoftmaxSquaredError",
    "SquaredError",
    "Tukey",
    "cross_entropy",
    "squared_error",
]
