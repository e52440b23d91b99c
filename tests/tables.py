"""The tables whose products the tests run: solvers, damping rules, metrics, networks, problems."""

from dataclasses import dataclass

import numpy as np

from marquardt import (
    MLP,
    QR,
    Auto,
    Cholesky,
    Dual,
    Eigen,
    GainRatio,
    Geodesic,
    Identity,
    Input,
    Iteration,
    Linear,
    Logistic,
    MarquardtMetric,
    MoreMetric,
    Multiplicative,
    NetworkProblem,
    Nielsen,
    Sine,
    Softmax,
    Tanh,
)
from marquardt.differences import CentralDifferences, ForwardDifferences
from marquardt.linsolve import Iterative, MixedCholesky
from marquardt.losses import Huber, cross_entropy
from marquardt.models.layers import LAYERS
from marquardt.residual_problem import ResidualProblem

ITERATIVE = Iterative(
    tolerance=1e-20, probe_tolerance=1e-20, sample=3, max_iter=100, probes=10_000, accelerate=True
)
"""So tight that steps agree with the others to 1e-9, with a preconditioner of 3 rows, and as many probes as
dimensions, so that traces and determinants are exact."""
SOLVERS = {
    "auto": Auto(),
    "cholesky": Cholesky(),
    "dual": Dual(),
    "eigen": Eigen(),
    "qr": QR(),
    "iterative": ITERATIVE,
    "mixed": MixedCholesky(tolerance=1e-12),
}
EXPLICIT_SOLVERS = {name: solver for name, solver in SOLVERS.items() if name != "auto"}
DIRECT_SOLVERS = {name: solver for name, solver in SOLVERS.items() if name != "iterative"}
"""For exact fits: conjugate gradients crawl where the damping is rounding of the curvature."""

DAMPINGS = {
    "nielsen": Nielsen(),
    "trainlm": Multiplicative(),
    "neupy": Multiplicative(initial=0.01, up=1.2, down=1.2),
    "relative": Multiplicative(relative=True),
    "gain_ratio": GainRatio(),
}

METRICS = {"identity": Identity(), "marquardt": MarquardtMetric(), "more": MoreMetric()}

ACCELERATIONS = {"plain": None, "geodesic": Geodesic(), "geodesic_0.3": Geodesic(limit=0.3)}

ACTIVATIONS = {name: layer for name, layer in LAYERS.items() if name not in ("Input", "Softmax")}
"""The elementwise kinds of layer."""
OUTPUTS = {"Linear": Linear, "Logistic": Logistic, "Tanh": Tanh, "Softmax": Softmax}

_HIDDEN = {0: (), 1: (3,), 2: (3, 2), 3: (2, 3, 2)}


def _networks():
    for output in OUTPUTS.values():
        for n_outputs in (1, 2, 3):
            yield MLP([Input(2), output(n_outputs)])
            for depth in (1, 2, 3):
                for hidden in ACTIVATIONS.values():
                    inner = [hidden(units) for units in _HIDDEN[depth]]
                    yield MLP([Input(2), *inner, output(n_outputs)])


NETWORKS = {repr(network): network for network in _networks()}
"""Every activation x output activation x 1..3 outputs x depth 0..3."""

LAYOUTS = {
    repr(network): network
    for network in (
        MLP([Input(2), Linear(1)]),
        MLP([Input(3), Softmax(3)]),
        MLP([Input(1), Tanh(5), Linear(1)]),
        MLP([Input(3), Tanh(2), Linear(2)]),
        MLP([Input(2), Sine(3), Tanh(4), Logistic(3)]),
        MLP([Input(2), Tanh(3), Logistic(2), Tanh(2), Softmax(3)]),
    )
}
"""One network for each way the Jacobian can be laid out."""


@dataclass(frozen=True)
class Case:
    """A network with everything a test needs at one point."""

    network: MLP
    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    w: np.ndarray
    direction: np.ndarray

    @property
    def problem(self):
        return NetworkProblem(self.network, self.X, self.y, sample_weight=self.sample_weight)


