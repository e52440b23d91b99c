r"""Hybrid models: what is known stays a differential equation, what is not is a small network inside it.

Ready made is a drug whose doses and volume are mechanism and whose elimination is not known:

    dC/dt = input/volume − k(C) C,        log k(C) = a small network of log C.

By the logarithm k is positive whatever the weights, and what leaves is proportional to what is there: no
concentration falls below zero.  All parameters, weights and volume, are trained together by
Levenberg-Marquardt through the solver, with exact sensitivities.

The weights have Gaussian priors whose precisions come from the evidence (MacKay 1992), in turns with the
levels of the error model: α = γ/|w|², γ the number of weights that the data determine.  So a law is as bent
as the curves demand, and has error bars.

References
----------
C. Rackauckas et al., "Universal differential equations for scientific machine learning", arXiv:2001.04385;
D. J. C. MacKay, Neural Computation 4, 1992.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

try:
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
except ImportError as _error:
    raise ImportError(
        "hybrid models need JAX and diffrax, which are not installed: pip install 'marquardt[pkpd]'"
    ) from _error

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from marquardt import Auto, Identity
from marquardt.apps.pkpd.error_models import LEAST_PREDICTION, ErrorModel, Proportional
from marquardt.apps.pkpd.goodness_of_fit import GoodnessOfFit
from marquardt.apps.pkpd.ode import OdeModel
from marquardt.apps.pkpd.positive_law import NETWORK, PositiveLaw, unknown_elimination
from marquardt.apps.pkpd.regimen import Regimen
from marquardt.apps.pkpd.subjects import Batch, Subjects
from marquardt.jax_models import ParameterFit, Positive, least_squares

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PENALIZED = ("bend", "place", "height")
_PRECISIONS = (1e-4, 1e4)
"""Of the weights: beyond, a group is as good as free, or as good as absent."""
_SETTLED = 0.02
"""Change of −2 log evidence that no longer moves a law: a factor of 1.01 in probability."""


class LawBand(NamedTuple):
    """A learned law at some concentrations, each (n,)."""

    concentration: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    inside: np.ndarray
    """Whether there were data: elsewhere the band is a guess of the prior."""


@dataclass(frozen=True)
class HybridFit:
    """A hybrid model fitted by `fit_hybrid`."""

    model: OdeModel
    law: PositiveLaw
    params: dict[str, Any]
    """Numbers, and the weights under `NETWORK`."""
    levels: np.ndarray
    """Of the error model."""
    effective_parameters: float
    """γ: how many the data determine."""
    seen: tuple[float, float]
    """The lowest and highest fitted concentration of the data."""
    fit: ParameterFit
    """The last run of Levenberg-Marquardt."""
    goodness: GoodnessOfFit
    covariance: np.ndarray
    """Of the free parameters, in the order of `fit.result.w`."""
    notes: tuple[str, ...]

    @property
    def success(self) -> bool:
        return self.fit.success

    def rate(self, concentration: ArrayLike, coverage: float = 0.95) -> LawBand:
        """The learned rate constant with its band, by linearizing log k in the weights."""
        c = np.atleast_1d(np.asarray(concentration, dtype=float))
        if not (np.isfinite(c).all() and (c >= 0).all()):
            raise ValueError("concentration must be finite and at least 0")
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage!r} must be between 0 and 1, e.g. 0.95")
        weights = self.params[NETWORK]
        slopes = self.law.slopes(weights, c)
        log = slopes["height"] @ np.asarray(weights["height"], dtype=float) + float(weights["level"])
        layout = self.fit.problem.tree.layout
        G = np.zeros((len(c), layout.n_params))
        for name, columns in slopes.items():
            G[:, _columns_of(self.fit, name)] = columns
        std = np.sqrt(np.einsum("ij,jk,ik->i", G, self.covariance, G))
        half = norm.ppf(0.5 + 0.5 * coverage) * std
        inside = (c >= self.seen[0]) & (c <= self.seen[1])
        return LawBand(c, np.exp(log), np.exp(log - half), np.exp(log + half), inside)

    def predict(self, regimen: Regimen, times: ArrayLike) -> np.ndarray:
        """Concentrations (n,) after another regimen; NaN where the solver did not arrive."""
        return self.model.solve(self.params, regimen, times).outputs["conc"]

    def outside(self, regimen: Regimen, times: ArrayLike) -> np.ndarray:
        """Where such a prediction asks the law for concentrations that no data had (n,)."""
        predicted = self.predict(regimen, times)
        return ~((predicted >= self.seen[0]) & (predicted <= self.seen[1]))

    def __str__(self) -> str:
        numbers = {name: value for name, value in self.params.items() if name != NETWORK}
        shown = ", ".join(f"{name} {float(value):.4g}" for name, value in numbers.items())
        lines = [
            f"hybrid model: {shown}; a network of {self.law.units} units for the elimination",
            f"{self.effective_parameters:.1f} parameters determined by {len(self.goodness.observed)} "
            f"observations; the law is known from {self.seen[0]:.3g} to {self.seen[1]:.3g}",
            self.fit.result.message,
            *(f"Note: {note}." for note in self.notes),
        ]
        return "\n".join(lines)

    def plot_rate(self, truth: Any = None, *, unit: str = "mg/L", time_unit: str = "h") -> Figure:
        """Amount eliminated per time and volume, k(C) C, against C; `truth` is a function of C to set
        beside it.  Where there were no data the band is hatched."""
        from marquardt.apps.pkpd.hybrid_plot import learned_rate

        return learned_rate(self, truth, unit, time_unit)


def fit_hybrid(
    subjects: Subjects,
    *,
    units: int = 6,
    error: ErrorModel | None = None,
    volume: float | None = None,
    n_starts: int = 2,
    n_rounds: int = 8,
    random_state: int = 0,
    **options: Any,
) -> HybridFit:
    """Learn the law of elimination from the concentrations of subjects, all with the same law and volume.

    Parameters
    ----------
    subjects : Subjects
        With boluses or infusions.  Observations before the first dose are left out.  Values below the limit
        of quantification are to be dealt with before: ``subjects.without_censored()``.
    units : int
        Of the network: a smooth law needs few, and the evidence takes away what is too many.
    error : ErrorModel, optional
        By default `Proportional()`.
    volume : float, optional
        A start; by default from the highest concentrations.
    n_starts : int
        Networks to start from; the one of highest evidence goes on to the further rounds.
    n_rounds : int
        Turns of fitting, levels of error and precisions of weights; fewer when they have settled.
    **options
        Of `marquardt.jax_models.least_squares`: stopping, callback, ...

    Raises
    ------
    ValueError
        For oral doses, censored values, fewer than 5 observations, concentrations that do not vary or none
        above 0, or 0 with an error in proportion to them; when no start could be solved.
    """
    if n_starts < 1 or n_rounds < 1:
        raise ValueError(f"n_starts={n_starts!r} and n_rounds={n_rounds!r} must be at least 1")
    job = _Job.of(subjects, units, Proportional() if error is None else error, options)
    begun: list[_State] = []
    reasons = []
    for k in range(n_starts):
        try:
            begun.append(job.begin(job.start(volume, random_state + k)))
            if begun[-1].fit.status.by_hand:
                break
        except ValueError as reason:
            reasons.append(str(reason))
    if not begun:
        raise ValueError(f"no start could be fitted: {reasons[0]}")
    return job.settle(min(begun, key=lambda state: state.deviance), n_rounds).report(job)


@dataclass(frozen=True)
class _Job:
    model: OdeModel
    law: PositiveLaw
    batch: Batch
    labels: np.ndarray
    error: ErrorModel
    options: Mapping[str, Any]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, subjects: Subjects, units: int, error: ErrorModel, options: Mapping[str, Any]) -> _Job:
        known = subjects.observed()
        if len(known.endpoints) != 1:
            raise ValueError(
                f"there are {len(known.endpoints)} endpoints, {', '.join(known.endpoints)}: choose the "
                "concentration, subjects.only('conc')"
            )
        if known.n_censored:
            raise ValueError(
                f"{known.n_censored} values are below the limit of quantification: take "
                "subjects.without_censored() or subjects.half_limit()"
            )
        for member in known.members:
            if not member.regimen.total > 0:
                raise ValueError(f"subject {member.id} was given no dose: leave it out")
        known = known.after_dose()
        batch = Batch.of(known.members, known.endpoints)
        y = batch.values
        if len(y) < 5:
            raise ValueError(f"{len(y)} observations are too few to learn a law from: at least 5 are needed")
        if not (y > 0).any() or np.ptp(y) == 0:
            raise ValueError("concentrations are all the same, or none is above 0: nothing can be learned")
        if idle := int(np.isinf(error.sd(y, error.first(y))).sum()):
            raise ValueError(
                f"{idle} of {len(y)} observations are 0 or nearly so, and their error is to be proportional "
                "to the concentration: leave them out, or take error=Combined()"
            )
        positive = y[y > 0]
        law = PositiveLaw(float(positive.min()), float(positive.max()), units)
        model = unknown_elimination(law)
        for member in known.members:
            model.check(member.regimen)
        labels = np.array([str(member.id) for member in known.members])[batch.subject]
        return cls(model, law, batch, labels, error, options, known.notes)

    @property
    def padding(self) -> int:
        """Residuals of zero, so that they outnumber the parameters: then the Jacobian comes by columns, in
        forward mode, which is what the solver can be differentiated in."""
        return max(0, 3 * self.law.units + 3 - len(self.batch))

    def start(self, volume: float | None, random_state: int) -> dict[str, Any]:
        """The volume from the highest concentration, the rate from the falls between observations."""
        y, rates, volumes = self.batch.values, [], []
        for s in range(len(self.batch.times)):
            rows = np.flatnonzero((self.batch.subject == s) & (y > 0))
            if not len(rows):
                continue
            t = self.batch.times[s, self.batch.moment[rows]]
            volumes.append(self.batch.dosing.amount[s].max() / y[rows].max())
            falls, waits = -np.diff(np.log(y[rows])), np.diff(t)
            rates += list(falls[waits > 0] / waits[waits > 0])
        falling = [rate for rate in rates if rate > 0]
        rate = float(np.median(falling)) if falling else 0.1 / max(float(np.ptp(self.batch.times)), 1e-300)
        guess = float(np.median(volumes)) if volume is None else volume
        if not (np.isfinite(guess) and guess > 0):
            raise ValueError(f"volume={guess!r} must be above 0")
        return {"volume": guess, NETWORK: self.law.start(rate, random_state)}

    def begin(self, params: dict[str, Any]) -> _State:
        """A first fit, with weak priors and errors guessed from the observations."""
        levels = self.error.first(self.batch.values)
        alpha = {name: 1.0 for name in _PENALIZED}
        return self.fitted(params, self.error.sd(self.batch.values, levels), levels, alpha)

    def settle(self, state: _State, n_rounds: int) -> _State:
        """Levels, precisions and fits in turns, until the evidence rests."""
        y = self.batch.values
        for _ in range(n_rounds):
            if state.fit.status.by_hand:
                break
            before = state.deviance
            freedom = max(len(y) - state.effective, 1.0)
            levels = self.error.levels(state.predicted, (y - state.predicted) ** 2 * len(y) / freedom)
            # all were given a dose: whatever a poor law predicts, no observation loses its weight
            least = 2 * LEAST_PREDICTION * np.abs(state.predicted).max()
            sd = self.error.sd(np.maximum(state.predicted, least), levels)
            state = self.fitted(state.fit.params, sd, levels, state.next_precisions())
            if abs(state.deviance - before) < _SETTLED:
                break
        return state

    def fitted(
        self, params: dict[str, Any], sd: np.ndarray, levels: np.ndarray, alpha: Mapping[str, float]
    ) -> _State:
        fit = self.run(params, sd, alpha)
        if not np.isfinite(fit.cost):
            raise ValueError(fit.result.message)
        return _State.of(self.batch.values, fit, sd, levels, alpha)

    def run(self, params: dict[str, Any], sd: np.ndarray, alpha: Mapping[str, float]) -> ParameterFit:
        batch = self.batch
        return least_squares(
            _residual_of(self.model, self.padding),
            params,
            args=(
                tuple(batch.dosing),
                batch.times,
                (batch.subject.astype(float), batch.moment.astype(float)),
                batch.values,
                sd,
            ),
            alpha={f"{NETWORK}.{name}": value for name, value in alpha.items()},
            transforms={"volume": Positive()},
            # the second directional derivative saves no iteration here, and compiles as long as all the rest
            **({"solver": Auto(), "metric": Identity(), "acceleration": None} | dict(self.options)),
        )


@lru_cache(maxsize=16)
def _residual_of(model: OdeModel, padding: int) -> Any:
    """(prediction − observation) / sd (n,), and zeros."""

    def residual(params: Any, dosing: Any, times: Any, places: Any, values: Any, sd: Any) -> Any:
        courses = jax.vmap(lambda doses, t: model.predict(params, doses, t))(dosing, times)  # (s, t, 1)
        subject, moment = (part.astype(int) for part in places)
        return jnp.concatenate([(courses[subject, moment, 0] - values) / sd, jnp.zeros(padding)])

    return jax.jit(residual)  # so that every further round finds it traced


@dataclass(frozen=True)
class _State:
    """Where training stands after a fit."""

    fit: ParameterFit
    alpha: Mapping[str, float]
    sd: np.ndarray
    levels: np.ndarray
    predicted: np.ndarray
    covariance: np.ndarray
    effective: float
    by_group: Mapping[str, float]
    deviance: float
    """−2 log evidence, up to a constant."""

    @classmethod
    def of(
        cls, y: np.ndarray, fit: ParameterFit, sd: np.ndarray, levels: np.ndarray, alpha: Mapping[str, float]
    ) -> _State:
        at = fit.problem.linearize(fit.result.w)
        residual = at.residual[: len(y)]
        prior = np.zeros(len(at.w)) if fit.problem.prior is None else np.asarray(fit.problem.prior)
        upper = np.triu(at.jacobian.gram())  # below the diagonal may stand anything
        H = upper + np.triu(upper, 1).T + np.diag(prior)
        H = H + 1e-10 * np.trace(H) / len(H) * np.eye(len(H))
        factor = np.linalg.cholesky(H)
        covariance = np.linalg.inv(H)
        determined = 1 - prior * np.diag(covariance)
        by_group = {name: float(determined[_columns_of(fit, name)].sum()) for name in _PENALIZED}
        sizes = {name: int(_columns_of(fit, name).sum()) for name in _PENALIZED}
        deviance = 2 * fit.cost + 2 * np.log(sd).sum() + 2 * np.log(np.diag(factor)).sum()
        deviance -= sum(sizes[name] * np.log(alpha[name]) for name in _PENALIZED)
        predicted = y + residual * sd
        gamma = float(determined.sum())
        return cls(fit, alpha, sd, levels, predicted, covariance, gamma, by_group, float(deviance))

    def next_precisions(self) -> dict[str, float]:
        """α = γ/|w|², each group for itself."""
        w, after = self.fit.result.w, {}
        for name in self.alpha:
            size = float(w[_columns_of(self.fit, name)] @ w[_columns_of(self.fit, name)])
            after[name] = float(np.clip(self.by_group[name] / max(size, 1e-12), *_PRECISIONS))
        return after

    def report(self, job: _Job) -> HybridFit:
        batch = job.batch
        time = batch.times[batch.subject, batch.moment]
        goodness = GoodnessOfFit(time, batch.values, self.predicted, job.labels, self.sd)
        seen = float(self.predicted.min()), float(self.predicted.max())
        notes = tuple(dict.fromkeys((*job.notes, *self.fit.notes)))
        params = dict(self.fit.params)
        return HybridFit(job.model, job.law, params, self.levels, self.effective, seen, self.fit, goodness,
                         self.covariance, notes)  # fmt: skip


def _columns_of(fit: ParameterFit, name: str) -> np.ndarray:
    """Which of the free parameters are the weights of this name (p,), booleans."""
    layout = fit.problem.tree.layout
    return np.array([layout.leaf_of(k).split("[")[0] == f"{NETWORK}.{name}" for k in range(layout.n_params)])
