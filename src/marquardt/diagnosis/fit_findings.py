r"""Findings about what was learned: too much, too little, or nothing."""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray
from marquardt.diagnosis.finding import Finding, Severity
from marquardt.diagnosis.subject import Subject
from marquardt.problem import NetworkLinearization, NetworkProblem

FEW_FREE = 0.8
"""γ/N from which on too few rows are left to tell noise from signal."""


def overfitting(subject: Subject) -> Finding | None:
    """Nearly as many effective parameters as measured values."""
    spectrum = subject.spectrum
    if not (subject.of_network and subject.squares) or spectrum is None or subject.at is None:
        return None
    effective = (
        subject.evidence.n_effective if subject.evidence is not None else spectrum.effective_parameters
    )
    n = len(subject.at.residual)
    if not effective > FEW_FREE * n:
        return None
    said = (
        f"The fit spends {effective:.0f} effective parameters on {n} measured values: few are left for noise."
    )
    remedy = f"If the targets hold noise, it has been learned: {_against_noise(subject)}."
    numbers = {"effective_parameters": effective, "values": float(n)}
    return Finding("overfitting", Severity.WARNING, numbers, said, remedy)


def _against_noise(subject: Subject) -> str:
    if subject.evidence is not None:  # the penalty is as the evidence wants it
        return "take more rows, or fewer units"
    return "take fewer units, more rows, a larger alpha, or regularization by the evidence"


GAP = 2.0
"""RMSE on held-out rows over that on training rows; twice is what the reports warn at."""


def held_out_gap(subject: Subject) -> Finding | None:
    """The error on rows that were not fitted is larger than noise explains."""
    from scipy.stats import f as fisher

    at, held_out = subject.at, subject.held_out
    if at is None or held_out is None or not subject.squares:
        return None
    new, old = held_out.linearize(subject.result.w).residual, at.residual
    inside, outside = float(np.sqrt(np.mean(old**2))), float(np.sqrt(np.mean(new**2)))
    floor = 1e-9 * float(np.linalg.norm(at.jacobian.mv(at.w))) / np.sqrt(len(old))
    ratio = outside / max(inside, floor, np.finfo(float).tiny)
    chance = float(fisher.sf(ratio**2, len(new), len(old)))
    if not (ratio > GAP and chance < 1e-3):
        return None
    said = f"The error on {len(new)} held-out values is {ratio:.2g} times that on the training rows."
    remedy = f"{_against_noise(subject).capitalize()}."
    return Finding("held-out gap", Severity.WARNING, {"ratio": ratio, "chance": chance}, said, remedy)


NEIGHBORS = 0.5
"""Correlation of the residuals of neighboring rows, the share of their variance that is smooth.  Rows that
share a cause, as mixtures of one batch in the concrete table do, reach 0.3 without a fault of the network."""
NEGLIGIBLE = 0.01
"""RMSE over the spread of the targets: at R² = 0.9999 nobody calls a fit too small, noise or no noise."""
NEIGHBORS_Z = 5.0
"""And in standard deviations of it, 1/√pairs."""


def underfitting(subject: Subject) -> Finding | None:
    """Rows that are near in the inputs err alike: there is structure left in the residuals."""
    at, problem = subject.at, subject.problem
    if not (isinstance(at, NetworkLinearization) and isinstance(problem, NetworkProblem) and subject.squares):
        return None
    X = at.passed.inputs[0][:-1].T
    residuals = at.residual.reshape(problem.network.n_outputs, -1)
    if len(X) < 30 or len(X) > 10_000 or X.shape[1] > 20:
        return None
    worst, pairs = 0.0, 0
    for r, y in zip(residuals, problem.targets, strict=True):
        if np.sqrt(np.mean(r**2)) < NEGLIGIBLE * y.std():
            continue
        correlation, count = neighbor_correlation(X, r)
        if correlation > worst:
            worst, pairs = correlation, count
    if not (worst > NEIGHBORS and worst * np.sqrt(pairs) > NEIGHBORS_Z):
        return None
    said = (
        f"Residuals of neighboring rows are correlated by {worst:.2f} ({pairs} pairs): structure is missed."
    )
    numbers = {"neighbor_correlation": worst, "pairs": float(pairs)}
    if subject.evidence is not None:
        share = subject.evidence.n_effective / problem.n_params
        numbers["parameters_in_use"] = share
        said += f" {share:.0%} of its parameters are in use."
    remedy = "Take more units or another layer, a smaller alpha, more iterations, or more starts."
    return Finding("underfitting", Severity.WARNING, numbers, said, remedy)


