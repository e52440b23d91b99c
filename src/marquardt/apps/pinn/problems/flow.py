"""Kovasznay's flow: the stationary Navier-Stokes equations behind a grid, in closed form."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.groups import Boundary, Interior
from marquardt.apps.pinn.network import Dense
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.point import Point
from marquardt.apps.pinn.problems.closed_form import ClosedForm
from marquardt.apps.pinn.problems.ready import Ready
from marquardt.apps.pinn.sampling import Grid, Sobol


def kovasznay(reynolds: float = 40.0, n: int = 1500) -> Ready:
    """Fields u, v, p with u·∇u = −∇p + Δu/Re, div u = 0 (Kovasznay 1948); p is given at the outlet."""
    rate = reynolds / 2 - np.sqrt(reynolds**2 / 4 + 4 * np.pi**2)

    def equations(at: Point) -> Any:
        return (
            at.u * at.u_x + at.v * at.u_y + at.p_x - at.laplacian("u") / reynolds,
            at.u * at.v_x + at.v * at.v_y + at.p_y - at.laplacian("v") / reynolds,
            at.u_x + at.v_y,
        )

    def law(x: Any, y: Any) -> Any:
        grown = jnp.exp(rate * x)
        return (
            1 - grown * jnp.cos(2 * jnp.pi * y),
            rate / (2 * jnp.pi) * grown * jnp.sin(2 * jnp.pi * y),
            0.5 * (1 - grown**2),
        )

    def velocity(at: Point) -> Any:
        u, v, _ = law(at.x, at.y)
        return at.u - u, at.v - v

    def pressure(at: Point) -> Any:
        return at.p - law(at.x, at.y)[2]

    return Ready(
        f"Kovasznay's flow, Reynolds number {reynolds:g}",
        PDE(
            Box.of(x=(-0.5, 1.0), y=(-0.5, 1.5)),
            [
                Interior(equations, n=n, sampling=Sobol()),
                Boundary(velocity, n=200, sampling=Grid()),
                Boundary(pressure, ("x_max",), n=20, sampling=Grid(), name="outlet pressure"),
            ],
            fields=("u", "v", "p"),
        ),
        ClosedForm(law),
        Dense((32, 32)),
    )
