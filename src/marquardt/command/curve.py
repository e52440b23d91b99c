"""`marquardt curve`: fit a curve to the columns of a table, from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marquardt.command.completion import complete_column
from marquardt.command.errors import clear_errors, fail, note
from marquardt.command.output import check_html, check_places, exit_by, print_json, print_report

if TYPE_CHECKING:
    import pandas as pd


INTERVALS = ("linear", "profile", "bootstrap")
LOSSES = ("linear", "huber", "soft_l1", "cauchy", "tukey")


def _column(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, autocompletion=complete_column, show_default=False)


def curve(
    table: Annotated[
        Path, typer.Argument(help="CSV, TSV, Excel or Parquet, with a header line.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of the curve, e.g. hill, 4pl, michaelis_menten.")
    ] = "",
    x: Annotated[str, _column("Column of x; several with commas where the curve needs them.", "--x")] = "",
    y: Annotated[str, _column("Column of the response.", "--y")] = "",
    by: Annotated[str, _column("Column that names the group of each row.", "--by")] = "",
    shared: Annotated[
        str, typer.Option("--shared", help="Parameters with one value for all groups, with commas.")
    ] = "",
    fixed: Annotated[
        str, typer.Option("--fixed", help="Parameters that are not fitted, e.g. bottom=0,n=1.")
    ] = "",
    positive: Annotated[
        str, typer.Option("--positive", help="Parameters kept above zero, with commas; or all.")
    ] = "",
    loss: Annotated[
        str, typer.Option("--loss", help="linear, or against outliers huber, soft_l1, cauchy, tukey.")
    ] = "linear",
    intervals: Annotated[
        str, typer.Option("--intervals", help="Of the report: linear, profile or bootstrap.")
    ] = "linear",
    starts: Annotated[int, typer.Option("--starts", help="Starts; the best fit is kept.")] = 1,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of an Excel file.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the report as one HTML file.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Also write the picture, as PNG.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, and nothing else.")] = False,
) -> None:
    """Fit a curve of a few parameters: estimates, standard errors, intervals, picture.

    The start comes from the data.  With --by each group has its own fit, unless --shared names parameters
    that all groups have in common.

    [bold]Examples[/bold]

    marquardt curve data.csv --model hill --x dose --y response

    marquardt curve data.csv --model hill --x dose --y response --by subject --shared top --html report.html
    """
    with clear_errors():
        from marquardt import __version__
        from marquardt.atomic_file import write_atomically
        from marquardt.curves import SHAPES, GroupFits, curve_fit, shape
        from marquardt.curves.curve_page import curve_page
        from marquardt.reports.plot_style import png
        from marquardt.tables.reading import read_table

        check_html(html, inputs=(table,))
        if picture is not None and picture.suffix.lower() != ".png":
            fail(f"--picture {str(picture)!r} does not end in .png: name the picture, e.g. curve.png")
        check_places(picture, inputs=(table,))
        if not model:
            fail(f"which curve? Add --model NAME, one of {', '.join(sorted(SHAPES))}")
        chosen = shape(model)
        if intervals not in INTERVALS:
            fail(f"--intervals {intervals!r} must be linear, profile or bootstrap")
        if loss not in LOSSES:
            fail(f"--loss {loss!r} must be one of {', '.join(LOSSES)}")
        frame = read_table(table, sheet)
        columns, response, group = _columns(frame, x, y, by)
        frame = _whole_rows(frame, [*columns, response], quiet or as_json)
        names = _parts(shared)
        if names and not group:
            fail(f"--shared {shared} needs the groups: add --by COLUMN")
        fit = curve_fit(
            chosen,
            frame[columns],
            frame[response],
            by=frame[group].astype(str) if group else None,
            shared=names,
            fixed=_numbers(fixed),
            positive=positive.strip() == "all" or _parts(positive),
            loss=loss,
            n_starts=starts if starts != 1 else None,
        )
        report = "" if as_json and html is None else fit.report(intervals)
        if html is not None:
            write_atomically(html, curve_page(fit, table.name, __version__, report).encode())
        if picture is not None:
            write_atomically(picture, png(fit.plot()))
        if as_json:
            print_json(fit.to_dict())
        elif not quiet:
            print_report(report)
            for path in (html, picture):
                if path is not None:
                    note(f"wrote {path}")
        statuses = [one.status.name for one in (fit.values() if isinstance(fit, GroupFits) else [fit])]
        exit_by(
            "INTERRUPTED" if "INTERRUPTED" in statuses else "DONE",
            fit.success,
            f"the fit failed ({', '.join(sorted(set(statuses)))}): start elsewhere, or see its notes",
        )


def _columns(frame: pd.DataFrame, x: str, y: str, by: str) -> tuple[list[str], str, str]:
    from marquardt.tables.columns import choose_columns, listing

    there = listing(frame.columns, 12)
    if not x or not y:
        fail(f"which columns? Add --x NAME and --y NAME, of {there}")
    columns = list(choose_columns(frame, x, "--x"))
    responses = choose_columns(frame, y, "--y")
    if len(responses) != 1:
        fail(f"--y {y!r} names {len(responses)} columns: a curve has one response")
    groups = choose_columns(frame, by, "--by") if by else ("",)
    if len(groups) != 1:
        fail(f"--by {by!r} names {len(groups)} columns: name one")
    for name in [*columns, *responses]:
        if frame[name].dtype.kind not in "fiub":
            example = str(frame[name].dropna().iloc[0])
            fail(f"column {name!r} holds text, e.g. {example!r}: a curve needs numbers")
    return columns, responses[0], groups[0]


def _whole_rows(frame: pd.DataFrame, columns: list[str], quiet: bool) -> pd.DataFrame:
    whole = frame.dropna(subset=columns)
    left = len(frame) - len(whole)
    if left and not quiet:
        rows = "1 row" if left == 1 else f"{left} rows"
        note(f"note: {rows} without a number in {' or '.join(columns)} left out")
    return whole


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> dict[str, float]:
    found = {}
    for part in _parts(text):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            fail(f"--fixed {part!r} must be NAME=NUMBER, e.g. bottom=0")
    return found
