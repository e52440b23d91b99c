r"""What a drug does: direct effects, effect compartments, indirect responses.

A saturable action is s(C) = E_max Cʰ/(EC₅₀ʰ + Cʰ).

    direct                E = E₀ + s(C)
    effect compartment    E = E₀ + s(C_e),  dC_e/dt = k_e0 (C − C_e)      (Sheiner et al. 1979)
    indirect response     dR/dt = k_in a(C) − k_out b(C) R,  k_in = R₀ k_out

with a = 1 − s, b = 1 − s, a = 1 + s or b = 1 + s: the models I to IV of N. L. Dayneka, V. Garg, W. J. Jusko,
J. Pharmacokinet. Biopharm. 21:457, 1993.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from marquardt.apps.pkpd.compartments import CompartmentModel, array_library
from marquardt.apps.pkpd.linear_kinetics import as_ode
from marquardt.apps.pkpd.ode import Integration, OdeModel
from marquardt.apps.pkpd.regimen import Dosing, Regimen

import jax.numpy as jnp  # isort: skip  # pyright: ignore[reportMissingImports]


@dataclass(frozen=True)
class Saturation:
    """s(C) = most · Cʰ/(halfʰ + Cʰ); the fields are names of parameters.

    Parameters
    ----------
    most, half : str
        Effect without limit of the concentration, and concentration with half of it.
    hill : str, optional
        The exponent; without it 1.

    Examples
    --------
    >>> float(Saturation().value(4.0, {"emax": 10.0, "ec50": 1.0}))
    8.0
    """

    most: str = "emax"
    half: str = "ec50"
    hill: str | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.most, self.half) if self.hill is None else (self.most, self.half, self.hill)

    def value(self, c: Any, p: Mapping[str, Any]) -> Any:
        """s at the concentrations c; rounding below 0 counts as 0."""
        if self.hill is None:
            return p[self.most] * c / (p[self.half] + c)
        np_ = array_library(c, *(p[name] for name in self.parameters))
        there = c > 0  # a power of 0 has no derivative by its exponent
        power = np_.where(there, np_.where(there, c, 1.0) / p[self.half], 1.0) ** p[self.hill]
        return p[self.most] * np_.where(there, power / (1 + power), 0.0)


EMAX = Saturation()
SIGMOID_EMAX = Saturation(hill="hill")


@dataclass(frozen=True)
class Inhibition:
    """The factor 1 − s(C) of a rate; with `most` = 1, which `fixed={"imax": 1.0}` says, to nothing."""

    action: Saturation = field(default_factory=lambda: Saturation("imax", "ic50"))

    def factor(self, c: Any, p: Mapping[str, Any]) -> Any:
        return 1.0 - self.action.value(c, p)


@dataclass(frozen=True)
class Stimulation:
    """The factor 1 + s(C) of a rate."""

    action: Saturation = field(default_factory=Saturation)

    def factor(self, c: Any, p: Mapping[str, Any]) -> Any:
        return 1.0 + self.action.value(c, p)


Action = Inhibition | Stimulation


@dataclass(frozen=True)
class DirectEffect:
    """E = E₀ + s(C), on any model of a concentration.

    Parameters
    ----------
    pk : CompartmentModel or OdeModel
        Its first output is C.
    action : Saturation
    baseline : str
        The parameter E₀.
    outputs : tuple of str
        Filled in: those of `pk`, and "effect".

    Examples
    --------
    >>> from marquardt.apps.pkpd import Regimen, one_compartment
    >>> model = DirectEffect(one_compartment(), EMAX)
    >>> theta = {"cl": 1.0, "v": 10.0, "e0": 5.0, "emax": 20.0, "ec50": 10.0}
    >>> import numpy as np
    >>> model.predict(theta, Regimen.bolus(100.0).dosing(), np.array([0.0]))
    array([[10., 15.]])
    """

    pk: CompartmentModel | OdeModel
    action: Saturation = EMAX
    baseline: str = "e0"
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", (*self.pk.outputs, "effect"))

    @property
    def parameters(self) -> tuple[str, ...]:
        return (*self.pk.parameters, self.baseline, *self.action.parameters)

    def predict(self, params: Mapping[str, Any], dosing: Dosing, times: Any) -> Any:
        """(n, k)."""
        measured = self.pk.predict(params, dosing, times)
        effect = params[self.baseline] + self.action.value(measured[:, 0], params)
        np_ = array_library(measured, effect)
        return np_.concatenate([measured, effect[:, None]], axis=1)

    def check(self, regimen: Regimen) -> None:
        self.pk.check(regimen)


@dataclass(frozen=True)
class _Followed:
    """The right-hand side of a model, with one more state after its own."""

    pk: OdeModel
    slope: Callable[[Any, Any, Any], Any]
    """(C, the new state, params) -> its derivative."""

    def __call__(self, t: Any, y: Any, p: Any) -> Any:
        own = y[:-1]
        c = self.pk.observe(own, p)[0]
        return jnp.concatenate([self.pk.rhs(t, own, p), jnp.reshape(self.slope(c, y[-1], p), (1,))])


@dataclass(frozen=True)
class _Observed:
    """What is measured of a model, and of the state after its own."""

    pk: OdeModel
    measured: Callable[[Any, Any], Any]

    def __call__(self, y: Any, p: Any) -> Any:
        return jnp.concatenate(
            [jnp.ravel(self.pk.observe(y[:-1], p)), jnp.reshape(self.measured(y[-1], p), (1,))]
        )


@dataclass(frozen=True)
class _Start:
    """Of a model, and of the state after its own."""

    pk: OdeModel
    baseline: str | None

    def __call__(self, p: Any) -> Any:
        own = jnp.broadcast_to(jnp.asarray(self.pk.initial(p), dtype=float), (len(self.pk.states),))
        last = 0.0 if self.baseline is None else p[self.baseline]
        return jnp.concatenate([own, jnp.reshape(jnp.asarray(last, dtype=float), (1,))])


def _follow(
    pk: CompartmentModel | OdeModel,
    integration: Integration | None,
    state: str,
    parameters: tuple[str, ...],
    slope: Callable[[Any, Any, Any], Any],
    measured: Callable[[Any, Any], Any],
    baseline: str | None,
) -> OdeModel:
    ode = as_ode(pk) if isinstance(pk, CompartmentModel) else pk
    return replace(
        ode,
        rhs=_Followed(ode, slope),
        states=(*ode.states, state),
        parameters=(*ode.parameters, *parameters),
        outputs=(*ode.outputs, "effect"),
        observe=_Observed(ode, measured),
        initial=_Start(ode, baseline),
        integration=integration or ode.integration,
    )


@dataclass(frozen=True)
class _Equilibration:
    rate: str

    def __call__(self, c: Any, site: Any, p: Any) -> Any:
        return p[self.rate] * (c - site)


@dataclass(frozen=True)
class _EffectAtSite:
    action: Saturation
    baseline: str

    def __call__(self, site: Any, p: Any) -> Any:
        return p[self.baseline] + self.action.value(site, p)


def effect_compartment(
    pk: CompartmentModel | OdeModel,
    action: Saturation = EMAX,
    *,
    baseline: str = "e0",
    rate: str = "ke0",
    integration: Integration | None = None,
) -> OdeModel:
    """E = E₀ + s(C_e), where C_e follows the concentration with the rate k_e0.

    Examples
    --------
    >>> from marquardt.apps.pkpd import one_compartment
    >>> effect_compartment(one_compartment()).parameters
    ('cl', 'v', 'ke0', 'e0', 'emax', 'ec50')
    """
    own = (rate, baseline, *action.parameters)
    site = _EffectAtSite(action, baseline)
    return _follow(pk, integration, "effect_site", own, _Equilibration(rate), site, None)


@dataclass(frozen=True)
class _Turnover:
    production: Action | None
    loss: Action | None
    baseline: str
    rate: str

    def __call__(self, c: Any, response: Any, p: Any) -> Any:
        made = 1.0 if self.production is None else self.production.factor(c, p)
        lost = 1.0 if self.loss is None else self.loss.factor(c, p)
        return p[self.rate] * (p[self.baseline] * made - lost * response)


def _response(response: Any, p: Any) -> Any:
    del p
    return response


def indirect_response(
    pk: CompartmentModel | OdeModel,
    *,
    production: Action | None = None,
    loss: Action | None = None,
    baseline: str = "r0",
    rate: str = "kout",
    integration: Integration | None = None,
) -> OdeModel:
    """dR/dt = k_in a(C) − k_out b(C) R from the baseline R₀ = k_in/k_out.

    Parameters
    ----------
    pk : CompartmentModel or OdeModel
        Its first output is C.
    production, loss : Inhibition or Stimulation
        What the drug does: model I is production=Inhibition(), II loss=Inhibition(), III
        production=Stimulation(), IV loss=Stimulation().
    baseline, rate : str
        The parameters R₀ and k_out.
    integration : Integration, optional

    Examples
    --------
    >>> from marquardt.apps.pkpd import Regimen, one_compartment
    >>> model = indirect_response(one_compartment(), production=Inhibition())
    >>> model.parameters
    ('cl', 'v', 'r0', 'kout', 'imax', 'ic50')
    >>> theta = {"cl": 1.0, "v": 10.0, "r0": 100.0, "kout": 0.5, "imax": 1.0, "ic50": 1.0}
    >>> model.solve(theta, Regimen.bolus(100.0), [0.0, 2.0, 100.0]).outputs["effect"].round(2)
    array([100.  ,  43.18,  99.94])
    """
    actions = [action for action in (production, loss) if action is not None]
    if not actions:
        raise ValueError("the drug does nothing: give production= or loss= an Inhibition() or Stimulation()")
    names = (baseline, rate, *dict.fromkeys(n for a in actions for n in a.action.parameters))
    turnover = _Turnover(production, loss, baseline, rate)
    return _follow(pk, integration, "response", names, turnover, _response, baseline)
