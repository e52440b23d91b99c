"""Live progress of a fit, on the error stream: a moving line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from marquardt.result import Iteration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE = 32  # largest width of the drawn cost curve, in characters
_PATIENCE = 10.0  # seconds without a plain line


class Progress:
    """A callback that shows the iterations; use it in a `with`.

    Parameters
    ----------
    stream : TextIO
        Where to write; a terminal gets a moving line, anything else plain lines.
    quiet : bool
        Show nothing.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> with Progress(stream) as progress:
    ...     progress(Iteration(0, 2.0, 1.0, float("nan"), 0.5, 0.0, 0, 1, 1, 0.0))
    >>> print(stream.getvalue().strip())
    iteration    0   cost 2            damping 1          0.0 s
    """

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._console: Console | None = None
        self._live: Live | None = None
        self._start = 0  # number of the run: a fit from several starts has several
        self._last: Iteration | None = None
        self._shown, self._printed_at = True, 0.0
        self._costs: list[float] = []
        if not quiet:
            from rich.console import Console

            self._console = Console(file=stream, highlight=False, soft_wrap=True)

    def __enter__(self) -> Progress:
        if self._console is not None and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, refresh_per_second=12, get_renderable=self._moving_line)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        else:
            self._print_last()

    def __call__(self, iteration: Iteration) -> None:
        """Take the record of one iteration; iteration 0 begins a new run."""
        if iteration.iteration == 0:
            self._print_last()  # the end of the run before
            self._start, self._costs, self._printed_at = self._start + 1, [], 0.0
        self._costs.append(iteration.cost)
        self._last, self._shown = iteration, False
        milestone = self._start == 1 and _is_milestone(iteration.iteration)
        if milestone or iteration.time - self._printed_at > _PATIENCE:
            self._print_last()

    def _print_last(self) -> None:
        if self._console is not None and self._live is None and self._last is not None and not self._shown:
            self._console.print(self._line(self._last), markup=False)
            self._shown, self._printed_at = True, self._last.time

    def _line(self, now: Iteration) -> str:
        return progress_line(now) if self._start == 1 else f"start {self._start}: {progress_line(now)}"

    def _moving_line(self) -> Text:
        from rich.text import Text

        if self._last is None or self._console is None:
            return Text("")
        line = self._line(self._last)
        curve = cost_curve(self._costs, min(_CURVE, self._console.width - len(line) - 4))
        return Text.assemble(f"{line}   ", (curve, "blue"), no_wrap=True, overflow="crop")


def progress_line(now: Iteration) -> str:
    """One iteration in one line."""
    validation = f"   validation {now.validation_cost:<10.4g}" if now.validation_cost is not None else ""
    return (
        f"iteration {now.iteration:>4}   cost {now.cost:<10.4g}{validation}   damping {now.damping:<8.2g}"
        f"   {now.time:.1f} s"
    )


def cost_curve(costs: list[float], width: int = _CURVE) -> str:
    """The logarithm of the cost over the run, as a row of at most `width` blocks.

    Examples
    --------
    >>> cost_curve([1000.0, 100.0, 10.0, 1.0], width=4)
    '█▆▃▁'
    """
    logs = [math.log10(cost) for cost in costs if cost > 0 and math.isfinite(cost)]
    if len(logs) < 2 or width < 2:
        return ""
    low, high = min(logs), max(logs)
    step = max(1.0, len(logs) / width)
    sampled = [logs[min(len(logs) - 1, int(i * step))] for i in range(min(width, len(logs)))]
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))] for value in sampled)


def _is_milestone(iteration: int) -> bool:
    """0, 1, 2, 5, 10, 20, 50, ...: few lines, whatever the length of the run."""
    if iteration < 1:
        return True
    return iteration in {factor * 10 ** int(math.log10(iteration)) for factor in (1, 2, 5)}
