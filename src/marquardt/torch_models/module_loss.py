r"""A loss of the user's own, by the square root of its curvature in the outputs."""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, hessian, vmap

from marquardt._types import FloatArray
from marquardt.losses.latest import Latest
from marquardt.losses.loss import Loss
from marquardt.losses.weighting import seed_times, times, weighted_sum
from marquardt.models.activations import Activation
from marquardt.torch_models.double_precision import in_double

_FLOOR = 1e-8
"""Least curvature of a direction, over the largest of its sample; the gradient does not depend on it."""
_TINY = 1e-12
_ROUNDING = 1e-9
"""Of the loss of a sample, which may be a difference of larger numbers."""


@dataclass(frozen=True)
class ModuleLoss:
    """Makes the loss Σ s_n ℓ(z_n, y_n) of a function ℓ, for `fit_module(loss=...)`.

    Parameters
    ----------
    function : callable
        (outputs of a sample (K,), targets of it (K,)) -> a scalar tensor, twice differentiable and never
        negative.  Where it is not convex in the outputs, its negative curvatures count as none.

    Examples
    --------
    >>> poisson = ModuleLoss(lambda z, y: (z.exp() - y * z - y + y * y.log()).sum())
    """

    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, activation: Activation, targets: FloatArray, root_weights: FloatArray | None) -> Loss:
        del activation
        if root_weights is not None and root_weights.ndim == 2:
            raise ValueError("a loss of a whole sample needs one weight a sample: sample_weight (n_samples,)")
        return CurvatureLoss(self.function, targets, root_weights)


@dataclass(frozen=True)
class CurvatureLoss:
    """With H = ∂²ℓ/∂z² = VEVᵀ and S = VE^½, the seed is Sᵀ = E^½Vᵀ and S r = ∂ℓ/∂z has r = E^−½ Vᵀ ∂ℓ/∂z."""

    function: Callable[[Tensor, Tensor], Tensor]
    targets: FloatArray
    root_weights: FloatArray | None = None
    linear = False

    @cached_property
    def _y(self) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.targets.T))

    @cached_property
    def _parts(self) -> Latest[tuple[FloatArray, FloatArray]]:
        """z -> r (K, N) and Sᵀ (K, K, N), without weights."""
        return Latest(self._evaluate)

    @in_double
    def cost(self, z: FloatArray) -> float:
        values = vmap(self.function)(torch.tensor(z.T.copy()), self._y)
        cost = weighted_sum(values.detach().numpy()[None], self.root_weights)
        if cost < -_ROUNDING * len(values):
            raise ValueError(
                f"the loss is negative, {cost:.6g}: a run ends at 0, so add what makes it >= 0, such as "
                "minus its least value for these targets"
            )
        return 0.0 if cost < 0.0 else cost

    def residual(self, z: FloatArray) -> FloatArray:
        return times(self._parts(z)[0].copy(), self.root_weights)

    def seed(self, z: FloatArray) -> FloatArray:
        return seed_times(self._parts(z)[1].copy(), self.root_weights)

    def second(self, z: FloatArray, z1: FloatArray, z2: FloatArray) -> FloatArray:
        del z1  # Sᵀz̈, as for cross-entropy
        return times(np.einsum("kjn,jn->kn", self._parts(z)[1], z2), self.root_weights)

    @in_double
    def _evaluate(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        outputs = torch.tensor(z.T.copy())
        slope = vmap(grad(self.function))(outputs, self._y)
        curvature = vmap(hessian(self.function))(outputs, self._y).detach()
        curvature = torch.nan_to_num(0.5 * (curvature + curvature.mT))
        values, vectors = torch.linalg.eigh(curvature)
        floor = _FLOOR * values[:, -1:].clamp(min=0.0) + _TINY
        roots = values.clamp(min=floor).sqrt()  # (N, K)
        residual = (vectors.mT @ slope.detach()[:, :, None])[:, :, 0] / roots
        seed = roots[:, :, None] * vectors.mT
        return np.ascontiguousarray(residual.numpy().T), np.ascontiguousarray(seed.permute(1, 2, 0).numpy())
