"""Solutions by other methods, for problems without a closed form."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Numbers = NDArray[np.float64]


def burgers_reference(x: Numbers, t: Numbers, viscosity: float = 0.01 / np.pi) -> Numbers:
    """u(x, t) of Burgers' equation with u(x, 0) = −sin πx, by the transformation of Cole and Hopf:

        u = −∫ sin π(x − η) f(x − η) e^{−η²/4νt} dη / ∫ f(x − η) e^{−η²/4νt} dη,   f(y) = e^{−cos(πy)/2πν},

    by the trapezoidal rule, which converges faster than any power for such integrands.

    Source: C. Basdevant et al., "Spectral and finite difference solutions of the Burgers equation",
    Computers & Fluids 14 (1986) 23-41, eq. (2.5).

    >>> burgers_reference(np.array([0.5]), np.array([0.0])).round(12)
    array([-1.])
    """
    x, t = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(t, dtype=float))
    flat_x, flat_t = x.ravel(), t.ravel()
    result = -np.sin(np.pi * flat_x)
    z = np.linspace(-1.0, 1.0, 4001)
    for part in np.array_split(np.flatnonzero(flat_t > 0), max(1, flat_t.size // 500)):
        # −cos(πy)/2πν varies by 1/πν: beyond η²/4νt = 1/πν + 40 the integrand is below rounding.
        reach = np.sqrt(4 * flat_t[part] / np.pi + 160 * viscosity * flat_t[part])
        eta = reach[:, None] * z
        y = flat_x[part][:, None] - eta
        exponent = -np.cos(np.pi * y) / (2 * np.pi * viscosity) - eta**2 / (
            4 * viscosity * flat_t[part][:, None]
        )
        weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        result[part] = -np.sum(np.sin(np.pi * y) * weight, axis=1) / np.sum(weight, axis=1)
    return result.reshape(x.shape)


def allen_cahn_reference(x: Numbers, t: Numbers) -> Numbers:
    """u(x, t) of the Allen-Cahn problem by a Fourier series in x and SciPy's DOP853 in t.

    The start has a kink where the period closes, so that the error falls as MODES⁻²: with 2048 it is 2e-6 of
    the solution (against 8192, on a grid of 101 × 101).
    """
    x, t = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(t, dtype=float))
    times = np.unique(t)
    spectra = _allen_cahn_spectra(tuple(times.tolist()))
    row = np.searchsorted(times, t.ravel())
    result = np.empty(t.size)
    waves = np.pi * np.arange(spectra.shape[1])
    for index in range(len(times)):
        own = row == index
        phases = np.exp(1j * np.outer(x.ravel()[own] + 1.0, waves))
        factors = np.full(len(waves), 2.0)
        factors[0] = 1.0
        result[own] = (phases @ (factors * spectra[index])).real
    return result.reshape(t.shape)


MODES = 2048


@lru_cache(maxsize=4)
def _allen_cahn_spectra(times: tuple[float, ...]) -> NDArray[np.complex128]:
    """Fourier coefficients (times, MODES/2 + 1) over the grid −1 + 2j/MODES."""
    grid = -1.0 + 2.0 * np.arange(MODES) / MODES
    squares = (np.pi * np.arange(MODES // 2 + 1)) ** 2

    def rate(_: float, u: Numbers) -> Numbers:
        return 1e-4 * np.fft.irfft(-squares * np.fft.rfft(u), MODES) + 5 * (u - u**3)

    start = grid**2 * np.cos(np.pi * grid)
    run = solve_ivp(
        rate, (0.0, max(1e-9, times[-1])), start, "DOP853", t_eval=np.array(times), rtol=1e-11, atol=1e-12
    )
    return np.fft.rfft(run.y.T, axis=1) / MODES
