r"""Unknown coefficients with standard errors.

The equation holds exactly; only measurements are noisy.  To first order the noise ε of the data moves the
parameters by A⁻¹ J_dᵀ ε, A = JᵀJ over all groups, J_d the rows of the data, weights included.  Hence, for
groups g of data with a noise of their own,

    cov = Σ_g σ_g² A⁻¹ J_gᵀ J_g A⁻¹,

and what remains of the noise is r_d = (I − H) ε, H = J_d A⁻¹ J_dᵀ, so that

    E ‖r_g‖² = Σ_h σ_h² ‖(I − H)_gh‖²_F          (solved for the σ_h²).

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
        name: Coefficient(float(fit.params["unknowns"][name]), float(error))
        for name, error in zip(names, errors, strict=True)
    }


def gains(solution: Solution) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """How the unknowns follow the data, ∂unknown/∂(weighted datum) (unknowns, n_d), to first order;
    the rows U_d of the data in an orthonormal basis of J, and the group of each.

    A⁻¹J_dᵀ = V S⁻¹ U_dᵀ for J = U S Vᵀ.
    """
    fit, groups = solution.fit, solution.pde.named_groups.values()
    owner = np.concatenate(
        [
            np.full(part.n_residuals, index if isinstance(group, Data) else -1)
            for index, (part, group) in enumerate(zip(fit.problem.parts, groups, strict=True))
        ]
    )
    rows = owner >= 0
    left, sizes, right = scipy.linalg.svd(
        fit.problem.linearize(fit.result.w).jacobian.dense(), full_matrices=False
    )
    kept = sizes > SMALLEST * sizes[0]
    entries, slopes = _entries(solution)
    basis = left[rows][:, kept]
    return slopes[:, None] * (right[kept][:, entries].T / sizes[kept]) @ basis.T, basis, owner[rows]


def _standard_errors(solution: Solution) -> NDArray[np.float64]:
    if not any(isinstance(group, Data) for group in solution.pde.named_groups.values()):
        return np.full(len(solution.pde.unknowns), np.nan)
    gain, basis, owner = gains(solution)
    fit = solution.fit
    residuals = np.concatenate(
        [
            part.loss.residual(part.outputs(fit.result.w)).ravel()
            for part, group in zip(fit.problem.parts, solution.pde.named_groups.values(), strict=True)
            if isinstance(group, Data)
        ]
    )
    return np.sqrt(gain**2 @ _noise(residuals, basis, owner))


def _noise(
    residual: NDArray[np.float64], left: NDArray[np.float64], owner: NDArray[np.intp]
) -> NDArray[np.float64]:
    """σ_g² of each row (n_d,); NaN where the data leave nothing to tell the noise by."""
    groups = np.unique(owner)
    spread = (np.eye(len(residual)) - left @ left.T) ** 2
    shares = np.array([[spread[np.ix_(owner == g, owner == h)].sum() for h in groups] for g in groups])
    squares = np.array([np.sum(residual[owner == g] ** 2) for g in groups])
    if np.linalg.cond(shares) > 1e8:
        return np.full(len(residual), np.nan)
    found = np.linalg.solve(shares, squares)
    return np.where(found > 0, found, np.nan)[np.searchsorted(groups, owner)]


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
