"""Enzyme kinetics: rates and progress curves, inhibition, which mechanism, and what to measure."""

from marquardt.apps.kinetics.design import ExpectedErrors, design_concentrations, expected_errors
from marquardt.apps.kinetics.linearization import LinearEstimate, linearize
from marquardt.apps.kinetics.mechanisms import MECHANISMS, mechanism
from marquardt.apps.kinetics.progress import progress_curve
from marquardt.apps.kinetics.selection import Selection, fit_kinetics, select_mechanism

__all__ = [
    "MECHANISMS",
    "ExpectedErrors",
    "LinearEstimate",
    "Selection",
    "design_concentrations",
    "expected_errors",
    "fit_kinetics",
    "linearize",
    "mechanism",
    "progress_curve",
    "select_mechanism",
]
