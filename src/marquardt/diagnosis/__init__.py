"""Diagnosis of fits: `diagnose`, and the findings it may give."""

from marquardt.diagnosis.diagnosis import Diagnosis, diagnose, diagnose_network
from marquardt.diagnosis.finding import Finding, Severity

__all__ = ["Diagnosis", "Finding", "Severity", "diagnose", "diagnose_network"]
