"""Checkpoints: a run in a file, from which it goes on as if it had never been interrupted.

One file a run, in the container of the model files: no pickle, written in one step.  It holds where the run
was after one of its records, and the fingerprint of what it was a run of.  Runs that belong together (the
starts of an estimator, the rounds of a robust fit) have a file each, `PATH.start2.round1`.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from marquardt.atomic_file import check_place
from marquardt.files.archive import ModelFileError, read_archive, write_archive
from marquardt.files.fingerprint import differences, fingerprint
from marquardt.files.snapshot_data import snapshot_data, snapshot_from_data
from marquardt.result import Status

_PARTS = r"(\.start\d+)?(\.round\d+)?"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says why and what to do."""


class Checkpoint:
    """Where a run is kept while it goes, so that it can be continued after an interruption.

    Called again with the same data, start and settings, and a checkpoint of the same path, a run goes on
    where it was: history and parameters come out equal, bit for bit, to those of a run that was never
    interrupted.  (Times are wall times, and those before the interruption count.)  Limits of iterations and
    time may be others than before.

    The file is removed when the run has come to its own end.  It stays after Ctrl-C, after an exception, and
    when a limit or a callback ended the run: raise the limit, and call again.

    Parameters
    ----------
    path : path-like
        The file, usually new.  Estimators, the command and robust fits write one for each start or round,
        ``path.start1`` and so on.
    every : int or None
        Iterations between two writings.  One takes about 10 ms: more where iterations are short.
    seconds : float or None
        Also write when so many seconds have passed.

    Raises
    ------
    CheckpointError
        When a run begins: for a file of other data, another network or other settings, a damaged file, or
        one that is no checkpoint.
    OSError
        Also then, when the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from marquardt import Input, Linear, NetworkProblem, Stopping, Tanh, minimize
    >>> X = [[0.0], [0.5], [1.0], [1.5]]
    >>> problem = NetworkProblem(Input(1) >> Tanh(2) >> Linear(1), X, [0.0, 1.0, 0.5, 2.0])
    >>> w0 = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for limit in (3, 8):  # as if interrupted after three iterations
    ...         kept = Checkpoint(f"{folder}/run.checkpoint")
    ...         result = minimize(problem, w0, checkpoint=kept, stopping=Stopping(max_iter=limit))
    >>> whole = minimize(problem, w0, stopping=Stopping(max_iter=8))
    >>> result.n_iter, bool((result.w == whole.w).all())
    (8, True)
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int | None = 10, seconds: float | None = None
    ) -> None:
        if every is not None and not (isinstance(every, int) and every >= 1):
            raise ValueError(f"every={every!r} must be a whole number of at least 1, or None")
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"seconds={seconds!r} must be a number of at least 0, or None")
        self.path, self.every, self.seconds = os.fspath(path), every, seconds
        self._file = _RunFile(self.path, every, seconds)

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every={self.every}, seconds={self.seconds})"

    def begin(self, identity: Mapping[str, object]) -> object | None:
        """What was kept of the same run, or None.  Raises CheckpointError."""
        return self._file.begin(identity)

    def note(self, iteration: int, snapshot: object) -> None:
        """Write the snapshot, if it is time to."""
        self._file.note(iteration, snapshot)

    def end(self, outcome: object, status: Status) -> None:
        """Write the last snapshot of a run that may go on, else remove the file."""
        del outcome
        if status.may_go_on:
            self._file.write_last()
        else:
            self._file.remove()

    def part(self, name: str) -> CheckpointPart:
        """For one of several runs of the same work; `name` is "start1", "round1", and so on.

        Raises
        ------
        CheckpointError
            When there is a file of this name that is no checkpoint.
        """
        if os.path.exists(self.path) and not _is_checkpoint(self.path):
            raise CheckpointError(f"{self.path!r} is no checkpoint, and is left as it is: name another file")
        return CheckpointPart(f"{self.path}.{name}", self.every, self.seconds)

    def clear(self) -> None:
        """Remove the file and those of all parts: the work is done."""
        path = Path(self.path)
        ours = re.compile(re.escape(path.name) + _PARTS)
        with suppress(OSError):  # the work is done, and shall not be lost by it
            for file in list(path.parent.iterdir()):
                if ours.fullmatch(file.name) and file.is_file() and _is_checkpoint(str(file)):
                    file.unlink()


def _is_checkpoint(path: str) -> bool:
    """Whether a file is one of ours: nothing else is ever removed."""
    try:
        return read_archive(path)[0].get("kind") == "checkpoint"
    except ModelFileError:
        return False


class CheckpointPart:
    """The checkpoint of one of several runs: its outcome is kept until the whole work is done.

    Parameters
    ----------
    path, every, seconds
        As in `Checkpoint`.
    """

    def __init__(self, path: str, every: int | None, seconds: float | None) -> None:
        self.path, self.every, self.seconds = path, every, seconds
        self._file = _RunFile(path, every, seconds)

    def begin(self, identity: Mapping[str, object]) -> object | None:
        """What was kept of the same run, or its outcome, or None."""
        return self._file.begin(identity)

    def note(self, iteration: int, snapshot: object) -> None:
        """Write the snapshot, if it is time to."""
        self._file.note(iteration, snapshot)

    def end(self, outcome: object, status: Status) -> None:
        """Write the outcome, or the last snapshot of a run that may go on."""
        if status.may_go_on:
            self._file.write_last()
        else:
            self._file.write(outcome)

    def part(self, name: str) -> CheckpointPart:
        """For one of several runs within this one."""
        return CheckpointPart(f"{self.path}.{name}", self.every, self.seconds)

    def clear(self) -> None:
        """Nothing: whoever made the parts removes them."""


class _RunFile:
    """One file of one run."""

    def __init__(self, path: str, every: int | None, seconds: float | None) -> None:
        self.path, self.every, self.seconds = path, every, seconds
        self._fingerprint: dict[str, str] = {}
        self._last: object | None = None
        self._written, self._time = 0, 0.0  # iteration and clock of the last writing
        self._failed = False

    def begin(self, identity: Mapping[str, object]) -> object | None:
        self._fingerprint = fingerprint(identity)
        self._last, self._written, self._time, self._failed = None, 0, time.monotonic(), False
        if not os.path.exists(self.path):
            check_place(self.path)
            return None
        kept, self._written = self._read()
        return kept

    def _read(self) -> tuple[object, int]:
        try:
            header, arrays = read_archive(self.path)
        except ModelFileError as error:
            raise CheckpointError(
                f"{self.path!r} cannot be read as a checkpoint, and is left as it is: it is damaged, or no "
                f"checkpoint at all ({error}). Delete it to begin anew, or name another file."
            ) from error
        if header.get("kind") != "checkpoint":
            raise CheckpointError(f"{self.path!r} is no checkpoint, and is left as it is: name another file")
        try:
            differing = differences(header["fingerprint"], self._fingerprint)
            if differing:
                raise CheckpointError(
                    f"the checkpoint {self.path!r} is of another run, on another table or with other "
                    f"settings: {'; '.join(differing)}. Give the run what it had (random_state too, where it "
                    f"draws the start), or delete the file to begin anew."
                )
            return snapshot_from_data(header["data"], arrays), int(header["iteration"])
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"the checkpoint {self.path!r} is damaged ({type(error).__name__}: {error}): delete it to "
                f"begin anew"
            ) from error

    def note(self, iteration: int, snapshot: object) -> None:
        self._last = snapshot
        due = self.every is not None and iteration - self._written >= self.every
        if due or (self.seconds is not None and time.monotonic() - self._time >= self.seconds):
            self.write(snapshot)
            self._written, self._time = iteration, time.monotonic()

    def write_last(self) -> None:
        if self._last is not None:
            self.write(self._last)

    def write(self, kept: Any) -> None:
        """A file that cannot be written is no reason to lose the run: it is said, once."""
        data, arrays = snapshot_data(kept)
        header = {
            "kind": "checkpoint",
            "fingerprint": self._fingerprint,
            "iteration": len(arrays["history.cost"]) - 1,
            "data": data,
        }
        try:
            write_archive(self.path, header, arrays)
        except ModelFileError as error:
            if not self._failed:
                self._failed = True
                warnings.warn(f"no checkpoint: {error}", UserWarning, stacklevel=2)

    def remove(self) -> None:
        with suppress(OSError):  # the run is done, and shall not be lost by it
            os.unlink(self.path)
