"""Figure 6: certified problems, from NIST StRD (54 runs) and from Moré, Garbow and Hillstrom (35 problems).

    python benchmarks/certified.py

`least_squares` with its default options, the same for every problem, beside SciPy's
``least_squares(method="lm")`` with the same residuals and analytic Jacobians, at tolerances of 1e-15 and
with as many evaluations as it likes.  LRE is the number of correct digits of the worst parameter (of the
worst standard error), at most 11.
"""

from __future__ import annotations

import single_thread  # noqa: F401 (must be loaded before NumPy)

# isort: split
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize

from marquardt import least_squares
from table import duration, save, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from certified import mgh, nist
from certified.problem import CertifiedProblem, MghProblem, log_relative_error

DIGITS = 6
TIGHT: dict[str, Any] = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 20_000}
Residual = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """Where one solver ended on one problem, and what it took."""

    w: np.ndarray
    sum_of_squares: float
    standard_errors: np.ndarray
    n_jacobians: int
    n_residuals: int
    status: str
    seconds: float


@dataclass(frozen=True)
class Digits:
    """One NIST run, scored."""

    problem: str
    start: int
    solver: str
    parameters: float
    deviations: float
    n_jacobians: int
    n_residuals: int
    status: str
    seconds: float

    @property
    def passed(self) -> bool:
        return self.parameters >= DIGITS and self.deviations >= DIGITS


class Counted:
    """A function and how often it was called."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, w: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self.function(w)


def ours(jac: str | None = "analytic") -> Callable[..., Outcome]:
    """`marquardt.least_squares` with its defaults, with the analytic Jacobian or by differences."""

    def solve(residual: Residual, start: np.ndarray, jacobian: Residual) -> Outcome:
        r, J = Counted(residual), Counted(jacobian)
        clock = time.perf_counter()
        fit = least_squares(r, start, J if jac == "analytic" else jac)
        seconds = time.perf_counter() - clock
        errors = fit.standard_errors() if fit.degrees_of_freedom > 0 else np.full(fit.w.shape, np.nan)
        n_jacobians = fit.result.n_jacobians
        return Outcome(fit.w, 2 * fit.cost, errors, n_jacobians, r.calls, fit.status.name, seconds)

    return solve


def scipy_lm(x_scale: float | str, jac: str = "analytic") -> Callable[..., Outcome]:
    """SciPy's MINPACK, at the smallest tolerances that mean anything."""

    def solve(residual: Residual, start: np.ndarray, jacobian: Residual) -> Outcome:
        r, J = Counted(residual), Counted(jacobian)
        clock = time.perf_counter()
        given = J if jac == "analytic" else jac
        fit = scipy.optimize.least_squares(r, start, given, method="lm", x_scale=x_scale, **TIGHT)
        seconds = time.perf_counter() - clock
        errors = standard_errors(fit.jac, fit.fun)
        return Outcome(fit.x, 2 * fit.cost, errors, J.calls, r.calls, f"{fit.status}", seconds)

    return solve


