"""Pharmacokinetics and pharmacodynamics: doses, compartments, differential equations, fits over subjects."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from marquardt.apps.pkpd.compartments import CompartmentModel, one_compartment, two_compartments
from marquardt.apps.pkpd.error_models import Combined, Constant, LogNormal, Proportional
from marquardt.apps.pkpd.regimen import Dose, Dosing, Regimen, Route, stacked_dosing
from marquardt.apps.pkpd.subjects import Batch, Observations, Subject, Subjects
from marquardt.apps.pkpd.tables import Columns, subjects_from_table

_LAZY = {
    "Cohort": "cohort",
    "DirectEffect": "effects",
    "EMAX": "effects",
    "ExposureNetwork": "exposure",
    "Factors": "sensitivity",
    "FittedModel": "fitted_model",
    "GoodnessOfFit": "goodness_of_fit",
    "HybridFit": "hybrid",
    "Identifiability": "identifiability",
    "Inhibition": "effects",
    "Integration": "ode",
    "LogNormalSubjects": "visual_check",
    "OdeModel": "ode",
    "Patients": "cohort",
    "PopulationLaw": "cohort",
    "PositiveLaw": "positive_law",
    "Predictor": "predictor",
    "SIGMOID_EMAX": "effects",
    "Saturation": "effects",
    "Schedules": "cohort",
    "SobolIndices": "sensitivity",
    "Solution": "ode",
    "Stimulation": "effects",
    "SubjectCurve": "goodness_of_fit",
    "TwoStageFit": "two_stage",
    "Verdict": "identifiability",
    "VisualCheck": "visual_check",
    "as_ode": "linear_kinetics",
    "effect_compartment": "effects",
    "fast_nonstiff": "ode",
    "fit_exposure": "exposure",
    "fit_hybrid": "hybrid",
    "fit_pooled": "fits",
    "fit_two_stage": "fits",
    "goodness_of": "fit_checks",
    "indirect_response": "effects",
    "michaelis_menten_elimination": "target_mediated",
    "nonstiff": "ode",
    "pooled_replicates": "visual_check",
    "predictive_check": "visual_check",
    "predictive_check_of": "fit_checks",
    "simulate_cohort": "cohort",
    "simulator_indices": "sensitivity",
    "stiff": "ode",
    "surrogate_indices": "sensitivity",
    "tmdd": "target_mediated",
    "tmdd_quasi_steady": "target_mediated",
    "two_stage_replicates": "visual_check",
    "unknown_elimination": "positive_law",
}
"""Names imported when first asked for: their modules need JAX, SALib or scikit-learn, or draw pictures."""

__all__ = [
    "Batch",
    "Columns",
    "Combined",
    "CompartmentModel",
    "Constant",
    "Dose",
    "Dosing",
    "LogNormal",
    "Observations",
    "Proportional",
    "Regimen",
    "Route",
    "Subject",
    "Subjects",
    "one_compartment",
    "stacked_dosing",
    "subjects_from_table",
    "two_compartments",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'marquardt.apps.pkpd' has no attribute {name!r}")
    return getattr(import_module(f"marquardt.apps.pkpd.{_LAZY[name]}"), name)
