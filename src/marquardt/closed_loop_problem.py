r"""A network whose outputs are fed back into its inputs, with data: parallel, or output-error, training.

    ŷ_n = f(x_n; w),   some entries of x_n being ŷ of earlier rows         residuals ŷ − y

*Simulation.*  ŷ = F(w, ŷ) is solved by Newton's method over all rows at once, from where the last
linearization predicts ŷ to be: each iteration is one pass of the network over all rows and one banded solve,
where the recursion takes a pass a row.  Where Newton's method does not converge, the recursion does it.
(Y. H. Lim et al., "Parallelizing non-linear sequential models over the sequence length", ICLR 2024,
arXiv:2309.12252; without feedback of a prediction as the start.)

*Jacobian.*  With Φ = ∂F/∂w, the structured Jacobian of the network without feedback, and L = I − ∂F/∂ŷ
(`marquardt.feedback`), ∂ŷ/∂w = L⁻¹Φ: real-time recurrent learning (R. J. Williams, D. Zipser, Neural
Computation 1:270, 1989), all times and all parameters in one solve.  The gradient Φᵀ L⁻ᵀ r is
back-propagation through time.

*Second derivative* along w + td:  F is differentiated twice along (d, ŷ'), and ŷ'' = L⁻¹ of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from marquardt._lapack import dposv
from marquardt._types import FloatArray, IntArray
from marquardt.feedback import Coupling, Feedback
from marquardt.jacobian import DenseJacobian, KhatriRaoJacobian
from marquardt.losses import LossOf, squared_error
from marquardt.models.activations import Identity
from marquardt.models.mlp import MLP, ForwardPass
from marquardt.problem import Linearization, NetworkProblem

NEWTON_ITERATIONS = 40
"""Of a simulation.  From where the last linearization sees it few are needed.  The limit is generous, since
the recursion, which does it otherwise, is dear: as much as 18 usual simulations for 200 rows, as 45 for 500
(`benchmarks/results/narx.md`)."""
LONGEST_STEP = 0.3
"""Of an iteration, in units of 1 + the largest output: what comes after a wrong output is wronger still."""
_ROUNDING = 4.0 * float(np.finfo(float).eps)
_SMALL = 1e-8


class ClosedLoopProblem(NetworkProblem):
    """A network with feedback, and data.

    Parameters
    ----------
    network : MLP
        With a `Linear` output.
    X : array (n_samples, n_inputs)
        Inputs in the order of time; those that are fed back are read at the start of a series only.
    y : array (n_samples,) or (n_samples, n_outputs)
    feedback : Feedback
    sample_weight, alpha, prior, loss
        As in `NetworkProblem`.  A y that was not measured has weight 0.

    Attributes
    ----------
    n_exploded : int
        Parameters tried so far whose simulation overflowed; their cost is no number, and a fit rejects them.

    Raises
    ------
    ValueError
        As `NetworkProblem`, for a feedback that does not fit, and an output that is not linear.

    Examples
    --------
    >>> from marquardt import Feedback, Input, Linear, minimize
    >>> X, y = np.array([[8.0], [0.0], [0.0]]), np.array([4.0, 2.0, 1.0])
    >>> problem = ClosedLoopProblem(Input(1) >> Linear(1), X, y, Feedback([0], [0], [1]))
    >>> problem.simulate([0.5, 0.0]).ravel()
    array([4., 2., 1.])
    >>> bool(abs(minimize(problem, [0.1, 0.0]).w - [0.5, 0.0]).max() < 1e-6)
    True
    """

    def __init__(
        self,
        network: MLP,
        X: ArrayLike,
        y: ArrayLike,
        feedback: Feedback,
        *,
        sample_weight: ArrayLike | None = None,
        alpha: float = 0.0,
        prior: ArrayLike | None = None,
        loss: LossOf = squared_error,
    ) -> None:
        super().__init__(network, X, y, sample_weight=sample_weight, alpha=alpha, prior=prior, loss=loss)
        if not isinstance(network.layers[-1].activation, Identity):
            raise ValueError(f"network {network!r}: with feedback its last layer must be Linear")
        feedback.check(self.n_samples, network.n_inputs, network.n_outputs)
        self.feedback = feedback
        self._exploded = [0]  # one count for all copies under other priors and losses
        self._columns, self._ones = list(feedback.columns), np.ones((network.n_outputs, self.n_samples))
        self._known: LoopLinearization | None = None
        self._bend: FloatArray | None = None  # ŷ'' of the last second derivative at `_known`

    @property
    def n_exploded(self) -> int:
        return self._exploded[0]

    def simulate(self, w: ArrayLike) -> FloatArray:
        """ŷ (n_samples, n_outputs); NaN where it overflows."""
        w = self.network.check_parameters(w)
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(self._forward(w).arguments[-1].T)

    def memory(self, w: ArrayLike, n_steps: int = 30) -> FloatArray:
        """How a change of the outputs of one row goes on: the root mean square, over the rows, of the
        Frobenius norm of ∂ŷ_{n+j}/∂ŷ_n, for j = 0 ... n_steps − 1.

        Where it grows, the loop is unstable there: errors of a simulation grow alike, and so do gradients.
        """
        w = self.network.check_parameters(w)
        own = np.arange(self.n_samples) if self.feedback.steps is None else self.feedback.steps
        steps, k = own % n_steps, self.network.n_outputs
        loop = Feedback(self.feedback.columns, self.feedback.outputs, self.feedback.lags, steps)
        with np.errstate(all="ignore"):
            hidden = self._sensitivities(w, self.network.slopes(self._forward(w)))
            impulses = np.zeros((k, self.n_samples, k))
            for output in range(k):
                impulses[output, steps == 0, output] = 1.0
            answers = self._coupling(w, hidden, loop).solve(impulses.reshape(k, -1).T).T
            squares = np.square(answers.reshape(k, self.n_samples, k)).sum(axis=(0, 2)) / k
            return np.sqrt(np.bincount(steps, squares) / np.bincount(steps))

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "feedback": repr(self.feedback)}

    def take(self, rows: IntArray) -> NetworkProblem:
        """Not for these rows."""
        raise TypeError(
            "the rows of a closed loop follow one another and cannot be taken apart: leave rows=None"
        )

    # -- the driver's view ---------------------------------------------------------------------

    def linearize(self, w: FloatArray) -> Linearization:
        passed = self._forward(w)
        z = passed.arguments[-1]
        residual, seed = self._loss.residual(z), self._loss.seed(z)
        slopes = self.network.slopes(passed)
        hidden = self._sensitivities(w, slopes)
        coupling = self._coupling(w, hidden)
        factors = self._factors(passed.inputs, [*hidden, self._ones[:1]])
        static = KhatriRaoJacobian(factors, self.network.n_outputs, self._scratch)
        gradient = static.rmv(_outputs_first(coupling.solve_transposed(_samples_first(seed * residual)), z))
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient += offset
        at = LoopLinearization(
            w,
            self._loss.cost(z) + self._prior_cost(w),
            _samples_first(residual),
            DenseJacobian(self._matrix(static, coupling, z)),
            offset,
            gradient,
            passed,
            slopes,
            static,
            coupling,
        )
        if np.isfinite(gradient).all():
            self._known, self._bend = at, None
        return at

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray:
        assert isinstance(at, LoopLinearization)
        z = at.passed.arguments[-1]
        z1 = at.move(direction)
        x1 = np.zeros((self.network.n_inputs, self.n_samples))
        self.feedback.write(z1, x1)
        _, own = self.network.directional(at.w, direction, at.passed, at.slopes, x1)
        z2 = at.coupling.solve(_samples_first(own)).reshape(self.n_samples, -1).T
        if at is self._known:
            self._bend = z2.copy()
        return _samples_first(self._loss.second(z, z1, z2))

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """One damped Gauss-Newton step of the last layer, through the feedback; w where it does not lower the
        cost.  After 50 iterations a plant of second order has 5.2e-5 of error with it, 0.0039 without
        (PT2 of `benchmarks/results/narx.md`)."""
        passed = self._forward(w)
        z = passed.arguments[-1]
        if not np.isfinite(z).all():
            return w
        coupling = self._coupling(w, self._sensitivities(w, self.network.slopes(passed)))
        through = self._output_columns(passed, coupling)
        block = self.network.blocks[-1]
        step = self._output_gauss_newton(
            through, z, w[block], damping if scale is None else damping * scale[block]
        )
        if step is None:
            return w
        before, kept = self._loss.cost(z) + self._prior_cost(w), self._latest
        resolved = w.copy()
        resolved[block] += step
        resolved.flags.writeable = False
        guess = z + (through @ step).reshape(self.n_samples, -1).T
        if (
            self._loss.cost(self._forward(resolved, guess).arguments[-1]) + self._prior_cost(resolved)
            < before
        ):
            return resolved
        self._latest = kept
        return w

    # -- simulation ----------------------------------------------------------------------------

    def _forward(self, w: FloatArray, guess: FloatArray | None = None) -> ForwardPass:
        """The simulation at w; the latest is kept, since an accepted trial point is linearised next."""
        if self._latest is not None and self._latest[0] is w:
            return self._latest[1]
        passed = self._newton(w, self._guess(w) if guess is None else guess)
        if passed is None:
            passed = self._recursion(w)
            self._exploded[0] += not np.isfinite(passed.arguments[-1]).all()
        passed.arguments[-1].flags.writeable = False  # so that the loss may remember what it made of it
        if not w.flags.writeable:
            self._latest = (w, passed)
        return passed

    def _newton(self, w: FloatArray, y: FloatArray) -> ForwardPass | None:
        """ŷ ← ŷ + L⁻¹(F(ŷ) − ŷ) until F(ŷ) = ŷ to rounding; None when it does not come to that."""
        first, before = self._first.copy(), np.inf
        for _ in range(NEWTON_ITERATIONS):
            self.feedback.write(y, first)
            passed = self.network.forward(w, first)
            z = passed.arguments[-1]
            defect = z - y
            unit = 1.0 + float(np.abs(z).max())
            size = float(np.abs(defect).max()) / unit
            # the iteration squares its error: after a small one there is only rounding left
            if size <= _ROUNDING or (before <= _SMALL and size <= before):
                return passed
            if not np.isfinite(size):
                return None
            before = min(size, before)
            coupling = self._coupling(w, self._sensitivities(w, self.network.slopes(passed)))
            step = coupling.solve(_samples_first(defect)).reshape(self.n_samples, -1).T
            y = y + np.clip(step, -LONGEST_STEP * unit, LONGEST_STEP * unit)
        return None

    def _guess(self, w: FloatArray) -> FloatArray:
        """ŷ (K, N) where the last linearization, and its second derivative, see it; else the targets."""
        known = self._known
        if known is None:
            return self.targets
        y = known.passed.arguments[-1] + known.move(w - known.w)
        return y if self._bend is None else y + 0.5 * self._bend

    def _recursion(self, w: FloatArray) -> ForwardPass:
        """The simulation row by row, all series side by side; NaN from where it overflows."""
        network, steps = self.network, self.feedback.steps
        matrices, first = network.matrices(w), self._first.copy()
        y = np.full((network.n_outputs, self.n_samples), np.nan)
        order = np.arange(self.n_samples) if steps is None else np.argsort(steps, kind="stable")
        counts = np.ones(self.n_samples, int) if steps is None else np.bincount(steps)
        for step, rows in enumerate(np.split(order, np.cumsum(counts)[:-1])):
            for c, output, lag in zip(self._columns, self.feedback.outputs, self.feedback.lags, strict=True):
                if step >= lag:
                    first[c, rows] = y[output, rows - lag]
            a = first[:, rows]
            for W, layer in zip(matrices[:-1], network.layers[1:-1], strict=True):
                z = W[:, :-1] @ a[: W.shape[1] - 1] + W[:, -1:]
                a = layer.activation.value(z, np.empty_like(z))
            out = matrices[-1][:, :-1] @ a[: matrices[-1].shape[1] - 1] + matrices[-1][:, -1:]
            y[:, rows] = out
            if not np.isfinite(out).any():
                break
        self.feedback.write(y, first)
        passed = network.forward(w, first)
        passed.arguments[-1][...] = y  # the same but for rounding, and NaN where the recursion ended
        return passed

    # -- derivatives ---------------------------------------------------------------------------

    def _sensitivities(self, w: FloatArray, slopes: list[FloatArray]) -> list[FloatArray]:
        """∂F/∂Z of the hidden layers (K, n_out, N)."""
        return self.network.sensitivities(w, self._ones, True, slopes)

    def _coupling(
        self, w: FloatArray, sensitivities: list[FloatArray], feedback: Feedback | None = None
    ) -> Coupling:
        """L, from ∂F/∂x of the inputs that are fed back (K, number of them, N)."""
        weights = self.network.matrices(w)[0][:, self._columns]
        feedback = feedback or self.feedback
        if sensitivities:
            return feedback.coupling(np.matmul(weights.T, sensitivities[0]))
        return feedback.coupling(np.repeat(weights[:, :, None], self.n_samples, axis=2))

    def _output_columns(self, passed: ForwardPass, coupling: Coupling) -> FloatArray:
        """∂ŷ/∂ of the parameters of the last layer (N·K, K·(n_in + 1)), sample-major."""
        inputs, k = passed.inputs[-1], self.network.n_outputs
        columns = np.zeros((k, len(inputs), self.n_samples, k))
        for output in range(k):
            columns[output, :, :, output] = inputs
        return coupling.solve(columns.reshape(k * len(inputs), -1).T)

    def _output_gauss_newton(
        self, through: FloatArray, z: FloatArray, own: FloatArray, damping: float | FloatArray
    ) -> FloatArray | None:
        """b of (ΦᵀΦ + S₀ + λD) b = −(Φᵀr + S₀w), Φ = ∂r/∂ of the last layer; None without a finite one."""
        columns = self._weighted(through, z)
        matrix, rhs = columns.T @ columns, columns.T @ _samples_first(self._loss.residual(z))
        matrix.ravel()[:: len(matrix) + 1] += damping
        if self.prior is not None:
            prior = self.prior[self.network.blocks[-1]]
            matrix.ravel()[:: len(matrix) + 1] += prior
            rhs += prior * own
        _, step, info = dposv(matrix.T, rhs, lower=1, overwrite_a=1, overwrite_b=1)
        return None if info or not np.isfinite(step).all() else -step

    def _weighted(self, columns: FloatArray, z: FloatArray) -> FloatArray:
        """∂ŷ/∂w (N·K, n) as ∂r/∂w."""
        if self._loss.root_weights is None and self._loss.linear:
            return columns
        seed = np.broadcast_to(self._loss.seed(z), z.shape)
        return columns * _samples_first(seed)[:, None]

    def _matrix(self, static: KhatriRaoJacobian, coupling: Coupling, z: FloatArray) -> FloatArray:
        """∂r/∂w = seed ∘ L⁻¹Φ (N·K, p), sample-major, by columns of all times."""
        n, k, p = self.n_samples, self.network.n_outputs, self.n_params
        columns = static.dense().T.reshape(p, k, n).transpose(0, 2, 1).reshape(p, n * k)  # a view if k = 1
        return self._weighted(coupling.solve(columns.T), z)


@dataclass(frozen=True)
class LoopLinearization(Linearization):
    """With what the second derivative and the next simulation need again."""

    passed: ForwardPass
    slopes: list[FloatArray]
    static: KhatriRaoJacobian
    coupling: Coupling

    def move(self, direction: FloatArray) -> FloatArray:
        """dŷ/dt (K, N) along w + t·direction: L⁻¹Φ direction."""
        z = self.passed.arguments[-1]
        own = _samples_first(self.static.mv(direction).reshape(z.shape))
        return np.ascontiguousarray(self.coupling.solve(own).reshape(z.shape[::-1]).T)


def _samples_first(values: FloatArray) -> FloatArray:
    """(K, N) as (N·K,), sample-major; a copy."""
    return values.T.flatten()


def _outputs_first(values: FloatArray, like: FloatArray) -> FloatArray:
    """The way back, (K·N,) output-major."""
    return values.reshape(like.shape[::-1]).T.ravel()
