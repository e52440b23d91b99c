"""Pharmacokinetics and pharmacodynamics: doses, compartments, differential equations, fits over subjects."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from marquardt.apps.pkpd.compartments import CompartmentModel, one_compartment, two_compartments
from marquardt.apps.pkpd.error_models import Combined, Constant, LogNormal, Proportional
from marquardt.apps.pkpd.noncompartmental import Noncompartmental, nca
from marquardt.apps.pkpd.regimen import Dose, Dosing, Regimen, Route, stacked_dosing
from marquardt.apps.pkpd.subjects import Batch, Observations, Subject, Subjects
from marquardt.apps.pkpd.tables import Columns, subjects_from_table

if TYPE_CHECKING:
    from marquardt.apps.pkpd.cohort import Cohort, Patients, PopulationLaw, Schedules, simulate_cohort
    from marquardt.apps.pkpd.effects import (
        EMAX,
        SIGMOID_EMAX,
        DirectEffect,
        Inhibition,
        Saturation,
        Stimulation,
        effect_compartment,
        indirect_response,
    )
    from marquardt.apps.pkpd.exposure import ExposureNetwork, fit_exposure
    from marquardt.apps.pkpd.fit_checks import goodness_of, predictive_check_of
    from marquardt.apps.pkpd.fits import fit_pooled, fit_two_stage
    from marquardt.apps.pkpd.fitted_model import FittedModel
    from marquardt.apps.pkpd.goodness_of_fit import GoodnessOfFit, SubjectCurve
    from marquardt.apps.pkpd.hybrid import HybridFit, fit_hybrid
    from marquardt.apps.pkpd.identifiability import Identifiability, Verdict
    from marquardt.apps.pkpd.linear_kinetics import as_ode
    from marquardt.apps.pkpd.ode import Course, Integration, OdeModel, fast_nonstiff, nonstiff, stiff
    from marquardt.apps.pkpd.positive_law import PositiveLaw, unknown_elimination
    from marquardt.apps.pkpd.predictor import Predictor
    from marquardt.apps.pkpd.sensitivity import Factors, SobolIndices, simulator_indices, surrogate_indices
    from marquardt.apps.pkpd.target_mediated import michaelis_menten_elimination, tmdd, tmdd_quasi_steady
    from marquardt.apps.pkpd.two_stage import TwoStageFit
    from marquardt.apps.pkpd.visual_check import (
        LogNormalSubjects,
        VisualCheck,
        pooled_replicates,
        predictive_check,
        two_stage_replicates,
    )

_LAZY = {
    "Cohort": "cohort",
    "Course": "ode",
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
    "EMAX",
    "SIGMOID_EMAX",
    "Batch",
    "Cohort",
    "Columns",
    "Combined",
    "CompartmentModel",
    "Constant",
    "Course",
    "DirectEffect",
    "Dose",
    "Dosing",
    "ExposureNetwork",
    "Factors",
    "FittedModel",
    "GoodnessOfFit",
    "HybridFit",
    "Identifiability",
    "Inhibition",
    "Integration",
    "LogNormal",
    "LogNormalSubjects",
    "Noncompartmental",
    "Observations",
    "OdeModel",
    "Patients",
    "PopulationLaw",
    "PositiveLaw",
    "Predictor",
    "Proportional",
    "Regimen",
    "Route",
    "Saturation",
    "Schedules",
    "SobolIndices",
    "Stimulation",
    "Subject",
    "SubjectCurve",
    "Subjects",
    "TwoStageFit",
    "Verdict",
    "VisualCheck",
    "as_ode",
    "effect_compartment",
    "fast_nonstiff",
    "fit_exposure",
    "fit_hybrid",
    "fit_pooled",
    "fit_two_stage",
    "goodness_of",
    "indirect_response",
    "michaelis_menten_elimination",
    "nca",
    "nonstiff",
    "one_compartment",
    "pooled_replicates",
    "predictive_check",
    "predictive_check_of",
    "simulate_cohort",
    "simulator_indices",
    "stacked_dosing",
    "stiff",
    "subjects_from_table",
    "surrogate_indices",
    "tmdd",
    "tmdd_quasi_steady",
    "two_compartments",
    "two_stage_replicates",
    "unknown_elimination",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'marquardt.apps.pkpd' has no attribute {name!r}")
    return getattr(import_module(f"marquardt.apps.pkpd.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
