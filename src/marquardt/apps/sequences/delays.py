"""Which past values a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Delays:
    """ŷ(t) depends on u(t − d) for d in `inputs` and on y(t − d) for d in `outputs`.

    Parameters
    ----------
    inputs : sequence of int
        0 is the present value.  () for no input.
    outputs : sequence of int
        At least 1 each, and at least one of them.

    Raises
    ------
    ValueError
        For a delay that is negative, given twice, or not a whole number, and for 0 among the outputs.

    Examples
    --------
    >>> Delays([0, 1], [1, 2]).longest
    2
    >>> Delays([0, 1], [0, 1])
    Traceback (most recent call last):
    ValueError: output_delays=(0, 1): an output cannot depend on itself at the same time; delays begin at 1
    """

    inputs: Sequence[int] = (1, 2)
    outputs: Sequence[int] = (1, 2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _checked("input_delays", self.inputs))
        object.__setattr__(self, "outputs", _checked("output_delays", self.outputs))
        if not self.outputs:
            raise ValueError(
                "output_delays=() feeds nothing back: give e.g. (1, 2), or train an LMRegressor on delayed "
                "inputs"
            )
        if 0 in self.outputs:
            raise ValueError(
                f"output_delays={self.outputs}: an output cannot depend on itself at the same time; delays "
                "begin at 1"
            )

    @property
    def longest(self) -> int:
        """The time of the first prediction: so many rows are needed before."""
        return max(*self.inputs, *self.outputs, 1)


def _checked(name: str, delays: Sequence[int]) -> tuple[int, ...]:
    try:
        values = tuple(delays)
        whole = all(int(d) == d and not isinstance(d, bool) for d in values)
    except (TypeError, ValueError):
        whole, values = False, ()
    if not whole:
        raise ValueError(f"{name}={delays!r} must be whole numbers in a sequence, e.g. (1, 2)")
    checked = tuple(int(d) for d in values)
    if any(d < 0 for d in checked):
        raise ValueError(f"{name}={checked} has a negative delay: the future is not known; take 0 or more")
    twice = [d for d in checked if checked.count(d) > 1]
    if twice:
        raise ValueError(f"{name}={checked} has {twice[0]} twice: give every delay once")
    return checked
