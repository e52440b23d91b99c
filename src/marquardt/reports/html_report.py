"""The fit report as one HTML file: text, tables and pictures, with nothing to fetch from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from marquardt.reports import plots, uncertainty_plots
from marquardt.reports.error_bars import chance_text
from marquardt.reports.plot_style import png
from marquardt.reports.text_report import advice, change_text, duration, number, r_squared, text_report
from marquardt.tables.fit_record import FitRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The policy forbids the browser every request: the file is the whole report, offline and in an e-mail too.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f5f6f8; color: #1f2933;
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 1.7rem; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 36px 0 12px; }
p.lead { color: #52606d; margin: 0 0 24px; }
.cards { display: flex; flex-wrap: wrap; gap: 14px; }
.card { background: #fff; border-radius: 10px; padding: 14px 20px; flex: 1 1 150px;
        box-shadow: 0 1px 3px rgba(31,41,51,.10); }
.card b { display: block; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { color: #6b7785; font-size: .85rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px;
        align-items: start; }
.grid > * { min-width: 0; }
.grid.tall > :first-child { grid-row: span 2; }
figure { margin: 0; background: #fff; border-radius: 10px; padding: 14px;
         box-shadow: 0 1px 3px rgba(31,41,51,.10); }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: #52606d; font-size: .88rem; margin-top: 8px; }
.scroll { overflow-x: auto; background: #fff; border-radius: 10px; box-shadow: 0 1px 3px rgba(31,41,51,.10); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 8px 14px; border-bottom: 1px solid #eceff2; vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { color: #52606d; font-size: .82rem; font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
ul.advice { background: #fff8ec; border-left: 4px solid #dd6b20; border-radius: 6px; margin: 20px 0 0;
            padding: 12px 16px 12px 34px; }
pre { background: #fff; border-radius: 10px; padding: 16px; overflow-x: auto; font-size: .82rem; line-height:
1.4;
      font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
summary { cursor: pointer; color: #2b6cb0; margin-top: 28px; }
footer { color: #8a949e; font-size: .82rem; margin-top: 36px; }
@media print { body { background: #fff; } figure, .card, .scroll { box-shadow: none; break-inside: avoid; } }
"""


def html_report(record: FitRecord) -> str:
    """The report as a self-contained page, a few hundred kilobytes with its pictures.

    Parameters
    ----------
    record : FitRecord

    Returns
    -------
    str
        HTML that makes no request: styles inside, pictures as data.  Names from the table are escaped.
    """
    targets = ", ".join(record.targets)
    rows = sum(outcome.n_samples for outcome in record.groups.values())
    lead = f"{record.network}, fitted to {rows} rows of {record.source} by the Levenberg-Marquardt method"
    said = advice(record)
    parts = [
        _cards(record),
        f'<ul class="advice">{"".join(f"<li>{escape(item)}</li>" for item in said)}</ul>' if said else "",
        *(_target_section(record, k) for k in range(len(record.targets))),
        _columns_section(record),
        _diagnosis_section(record),
        _training_section(record),
        _facts_section(record),
        f"<details><summary>The report as text</summary><pre>{escape(text_report(record))}</pre></details>",
    ]
    return page(
        f"Fit of {targets}", lead, parts, f"marquardt {record.version}, {record.created.replace('T', ' ')}"
    )


