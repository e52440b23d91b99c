"""The diagnosis of a fit: every detector of a table is asked, and what it found is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.diagnosis import fit_findings, jacobian_findings, record_findings, unit_findings
from marquardt.diagnosis.finding import Finding
from marquardt.diagnosis.subject import MOST_FLOPS, Subject
from marquardt.least_squares_fit import LeastSquaresFit
from marquardt.models.mlp import MLP
from marquardt.problem import Linearization, NetworkProblem, Problem
from marquardt.result import Result

if TYPE_CHECKING:
    from marquardt.estimators.classifier import LMClassifier
    from marquardt.estimators.regressor import LMRegressor

Detector = Callable[[Subject], Finding | None]

RECORD: tuple[Detector, ...] = (
    record_findings.stalled,
    record_findings.unfinished,
    record_findings.slow_convergence,
    record_findings.oscillation,
    record_findings.divergence,
    record_findings.validation_rise,
)
"""Need the record of the run only."""
LINEARIZATION: tuple[Detector, ...] = (
    jacobian_findings.wrong_derivative,
    unit_findings.dead_units,
    unit_findings.saturated_units,
    fit_findings.underfitting,
    fit_findings.patterned_residuals,
    fit_findings.held_out_gap,
)
"""Need the problem, or the linearization, too."""
DECOMPOSITION: tuple[Detector, ...] = (
    jacobian_findings.rank_deficiency,
    jacobian_findings.ill_conditioning,
    jacobian_findings.correlated_parameters,
    jacobian_findings.leverage,
    jacobian_findings.influential_rows,
    fit_findings.overfitting,
)
"""Need the singular values of the Jacobian as well."""
EVIDENCE: tuple[Detector, ...] = (
    fit_findings.nothing_found,
    fit_findings.all_parameters_in_use,
    fit_findings.noise_at_its_floor,
)
"""Need a fit by the evidence."""


@dataclass(frozen=True)
class Diagnosis(Sequence[Finding]):
    """The findings of `diagnose`, the gravest first; an empty one means that nothing stood out."""

    findings: tuple[Finding, ...]
    not_examined: tuple[str, ...] = ()
    """What could not be looked at, and why."""

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the findings."""
        return tuple(finding.name for finding in self.findings)

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings] or ["Nothing stood out."]
        return "\n".join([*lines, *(f"Not examined: {what}." for what in self.not_examined)])


def diagnose(
    fit: Result | EvidenceResult | LeastSquaresFit | LMRegressor | LMClassifier,
    problem: Problem | None = None,
    *,
    held_out: Problem | None = None,
    rows: Sequence[int] | None = None,
) -> Diagnosis:
    """What is wrong with a fit, in numbers and words.

    Parameters
    ----------
    fit : Result, EvidenceResult, LeastSquaresFit, or a fitted LMRegressor or LMClassifier
        A `Result` alone, from a file too, tells how the run went.  Of an estimator the best start is judged;
        it keeps no rows, and `diagnose_network` with the scaled rows says more.
    problem : Problem, optional
        What was fitted: the Jacobian, the units and the rows can be judged then.  Without one the last
        linearization serves, where the result has it.
    held_out : Problem, optional
        The same model on rows that were not fitted.
    rows : sequence of int, optional
        Numbers to name the fitted rows by; from 0 without.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError
        When `fit` is none of these.
    ValueError
        When an estimator is not fitted, or `problem` has another number of parameters.

    Examples
    --------
    >>> from marquardt import least_squares
    >>> t = np.array([0.0, 1.0, 2.0, 3.0])
    >>> fit = least_squares(lambda w: (w[0] + w[1]) * t - [0.1, 0.9, 2.1, 2.9], [1.0, 1.0], names=["a", "b"])
    >>> diagnose(fit).names
    ('rank deficiency',)
    """
    fit = _fit_of(fit)
    names, precision, evidence, result = (), 0.0, None, fit
    at: Linearization | None = None
    if isinstance(fit, LeastSquaresFit):
        names, precision, result = fit.names, fit.jacobian_precision, fit.result
        if fit.loss is None:  # else the last linearization is that of the weighted rows
            problem = problem or fit._problem
    elif isinstance(fit, EvidenceResult):
        evidence, result = fit, fit.result
    if not isinstance(result, Result):
        raise TypeError(
            f"fit is a {type(fit).__name__}: diagnose takes a Result, an EvidenceResult, a LeastSquaresFit "
            "or a fitted estimator"
        )
    prior = None
    if problem is not None:
        if problem.n_params != len(result.w):
            raise ValueError(f"problem has {problem.n_params} parameters, but the fit has {len(result.w)}")
        at, prior = _linearized(problem, result.w), problem.prior
    elif result.linearization is not None and np.array_equal(result.linearization.w, result.w):
        at = result.linearization
        prior = _prior_of(at)
    if evidence is not None:
        prior = evidence.prior
    numbers = None if rows is None else tuple(int(row) for row in rows)
    return _examined(Subject(result, at, prior, problem, held_out, evidence, names, precision, numbers))


