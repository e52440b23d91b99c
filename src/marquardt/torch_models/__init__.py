"""PyTorch modules trained by Levenberg-Marquardt: `fit_module`, and an optimizer for training loops.

Needs PyTorch: ``pip install torch``.  Nothing else of the package imports it.
"""

try:
    import torch  # noqa: F401
except ImportError as _error:
    raise ImportError(
        "marquardt.torch_models needs PyTorch, which is not installed: pip install torch"
    ) from _error

from marquardt.torch_models.device_cholesky import DeviceCholesky
from marquardt.torch_models.fits import ModuleFit, fit_module
from marquardt.torch_models.module_loss import ModuleLoss
from marquardt.torch_models.module_problem import ModuleProblem
from marquardt.torch_models.optimizer import LevenbergMarquardt
from marquardt.torch_models.warm_up import WarmUp

__all__ = [
    "DeviceCholesky",
    "LevenbergMarquardt",
    "ModuleFit",
    "ModuleLoss",
    "ModuleProblem",
    "WarmUp",
    "fit_module",
]
