r"""Findings about the Jacobian: what the data determine, and how much hangs on single rows.

References
----------
R. D. Cook, "Detection of influential observation in linear regression", Technometrics 19:15, 1977.
D. M. Bates, D. G. Watts, "Nonlinear Regression Analysis and Its Applications", Wiley 1988, chapter 3.
"""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray
from marquardt.diagnosis.finding import Finding, Severity
from marquardt.diagnosis.subject import Subject
from marquardt.residual_problem import ResidualProblem


def rank_deficiency(subject: Subject) -> Finding | None:
    """Directions in parameter space that neither the data nor a prior determine."""
    spectrum = subject.spectrum
    if spectrum is None or spectrum.rank == len(spectrum.values):
        return None
    if subject.of_network and subject.prior is not None:
        return None  # what is left open are the biases of dead units, which have a finding of their own
    p, rank = len(spectrum.values), spectrum.rank
    said = f"The data determine {rank} of {p} parameters: {p - rank} combinations of them can be anything."
    if subject.of_network:
        remedy = (
            "Add a penalty (alpha), take fewer units, or more rows; predictions between the rows may be wild."
        )
        severity = Severity.WARNING
    else:
        open_directions = spectrum.right[spectrum.values[: len(spectrum.right)] <= spectrum.cutoff]
        said += f" They hold mostly {_loudest(open_directions, subject.names)}."
        remedy = "Fix one of them, or measure what tells them apart; their standard errors are infinite."
        severity = Severity.FAULT
    return Finding("rank deficiency", severity, {"rank": rank, "parameters": p}, said, remedy)


CONDITION = 1e8
"""1/√ε: from here on JᵀJ is singular in double precision: half of the digits of the estimates are gone."""


def ill_conditioning(subject: Subject) -> Finding | None:
    """The columns of J, scaled to norm 1, are nearly dependent."""
    spectrum = subject.spectrum
    if spectrum is None or spectrum.rank < len(spectrum.values) or subject.of_network:
        return None  # the parameters of a network have no meaning of their own, and damping does for the rest
    if spectrum.condition < CONDITION:
        return None
    said = (
        f"The condition number of the scaled Jacobian is {spectrum.condition:.1e}: one combination of "
        f"{_loudest(spectrum.right[-1:], subject.names)} is determined to few digits."
    )
    remedy = "Write the model with other parameters, use the QR solver, or measure where they differ."
    return Finding("ill conditioning", Severity.WARNING, {"condition": spectrum.condition}, said, remedy)


CORRELATION = 0.999
"""From here on the standard error is 1/√(1 − ρ²) = 22 times that with the other parameter known."""


def correlated_parameters(subject: Subject) -> Finding | None:
    """Pairs of parameters that the data determine together, but not apart."""
    spectrum = subject.spectrum
    if spectrum is None or subject.of_network or spectrum.rank < len(spectrum.values):
        return None
    half = spectrum.right / spectrum.values[:, None]
    covariance = half.T @ half
    errors = np.sqrt(np.diag(covariance))
    matrix = np.triu(covariance / np.outer(errors, errors), 1)
    pairs = np.argwhere(np.abs(matrix) > CORRELATION)
    if not len(pairs):
        return None
    worst = max(map(tuple, pairs), key=lambda pair: abs(matrix[pair]))
    value = float(matrix[worst])
    first, second = (subject.names[i] if subject.names else f"w[{i}]" for i in worst)
    more = f", and {len(pairs) - 1} more pairs above {CORRELATION}" if len(pairs) > 1 else ""
    inflation = float(1.0 / np.sqrt(max(1.0 - value**2, np.finfo(float).eps)))
    said = (
        f"{first} and {second} are correlated by {value:.5f}{more}: each is {inflation:.0f} times less "
        "certain than if the other were known."
    )
    remedy = "Read them together (a confidence contour), fix one, or write the model with their sum or ratio."
    numbers = {"correlation": value, "pairs": float(len(pairs)), "inflation": inflation}
    return Finding("correlated parameters", Severity.NOTE, numbers, said, remedy)


LEVERAGE = 0.999
"""h of a row that nothing but itself decides: the fit passes through it whatever was measured."""


def leverage(subject: Subject) -> Finding | None:
    """Rows that the model follows alone, among rows that it does not."""
    freedom, spectrum = _freedom(subject), subject.spectrum
    if freedom is None or spectrum is None:
        return None
    rows = np.flatnonzero(spectrum.leverage > LEVERAGE)
    if not len(rows):
        return None
    named = _rows(subject, rows[np.argsort(-spectrum.leverage[rows])])
    said = (
        f"The fit passes through {named} whatever was measured there: leverage "
        f"{spectrum.leverage.max():.4f}, where the mean is {spectrum.leverage.mean():.2g}."
    )
    remedy = "Check these rows, or measure near them: no residual will show an error in them."
    numbers = {
        "rows": float(len(rows)),
        "first_row": subject.row(int(rows[0])),
        "largest": float(spectrum.leverage.max()),
    }
    return Finding("leverage", Severity.NOTE, numbers, said, remedy)


INFLUENCE = 1.0
"""Cook's distance: at 1 the row moves the estimates to about the edge of their 50 % region (Cook 1977)."""
OUTLYING = 1e-3
"""Chance, over all rows, of a residual as far from what the other rows predict: with few rows,
distances above 1 are common in sound data."""


