r"""What a diagnosis looks at: the record of a run and, where a problem is at hand, its linearization.

With J (n, p) at w and the prior S₀, everything that needs J is read off one singular value decomposition

    [J; √S₀] = U Σ Vᵀ diag(c),      c the norms of the columns,

of which the upper n rows of U give the leverage h = diag J (JᵀJ + S₀)⁻¹ Jᵀ, and Σh is the number of
effective parameters γ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.models.layers import Layer
from marquardt.problem import Linearization, NetworkLinearization, NetworkProblem, Problem
from marquardt.result import History, Result

MOST_FLOPS = 2e9
"""(n + p) p² above which J is not decomposed: about a second on one core, more than a report should wait."""


@dataclass(frozen=True)
class Spectrum:
    """The decomposition of the scaled [J; √S₀]."""

    values: FloatArray
    """Singular values, largest first (p,), zeros included."""
    right: FloatArray
    """Vᵀ (min(n + p, p), p)."""
    leverage: FloatArray
    """h (n,), between 0 and 1."""
    cutoff: float
    """Values at or below this are zero to the precision of J."""

    @property
    def rank(self) -> int:
        return int((self.values > self.cutoff).sum())

    @property
    def condition(self) -> float:
        """Largest over smallest singular value of the scaled matrix."""
        return float(self.values[0] / self.values[-1]) if self.values[-1] > 0 else float("inf")

    @property
    def effective_parameters(self) -> float:
        """γ = Σh."""
        return float(self.leverage.sum())


@dataclass(frozen=True)
class HiddenLayer:
    """A hidden layer at work on the rows of the data."""

    number: int
    """1 for the first hidden layer."""
    layer: Layer
    slope: FloatArray
    """|φ'| of each unit and row over the largest that φ has (units, N)."""
    saturates: bool
    """Whether φ is flat at both ends."""


@dataclass(frozen=True)
class Subject:
    """All that the detectors may look at; None where it is not at hand."""

    result: Result
    at: Linearization | None = None
    """At the parameters of the result."""
    prior: FloatArray | None = None
    """S₀ (p,)."""
    problem: Problem | None = None
    held_out: Problem | None = None
    """The same model on rows that were not fitted."""
    evidence: EvidenceResult | None = None
    names: tuple[str, ...] = ()
    """Of the parameters, where they have a meaning."""
    precision: float = 0.0
    """Relative error of the Jacobian beyond rounding."""
    rows: tuple[int, ...] | None = None
    """Numbers of the rows, where they are not 0, 1, ..."""

    @property
    def history(self) -> History:
        return self.result.history

    @property
    def of_network(self) -> bool:
        return isinstance(self.at, NetworkLinearization)

    @property
    def squares(self) -> bool:
        """Whether the residuals are errors of predictions, not the square roots of another loss."""
        return self.at is not None and getattr(self.problem, "sums_squares", True)

    @cached_property
    def exact(self) -> bool:
        """Whether the residuals are rounding: below 1e-9 of what the parameters contribute to the model."""
        if self.at is None:
            return False
        parts = float(np.sqrt(self.at.jacobian.column_sqnorms() @ self.at.w**2))
        return float(np.linalg.norm(self.at.residual)) <= 1e-9 * parts

    @cached_property
    def spectrum(self) -> Spectrum | None:
        """None without a finite Jacobian, or where it is too large to decompose."""
        if self.at is None:
            return None
        n, p = self.at.jacobian.shape
        if (n + p) * float(p) ** 2 > MOST_FLOPS:
            return None
        J = self.at.jacobian.dense()
        if not np.isfinite(J).all():
            return None
        rows = J if self.prior is None else np.vstack([J, np.diag(np.sqrt(self.prior))])
        norms = np.linalg.norm(rows, axis=0)
        left, values, right = np.linalg.svd(rows / np.where(norms > 0, norms, 1.0), full_matrices=False)
        cutoff = max(max(rows.shape) * np.finfo(float).eps, self.precision) * values.max(initial=0.0)
        kept = left[:n, values > cutoff]
        all_values = np.concatenate([values, np.zeros(p - len(values))])
        return Spectrum(all_values, right, np.einsum("ij,ij->i", kept, kept), float(cutoff))

    @cached_property
    def hidden_layers(self) -> tuple[HiddenLayer, ...]:
        at, problem = self.at, self.problem
        if not (isinstance(at, NetworkLinearization) and isinstance(problem, NetworkProblem)):
            return ()
        layers = problem.network.layers[1:-1]
        return tuple(_hidden_layers(layers, at.slopes))

    def row(self, index: int) -> int:
        """The number of the row that a residual belongs to."""
        if isinstance(self.problem, NetworkProblem):
            index %= self.problem.n_samples
        return index if self.rows is None else self.rows[index]

    def row_name(self, index: int) -> str:
        """`row 7`, with the output where there are several."""
        problem, output = self.problem, ""
        if isinstance(problem, NetworkProblem) and problem.network.n_outputs > 1:
            output = f" (output {index // problem.n_samples})"
        return f"row {self.row(index)}{output}"


def _hidden_layers(layers: tuple[Layer, ...], slopes: list[FloatArray]) -> Iterator[HiddenLayer]:
    z = np.linspace(-20.0, 20.0, 4001)[None, :]  # steps of 0.01; every φ here has its largest slope inside
    for number, (layer, slope) in enumerate(zip(layers, slopes, strict=True), start=1):
        value = layer.activation.value(z, np.empty_like(z))
        possible = np.abs(layer.activation.slope(z, value))
        largest = float(possible.max())
        flat = bool(max(possible[0, 0], possible[0, -1]) < 1e-3 * largest)
        yield HiddenLayer(number, layer, np.abs(slope) / largest, flat)
