r"""Arithmetic expressions of parameters, such as ``2 * a + sqrt(b)``, with their exact gradient.

The text is parsed by `ast` and only the nodes below are walked: numbers, names, + - * / **, and a few
functions. Nothing is ever evaluated by Python itself.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from marquardt._types import FloatArray

Dual = tuple[float, FloatArray]
"""A value and its gradient (k,)."""

LONGEST = 500
"""Characters of an expression."""

FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "log": (math.log, lambda v: 1 / v),
    "log10": (math.log10, lambda v: 1 / (v * math.log(10))),
    "sqrt": (math.sqrt, lambda v: 0.5 / math.sqrt(v)),
    "sin": (math.sin, math.cos),
    "cos": (math.cos, lambda v: -math.sin(v)),
    "tan": (math.tan, lambda v: 1 / math.cos(v) ** 2),
}
"""Name -> the function and its derivative."""
CONSTANTS = {"pi": math.pi, "e": math.e}
"""Unless a parameter has the name."""


@dataclass(frozen=True)
class Expression:
    """A parameter as a function of others.

    Parameters
    ----------
    text : str

    Raises
    ------
    ValueError
        For anything but arithmetic.

    Examples
    --------
    >>> tied = Expression("2 * a + sqrt(b)")
    >>> tied.names
    ('a', 'b')
    >>> tied.value({"a": 1.0, "b": 9.0})
    5.0
    >>> tied.dual({"a": (1.0, np.array([1.0, 0.0])), "b": (9.0, np.array([0.0, 1.0]))})[1].round(4)
    array([2.    , 0.1667])
    >>> Expression("__import__('os')")
    Traceback (most recent call last):
    ValueError: the expression "__import__('os')" holds a call of '__import__': ...
    """

    text: str
    tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or len(self.text) > LONGEST:
            raise ValueError(
                f"an expression must be a text of at most {LONGEST} characters: {self.text!r:.60}"
            )
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(
                f"the expression {self.text!r} is no arithmetic: write e.g. '2 * a + sqrt(b)'"
            ) from None
        object.__setattr__(self, "tree", tree)
        self._check(tree)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in it, in order of appearance, functions left out."""
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        found = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called]
        found.sort(key=lambda n: n.col_offset)
        return tuple(dict.fromkeys(node.id for node in found))

    def value(self, values: Mapping[str, float]) -> float:
        """The value; NaN where it has none, e.g. of log(-1)."""
        nothing = np.zeros(0)
        return self.dual({name: (value, nothing) for name, value in values.items()})[0]

    def dual(self, values: Mapping[str, Dual]) -> Dual:
        """The value and its gradient, by the chain rule from those of the names."""
        size = len(next(iter(values.values()))[1]) if values else 0
        try:
            return self._evaluate(self.tree, values, size)
        except (ArithmeticError, ValueError):
            return math.nan, np.full(size, np.nan)

    def _check(self, node: ast.expr) -> None:
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            self._check(node.left)
            self._check(node.right)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            self._check(node.operand)
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
            if name not in FUNCTIONS or node.keywords or len(node.args) != 1:
                self._refuse(f"a call of {name!r}")
            self._check(node.args[0])
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                self._refuse(f"{node.value!r}")
        elif not isinstance(node, ast.Name):
            self._refuse(f"{ast.unparse(node)!r}")

    def _refuse(self, what: str) -> None:
        raise ValueError(
            f"the expression {self.text!r} holds {what}: only numbers, parameters, + - * / ** and "
            f"{', '.join(FUNCTIONS)} of one argument are known"
        )

    def _evaluate(self, node: ast.expr, values: Mapping[str, Dual], size: int) -> Dual:
        if isinstance(node, ast.Constant):
            return float(node.value), np.zeros(size)  # pyright: ignore (checked)
        if isinstance(node, ast.Name):
            return values[node.id] if node.id in values else (CONSTANTS[node.id], np.zeros(size))
        if isinstance(node, ast.UnaryOp):
            v, d = self._evaluate(node.operand, values, size)
            return (-v, -d) if isinstance(node.op, ast.USub) else (v, d)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            function, derivative = FUNCTIONS[node.func.id]
            v, d = self._evaluate(node.args[0], values, size)
            return function(v), (derivative(v) * d if d.any() else d)
        assert isinstance(node, ast.BinOp)
        left, right = self._evaluate(node.left, values, size), self._evaluate(node.right, values, size)
        return _BINARY[type(node.op)](left, right)


def _power(left: Dual, right: Dual) -> Dual:
    (a, da), (b, db) = left, right
    value = math.pow(a, b)  # always in floating point: 9**9**9 overflows at once
    slope = np.zeros_like(da)
    if da.any():
        slope = slope + b * math.pow(a, b - 1) * da
    if db.any():
        slope = slope + value * math.log(a) * db
    return value, slope


_BINARY: dict[type, Callable[[Dual, Dual], Dual]] = {
    ast.Add: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    ast.Sub: lambda a, b: (a[0] - b[0], a[1] - b[1]),
    ast.Mult: lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1] * a[0]),
    ast.Div: lambda a, b: (a[0] / b[0], (a[1] - b[1] * (a[0] / b[0])) / b[0]),
    ast.Pow: _power,
}
