r"""Unknown coefficients with standard errors.

The equation holds exactly; only measurements are noisy.  To first order the noise ε of the data moves the
parameters by −A⁻¹ J_dᵀ√W ε, A = JᵀJ over all groups, J_d the rows of the data.  Hence

    cov = σ² A⁻¹ J_dᵀ W J_d A⁻¹,       σ² = ‖r_d‖² / (n_d − γ),    γ = tr(A⁻¹ J_dᵀJ_d).

A⁻¹ by a singular value decomposition of J: directions that no residual sees are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from marquardt.apps.pinn.groups import Data

if TYPE_CHECKING:
    from marquardt.apps.pinn.solution import Solution

SMALLEST = 1e-8
"""Singular values below this, relative to the largest, are directions that no residual sees."""


@dataclass(frozen=True)
class Coefficient:
    """An estimate; the standard error is NaN without noisy data."""

    value: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.standard_error:.2g}"


def coefficients(solution: Solution) -> dict[str, Coefficient]:
    """All unknowns of a solution."""
    fit = solution.fit
    names = list(solution.pde.unknowns)
    if not names:
        return {}
    errors = _standard_errors(solution)
    return {
        name: Coefficient(float(fit.params["unknowns"][name]), error)
        for name, error in zip(names, errors, strict=True)
    }


def _standard_errors(solution: Solution) -> NDArray[np.float64]:
    fit, names = solution.fit, list(solution.pde.unknowns)
    at = fit.problem.linearize(fit.result.w)
    rows = np.concatenate(
        [
            np.full(part.n_residuals, isinstance(group, Data))
            for part, group in zip(fit.problem.parts, solution.pde.named_groups.values(), strict=True)
        ]
    )
    entries, slopes = _entries(solution)
    if not rows.any():
        return np.full(len(names), np.nan)
    left, sizes, right = scipy.linalg.svd(at.jacobian.dense(), full_matrices=False)
    kept = sizes > SMALLEST * sizes[0]
    # A⁻¹J_dᵀ = V S⁻¹ U_dᵀ: only rows of the data, only entries of the unknowns
    gain = (right[kept][:, entries].T / sizes[kept]) @ left[rows][:, kept].T
    effective = float(np.sum(left[rows][:, kept] ** 2))
    freedom = rows.sum() - effective
    if freedom <= 0:
        return np.full(len(names), np.nan)
    noise = float(np.sum(at.residual[rows] ** 2)) / freedom  # weighted: the weights cancel in `gain`
    return slopes * np.sqrt(noise * np.sum(gain**2, axis=1))


def _entries(solution: Solution) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where the unknowns stand in w, and d(value)/d(entry of w) there."""
    layout, w = solution.fit.tree.layout, solution.fit.result.w
    places, slopes = [], []
    for name in solution.pde.unknowns:
        leaf = next(leaf for leaf in layout.trained if leaf.path == f"unknowns.{name}")
        places.append(leaf.start)
        # softplus of `Positive`: its slope is the logistic function
        slopes.append(1.0 if leaf.transform is None else 1.0 / (1.0 + np.exp(-w[leaf.start])))
    return np.array(places), np.array(slopes)
