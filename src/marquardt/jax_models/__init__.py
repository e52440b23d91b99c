"""JAX models trained by Levenberg-Marquardt: `fit` for models of samples, `least_squares` for any residuals.

Needs JAX: ``pip install 'marquardt[jax]'``.  Nothing else of the package imports it.
"""

try:
    import jax  # noqa: F401
except ImportError as _error:
    raise ImportError(
        "marquardt.jax_models needs JAX, which is not installed: pip install 'marquardt[jax]'"
    ) from _error

from marquardt.jax_models.device_cholesky import DeviceCholesky
from marquardt.jax_models.double_precision import double_precision
from marquardt.jax_models.fits import ModelFit, fit
from marquardt.jax_models.group_fits import GroupFit, fit_groups
from marquardt.jax_models.parameter_fits import ParameterFit, least_squares
from marquardt.jax_models.pytree_problem import PytreeProblem
from marquardt.jax_models.residual_groups import ResidualGroup
from marquardt.jax_models.sample_problem import SampleProblem
from marquardt.jax_models.transforms import Bounded, Positive
from marquardt.jax_models.warm_up import WarmUp

__all__ = [
    "Bounded",
    "DeviceCholesky",
    "GroupFit",
    "ModelFit",
    "ParameterFit",
    "Positive",
    "PytreeProblem",
    "ResidualGroup",
    "SampleProblem",
    "WarmUp",
    "double_precision",
    "fit",
    "fit_groups",
    "least_squares",
]
