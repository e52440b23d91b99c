"""The fit report as text, in the spirit of lmfit's: what was fitted, how it went, how good it is."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from marquardt.diagnosis.finding import Finding
from marquardt.reports.error_bars import chance_text, error_bar_advice, too_short
from marquardt.tables.fit_record import SCORES, ColumnEffect, FitRecord

WIDTH = 100
_LABEL = 16  # width of the labels on the left

# From this ratio of held-out error to training error on, the report speaks of overfitting.
OVERFIT_RATIO = 2.0
FEW_ROWS = 30


def text_report(record: FitRecord) -> str:
    """The whole report.

    Parameters
    ----------
    record : FitRecord

    Returns
    -------
    str
        Lines of at most about 100 characters, ending in a line feed.
    """
    sections = {
        "Data": _data(record),
        "Network": _network(record),
        "Training": _training(record),
        "Scores": _scores(record),
        "Uncertainty": _uncertainty(record),
        "Columns": _columns(record),
        "Diagnosis": [line for finding in record.findings for line in _finding(finding)],
        "Advice": [line for item in advice(record) for line in _wrapped(f"- {item}", hang=2)],
    }
    shown = {title: lines for title, lines in sections.items() if lines}
    return "\n".join(
        f"[[{title}]]\n" + "\n".join(f"    {line}".rstrip() for line in lines) + "\n"
        for title, lines in shown.items()
    )


def advice(record: FitRecord) -> list[str]:
    """What a colleague would say about this fit, a sentence or two each; empty when there is nothing."""
    said: list[str] = []
    if not record.success:
        said.append(
            "The fit failed: these numbers are those of the best parameters before it did. Do not use them."
        )
    if record.status == "INTERRUPTED":
        said.append("The fit was interrupted: let it run to its end before judging it.")
    n_values = record.train.n_values
    if record.held_out is None:
        said.append(
            "No rows were held out, so these scores say nothing about new rows: use --test-fraction 0.2."
        )
    elif record.held_out.n_samples < FEW_ROWS:
        said.append(
            f"Only {record.held_out.n_samples} rows are held out: their scores change much with --seed. "
            "Fit with several seeds and look at the spread."
        )
    said += _overfit_advice(record) + error_bar_advice(record)
    if record.n_params > n_values and record.evidence is None:
        said.append(
            f"The network has more parameters ({record.n_params}) than there are training values "
            f"({n_values}): use fewer --hidden units, --alpha or --early-stopping."
        )
    if record.n_columns == 1:
        said.append(
            "There is one input column: for a dose response, kinetics or a peak try `marquardt curve`."
        )
    judged = record.train if record.held_out is None else record.held_out
    useless = (
        []
        if judged.n_samples < FEW_ROWS
        else [e.name for e in record.effects if e.importance < 1e-3 and e.importance < 2 * e.sd + 1e-4]
    )
    if useless and len(useless) < len(record.effects):
        said.append(f"Without measurable effect on the predictions: try --drop {','.join(useless[:6])}.")
    return said


def overfit_ratio(record: FitRecord) -> float:
    """Largest ratio, over the targets, of held-out RMSE to training RMSE; NaN without held-out rows."""
    if record.held_out is None:
        return math.nan
    ratios = []
    for k in range(len(record.targets)):
        train, held_out = record.train.scores(k)["RMSE"], record.held_out.scores(k)["RMSE"]
        # An exact fit on both sides is no overfit: compare above the rounding of the targets.
        floor = 1e-9 * float(np.ptp(record.train.of(k).y))
        ratios.append(max(held_out, floor) / max(train, floor) if floor > 0 else math.nan)
    return max(ratios)


def number(value: float) -> str:
    """Four significant digits; a dash where there is no number.

    Examples
    --------
    >>> number(0.123456), number(1234567.0), number(float("nan"))
    ('0.1235', '1.235e+06', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4g}"


def r_squared(value: float) -> str:
    """R² with four decimals, and more nines where they matter.

    Examples
    --------
    >>> r_squared(0.98765), r_squared(0.99999321), r_squared(float("nan"))
    ('0.9877', '0.9999932', '-')
    """
    if math.isnan(value):
        return "-"
    missing = 1.0 - value
    decimals = 4 if missing >= 1e-4 or missing <= 0 else min(12, 1 - math.floor(math.log10(missing)))
    return f"{value:.{max(4, decimals)}f}"


