"""Heat, reaction and Allen-Cahn equations."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.groups import Boundary, Interior, Periodic, initial
from marquardt.apps.pinn.network import Dense
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.point import Point
from marquardt.apps.pinn.problems.closed_form import ClosedForm
from marquardt.apps.pinn.problems.ready import Ready
from marquardt.apps.pinn.problems.references import allen_cahn_reference
from marquardt.apps.pinn.renewal import Renewal
from marquardt.apps.pinn.sampling import Grid, Sobol


def heat_1d(n: int = 900, n_boundary: int = 60, n_initial: int = 60) -> Ready:
    """u_t = u_xx/4 on [0, 1]², u = exp(−π²t/4) sin πx (Mueller & Zeinhofer 2023)."""
    return Ready(
        "The heat equation in one dimension",
        PDE(
            Box.of(x=(0, 1), t=(0, 1)),
            [
                Interior(lambda at: at.u_t - 0.25 * at.u_xx, n=n),
                Boundary(lambda at: at.u, ("x_min", "x_max"), n=n_boundary, sampling=Grid()),
                initial(lambda at: at.u - jnp.sin(jnp.pi * at.x), n=n_initial, sampling=Grid()),
            ],
        ),
        ClosedForm(lambda x, t: jnp.exp(-(jnp.pi**2) * t / 4) * jnp.sin(jnp.pi * x)),
        Dense((64,)),
    )


def heat_4d(n: int = 3000, n_boundary: int = 250, n_initial: int = 250) -> Ready:
    """u_t = Δu/4 on [0, 1]⁴ × [0, 1], u = exp(−t) Σ sin 2x_i; new points after every step."""

    def law(t: Any, **x: Any) -> Any:
        return jnp.exp(-t) * sum(jnp.sin(2 * value) for value in x.values())

    def given(at: Point) -> Any:
        return at.u - law(at.t, x1=at.x1, x2=at.x2, x3=at.x3, x4=at.x4)

    faces = tuple(f"x{i}_{end}" for i in range(1, 5) for end in ("min", "max"))
    return Ready(
        "The heat equation in four dimensions",
        PDE(
            Box.of(x1=(0, 1), x2=(0, 1), x3=(0, 1), x4=(0, 1), t=(0, 1)),
            [
                Interior(lambda at: at.u_t - 0.25 * at.laplacian(over=("x1", "x2", "x3", "x4")), n=n),
                Boundary(given, faces, n=n_boundary),
                initial(given, n=n_initial),
            ],
        ),
        ClosedForm(law),
        Dense((64,)),
        {"renewal": Renewal(1)},
    )


def reaction(rho: float = 5.0, n: int = 1000) -> Ready:
    """u_t = ρu(1 − u), a Gaussian at the start, periodic on [0, 2π] × [0, 1] (Rathore et al. 2024, ρ = 5).

    There is no derivative along x, so that a bump of its own width grows at every x.
    """

    def hump(x: Any) -> Any:
        return jnp.exp(-((x - np.pi) ** 2) / (2 * (np.pi / 4) ** 2))

    def law(x: Any, t: Any) -> Any:
        grown = hump(x) * jnp.exp(rho * t)
        return grown / (grown + 1 - hump(x))

    return Ready(
        f"Logistic reaction, rate {rho:g}",
        PDE(
            Box.of(x=(0, 2 * np.pi), t=(0, 1)),
            [
                Interior(lambda at: at.u_t - rho * at.u * (1 - at.u), n=n, sampling=Sobol()),
                initial(lambda at: at.u - hump(at.x), n=257, sampling=Grid()),
                Periodic("x", n=101, sampling=Grid()),
            ],
        ),
        ClosedForm(law),
        Dense((50, 50, 50)),
    )


def allen_cahn(n: int = 3000) -> Ready:
    """u_t = 1e-4 u_xx + 5(u − u³), u = x² cos πx at the start, periodic on [−1, 1] × [0, 1]."""
    return Ready(
        "Allen and Cahn's equation",
        PDE(
            Box.of(x=(-1, 1), t=(0, 1)),
            [
                Interior(lambda at: at.u_t - 1e-4 * at.u_xx - 5 * (at.u - at.u**3), n=n, sampling=Sobol()),
                initial(lambda at: at.u - at.x**2 * jnp.cos(jnp.pi * at.x), n=200, sampling=Grid()),
            ],
        ),
        allen_cahn_reference,
        Dense((32, 32, 32), periodic=("x",)),
    )
