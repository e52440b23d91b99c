"""The primal solver on the device of the module: no matrix comes to the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from marquardt._types import FloatArray, IntArray
from marquardt.jacobian import Jacobian
from marquardt.linsolve.system import Buffers, SingularSystemError, group_sums, right_hand_side
from marquardt.torch_models.streamed_jacobian import StreamedJacobian


@dataclass(frozen=True)
class DeviceCholesky:
    """A = JᵀJ + S₀ + λD and its Cholesky factor by PyTorch, where the module is.

    `fit_module` takes it when the module is on an accelerator.  On a CPU it gives the same step, more slowly.
    """

    def prepare(
        self,
        jacobian: Jacobian,
        prior: FloatArray | None,
        scale: FloatArray | None,
        recycle: Buffers | None = None,
    ) -> DeviceSystem:
        del recycle
        if isinstance(jacobian, StreamedJacobian):
            gram = jacobian.gram_on_device()
        else:
            upper = np.triu(jacobian.gram())
            gram = torch.from_numpy(upper + np.triu(upper, 1).T)
        if prior is not None:
            gram.diagonal().add_(torch.from_numpy(prior).to(gram.device))
        return DeviceSystem(jacobian, gram, scale)


@dataclass(frozen=True)
class DeviceSystem:
    """JᵀJ + S₀ on the device, waiting for λ."""

    jacobian: Jacobian
    gram: Tensor = field(repr=False)
    scale: FloatArray | None

    def factorize(self, damping: float) -> DeviceFactor:
        damped = self.gram.clone()
        if self.scale is None:
            damped.diagonal().add_(damping)
        else:
            damped.diagonal().add_(torch.from_numpy(damping * self.scale).to(damped.device))
        lower, info = torch.linalg.cholesky_ex(damped)
        if int(info) != 0 or not bool(torch.isfinite(lower[-1, -1])):
            raise SingularSystemError(f"leading minor {int(info)} is not positive definite")
        return DeviceFactor(self.jacobian, lower)

    def release(self) -> None:
        """Nothing: PyTorch keeps the memory of its tensors itself."""


@dataclass(frozen=True)
class DeviceFactor:
    """L with A = LLᵀ, on the device."""

    jacobian: Jacobian
    lower: Tensor = field(repr=False)

    def solve(
        self, residual: FloatArray, offset: FloatArray | None = None, gradient: FloatArray | None = None
    ) -> FloatArray:
        rhs = torch.tensor(right_hand_side(self.jacobian, residual, offset, gradient))
        solution = torch.cholesky_solve(rhs.to(self.lower.device)[:, None], self.lower)
        return -solution[:, 0].cpu().numpy()

    def logdet(self) -> float:
        return 2.0 * float(self.lower.diagonal().log().sum())

    def trace_inverse(self) -> float:
        return float(self.inverse_diagonal().sum())

    def inverse_diagonal(self) -> FloatArray:
        ones = torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        inverse = torch.linalg.solve_triangular(self.lower, ones, upper=False)
        return inverse.square().sum(dim=0).cpu().numpy()

    def determined(self, diagonal: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
        return group_sums(1.0 - diagonal * self.inverse_diagonal(), groups, n_groups)
