r"""Problems: what is minimised, as the driver sees it.

C(w) = ½‖r(w)‖² + ½ wᵀS₀w.  A problem evaluates its cost, linearises itself at a point, and, where it can,
gives the second directional derivative of r and solves its linear output layer again.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from marquardt._checks import check_samples, check_weights
from marquardt._lapack import dposv
from marquardt._types import FloatArray, IntArray
from marquardt.gram import LayerFactors, Scratch
from marquardt.jacobian import Jacobian, KhatriRaoJacobian
from marquardt.losses import (
    LogisticCrossEntropy,
    Loss,
    LossOf,
    SoftmaxCrossEntropy,
    SoftmaxSquaredError,
    SquaredError,
    squared_error,
)
from marquardt.models.mlp import MLP, ForwardPass, augmented
from marquardt.output_ridge import ridge_step
from marquardt.target_weights import weighed


@dataclass(frozen=True)
class Linearization:
    """Everything of first order at a point w."""

    w: FloatArray
    cost: float
    residual: FloatArray
    """r (n,)."""
    jacobian: Jacobian
    offset: FloatArray | None
    """S₀w (p,), or None without a prior."""
    gradient: FloatArray
    """g = Jᵀr + S₀w (p,)."""


class Problem(Protocol):
    """The contract of a problem."""

    @property
    def n_params(self) -> int:
        """p."""
        ...

    @property
    def prior(self) -> FloatArray | None:
        """S₀ (p,), or None for 0."""
        ...

    def cost(self, w: FloatArray) -> float:
        """C(w); may be infinite or NaN, which rejects the trial point."""
        ...

    def linearize(self, w: FloatArray) -> Linearization:
        """First-order model at w."""
        ...

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        """d²r/dt² along w + t·direction at t = 0, (n,); None where a model has none."""
        ...

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """w with its output layer solved again, damped by λD; w itself where there is nothing to solve."""
        ...


class NetworkProblem:
    """A network with data, under a loss: the squared error, if not another.

    C(w) = ½ Σ_n s_n |f(x_n; w) − y_n|² + ½ α |weights|²  (biases are not penalised).

    Parameters
    ----------
    network : MLP
    X : array (n_samples, n_inputs)
    y : array (n_samples,) or (n_samples, n_outputs)
    sample_weight : array (n_samples,) or (n_samples, n_outputs), optional
        s; a weight of 2 equals a repeated row, 0 leaves the row out.  Or one for every entry of y: where it
        is 0, y was not measured and may be NaN.  `entry_weights` of `marquardt.target_weights` makes them.
    alpha : float
        Precision of the weights, in scikit-learn's `MLPRegressor` meaning.
    prior : array (n_params,), optional
        S₀ entry by entry, instead of `alpha`.
    loss : callable
        `squared_error`, `cross_entropy`, or an object such as `Huber()`, of `marquardt.losses`.

    Raises
    ------
    ValueError
        For wrong shapes, NaN or infinite values, negative weights, no rows, an output without weights.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> problem = NetworkProblem(Input(1) >> Linear(1), [[0.0], [1.0]], [1.0, 3.0])
    >>> problem.cost(np.array([2.0, 1.0]))
    0.0
    >>> problem.linearize(np.array([0.0, 0.0])).gradient
    array([-3., -4.])
    """

    def __init__(
        self,
        network: MLP,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        alpha: float = 0.0,
        prior: ArrayLike | None = None,
        loss: LossOf = squared_error,
    ) -> None:
        y, weights = weighed(y, sample_weight)
        X, targets = check_samples(X, y, network.n_inputs, network.n_outputs)
        if weights is None or weights.ndim != 2:
            weights = check_weights(weights, len(X))
        self.network = network
        self.n_params = network.n_params
        self.n_samples = len(X)
        self.prior = _prior(network, alpha, prior)
        self.targets = np.ascontiguousarray(targets.T)  # (K, N)
        self.sample_weight = None if weights is None else np.ascontiguousarray(weights.T)  # (N,) or (K, N)
        self._first = augmented(X)
        self._loss_of, self._loss = loss, self._of(loss)
        self._scratch = Scratch()
        self._latest: tuple[FloatArray, ForwardPass] | None = None

    def with_prior(self, prior: ArrayLike) -> NetworkProblem:
        """The same problem under another S₀ (n_params,); data, buffers and the latest pass are shared."""
        other = copy.copy(self)
        other.prior = _prior(self.network, 0.0, prior)
        return other

    def with_loss(self, loss: LossOf) -> NetworkProblem:
        """The same problem under another loss; data, buffers and the latest pass are shared."""
        other = copy.copy(self)
        other._loss_of, other._loss = loss, self._of(loss)
        return other

    def take(self, rows: IntArray) -> NetworkProblem:
        """The same problem on some of the rows, under the same S₀."""
        other = copy.copy(self)
        other.n_samples = len(rows)
        other.targets = np.take(self.targets, rows, axis=1)
        other.sample_weight = (
            None if self.sample_weight is None else np.take(self.sample_weight, rows, axis=-1)
        )
        other._first = np.take(self._first, rows, axis=1)
        other._loss = other._of(self._loss_of)
        other._scratch, other._latest = Scratch(), None
        return other

    def identity(self) -> dict[str, object]:
        """What it is made of, by name: equal for problems that have the same cost everywhere."""
        return {
            "network": self.network,
            "X": self._first[:-1].T,
            "y": self.targets.T,
            "sample_weight": self.sample_weight,
            "prior": self.prior,
            "loss": self._loss,
        }

    def errors(self, w: FloatArray) -> FloatArray:
        """Prediction minus target (K, N), without weights; arbitrary in entries of weight 0."""
        return squared_error(self.network.layers[-1].activation, self.targets, None).residual(
            self._forward(w).arguments[-1]
        )

    @property
    def entry_weights(self) -> FloatArray:
        """s of every entry (K, N); read-only."""
        weights = 1.0 if self.sample_weight is None else self.sample_weight
        return np.broadcast_to(np.asarray(weights), self.targets.shape)

    @property
    def values_per_row(self) -> int:
        """How much a row tells: K values, or one of K classes that exclude one another."""
        return 1 if isinstance(self._loss, SoftmaxCrossEntropy | SoftmaxSquaredError) else len(self.targets)

    @property
    def total_weight(self) -> float:
        """The number of rows, counting a weight of 2 as two; with weights of entries, the number of these."""
        return float(self.n_samples if self.sample_weight is None else self.sample_weight.sum())

    @property
    def sums_squares(self) -> bool:
        """Whether the loss is a sum of squared errors."""
        return isinstance(self._loss, SquaredError | SoftmaxSquaredError)

    @property
    def is_cross_entropy(self) -> bool:
        """Whether the loss is a cross-entropy."""
        return isinstance(self._loss, SoftmaxCrossEntropy | LogisticCrossEntropy)

    # -- the driver's view ---------------------------------------------------------------------

    def cost(self, w: FloatArray) -> float:
        return self.data_cost(w) + self._prior_cost(w)

    def data_cost(self, w: FloatArray) -> float:
        """C(w) without its prior term."""
        return self._loss.cost(self._forward(w).arguments[-1])

    def linearize(self, w: FloatArray) -> Linearization:
        passed = self._forward(w)
        z = passed.arguments[-1]
        residual = self._loss.residual(z).ravel()
        seed = self._loss.seed(z)
        slopes = self.network.slopes(passed)
        hidden = self.network.sensitivities(w, seed, seed.ndim == 2, slopes)
        jacobian = self._jacobian(self._factors(passed.inputs, [*hidden, seed]))
        gradient = jacobian.rmv(residual)
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient += offset
        cost = self._loss.cost(z) + self._prior_cost(w)
        return NetworkLinearization(w, cost, residual, jacobian, offset, gradient, passed, slopes)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray:
        assert isinstance(at, NetworkLinearization)
        self._latest = (at.w, at.passed)  # the trial point before was rejected: let its pass go
        z1, z2 = self.network.directional(at.w, direction, at.passed, at.slopes)
        return self._loss.second(at.passed.arguments[-1], z1, z2).ravel()

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """One damped Gauss-Newton step of the last layer, exact when it is linear: with Φ its Jacobian,
        (ΦᵀΦ + S₀ + λD) b = −(Φᵀr + S₀w) over that layer's parameters."""
        passed = self._forward(w)
        z = passed.arguments[-1]
        if not np.isfinite(z).all():
            return w
        block = self.network.blocks[-1]
        own_damping = damping if scale is None else damping * scale[block]
        step = self._output_step(w[block], passed, own_damping)
        if step is None:
            return w
        resolved = w.copy()
        resolved[block] += step
        new_z = resolved[block].reshape(self.network.shapes[-1]) @ passed.inputs[-1]
        new_z.flags.writeable = False
        if not self._loss.linear:
            # No descent is guaranteed, and the comparison costs nothing but the loss.
            before = self._loss.cost(z) + self._prior_cost(w)
            after = self._loss.cost(new_z) + self._prior_cost(resolved)
            if not after < before:
                return w
        resolved.flags.writeable = False
        self._latest = (resolved, ForwardPass(passed.inputs, (*passed.arguments[:-1], new_z)))
        return resolved

    # -- within --------------------------------------------------------------------------------

    def _of(self, loss: LossOf) -> Loss:
        roots = None if self.sample_weight is None else np.sqrt(self.sample_weight)
        return loss(self.network.layers[-1].activation, self.targets, roots)

    def _forward(self, w: FloatArray) -> ForwardPass:
        """The pass at w; the latest is kept, since an accepted trial point is linearised next."""
        if self._latest is None or self._latest[0] is not w:
            if not w.flags.writeable:
                self._latest = None  # before the next pass takes its memory
            passed = self.network.forward(w, self._first)
            passed.arguments[-1].flags.writeable = False  # so that the loss may remember what it made of it
            if w.flags.writeable:  # its owner may still change it: do not keep it
                return passed
            self._latest = (w, passed)
        return self._latest[1]

    def _factors(
        self, inputs: Sequence[FloatArray], sensitivities: Sequence[FloatArray]
    ) -> list[LayerFactors]:
        parts = zip(inputs, sensitivities, self.network.blocks, self.network.shapes, strict=True)
        return [LayerFactors(*part) for part in parts]

    def _jacobian(self, layers: list[LayerFactors]) -> KhatriRaoJacobian:
        balanced = getattr(self._loss, "balanced", False)  # of shares alone
        return KhatriRaoJacobian(layers, self.network.n_outputs, self._scratch, balanced)

    def _prior_cost(self, w: FloatArray) -> float:
        return 0.0 if self.prior is None else 0.5 * float(np.dot(self.prior, w * w))

    def _output_step(
        self, own: FloatArray, passed: ForwardPass, damping: float | FloatArray
    ) -> FloatArray | None:
        """b (size of the output layer,), or None when the small system has no finite solution."""
        z, inputs = passed.arguments[-1], passed.inputs[-1]
        rows, columns = self.network.shapes[-1]
        seed = self._loss.seed(z)
        residual = self._loss.residual(z)
        prior = None if self.prior is None else self.prior[self.network.blocks[-1]]
        priors = None if prior is None else prior.reshape(rows, columns)
        if seed.ndim == 2 and isinstance(damping, float):  # the outputs do not see one another
            mine = own.reshape(rows, columns)
            if seed.shape[0] == 1 and (priors is None or bool((priors == priors[0]).all())):
                # all outputs have the same small matrix
                plain = self._loss.linear and self._loss.root_weights is None  # the seed is 1
                weighted = inputs if plain else inputs * seed[0]
                first = None if priors is None else priors[0]
                step = ridge_step(weighted, residual, mine, first, damping)
                return None if step is None else step.ravel()
            return _separate_steps(inputs, seed, residual, mine, priors, damping)
        layer = LayerFactors(inputs, seed, slice(0, rows * columns), (rows, columns))
        own_jacobian = self._jacobian([layer])
        rhs = own_jacobian.rmv(residual.ravel())
        matrix = own_jacobian.gram()
        matrix.ravel()[:: len(matrix) + 1] += damping
        if prior is not None:
            matrix.ravel()[:: len(matrix) + 1] += prior
            rhs += prior * own
        _, step, info = dposv(matrix.T, rhs, lower=1, overwrite_a=1, overwrite_b=1)
        return None if info else -step


