"""A network with its scaled rows, ready to be trained from any start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.estimators.choices import chosen_law
from marquardt.estimators.scaling import Scaler
from marquardt.estimators.starts import Runs, run_starts
from marquardt.estimators.training_rows import TrainingRows
from marquardt.initialization import Initialization
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import Result, Status


@dataclass(frozen=True)
class Scalers:
    """Of the inputs and of the targets."""

    x: Scaler
    y: Scaler

    @classmethod
    def of(cls, rows: TrainingRows, scale_inputs: bool, scale_target: bool) -> Scalers:
        """From the mean and spread of the rows, weights counted."""
        return cls(
            Scaler.standard(rows.X, rows.weights) if scale_inputs else Scaler.identity(rows.X.shape[1]),
            Scaler.standard(rows.y, rows.weights) if scale_target else Scaler.identity(rows.y.shape[1]),
        )


@dataclass(frozen=True)
class RegressionTask:
    """What is trained, on what: rows and validation rows are scaled."""

    network: MLP
    scalers: Scalers
    rows: TrainingRows
    validation: TrainingRows | None

    @classmethod
    def prepare(
        cls, network: MLP, scalers: Scalers, rows: TrainingRows, validation: TrainingRows | None
    ) -> RegressionTask:
        """From rows in their own units."""
        scaled = None if validation is None else validation.scaled(scalers.x, scalers.y)
        return cls(network, scalers, rows.scaled(scalers.x, scalers.y), scaled)

    def starts(
        self,
        init: str | Initialization | ArrayLike,
        seeds: Sequence[np.random.SeedSequence],
        last: FloatArray | None = None,
    ) -> list[FloatArray]:
        """Starting parameters, (n_params,) each: from a law, or `init` itself; `last` comes first."""
        if isinstance(init, str) or hasattr(init, "draw"):
            law = chosen_law(cast("str | Initialization", init), self.network)
            starts = [self._draw(law, seed) for seed in seeds]
        elif len(seeds) == 1:
            starts = [self.network.check_parameters(cast(ArrayLike, init))]
        else:
            raise ValueError(
                f"init is an array, so {len(seeds)} starts would all be the same: set n_starts=1"
            )
        return starts if last is None else [last, *starts[1:]]

    def run(self, starts: Sequence[FloatArray], alpha: float, options: Mapping[str, Any], **how: Any) -> Runs:
        """Train from every start; `how` goes to `run_starts`.

        Raises
        ------
        ValueError
            When the cost is not finite at any start.
        """
        problem = self._problem(self.rows, alpha)
        validation = None if self.validation is None else self._problem(self.validation, 0.0).cost
        runs = run_starts(problem, starts, {**options, "validation": validation}, **how)
        if runs.best.status is Status.NO_FINITE_START:
            raise ValueError(f"training cannot start. {runs.best.message}")
        return runs

    def losses(self, result: Result) -> FloatArray:
        """Cost over total weight at the start and after each iteration."""
        return result.history.column("cost") / self.rows.total_weight

    def validation_scores(self, result: Result) -> FloatArray | None:
        """R² on the validation rows at the start and after each iteration.

        With V the validation cost ½ Σ s r², R² = 1 − 2V / Σ s (y − ȳ)²; NaN where all y are equal.
        """
        if self.validation is None:
            return None
        y, weights = self.validation.y, self.validation.weights
        deviations = np.average((y - np.average(y, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        spread = float(deviations.sum()) * self.validation.total_weight
        if spread == 0:
            return np.full(len(result.history), np.nan)
        return 1.0 - 2.0 * result.history.column("validation_cost") / spread

    def _draw(self, law: Initialization, seed: np.random.SeedSequence) -> FloatArray:
        """An output whose target is constant starts at it: without weights it has no gradient and stays."""
        w = law.draw(self.network, np.random.default_rng(seed), self.rows.X)
        constant = ~self.rows.y.any(axis=0)
        self.network.matrices(w)[-1][constant] = 0.0
        return w

    def _problem(self, rows: TrainingRows, alpha: float) -> NetworkProblem:
        return NetworkProblem(self.network, rows.X, rows.y, sample_weight=rows.weights, alpha=alpha)
