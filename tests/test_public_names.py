"""What `import marquardt` gives, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import marquardt

HEAVY = ("sklearn", "pandas", "matplotlib", "typer", "rich", "joblib", "jax", "torch", "openpyxl", "pyarrow")


def in_a_fresh_process(code: str) -> Any:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(ran.stdout)


@pytest.mark.parametrize("name", marquardt.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name):
    value = getattr(marquardt, name)
    assert name in dir(marquardt)
    if name != "__version__":
        assert value.__doc__, f"{name} has no docstring"


def test_the_list_is_sorted_and_whole():
    assert len(set(marquardt.__all__)) == len(marquardt.__all__)
    modules = {name for name, value in vars(marquardt).items() if type(value).__name__ == "module"}
    own = {n for n in vars(marquardt) if not n.startswith("_")} - modules - {"annotations", "import_module"}
    assert own - {"Any", "TYPE_CHECKING"} <= set(marquardt.__all__)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'marquardt' has no attribute 'LMClasifier'"):
        _ = marquardt.LMClasifier


def test_the_import_is_light():
    code = f"import json, sys, marquardt; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    assert in_a_fresh_process(code) == []


def test_the_import_takes_less_than_half_a_second():
    """NumPy and SciPy included; processor time, the best of three, since machines are shared."""
    code = (
        "import json, time; start = time.process_time(); import marquardt;"
        "print(json.dumps(time.process_time() - start))"
    )
    assert min(in_a_fresh_process(code) for _ in range(3)) < 0.5


def test_the_estimator_loads_no_plots_and_no_command():
    code = (
        f"import json, sys; from marquardt import LMRegressor;"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    assert not {"matplotlib", "typer", "rich", "jax", "torch"} & set(in_a_fresh_process(code))
