r"""Global sensitivity by Sobol's indices: of a simulator, or of a network fitted to a few of its runs.

Of Y = f(X) with independent inputs, the first-order index of an input is the share of the variance of Y that
its own effect makes, S_i = V[E(Y | X_i)] / V(Y); the total one, T_i = E[V(Y | X_~i)] / V(Y), has all its
interactions too.

A network in the place of the simulator costs nothing to run, and may be wrong.  So each index is computed for
many functions that the training rows allow (`LMRegressor.sample_y`): how much they differ is what the network
does not know.  The points of the plan are resampled, too, as SALib does.  Three intervals tell the two apart.

References
----------
A. Saltelli et al., "Variance based sensitivity analysis of model output", Computer Physics Communications
181, 2010;  M. J. W. Jansen, the same 117, 1999.
A. Marrel, B. Iooss, B. Laurent & O. Roustant, "Calculations of Sobol indices for the Gaussian process
metamodel", Reliability Engineering & System Safety 94, 2009 (indices of drawn functions).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLOCK = 2**22
"""Numbers of a block of drawn functions, 32 MB."""


class Surrogate(Protocol):
    """What is asked of a network: `LMRegressor` with error bars has it, a Gaussian process too."""

    def sample_y(self, X: np.ndarray, n_samples: int, random_state: Any) -> np.ndarray:
        """Functions at X, (n, n_samples)."""
        ...

    def predict(self, X: np.ndarray) -> Any:
        """(n,)."""
        ...


@dataclass(frozen=True)
class Factors:
    """Inputs, uniform between bounds and independent.

    Parameters
    ----------
    bounds : mapping of name to (low, high)
    logarithmic : collection of str
        Those whose logarithm is uniform.

    Examples
    --------
    >>> Factors({"clearance": (1.0, 10.0), "volume": (20.0, 80.0)}, logarithmic=["clearance"])
    Factors(clearance 1 to 10 (log), volume 20 to 80)
    >>> Factors({"clearance": (5.0, 1.0)})
    Traceback (most recent call last):
    ValueError: clearance from 5 to 1: the lower bound must be below the upper one, and both finite
    """

    bounds: Mapping[str, tuple[float, float]]
    logarithmic: Collection[str] = ()

    def __post_init__(self) -> None:
        if not self.bounds:
            raise ValueError("bounds is empty: name at least one input, {'clearance': (1.0, 10.0)}")
        for name, (low, high) in self.bounds.items():
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ValueError(
                    f"{name} from {low:g} to {high:g}: the lower bound must be below the upper one, and both "
                    "finite"
                )
            if name in self.logarithmic and low <= 0:
                raise ValueError(f"{name} from {low:g}: a logarithmic input must be above 0")
        unknown = set(self.logarithmic) - set(self.bounds)
        if unknown:
            raise ValueError(f"logarithmic names {', '.join(sorted(unknown))}, which bounds does not have")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.bounds)

    def __len__(self) -> int:
        return len(self.bounds)

    def __repr__(self) -> str:
        shown = (
            f"{name} {low:g} to {high:g}" + (" (log)" if name in self.logarithmic else "")
            for name, (low, high) in self.bounds.items()
        )
        return f"Factors({', '.join(shown)})"

    def problem(self) -> dict[str, Any]:
        """In the words of SALib."""
        dists = ["logunif" if name in self.logarithmic else "unif" for name in self.names]
        return {
            "num_vars": len(self),
            "names": list(self.names),
            "bounds": [list(map(float, pair)) for pair in self.bounds.values()],
            "dists": dists,
        }

    def design(self, n: int, random_state: int = 0) -> np.ndarray:
        """Training points (n, d), a scrambled Latin hypercube."""
        from scipy.stats import qmc

        if n < 2:
            raise ValueError(f"n={n!r} must be at least 2 points")
        unit = qmc.LatinHypercube(len(self), rng=np.random.default_rng(random_state)).random(n)
        columns = []
        for u, (name, (low, high)) in zip(unit.T, self.bounds.items(), strict=True):
            log = name in self.logarithmic
            columns.append(low * (high / low) ** u if log else low + (high - low) * u)
        return np.column_stack(columns)


@dataclass(frozen=True)
class SobolIndices:
    """First-order and total indices, each (d,), with intervals (2, d): lower and upper ends."""

    names: tuple[str, ...]
    first: np.ndarray
    total: np.ndarray
    plan_first: np.ndarray
    """From resampling the points of the plan (SALib's bootstrap)."""
    plan_total: np.ndarray
    model_first: np.ndarray | None
    """From the functions that the network might be; None for a simulator."""
    model_total: np.ndarray | None
    both_first: np.ndarray | None
    """From both."""
    both_total: np.ndarray | None
    coverage: float
    n_runs: int
    """Evaluations of the simulator, or of the network."""
    draws_first: np.ndarray | None = field(default=None, repr=False)
    """Of each drawn function (n_draws, d)."""
    draws_total: np.ndarray | None = field(default=None, repr=False)

    @property
    def interval_first(self) -> np.ndarray:
        """The widest honest interval there is (2, d)."""
        return self.plan_first if self.both_first is None else self.both_first

    @property
    def interval_total(self) -> np.ndarray:
        return self.plan_total if self.both_total is None else self.both_total

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        source = "" if self.both_first is None else ", plan and network together"
        lines = [f"Sobol indices with {100 * self.coverage:g} % intervals{source}"]
        for k, name in enumerate(self.names):
            (a, b), (c, d) = self.interval_first[:, k], self.interval_total[:, k]
            lines.append(
                f"  {name:{width}}  first {self.first[k]:6.3f} [{a:6.3f}, {b:6.3f}]   "
                f"total {self.total[k]:6.3f} [{c:6.3f}, {d:6.3f}]"
            )
        return "\n".join(lines)

    def plot(self, truth: tuple[ArrayLike, ArrayLike] | None = None) -> Figure:
        """Points with intervals; `truth`, first and total indices, as hollow diamonds."""
        from marquardt.apps.pkpd.sensitivity_plot import indices

        return indices(self, truth)


def simulator_indices(
    function: Callable[[np.ndarray], ArrayLike],
    factors: Factors,
    n: int = 1024,
    *,
    coverage: float = 0.95,
    n_resamples: int = 200,
    random_state: int = 0,
) -> SobolIndices:
    """Of a function itself, (m, d) -> (m,), by n (d + 2) runs of it.

    Parameters
    ----------
    n : int
        Points of the plan, a power of 2.
    n_resamples : int
        Of SALib's bootstrap.

    Examples
    --------
    >>> found = simulator_indices(lambda X: X[:, 0] + 2 * X[:, 1], Factors({"a": (0, 1), "b": (0, 1)}), 1024)
    >>> found.first.round(1)
    array([0.2, 0.8])
    """
    plan = _plan(factors, n, random_state)
    y = _outputs("function", function(plan), len(plan))
    _check_varies("function", y)
    first, total, own_first, own_total = _by_salib(factors, y, coverage, n_resamples, random_state)
    return SobolIndices(
        factors.names, first, total, own_first, own_total, None, None, None, None, coverage, len(plan)
    )


def surrogate_indices(
    surrogate: Surrogate,
    factors: Factors,
    n: int = 1024,
    *,
    transform: Callable[[np.ndarray], np.ndarray] = lambda y: y,
    inputs: Callable[[np.ndarray], np.ndarray] = lambda X: X,
    n_draws: int = 200,
    coverage: float = 0.95,
    random_state: int = 0,
) -> SobolIndices:
    """Of a fitted network in the place of the function, with what the network does not know.

    Parameters
    ----------
    surrogate : LMRegressor
        With error bars: Bayesian regularization, or a committee.
    transform : callable
        From what the network predicts to the quantity whose variance is shared out, `np.exp` for a network of
        a logarithm.
    inputs : callable
        From values of the factors (m, d) to the network's inputs.
    n_draws : int
        Functions drawn: 200 have the ends of a 95 % interval to a tenth of its width.

    Notes
    -----
    The estimate is the median over the drawn functions.  The index of the network's mean is something else:
    it is smoother than any of them, and its variance is less.
    """
    if n_draws < 20:
        raise ValueError(f"n_draws={n_draws!r} must be at least 20 for an interval, e.g. 200")
    plan = _plan(factors, n, random_state)
    X = np.asarray(inputs(plan), dtype=float)
    mean = _outputs("the network", transform(np.asarray(surrogate.predict(X))), len(plan))
    _check_varies("the network", mean)
    _, _, own_first, own_total = _by_salib(factors, mean, coverage, n_draws, random_state)
    rng, d = np.random.default_rng(random_state), len(factors)
    drawn = np.empty((2, n_draws, d))
    resampled = np.empty((2, n_draws, d))
    for rows, y in _drawn_outputs(surrogate, X, n_draws, transform, random_state):
        runs = y.reshape(n, d + 2, -1)
        drawn[:, rows] = sobol_estimates(runs)
        for k, row in enumerate(rows):
            again = runs[rng.integers(n, size=n), :, k : k + 1]
            resampled[:, row] = sobol_estimates(again)[:, 0]
    ends = [50 * (1 - coverage), 50 * (1 + coverage)]
    first, total = np.median(drawn, axis=1)
    model, both = np.percentile(drawn, ends, axis=1), np.percentile(resampled, ends, axis=1)
    return SobolIndices(
        factors.names, first, total, own_first, own_total, model[:, 0], model[:, 1], both[:, 0], both[:, 1],
        coverage, len(plan), drawn[0], drawn[1],
    )  # fmt: skip


def sobol_estimates(runs: np.ndarray) -> np.ndarray:
    """First-order (Saltelli 2010) and total (Jansen) indices (2, m, d) of m functions, from their runs
    (n, d + 2, m) at the points A, A with one column of B for each input, and B.

    The estimators of SALib, for all functions at once.
    """
    runs = runs - runs.mean(axis=(0, 1))
    A, AB, B = runs[:, 0], runs[:, 1:-1], runs[:, -1]
    variance = np.var(np.concatenate([A, B]), axis=0)  # (m,)
    variance = np.where(variance > 0, variance, np.inf)
    first = np.einsum("nm,ndm->md", B, AB - A[:, None]) / len(A) / variance[:, None]
    total = 0.5 * np.mean((A[:, None] - AB) ** 2, axis=0).T / variance[:, None]
    return np.stack([first, total])


def _drawn_outputs(
    surrogate: Surrogate, X: np.ndarray, n_draws: int, transform: Any, random_state: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of drawn functions: which ones, and their outputs (m, rows)."""
    size = max(20, _BLOCK // len(X))
    for k, start in enumerate(range(0, n_draws, size)):
        rows = np.arange(start, min(start + size, n_draws))
        # each block has a seed of its own
        y = np.asarray(surrogate.sample_y(X, len(rows), random_state=random_state * 1000 + k))
        if y.ndim != 2:
            raise ValueError(f"the network has several outputs, {y.shape[1]}: fit one for each quantity")
        y = np.asarray(transform(y), dtype=float)
        if not np.isfinite(y).all():
            raise ValueError("drawn functions hold NaN or infinite values: look at transform and the bounds")
        yield rows, y


def _by_salib(
    factors: Factors, y: np.ndarray, coverage: float, n_resamples: int, random_state: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Estimates (d,) and bootstrap intervals (2, d)."""
    analyze = _salib().analyze.sobol.analyze
    # SALib takes a seed of 0 for none
    found = analyze(factors.problem(), y, calc_second_order=False, num_resamples=n_resamples,
                    conf_level=coverage, seed=random_state + 1)  # fmt: skip
    first, total = (np.asarray(found[name], dtype=float) for name in ("S1", "ST"))
    half = [np.asarray(found[name], dtype=float) for name in ("S1_conf", "ST_conf")]
    return (
        first,
        total,
        np.stack([first - half[0], first + half[0]]),
        np.stack([total - half[1], total + half[1]]),
    )


def _plan(factors: Factors, n: int, random_state: int) -> np.ndarray:
    """Saltelli's points (n (d + 2), d)."""
    if n < 16 or n & (n - 1):
        raise ValueError(f"n={n!r} must be a power of 2 and at least 16, e.g. 1024")
    if random_state < 0:
        raise ValueError(f"random_state={random_state!r} must not be negative")
    sample = _salib().sample.sobol.sample
    return np.asarray(sample(factors.problem(), n, calc_second_order=False, seed=random_state))


def _salib() -> Any:
    try:
        import SALib.analyze.sobol  # pyright: ignore[reportMissingImports]
        import SALib.sample.sobol  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "sensitivity indices need SALib, which is not installed: pip install 'marquardt[pkpd]'"
        ) from error
    return SALib


def _outputs(name: str, values: ArrayLike, n: int) -> np.ndarray:
    y = np.asarray(values, dtype=float)
    if y.shape != (n,):
        raise ValueError(f"{name} returned shape {y.shape} for {n} points: one number for each is needed")
    if not np.isfinite(y).all():
        raise ValueError(
            f"{name} returned NaN or infinite values at {int((~np.isfinite(y)).sum())} of {n} points"
        )
    return y


def _check_varies(name: str, y: np.ndarray) -> None:
    if np.ptp(y) <= 1e-12 * np.abs(y).max():
        raise ValueError(f"{name} is constant within the bounds, so there is no variance to share out")