def _overfit_advice(record: FitRecord) -> list[str]:
    ratio = overfit_ratio(record)
    if record.held_out is None or math.isnan(ratio):
        return []
    if ratio > OVERFIT_RATIO:
        found = f"The error on held-out rows is {ratio:.2g} times that on training rows"
        if record.evidence is not None:
            short = any(too_short(record, k) for k in range(len(record.targets)))
            counted = "" if short else "the error bars count this in, but "
            return [f"{found}: {counted}more --starts with a --committee, or more rows, would lower it."]
        remedies = (
            "--bayesian, fewer --hidden units, a larger --alpha, or more rows"
            if record.early_stopping
            else "--bayesian, --early-stopping, a larger --alpha, or fewer --hidden units"
        )
        return [f"{found}: part of the fit is noise. Try {remedies}."]
    r2 = [record.held_out.scores(k)["R2"] for k in range(len(record.targets))]
    if max((value for value in r2 if not math.isnan(value)), default=1.0) < 0.5:
        return [
            "The network explains less than half of the variance: try more --hidden units and --starts; "
            "if that changes nothing, these columns do not determine the target."
        ]
    return []


def _data(record: FitRecord) -> list[str]:
    n_train = record.train.n_samples
    n_held_out = record.held_out.n_samples if record.held_out is not None else 0
    rows = f"{record.source}, {n_train + n_held_out} rows: {n_train} to train, {n_held_out} held out"
    lines = _item("table", rows)
    for k, name in enumerate(record.targets):
        y = np.concatenate([outcome.of(k).y for outcome in record.groups.values()])
        unit = f" {record.unit(k)}" if record.unit(k) else ""
        lines += _item(
            "target",
            f"{name}: {number(y.min())} to {number(y.max())}{unit}, "
            f"mean {number(y.mean())}, sd {number(y.std())}",
        )
    inputs = f"{record.n_columns} columns"
    if record.n_features != record.n_columns:
        inputs += f", {record.n_features} inputs of the network after encoding"
    lines += _item("inputs", inputs)
    for note in record.notes:
        lines += _item("note", note)
    return lines


def _network(record: FitRecord) -> list[str]:
    ratio = record.train.n_values / record.n_params
    lines = _item("layers", record.network)
    lines += _item("parameters", f"{record.n_params} ({ratio:.2g} training values each)")
    settings = ", ".join(f"{name} {value}" for name, value in record.settings.items())
    return lines + (_item("settings", settings) if settings else [])


def _training(record: FitRecord) -> list[str]:
    lines = _item("status", record.status.lower().replace("_", " ") + f": {record.message}")
    if len(record.history):
        first, last = record.history[0], record.history[-1]
        lines += _item(
            "cost", f"{number(first.cost)} at the start, {number(last.cost)} at the end (scaled units)"
        )
        work = f"{record.n_iter} iterations, {last.n_jacobians} Jacobians, {last.n_costs} costs"
        lines += _item(
            "work", f"{work} in {duration(last.time)} ({duration(record.seconds)} with the scores)"
        )
        if record.early_stopping:
            validation = record.history.column("validation_cost")
            best = int(np.nanargmin(validation))
            lines += _item(
                "kept", f"iteration {record.history[best].iteration}, the best on the validation rows"
            )
    return lines


def _scores(record: FitRecord) -> list[str]:
    lines = [" " * _LABEL + "".join(f"{name:>14}" for name in ("R²", *SCORES[1:]))]
    for k, target in enumerate(record.targets):
        if len(record.targets) > 1:
            lines.append(target)
        for name, outcome in record.groups.items():
            scores = outcome.scores(k)
            cells = [r_squared(scores["R2"]), number(scores["RMSE"]), number(scores["MAE"])]
            lines.append(
                f"{name:<{_LABEL}}" + "".join(f"{cell:>14}" for cell in cells) + _unit_suffix(record, k)
            )
    return lines


