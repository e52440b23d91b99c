"""What the command writes: reports to standard output, files, and the exit code that follows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from marquardt.atomic_file import check_place, write_atomically
from marquardt.command.errors import FAILED, INTERRUPTED, fail, note

if TYPE_CHECKING:
    from marquardt.command.demo import SpiralsFit
    from marquardt.tables.fit_record import FitRecord
    from marquardt.tables.model import TableModel


def check_places(*paths: Path | None, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse outputs that could not be written, or would replace an input, before the work is done."""
    for path in paths:
        if path is not None:
            check_place(path)
            if any(path.resolve() == own.resolve() for own in inputs):
                fail(f"{str(path)!r} is the input, and would be overwritten: name another file to write")


def check_html(path: Path | None, inputs: tuple[Path, ...] = ()) -> None:
    """The same for a report, which must be named as a page."""
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        fail(f"--html {str(path)!r} does not end in .html: name the report, e.g. report.html")
    check_places(path, inputs=inputs)


def show_record(record: FitRecord, html: Path | None, quiet: bool, as_json: bool) -> None:
    """The report in the forms asked for, and where things were written."""
    if html is not None:
        from marquardt.reports.html_report import html_report

        write_atomically(html, html_report(record).encode())
    if as_json:
        from marquardt.reports.json_report import json_report

        print_json(json_report(record))
    elif not quiet:
        from marquardt.reports.text_report import text_report

        typer.echo("")
        print_report(text_report(record))
        if html is not None:
            note(f"wrote {html}")


def show_spirals(fitted: SpiralsFit, html: Path, quiet: bool, as_json: bool) -> None:
    """The outcome of the two spirals in the forms asked for."""
    from marquardt.command.demo import spirals_html, spirals_json, spirals_text

    write_atomically(html, spirals_html(fitted).encode())
    if as_json:
        print_json(spirals_json(fitted))
    elif not quiet:
        typer.echo("")
        print_report(spirals_text(fitted))
        note(f"wrote {html}")


def print_report(text: str) -> None:
    """A text report with its headings in bold, where the output is a terminal."""
    for line in text.splitlines():
        typer.echo(typer.style(line, bold=True) if line.startswith("[[") else line)


def print_json(data: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(data: Any) -> Any:
    """`data` with null for the numbers that JSON has no word for."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def exit_by(status: str, success: bool, message: str) -> None:
    """End the command with the code of a run that was interrupted or failed; go on after any other."""
    if status == "INTERRUPTED":
        raise typer.Exit(INTERRUPTED)
    if not success:
        fail(message, FAILED)


def load_table_model(path: Path) -> TableModel:
    """The model of a file written by `marquardt fit`."""
    from marquardt.files.persistence import load
    from marquardt.tables.model import TableModel

    model = load(path)
    if not isinstance(model, TableModel):
        fail(
            f"{str(path)!r} holds an estimator without a table: load it in Python, "
            "with marquardt.files.persistence.load"
        )
    return model
