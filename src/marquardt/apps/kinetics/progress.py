r"""Progress curves: the product of one batch against time, until the substrate is used up.

For Michaelis and Menten in closed form,

    S(t) = Km W((S₀/Km) exp((S₀ − Vmax t)/Km)),     P = S₀ − S,

with Lambert's W (S. Schnell, C. Mendoza, J. Theor. Biol. 187:207, 1997); other mechanisms by integration of
dS/dt = −v together with its sensitivities, ds_k/dt = −(∂v/∂S s_k + ∂v/∂θ_k).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from marquardt.apps.kinetics.mechanisms import mechanism
from marquardt.curves import Curve

RTOL, ATOL = 1e-9, 1e-11
"""Of the integration, the second in units of S₀: two digits below what differences of costs need near a
minimum."""
INTERVALS = 10
"""Of a batch, whose slopes are taken as rates for a start: fewer have less noise, more less bend."""
MOST_SLOPES = 5_000
"""Evaluations of a right side: usual batches take 100 to 500; constants without sense would take for ever."""
Array = np.ndarray


def progress_curve(
    name: str = "michaelis_menten", *, product_inhibits: bool = False, by_ode: bool | None = None
) -> Curve:
    """The curve of the product P(t) for a mechanism.

    Parameters
    ----------
    name : str
        Of `MECHANISMS`.
    product_inhibits : bool
        The product is the inhibitor; else the concentration of the inhibitor is a column.
    by_ode : bool, optional
        None integrates where there is no closed form.

    Returns
    -------
    Curve
        For x with the columns t and S₀, and I where the mechanism has an inhibitor that is not the product.

    Examples
    --------
    >>> curve = progress_curve()
    >>> x = np.column_stack([[0.0, 5.0, 10.0, 100.0], np.full(4, 10.0)])
    >>> curve.value(x, np.array([1.0, 2.0])).round(4)
    array([ 0.    ,  3.9838,  7.3466, 10.    ])
    """
    law = mechanism(name)
    inhibited = law.n_columns == 2
    if product_inhibits and not inhibited:
        raise ValueError(f"{name!r} has no inhibitor: product_inhibits=True needs e.g. 'competitive'")
    closed = law.name == "michaelis_menten"
    if by_ode is False and not closed:
        raise ValueError(f"{name!r} has no closed form: leave by_ode out")
    n_columns = 3 if inhibited and not product_inhibits else 2
    about = f"product against time by {law.formula}, columns t, S0" + (", I" if n_columns == 3 else "")
    if product_inhibits:
        about += ", the product as I"
    options: dict[str, Any] = {"name": f"progress of {law.name}", "formula": about, "n_columns": n_columns}
    if closed and not by_ode:
        return Curve(_product, law.names, _product_gradient, _Guess(law, False), least_x=0.0, **options)
    solved = _Solved(law, product_inhibits)
    return Curve(
        solved.value, law.names, solved.gradient, _Guess(law, product_inhibits), least_x=0.0, **options
    )


def _remaining(X: Array, vmax: float, km: float) -> Array:
    """S(t), by Wright's ω(z) = W(eᶻ), which does not overflow."""
    from scipy.special import wrightomega

    t, start = X[:, 0], X[:, 1]
    if not km > 0 or not (start > 0).all():
        return np.full(len(t), np.nan)
    return km * wrightomega(np.log(start / km) + (start - vmax * t) / km).real


def _product(X: Array, vmax: float, km: float) -> Array:
    return X[:, 1] - _remaining(X, vmax, km)


def _product_gradient(X: Array, vmax: float, km: float) -> list[Array]:
    """From Km log(S/S₀) + S − S₀ + Vmax t = 0."""
    S = _remaining(X, vmax, km)
    share = S / (km + S)
    # log(S/S₀) by the same equation, for S may have underflowed
    return [X[:, 0] * share, share * (X[:, 1] - S - vmax * X[:, 0]) / km]


