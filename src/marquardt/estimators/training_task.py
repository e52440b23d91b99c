"""A network with its scaled rows and a loss, ready to be trained from any start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.noise import NoiseOf, usual_noise
from marquardt.estimators.choices import chosen_law
from marquardt.estimators.training_rows import TrainingRows
from marquardt.growing_rows import GrowingRows
from marquardt.initialization import Initialization
from marquardt.losses import LossOf, Robust, squared_error
from marquardt.models.mlp import MLP
from marquardt.problem import NetworkProblem
from marquardt.result import Result


@dataclass(frozen=True)
class TrainingTask:
    """What is trained, on what: rows and validation rows are scaled."""

    network: MLP
    rows: TrainingRows
    validation: TrainingRows | None = None
    loss: LossOf = squared_error
    penalty: Robust | None = None
    """In place of the square."""
    noise: NoiseOf = usual_noise
    """Of the evidence."""
    growth: GrowingRows | None = None
    """How the fit begins on a part of the rows; None for all at once."""

    def starts(
        self,
        init: str | Initialization | ArrayLike,
        seeds: Sequence[np.random.SeedSequence],
        last: FloatArray | None = None,
        scales: Sequence[float] = (1.0,),
    ) -> list[FloatArray]:
        """Starting parameters, (n_params,) each: from a law, times one of `scales` after the other, or `init`
        itself; `last` comes first."""
        if isinstance(init, str) or hasattr(init, "draw"):
            law = chosen_law(cast("str | Initialization", init), self.network)
            starts = [
                scale * self._draw(law, seed) for scale, seed in zip(cycle(scales), seeds, strict=False)
            ]
        else:
            starts = [self.network.check_parameters(cast(ArrayLike, init))]
        return starts if last is None else [last, *starts[1:]]

    def problem(self, alpha: float) -> NetworkProblem:
        """The training rows under a penalty."""
        return self._problem(self.rows, alpha)

    @property
    def validation_problem(self) -> NetworkProblem | None:
        """The validation rows, without a penalty; None without such rows."""
        return None if self.validation is None else self._problem(self.validation, 0.0)

    def losses(self, result: Result) -> FloatArray:
        """Cost over total weight at the start and after each iteration."""
        return result.history.column("cost") / self.rows.total_weight

    def validation_losses(self, result: Result) -> FloatArray | None:
        """The same on the validation rows, without the penalty; None without such rows."""
        if self.validation is None:
            return None
        return result.history.column("validation_cost") / self.validation.total_weight

    def _draw(self, law: Initialization, seed: np.random.SeedSequence) -> FloatArray:
        """An output whose target is constantly 0 starts without weights: in a linear one they have no
        gradient and stay."""
        w = law.draw(self.network, np.random.default_rng(seed), self.rows.X)
        constant = ~np.nan_to_num(self.rows.y).any(axis=0)
        self.network.matrices(w)[-1][constant] = 0.0
        return w

    def _problem(self, rows: TrainingRows, alpha: float) -> NetworkProblem:
        return NetworkProblem(
            self.network, rows.X, rows.y, sample_weight=rows.weights, alpha=alpha, loss=self.loss
        )
