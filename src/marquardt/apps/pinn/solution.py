"""A solved problem: fields anywhere, errors, unknown coefficients, and how the run went."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from marquardt import Iteration, Status
from marquardt.apps.pinn.coefficients import Coefficient, coefficients
from marquardt.apps.pinn.field_model import FieldModel
from marquardt.apps.pinn.network import FieldNetwork
from marquardt.apps.pinn.pde import PDE
from marquardt.apps.pinn.samples import Samples
from marquardt.apps.pinn.training import Run
from marquardt.jax_models import GroupFit, double_precision

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Fields that satisfy a differential problem, as far as the network can."""

    pde: PDE
    network: FieldNetwork
    model: FieldModel = field(repr=False)
    samples: Samples = field(repr=False)
    runs: tuple[Run, ...]
    """One after the other, each from where the one before had ended."""

    @property
    def fit(self) -> GroupFit:
        """Of the last run."""
        return self.runs[-1].fit

    @property
    def params(self) -> Any:
        return self.fit.params

    @property
    def cost(self) -> float:
        return self.fit.result.cost

    @property
    def status(self) -> Status:
        return self.fit.result.status

    @property
    def success(self) -> bool:
        """Whether the last run came to rest: it converged, or its cost no longer fell."""
        return self.runs[-1].stalled or self.fit.result.success

    @property
    def message(self) -> str:
        """How the runs ended, and the root mean square of each group's residuals."""
        sizes = ", ".join(f"{name} {size:.2e}" for name, size in self.residual_sizes().items())
        runs = [f"{run.name[0].upper()}{run.name[1:]}: {run.ending}" for run in self.runs]
        return "\n".join([*runs, f"Residuals, root mean square: {sizes}."])

    @property
    def history(self) -> list[Iteration]:
        """Records of all runs, one after the other."""
        return [record for run in self.runs for record in run.fit.result.history]

    def __call__(self, **coordinates: ArrayLike) -> Numbers | dict[str, Numbers]:
        """The field at coordinates that broadcast, in their shape; a dict for several fields."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in coordinates.values()))
        table = self.predict(coordinates)
        result = {name: values.reshape(shape) for name, values in table.items()}
        return result[self.pde.fields[0]] if len(result) == 1 else result

    def predict(
        self, points: ArrayLike | Mapping[str, ArrayLike], names: Sequence[str] | str | None = None
    ) -> dict[str, Numbers]:
        """Fields and derivatives by name at points (n, d): ``predict(points, ["u", "u_x"])``."""
        table = self.pde.box.table(points)
        wanted = (names,) if isinstance(names, str) else tuple(names or self.pde.fields)
        with double_precision():
            values = np.asarray(_evaluate(self.model, wanted)(self.params, table))
        return dict(zip(wanted, values.T, strict=True))

    def error(
        self,
        exact: Callable[..., ArrayLike],
        *,
        field: str | None = None,
        points: ArrayLike | Mapping[str, ArrayLike] | None = None,
        relative: bool = True,
    ) -> float:
        """‖u − exact‖₂ over the points, a grid by default; relative to ‖exact‖₂, or as root mean square.

        `exact` is called with the coordinates by name.
        """
        table = self._test_points() if points is None else self.pde.box.table(points)
        truth = np.broadcast_to(
            np.asarray(exact(**dict(zip(self.pde.box.names, table.T, strict=True))), dtype=float), len(table)
        )
        difference = self.predict(table)[field or self.pde.fields[0]] - truth
        size = np.linalg.norm(truth) if relative else np.sqrt(len(table))
        return float(np.linalg.norm(difference) / size)

    def residual(self, group: str, points: ArrayLike | Mapping[str, ArrayLike]) -> Numbers:
        """Residuals (n, k) of a group, not of data, at other points: where to look for what was missed."""
        if group not in self.samples.places:
            raise ValueError(f"there is no group {group!r}; there are {', '.join(self.samples.places)}")
        if isinstance(self.samples.places[group], tuple):
            raise ValueError(f"group {group!r} holds data, which are where they are")
        return self.samples.residual(group, self.params, self.pde.box.table(points))

    def residual_sizes(self) -> dict[str, float]:
        """Root mean square of each group's residuals, unweighted, at its points."""
        return {
            name: float(np.sqrt(np.mean(self.samples.residual(name, self.params) ** 2)))
            for name in self.samples.places
        }

    @cached_property
    def unknowns(self) -> dict[str, Coefficient]:
        """The coefficients that were to be found, with standard errors from the data."""
        return coefficients(self)

    def params_for(self, pde: PDE, network: FieldNetwork) -> Any:
        """The parameters as a start for another problem."""
        if (
            network != self.network
            or pde.fields != self.pde.fields
            or pde.box.dimension != self.pde.box.dimension
        ):
            raise ValueError(
                f"start= was solved with {self.network} for the fields {', '.join(self.pde.fields)}; go on "
                "with the same network, fields and coordinates"
            )
        unknowns = {name: self.params["unknowns"].get(name, value) for name, value in pde.unknowns.items()}
        return {"network": self.params["network"], "unknowns": unknowns}

    def __str__(self) -> str:
        unknowns = [f"{name} = {value}" for name, value in self.unknowns.items()]
        return "\n".join(
            [f"Solution of {', '.join(self.pde.fields)} on {self.pde.box}", self.message, *unknowns]
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """To a `.marquardt` file, in one step and without pickle: parameters, points, how the runs went,
        unknown coefficients with their errors.  The equations are functions, and no file holds them."""
        from marquardt.apps.pinn import saved

        saved.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], pde: PDE, *, network: FieldNetwork | None = None) -> Solution:
        """A solution from its file and its problem, for predictions, pictures, and as ``start=``.

        Parameters
        ----------
        path : path-like
        pde : PDE
            The problem that was solved: the same domain, fields, groups and unknowns.
        network : optional
            Where it was not `Dense`.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, or another kind of file; nothing in it is run.
        ValueError
            If it belongs to another problem or network.
        """
        from marquardt.apps.pinn import saved

        parts = saved.load(path, pde, network)
        unknowns = parts.pop("unknowns")
        solution = cls(pde, **parts)
        vars(solution)["unknowns"] = unknowns
        return solution

    def __getstate__(self) -> dict[str, Any]:
        """For pickle, where the equations are functions of a module: numbers, no compiled code."""
        from marquardt.apps.pinn import saved

        state = {**vars(self), "unknowns": self.unknowns}
        return {**state, "runs": tuple(saved.bare(run) for run in self.runs)}

    def plot(self, exact: Callable[..., ArrayLike] | None = None) -> Any:
        """A picture of the solution, its error, the residuals of the groups, cost and damping."""
        from marquardt.apps.pinn.pictures import picture

        return picture(self, exact)

    def _test_points(self) -> Numbers:
        """101 points a side in one and two dimensions; 10 000 random points in more."""
        box = self.pde.box
        if box.dimension <= 2:
            return box.grid(101)
        return box.scaled(np.random.default_rng(0).uniform(size=(10_000, box.dimension)))


@lru_cache(maxsize=64)
def _evaluate(model: FieldModel, names: tuple[str, ...]) -> Any:
    def one(params: Any, x: jax.Array) -> jax.Array:
        at = model.at(params, x)
        return jnp.stack([getattr(at, name) for name in names])

    return jax.jit(jax.vmap(one, in_axes=(None, 0)))
