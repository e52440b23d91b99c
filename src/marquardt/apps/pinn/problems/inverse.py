"""An inverse problem: a conductivity from noisy temperatures."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.groups import Boundary, Data, Interior
from marquardt.apps.pinn.network import Dense
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.problems.closed_form import ClosedForm
from marquardt.apps.pinn.problems.ready import Ready
from marquardt.apps.pinn.sampling import Grid, Sobol


def heat_conductivity(
    conductivity: float = 0.25, n_data: int = 100, noise: float = 0.01, random_state: int = 0
) -> Ready:
    """u_t = κu_xx with unknown κ, from `n_data` temperatures with noise; nothing is known of the start."""

    exact = ClosedForm(lambda x, t: jnp.exp(-(jnp.pi**2) * conductivity * t) * jnp.sin(jnp.pi * x))
    rng = np.random.default_rng(random_state)
    places = rng.uniform(size=(n_data, 2))
    values = exact(x=places[:, 0], t=places[:, 1]) + noise * rng.normal(size=n_data)
    return Ready(
        "A conductivity from noisy temperatures",
        PDE(
            Box.of(x=(0, 1), t=(0, 1)),
            [
                Interior(lambda at: at.u_t - at.kappa * at.u_xx, n=500, weight=100.0, sampling=Sobol()),
                Boundary(lambda at: at.u, ("x_min", "x_max"), n=60, sampling=Grid()),
                Data(places, values, weight=1.0),
            ],
            unknowns={"kappa": 1.0},
            positive=("kappa",),
        ),
        exact,
        Dense((8, 8)),
    )
