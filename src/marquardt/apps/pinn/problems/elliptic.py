"""Poisson and Helmholtz equations with known solutions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.groups import Boundary, Interior
from marquardt.apps.pinn.network import Dense
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.point import Point
from marquardt.apps.pinn.problems.closed_form import ClosedForm
from marquardt.apps.pinn.problems.ready import Ready
from marquardt.apps.pinn.renewal import Renewal
from marquardt.apps.pinn.sampling import Grid


def poisson_2d(n: int = 900, n_boundary: int = 120) -> Ready:
    """−Δu = 2π² sin πx sin πy on the unit square, u = 0 at its boundary."""

    def equation(at: Point) -> Any:
        return at.laplacian() + 2 * jnp.pi**2 * jnp.sin(jnp.pi * at.x) * jnp.sin(jnp.pi * at.y)

    return Ready(
        "Poisson's equation on the unit square, u = sin πx sin πy",
        PDE(
            Box.of(x=(0, 1), y=(0, 1)),
            [Interior(equation, n=n), Boundary(_zero, n=n_boundary, sampling=Grid())],
        ),
        ClosedForm(lambda x, y: jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)),
        Dense((64,)),
    )


def poisson_5d(n: int = 3000, n_boundary: int = 500) -> Ready:
    """−Δu = π² Σ cos πx_i on [0, 1]⁵, u given at the boundary; new points after every step."""

    def equation(at: Point) -> Any:
        return at.laplacian() + jnp.pi**2 * _cosines(at)

    return Ready(
        "Poisson's equation in five dimensions, u = Σ cos πx_i",
        PDE(
            Box.of(x1=(0, 1), x2=(0, 1), x3=(0, 1), x4=(0, 1), x5=(0, 1)),
            [Interior(equation, n=n), Boundary(lambda at: at.u - _cosines(at), n=n_boundary)],
        ),
        ClosedForm(lambda **x: sum(jnp.cos(jnp.pi * value) for value in x.values())),
        Dense((64,)),
        {"renewal": Renewal(1)},
    )


def helmholtz(k: float = 1.0, a1: int = 1, a2: int = 4) -> Ready:
    """Δu + k²u = q on [−1, 1]², u = sin a₁πx sin a₂πy (Wang, Teng & Perdikaris 2021: k = 1, a = 1, 4)."""

    def equation(at: Point) -> Any:
        shape = jnp.sin(a1 * jnp.pi * at.x) * jnp.sin(a2 * jnp.pi * at.y)
        return at.laplacian() + k**2 * at.u - (k**2 - (a1**2 + a2**2) * jnp.pi**2) * shape

    return Ready(
        f"Helmholtz' equation, u = sin {a1}πx sin {a2}πy",
        PDE(
            Box.of(x=(-1, 1), y=(-1, 1)),
            [Interior(equation, n=1500), Boundary(_zero, n=200, sampling=Grid())],
        ),
        ClosedForm(lambda x, y: jnp.sin(a1 * jnp.pi * x) * jnp.sin(a2 * jnp.pi * y)),
        Dense((32, 32), first_scale=2.0),
    )


def _zero(at: Point) -> Any:
    return at.u


def _cosines(at: Point) -> Any:
    return sum(jnp.cos(jnp.pi * x) for x in (at.x1, at.x2, at.x3, at.x4, at.x5))
