"""What the data say of each parameter, in words.

The information matrix of the logarithms of the parameters has eigenvectors, products of powers of
parameters, that the data tell well (large eigenvalues) and badly (small ones).  A parameter is uncertain
either because the observations hardly depend on it, or because another can make up for it; the two need
different remedies, and are told apart here: with all others known its error would be 1/√I_kk, with all others
free √(I⁻¹)_kk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from marquardt import LeastSquaresFit

GOOD, POOR = 0.3, 1.0
"""Relative standard errors.  30 % is what reports of population models commonly ask for; with 100 % the 95 %
interval of a logarithm spans a factor of 50."""
CLOSE = 0.95
"""Correlation from which on two parameters are told as hard to separate, as NONMEM users do."""


class Verdict(Enum):
    """How well a parameter is determined."""

    DETERMINED = "well determined"
    UNCERTAIN = "uncertain"
    ENTANGLED = "hardly told from others"
    UNDETERMINED = "not determined"


@dataclass(frozen=True)
class ParameterVerdict:
    """Of one parameter."""

    name: str
    verdict: Verdict
    relative_error: float
    """Standard error of the logarithm; of a parameter that may be negative, over its size."""
    alone: float
    """The same, if all other parameters were known."""
    partner: str | None
    """The parameter that it is correlated with most."""
    correlation: float
    text: str
    """A sentence."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Direction:
    """A combination of parameters, as powers: the largest ones."""

    error: float
    """Of its logarithm."""
    powers: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        shown = " · ".join(f"{name}^{power:+.2f}" for name, power in self.powers)
        return f"{shown}: {100 * self.error:.3g} %"


@dataclass(frozen=True)
class Identifiability:
    """Of all parameters of a fit."""

    parameters: tuple[ParameterVerdict, ...]
    directions: tuple[Direction, ...]
    """Eigenvectors of the information matrix, the worst told first."""
    condition: float
    """Of that information matrix: largest eigenvalue over smallest."""

    def __getitem__(self, name: str) -> ParameterVerdict:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __str__(self) -> str:
        lines = [f"  {parameter.text}" for parameter in self.parameters]
        worst, best = self.directions[0], self.directions[-1]
        return "\n".join(
            [
                *lines,
                f"  worst told combination: {worst}",
                f"  best told combination: {best}",
                f"  condition number of the information matrix: {self.condition:.3g}",
            ]
        )


def identifiability(fit: LeastSquaresFit, sizes: np.ndarray, absolute_sigma: bool = False) -> Identifiability:
    """From a fit in free parameters u.

    Parameters
    ----------
    fit : LeastSquaresFit
    sizes : array (p,)
        What a change of u by 1 is to be taken relative to: 1 for logarithms, |θ| otherwise.
    absolute_sigma : bool
        When true the residuals are already in units of their standard deviation.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import least_squares
    >>> t = np.linspace(0, 1, 20)
    >>> y = 3 * np.exp(-t) + 0.1 * np.sin(37 * np.arange(20))
    >>> both = least_squares(lambda u: np.exp(u[0] + u[1] - u[2] * t) - y, np.ones(3), names=["a", "b", "k"])
    >>> for parameter in identifiability(both, np.ones(3)).parameters:
    ...     print(parameter)
    a is not determined: b can make up for any change of it (correlation -1.0000)
    b is not determined: a can make up for any change of it (correlation -1.0000)
    k is well determined (relative error 2.9 %)
    """
    known = absolute_sigma or not (np.isfinite(fit.residual_sd) and fit.residual_sd > 0)
    s = 1.0 if known else fit.residual_sd
    J = fit.jacobian * sizes
    lengths = np.linalg.norm(J, axis=0)
    unit = J / np.where(lengths > 0, lengths, 1.0)
    _, values, vectors = np.linalg.svd(J, full_matrices=False)
    covariance = fit.covariance(absolute_sigma) / np.outer(sizes, sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(np.diag(covariance))
        alone = s / lengths
    correlations = _correlations(unit)
    parameters = tuple(_verdict(k, fit.names, errors, alone, correlations[k]) for k in range(len(fit.names)))
    least = float(values[-1]) if len(values) == len(fit.names) else 0.0
    condition = float((values[0] / least) ** 2) if least > 0 else np.inf
    directions = [_direction(fit.names, s, value, v) for value, v in zip(values, vectors, strict=True)]
    return Identifiability(parameters, tuple(directions[::-1]), condition)


def _correlations(unit: np.ndarray) -> np.ndarray:
    """Of the estimates (p, p), from a Jacobian with columns of norm 1; singular values of zero count as tiny
    ones, so that undetermined pairs show."""
    _, values, vectors = np.linalg.svd(unit, full_matrices=False)
    half = vectors.T / np.maximum(values, 1e-8 * values.max(initial=1e-300))
    covariance = half @ half.T
    errors = np.sqrt(np.diag(covariance))
    return covariance / np.outer(errors, errors)


def _verdict(
    k: int, names: Sequence[str], errors: np.ndarray, alone: np.ndarray, correlations: np.ndarray
) -> ParameterVerdict:
    others = np.abs(np.where(np.arange(len(names)) == k, 0.0, correlations))
    j = int(others.argmax()) if len(names) > 1 else k
    partner = names[j] if j != k else None
    c = float(correlations[j]) if j != k else 0.0
    name, error = names[k], float(errors[k])
    size = f"relative error {100 * error:.2g} %"
    close = partner is not None and abs(c) >= CLOSE
    if not np.isfinite(alone[k]) or alone[k] > 1e8:
        verdict, text = (
            Verdict.UNDETERMINED,
            f"{name} is not determined: the observations do not depend on it",
        )
    elif not np.isfinite(error):
        verdict = Verdict.UNDETERMINED
        why = f"{partner} can make up for any change of it (correlation {c:.4f})" if close else (
            "several others together can make up for any change of it"
        )  # fmt: skip
        text = f"{name} is not determined: {why}"
    elif error <= GOOD:
        verdict, text = Verdict.DETERMINED, f"{name} is well determined ({size})"
        if close:
            text += f", though it goes with {partner} (correlation {c:.3f})"
    elif alone[k] <= GOOD:
        verdict = Verdict.ENTANGLED
        who = f"{partner} (correlation {c:.3f})" if close else "other parameters together"
        text = (
            f"{name} is hardly told from {who} ({size}; {100 * alone[k]:.2g} % if all others were known): "
            "fix one, or measure where they act apart"
        )
    else:
        verdict = Verdict.UNDETERMINED if error > POOR else Verdict.UNCERTAIN
        text = f"{name} is {verdict.value} ({size}): the observations depend on it too little"
    return ParameterVerdict(name, verdict, error, float(alone[k]), partner, c, text)


def _direction(names: Sequence[str], s: float, value: float, powers: np.ndarray) -> Direction:
    """Σ power · log θ, powers of norm 1: its error is s over the singular value."""
    order = [int(k) for k in np.argsort(-np.abs(powers)) if abs(powers[k]) >= 0.1][:4]
    turned = powers * np.sign(powers[order[0]])
    error = s / value if value > 0 else np.inf
    return Direction(float(error), tuple((str(names[k]), float(turned[k])) for k in order))
