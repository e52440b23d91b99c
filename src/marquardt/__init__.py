"""Marquardt: train neural networks by the Levenberg-Marquardt method."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from marquardt.damping import GainRatio, Identity, MarquardtMetric, MoreMetric, Multiplicative, Nielsen
from marquardt.initialization import LSUV, Glorot, He, NguyenWidrow, Uniform
from marquardt.least_squares_fit import LeastSquaresFit, least_squares
from marquardt.linsolve import QR, Auto, Cholesky, Dual, Eigen
from marquardt.lm import minimize
from marquardt.method import Geodesic, Method
from marquardt.models.layers import (
    Elu,
    Gelu,
    Input,
    Linear,
    Logistic,
    Relu,
    Sigmoid,
    Sine,
    Softmax,
    Softplus,
    Swish,
    Tanh,
)
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import History, Iteration, Result, Status
from marquardt.search import FirstImprovement, RatioProbing
from marquardt.stopping import Stopping
from marquardt.trainer.signals import StopTraining
from marquardt.trainer.trainer import LevenbergMarquardt

if TYPE_CHECKING:
    from marquardt.estimators.classifier import LMClassifier
    from marquardt.estimators.regressor import LMRegressor
    from marquardt.files.persistence import load, save

__version__ = "0.1.0"

_LAZY = {
    "LMClassifier": "marquardt.estimators.classifier",
    "LMRegressor": "marquardt.estimators.regressor",
    "load": "marquardt.files.persistence",
    "save": "marquardt.files.persistence",
}
"""Public names whose modules load scikit-learn or pandas: imported when first asked for."""

__all__ = [
    "LSUV",
    "MLP",
    "QR",
    "Auto",
    "Cholesky",
    "Dual",
    "Eigen",
    "Elu",
    "FirstImprovement",
    "GainRatio",
    "Gelu",
    "Geodesic",
    "Glorot",
    "He",
    "History",
    "Identity",
    "Input",
    "Iteration",
    "LMClassifier",
    "LMRegressor",
    "LeastSquaresFit",
    "LevenbergMarquardt",
    "Linear",
    "Logistic",
    "MarquardtMetric",
    "Method",
    "MoreMetric",
    "Multiplicative",
    "NetworkProblem",
    "NguyenWidrow",
    "Nielsen",
    "RatioProbing",
    "Relu",
    "Result",
    "Sigmoid",
    "Sine",
    "Softmax",
    "Softplus",
    "Status",
    "StopTraining",
    "Stopping",
    "Swish",
    "Tanh",
    "Uniform",
    "__version__",
    "least_squares",
    "load",
    "minimize",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'marquardt' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
