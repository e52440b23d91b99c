"""The report of a fitted curve, or of several groups, as one HTML file."""

from __future__ import annotations

from html import escape

from marquardt.curves.fitted_curve import CurveFit
from marquardt.curves.group_fits import GroupFits
from marquardt.reports.html_report import cards, grid, page, picture, table
from marquardt.uncertainty.fit_report import to_digits_of


def curve_page(fit: CurveFit | GroupFits, source: str, version: str, report: str = "") -> str:
    """A page that makes no request: styles inside, pictures as data.

    Parameters
    ----------
    fit : CurveFit or GroupFits
    source : str
        Where the points come from, for the lead.
    version : str
        Of the package.
    report : str
        The report as text, where it is not the default one.
    """
    several = isinstance(fit, GroupFits)
    first = next(iter(fit.values())) if several else fit
    curve = first.curve
    statistics = fit.statistics
    facts = [
        (f"{statistics.n_points}", "points"),
        (f"{statistics.degrees_of_freedom}", "degrees of freedom"),
        (f"{fit.residual_sd:.5g}", "residual standard deviation"),
        (f"{fit.aicc:.5g}", "AICc"),
    ]
    drawn = [
        picture(
            fit.plot(),
            "data and fitted curve",
            "Data and fitted curve. The band around a curve holds it in 95 % of the cases.",
        )
    ]
    if not several and len(first.names) > 1:
        drawn.append(
            picture(
                first.plot_correlations(),
                "correlations of the parameters",
                "Correlations of the estimates; a frame marks two that the data hardly tell apart.",
            )
        )
    notes = "".join(f"<li>{escape(note)}</li>" for note in fit.notes)
    text = report or fit.report()
    parts = [
        cards(facts),
        f'<ul class="advice">{notes}</ul>' if notes else "",
        "<h2>Curve</h2>",
        grid(drawn),
        "<h2>Parameters</h2>",
        _parameters(fit if several else {"": first}),
        f"<details><summary>The report as text</summary><pre>{escape(text)}</pre></details>",
    ]
    lead = f"{curve.label}{': ' if curve.formula else ''}{curve.formula}, fitted to {source}"
    title = f"{first.data.y_name} against {', '.join(first.data.x_names)}"
    return page(title, lead, parts, f"marquardt {version}")


def _parameters(fits: GroupFits | dict[str, CurveFit]) -> str:
    rows = []
    for group, fit in fits.items():
        errors = fit.standard_errors
        for name, value in fit.params.items():
            free = name in fit.names
            error = f"{errors[name]:.4g}" if free else ""
            shown = to_digits_of(errors[name], value).strip() if free else f"{value:.8g}"
            rows.append([group, name, shown, error, fit.kinds.get(name, "")])
    single = list(fits) == [""]
    header = ["group", "parameter", "estimate", "standard error", ""]
    if single:
        return table(header[1:], [row[1:] for row in rows], numeric=(1, 2))
    return table(header, rows, numeric=(2, 3))
