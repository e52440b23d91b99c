"""Writing a file so that a fault half-way leaves the old file as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, flush it to the disk, and put it in place in one step.

    A full disk, a crash or Ctrl-C leaves either the old file or the new one, never half of it.

    Parameters
    ----------
    path : path-like
        The file to write or replace.  A symbolic link is followed.
    data : bytes
        The whole content.

    Raises
    ------
    OSError
        If the folder is missing or not writable, or the disk is full; the message names the file and the next
        action.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder, "a.txt")
    ...     write_atomically(target, b"hello")
    ...     target.read_bytes()
    b'hello'
    """
    target = Path(os.path.realpath(path))  # replacing a link itself would orphan the file it points to
    existed = target.exists()
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, target.stat().st_mode & 0o777 if existed else 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        kept = "; the old file is untouched" if existed else ""
        reason = error.strerror or str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        message = f"could not write {os.fspath(path)!r}: {reason}{kept}. {_advice(target, full)}"
        raise OSError(message) from error
    except BaseException:
        _remove(temporary)
        raise


def check_place(path: str | os.PathLike[str]) -> None:
    """Make sure, before long work, that `path` is likely to be writable after it.

    Raises
    ------
    OSError
        If the folder is missing or not writable, or `path` is itself a folder.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        reason = "it is a folder" if target.is_dir() else "its folder is missing or not writable"
        raise OSError(f"could not write {os.fspath(path)!r}: {reason}. {_advice(target)}")


def _advice(target: Path, full: bool = False) -> str:
    if target.is_dir():
        return "Name a file in this folder."
    if not target.parent.is_dir():
        return f"Create the folder {str(target.parent)!r} first, or choose another."
    return "Free some space or choose another place." if full else "Choose a place where you may write."


def _remove(temporary: str) -> None:
    if temporary:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _umask() -> int:
    # The mask can only be read by setting it; mkstemp makes files that only the owner may read.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
