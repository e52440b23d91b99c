"""What a user may write in the settings of `LevenbergMarquardt`, and the objects that it stands for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import check_samples
from marquardt._types import FloatArray
from marquardt.damping import DampingRule, Identity, Metric, Nielsen
from marquardt.linsolve import Auto, LinearSolver
from marquardt.method import Geodesic, Method
from marquardt.models.layers import Input, Layer, Logistic, Sigmoid, Tanh
from marquardt.models.mlp import MLP
from marquardt.trainer.escalating import Escalating

Network: TypeAlias = MLP | Sequence[Layer] | Sequence[int]
Samples: TypeAlias = tuple[FloatArray, FloatArray]


def as_network(network: Network) -> MLP:
    """The network that a list of layers or of sizes describes; sizes mean logistic units, as in NeuPy.

    Raises
    ------
    TypeError, ValueError
        When it describes none.

    Examples
    --------
    >>> as_network((2, 3, 1))
    Input(2) >> Sigmoid(3) >> Sigmoid(1)
    >>> as_network([2, Sigmoid(3)])
    Traceback (most recent call last):
    TypeError: network [2, Sigmoid(3)] mixes layers and numbers: write layers only, or sizes as in (2, 3, 1)
    """
    if isinstance(network, MLP):
        return network
    if not isinstance(network, Sequence) or isinstance(network, str):
        raise TypeError(
            f"network {network!r} is none: write Input(2) >> Sigmoid(3) >> Sigmoid(1), which begins with "
            "Input, or a list of these layers, or their sizes (2, 3, 1)"
        )
    entries: list[Any] = list(network)
    if all(isinstance(entry, Layer) for entry in entries):
        return MLP(entries)
    if any(isinstance(entry, Layer) for entry in entries):
        raise TypeError(
            f"network {entries} mixes layers and numbers: write layers only, or sizes as in (2, 3, 1)"
        )
    first, *rest = entries
    return MLP([Input(first), *(Sigmoid(units) for units in rest)])


def as_damping(mu: Any, mu_update_factor: Any) -> DampingRule:
    """NeuPy's rule, or Nielsen's when there is no factor.

    Raises
    ------
    ValueError
        When `mu` is not above 0 or the factor not above 1.

    Examples
    --------
    >>> as_damping(0.01, None)
    Nielsen(initial=0.01, ...)
    """
    if not _above(mu, 0):
        raise ValueError(f"mu={mu!r} must be a number above 0: a rejected step raises it by a factor")
    if mu_update_factor is None:
        return Nielsen(initial=float(mu))
    if not _above(mu_update_factor, 1):
        raise ValueError(
            f"mu_update_factor={mu_update_factor!r} must be a number above 1, or None for Nielsen's rule"
        )
    return Escalating(float(mu), float(mu_update_factor))


def as_method(
    damping: DampingRule,
    metric: Metric | None,
    solver: LinearSolver | None,
    acceleration: bool,
    resolve: bool,
) -> Method:
    """The parts of the step in one object."""
    return Method(
        damping=damping,
        metric=metric or Identity(),
        solver=solver or Auto(),
        acceleration=Geodesic() if acceleration else None,
        resolve_output=resolve,
    )


def as_count(name: str, value: Any) -> int:
    """A whole number of at least 1; 5.0 is one too.

    Raises
    ------
    ValueError
        When it is none.
    """
    whole = isinstance(value, float) and value.is_integer()
    count = int(value) if whole or hasattr(value, "__index__") else 0
    if count < 1 or isinstance(value, bool):
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return count


def as_inputs(X: ArrayLike, network: MLP) -> np.ndarray:
    """X; a vector is read as NeuPy does: a column for one input, else one sample of as many inputs.

    Examples
    --------
    >>> as_inputs([1.0, 2.0], as_network((1, 3, 1))).shape, as_inputs([1.0, 2.0], as_network((2, 3, 1))).shape
    ((2, 1), (1, 2))
    """
    X = np.asarray(X)
    if X.ndim == 1 and network.n_inputs == 1:
        return X[:, None]
    return X[None, :] if X.ndim == 1 and len(X) == network.n_inputs else X


def as_samples(X: ArrayLike, y: ArrayLike | None, network: MLP) -> Samples:
    """X (n_samples, n_inputs) and y (n_samples, n_outputs) as finite float64.

    Raises
    ------
    ValueError
        When the targets are missing, shapes do not fit, or a value is NaN or infinite.
    """
    if y is None:
        raise ValueError("the targets are missing: the method learns from pairs of inputs and targets")
    return check_samples(as_inputs(X, network), y, network.n_inputs, network.n_outputs)


def warn_out_of_reach(network: MLP, targets: FloatArray) -> None:
    """Warn of targets that no weights reach: networks by their sizes end in logistic units, as in NeuPy."""
    last = network.layers[-1]
    reach = next((ends for kind, ends in _REACH.items() if isinstance(last, kind)), None)
    low, high = float(targets.min()), float(targets.max())
    if reach is not None and (low < reach[0] or high > reach[1]):
        warnings.warn(
            f"the targets go from {low:.3g} to {high:.3g}, but the network ends in {last!r}, whose values "
            f"lie between {reach[0]:g} and {reach[1]:g}: end it in Linear({last.units}), or scale the "
            "targets",
            UserWarning,
            stacklevel=4,
        )


_REACH = {Logistic: (0.0, 1.0), Sigmoid: (0.0, 1.0), Tanh: (-1.0, 1.0)}


def as_test_samples(X_test: ArrayLike | None, y_test: ArrayLike | None, network: MLP) -> Samples | None:
    """The same for data to watch; None when there are none.

    Raises
    ------
    ValueError
        Also when one of the two is missing.
    """
    if X_test is None and y_test is None:
        return None
    if X_test is None or y_test is None:
        missing = "X_test" if X_test is None else "y_test"
        raise ValueError(f"{missing} is missing: give both X_test and y_test, or neither")
    try:
        return as_samples(X_test, y_test, network)
    except ValueError as error:
        raise ValueError(f"in X_test and y_test: {error}") from None


def architecture_text(network: MLP) -> str:
    """A table of the layers with their numbers of parameters.

    Examples
    --------
    >>> print(architecture_text(as_network((2, 3, 1))))
      #  layer        units  parameters
      1  Input            2           0
      2  Sigmoid          3           9
      3  Sigmoid          1           4
         total                       13
    """
    counts = [0, *(rows * columns for rows, columns in network.shapes)]
    lines = [f"{'#':>3}  {'layer':<10}{'units':>8}{'parameters':>12}"]
    for i, (layer, count) in enumerate(zip(network.layers, counts, strict=True), start=1):
        lines.append(f"{i:>3}  {type(layer).__name__:<10}{layer.units:>8}{count:>12}")
    return "\n".join([*lines, f"{'':>3}  {'total':<10}{'':>8}{network.n_params:>12}"])


def mean_squared_error(predicted: FloatArray, targets: FloatArray) -> float:
    """Mean over samples and outputs, NeuPy's ``mse``.

    Examples
    --------
    >>> mean_squared_error(np.array([[1.0], [2.0]]), np.array([[1.0], [0.0]]))
    2.0
    """
    difference = (predicted - targets).ravel()
    return float(difference @ difference) / difference.size


def _above(value: Any, bound: float) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value) and value > bound)
