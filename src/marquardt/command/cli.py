"""The command `marquardt`: fit, predict, report, demo.

Results go to standard output, everything else (progress, notes, errors) to standard error.  Heavy imports
stand inside the commands, so that help and completion answer at once.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from marquardt.command.completion import complete_column
from marquardt.command.curve import curve
from marquardt.command.errors import clear_errors, fail, note
from marquardt.command.output import (
    check_html,
    check_places,
    exit_by,
    load_table_model,
    print_json,
    show_record,
    show_spirals,
)

EXIT_CODES = (
    "Exit codes: 0 done; 1 the fit failed numerically; 2 bad usage or bad input; "
    "3 a fault of marquardt itself; 130 interrupted (the best fit so far is saved)."
)

app = typer.Typer(
    name="marquardt",
    help="Train neural networks on tables by the Levenberg-Marquardt method.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Activation(StrEnum):
    """Of the hidden layers."""

    tanh = "tanh"
    logistic = "logistic"
    softplus = "softplus"
    elu = "elu"
    relu = "relu"
    sine = "sine"
    gelu = "gelu"
    swish = "swish"


class Loss(StrEnum):
    """What errors cost."""

    squared_error = "squared_error"
    cauchy = "cauchy"
    tukey = "tukey"
    huber = "huber"
    soft_l1 = "soft_l1"


class Demo(StrEnum):
    """The demonstrations."""

    energy = "energy"
    concrete = "concrete"
    yacht = "yacht"
    spirals = "spirals"


Json = Annotated[bool, typer.Option("--json", help="Write JSON to standard output, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report.")]
Html = Annotated[Path | None, typer.Option("--html", help="Also write the report as one HTML file.")]
Sheet = Annotated[str | None, typer.Option("--sheet", help="Sheet of an Excel file (default: the first).")]
Model = Annotated[Path, typer.Argument(help="A .marquardt file of `marquardt fit`.", show_default=False)]


def _version(asked: bool) -> None:
    if asked:
        from marquardt import __version__

        typer.echo(f"marquardt {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "²" or "±" shows "?", and no error


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _columns_option(text: str, *names: str) -> Any:
    return _option("Table", text, *names, autocompletion=complete_column, show_default=False)


@app.command()
def fit(
    table: Annotated[
        Path, typer.Argument(help="CSV, TSV, Excel or Parquet, with a header line.", show_default=False)
    ],
    target: Annotated[str, _columns_option("Column to predict; several with commas.", "--target", "-t")] = "",
    drop: Annotated[str, _columns_option("Columns to leave out, with commas.")] = "",
    categorical: Annotated[str, _columns_option("Columns of numbers that are codes, with commas.")] = "",
    unit: Annotated[str, _option("Table", "Unit of the target, for the report.", show_default=False)] = "",
    sheet: Annotated[str | None, _option("Table", "Sheet of an Excel file (default: the first).")] = None,
    test_fraction: Annotated[float, _option("Table", "Share of rows held out for the scores.")] = 0.2,
    hidden: Annotated[str, _option("Network", "Units of the hidden layers, e.g. 20 or 20,10.")] = "20",
    activation: Annotated[
        Activation, _option("Network", f"Of the hidden layers: {', '.join(Activation)}.", metavar="<name>")
    ] = Activation.tanh,
    bayesian: Annotated[
        bool | None,
        _option(
            "Training",
            "Find the weight penalty and the noise from the rows, with error bars "
            "(default: yes, unless --alpha or --early-stopping is given).",
            "--bayesian/--no-bayesian",
            show_default=False,
        ),
    ] = None,
    alpha: Annotated[
        float | None, _option("Training", "Fixed weight penalty; 0 for none.", show_default=False)
    ] = None,
    loss: Annotated[
        Loss, _option("Training", f"Robust against gross errors: {', '.join(Loss)}.", metavar="<name>")
    ] = Loss.squared_error,
    varying_noise: Annotated[
        bool, _option("Training", "A second network for the noise of each row.", "--varying-noise")
    ] = False,
    early_stopping: Annotated[
        bool,
        _option(
            "Training",
            "Stop where a tenth of the training rows, set aside, is fitted best.",
            "--early-stopping",
        ),
    ] = False,
    growing_rows: Annotated[
        bool | None,
        _option(
            "Training",
            "Begin on a part of the rows, which grows; the last iterations are on all "
            "(default: with --alpha or --early-stopping, where rows are many).",
            "--growing-rows/--no-growing-rows",
            show_default=False,
        ),
    ] = None,
    starts: Annotated[int, _option("Training", "Random starts; the best fit is kept.")] = 4,
    committee: Annotated[int, _option("Training", "So many of the starts predict together.")] = 1,
    jobs: Annotated[int, _option("Training", "Processes for the starts; -1 takes every core.")] = 1,
    max_iter: Annotated[int, _option("Training", "Limit of iterations.")] = 1000,
    seed: Annotated[int, _option("Training", "Of the split and of the starts.")] = 0,
    checkpoint: Annotated[
        Path | None,
        _option(
            "Training",
            "Keep the training in files of this name; the same command goes on after an interruption.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file (default: the table's name with .marquardt)."),
    ] = None,
    html: Html = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit a network to a table, save it, and report how good it is.

    Text columns are one-hot encoded, missing values imputed, constant columns dropped; the report says so.

    [bold]Examples[/bold]

    marquardt fit data.csv --target yield

    marquardt fit data.xlsx --target yield --starts 8 --committee 4 --jobs -1 --html report.html

    marquardt fit data.csv --target yield --loss cauchy

    marquardt fit data.csv --target yield,purity --early-stopping --drop batch --output model.marquardt
    """
    with clear_errors():
        from marquardt.files.checkpoint import Checkpoint
        from marquardt.files.persistence import save
        from marquardt.reports.progress import Progress
        from marquardt.tables.columns import choose_columns, listing
        from marquardt.tables.fit_options import FitOptions
        from marquardt.tables.model import fit_table
        from marquardt.tables.reading import read_table, without_ending

        output = output or Path(without_ending(table.name) + ".marquardt")
        check_places(output, inputs=(table,))
        check_html(html, inputs=(table, output))
        frame = read_table(table, sheet)
        if not target:
            fail(f"which column is to be predicted? Add --target NAME, one of {listing(frame.columns, 12)}")
        options = FitOptions(
            hidden=_whole_numbers(hidden, "--hidden"),
            activation=activation.value,
            test_fraction=test_fraction,
            seed=seed,
            starts=starts,
            jobs=jobs,
            max_iter=max_iter,
            early_stopping=early_stopping,
            bayesian=bayesian,
            alpha=alpha,
            committee=committee,
            loss=loss.value,
            varying_noise=varying_noise,
            growing_rows=growing_rows,
            drop=choose_columns(frame, drop, "--drop") if drop else (),
            categorical=choose_columns(frame, categorical, "--categorical") if categorical else (),
            units=tuple(part.strip() for part in unit.split(",")) if unit else (),
        )
        targets = choose_columns(frame, target, "--target")
        with Progress(sys.stderr, quiet=quiet or as_json) as progress:
            model = fit_table(
                frame,
                targets,
                options,
                source=table.name,
                callback=progress,
                tell=None if quiet else note,
                checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
            )
        show_record(model.record, html, quiet, as_json)
        save(model, output)
        if not (quiet or as_json):
            note(f"wrote {output}")
        exit_by(model.record.status, model.record.success, model.record.message)


