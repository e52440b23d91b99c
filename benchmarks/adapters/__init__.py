"""One small file per peer.  Each offers ``prepare(task, **options) -> Callable[[w0, cap], Run]``.

``prepare`` imports the peer, builds it for the task's shapes and warms it up, so that the function it
returns runs compiled code from its first call.  Nothing here is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.run import Run

Solver = Callable[[np.ndarray, float], Run]


class Unsupported(Exception):
    """The peer cannot train this network; the message says why."""


@dataclass(frozen=True)
class Entry:
    module: str
    options: dict[str, Any]
    compiles: bool = False
    """Whether the first call for a task's shapes compiles code."""

    def prepare(self, task: Any) -> Solver:
        return importlib.import_module(f"adapters.{self.module}").prepare(task, **self.options)


SOLVERS: dict[str, Entry] = {
    "marquardt": Entry("own", {}),
    "scipy lm": Entry("scipy_lm", {"x_scale": None}),
    "scipy lm, x_scale=1": Entry("scipy_lm", {"x_scale": 1.0}),
    "optimistix qr": Entry("optimistix_lm", {"linear_solver": "qr"}, compiles=True),
    "optimistix normal": Entry("optimistix_lm", {"linear_solver": "normal"}, compiles=True),
    "jaxopt cholesky": Entry("jaxopt_lm", {"materialize": True}, compiles=True),
    "jaxopt default": Entry("jaxopt_lm", {"materialize": False}, compiles=True),
    "torch-lm": Entry("torch_lm", {}),
    "pyrenn": Entry("pyrenn_lm", {}),
}
