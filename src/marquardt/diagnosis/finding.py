"""One finding of a diagnosis: what was seen, in numbers, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Severity(Enum):
    """How much a finding matters."""

    NOTE = "note"
    """Worth knowing; the fit may be used."""
    WARNING = "warning"
    """The fit can probably be better."""
    FAULT = "fault"
    """Do not use the fit, or the part of it that is named, as it is."""


@dataclass(frozen=True)
class Finding:
    """What a detector saw.

    Examples
    --------
    >>> evidence = {"units": 2.0}
    >>> finding = Finding("dead units", Severity.WARNING, evidence, "2 of 5 units are dead.", "Start again.")
    >>> print(finding)
    warning: dead units. 2 of 5 units are dead. Start again.
    >>> Finding.from_dict(finding.to_dict()) == finding
    True
    """

    name: str
    severity: Severity
    evidence: Mapping[str, float]
    """The numbers that the sentence rests on, by name."""
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.name}. {self.sentence} {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; a number that JSON does not know becomes its name, "inf" or "nan"."""
        numbers = {key: float(value) for key, value in self.evidence.items()}
        return {
            "name": self.name,
            "severity": self.severity.value,
            "evidence": {k: v if math.isfinite(v) else repr(v) for k, v in numbers.items()},
            "sentence": self.sentence,
            "remedy": self.remedy,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """The inverse of `to_dict`; KeyError, TypeError or ValueError when the data are not its own."""
        texts = {name: data[name] for name in ("name", "sentence", "remedy")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("a finding's name, sentence or remedy is not text")
        evidence = {str(key): float(value) for key, value in data["evidence"].items()}
        return cls(severity=Severity(data["severity"]), evidence=evidence, **texts)
