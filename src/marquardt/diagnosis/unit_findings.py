"""Findings about the hidden units of a network."""

from __future__ import annotations

from marquardt.diagnosis.finding import Finding, Severity
from marquardt.diagnosis.subject import HiddenLayer, Subject

DEAD = 1e-3
"""A unit is dead when its slope stays below this share of the largest on every row: it learns no more."""
FLAT = 0.05
"""A slope below this share of the largest counts as flat (tanh: |a| > 0.975)."""
FLAT_ROWS = 0.95
"""A unit is saturated when it is flat on this share of the rows."""
MANY = 0.5
"""Share of the units of a layer above which dead or saturated units matter: healthy fits use up to half of a
small layer as steps, or as constants (of 780 counts six were a third and more, one a half)."""


def dead_units(subject: Subject) -> Finding | None:
    """Units that are constant, or off, on every row."""
    counts = [int((layer.slope.max(axis=1) < DEAD).sum()) for layer in subject.hidden_layers]
    found = [(c, layer) for c, layer in zip(counts, subject.hidden_layers, strict=True) if _many(c, layer)]
    if not found:
        return None
    remedy = (
        "They are lost to the fit: scale the inputs to unit spread, start from smaller "
        "weights (init='lsuv'), or take tanh in place of relu."
    )
    numbers = {f"layer_{layer.number}": float(count) for count, layer in found}
    said = f"{_listed(found)} no slope on any row: their weights get no gradient."
    return Finding("dead units", Severity.WARNING, numbers, said, remedy)


def saturated_units(subject: Subject) -> Finding | None:
    """Units on the flat part of their activation for nearly all rows, but not dead."""
    found = []
    for layer in subject.hidden_layers:
        flat = (layer.slope < FLAT).mean(axis=1) >= FLAT_ROWS
        count = int((flat & (layer.slope.max(axis=1) >= DEAD)).sum()) if layer.saturates else 0
        if _many(count, layer):
            found.append((count, layer))
    if not found:
        return None
    remedy = (
        "They act as switches: scale the inputs to unit spread, add a penalty (alpha), "
        "or start from smaller weights."
    )
    numbers = {f"layer_{layer.number}": float(count) for count, layer in found}
    said = f"{_listed(found)} their output saturated on {FLAT_ROWS:.0%} of the rows or more."
    return Finding("saturated units", Severity.WARNING, numbers, said, remedy)


def _many(count: int, layer: HiddenLayer) -> bool:
    return count > MANY * len(layer.slope)


def _listed(found: list[tuple[int, HiddenLayer]]) -> str:
    parts = [f"{count} of {len(layer.slope)} units of hidden layer {layer.number}" for count, layer in found]
    return f"{' and '.join(parts)} {'has' if len(found) == 1 and found[0][0] == 1 else 'have'}"
