"""Every benchmark still finds what it imports: a script that nobody runs breaks in silence."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
MODULES = {"single_thread", "table", "tasks", "plants", "closed_loop_task", "saturable_patients"}
"""What scripts share, and nobody runs."""
IMPORT_ALL = """
import runpy, sys
sys.path.insert(0, {folder!r})
import single_thread
for name in {names!r}:
    try:
        runpy.run_path(f"{folder}/{{name}}.py", run_name="benchmark")
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] == "marquardt":
            raise
        print("no", error.name)  # a peer, or an extra, that is not installed
    except ImportError as error:
        if "pip install 'marquardt[" not in str(error):
            raise
        print("no extra for", name)
"""


def test_every_script_imports_what_there_is():
    code = IMPORT_ALL.format(folder=str(FOLDER), names=sorted(set(SCRIPTS) - {"single_thread"}))
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]


def test_every_script_says_how_it_is_run():
    for name in set(SCRIPTS) - MODULES:
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        assert f"python benchmarks/{name}.py" in text.split('"""')[1], name
