"""Ways to solve the damped system (JᵀJ + S₀ + λD) d = −(Jᵀr + S₀w); they agree to rounding."""

from marquardt.linsolve.auto import Auto
from marquardt.linsolve.cholesky import Cholesky
from marquardt.linsolve.dual import Dual
from marquardt.linsolve.eigen import Eigen
from marquardt.linsolve.iterative import Iterative
from marquardt.linsolve.mixed import MixedCholesky
from marquardt.linsolve.qr import QR
from marquardt.linsolve.system import Buffers, DampedSystem, Factor, LinearSolver, SingularSystemError

__all__ = [
    "QR",
    "Auto",
    "Buffers",
    "Cholesky",
    "DampedSystem",
    "Dual",
    "Eigen",
    "Factor",
    "Iterative",
    "LinearSolver",
    "MixedCholesky",
    "SingularSystemError",
]