def page(title: str, lead: str, parts: Iterable[str], foot: str) -> str:
    """A page of the house style; `parts` are HTML, the rest is text."""
    body = "\n".join(part for part in parts if part)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body><main>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
{body}
<footer>{escape(foot)}</footer>
</main></body>
</html>
"""


def picture(figure: Figure, alt: str, caption: str = "") -> str:
    """A figure as HTML, its PNG inside."""
    data = base64.b64encode(png(figure)).decode("ascii")
    width = round(figure.get_figwidth() * 100)
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:image/png;base64,{data}"
    return f'<figure><img width="{width}" alt="{escape(alt)}" src="{source}">{below}</figure>'


def grid(parts: Iterable[str], tall: bool = False) -> str:
    """Pictures and tables side by side, where there is room; `tall`: the first beside two others."""
    return f'<div class="grid{" tall" if tall else ""}">{"".join(parts)}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """An HTML table of text cells; the columns `numeric` are set to the right."""

    def row(tag: str, cells: Sequence[str]) -> str:
        kinds = [' class="n"' if i in numeric else "" for i in range(len(cells))]
        return (
            "<tr>"
            + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True))
            + "</tr>"
        )

    head = row("th", header) if header else ""
    return f'<div class="scroll"><table>{head}{"".join(row("td", cells) for cells in rows)}</table></div>'


def cards(items: Iterable[tuple[str, str]]) -> str:
    """Large numbers with a word below each."""
    inside = (
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in items
    )
    return f'<div class="cards">{"".join(inside)}</div>'


def _cards(record: FitRecord) -> str:
    name, outcome = list(record.groups.items())[-1]
    items = []
    if len(record.targets) == 1:
        scores = outcome.scores(0)
        items.append((r_squared(scores["R2"]), f"R², {name} rows"))
        items.append((_with_unit(number(scores["RMSE"]), record.unit(0)), f"RMSE, {name} rows"))
        calibration = outcome.calibration(0)
        if calibration is not None:
            items.append(
                (f"{100 * calibration.coverage(0.95):.0f} %", f"of {name} rows in their 95 % intervals")
            )
    else:
        for k, target in enumerate(record.targets[:4]):
            items.append((r_squared(outcome.scores(k)["R2"]), f"R² of {target}, {name} rows"))
    items += [(str(record.n_iter), "iterations"), (duration(record.seconds), "in all")]
    return cards(items)


def _with_unit(value: str, unit: str) -> str:
    return f"{value} {unit}".strip()


def _target_section(record: FitRecord, k: int) -> str:
    name, unit = record.targets[k], record.unit(k)
    own = {group: outcome.of(k) for group, outcome in record.groups.items()}
    groups = {group: (o.y[:, 0], o.prediction[:, 0]) for group, o in own.items()}
    rows = []
    for group, outcome in own.items():
        s = outcome.scores(0)
        values = [r_squared(s["R2"]), _with_unit(number(s["RMSE"]), unit), _with_unit(number(s["MAE"]), unit)]
        rows.append([group, str(outcome.n_samples), *values])
    figures = [
        picture(plots.parity(groups, name, unit), f"predicted against measured {name}",
                "Predicted against measured. Points on the line are right."),
        picture(plots.residuals(groups, name, unit), f"errors against predictions of {name}",
                "Errors against predictions. A pattern here is something the network has not learned."),
        picture(plots.error_histogram(groups, name, unit), f"histogram of the errors of {name}",
                "Distribution of the errors; the outermost bars hold what lies beyond them."),
    ]  # fmt: skip
    scores = table(["rows", "number", "R²", "RMSE", "MAE"], rows, numeric=(1, 2, 3, 4))
    shown = grid(figures, tall=True)
    bars = _error_bars(record, k)
    return f"<h2>Scores of {escape(name)}</h2>{scores}<h2>Predictions of {escape(name)}</h2>{shown}{bars}"


def _error_bars(record: FitRecord, k: int) -> str:
    """The section on the error bars of a target; empty without them."""
    own = {group: c for group, outcome in record.groups.items() if (c := outcome.calibration(k)) is not None}
    if not own:
        return ""
    name, unit = record.targets[k], record.unit(k)
    last, calibration = list(own.items())[-1]
    rows = []
    for group, c in own.items():
        held = [f"{100 * c.coverage(level):.0f} %" for level in (0.95, 0.5)]
        held.insert(1, "" if group == "training" else chance_text(len(c.y)))
        sizes = [_with_unit(number(value), unit) for value in (float(np.mean(c.std)), c.crps)]
        rows.append([group, *held, *sizes, number(c.log_likelihood)])
    header = [
        "rows",
        "in 95 % intervals",
        "by chance",
        "in 50 % intervals",
        "mean sd",
        "CRPS",
        "log likelihood",
    ]
    figures = [
        picture(uncertainty_plots.intervals(calibration, name, unit), f"{last} rows with their intervals",
                f"The {last} rows with intervals that should hold 95 % of them."),
        picture(uncertainty_plots.calibration(own), "calibration of the error bars",
                "Intervals of every probability, and the share of the rows they hold. Below the diagonal the "
                "error bars are too short, above it too long."),
    ]  # fmt: skip
    shown = table(header, rows, numeric=(1, 2, 3, 4, 5, 6))
    return f"<h2>Error bars of {escape(name)}</h2>{shown}<br>{grid(figures)}"


def _columns_section(record: FitRecord) -> str:
    if not record.effects:
        return ""
    effects = sorted(record.effects, key=lambda effect: -effect.importance)
    figure = plots.importance(
        [e.name for e in effects], [e.importance for e in effects], [e.sd for e in effects]
    )
    rows = []
    known = any(e.relevance is not None for e in effects)
    for e in effects:
        span, _, change = change_text(e, record, len(record.targets) > 1).partition(": ")
        relevance = [] if not known else ["" if e.relevance is None else f"{e.relevance:.2f}"]
        rows.append([e.name, f"{e.importance:.3f} ± {e.sd:.3f}", *relevance, span, change])
    caption = (
        "Importance: R² lost when the values of a column are shuffled among the rows. "
        "Columns that say the same share it."
    )
    if known:
        caption += " Relevance: how far the weights of a column can move the network, against the largest."
    header = [
        "column",
        "importance",
        *(["relevance"] if known else []),
        "from low to high",
        "effect on predictions",
    ]
    drawn = picture(figure, "importance of the columns", caption)
    return f"<h2>Columns</h2>{table(header, rows, numeric=(1, 2) if known else (1,))}<br>{drawn}"


def _diagnosis_section(record: FitRecord) -> str:
    if not record.findings:
        return ""
    rows = [[f.severity.value, f.name, f.sentence, f.remedy] for f in record.findings]
    return f"<h2>Diagnosis</h2>{table(['', 'finding', 'what was seen', 'what to do'], rows)}"


def _training_section(record: FitRecord) -> str:
    if len(record.history) < 2:
        return ""
    columns = record.history.to_dict()
    falls = (
        "Cost and gradient fall in a healthy run."
        if record.evidence is None
        else "The penalty is found on the way, so the cost may rise from one iteration to the next."
    )
    about = (
        f"{falls} The damping goes down where the linear model of the "
        "network predicts well (gain ratio near 1), and up where it does not."
    )
    state = picture(plots.training_state(columns), "state of the training against iteration", about)
    if not record.early_stopping:  # else the cost stands in the state already
        return f"<h2>Training</h2>{state}"
    about = "Cost of the training rows and of those set aside; the network is that of the best iteration."
    costs = picture(plots.performance(columns), "cost against iteration", about)
    return f"<h2>Training</h2>{grid([costs, state])}"


def _facts_section(record: FitRecord) -> str:
    status = record.status.lower().replace("_", " ")
    rows = [
        ["table", record.source],
        ["inputs", f"{record.n_columns} columns, {record.n_features} inputs of the network"],
        ["network", f"{record.network}; {record.n_params} parameters"],
        ["settings", ", ".join(f"{name} {value}" for name, value in record.settings.items())],
        ["ended by", f"{status}: {record.message}"],
        *_evidence_rows(record),
        *(["note", note] for note in record.notes),
    ]
    return f"<h2>Facts</h2>{table([], rows)}"


def _evidence_rows(record: FitRecord) -> list[list[str]]:
    evidence = record.evidence
    if evidence is None:
        return []
    noise = [_with_unit(number(sd), record.unit(k)) for k, sd in enumerate(evidence.noise_std)]
    return [
        ["noise", f"standard deviation {', '.join(noise)}"],
        ["effective parameters", f"{evidence.effective_parameters:.1f} of {record.n_params}"],
        ["log evidence", f"{evidence.log_evidence:.6g}"],
        *(["note", note] for note in evidence.notes),
    ]
