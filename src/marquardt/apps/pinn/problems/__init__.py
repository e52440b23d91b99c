"""Ready problems, by name."""

from collections.abc import Callable

from marquardt.apps.pinn.problems.closed_form import ClosedForm
from marquardt.apps.pinn.problems.elliptic import helmholtz, poisson_2d, poisson_5d
from marquardt.apps.pinn.problems.flow import kovasznay
from marquardt.apps.pinn.problems.inverse import heat_conductivity
from marquardt.apps.pinn.problems.parabolic import allen_cahn, heat_1d, heat_4d, reaction
from marquardt.apps.pinn.problems.ready import Ready
from marquardt.apps.pinn.problems.references import allen_cahn_reference, burgers_reference
from marquardt.apps.pinn.problems.transport import burgers, convection, wave

PROBLEMS: dict[str, Callable[..., Ready]] = {
    "poisson_2d": poisson_2d,
    "poisson_5d": poisson_5d,
    "helmholtz": helmholtz,
    "heat_1d": heat_1d,
    "heat_4d": heat_4d,
    "reaction": reaction,
    "allen_cahn": allen_cahn,
    "convection": convection,
    "wave": wave,
    "burgers": burgers,
    "kovasznay": kovasznay,
    "heat_conductivity": heat_conductivity,
}

__all__ = [
    "PROBLEMS",
    "ClosedForm",
    "Ready",
    "allen_cahn",
    "allen_cahn_reference",
    "burgers",
    "burgers_reference",
    "convection",
    "heat_1d",
    "heat_4d",
    "heat_conductivity",
    "helmholtz",
    "kovasznay",
    "poisson_2d",
    "poisson_5d",
    "reaction",
    "wave",
]
