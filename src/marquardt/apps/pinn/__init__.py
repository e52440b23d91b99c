"""Physics-informed networks: differential equations solved to many digits by Levenberg-Marquardt.

Needs JAX: ``pip install 'marquardt[jax]'``.
"""

try:
    import jax  # noqa: F401
except ImportError as _error:
    raise ImportError(
        "marquardt.apps.pinn needs JAX, which is not installed: pip install 'marquardt[jax]'"
    ) from _error

from marquardt.apps.pinn.coefficients import Coefficient
from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.groups import Boundary, Conservation, Data, Interior, Periodic, initial
from marquardt.apps.pinn.network import Dense
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.point import Point
from marquardt.apps.pinn.renewal import Renewal
from marquardt.apps.pinn.sampling import (
    Grid,
    LatinHypercube,
    ResidualAdaptive,
    Sobol,
    Uniform,
)
from marquardt.apps.pinn.solution import Solution
from marquardt.apps.pinn.solver import solve
from marquardt.apps.pinn.weighting import Balanced, Causal, Fixed

__all__ = [
    "PDE",
    "Balanced",
    "Boundary",
    "Box",
    "Causal",
    "Coefficient",
    "Conservation",
    "Data",
    "Dense",
    "Fixed",
    "Grid",
    "Interior",
    "LatinHypercube",
    "Periodic",
    "Point",
    "Renewal",
    "ResidualAdaptive",
    "Sobol",
    "Solution",
    "Uniform",
    "initial",
    "solve",
]
