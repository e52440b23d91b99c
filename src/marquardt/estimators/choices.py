"""What the estimator and the command call by name: each name stands once, beside its object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from marquardt.damping import DampingRule, GainRatio, Multiplicative, Nielsen
from marquardt.estimators.regularization import L2, Bayesian, Regularization
from marquardt.growing_rows import GrowingRows
from marquardt.initialization import INITIALIZATIONS, Initialization, default_initialization
from marquardt.linsolve import QR, Auto, Cholesky, Dual, Eigen, Iterative, LinearSolver, MixedCholesky
from marquardt.losses import PENALTIES, LossOf, Robust, cross_entropy, squared_error
from marquardt.method import DEFAULT_DAMPING
from marquardt.models.layers import (
    Elu,
    Gelu,
    Layer,
    Linear,
    Logistic,
    Relu,
    Sigmoid,
    Sine,
    Softplus,
    Swish,
    Tanh,
)
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.validation_damping import ValidationGuided

T = TypeVar("T")

ACTIVATIONS: dict[str, type[Layer]] = {
    "identity": Linear,
    "logistic": Logistic,
    "tanh": Tanh,
    "relu": Relu,
    "linear": Linear,
    "sigmoid": Sigmoid,
    "elu": Elu,
    "softplus": Softplus,
    "sine": Sine,
    "gelu": Gelu,
    "swish": Swish,
}
"""Hidden layers; the first four names are scikit-learn's."""

SOLVERS: dict[str, LinearSolver] = {
    "auto": Auto(),
    "cholesky": Cholesky(),
    "mixed": MixedCholesky(),
    "qr": QR(),
    "dual": Dual(),
    "eigen": Eigen(),
    "iterative": Iterative(),
}

DAMPINGS: dict[str, DampingRule] = {
    "auto": DEFAULT_DAMPING,
    "nielsen": Nielsen(),
    "trainlm": Multiplicative(),
    "gain-ratio": GainRatio(),
    "validation": ValidationGuided(),
}

CLASSIFICATION_LOSSES: dict[str, LossOf] = {"cross_entropy": cross_entropy, "squared_error": squared_error}

REGULARIZATIONS: dict[str, Regularization] = {"l2": L2(), "bayesian": Bayesian()}

REGRESSION_LOSSES: dict[str, Robust | None] = {"squared_error": None, **PENALTIES}

GROWTH_PAYS = 64
"""Values of the targets per parameter from which on it pays to begin on a part of the rows: whole runs on
Friedman's function take 1.1 times less time at 20, 1.3 times at 80 and 1.5 times at 400
(`benchmarks/growing_rows.py`)."""

INITIALIZATION_NAMES = ("auto", *INITIALIZATIONS)


def chosen(value: str | T, table: Mapping[str, T]) -> T:
    """The object of a name; an object is taken as it is.

    Examples
    --------
    >>> chosen("qr", SOLVERS)
    QR()
    >>> chosen(QR(), SOLVERS)
    QR()
    """
    return table[value] if isinstance(value, str) else value


def chosen_law(value: str | Initialization, network: MLP) -> Initialization:
    """The law of a name; "auto" depends on the network."""
    if isinstance(value, str):
        return default_initialization(network) if value == "auto" else INITIALIZATIONS[value]()
    return value


def chosen_regularization(value: str | Regularization, another: bool) -> Regularization:
    """The object of a name; "auto" is Bayesian unless `another` way than the evidence was asked for: a
    penalty, early stopping, a robust loss.

    Examples
    --------
    >>> chosen_regularization("auto", False).groups
    'input'
    >>> chosen_regularization("auto", True)
    L2()
    """
    if value == "auto":
        value = "l2" if another else "bayesian"
    return chosen(value, REGULARIZATIONS)


def chosen_growth(value: bool | str | GrowingRows, problem: NetworkProblem) -> GrowingRows | None:
    """How rows grow: "auto" lets them where they are many times more than the parameters and the errors are
    squared.  Classes gain nothing by it.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import Input, Linear
    >>> few, many = (NetworkProblem(Input(1) >> Linear(1), np.zeros((n, 1)), np.zeros(n)) for n in (20, 200))
    >>> print(chosen_growth("auto", few), chosen_growth("auto", many), chosen_growth(False, many))
    None GrowingRows(first=4.0, factor=4.0, agreement=0.5, seed=0) None
    """
    if isinstance(value, str):
        many = problem.n_samples * problem.values_per_row >= GROWTH_PAYS * problem.n_params
        value = problem.sums_squares and many
    if isinstance(value, GrowingRows):
        return value
    return GrowingRows() if value else None
