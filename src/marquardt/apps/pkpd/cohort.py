r"""Simulated cohorts whose truth is known: covariates and a regimen, exposure and maximal inhibition.

The drug has one compartment and is taken by mouth n times, every τ hours.  For a patient with covariates,

    CL = (metabolic · genotype · ageing) (weight/70)^¾ + renal · CrCl/100,    V = volume · (weight/70) · sex,
    F = 1 − first_pass · genotype / (1 + dose/saturating_dose)        (the share that passes the liver),
    AUC = ∫₀^{nτ} C dt,        inhibition = greatest · C_max^h / (IC50^h + C_max^h),

times exp(η), η ~ N(0, ω²), for each of CL, V, ka and IC50.  What can be known from the covariates is the mean
over η, of log AUC and of logit inhibition: it is computed by quadrature, and is what a regression of these
should find.

References
----------
G. B. West, J. H. Brown & B. J. Enquist, Science 276, 1997 (the exponent ¾);  N. H. G. Holford, Clinical
Pharmacokinetics 30, 1996 (sizes relative to 70 kg);  D. W. Cockcroft & M. H. Gault, Nephron 16, 1976.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

GENOTYPES = ("poor", "intermediate", "normal")
"""Metabolizers, in the order of `Patients.genotype`."""


@dataclass(frozen=True)
class Patients:
    """Covariates, each (n,).

    Parameters
    ----------
    weight : array
        kg.
    age : array
        Years.
    female : array
        1 or 0.
    creatinine : array
        In serum, mg/dL.
    genotype : array of int
        Index into `GENOTYPES`.
    """

    weight: np.ndarray
    age: np.ndarray
    female: np.ndarray
    creatinine: np.ndarray
    genotype: np.ndarray

    def __post_init__(self) -> None:
        _check_columns(self, ("weight", "age", "creatinine"))
        for name, allowed in {"female": (0, 1), "genotype": range(len(GENOTYPES))}.items():
            values = np.asarray(getattr(self, name))
            if values.shape != self.weight.shape or not np.isin(values, allowed).all():
                raise ValueError(f"{name} must hold one of {', '.join(map(str, allowed))} for each patient")
            object.__setattr__(self, name, values)
        if not (self.age < 140).all():
            raise ValueError(f"age holds {self.age.max():g}: years are meant, below 140")

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> Patients:
        """Adults of 18 to 85 years; weights and creatinine lognormal, by sex."""
        female = (rng.random(n) < 0.5).astype(float)
        age = np.clip(rng.normal(52.0, 17.0, n), 18.0, 85.0)
        weight = np.clip(
            np.where(female == 1, 68.0, 82.0) * np.exp(0.2 * rng.standard_normal(n)), 40.0, 150.0
        )
        usual = np.where(female == 1, 0.75, 0.95) * (1 + 0.004 * np.maximum(age - 40, 0))
        creatinine = np.clip(usual * np.exp(0.3 * rng.standard_normal(n)), 0.4, 4.0)
        return cls(weight, age, female, creatinine, rng.choice(3, n, p=[0.1, 0.35, 0.55]))

    @property
    def creatinine_clearance(self) -> np.ndarray:
        """mL/min, by Cockcroft and Gault.

        >>> Patients(*np.array([[72.0], [40.0], [0.0], [1.0], [2.0]])).creatinine_clearance
        array([100.])
        """
        return (140 - self.age) * self.weight / (72 * self.creatinine) * np.where(self.female == 1, 0.85, 1.0)


@dataclass(frozen=True)
class Schedules:
    """How each patient takes the drug by mouth, each (n,).

    Parameters
    ----------
    dose : array
        mg.
    interval : array
        h.
    n_doses : array
    """

    dose: np.ndarray
    interval: np.ndarray
    n_doses: np.ndarray

    def __post_init__(self) -> None:
        _check_columns(self, ("dose", "interval", "n_doses"))
        if not (self.n_doses >= 1).all():
            raise ValueError(f"n_doses holds {self.n_doses.min():g}: at least one dose is needed")

    @property
    def duration(self) -> np.ndarray:
        """From the first dose to an interval after the last, h."""
        return self.interval * self.n_doses

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> Schedules:
        """25 to 400 mg every 6, 8, 12 or 24 h, for 1 to 7 days."""
        interval = rng.choice([6.0, 8.0, 12.0, 24.0], n)
        days = rng.integers(1, 8, n)
        return cls(np.exp(rng.uniform(np.log(25), np.log(400), n)), interval, days * 24.0 / interval)


class Exposure(NamedTuple):
    """Of each patient (n,)."""

    auc: np.ndarray
    """mg h/L, from the first dose to an interval after the last."""
    highest: np.ndarray
    """Highest concentration, mg/L."""
    inhibition: np.ndarray
    """The greatest of the course, as a share between 0 and 1."""


@dataclass(frozen=True)
class PopulationLaw:
    """The truth: how parameters follow from covariates, and how far patients differ beyond them.

    Parameters
    ----------
    metabolic, renal : float
        Clearance of a typical adult of 70 kg, 40 years and 100 mL/min, L/h.
    genotype : tuple of float
        Factors of the metabolic clearance, in the order of `GENOTYPES`.
    ageing : float
        Loss of metabolic clearance for each year beyond 40, as a share.
    volume : float
        L, for 70 kg.
    female_volume : float
        Factor for women.
    absorption : float
        1/h.
    first_pass, saturating_dose : float
        Share of a small dose that a normal metabolizer's liver takes out before it arrives, and the dose in
        mg that halves it.
    ic50, hill, greatest : float
        Of the inhibition: mg/L, steepness, the share that is never exceeded.
    spread : mapping
        ω of "clearance", "volume", "absorption", "ic50".
    """

    metabolic: float = 4.0
    renal: float = 2.0
    genotype: tuple[float, float, float] = (0.3, 0.65, 1.0)
    ageing: float = 0.006
    volume: float = 50.0
    female_volume: float = 0.85
    absorption: float = 1.2
    first_pass: float = 0.8
    saturating_dose: float = 100.0
    ic50: float = 0.9
    hill: float = 1.4
    greatest: float = 0.95
    spread: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {"clearance": 0.25, "volume": 0.2, "absorption": 0.4, "ic50": 0.3}
        )
    )

    def __post_init__(self) -> None:
        for name in (
            "metabolic",
            "renal",
            "volume",
            "female_volume",
            "absorption",
            "saturating_dose",
            "ic50",
            "hill",
            "greatest",
        ):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name}={getattr(self, name)!r} of a PopulationLaw must be above 0")
        if self.greatest > 1:
            raise ValueError(f"greatest={self.greatest!r} is a share: it must not exceed 1")
        if not 0 <= self.first_pass * max(self.genotype) < 1:
            raise ValueError(f"first_pass={self.first_pass!r} times genotype must be a share below 1")
        names = ("clearance", "volume", "absorption", "ic50")
        if set(self.spread) != set(names) or not all(0 <= s < 3 for s in self.spread.values()):
            raise ValueError(f"spread={dict(self.spread)!r} must hold {', '.join(names)}, each from 0 to 3")

    @property
    def omega(self) -> np.ndarray:
        """Standard deviations of η (4,): clearance, volume, absorption, ic50."""
        return np.array([self.spread[name] for name in ("clearance", "volume", "absorption", "ic50")])

    def typical(self, patients: Patients) -> np.ndarray:
        """Clearance, volume, absorption and IC50 without η (4, n)."""
        size = patients.weight / 70.0
        age = np.clip(1 - self.ageing * (patients.age - 40), 0.05, None)
        genes = self._metabolism(patients)
        clearance = self.metabolic * genes * age * size**0.75
        clearance = clearance + self.renal * patients.creatinine_clearance / 100.0
        volume = self.volume * size * np.where(patients.female == 1, self.female_volume, 1.0)
        ones = np.ones_like(size)
        return np.stack([clearance, volume, self.absorption * ones, self.ic50 * ones])

    def exposure(self, patients: Patients, schedules: Schedules, eta: ArrayLike = 0.0) -> Exposure:
        """Of patients with η (n, 4), or (4,) for all, beyond what is typical."""
        CL, V, ka, ic50 = np.moveaxis(self.typical(patients).T * np.exp(eta), -1, 0)
        extracted = self.first_pass * self._metabolism(patients) / (1 + schedules.dose / self.saturating_dose)
        auc, highest = (part * (1 - extracted) for part in repeated_oral(schedules, CL, V, ka))
        strength = (highest / ic50) ** self.hill
        return Exposure(auc, highest, self.greatest * strength / (1 + strength))

    def _metabolism(self, patients: Patients) -> np.ndarray:
        return np.asarray(self.genotype)[np.asarray(patients.genotype, dtype=int)]

    def expected(self, patients: Patients, schedules: Schedules, n_nodes: int = 5) -> np.ndarray:
        """Means of log AUC and logit inhibition over η (2, n), by Gauss-Hermite quadrature.

        Those of 5 nodes are within 2e-6 of those of 9.
        """
        x, weight = np.polynomial.hermite_e.hermegauss(n_nodes)
        weight = weight / weight.sum()
        total = np.zeros((2, len(patients.weight)))
        for node in np.ndindex(*(n_nodes,) * 4):
            exposure = self.exposure(patients, schedules, self.omega * x[list(node)])
            share = np.prod(weight[list(node)])
            total += share * np.stack([np.log(exposure.auc), _logit(exposure.inhibition)])
        return total


@dataclass(frozen=True)
class Cohort:
    """Patients, what they took, and what it did; made by `simulate_cohort`."""

    patients: Patients
    schedules: Schedules
    exposure: Exposure
    law: PopulationLaw

    feature_names = (
        "log weight", "log age", "female", "log creatinine clearance", "poor metabolizer",
        "intermediate metabolizer", "log dose", "log interval", "log duration",
    )  # fmt: skip

    def __len__(self) -> int:
        return len(self.patients.weight)

    @property
    def X(self) -> np.ndarray:
        """Features (n, 9), as `feature_names`."""
        p, r = self.patients, self.schedules
        return np.column_stack(
            [
                np.log(p.weight), np.log(p.age), p.female, np.log(p.creatinine_clearance), p.genotype == 0,
                p.genotype == 1, np.log(r.dose), np.log(r.interval), np.log(r.duration),
            ]
        )  # fmt: skip

    @property
    def targets(self) -> np.ndarray:
        """log AUC and logit inhibition (2, n)."""
        return np.stack([np.log(self.exposure.auc), _logit(self.exposure.inhibition)])

    @property
    def truth(self) -> np.ndarray:
        """The means of `targets` given the features (2, n), by the law."""
        return self.law.expected(self.patients, self.schedules)


def simulate_cohort(n: int, law: PopulationLaw | None = None, random_state: int = 0) -> Cohort:
    """A cohort of n patients by `law`, the same for the same seed.

    Examples
    --------
    >>> cohort = simulate_cohort(200, random_state=1)
    >>> cohort.X.shape, cohort.targets.shape
    ((200, 9), (2, 200))
    >>> bool(np.std(cohort.targets - cohort.truth, axis=1)[0] < 0.3)  # what patients differ by
    True
    """
    if not n >= 1:
        raise ValueError(f"n={n!r} must be at least 1 patient")
    law = PopulationLaw() if law is None else law
    rng = np.random.default_rng(random_state)
    patients, schedules = Patients.draw(n, rng), Schedules.draw(n, rng)
    eta = law.omega * rng.standard_normal((n, 4))
    return Cohort(patients, schedules, law.exposure(patients, schedules, eta), law)


def repeated_oral(
    schedules: Schedules, clearance: np.ndarray, volume: np.ndarray, absorption: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUC from the first dose to an interval after the last, and the highest concentration, in closed form.

    A dose gives C(t) = D/V · ka/(ka − k) (e^{−kt} − e^{−ka t}), k = CL/V.  Each later peak is higher than the
    one before, so the highest is that after the last dose.
    """
    k = clearance / volume
    # where the two rates are equal the formula is 0/0; a part in 1e6 apart the concentration is off by less
    ka = np.where(np.abs(absorption / k - 1) < 1e-6, k * (1 + 1e-6), absorption)
    tau, n = schedules.interval, schedules.n_doses
    scale = schedules.dose / volume * ka / (ka - k)

    def doses(rate: np.ndarray) -> np.ndarray:
        """Σ_{j<n} e^{−rate j τ}."""
        return np.expm1(-rate * n * tau) / np.expm1(-rate * tau)

    # of dose j, ∫ from its time to the end leaves ∫ beyond, e^{−rate (n − j) τ} / rate
    beyond = [np.exp(-rate * tau) * doses(rate) / rate for rate in (k, ka)]
    auc = scale * (n * (1 / k - 1 / ka) - (beyond[0] - beyond[1]))
    slow, fast = doses(k), doses(ka)
    peak = np.maximum(np.log(ka * fast / (k * slow)) / (ka - k), 0.0)
    highest = scale * (slow * np.exp(-k * peak) - fast * np.exp(-ka * peak))
    return auc, highest


def _check_columns(record: Any, names: Sequence[str]) -> None:
    """Make positive, finite columns of equal length of these fields."""
    n = None
    for name in names:
        column = np.asarray(getattr(record, name), dtype=float)
        if column.ndim != 1 or len(column) == 0 or (n is not None and len(column) != n):
            raise ValueError(f"{name} has shape {column.shape}: one value for each patient is needed")
        if not (np.isfinite(column).all() and (column > 0).all()):
            raise ValueError(f"{name} holds {column.min():g}: finite values above 0 are needed")
        n = len(column)
        object.__setattr__(record, name, column)


def _logit(share: np.ndarray) -> np.ndarray:
    return np.log(share) - np.log1p(-share)