def case(network, weighted=False, n_samples=5, seed=0):
    """Random data, parameters and a direction for a network."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n_samples, network.n_inputs))
    y = rng.uniform(-1, 1, (n_samples, network.n_outputs))
    sample_weight = rng.uniform(0, 3, n_samples) if weighted else None
    w, direction = rng.normal(0, 0.7, (2, network.n_params))
    return Case(network, X, y, sample_weight, w, direction)


def _network_problem(network, n_samples, seed, **options):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n_samples, network.n_inputs))
    y = np.sin(3 * X[:, :1]) * np.cos(np.arange(network.n_outputs)) + 0.1 * rng.normal(
        size=(n_samples, network.n_outputs)
    )
    if options.pop("weighted", False):
        options["sample_weight"] = rng.uniform(0.1, 2, n_samples)
    if isinstance(network.layers[-1], Softmax | Logistic):
        y = (y > 0).astype(float)
    return NetworkProblem(network, X, y, **options), rng.normal(0, 0.5, network.n_params)


def exponential_curve(jacobian=None, n=20):
    """A decay with offset, y = a e^(-kt) + c with noise; and a start."""
    t = np.linspace(0, 3, n)
    y = 2.0 * np.exp(-1.3 * t) + 0.5 + 0.01 * np.cos(40 * t)

    def residual(w):
        return w[0] * np.exp(-w[1] * t) + w[2] - y

    def analytic(w):
        decay = np.exp(-w[1] * t)
        return np.column_stack([decay, -w[0] * t * decay, np.ones_like(t)])

    return ResidualProblem(residual, 3, jacobian or analytic), np.array([1.0, 0.3, 0.0])


PROBLEMS = {
    "one output": lambda: _network_problem(Input(2) >> Tanh(4) >> Linear(1), 30, 1),
    "two outputs": lambda: _network_problem(Input(2) >> Tanh(3) >> Linear(2), 20, 2),
    "prior": lambda: _network_problem(Input(2) >> Tanh(3) >> Linear(2), 20, 3, alpha=0.01),
    "weights": lambda: _network_problem(Input(2) >> Sine(3) >> Linear(2), 20, 4, weighted=True),
    "all": lambda: _network_problem(
        Input(2) >> Tanh(3) >> Logistic(2) >> Linear(2), 20, 5, alpha=0.1, weighted=True
    ),
    "logistic": lambda: _network_problem(Input(2) >> Tanh(3) >> Logistic(1), 30, 6),
    "softmax": lambda: _network_problem(Input(2) >> Tanh(3) >> Softmax(2), 20, 7),
    "cross-entropy, softmax": lambda: _network_problem(
        Input(2) >> Tanh(3) >> Softmax(2), 20, 11, weighted=True, alpha=0.01, loss=cross_entropy
    ),
    "cross-entropy, logistic": lambda: _network_problem(
        Input(2) >> Tanh(3) >> Logistic(2), 20, 12, alpha=0.01, loss=cross_entropy
    ),
    "huber, weights": lambda: _network_problem(
        Input(2) >> Tanh(3) >> Linear(2), 20, 13, weighted=True, alpha=0.01, loss=Huber(0.1)
    ),
    "no hidden layer": lambda: _network_problem(Input(3) >> Linear(2), 20, 8),
    "wide": lambda: _network_problem(Input(2) >> Tanh(6) >> Linear(1), 8, 9),
    "wide prior": lambda: _network_problem(Input(2) >> Tanh(6) >> Linear(1), 8, 10, alpha=0.1),
    "curve": exponential_curve,
    "curve, forward differences": lambda: exponential_curve(ForwardDifferences()),
    "curve, central differences": lambda: exponential_curve(CentralDifferences()),
}
"""Name -> () -> (problem, w0)."""


def record(**changes):
    """An iteration in full swing, with some fields changed."""
    fields = {
        "iteration": 5,
        "cost": 1.0,
        "damping": 1e-3,
        "gain_ratio": 0.9,
        "gradient_norm": 0.1,
        "step_norm": 0.1,
        "rejected": 0,
        "n_jacobians": 6,
        "n_costs": 6,
        "time": 1.0,
        "decrease": 0.1,
        "predicted": 0.1,
        "damping_share": 0.1,
    }
    return Iteration(**(fields | changes))
