"""How the command fails: one clear line on the error stream, an exit code, never a traceback."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

FAILED, BAD_INPUT, OUR_FAULT, INTERRUPTED = 1, 2, 3, 130


def note(message: str) -> None:
    """One line on the error stream."""
    typer.echo(message, err=True)


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """End the command with an error line and an exit code."""
    note(f"error: {' '.join(message.split())}")
    raise typer.Exit(code)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn every exception of the block into `fail`; MARQUARDT_DEBUG=1 lets it through for a traceback."""
    debug = os.environ.get("MARQUARDT_DEBUG") == "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is in the report
            yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        fail("interrupted before there was anything to save", INTERRUPTED)
    except MemoryError as error:
        if debug:
            raise
        fail(f"not enough memory: {error}" if str(error) else "not enough memory: use fewer --hidden units")
    except (ValueError, OSError) as error:  # TableError, ModelFileError, and the library's own checks
        if debug:
            raise
        fail(str(error))
    except ImportError as error:
        if debug:
            raise
        fail(f"{error}: run `python -m pip install --upgrade marquardt`")
    except Exception as error:
        if debug:
            raise
        fail(
            f"{type(error).__name__}: {error}. This is a fault of marquardt, please report it; "
            "with MARQUARDT_DEBUG=1 in the environment, the same command shows where it happened.",
            OUR_FAULT,
        )
