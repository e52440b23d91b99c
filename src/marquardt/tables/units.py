"""Units at the end of column names."""

from __future__ import annotations

# Endings that name a unit beyond doubt; a single letter would not.
_UNITS = {
    **{
        unit.lower(): unit
        for unit in ("MPa", "kPa", "GPa", "days", "mm", "cm", "nm", "kg", "mg", "mL", "kWh", "mol")
    },
    **{"hours": "h", "seconds": "s", "percent": "%", "um": "µm", "um3": "µm³", "m2": "m²", "m3": "m³"},
    **{"degc": "°C", "celsius": "°C", "kelvin": "K", "hz": "Hz", "mv": "mV"},
}


def split_unit(name: str) -> tuple[str, str]:
    """A column name without the unit at its end, and the unit; "" where there is none.

    Examples
    --------
    >>> split_unit("strength_mpa"), split_unit("time_m")
    (('strength', 'MPa'), ('time_m', ''))
    """
    stem, _, end = name.rpartition("_")
    unit = _UNITS.get(end.lower(), "") if stem else ""
    return (stem, unit) if unit else (name, "")
