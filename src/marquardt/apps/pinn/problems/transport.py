"""Convection, wave and Burgers' equations."""

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
from marquardt.apps.pinn.problems.references import burgers_reference
from marquardt.apps.pinn.renewal import Renewal
from marquardt.apps.pinn.sampling import Grid, ResidualAdaptive, Sobol


def convection(speed: float = 40.0, n: int = 1000) -> Ready:
    """u_t + speed·u_x = 0, u = sin x at the start, periodic on [0, 2π] × [0, 1] (Rathore et al. 2024)."""
    return Ready(
        f"Convection with speed {speed:g}",
        PDE(
            Box.of(x=(0, 2 * np.pi), t=(0, 1)),
            [
                Interior(lambda at: at.u_t + speed * at.u_x, n=n, sampling=Sobol()),
                initial(lambda at: at.u - jnp.sin(at.x), n=257, sampling=Grid()),
                Periodic("x", n=101, sampling=Grid()),
            ],
        ),
        ClosedForm(lambda x, t: jnp.sin(x - speed * t)),
        Dense((50, 50, 50)),
    )


def wave(n: int = 1000) -> Ready:
    """u_tt = 4u_xx on [0, 1]², u = sin πx + ½ sin 5πx and u_t = 0 at the start (Rathore et al. 2024)."""

    def start(at: Point) -> Any:
        return at.u - jnp.sin(jnp.pi * at.x) - 0.5 * jnp.sin(5 * jnp.pi * at.x), at.u_t

    return Ready(
        "The wave equation with two tones",
        PDE(
            Box.of(x=(0, 1), t=(0, 1)),
            [
                Interior(lambda at: at.u_tt - 4 * at.u_xx, n=n, sampling=Sobol()),
                initial(start, n=257, sampling=Grid()),
                Boundary(lambda at: at.u, ("x_min", "x_max"), n=202, sampling=Grid()),
            ],
        ),
        ClosedForm(
            lambda x, t: (
                jnp.sin(jnp.pi * x) * jnp.cos(2 * jnp.pi * t)
                + 0.5 * jnp.sin(5 * jnp.pi * x) * jnp.cos(10 * jnp.pi * t)
            )
        ),
        Dense((50, 50, 50), first_scale=3.0),
    )


def burgers(viscosity: float = 0.01 / np.pi, n: int = 6000) -> Ready:
    """u_t + u u_x = ν u_xx on [−1, 1] × [0, 1], u = −sin πx at the start, 0 at the ends.

    A front of width ν stands at x = 0 from t = 1/π on; points are drawn where the residual is large.
    """

    def built_in(at: Point, outputs: Any) -> Any:
        return -jnp.sin(jnp.pi * at.x) + at.t * (1 - at.x**2) * outputs

    return Ready(
        f"Burgers' equation, viscosity {viscosity:.3g}",
        PDE(
            Box.of(x=(-1, 1), t=(0, 1)),
            [
                Interior(
                    lambda at: at.u_t + at.u * at.u_x - viscosity * at.u_xx,
                    n=n,
                    sampling=ResidualAdaptive(),
                )
            ],
            hard=built_in,
        ),
        lambda x, t: burgers_reference(x, t, viscosity),
        Dense((24, 24, 24)),
        {"renewal": Renewal(20, until=800)},
    )
