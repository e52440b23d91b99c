"""What a run returns: the parameters, the reason it ended, and one record per iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from marquardt._types import FloatArray

if TYPE_CHECKING:
    from marquardt.problem import Linearization


class Status(Enum):
    """Why a run ended.  The value is the advice; `Result.message` puts the numbers before it."""

    COST_GOAL = "The goal is reached."
    GRADIENT_TOLERANCE = "The gradient has vanished: this is a stationary point, nearly always a minimum."
    COST_TOLERANCE = "The cost no longer changes: the fit has converged."
    STEP_TOLERANCE = "The parameters no longer change: the fit has converged."
    EVIDENCE = "Training has settled: fit, noise and weight penalties are those that explain the rows best."
    MAX_ITER = "The limit of iterations came first: raise max_iter if the cost was still falling."
    MAX_TIME = "The limit of time came first: raise max_time if the cost was still falling."
    MAX_FAIL = (
        "Stopped early, with the parameters that were best on the validation rows: "
        "more training would fit noise."
    )
    DAMPING_LIMIT = (
        "No step decreases the cost any more, however strongly damped: usually the rounding floor of a "
        "converged fit; if the cost is still high, start from other parameters, scale the inputs, or check a "
        "Jacobian of your own."
    )
    NO_FINITE_START = (
        "The cost or its Jacobian is not finite at the start: check the data for NaN and infinite values, "
        "or start from smaller parameters."
    )
    SINGULAR = (
        "The damped system could not be factorised or gave no finite step: "
        "scale the inputs, or choose solver='qr'."
    )
    INTERRUPTED = "Interrupted: the best parameters so far are returned."
    STOPPED_BY_CALLBACK = "The callback asked to stop: the best parameters so far are returned."
    CALLBACK_FAILED = (
        "The callback or the validation raised an exception (see Result.error): "
        "the best parameters so far are returned."
    )
    FUNCTION_FAILED = (
        "A function of the problem raised an exception (see Result.error): the best parameters so far are "
        "returned; correct the function and start from them."
    )

    @property
    def may_go_on(self) -> bool:
        """Whether the run was ended from outside, or by a limit, and not by what it found."""
        return self in _MAY_GO_ON

    @property
    def converged(self) -> bool:
        """Whether the run ended because there was nothing left to gain."""
        return self in _CONVERGED

    @property
    def by_hand(self) -> bool:
        """Whether a person or a callback ended the run: what is made of several runs then ends as a whole.

        Examples
        --------
        >>> [status.name for status in Status if status.by_hand]
        ['INTERRUPTED', 'STOPPED_BY_CALLBACK', 'CALLBACK_FAILED']
        """
        return self in _BY_HAND


_CONVERGED = {
    Status.COST_GOAL,
    Status.GRADIENT_TOLERANCE,
    Status.COST_TOLERANCE,
    Status.STEP_TOLERANCE,
    Status.EVIDENCE,
    Status.MAX_FAIL,
    Status.DAMPING_LIMIT,
}
_FAILED = {Status.NO_FINITE_START, Status.SINGULAR, Status.CALLBACK_FAILED, Status.FUNCTION_FAILED}
_MAY_GO_ON = {
    Status.MAX_ITER,
    Status.MAX_TIME,
    Status.INTERRUPTED,
    Status.STOPPED_BY_CALLBACK,
    Status.CALLBACK_FAILED,
    Status.FUNCTION_FAILED,
}
_BY_HAND = {Status.INTERRUPTED, Status.STOPPED_BY_CALLBACK, Status.CALLBACK_FAILED}


@dataclass(frozen=True)
class Iteration:
    """The record of one iteration.  Number 0 is the start, where the fields of a step are NaN or 0."""

    iteration: int
    cost: float
    """½‖r‖² plus the prior term, after the step."""
    damping: float
    """λ of the accepted step."""
    gain_ratio: float
    """Actual over predicted decrease of the accepted step."""
    gradient_norm: float
    """Largest absolute entry of the gradient at the new point."""
    step_norm: float
    """Euclidean norm of the accepted step, the output re-solve included."""
    rejected: int
    """Trial steps rejected before this one was accepted."""
    n_jacobians: int
    """Jacobians evaluated so far."""
    n_costs: int
    """Costs evaluated so far (one a trial step, and the start)."""
    time: float
    """Wall time since the start, in seconds."""
    validation_cost: float | None = None
    accelerated: bool = False
    """Whether the accepted step had its second-order term."""
    decrease: float = float("nan")
    """Actual decrease of the cost."""
    predicted: float = float("nan")
    """Decrease predicted by the linear model."""
    damping_share: float = float("nan")
    """λdᵀDd / (−gᵀd), between 0 (a Gauss-Newton step) and 1 (the damping alone makes the step short)."""


class History(Sequence[Iteration]):
    """The records of a run, in order; a sequence of `Iteration`, and columns by name.

    Examples
    --------
    >>> history = History([Iteration(0, 2.0, 1.0, float("nan"), 0.5, 0.0, 0, 1, 1, 0.0)])
    >>> history.column("cost")
    array([2.])
    >>> History.from_dict(history.to_dict())[0].cost
    2.0
    """

    def __init__(self, records: Sequence[Iteration] = ()) -> None:
        self._records = list(records)

    def append(self, record: Iteration) -> None:
        self._records.append(record)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Iteration]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> Iteration: ...
    @overload
    def __getitem__(self, index: slice) -> list[Iteration]: ...
    def __getitem__(self, index: int | slice) -> Iteration | list[Iteration]:
        return self._records[index]

    def __repr__(self) -> str:
        if not self._records:
            return "History(empty)"
        return f"History({len(self)} records, cost {self[0].cost:.4g} -> {self[-1].cost:.4g})"

    def column(self, name: str) -> FloatArray:
        """One field of every record as float64 array; None becomes NaN."""
        if name not in _ITERATION_FIELDS:
            raise KeyError(f"no column {name!r}; there are {', '.join(_ITERATION_FIELDS)}")
        values = [getattr(record, name) for record in self._records]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns as lists, ready for JSON or `pandas.DataFrame`."""
        return {name: [getattr(record, name) for record in self._records] for name in _ITERATION_FIELDS}

    @classmethod
    def from_dict(cls, columns: Mapping[str, Sequence[Any]]) -> History:
        """The inverse of `to_dict`; unknown columns are ignored, so that newer files can be read."""
        known = {name: columns[name] for name in _ITERATION_FIELDS if name in columns}
        length = len(next(iter(known.values()), ()))
        rows = ({name: values[i] for name, values in known.items()} for i in range(length))
        return cls([Iteration(**row) for row in rows])


_ITERATION_FIELDS = tuple(f.name for f in fields(Iteration))


@dataclass(frozen=True)
class Result:
    """The outcome of a run of the driver.

    `w` are the best parameters seen: of lowest cost, or of lowest validation cost when there was one.
    """

    w: FloatArray
    cost: float
    status: Status
    message: str
    history: History
    w_last: FloatArray
    """The parameters of the last accepted step; differ from `w` only with a validation cost."""
    n_jacobians: int
    n_costs: int
    time: float
    error: BaseException | None = None
    linearization: Linearization | None = field(default=None, repr=False)
    """The last linearization."""

    @property
    def n_iter(self) -> int:
        """Number of iterations (accepted steps)."""
        return len(self.history) - 1

    @property
    def success(self) -> bool:
        """False when the run could not start, broke down, or a function of the user's raised an exception."""
        return self.status not in _FAILED

    def __repr__(self) -> str:
        return (
            f"Result({self.status.name}, cost={self.cost:.6g}, n_iter={self.n_iter}, time={self.time:.3g} s)"
        )


def record_as_dict(record: Iteration) -> dict[str, Any]:
    """One record as a plain dict."""
    return asdict(record)
