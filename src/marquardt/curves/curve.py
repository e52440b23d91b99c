"""A curve: a function of x and named parameters, with what is known of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from marquardt._types import FloatArray
from marquardt.differences import CentralDifferences

Guess = Callable[[FloatArray, FloatArray], FloatArray]
"""(x, Y (m, n)) -> starts (m, p) for m curves measured at the same x."""


class Expanded(NamedTuple):
    """All parameters, those that are fixed or tied included."""

    names: tuple[str, ...]
    values: FloatArray
    """(q,)."""
    slopes: FloatArray
    """∂values/∂θ (q, p)."""


Move = Callable[[FloatArray], FloatArray]
"""θ of a curve -> another θ with the same curve."""


class Model(Protocol):
    """What a fit works on: a curve, or one made of others."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters (p,)."""
        ...

    @property
    def exact(self) -> bool:
        """Whether `jacobian` is exact to rounding."""
        ...

    def value(self, x: Any, theta: FloatArray) -> FloatArray:
        """f at x (n,)."""
        ...

    def jacobian(self, x: Any, theta: FloatArray) -> FloatArray:
        """∂f/∂θ (n, p)."""
        ...

    def expanded(self, theta: FloatArray) -> Expanded:
        """All parameters at θ."""
        ...

    def moved(self, theta: FloatArray, move: Move) -> FloatArray | None:
        """θ after a move of the curve's own parameters; None where it cannot be expressed."""
        ...


@dataclass(frozen=True)
class Curve:
    """A function f(x, a, b, ...) with named parameters.

    Parameters
    ----------
    function : callable
        x (n,), or (n, d) with d columns, and one number a parameter -> f (n,).  For `fit_many` it must take
        parameters of shape (m, 1) too, and return (m, n).
    names : sequence of str
    gradient : callable, optional
        Called likewise -> ∂f/∂θ, one array a parameter; without it accurate differences.
    guess : callable, optional
        (x, Y (m, n)) -> starts (m, p), from the data of m curves at once.
    start : sequence of float, optional
        Used where there is no guess.
    name, formula : str
    n_columns : int, optional
        Columns of x that the function needs; None for any.
    least_x : float
        The smallest x for which f is defined.
    canonical : callable, optional
        θ -> the member that stands for all θ with the same curve (a width is positive, rates are sorted).
    twin : callable, optional
        θ -> another, different parameter vector with the same curve, both of which may be the truth.
    twin_reason : str
        What such a pair is called.
    special_cases : tuple of str
        Names of curves that this one contains: F tests against them are meaningful.
    second_start : callable, optional
        A start -> another one, for curves that fit the same points nearly as well in two ways.

    Examples
    --------
    >>> line = Curve(lambda x, a, b: a + b * x, ["a", "b"])
    >>> line.value(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    array([1., 3.])
    >>> line.jacobian(np.array([0.0, 1.0]), np.array([1.0, 2.0])).round(8)
    array([[1., 0.],
           [1., 1.]])
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    gradient: Callable[..., Sequence[Any]] | None = field(default=None, repr=False)
    guess: Guess | None = field(default=None, repr=False)
    start: tuple[float, ...] | None = field(default=None, repr=False)
    name: str = ""
    formula: str = ""
    n_columns: int | None = None
    least_x: float = -np.inf
    canonical: Callable[[FloatArray], FloatArray] | None = field(default=None, repr=False)
    twin: Callable[[FloatArray], FloatArray] | None = field(default=None, repr=False)
    twin_reason: str = ""
    special_cases: tuple[str, ...] = ()
    second_start: Callable[[FloatArray], FloatArray] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        names = tuple(self.names)
        object.__setattr__(self, "names", names)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"names={names!r} must be different, and at least one")
        if self.start is not None and len(self.start) != len(names):
            raise ValueError(f"start has {len(self.start)} values, but there are {len(names)} parameters")

    def __reduce__(self) -> Any:
        from marquardt.curves.shapes import SHAPES, shape

        if SHAPES.get(self.name) is self:  # by name: pickle does not take their functions
            return shape, (self.name,)
        return super().__reduce__()

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Curve:
        """From a function f(x, a, b=2.0, ...): its arguments name the parameters, defaults are their starts.

        >>> Curve.of(lambda x, a, b=2.0: a * x + b).start
        (1.0, 2.0)
        """
        try:
            arguments = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            raise ValueError(
                f"{function!r} shows no arguments: wrap it, Curve(function, names=[...])"
            ) from None
        kinds = {argument.kind for argument in arguments}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            raise ValueError(
                f"{function!r} has * arguments, which name no parameters: Curve(function, names=['a', ...])"
            )
        if len(arguments) < 2:
            raise ValueError(f"{function!r} needs x and at least one parameter: f(x, a, ...)")
        given = [a.default for a in arguments[1:]]
        known = any(isinstance(d, int | float) for d in given)
        start = tuple(float(d) if isinstance(d, int | float) else 1.0 for d in given) if known else None
        names = tuple(argument.name for argument in arguments[1:])
        return cls(function, names, start=start, name=getattr(function, "__name__", "").strip("<>"))

    @property
    def exact(self) -> bool:
        return self.gradient is not None

    def value(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            return self._checked(self.function(x, *theta.tolist()), len(x))

    def jacobian(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        if self.gradient is None:
            return CentralDifferences().jacobian(lambda w: self.value(x, w), theta, self.value(x, theta))
        J = np.empty((len(x), len(theta)), order="F")
        with np.errstate(all="ignore"):
            for k, column in enumerate(self.gradient(x, *theta.tolist())):
                J[:, k] = column
        return J

    def expanded(self, theta: FloatArray) -> Expanded:
        return Expanded(self.names, theta, np.eye(len(theta)))

    def moved(self, theta: FloatArray, move: Move) -> FloatArray | None:
        return move(theta)

    def _checked(self, value: Any, n: int) -> FloatArray:
        f = np.asarray(value)
        if f.dtype.kind == "c":
            raise ValueError(f"{self.label} returned complex numbers: it must return real ones")
        if f.dtype.kind not in "fiub":
            try:
                f = f.astype(float)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{self.label} returned {f.dtype} values: it must return real numbers"
                ) from None
        f = f.astype(float, copy=False)
        if f.shape == (n,):
            return f
        if f.ndim == 0:  # a constant
            return np.full(n, float(f))
        raise ValueError(
            f"{self.label} returned shape {f.shape}, but x has {n} rows: it must return one number for "
            f"each, ({n},)"
        )

    @property
    def label(self) -> str:
        """Its name, for messages."""
        return self.name or "the curve"