@dataclass(frozen=True)
class NetworkLinearization(Linearization):
    """With what the second derivative needs again."""

    passed: ForwardPass
    slopes: list[FloatArray]


def _separate_steps(
    inputs: FloatArray,
    seed: FloatArray,
    residual: FloatArray,
    own: FloatArray,
    priors: FloatArray | None,
    damping: float,
) -> FloatArray | None:
    """b of outputs that each have a small matrix of their own."""
    steps = []
    for k in range(len(own)):
        one = slice(k, k + 1)
        weighted = inputs * seed[k % len(seed)]
        prior = None if priors is None else priors[k]
        step = ridge_step(weighted, residual[one], own[one], prior, damping)
        if step is None:
            return None
        steps.append(step.ravel())
    return np.concatenate(steps)


def _prior(network: MLP, alpha: float, prior: ArrayLike | None) -> FloatArray | None:
    if prior is not None:
        prior = np.asarray(prior, dtype=float)
        if prior.shape != (network.n_params,) or not (np.isfinite(prior).all() and (prior >= 0).all()):
            raise ValueError(
                f"prior must be {network.n_params} finite values >= 0, one a parameter; it has shape "
                f"{prior.shape}"
            )
        return prior if prior.any() else None
    if not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha={alpha!r} must be a finite number >= 0")
    if alpha == 0:
        return None
    prior = np.full(network.n_params, float(alpha))
    for W in network.matrices(prior):
        W[:, -1] = 0.0
    return prior
