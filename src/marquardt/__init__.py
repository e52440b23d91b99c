"""Marquardt: train neural networks by the Levenberg-Marquardt method."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from marquardt.damping import (
    Continued,
    GainRatio,
    Identity,
    MarquardtMetric,
    MoreMetric,
    Multiplicative,
    Nielsen,
)
from marquardt.growing_rows import GrowingRows
from marquardt.initialization import LSUV, Glorot, He, NguyenWidrow, Uniform
from marquardt.least_squares_fit import LeastSquaresFit, least_squares
from marquardt.linsolve import QR, Auto, Cholesky, Dual, Eigen, Iterative, MixedCholesky
from marquardt.lm import minimize
from marquardt.method import DEFAULT_DAMPING, Geodesic, Method
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
    from marquardt.bayesian.evidence import maximize_evidence
    from marquardt.bayesian.evidence_result import EvidenceResult
    from marquardt.bayesian.noise import known_noise
    from marquardt.bayesian.posterior import Posterior
    from marquardt.closed_loop_problem import ClosedLoopProblem
    from marquardt.curves import compare, curve_fit
    from marquardt.diagnosis import Diagnosis, Finding, Severity, diagnose, diagnose_network
    from marquardt.estimators.classifier import LMClassifier
    from marquardt.estimators.regressor import LMRegressor
    from marquardt.estimators.regularization import Bayesian
    from marquardt.feedback import Feedback
    from marquardt.files.checkpoint import Checkpoint
    from marquardt.files.persistence import load, save
    from marquardt.losses import Cauchy, Huber, Quantile, SoftL1, Tukey
    from marquardt.robust_fit import RobustFit, fit_robustly
    from marquardt.target_weights import entry_weights
    from marquardt.trainer.bayesian import BayesianRegularization
    from marquardt.validation_damping import ValidationGuided

__version__ = "0.1.0"

_LAZY = {
    "Bayesian": "marquardt.estimators.regularization",
    "BayesianRegularization": "marquardt.trainer.bayesian",
    "Cauchy": "marquardt.losses",
    "Checkpoint": "marquardt.files.checkpoint",
    "ClosedLoopProblem": "marquardt.closed_loop_problem",
    "Diagnosis": "marquardt.diagnosis",
    "EvidenceResult": "marquardt.bayesian.evidence_result",
    "Feedback": "marquardt.feedback",
    "Finding": "marquardt.diagnosis",
    "Huber": "marquardt.losses",
    "LMClassifier": "marquardt.estimators.classifier",
    "LMRegressor": "marquardt.estimators.regressor",
    "Posterior": "marquardt.bayesian.posterior",
    "Quantile": "marquardt.losses",
    "RobustFit": "marquardt.robust_fit",
    "Severity": "marquardt.diagnosis",
    "SoftL1": "marquardt.losses",
    "Tukey": "marquardt.losses",
    "ValidationGuided": "marquardt.validation_damping",
    "compare": "marquardt.curves",
    "curve_fit": "marquardt.curves",
    "diagnose": "marquardt.diagnosis",
    "diagnose_network": "marquardt.diagnosis",
    "entry_weights": "marquardt.target_weights",
    "fit_robustly": "marquardt.robust_fit",
    "known_noise": "marquardt.bayesian.noise",
    "load": "marquardt.files.persistence",
    "maximize_evidence": "marquardt.bayesian.evidence",
    "save": "marquardt.files.persistence",
}
"""Public names imported when first asked for: their modules are not needed by all, or load scikit-learn."""

__all__ = [
    "DEFAULT_DAMPING",
    "LSUV",
    "MLP",
    "QR",
    "Auto",
    "Bayesian",
    "BayesianRegularization",
    "Cauchy",
    "Checkpoint",
    "Cholesky",
    "ClosedLoopProblem",
    "Continued",
    "Diagnosis",
    "Dual",
    "Eigen",
    "Elu",
    "EvidenceResult",
    "Feedback",
    "Finding",
    "FirstImprovement",
    "GainRatio",
    "Gelu",
    "Geodesic",
    "Glorot",
    "GrowingRows",
    "He",
    "History",
    "Huber",
    "Identity",
    "Input",
    "Iteration",
    "Iterative",
    "LMClassifier",
    "LMRegressor",
    "LeastSquaresFit",
    "LevenbergMarquardt",
    "Linear",
    "Logistic",
    "MarquardtMetric",
    "Method",
    "MixedCholesky",
    "MoreMetric",
    "Multiplicative",
    "NetworkProblem",
    "NguyenWidrow",
    "Nielsen",
    "Posterior",
    "Quantile",
    "RatioProbing",
    "Relu",
    "Result",
    "RobustFit",
    "Severity",
    "Sigmoid",
    "Sine",
    "SoftL1",
    "Softmax",
    "Softplus",
    "Status",
    "StopTraining",
    "Stopping",
    "Swish",
    "Tanh",
    "Tukey",
    "Uniform",
    "ValidationGuided",
    "__version__",
    "compare",
    "curve_fit",
    "diagnose",
    "diagnose_network",
    "entry_weights",
    "fit_robustly",
    "known_noise",
    "least_squares",
    "load",
    "maximize_evidence",
    "minimize",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'marquardt' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
