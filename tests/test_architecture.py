"""The shape of the house: who may import whom, and how large a room may be.

A module stands on the floor named here, or on `FACES` when it is not named, and imports from its own floor
and from those below.  A new file of the core gets a line here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import marquardt
import marquardt.curves

ROOT = Path(marquardt.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

GROUND, STRUCTURE, PARTS, DRIVER, FITS, FACES, COMMAND = range(7)
FLOORS = {
    **dict.fromkeys(["_types", "_checks", "_memory", "_lapack", "atomic_file", "blas_threads"], GROUND),
    **dict.fromkeys(
        [
            "gram",
            "cogram",
            "column_forms",
            "jacobian",
            "models",
            "output_seed",
            "reordered_jacobian",
            "single_jacobian",
            "stacked_jacobian",
            "streamed_jacobian",
        ],
        STRUCTURE,
    ),
    **dict.fromkeys(["linsolve", "damping", "losses", "output_ridge", "problem", "residual_problem"], PARTS),
    **dict.fromkeys(["feedback", "closed_loop_problem"], PARTS),
    **dict.fromkeys(
        [
            "differences",
            "result",
            "search",
            "validation_damping",
            "stopping",
            "initialization",
            "target_weights",
            "robust_scale",
            "reweighted_problem",
            "moving_problem",
            "run_outcome",
        ],
        PARTS,
    ),
    **dict.fromkeys(["method", "run_record", "growing_rows", "lm"], DRIVER),
    **dict.fromkeys(
        [
            "dense_model",
            "least_squares_fit",
            "refinement",
            "bayesian",
            "committee",
            "predictive_noise",
            "robust_fit",
            "jax_models",
            "torch_models",
        ],
        FITS,
    ),
    **dict.fromkeys(["diagnosis", "uncertainty"], FITS),
    **dict.fromkeys(["command", "__main__"], COMMAND),
}
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
NO_NOUNS = {"utils", "util", "base", "common", "helpers", "misc", "core", "tools"}


def floor(module: str) -> int:
    return FLOORS.get(module, FLOORS.get(module.split(".")[0], FACES))


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def imports(node: ast.AST, into_functions: bool = True) -> Iterator[str]:
    """Modules of the package imported at run time below `node`, without the package's name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not into_functions:
            continue
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            if child.module and child.module.split(".")[0] == "marquardt":
                inner = child.module.removeprefix("marquardt").removeprefix(".")
                names = [f"{inner}.{alias.name}".lstrip(".") for alias in child.names]
                yield from (name if name in FILES else inner for name in names)
        elif isinstance(child, ast.Import):
            yield from (
                a.name.removeprefix("marquardt.") for a in child.names if a.name.startswith("marquardt.")
            )
        yield from imports(child, into_functions)


MODULES = [module for module in FILES if module != "__init__"]


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module):
    above = {other for other in imports(tree(module)) if other and floor(other) > floor(module)}
    assert not above, f"{module} (floor {floor(module)}) imports from above: {sorted(above)}"


def test_there_is_no_circle():
    """Among imports at the top of modules."""
    below = {m: {o for o in imports(tree(m), into_functions=False) if o not in ("", m)} for m in MODULES}
    while below:
        free = {module for module, others in below.items() if not others & below.keys()}
        assert free, f"these modules import one another: {sorted(below)}"
        below = {module: others for module, others in below.items() if module not in free}


@pytest.mark.parametrize("module", ["lm", "method", "search", "stopping", "damping", "jacobian", "gram"])
def test_the_driver_and_its_parts_know_no_model(module):
    known = {other.split(".")[0] for other in imports(tree(module))}
    assert not known & {"models", "initialization", "bayesian", "residual_problem"}


def test_the_floors_name_files_that_exist():
    assert not {name for name in FLOORS if name not in FILES}


@pytest.mark.parametrize("module", MODULES)
def test_files_are_nouns_and_small(module):
    assert module.split(".")[-1] not in NO_NOUNS
    lines = FILES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES_OF_A_FILE, f"{module} has {lines} lines: give a part of it a room of its own"


def exported(module: str) -> set[str]:
    """`__all__`, read without the import, which may need an extra."""
    named = [node for node in tree(module).body if isinstance(node, ast.Assign)]
    return next(set(ast.literal_eval(n.value)) for n in named if ast.unparse(n.targets[0]) == "__all__")


@pytest.mark.parametrize("module", [module for module in FILES if module.startswith("apps")])
def test_applications_use_public_names_only(module):
    """What these packages export, and what stands in the same application."""
    public = {"marquardt": set(marquardt.__all__), "marquardt.curves": set(marquardt.curves.__all__)}
    public |= {f"marquardt.{room}": exported(room) for room in ("files", "jax_models", "reports")}
    home = "marquardt." + ".".join(module.split(".")[:2])
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("marquardt"):
            source = node.module or ""
            names = {alias.name for alias in node.names}
            own = source.startswith(home)
            assert own or names <= public.get(source, set()), f"{module} imports {names} from {source}"
        elif isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name.startswith("marquardt")]
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id == "self"
            assert own or node.attr.startswith("__"), f"{module} reaches for {ast.unparse(node)}"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short():
    functions = [
        (f"{module}.{node.name}", body_lines(node))
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [(name, lines) for name, lines in functions if lines > MOST_LINES_OF_A_FUNCTION]
