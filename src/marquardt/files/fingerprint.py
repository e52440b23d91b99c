"""What a run is a run of, in words and hashes that another process makes again."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from marquardt.models.mlp import MLP
from marquardt.problem import Problem

_LONGEST = 400
_MOST, _LONGEST_PHRASE = 5, 300


def fingerprint(identity: Mapping[str, object]) -> dict[str, str]:
    """`identity` of a run, see `marquardt.run_record.Checkpoints`, with a text for each of its parts.

    Of a problem that cannot say what it is made of, such as a residual function, the residuals and the
    gradient at the start are taken.

    Examples
    --------
    >>> from marquardt import Input, Linear, NetworkProblem
    >>> problem = NetworkProblem(Input(1) >> Linear(1), [[0.0], [1.0]], [1.0, 3.0])
    >>> texts = fingerprint({"problem": problem, "w0": np.zeros(2)})
    >>> list(texts)
    ['network', 'X', 'y', 'sample_weight', 'prior', 'loss', 'w0']
    >>> texts["network"]
    'Input(1) >> Linear(1)'
    """
    texts: dict[str, str] = {}
    for name, value in identity.items():
        if name == "problem":
            parts = _parts_of_problem(value, identity["w0"])
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = {f"{name}.{f.name}": getattr(value, f.name) for f in dataclasses.fields(value)}
        elif isinstance(value, Mapping):
            parts = {f"{name}.{key}": item for key, item in value.items()}
        else:
            parts = {name: value}
        texts |= {key: _short(described(part)) for key, part in parts.items()}
    return texts


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two fingerprints, a phrase each; of more than a few, how many.

    Examples
    --------
    >>> differences({"X": "array (9, 2), hash 1f", "y": "array (9,), hash 1"}, {"X": "array (8, 2), hash 2e"})
    ['X was array (9, 2), and is array (8, 2)', 'y was array (9,), and is not there']
    >>> differences({"y": "array (9,), hash 1f"}, {"y": "array (9,), hash 2e"})
    ['y has other values']
    """
    names = [*before, *(name for name in now if name not in before)]
    phrases = [
        _phrase(name, before.get(name, "not there"), now.get(name, "not there"))
        for name in names
        if before.get(name) != now.get(name)
    ]
    more = len(phrases) - _MOST
    return phrases if more <= 0 else [*phrases[:_MOST], f"and {more} more"]


def _phrase(name: str, before: str, now: str) -> str:
    old, new = (re.sub(r"(\.\.\.)?, hash \w+", "", text) for text in (before, now))
    if old == new or len(old) + len(new) > _LONGEST_PHRASE:
        return f"{name} has other values"
    return f"{name} was {old}, and is {new}"


def described(value: Any) -> str:
    """A value in words that do not depend on where it is in memory; arrays by shape and hash.

    Examples
    --------
    >>> from marquardt import Nielsen
    >>> described(Nielsen(initial=0.5))
    'Nielsen(initial=0.5, smallest_factor=0.3333333333333333, power=3, maximum=1e+32)'
    >>> described(described), described((1, None))
    ('marquardt.files.fingerprint.described', '(1, None)')
    """
    if isinstance(value, np.ndarray):
        return f"array {value.shape}, hash {_hash(np.ascontiguousarray(value).tobytes())}"
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str | MLP):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [f"{f.name}={described(getattr(value, f.name))}" for f in dataclasses.fields(value)]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {described(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"({', '.join(described(item) for item in value)})"
    owner = getattr(value, "__self__", None)
    if owner is not None and callable(getattr(owner, "identity", None)):  # the cost of validation rows
        return f"{value.__qualname__} of {described(owner.identity())}"
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _parts_of_problem(problem: Any, w0: Any) -> dict[str, Any]:
    if callable(getattr(problem, "identity", None)):
        return problem.identity()
    return _parts_at_start(problem, w0)


def _parts_at_start(problem: Problem, w0: Any) -> dict[str, Any]:
    if np.shape(w0) != (problem.n_params,):
        return {"n_params": problem.n_params}  # the driver will refuse w0
    w = np.array(w0, dtype=float)
    w.flags.writeable = False
    with np.errstate(all="ignore"):
        at = problem.linearize(w)
    return {"residual at w0": at.residual, "gradient at w0": at.gradient}


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..., hash {_hash(text.encode())}"
