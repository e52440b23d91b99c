r"""Models by any right-hand side, solved by diffrax, with exact sensitivities by forward mode.

Time is cut where something happens: at doses, at the ends of infusions, at observations.  From one cut to
the next, of length h, the equations run in s from 0 to 1,

    dy/ds = h f(t₀ + s h, y, θ),

so that h and t₀ are numbers like others: derivatives by a lag time, which moves the cuts, are as exact as all
others, no output is interpolated, and no step strides over a dose.  The solver's own steps are
differentiated (`diffrax.ForwardMode`); its step sizes count as constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

try:
    import diffrax  # pyright: ignore[reportMissingImports]
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
except ImportError as _error:
    raise ImportError(
        "models by differential equations need JAX and diffrax, which are not installed: "
        "pip install 'marquardt[pkpd]'"
    ) from _error

import numpy as np
from numpy.typing import ArrayLike

from marquardt.apps.pkpd.regimen import Dosing, Regimen
from marquardt.jax_models import double_precision

Params = Mapping[str, Any]
"""Parameters by name: numbers as a rule; trees of arrays, a network's say, are welcome too."""

REASONS = (
    "",
    "the solver took max_steps steps between two times and had not arrived: the equations are stiff (take "
    "integration=stiff()), or the solution explodes (other parameters, or bounds for them)",
    "the solution is not finite: it explodes, or the right-hand side is undefined there; other parameters, "
    "or bounds for them",
)
"""What a code of `OdeModel.trajectory` means."""


@dataclass(frozen=True)
class Integration:
    """How the equations are solved.

    Parameters
    ----------
    method : a solver class of diffrax
    rtol, atol : float
        Errors of a step, relative and in units of the states.  Costs of a fit then carry the noise rtol, so
        that parameters have half as many digits.
    max_steps : int
        Between two times.  Smooth solutions take 1 to 50; an explicit method that takes many hundreds is held
        by stability, and its derivatives are then poor: a small limit keeps a fit out of there.
    proportional, integral : float
        Coefficients of the control of the step size, `diffrax.PIDController`'s.
    """

    method: Any = diffrax.Dopri8
    rtol: float = 1e-9
    atol: float = 1e-11
    max_steps: int = 2000
    proportional: float = 0.0
    integral: float = 1.0

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value!r} must be a finite number above 0, 1e-9 say")
        if self.max_steps < 1:
            raise ValueError(f"max_steps={self.max_steps!r} must be at least 1")


def nonstiff(rtol: float = 1e-9, atol: float = 1e-11) -> Integration:
    """Dormand and Prince of order 8: the best at small tolerances."""
    return Integration(diffrax.Dopri8, rtol, atol)


def fast_nonstiff(rtol: float = 1e-6, atol: float = 1e-9) -> Integration:
    """Tsitouras of order 5: the best at moderate tolerances."""
    return Integration(diffrax.Tsit5, rtol, atol)


def stiff(rtol: float = 1e-8, atol: float = 1e-10) -> Integration:
    """Kvaerno of order 5, implicit: for rates that differ by many orders of magnitude.

    The coefficients of the control are those that diffrax's documentation gives for stiff equations.
    """
    return Integration(diffrax.Kvaerno5, rtol, atol, 10_000, proportional=0.3, integral=0.4)


class Course(NamedTuple):
    """What `OdeModel.solve` found."""

    times: np.ndarray
    """(n,)."""
    states: np.ndarray
    """(n, s); NaN where the solver did not arrive."""
    outputs: dict[str, np.ndarray]
    """(n,) each."""
    reason: str
    """Why there is no solution up to the end; empty if there is one."""

    @property
    def success(self) -> bool:
        return not self.reason


def _nothing(params: Params) -> Any:
    del params
    return 0.0


