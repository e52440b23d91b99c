"""The runs of a solution, one after the other: points that move, points that stay, a last polish."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from marquardt import DEFAULT_DAMPING, QR, Continued, Iteration, Status, Stopping
from marquardt.apps.pinn.renewal import Renewal
from marquardt.apps.pinn.samples import Samples
from marquardt.apps.pinn.stall import Stall
from marquardt.jax_models import GroupFit, Positive, ResidualGroup, WarmUp, fit_groups

POLISH_FLOPS = 5e10
"""Most flops of a QR, two or three seconds, for which a last polish is worth its time."""
AT_REST = {Status.COST_TOLERANCE, Status.DAMPING_LIMIT, Status.STEP_TOLERANCE}


@dataclass(frozen=True)
class Run:
    """One run of a solution."""

    name: str
    fit: GroupFit = field(repr=False)
    ending: str
    """How it ended, in words."""
    stalled: bool = False
    """Whether its cost no longer fell."""


@dataclass
class Training:
    """What all runs share, and the runs that are done."""

    samples: Samples
    max_iter: int
    max_time: float | None
    patience: int
    callback: Callable[[Iteration], bool | None] | None
    options: Mapping[str, Any]
    """As in `minimize`."""
    runs: list[Run] = field(default_factory=list)
    over: bool = False
    """Whether an interruption between two runs ended it."""
    _begun: float = field(default_factory=time.perf_counter)
    _at_rest: bool = False

    def compile(self, params: Any) -> None:
        """One step that is forgotten, so that the time of compilation is not taken from the runs."""
        Stall(self.patience, None, lambda: True)  # refuses what cannot be, before the work
        settings = {**self.options, "stopping": Stopping(max_iter=min(1, self.max_iter)), "checkpoint": None}
        fit = fit_groups(self.samples.fixed_groups(), params, transforms=self._transforms, **settings)
        if fit.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if fit.status is Status.NO_FINITE_START:
            raise ValueError(self.samples.undefined(params) or fit.message)
        self._begun = time.perf_counter()

    def move(self, params: Any, renewal: Renewal, warm_up: WarmUp | None) -> GroupFit:
        """Points and weights that are renewed every so many steps."""
        limit = self.max_iter if renewal.until is None else min(renewal.until, self.max_iter)
        groups = self.samples.fixed_groups()
        # Costs of different points do not compare: the watched cost is that of the first ones.
        patience = self.patience if renewal.until is None else limit + 1
        more = {"regroup": self.samples.groups, "every": renewal.every, "warm_up": warm_up}
        return self._run("points move", groups, params, limit, patience, **more)

    def stay(self, params: Any, groups: Mapping[str, ResidualGroup], warm_up: WarmUp | None) -> GroupFit:
        """The same points and weights to the end."""
        left = self.max_iter - self.n_iter
        return self._run("points stay", groups, params, left, self.patience, warm_up=warm_up)

    def polish(self, groups: Mapping[str, ResidualGroup]) -> None:
        """By QR, where the squared system has told what it can and a QR is cheap enough."""
        last = self.runs[-1].fit
        n, p = last.problem.n_residuals, last.problem.n_params
        if (
            self._at_rest
            and "solver" not in self.options
            and 2.0 * (n + p) * p * min(n + p, p) <= POLISH_FLOPS
        ):
            left = self.max_iter - self.n_iter
            self._run("polish by QR", groups, last.params, left, self.patience, solver=QR())

    @property
    def n_iter(self) -> int:
        """Iterations so far."""
        return sum(len(run.fit.result.history) - 1 for run in self.runs)

    @property
    def may_go_on(self) -> bool:
        """Whether neither a limit nor the user has ended it."""
        last = self.runs[-1].fit.status
        ended = self.over or self.n_iter >= self.max_iter
        return not ended and (last is Status.MAX_ITER or self._at_rest)

    @property
    def _transforms(self) -> dict[str, Positive]:
        return {f"unknowns.{name}": Positive() for name in self.samples.pde.positive}

    def _run(
        self,
        name: str,
        groups: Mapping[str, ResidualGroup],
        params: Any,
        max_iter: int,
        patience: int,
        **more: Any,
    ) -> GroupFit:
        stall = Stall(patience, self.callback, lambda: self.samples.is_even)
        left = None if self.max_time is None else max(0.0, self.max_time - time.perf_counter() + self._begun)
        stopping = Stopping(max_iter=max_iter, max_time=left, max_fail=None, cost_tolerance=0.0)
        settings = {"stopping": stopping, "callback": stall, **more, **self.options}
        if not self.runs:
            fit = fit_groups(groups, params, transforms=self._transforms, **settings)
            return self._noted(Run(name, fit, stall.ending(fit.message), stall.stalled))
        before = self.runs[-1]
        # A start at the usual λ would lose the way, or end in rounding.
        rule = settings.get("damping") or DEFAULT_DAMPING
        settings["damping"] = Continued(rule, before.fit.result.history[-1].damping)
        try:
            fit = fit_groups(groups, params, transforms=self._transforms, **settings)
        except (KeyboardInterrupt, MemoryError) as error:  # what is done is kept
            why = "Interrupted" if isinstance(error, KeyboardInterrupt) else f"No memory: {error}"
            self._at_rest, self.over = False, True
            self.runs[-1] = replace(before, ending=f"{before.ending}\n{why}, before {name}.")
            return before.fit
        return self._noted(Run(name, fit, stall.ending(fit.message), stall.stalled))

    def _noted(self, run: Run) -> GroupFit:
        self.runs.append(run)
        self._at_rest = run.stalled or run.fit.status in AT_REST
        return run.fit
