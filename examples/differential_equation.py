"""A differential equation solved to eight digits by a small network, and a coefficient found from noisy data.

    pip install 'marquardt[jax]'
    python examples/differential_equation.py

writes heat_equation.png beside where it runs.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from marquardt.apps.pinn import PDE, Boundary, Box, Data, Dense, Interior, Sobol, initial, solve


def exact(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.exp(-(np.pi**2) * t / 4) * np.sin(np.pi * x)


def forward() -> None:
    """u_t = u_xx/4 with u known at the start and at both ends."""
    rod = PDE(
        Box.of(x=(0, 1), t=(0, 1)),
        [
            Interior(lambda at: at.u_t - 0.25 * at.u_xx, n=900),
            Boundary(lambda at: at.u, ("x_min", "x_max"), n=60),
            initial(lambda at: at.u - jnp.sin(jnp.pi * at.x), n=60),
        ],
    )
    solution = solve(rod, (64,), max_time=10)
    print(solution.message)
    print(f"relative L2 error {solution.error(exact):.1e}; u(0.5, 0.5) = {solution(x=0.5, t=0.5):.9f}")
    solution.plot(exact).savefig("heat_equation.png", dpi=110)


def inverse() -> None:
    """The conductivity from a hundred temperatures with noise; nothing is known of the start."""
    rng = np.random.default_rng(0)
    places = rng.uniform(size=(100, 2))
    measured = exact(*places.T) + 0.01 * rng.normal(size=100)
    rod = PDE(
        Box.of(x=(0, 1), t=(0, 1)),
        [
            Interior(lambda at: at.u_t - at.kappa * at.u_xx, n=500, weight=100.0, sampling=Sobol()),
            Boundary(lambda at: at.u, ("x_min", "x_max"), n=60),
            Data(places, measured, weight=1.0),
        ],
        unknowns={"kappa": 1.0},
        positive=("kappa",),
    )
    solution = solve(rod, Dense((8, 8)), max_iter=300)
    print(f"conductivity {solution.unknowns['kappa']}; the truth is 0.25")


if __name__ == "__main__":
    forward()
    inverse()
