"""What a user asks of a fit by any of the faces for models: how it ended, and how well."""

from __future__ import annotations

from collections.abc import Sequence

from marquardt.result import Result, Status


class RunOutcome:
    """Short ways into the `result` and the `notes` of a fit."""

    result: Result
    notes: Sequence[str]

    @property
    def cost(self) -> float:
        """At `result.w`, in float64."""
        return self.result.cost

    @property
    def status(self) -> Status:
        return self.result.status

    @property
    def message(self) -> str:
        """How the run ended, and what the user should know."""
        return "\n".join([self.result.message, *(f"Note: {note}." for note in self.notes)])

    @property
    def success(self) -> bool:
        return self.result.success
