r"""The residuals of a closure as a problem of the driver, for an optimizer's step.

The closure reads the parameters where they are, so every call here first writes w to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor

from marquardt._types import FloatArray
from marquardt.jacobian import DenseJacobian, Jacobian
from marquardt.problem import Linearization

_CHUNK_NUMBERS = 2**22
"""Most numbers of the derivatives of one pass: 32 MB in float64."""
_SHIFT = 0.1
"""Share of the step at which its second derivative is taken (Transtrum & Sethna, arXiv:1201.5885, 3.2)."""


class ClosureProblem:
    """C(w) = ½‖r(w)‖² + ½ wᵀS₀w with r from ``closure()``, a tensor of any shape.

    Parameters
    ----------
    closure : callable
        Returns the residuals of the parameters as they are.
    params : sequence of tensors
        w is made of them, row-major, in this order.
    prior : array (p,) or None
        S₀.
    """

    def __init__(
        self, closure: Callable[[], Tensor], params: Sequence[Tensor], prior: FloatArray | None = None
    ) -> None:
        self.closure, self.params, self.prior = closure, list(params), prior
        self.n_params = sum(param.numel() for param in self.params)
        self.n_calls = 0
        self._latest: tuple[FloatArray, FloatArray] | None = None

    def pack(self) -> FloatArray:
        """w of the values that the parameters have now."""
        parts = [param.detach().reshape(-1).double().cpu() for param in self.params]
        w = torch.cat(parts).numpy()
        w.flags.writeable = False
        return w

    @torch.no_grad()
    def write(self, w: FloatArray) -> None:
        """Give the parameters the values w, in their own precision."""
        start = 0
        for param in self.params:
            values = torch.tensor(w[start : start + param.numel()]).view(param.shape)
            param.copy_(values)
            start += param.numel()

    def residual(self, w: FloatArray) -> FloatArray:
        """r (n,); the latest is kept, since an accepted trial point is linearised next."""
        if self._latest is not None and self._latest[0] is w:
            return self._latest[1]
        self.write(w)
        with torch.no_grad():
            r = self._call().double().cpu().numpy()
        if not w.flags.writeable:  # its owner cannot change it
            self._latest = (w, r)
        return r

    def cost(self, w: FloatArray) -> float:
        r = self.residual(w)
        cost = 0.5 * float(r @ r)
        return cost if self.prior is None else cost + 0.5 * float(self.prior @ (w * w))

    def linearize(self, w: FloatArray) -> Linearization:
        """With a Jacobian that is made when it is asked for: where a step ends it is not."""
        self.write(w)
        with torch.enable_grad():
            r = self._call()
            gradient = _flat(_backward(r, self.params, r.detach()))
        residual = r.detach().double().cpu().numpy()
        if not w.flags.writeable:
            self._latest = (w, residual)
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient = gradient + offset
        jacobian = cast(Jacobian, JacobianOnDemand(self, w))
        return Linearization(w, self.cost(w), residual, jacobian, offset, gradient)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray | None:
        """By differences, as in `marquardt.residual_problem`; None in single precision, which has none."""
        if any(param.dtype != torch.float64 for param in self.params):
            return None
        shifted = self.residual(at.w + _SHIFT * direction)
        if not np.isfinite(shifted).all():
            return None
        difference = shifted - at.residual - _SHIFT * at.jacobian.mv(direction)
        rounding = float(np.finfo(float).eps) * float(np.linalg.norm(at.residual))
        if float(np.linalg.norm(difference)) <= 100 * rounding:
            return None
        return (2.0 / _SHIFT**2) * difference

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """w: nothing is known here of a linear output."""
        del damping, scale
        return w

    def dense(self, w: FloatArray) -> FloatArray:
        """∂r/∂w (n, p): row by row by reverse mode, or column by column by reverse over reverse mode."""
        self.write(w)
        with torch.enable_grad():
            r = self._call()
            columns = len(r) > 2 * self.n_params
            matrix = _columns(r, self.params) if columns else _rows(r, self.params)
        return matrix.double().cpu().numpy()

    def _call(self) -> Tensor:
        self.n_calls += 1
        r = self.closure()
        if not isinstance(r, Tensor) or r.dim() == 0:
            what = "one number" if isinstance(r, Tensor) else f"a {type(r).__name__}"
            raise ValueError(
                f"the closure returned {what}: it must return the residuals, such as model(X) - y, not their "
                "mean, and call no backward()"
            )
        if torch.is_grad_enabled() and not r.requires_grad:
            raise ValueError("the residuals do not depend on the parameters: compute them in the closure")
        return r.reshape(-1)


class JacobianOnDemand:
    """∂r/∂w at w as a `DenseJacobian`, made at the first question but that for its shape."""

    def __init__(self, problem: ClosureProblem, w: FloatArray) -> None:
        self._problem, self._w = problem, w

    @cached_property
    def _dense(self) -> DenseJacobian:
        return DenseJacobian(self._problem.dense(self._w))

    def __getattr__(self, name: str) -> object:
        return getattr(self._dense, name)


def _rows(r: Tensor, params: Sequence[Tensor]) -> Tensor:
    n, p = len(r), sum(param.numel() for param in params)
    size = max(1, min(n, _CHUNK_NUMBERS // max(p, n)))
    matrix = r.new_empty(n, p)
    for start in range(0, n, size):
        units = torch.eye(n, dtype=r.dtype, device=r.device)[start : start + size]
        found = _backward(r, params, units, batched=True)
        matrix[start : start + size] = torch.cat([part.reshape(len(units), -1) for part in found], dim=1)
    return matrix


def _columns(r: Tensor, params: Sequence[Tensor]) -> Tensor:
    """J v is the derivative of ⟨Jᵀu, v⟩ with respect to u."""
    n, p = len(r), sum(param.numel() for param in params)
    u = torch.zeros_like(r, requires_grad=True)
    pulled = torch.cat([part.reshape(-1) for part in _backward(r, params, u, create=True)])
    size = max(1, min(p, _CHUNK_NUMBERS // n))
    matrix = r.new_empty(n, p)
    for start in range(0, p, size):
        units = torch.eye(p, dtype=r.dtype, device=r.device)[start : start + size]
        (found,) = _backward(pulled, [u], units, batched=True)
        matrix[:, start : start + size] = found.T
    return matrix


def _backward(
    r: Tensor, params: Sequence[Tensor], u: Tensor, batched: bool = False, create: bool = False
) -> list[Tensor]:
    """Jᵀu for each parameter, for one u or a batch of them."""
    found = torch.autograd.grad(
        r,
        params,
        u,
        retain_graph=batched or create,
        create_graph=create,
        allow_unused=True,
        is_grads_batched=batched,
    )
    lead = (len(u),) if batched else ()
    return [
        param.new_zeros(*lead, *param.shape) if part is None else part
        for part, param in zip(found, params, strict=True)
    ]


def _flat(parts: Sequence[Tensor]) -> FloatArray:
    return torch.cat([part.reshape(-1).double().cpu() for part in parts]).numpy()