def diagnose_network(
    network: MLP,
    X: ArrayLike,
    y: ArrayLike,
    fit: Result | EvidenceResult,
    *,
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
    rows: Sequence[int] | None = None,
    sample_weight: ArrayLike | None = None,
    alpha: float = 0.0,
) -> Diagnosis:
    """`diagnose` for a network and its training rows, as the network saw them (scaled).

    Parameters
    ----------
    network : MLP
    X, y : array (n_samples, n_inputs), (n_samples, n_outputs)
    fit : Result or EvidenceResult
    held_out : (X, y), optional
        Rows that were not fitted.
    rows : sequence of int, optional
        Numbers to name the fitted rows by; from 0 without.
    sample_weight, alpha
        Those of the fit; with an `EvidenceResult` its own precisions take the place of `alpha`.
    """
    problem = NetworkProblem(network, X, y, sample_weight=sample_weight, alpha=alpha)
    other = None if held_out is None else NetworkProblem(network, *held_out)
    return diagnose(fit, problem, held_out=other, rows=rows)


def _fit_of(fit: Any) -> Any:
    """Of an estimator the fit of its best start; anything else as it is."""
    if not hasattr(type(fit), "default_alpha"):  # which all estimators of networks have
        return fit
    if not hasattr(fit, "result_"):
        raise ValueError(f"{type(fit).__name__} is not fitted: call fit before diagnose")
    return fit.result_ if fit.evidence_ is None else fit.evidence_


def _linearized(problem: Problem, w: FloatArray) -> Linearization | None:
    with np.errstate(all="ignore"):
        at = problem.linearize(w)
    return at if np.isfinite(at.residual).all() and np.isfinite(at.gradient).all() else None


def _prior_of(at: Linearization) -> FloatArray | None:
    """S₀ from S₀w, where w is not zero: there it is taken for 0, which leaves the rank to the data."""
    if at.offset is None:
        return None
    return np.divide(at.offset, at.w, out=np.zeros_like(at.w), where=at.w != 0)


def _examined(subject: Subject) -> Diagnosis:
    with np.errstate(all="ignore"):  # numbers that overflow are no finding
        return _asked(subject)


def _asked(subject: Subject) -> Diagnosis:
    detectors, missing = list(RECORD), []
    if subject.at is None:
        missing.append("units and Jacobian (give diagnose the problem)")
    else:
        detectors += LINEARIZATION
        if subject.spectrum is not None:
            detectors += DECOMPOSITION
        else:
            n, p = subject.at.jacobian.shape
            missing.append(f"rank, leverage and correlations ({n} x {p} is beyond {MOST_FLOPS:.0e} flops)")
    if subject.evidence is not None:
        detectors += EVIDENCE
    found = [finding for detector in detectors if (finding := detector(subject)) is not None]
    order = {"fault": 0, "warning": 1, "note": 2}
    return Diagnosis(tuple(sorted(found, key=lambda f: order[f.severity.value])), tuple(missing))