class _Solved:
    """P(t) and its sensitivities by integration; the last answer is kept, for value and gradient go
    together."""

    def __init__(self, law: Curve, product_inhibits: bool) -> None:
        self.law, self.product_inhibits = law, product_inhibits
        self._last: tuple[Array, tuple[float, ...], Array] | None = None

    def value(self, X: Array, *theta: float) -> Array:
        return self._both(X, theta)[0]

    def gradient(self, X: Array, *theta: float) -> list[Array]:
        return list(self._both(X, theta)[1:])

    def _both(self, X: Array, theta: tuple[float, ...]) -> Array:
        """P and ∂P/∂θ (1 + p, n); NaN where the integration fails."""
        if self._last is not None and self._last[1] == theta and np.array_equal(self._last[0], X):
            return self._last[2]
        answer = np.full((1 + len(theta), len(X)), np.nan)
        runs, codes = np.unique(X[:, 1:], axis=0, return_inverse=True)
        for g, run in enumerate(runs):
            rows = np.flatnonzero(codes.ravel() == g)
            answer[:, rows] = self._run(X[rows, 0], run, theta)
        self._last = (X.copy(), theta, answer)
        return answer

    def _columns(self, S: Any, run: Array) -> Array:
        """x of the rate law at S (1, d)."""
        if self.law.n_columns == 1:
            return np.array([S])
        return np.array([[S, run[0] - S if self.product_inhibits else run[1]]])

    def _run(self, t: Array, run: Array, theta: tuple[float, ...]) -> Array:
        """One batch."""
        from scipy.integrate import solve_ivp

        gradient = self.law.gradient
        assert gradient is not None

        count = 0

        def slopes(_: float, state: Array) -> Array:
            nonlocal count
            count += 1
            if count > MOST_SLOPES or not np.isfinite(state).all():
                raise ArithmeticError
            S = max(float(state[0]), 0.0)
            x = self._columns(S, run)
            v = self.law.function(x, *theta)[0]
            # ∂v/∂S by a complex step, exact to rounding for a rational function
            along = self.law.function(self._columns(S + 1e-30j, run), *theta)[0].imag / 1e-30
            by_parameter = np.array([np.ravel(column)[0] for column in gradient(x, *theta)])
            return -np.concatenate([[v], along * state[1:] + by_parameter])

        ends, places = np.unique(t, return_inverse=True)
        state = np.zeros(1 + len(theta))
        state[0] = run[0]
        if not all(value > 0 for value in theta[1:]):  # Km and the constants of inhibition
            return np.full((1 + len(theta), len(t)), np.nan)
        if ends[-1] <= 0:
            return np.zeros((1 + len(theta), len(t)))
        with np.errstate(all="ignore"):
            try:
                solution = solve_ivp(
                    slopes, (0.0, float(ends[-1])), state, "LSODA", t_eval=ends, rtol=RTOL,
                    atol=ATOL * max(float(run[0]), 1e-300),
                )  # fmt: skip
            except (ValueError, ArithmeticError):
                return np.full((1 + len(theta), len(t)), np.nan)
        if not solution.success or solution.y.shape[1] != len(ends):
            return np.full((1 + len(theta), len(t)), np.nan)
        product = -solution.y
        product[0] += run[0]
        return product[:, places.ravel()]


class _Guess:
    """Starts from the slopes of the progress curves, taken as rates at the substrate that is left."""

    def __init__(self, law: Curve, product_inhibits: bool) -> None:
        self.law, self.product_inhibits = law, product_inhibits

    def __call__(self, X: Array, Y: Array) -> Array:
        return np.array([self._one(X, P) for P in Y])

    def _one(self, X: Array, P: Array) -> Array:
        rows, rates = [], []
        runs, codes = np.unique(X[:, 1:], axis=0, return_inverse=True)
        for g, run in enumerate(runs):
            mine = np.flatnonzero(codes.ravel() == g)
            t, order = np.unique(X[mine, 0], return_index=True)
            if len(t) < 3:
                continue
            ends = np.unique(np.linspace(0, len(t) - 1, min(len(t), INTERVALS + 1)).astype(int))
            t, product = t[ends], P[mine][order][ends]
            middle = 0.5 * (product[1:] + product[:-1])
            left = run[0] - middle
            used = left > 0.1 * run[0]  # at the end the slope is noise
            rates.append((np.diff(product) / np.diff(t))[used])
            other = middle if self.product_inhibits else np.full(len(left), run[-1])
            rows.append(np.column_stack([left, other])[used])
        if not sum(map(len, rates)):
            return np.full(len(self.law.names), np.nan)
        columns = np.concatenate(rows)
        assert self.law.guess is not None
        x = columns if self.law.n_columns == 2 else columns[:, 0]
        return self.law.guess(x, np.concatenate(rates)[None])[0]
