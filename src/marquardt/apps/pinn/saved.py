"""A solution as numbers, in a file or a pickle, and back.

A file holds the trained parameters, the points, how the runs went and the unknown coefficients, without
pickle.  Equations are functions, which no file holds: they are given again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from marquardt import Result, Status
from marquardt.apps.pinn.coefficients import Coefficient
from marquardt.apps.pinn.network import Dense, FieldNetwork
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.samples import Samples
from marquardt.apps.pinn.training import Run
from marquardt.files import ModelFileError, history_arrays, history_from_arrays, read_archive, write_archive
from marquardt.jax_models import GroupFit

if TYPE_CHECKING:
    from marquardt.apps.pinn.solution import Solution

KIND = "solution"
_NUMBERS = ("cost", "n_jacobians", "n_costs", "time")


@dataclass(frozen=True)
class SavedFit:
    """What is kept of the fit of a run: the parameters, and how it went."""

    params: Any
    result: Result
    notes: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"there is no {name!r} of a fit that was saved, which keeps its parameters and its result only: "
            "solve(pde, start=solution, max_iter=0) makes a whole one of it"
        )


def bare(run: Run) -> Run:
    """A run as numbers: without compiled code and Jacobians."""
    fit = run.fit
    # an exception may hold anything
    result = replace(fit.result, linearization=None, error=None)
    return replace(run, fit=_saved(jax.tree.map(_number, fit.params), result, fit.notes))


def _saved(params: Any, result: Result, notes: Sequence[str]) -> GroupFit:
    """Whoever asks for more than parameters and result is told how to get it."""
    return cast(GroupFit, SavedFit(params, result, tuple(notes)))


def save(solution: Solution, path: str | os.PathLike[str]) -> None:
    """See `Solution.save`."""
    network = solution.network
    header: dict[str, Any] = {
        "kind": KIND,
        "box": [list(interval) for interval in solution.pde.box.intervals],
        "fields": list(solution.pde.fields),
        "network": asdict(network) if isinstance(network, Dense) else None,
        "groups": list(solution.samples.places),
        "unknowns": {name: [c.value, c.standard_error] for name, c in solution.unknowns.items()},
        "runs": [_run_header(run) for run in solution.runs],
    }
    arrays: dict[str, Any] = {}
    for k, place in enumerate(solution.samples.places.values()):
        parts = place if isinstance(place, tuple) else (place,)
        arrays |= {f"places{k}.{i}": part for i, part in enumerate(parts)}
    for k, run in enumerate(solution.runs):
        arrays[f"run{k}.w"] = run.fit.result.w
        arrays |= {f"run{k}.leaf{i}": leaf for i, leaf in enumerate(jax.tree.leaves(run.fit.params))}
        arrays |= {f"run{k}.{name}": a for name, a in history_arrays(run.fit.result.history).items()}
    write_archive(path, header, arrays)


def load(path: str | os.PathLike[str], pde: PDE, network: FieldNetwork | None) -> dict[str, Any]:
    """The fields of a `Solution`, and its unknowns; see `Solution.load`."""
    header, arrays = read_archive(path)
    name = os.fspath(path)
    if header.get("kind") != KIND:
        raise ModelFileError(
            f"{name!r} holds no solution of a differential problem, but a {str(header.get('kind'))[:40]}: "
            "read it by marquardt.load"
        )
    try:
        _check_same(name, header, pde)
        if network is None and header["network"] is None:
            raise ValueError(
                f"{name!r} was solved by a network of your own, which no file holds: give it, network=..."
            )
        chosen = network if network is not None else _dense(header["network"])
        model = pde.model(chosen)
        samples = Samples(pde, model)
        samples.places = {name: _place(k, arrays) for k, name in enumerate(header["groups"])}
        start = model.start(pde.unknowns, np.random.default_rng(0))
        runs = tuple(_run(entry, k, arrays, start) for k, entry in enumerate(header["runs"]))
        unknowns = {key: Coefficient(float(v), float(e)) for key, (v, e) in header["unknowns"].items()}
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelFileError(
            f"{name!r} is damaged ({type(error).__name__}: {str(error)[:200]}). Nothing in it was run."
        ) from error
    return {"network": chosen, "model": model, "samples": samples, "runs": runs, "unknowns": unknowns}


def _check_same(name: str, header: Mapping[str, Any], pde: PDE) -> None:
    """ValueError for another problem."""
    saved = {
        "box": [tuple(interval) for interval in header["box"]],
        "fields": list(header["fields"]),
        "groups": list(header["groups"]),
        "unknowns": list(header["unknowns"]),
    }
    given = {
        "box": list(pde.box.intervals),
        "fields": list(pde.fields),
        "groups": list(pde.named_groups),
        "unknowns": list(pde.unknowns),
    }
    for what in saved:
        if saved[what] != given[what]:
            raise ValueError(
                f"{name!r} was solved with {what} {saved[what]}, but pde has {given[what]}: give the problem "
                "that was solved"
            )


def _dense(data: Mapping[str, Any]) -> Dense:
    return Dense(
        tuple(int(width) for width in data["hidden"]),
        str(data["activation"]),
        tuple(str(name) for name in data["periodic"]),
        float(data["first_scale"]),
    )


def _place(k: int, arrays: Mapping[str, np.ndarray]) -> Any:
    points, values = arrays[f"places{k}.0"], arrays.get(f"places{k}.1")
    return points if values is None else (points, values)


def _run_header(run: Run) -> dict[str, Any]:
    result = run.fit.result
    return {
        "name": run.name,
        "ending": run.ending,
        "stalled": bool(run.stalled),
        "notes": list(run.fit.notes),
        "status": result.status.name,
        "message": result.message,
        **{name: getattr(result, name) for name in _NUMBERS},
    }


def _run(data: Mapping[str, Any], k: int, arrays: Mapping[str, np.ndarray], start: Any) -> Run:
    own = {key.removeprefix(f"run{k}."): a for key, a in arrays.items() if key.startswith(f"run{k}.")}
    first, structure = jax.tree.flatten(start)
    leaves = [own[f"leaf{i}"] for i in range(len(first))]
    if f"leaf{len(first)}" in own or [np.shape(a) for a in leaves] != [np.shape(a) for a in first]:
        raise ValueError(
            f"the file's parameters have shapes {[np.shape(a) for a in leaves]}, the network has "
            f"{[np.shape(a) for a in first]}: give the network that was trained, network=..."
        )
    result = Result(
        w=own["w"],
        w_last=own["w"],
        status=Status[data["status"]],
        message=str(data["message"]),
        history=history_from_arrays(own),
        cost=float(data["cost"]),
        time=float(data["time"]),
        n_jacobians=int(data["n_jacobians"]),
        n_costs=int(data["n_costs"]),
    )
    fit = _saved(structure.unflatten([_number(leaf) for leaf in leaves]), result, data["notes"])
    return Run(str(data["name"]), fit, str(data["ending"]), bool(data["stalled"]))


def _number(leaf: Any) -> Any:
    """A plain number, or an array of NumPy."""
    return float(leaf) if np.ndim(leaf) == 0 else np.asarray(leaf)
