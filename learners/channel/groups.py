"""Groups: units that are decided on together, since the same layers make them. Each group is one site."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from learners.channel.coupling import Coupling
from learners.channel.lanes import FIXED

LEAST_UNITS = 2  # with fewer there is nothing to choose


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of a few layers that come and go together, unit by unit."""

    name: str  # of the layer that makes the most of them, of equals the first; a map only where there is no layer
    layers: tuple[str, ...]  # that make them, in the order of the graph; index maps among them
    units: tuple[int, ...]  # that may go
    made: tuple[int, ...]  # unit of each output channel of the layer called `name`
    together: tuple[frozenset[int], ...]  # of each set of units, one must stay
    # Unit of each output channel of each of `layers`; libraries of before do not hold it, and their levels are made.
    outputs: tuple[tuple[int, ...], ...] = ()

    @property
    def width(self) -> int:
        """Output channels of the layer called `name`."""
        return len(self.made)


def find_groups(
    coupling: Coupling, layers: Sequence[str], maps: Collection[str], blocked: Collection[int] = ()
) -> tuple[ChannelGroup, ...]:
    """The groups in the order of their first layers. `layers` names all that make channels, in the order of the graph;
    those of `maps`, which are index maps, name no group that has another.

    Units of `blocked` stay.
    """
    stay = {FIXED, *blocked}
    removable = {
        name: [int(unit) for unit in dict.fromkeys(coupling.outputs[name].tolist()) if unit not in stay]
        for name in layers
    }
    parents: dict[int, int] = {}

    def root(unit: int) -> int:
        while parents.setdefault(unit, unit) != unit:
            unit = parents[unit]
        return unit

    for units in removable.values():
        for unit in units[1:]:
            low, high = sorted((root(units[0]), root(unit)))
            parents[high] = low
    members: dict[int, list[str]] = {}
    for name, units in removable.items():
        if units:
            members.setdefault(root(units[0]), []).append(name)
    groups = [_group(coupling, names, maps, removable) for names in members.values()]
    return tuple(group for group in groups if len(group.units) >= LEAST_UNITS)


def _group(
    coupling: Coupling, names: Sequence[str], maps: Collection[str], removable: Mapping[str, Sequence[int]]
) -> ChannelGroup:
    units = tuple(sorted({unit for name in names for unit in removable[name]}))
    own = set(units)
    layers = [item for item in names if item not in maps] or names
    name = max(layers, key=lambda item: len(removable[item]))
    together = dict.fromkeys(item & own for item in coupling.together if item & own)
    return ChannelGroup(
        name=name,
        layers=tuple(names),
        units=units,
        made=tuple(coupling.outputs[name].tolist()),
        together=tuple(together),
        outputs=tuple(tuple(coupling.outputs[item].tolist()) for item in names),
    )
