"""Marquardt: train neural networks by the Levenberg-Marquardt method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marquardt.damping import GainRatio, Identity, MarquardtMetric, MoreMetric, Multiplicative, Nielsen
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

__version__ = "0.1.0"
