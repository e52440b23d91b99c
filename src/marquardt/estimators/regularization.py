"""What holds the weights of a network back: a fixed penalty, or one found by the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import GROUPINGS
from marquardt.bayesian.schedule import Schedule
from marquardt.estimators.fits import EvidenceFit, Fit, PlainFit, ReweightedFit
from marquardt.method import Method
from marquardt.stopping import Stopping

if TYPE_CHECKING:
    from marquardt.estimators.training_task import TrainingTask


class Regularization(Protocol):
    """The contract of a regularization."""

    @property
    def start_scales(self) -> Sequence[float]:
        """What the drawn weights of one start after the other are multiplied by, over and over."""
        ...

    def fit(self, task: TrainingTask, alpha: float, method: Method, stopping: Stopping) -> Fit:
        """The fit of a task."""
        ...


@dataclass(frozen=True)
class L2:
    """½ alpha |weights|², `alpha` given; the rule of scikit-learn."""

    @property
    def start_scales(self) -> Sequence[float]:
        return (1.0,)

    def fit(self, task: TrainingTask, alpha: float, method: Method, stopping: Stopping) -> Fit:
        problem, validation = task.problem(alpha), task.validation_problem
        if task.penalty is None:
            return PlainFit(problem, method, stopping, validation, task.growth)
        return ReweightedFit(problem, task.penalty, method, stopping, validation)


@dataclass(frozen=True)
class Bayesian:
    """Weight and noise precisions re-estimated while the network is trained: `alpha` is not used.

    Parameters
    ----------
    groups : str
        What shares a precision: "input", the weights of one input (automatic relevance determination), then
        each later layer and each vector of biases; "layer", each layer and each vector of biases; "one",
        everything, as MATLAB's `trainbr`.
    rule : PrecisionRule or None
        A re-estimation and its guards; None takes that of the loss.
    schedule : Schedule
        When to re-estimate, and when to end.

    References
    ----------
    D. J. C. MacKay, Neural Computation 4(3):448, 1992; F. D. Foresee, M. T. Hagan, IJCNN 1997.

    Examples
    --------
    >>> Bayesian(groups="layer").groups
    'layer'
    """

    groups: str = "input"
    rule: PrecisionRule | None = None
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if self.groups not in GROUPINGS:
            raise ValueError(f"groups={self.groups!r} must be one of {', '.join(map(repr, GROUPINGS))}")

    @property
    def start_scales(self) -> Sequence[float]:
        """Every second start begins at a tenth of the weights, where the network is nearly linear: the right
        place for weak or linear dependence, a trap elsewhere, and the evidence knows which.  All from the
        full weights have 1.25 times the error, in the geometric mean over ten tasks
        (`benchmarks/defaults.py`)."""
        return (1.0, 0.1)

    def fit(self, task: TrainingTask, alpha: float, method: Method, stopping: Stopping) -> Fit:
        del alpha
        if task.penalty is not None:
            raise ValueError(
                f"loss={task.penalty!r}: the evidence is that of Gaussian noise; set regularization='l2' for "
                f"a robust loss, or loss='squared_error'"
            )
        if task.validation is not None:
            raise ValueError(
                "early_stopping=True: with Bayesian regularization every row is for training, and the "
                "evidence ends it; set early_stopping=False, or regularization='l2'"
            )
        return EvidenceFit(
            task.problem(0.0),
            method,
            stopping,
            GROUPINGS[self.groups],
            self.rule,
            self.schedule,
            task.noise,
            task.growth,
        )
