"""Any residual function of a parameter tree in JAX as a problem of the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.gram import Scratch
from marquardt.jacobian import DenseJacobian, Jacobian
from marquardt.jax_models.parameter_tree import ParameterTree, Trainable
from marquardt.jax_models.residual_functions import Arguments, ResidualFormula, count
from marquardt.jax_models.residuals_on_data import ResidualsOnData
from marquardt.jax_models.streamed_jacobian import StreamedJacobian
from marquardt.jax_models.transforms import Transform
from marquardt.output_seed import OutputSeed
from marquardt.problem import Linearization


class PytreeProblem:
    """C = ½‖r‖² + ½ wᵀS₀w with r = residual(params, *args), raveled; w are the parameters, raveled.

    Parameters
    ----------
    residual : callable
        ``residual(params, *args)`` -> any tree of real arrays of any shapes, in JAX.
    params : pytree
        The start.  `start` is its w, and `params_at(w)` the way back.
    *args
        Further arguments.  Arrays and floats may be other ones in another problem without compiling again;
        everything else (integers, strings, functions) is part of the code.
    trainable, transforms, alpha
        As in `fit`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> def decay(params, t, y):
    ...     return params["amplitude"] * jnp.exp(-params["rate"] * t) - y
    >>> t = np.linspace(0, 1, 5)
    >>> problem = PytreeProblem(decay, {"amplitude": 2.0, "rate": 1.0}, t, np.exp(-t))
    >>> problem.cost(problem.start) == 0.5 * sum(np.exp(-t) ** 2)
    np.True_
    >>> problem.params_at(np.array([1.0, 3.0]))
    {'amplitude': 1.0, 'rate': 3.0}
    """

    def __init__(
        self,
        residual: Callable[..., Any],
        params: Any,
        *args: Any,
        trainable: Trainable | None = None,
        transforms: Mapping[str, Transform] | None = None,
        alpha: float | Mapping[str, float] = 0.0,
    ) -> None:
        module = callable(params)  # its integers and names are no mistake
        self.tree = ParameterTree(params, trainable=trainable, transforms=transforms, keeps_others=module)
        arguments, values = Arguments.split(args)
        formula = ResidualFormula(residual, self.tree.layout, arguments)
        numbers = (self.tree.fixed, values)
        self.code = formula.traced(numbers)
        self.residuals = ResidualsOnData(formula.functions(self.code), numbers, count(self.code.outputs))
        self.prior = self.tree.prior(alpha)
        self.n_params, self.n_residuals = self.residuals.n_params, self.residuals.n_samples
        self._scratch = Scratch()
        self._latest: tuple[FloatArray, FloatArray] | None = None

    @property
    def start(self) -> FloatArray:
        """w of the parameters that were given."""
        return self.tree.start.copy()

    @property
    def notes(self) -> list[str]:
        """What had to be done differently on the way."""
        return self.residuals.notes

    def params_at(self, w: FloatArray) -> Any:
        """The parameters at w, in their own structure and precision."""
        return self.tree.restore(w)

    def residual(self, w: FloatArray) -> FloatArray:
        """r (n,); the latest is kept, since an accepted trial point is linearised next."""
        if self._latest is not None and self._latest[0] is w:
            return self._latest[1]
        r = self.residuals.residual(w)
        if not w.flags.writeable:  # its owner cannot change it
            self._latest = (w, r)
        return r

    def cost(self, w: FloatArray) -> float:
        r = self.residual(w)
        cost = 0.5 * float(r @ r)
        return cost if self.prior is None else cost + 0.5 * float(self.prior @ (w * w))

    def gradient(self, w: FloatArray) -> FloatArray:
        """∇C (p,), without the Jacobian."""
        gradient = self.residuals.pull(w, self.residual(w)[None])
        return gradient if self.prior is None else gradient + self.prior * w

    def linearize(self, w: FloatArray) -> Linearization:
        r = self.residual(w)
        matrix = self.residuals.matrix(w)
        jacobian: Jacobian
        if matrix is None:
            whole = OutputSeed(np.ones((1, self.n_residuals)), 1)
            jacobian = StreamedJacobian(self.residuals, w, whole, self._scratch)
        else:
            jacobian = DenseJacobian(matrix)
        gradient = jacobian.rmv(r)
        offset = None if self.prior is None else self.prior * w
        if offset is not None:
            gradient = gradient + offset
        return Linearization(w, self.cost(w), r, jacobian, offset, gradient)

    def second_derivative(self, at: Linearization, direction: FloatArray) -> FloatArray:
        return self.residuals.directional(at.w, direction)

    def resolve_output(self, w: FloatArray, damping: float, scale: FloatArray | None) -> FloatArray:
        """w: nothing is known here of a linear output."""
        del damping, scale
        return w