def standard_errors(jacobian: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """s √diag((JᵀJ)⁻¹), for SciPy, which gives none: by QR of the column-scaled Jacobian, to favor it."""
    freedom = len(residual) - jacobian.shape[1]
    size = np.linalg.norm(jacobian, axis=0)
    if freedom <= 0 or not size.all():
        return np.full(jacobian.shape[1], np.nan)
    triangle = np.linalg.qr(jacobian / size, mode="r")
    if not np.abs(triangle.diagonal()).min() > 0:
        return np.full(jacobian.shape[1], np.nan)
    spread = np.linalg.norm(np.linalg.inv(triangle), axis=1) / size
    return spread * np.sqrt(residual @ residual / freedom)


SOLVERS = {
    "marquardt": ours(),
    "SciPy lm, x_scale=1": scipy_lm(1.0),
    "SciPy lm, x_scale='jac'": scipy_lm("jac"),
}
EXTRA = {
    "marquardt, jac=None (central differences)": (ours(None), np.longdouble),
    "marquardt, jac='2-point' (forward differences)": (ours("2-point"), np.longdouble),
    "marquardt, residual in float64": (ours(), np.float64),
    "marquardt, jac=None, residual in float64": (ours(None), np.float64),
    "SciPy lm, x_scale=1, residual in float64": (scipy_lm(1.0), np.float64),
    "SciPy lm, x_scale=1, its differences, residual in float64": (scipy_lm(1.0, "2-point"), np.float64),
}


def score(solver: str, solve: Callable[..., Outcome], problems: Sequence[CertifiedProblem]) -> list[Digits]:
    """All runs of one solver."""
    scored = []
    for problem in problems:
        for k, start in enumerate(problem.starts):
            end = solve(problem.residual, start, problem.jacobian)
            parameters = log_relative_error(end.w, problem.certified)
            deviations = log_relative_error(end.standard_errors, problem.certified_sd)
            counts = end.n_jacobians, end.n_residuals
            scored.append(
                Digits(problem.name, k + 1, solver, parameters, deviations, *counts, end.status, end.seconds)
            )
    return scored


def nist_table(runs: dict[str, list[Digits]]) -> str:
    header = ["problem", "start", "parameters", "sd", "Jacobians", "residuals", "status"]
    for name in list(runs)[1:]:
        header += [name.replace("SciPy lm, ", "SciPy "), "sd", "Jacobians"]
    rows = []
    for own, *others in zip(*runs.values(), strict=True):
        row = [own.problem, own.start, own.parameters, own.deviations]
        row += [own.n_jacobians, own.n_residuals, own.status]
        for other in others:
            row += [other.parameters, other.deviations, other.n_jacobians]
        rows.append(row)
    return table(header, rows)


def nist_summary(runs: dict[str, list[Digits]]) -> str:
    header = ["solver", f"both LRE >= {DIGITS}", "parameters", "sd", "least LRE", "mean LRE"]
    header += ["Jacobians", "residuals", "time"]
    rows = []
    for name, scored in runs.items():
        parameters = np.array([run.parameters for run in scored])
        deviations = np.array([run.deviations for run in scored])
        rows.append(
            [
                name,
                f"{sum(run.passed for run in scored)} of {len(scored)}",
                int((parameters >= DIGITS).sum()),
                int((deviations >= DIGITS).sum()),
                f"{parameters.min():.2f}, {deviations.min():.2f}",
                f"{parameters.mean():.2f}, {deviations.mean():.2f}",
                sum(run.n_jacobians for run in scored) or "-",
                sum(run.n_residuals for run in scored),
                duration(sum(run.seconds for run in scored)),
            ]
        )
    return table(header, rows)


def mgh_row(problem: MghProblem) -> tuple[list[Any], dict[str, bool]]:
    """The row of one problem: our run, then SciPy's."""
    row: list[Any] = [problem.number, problem.name, problem.n_params]
    reached = {}
    for name, solve in SOLVERS.items():
        end = solve(problem.residual, problem.start, problem.jacobian)
        minimum = problem.reached(end.sum_of_squares)
        reached[name] = minimum is not None
        where = "missed" if minimum is None else minimum.label
        row += [f"{end.sum_of_squares:.6g}", where, end.n_jacobians]
    row.insert(3, f"{problem.minima[0].sum_of_squares:.6g}")
    return row, reached


def main() -> None:
    problems = nist.load_all()
    runs = {name: score(name, solve, problems) for name, solve in SOLVERS.items()}
    extra = {name: score(name, solve, nist.load_all(precision)) for name, (solve, precision) in EXTRA.items()}
    rows, reached = zip(*(mgh_row(problem) for problem in mgh.load_all()), strict=True)
    header = ["no", "problem", "n", "published"]
    for name in SOLVERS:
        header += [name.replace("SciPy lm, ", "SciPy "), "minimum", "Jacobians"]
    numbers = {
        name: {row[0] for row, hit in zip(rows, reached, strict=True) if not hit[name]} for name in SOLVERS
    }
    mgh_lines = [f"- {name}: {35 - len(missed)} of 35 problems" for name, missed in numbers.items()]
    text = "\n\n".join(
        [
            "# Certified problems",
            "## NIST StRD: correct digits (LRE, at most 11)",
            nist_table(runs),
            "## NIST StRD: summary",
            nist_summary({**runs, **extra}),
            "Residuals in extended precision unless said: those of Lanczos1 (1e-13, data of size 1) have\n"
            "three digits in float64, and no solver can find more of their standard deviation.",
            "## More-Garbow-Hillstrom: sum of squares from the standard start",
            table(header, [list(row) for row in rows]),
            "At a published minimum (a local one is named as such):\n\n" + "\n".join(mgh_lines),
        ]
    )
    data = {
        "nist": [asdict(run) for scored in (*runs.values(), *extra.values()) for run in scored],
        "mgh": [
            dict(zip(["number", "problem"], row[:2], strict=True), **hit)
            for row, hit in zip(rows, reached, strict=True)
        ],
    }
    save("certified", data, text)


if __name__ == "__main__":
    main()