def _uncertainty(record: FitRecord) -> list[str]:
    evidence = record.evidence
    if evidence is None:
        return []
    noise = ", ".join(
        f"{number(sd)}{_unit_suffix(record, k)}{f' of {name}' if len(record.targets) > 1 else ''}"
        for k, (name, sd) in enumerate(zip(record.targets, evidence.noise_std, strict=True))
    )
    lines = _item("noise", f"{noise} (standard deviation of a measurement)")
    used = f"{evidence.effective_parameters:.1f} of {record.n_params} parameters determined by the rows"
    lines += _item("effective", used)
    lines += _item(
        "log evidence", f"{evidence.log_evidence:.6g} (higher is better, among networks for these rows)"
    )
    for note in evidence.notes:
        lines += _item("note", note)
    rows = [
        (name, k, len(calibration.y), calibration)
        for k in range(len(record.targets))
        for name, outcome in record.groups.items()
        if (calibration := outcome.calibration(k)) is not None
    ]
    if rows:
        heads = ("95 % intervals", "by chance", "CRPS", "log likelihood")
        lines += ["", " " * _LABEL + "".join(f"{head:>16}" for head in heads)]
    for name, k, n, calibration in rows:
        label = name if len(record.targets) == 1 else f"{_cut(record.targets[k], 8)} {name}"
        chance = "" if name == "training" else chance_text(n)  # the network has seen the training rows
        cells = [f"hold {100 * calibration.coverage(0.95):.0f} %", chance]
        cells += [number(calibration.crps), number(calibration.log_likelihood)]
        lines.append(f"{_cut(label, _LABEL):<{_LABEL}}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _finding(finding: Finding) -> list[str]:
    return _wrapped(f"- {finding.name}: {finding.sentence} {finding.remedy}", hang=2)


def _unit_suffix(record: FitRecord, target: int) -> str:
    return f" {record.unit(target)}" if record.unit(target) else ""


def _columns(record: FitRecord) -> list[str]:
    if not record.effects:
        return []
    effects = sorted(record.effects, key=lambda effect: -effect.importance)
    name_width = min(28, max(len("column"), *(len(effect.name) for effect in effects)) + 2)
    largest = max(effects[0].importance, 1e-12)
    known = any(effect.relevance is not None for effect in effects)
    about = ["importance: R² lost when the column is shuffled; effect: change of the mean prediction"]
    if known:
        about.append("relevance: how far the weights of the column can move the prediction, the largest 1")
    head = f"{'relevance':<11}" if known else ""
    lines = [
        *about,
        "",
        f"{'column':<{name_width}}{'importance':<27}{head}effect, from low to high values",
    ]
    many = len(record.targets) > 1
    for effect in effects[:30]:
        share = effect.importance / largest
        bar = "█" * round(10 * share) if 0 < share < math.inf else ""  # NaN where squares overflow
        loss = f"{effect.importance:.3f} ± {effect.sd:.3f}"
        relevance = "" if effect.relevance is None else f"{effect.relevance:.2f}"
        lines.append(
            f"{_cut(effect.name, name_width - 2):<{name_width}}{loss:<15}{bar:<10}  "
            f"{f'{relevance:<11}' if known else ''}{change_text(effect, record, many)}"
        )
    if len(effects) > 30:
        lines.append(f"... and {len(effects) - 30} more")
    return lines


def change_text(effect: ColumnEffect, record: FitRecord, named: bool) -> str:
    """`0.62 to 0.98: +3.1 kWh/m²`, with the targets' names when `named`."""
    parts = []
    for k, change in enumerate(effect.changes):
        prefix = f"{record.targets[k]} " if named else ""
        parts.append(f"{prefix}{change:+.3g}{_unit_suffix(record, k)}")
    return f"{_cut(effect.low, 14)} to {_cut(effect.high, 14)}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """`0.31 s`, `42 s`, `3 min 20 s`.

    Examples
    --------
    >>> duration(0.314), duration(200.2)
    ('0.31 s', '3 min 20 s')
    """
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def _item(label: str, text: str) -> list[str]:
    return _wrapped(f"{label:<{_LABEL}}{text}", hang=_LABEL)


def _wrapped(text: str, hang: int) -> list[str]:
    return textwrap.wrap(
        text, WIDTH - 4, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=True,
    )  # fmt: skip


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
