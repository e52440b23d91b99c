"""Predictions for many subjects at once, with their sensitivities: compiled once for a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

try:
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
except ImportError as _error:
    raise ImportError(
        "fits of pharmacometric models need JAX, which is not installed: pip install 'marquardt[pkpd]'"
    ) from _error

import numpy as np

from marquardt.apps.pkpd.regimen import Dosing, Regimen
from marquardt.apps.pkpd.subjects import Batch, Subject
from marquardt.jax_models import double_precision

Individual = Callable[[dict[str, Any], dict[str, Any]], Mapping[str, Any]]
"""(parameters of the population, covariates of a subject) -> parameters of the model, in JAX."""


class Model(Protocol):
    """The contract: a closed form or differential equations.  Hashable; equal ones share compiled code."""

    @property
    def parameters(self) -> tuple[str, ...]: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    def predict(self, params: Mapping[str, Any], dosing: Dosing, times: Any) -> Any:
        """(n, k) at `times` (n,), in JAX."""
        ...

    def check(self, regimen: Regimen) -> None:
        """ValueError for a regimen that it cannot take."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A model for subjects.

    Parameters
    ----------
    model : Model
    free : tuple of str
        Names of the parameters that vary (p,).
    fixed : tuple of (name, value)
    individual : callable, optional
    covariates : tuple of str
        That `individual` reads.
    """

    model: Model
    free: tuple[str, ...]
    fixed: tuple[tuple[str, float], ...] = ()
    individual: Individual | None = field(default=None)
    covariates: tuple[str, ...] = ()

    def values(self, theta: np.ndarray, batch: Batch, members: Sequence[Subject]) -> np.ndarray:
        """Predictions of the observations (n,)."""
        return batch.observed_of(self._run(0, theta, batch.dosing, batch.times, members))

    def slopes(self, theta: np.ndarray, batch: Batch, members: Sequence[Subject]) -> np.ndarray:
        """∂/∂θ of them (n, p)."""
        slopes = self._run(1, theta, batch.dosing, batch.times, members)  # (p, s, t, k)
        return batch.observed_of(slopes).T

    def course(self, theta: np.ndarray, subject: Subject, times: np.ndarray) -> np.ndarray:
        """All outputs of one subject at any times (n, k)."""
        dosing = Dosing(*(part[None] for part in subject.regimen.dosing()))
        return self._run(0, theta, dosing, times[None], [subject])[0]

    def _run(
        self, which: int, theta: np.ndarray, dosing: Dosing, times: np.ndarray, members: Sequence[Subject]
    ) -> np.ndarray:
        names = tuple(name for name, _ in self.fixed)
        code = _compiled(self.model, self.free, names, self.individual, self.covariates)[which]
        held = np.array([value for _, value in self.fixed], dtype=float)
        of_subjects = [_covariates(self.covariates, member) for member in members]
        known = {name: np.array([row[name] for row in of_subjects]) for name in self.covariates}
        try:
            with double_precision():
                return np.asarray(code(np.asarray(theta, dtype=float), held, known, dosing, times))
        except RuntimeError as trouble:
            # of an implicit solver: its equations had no finite solution, which is no other trouble than NaN
            if "non-finite" not in str(trouble):
                raise
            shape = (*times.shape, len(self.model.outputs))
            return np.full((len(theta), *shape) if which else shape, np.nan)


def _covariates(names: Sequence[str], subject: Subject) -> dict[str, float]:
    found = {}
    for name in names:
        if name not in subject.covariates:
            known = ", ".join(subject.covariates) or "none"
            raise ValueError(f"subject {subject.id} has no covariate {name!r}: there are {known}")
        try:
            found[name] = float(subject.covariates[name])
        except (TypeError, ValueError):
            raise ValueError(
                f"covariate {name!r} of subject {subject.id} is {subject.covariates[name]!r}: it must be a "
                "number; code classes as 0 and 1"
            ) from None
        if not np.isfinite(found[name]):
            raise ValueError(f"covariate {name!r} of subject {subject.id} is missing: fill it in, or leave "
                             "the subject out")  # fmt: skip
    return found


@lru_cache(maxsize=64)
def _compiled(
    model: Model,
    free: tuple[str, ...],
    fixed: tuple[str, ...],
    individual: Individual | None,
    covariates: tuple[str, ...],
) -> tuple[Any, Any]:
    """(predictions (s, t, k), sensitivities (p, s, t, k)) as functions of numbers only."""
    del covariates  # part of the key

    def one(theta: Any, held: Any, known: dict[str, Any], dosing: Dosing, times: Any) -> Any:
        params = {name: theta[k] for k, name in enumerate(free)}
        params |= {name: held[k] for k, name in enumerate(fixed)}
        own = params if individual is None else dict(individual(params, known))
        return model.predict(own, dosing, times)

    def all_subjects(theta: Any, held: Any, known: dict[str, Any], dosing: Dosing, times: Any) -> Any:
        return jax.vmap(one, in_axes=(None, None, 0, 0, 0))(theta, held, known, dosing, times)

    def slopes(theta: Any, *numbers: Any) -> Any:
        return jnp.moveaxis(jax.jacfwd(all_subjects)(theta, *numbers), -1, 0)

    return jax.jit(all_subjects), jax.jit(slopes)
