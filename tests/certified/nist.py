"""The 27 NIST StRD nonlinear regression problems, read from NIST's own files."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from certified.nist_models import MODELS, Model
from certified.problem import CertifiedProblem, Evaluation

FOLDER = Path(__file__).parent / "nist_strd"
NAMES = tuple(MODELS)


def load(name: str, precision: type[np.floating] = np.longdouble) -> CertifiedProblem:
    """One problem by its NIST name, its model evaluated in ``precision``.

    >>> load("Misra1a").certified
    array([2.38942129e+02, 5.50156432e-04])
    """
    text = (FOLDER / f"{name}.dat").read_text(encoding="ascii")
    rows = [line.split("=")[1].split() for line in text.splitlines() if re.match(r"\s*b\d+ =", line)]
    table = np.array(rows, dtype=float)
    y, x = _observations(text, precision)
    if name == "Nelson":  # NIST certifies the fit of log(y)
        y = np.log(y)
    return CertifiedProblem(
        name=name,
        difficulty=_search(text, r"(\w+) Level of Difficulty").lower(),
        n_params=len(table),
        n_residuals=y.size,
        evaluate=_residuals(MODELS[name], x, y),
        start1=table[:, 0].copy(),
        start2=table[:, 1].copy(),
        certified=table[:, 2].copy(),
        certified_sd=table[:, 3].copy(),
        certified_residual_sd=float(_search(text, r"Residual Standard Deviation:\s+(\S+)")),
        certified_sum_of_squares=float(_search(text, r"Residual Sum of Squares:\s+(\S+)")),
        precision=precision,
    )


def load_all(precision: type[np.floating] = np.longdouble) -> list[CertifiedProblem]:
    """All 27 problems, in the order of NIST's page."""
    return [load(name, precision) for name in NAMES]


def _residuals(model: Model, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], Evaluation]:
    def evaluate(w: np.ndarray) -> Evaluation:
        value, columns = model(w, x)
        return value - y, columns

    return evaluate


def _observations(text: str, precision: type[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    """Response (n,) and predictors (n,) or (n, 2), parsed digit by digit in ``precision``."""
    lines = text.splitlines()
    first, last = map(int, re.search(r"Data\s+\(lines (\d+) to (\d+)\)", text).groups())
    rows = [[precision(word) for word in line.split()] for line in lines[first - 1 : last]]
    data = np.array(rows, dtype=precision)
    return data[:, 0], data[:, 1] if data.shape[1] == 2 else data[:, 1:]


def _search(text: str, pattern: str) -> str:
    return re.search(pattern, text).group(1)