def influential_rows(subject: Subject) -> Finding | None:
    """Rows that the others contradict and that move the estimates.

    Cook's D = r² h / (γ s² (1 − h)²), and Student's test of the residual against the fit without the row,
    t² = r² (n − γ − 1) / (s² (n − γ)(1 − h) − r²), with Bonferroni's correction for the choice of the row.
    """
    from scipy.stats import t as student

    freedom, spectrum = _freedom(subject), subject.spectrum
    if freedom is None or spectrum is None or subject.at is None:
        return None
    h, r = np.minimum(spectrum.leverage, LEVERAGE), subject.at.residual
    variance = float(r @ r) / freedom
    if not (variance > 0 and spectrum.rank):
        return None
    distance = r**2 * h / (1 - h) ** 2 / (spectrum.effective_parameters * variance)
    others = np.maximum(variance * freedom - r**2 / (1 - h), 1e-12 * variance) / (freedom - 1)
    t = np.abs(r) / np.sqrt(others * (1 - h))
    chance = np.minimum(1.0, 2 * len(r) * student.sf(t, freedom - 1))
    judged = spectrum.leverage < LEVERAGE  # beyond, no residual is left to judge by
    rows = np.flatnonzero(judged & (distance > INFLUENCE) & (chance < OUTLYING))
    if not len(rows):
        return None
    rows = rows[np.argsort(-distance[rows])]
    worst = int(rows[0])
    named = _rows(subject, rows)
    said = (
        f"{named[0].upper()}{named[1:]} {'moves' if len(rows) == 1 else 'move'} the estimates and "
        f"{'does' if len(rows) == 1 else 'do'} not agree with the others: Cook's distance "
        f"{distance[worst]:.3g} (1 is much), {t[worst]:.1f} standard deviations from where the "
        "others put it."
    )
    remedy = "Check these rows; fit without them, or with a robust loss, and see what changes."
    numbers = {
        "rows": len(rows),
        "row": subject.row(worst),
        "distance": distance[worst],
        "leverage": h[worst],
        "t": t[worst],
        "chance": chance[worst],
    }
    return Finding("influential rows", Severity.WARNING, numbers, said, remedy)


DERIVATIVE = 1e-2
"""Relative error of Jv against central differences along a random direction; right ones have < 1e-6."""


def wrong_derivative(subject: Subject) -> Finding | None:
    """The Jacobian is not the derivative of the residuals."""
    at, problem = subject.at, subject.problem
    if at is None or problem is None or subject.of_network or subject.precision > 0:
        return None  # a network's derivative is our own, and differences are what they are
    v = np.random.default_rng(0).normal(size=len(at.w)) * np.maximum(np.abs(at.w), 1e-3)
    h = float(np.finfo(float).eps) ** (1 / 3)
    predicted = at.jacobian.mv(v)
    if isinstance(problem, ResidualProblem):
        ends = [problem.residual(at.w + sign * h * v) for sign in (1.0, -1.0)]
    else:
        ends = [problem.linearize(at.w + sign * h * v).residual for sign in (1.0, -1.0)]
    difference = (ends[0] - ends[1]) / (2 * h)
    size = max(float(np.linalg.norm(difference)), float(np.linalg.norm(predicted)))
    rounding = 100 * float(np.finfo(float).eps) * float(np.linalg.norm(at.residual)) / h
    error = float(np.linalg.norm(difference - predicted))
    if not (np.isfinite(error) and error > DERIVATIVE * size + rounding):
        return None
    said = (
        f"The Jacobian is {error / size:.1%} off the differences of the residuals along a random direction."
    )
    remedy = "Correct the Jacobian, or let it be computed: jac='3-point'."
    return Finding("wrong derivative", Severity.FAULT, {"relative_error": error / size}, said, remedy)


def _freedom(subject: Subject) -> float | None:
    """n − γ, where the residuals are errors of predictions, and a curve has 3 degrees of freedom, a
    network half of its rows: closer to interpolation, single rows hang on curvature that J does not see."""
    spectrum, at = subject.spectrum, subject.at
    if spectrum is None or at is None or not subject.squares or subject.exact:
        return None
    if not np.array_equal(subject.result.w, subject.result.w_last):
        return None  # stopped early: no minimum, and so no balance of the rows to judge
    n = len(at.residual)
    freedom = n - spectrum.effective_parameters
    return freedom if freedom >= (0.5 * n if subject.of_network else 3.0) else None


def _rows(subject: Subject, rows: np.ndarray, most: int = 3) -> str:
    named = ", ".join(subject.row_name(int(i)) for i in rows[:most])
    return named if len(rows) <= most else f"{named} and {len(rows) - most} more"


def _loudest(directions: FloatArray, names: tuple[str, ...], most: int = 4) -> str:
    """The parameters with the largest parts in some directions (m, p)."""
    if not len(directions):  # more parameters than residuals: all of them
        return "all parameters"
    part = np.max(np.abs(directions), axis=0)
    chosen = [i for i in np.argsort(-part)[:most] if part[i] > 0.1]
    return ", ".join(names[i] if names else f"w[{i}]" for i in sorted(chosen))