@app.command()
def predict(
    model: Model,
    table: Annotated[Path, typer.Argument(help="A table with the same input columns.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table to write (default: CSV to standard output).")
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            help="Add low_NAME and high_NAME, the ends of intervals that hold a measurement with this "
            "probability, e.g. 0.95.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        bool, typer.Option("--only", help="Only the predictions, without the table's columns.")
    ] = False,
    sheet: Sheet = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes.")] = False,
    as_json: Json = False,
) -> None:
    """Predict the target for the rows of a table.

    The output is the table with one more column for each target, predicted_NAME.

    [bold]Examples[/bold]

    marquardt predict model.marquardt new.csv --output predicted.csv

    marquardt predict model.marquardt new.csv --interval 0.95 --output predicted.csv

    marquardt predict model.marquardt new.csv --only --json
    """
    with clear_errors():
        import pandas as pd

        from marquardt.tables.reading import read_table, write_table

        check_places(output, inputs=(model, table))
        fitted = load_table_model(model)
        frame = read_table(table, sheet)
        predictions, notes = fitted.predict_with_notes(frame, interval)
        predictions = predictions.rename(columns={name: f"predicted_{name}" for name in fitted.targets})
        if not (quiet or as_json):
            for line in notes:
                note(f"note: {line}")
        result = predictions if only else pd.concat([frame, predictions], axis=1)
        if output is not None:
            write_table(output, result)
            if not (quiet or as_json):
                note(f"wrote {len(result)} predictions to {output}")
        if as_json:
            rows = json.loads(result.to_json(orient="records", double_precision=15))
            print_json({"targets": list(fitted.targets), "notes": notes, "rows": rows})
        elif output is None:
            typer.echo(result.to_csv(index=False), nl=False)


@app.command()
def report(model: Model, html: Html = None, as_json: Json = False) -> None:
    """Show the report of a saved fit again.

    [bold]Examples[/bold]

    marquardt report model.marquardt

    marquardt report model.marquardt --html report.html
    """
    with clear_errors():
        check_html(html, inputs=(model,))
        show_record(load_table_model(model).record, html, quiet=False, as_json=as_json)


app.command()(curve)


@app.command()
def demo(
    name: Annotated[Demo, typer.Argument(help="Which one.")] = Demo.energy,
    html: Annotated[Path, typer.Option("--html", help="HTML report to write.")] = Path("marquardt-demo.html"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train on a table that ships with marquardt, or on the two spirals.

    energy: heating load of buildings. concrete: strength of mixtures. yacht: resistance of hulls.
    spirals: the classic hard classification, 2-25-2.

    [bold]Examples[/bold]

    marquardt demo

    marquardt demo spirals --html spirals.html
    """
    with clear_errors():
        from marquardt.command.demo import spirals_demo, table_demo
        from marquardt.datasets import DATASETS
        from marquardt.reports.progress import Progress

        silent = quiet or as_json
        check_html(html)
        if name is Demo.spirals:
            with Progress(sys.stderr, quiet=silent) as progress:
                fitted = spirals_demo(progress)
            show_spirals(fitted, html, quiet, as_json)
            return exit_by(fitted.result.status.name, fitted.result.success, fitted.result.message)
        if not silent:
            note(f"{DATASETS[name.value].title}\n{DATASETS[name.value].citation}\n")
        with Progress(sys.stderr, quiet=silent) as progress:
            record = table_demo(name.value, progress).record
        show_record(record, html, quiet, as_json)
        if not silent:
            note("\nYour own table:  marquardt fit data.csv --target NAME")
        exit_by(record.status, record.success, record.message)


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        fail(
            f"{option} {text!r} must be whole numbers of at least 1, with commas between them, "
            "e.g. 20 or 20,10"
        )
    return numbers
