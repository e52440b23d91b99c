"""The code of the README and of the docs runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    (page.name, code)
    for page in PAGES
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_code_runs(page, code, capsys):
    for extra in ("jax", "torch"):
        if f"import {extra}" in code or f"marquardt.{extra}_" in code:
            pytest.importorskip(extra)
    if "marquardt.apps.pinn" in code:
        pytest.importorskip("jax")
    if "marquardt.apps.pkpd" in code:
        for extra in ("diffrax", "SALib"):
            pytest.importorskip(extra)
    exec(compile(code, page, "exec"), {})
    assert capsys.readouterr().out


def test_there_is_code():
    assert len(BLOCKS) >= 9
