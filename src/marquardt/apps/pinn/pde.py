"""A differential problem: domain, groups of residuals, fields, unknown coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marquardt.apps.pinn.domain import Box
from marquardt.apps.pinn.field_model import FieldModel, Hard
from marquardt.apps.pinn.groups import Group, named
from marquardt.apps.pinn.network import FieldNetwork
from marquardt.apps.pinn.point import Point


@dataclass(frozen=True)
class PDE:
    """What is to be solved.

    Parameters
    ----------
    box : Box
    groups : sequence or mapping of groups
        `Interior`, `Boundary`, `initial`, `Periodic`, `Data`, `Conservation`.
    fields : tuple of str
    unknowns : mapping of str to float
        Coefficients to be found beside the fields, with their starts; an equation has them as ``at.name``.
    positive : tuple of str
        Those of them that stay positive.
    hard : callable, optional
        ``hard(at, outputs)`` -> fields: conditions built in, ``at.x * (1 - at.x) * outputs`` for zero at
        both ends.  `at` has the coordinates only.

    Examples
    --------
    >>> from marquardt.apps.pinn import Boundary, Box, Interior
    >>> problem = PDE(
    ...     Box.of(x=(0, 1)),
    ...     [Interior(lambda at: at.u_xx + 1.0, n=20), Boundary(lambda at: at.u, n=2)],
    ... )
    >>> problem.fields
    ('u',)
    """

    box: Box
    groups: Sequence[Group] | Mapping[str, Group]
    fields: tuple[str, ...] = ("u",)
    unknowns: Mapping[str, float] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    hard: Hard | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.box, Box):
            raise TypeError(f"box={self.box!r} must be a Box: Box.of(x=(0, 1), t=(0, 1))")
        if not isinstance(self.groups, Mapping | Sequence):
            raise TypeError(f"groups must be a list, [Interior(...), ...], not {type(self.groups).__name__}")
        fields = (self.fields,) if isinstance(self.fields, str) else tuple(self.fields)
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "groups", named(self.groups))
        if not self.groups:
            raise ValueError("groups is empty: give the equation, as Interior(...), and its conditions")
        names = [*self.box.names, *fields, *self.unknowns]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(
                f"{', '.join(sorted(twice))}: coordinates, fields and unknowns need different names"
            )
        clash = [name for name in names if name in dir(Point)]
        if clash:
            raise ValueError(f"{', '.join(clash)}: that is a method of a point; take another name")
        marked = [name for name in [*fields, *self.unknowns] if name.startswith("_")]
        if marked or any("_" in name for name in fields):
            raise ValueError(f"fields={fields!r}: leave out the underscore, which marks derivatives")
        if set(self.positive) - set(self.unknowns):
            raise ValueError(f"positive={self.positive!r} must be among the unknowns {list(self.unknowns)}")

    @property
    def named_groups(self) -> dict[str, Group]:
        assert isinstance(self.groups, dict)
        return self.groups

    def model(self, network: FieldNetwork) -> FieldModel:
        """Its fields by a network."""
        return FieldModel(self.box, self.fields, network, self.hard)