@dataclass(frozen=True)
class OdeModel:
    """dy/dt = rhs(t, y, params), with doses.

    Parameters
    ----------
    rhs : callable
        (t, y (s,), params) -> dy/dt (s,), in `jax.numpy`.
    states : tuple of str
    parameters : tuple of str
        What rhs, observe and initial read of params.
    outputs : tuple of str
        Names of what is measured, the endpoints.
    observe : callable
        (y (s,), params) -> measured quantities (k,).
    central : str
        The state that boluses and infusions go into.
    depot : str, optional
        The state that oral doses go into.
    volume : str, optional
        The parameter that a dose into `central` is divided by, where that state is a concentration.
    lag, bioavailability : str, optional
        The parameters for the delay of oral doses, and for their share that arrives.
    initial : callable, optional
        params -> y at time 0, (s,) or a number; else 0.
    integration : Integration

    Examples
    --------
    >>> def fall(t, y, p):
    ...     return -p["k"] * y
    >>> model = OdeModel(fall, ("amount",), ("k",), ("amount",), lambda y, p: y, central="amount")
    >>> two = Regimen.bolus(8.0) + Regimen.bolus(8.0, time=1.0)
    >>> model.solve({"k": np.log(2)}, two, [0.0, 1.0, 2.0]).outputs["amount"].round(6)
    array([ 8., 12.,  6.])
    """

    rhs: Callable[[Any, Any, Any], Any] = field(repr=False)
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    observe: Callable[[Any, Any], Any] = field(repr=False)
    central: str
    depot: str | None = None
    volume: str | None = None
    lag: str | None = None
    bioavailability: str | None = None
    initial: Callable[[Any], Any] = field(default=_nothing, repr=False)
    integration: Integration = field(default_factory=Integration)

    def __post_init__(self) -> None:
        for name in ("states", "parameters", "outputs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for role in ("central", "depot"):
            state = getattr(self, role)
            if state is not None and state not in self.states:
                raise ValueError(f"{role}={state!r} is no state: there are {', '.join(self.states)}")
        for role in ("volume", "lag", "bioavailability"):
            name = getattr(self, role)
            if name is not None and name not in self.parameters:
                raise ValueError(f"{role}={name!r} is no parameter: there are {', '.join(self.parameters)}")

    # -- in JAX --------------------------------------------------------------------------------------

    def predict(self, params: Params, dosing: Dosing, times: Any) -> Any:
        """What is measured at `times` (n,) of any order -> (n, k), in JAX; NaN where there is no solution.

        At the very time of a dose the dose has been given.
        """
        states, _ = self.trajectory(params, dosing, times)
        return jax.vmap(lambda y: jnp.reshape(self.observe(y, params), (len(self.outputs),)))(states)

    def trajectory(self, params: Params, dosing: Dosing, times: Any) -> tuple[Any, Any]:
        """States at `times` (n, s), and a code of `REASONS`."""
        events = self._events(params, dosing)
        n = jnp.shape(times)[0]
        waits = jnp.zeros((n, len(self.states)))
        cuts = jnp.concatenate([events[0], jnp.asarray(times, dtype=waits.dtype)])
        order = jnp.argsort(cuts)  # stable: a dose comes before an observation of the same time
        jumps, rates = (jnp.concatenate([part, waits])[order] for part in events[1:])
        step = partial(_step, self.rhs, self.integration, params)
        y0 = jnp.broadcast_to(jnp.asarray(self.initial(params), dtype=waits.dtype), (len(self.states),))
        first = _Moment(jnp.zeros(()), y0, jnp.zeros_like(y0), jnp.zeros(()), jnp.zeros((), dtype=int))
        last, states = jax.lax.scan(step, first, (cuts[order], jumps, rates))
        return states[jnp.argsort(order)[-n:]] if n else states[:0], last.code

    def _events(self, params: Params, dosing: Dosing) -> tuple[Any, Any, Any]:
        """Times (2d,), jumps (2d, s) and changes of rates (2d, s) of the beginnings and ends of doses."""
        amount, time, duration, oral = (jnp.asarray(part, dtype=float) for part in dosing)
        oral = oral > 0
        lag = 0.0 if self.lag is None else params[self.lag]
        begin = time + jnp.where(oral, lag, 0.0)
        share = 1.0 if self.bioavailability is None else params[self.bioavailability]
        central = jnp.zeros(len(self.states)).at[self.states.index(self.central)].set(1.0)
        central = central if self.volume is None else central / params[self.volume]
        if self.depot is None:  # `check` refuses oral doses
            depot = jnp.zeros(len(self.states))
        else:
            depot = jnp.zeros(len(self.states)).at[self.states.index(self.depot)].set(1.0) * share
        into = jnp.where(oral[:, None], depot, central) * amount[:, None]
        slow = (duration > 0)[:, None]
        jump = jnp.where(slow, 0.0, into)
        rate = jnp.where(slow, into / jnp.where(slow, duration[:, None], 1.0), 0.0)
        return (
            jnp.concatenate([begin, begin + duration]),
            jnp.concatenate([jump, jnp.zeros_like(jump)]),
            jnp.concatenate([rate, -rate]),
        )

    # -- for people ----------------------------------------------------------------------------------

    def check(self, regimen: Regimen) -> None:
        """ValueError for a regimen that this model cannot take."""
        if regimen.has_oral and self.depot is None:
            raise ValueError(
                f"{regimen} has oral doses, but the model has no depot: name one, depot='...', or give "
                "boluses"
            )

    def solve(self, params: Params, regimen: Regimen, times: ArrayLike) -> Course:
        """The course after a regimen, in float64; a failure is told, not raised."""
        self.check(regimen)
        t = np.atleast_1d(np.asarray(times, dtype=float))
        if not (np.isfinite(t).all() and (t >= 0).all()):
            raise ValueError(f"times={times!r} must be finite numbers of at least 0")
        missing = [name for name in self.parameters if name not in params]
        if missing:
            raise ValueError(f"params lacks {missing[0]!r}: give all of {', '.join(self.parameters)}")
        try:
            with double_precision():
                states, outputs, code = _compiled(self)(dict(params), regimen.dosing(), t)
                states, values, reason = np.asarray(states), np.asarray(outputs), REASONS[int(code)]
        except RuntimeError as trouble:
            # an implicit solver raises where its linear equations have no finite solution
            if "non-finite" not in str(trouble):
                raise
            states, values = (
                np.full((len(t), len(self.states)), np.nan),
                np.full((len(t), len(self.outputs)), np.nan),
            )
            reason = REASONS[2]
        shown = {name: values[:, k] for k, name in enumerate(self.outputs)}
        return Course(t, states, shown, reason)


class _Moment(NamedTuple):
    """Between two cuts."""

    time: Any
    y: Any
    """After the jump."""
    rate: Any
    """Of infusions."""
    stride: Any
    """A typical step of the solver in units of time; 0 when nothing is known."""
    code: Any


def _step(
    rhs: Callable[[Any, Any, Any], Any], how: Integration, params: Params, at: _Moment, cut: Any
) -> tuple[_Moment, Any]:
    """On to the next cut."""
    time, jump, change = cut
    h = jnp.where(at.code == 0, time - at.time, 0.0)  # after a failure nothing is worth a step

    def slope(s: Any, y: Any, args: Any) -> Any:
        h, start, rate, params = args
        return h * (jnp.reshape(jnp.asarray(rhs(start + s * h, y, params)), y.shape) + rate)

    # The first step: as long as those before; where nothing is known, a hundredth.  A long one is rejected.
    known = jnp.where(at.stride > 0, at.stride, 0.01 * h)
    first = jax.lax.stop_gradient(
        jnp.where(h > 0, jnp.clip(known / jnp.where(h > 0, h, 1.0), 1e-8, 1.0), 1.0)
    )
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        how.method(),
        0.0,
        1.0,
        first,
        at.y,
        (h, at.time, at.rate, params),
        saveat=diffrax.SaveAt(t1=True),
        stepsize_controller=diffrax.PIDController(
            how.rtol, how.atol, pcoeff=how.proportional, icoeff=how.integral
        ),
        adjoint=diffrax.ForwardMode(),
        max_steps=how.max_steps,
        throw=False,
    )
    arrived = solution.result == diffrax.RESULTS.successful
    assert solution.ys is not None
    y = solution.ys[0]
    finite = jnp.isfinite(y).all()
    code = jnp.where(at.code > 0, at.code, jnp.where(~finite & arrived, 2, jnp.where(arrived, 0, 1)))
    n_steps = jnp.maximum(solution.stats["num_accepted_steps"], 1)
    stride = jax.lax.stop_gradient(jnp.where(h > 0, 2 * h / n_steps, at.stride))
    moved = jnp.any(jump != 0) | jnp.any(change != 0)  # after a dose things go faster than before
    y = jnp.where(code == 0, y + jump, 0.0)
    shown = jnp.where(code == 0, y, jnp.nan)
    after = _Moment(time, y, at.rate + change, jnp.where(moved, 0.05 * stride, stride), code)
    return after, shown


@lru_cache(maxsize=64)
def _compiled(model: OdeModel) -> Any:
    def run(params: Params, dosing: Dosing, times: Any) -> tuple[Any, Any, Any]:
        states, code = model.trajectory(params, dosing, times)
        outputs = jax.vmap(lambda y: jnp.reshape(model.observe(y, params), (len(model.outputs),)))(states)
        return states, outputs, code

    return jax.jit(run)
