"""Plain Markdown tables and the few ways numbers are written in them; results as JSON and Markdown files."""

from __future__ import annotations

import json
import math
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table whose source is aligned, so that it reads well in a terminal too."""
    cells = [header, *[[str(value) for value in row] for row in rows]]
    width = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, width, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in width) + "|", *lines[1:]])


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def ratio(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.3g}x"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import scipy

    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or "default",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def save(name: str, data: dict[str, Any], text: str) -> None:
    """Write results/<name>.json and results/<name>.md, and print the latter."""
    RESULTS.mkdir(exist_ok=True)
    data = {"machine": machine(), **data}
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    line = ", ".join(f"{key} {value}" for key, value in data["machine"].items())
    (RESULTS / f"{name}.md").write_text(f"{text.rstrip()}\n\nMeasured on: {line}.\n")
    print(text)
