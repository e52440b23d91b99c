"""One and two compartments as differential equations: to be followed by an effect, or by anything else."""

from __future__ import annotations

from typing import Any

from marquardt.apps.pkpd.compartments import CompartmentModel
from marquardt.apps.pkpd.ode import Integration, OdeModel, nonstiff

import jax.numpy as jnp  # isort: skip  # pyright: ignore[reportMissingImports]

# Amounts: depot, central, and of two compartments the peripheral one.


def _one(t: Any, y: Any, p: Any) -> Any:
    del t
    into = p.get("ka", 0.0) * y[0]
    return jnp.stack([-into, into - p["cl"] / p["v"] * y[1]])


def _two(t: Any, y: Any, p: Any) -> Any:
    del t
    into = p.get("ka", 0.0) * y[0]
    there, back = p["q"] / p["v1"] * y[1], p["q"] / p["v2"] * y[2]
    return jnp.stack([-into, into - p["cl"] / p["v1"] * y[1] - there + back, there - back])


def _conc_one(y: Any, p: Any) -> Any:
    return y[1:2] / p["v"]


def _conc_two(y: Any, p: Any) -> Any:
    return y[1:2] / p["v1"]


def as_ode(model: CompartmentModel, integration: Integration | None = None) -> OdeModel:
    """The same model by differential equations.

    Examples
    --------
    >>> from marquardt.apps.pkpd import Regimen, one_compartment
    >>> theta, regimen = {"ka": 1.0, "cl": 2.0, "v": 10.0}, Regimen.oral(100.0)
    >>> as_ode(one_compartment("ka")).solve(theta, regimen, [4.0]).outputs["conc"].round(6)
    array([5.387667])
    >>> one_compartment("ka").concentration(theta, regimen, [4.0]).round(6)
    array([5.387667])
    """
    two = "v2" in model.parameters
    absorbed = "ka" in model.parameters
    return OdeModel(
        _two if two else _one,
        ("depot", "central", "peripheral") if two else ("depot", "central"),
        model.parameters,
        model.outputs,
        _conc_two if two else _conc_one,
        central="central",
        depot="depot" if absorbed else None,
        lag="tlag" if "tlag" in model.parameters else None,
        bioavailability="f" if "f" in model.parameters else None,
        integration=integration or nonstiff(),
    )