def neighbor_correlation(X: FloatArray, r: FloatArray) -> tuple[float, int]:
    """Correlation of r (n,) between each row of X (n, d) and its nearest other row, and the number of pairs.

    Residuals are cut at three robust standard deviations, so that one pair cannot decide.  Rows equal in X
    and r are the same row written twice, and do not count.

    Examples
    --------
    >>> x = np.linspace(0, 1, 50)[:, None]
    >>> neighbor_correlation(x, np.sin(9 * x[:, 0]))[0] > 0.9
    True
    >>> abs(neighbor_correlation(x, np.random.default_rng(1).normal(size=50))[0]) < 0.3
    True
    """
    from scipy.spatial import KDTree

    spread = X.std(axis=0)
    _, rows = np.unique(np.column_stack([X, r]), axis=0, return_index=True)
    points, r = (X / np.where(spread > 0, spread, 1.0))[rows], r[rows]
    if len(rows) < 2:
        return 0.0, 0
    _, near = KDTree(points).query(points, k=2)
    first, second = np.asarray(near).T
    own = np.arange(len(rows))
    partner = np.where(first == own, second, first)  # a twin may come before the row itself
    pairs = np.unique(np.sort(np.column_stack([own, partner]), axis=1), axis=0)
    cut = _cut(r)
    a, b = cut[pairs[:, 0]], cut[pairs[:, 1]]
    squares = float(np.mean(a * a + b * b)) / 2
    return (float(np.mean(a * b)) / squares if squares > 0 else 0.0), len(pairs)


PATTERN = 0.6
"""Correlation of the residuals of rows next to each other.  Of NIST's fits with 30 rows and more, Kirby2
has 0.94 and visibly a pattern; the next have 0.50 (Chwirut1, replicates in a row) and 0.49 (Nelson)."""


def patterned_residuals(subject: Subject) -> Finding | None:
    """Rows next to each other err alike: a curve misses structure, or the measurement drifted."""
    at = subject.at
    if at is None or subject.of_network or not subject.squares or subject.exact or len(at.residual) < 30:
        return None
    r = _cut(at.residual)
    squares, n = float(r @ r), len(r)
    correlation = float(r[1:] @ r[:-1]) / squares if squares > 0 else 0.0
    if not (correlation > PATTERN and correlation * np.sqrt(n) > NEIGHBORS_Z):
        return None
    said = f"Residuals of rows next to each other are correlated by {correlation:.2f} ({n} rows)."
    remedy = (
        "Plot the residuals: the model misses structure, or the measurement drifted. Standard errors "
        "are too small."
    )
    return Finding(
        "patterned residuals", Severity.WARNING, {"correlation": correlation, "rows": n}, said, remedy
    )


def _cut(r: FloatArray) -> FloatArray:
    """r within three robust standard deviations."""
    sd = 1.4826 * float(np.median(np.abs(r)))
    return np.clip(r, -3 * sd, 3 * sd) if sd > 0 else r


IN_USE = 0.9
"""γ/p from which on Foresee & Hagan (1997) advise a larger network."""


def all_parameters_in_use(subject: Subject) -> Finding | None:
    """The evidence finds no parameter idle: a larger network may do better."""
    fit = subject.evidence
    if fit is None or not subject.hidden_layers:
        return None
    p = len(fit.w)
    if not fit.n_effective > IN_USE * p:
        return None
    said = f"The data determine {fit.n_effective:.1f} of {p} parameters: none is idle."
    remedy = "Fit a larger network too, and compare the log evidence."
    numbers = {"effective_parameters": fit.n_effective, "parameters": float(p)}
    return Finding("all parameters in use", Severity.NOTE, numbers, said, remedy)


IDLE = 1.0
"""γ below which not even one parameter is in use: on pure noise it is 0.02 to 0.8 in two fits of three."""


def nothing_found(subject: Subject) -> Finding | None:
    """The evidence of a constant is higher than that of the network, or the network has become one."""
    fit = subject.evidence
    if fit is None or not (fit.constant_log_evidence >= fit.log_evidence or fit.n_effective < IDLE):
        return None
    said = (
        f"{fit.n_effective:.2g} parameters are in use; the log evidence is {fit.log_evidence:.1f}, that of a "
        f"constant {fit.constant_log_evidence:.1f}."
    )
    remedy = "These rows do not show that the inputs matter: predict the mean, or measure other inputs."
    numbers = {
        "log_evidence": fit.log_evidence,
        "constant_log_evidence": fit.constant_log_evidence,
        "effective_parameters": fit.n_effective,
    }
    return Finding("nothing found", Severity.FAULT, numbers, said, remedy)


FLOOR = 1e-4
"""Noise standard deviation over the spread of the targets.  Measured tables have 1e-3 and more."""


def noise_at_its_floor(subject: Subject) -> Finding | None:
    """The evidence found no noise."""
    fit = subject.evidence
    if fit is None or not isinstance(subject.problem, NetworkProblem) or not subject.squares:
        return None
    if fit.noise_precision == 1.0:
        return None  # given, and not found
    spread = float(np.std(subject.problem.targets))
    if not (spread > 0 and fit.noise_sd < FLOOR * spread):
        return None
    said = f"The noise is estimated at {fit.noise_sd / spread:.1e} of the spread of the targets."
    remedy = (
        "Right for targets that were computed; for measured ones the network is too large for these rows. "
        "Error bars then tell of the model only, and are too narrow."
    )
    return Finding("no noise", Severity.NOTE, {"noise_sd": fit.noise_sd, "spread": spread}, said, remedy)
