"""Wiring: which sites decide on a layer, and what each of their levels leaves of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from learners.analysis import Analysis
from learners.channel.consumers import unit_columns
from learners.channel.coupling import Coupling, Slot
from learners.channel.group_levels import GroupLevels
from learners.graph.layers import DEPTHWISE, Layer


@dataclass(frozen=True)
class Wiring:
    """A layer or an index map as the sites see it. Sites of groups come first, in the order of the groups."""

    layer: Layer
    sources: tuple[int, ...]  # groups whose channels it reads; none of a depthwise convolution, which passes them on
    output: int | None  # group of its output channels
    precision: int | None  # site of its width
    rows: tuple[npt.NDArray[np.bool_], ...]  # which output channels each level of `output` keeps; one entry without
    columns: Mapping[int, tuple[int, ...]]  # source -> how many of its columns each level leaves in a row
    fixed_columns: int  # columns that no group decides

    @property
    def sites(self) -> tuple[int, ...]:
        """All sites that decide on it, each once."""
        found = [*self.sources, self.output, self.precision]
        return tuple(dict.fromkeys(site for site in found if site is not None))


def wire(analysis: Analysis, groups: Sequence[GroupLevels], precision: Mapping[str, int]) -> tuple[Wiring, ...]:
    """The wiring of all layers and index maps, layers first. `precision` gives the site of each layer's width."""
    group_of = {unit: index for index, item in enumerate(groups) for unit in item.group.units}
    return tuple(
        _wiring(analysis, layer, groups, group_of, precision.get(layer.name))
        for layer in (*analysis.layers, *analysis.maps)
    )


def _wiring(
    analysis: Analysis,
    layer: Layer,
    groups: Sequence[GroupLevels],
    group_of: Mapping[int, int],
    precision: int | None,
) -> Wiring:
    coupling = analysis.coupling
    made = coupling.outputs[layer.name]
    output = next((group_of[unit] for unit in made.tolist() if unit in group_of), None)
    rows = (np.ones(len(made), np.bool_),) if output is None else level_places(Slot(0, made), groups[output])
    columns: dict[int, tuple[int, ...]] = {}
    fixed = layer.columns
    if layer.kind != DEPTHWISE:
        by_unit = {unit: len(places) for unit, places in unit_columns(layer, coupling).items()}
        sources = dict.fromkeys(group_of[unit] for unit in by_unit if unit in group_of)
        for source in sources:
            own = {unit: count for unit, count in by_unit.items() if group_of.get(unit) == source}
            fixed -= sum(own.values())
            columns[source] = tuple(
                sum(own.values()) - sum(own.get(unit, 0) for unit in groups[source].removed(level))
                for level in range(len(groups[source].counts))
            )
    return Wiring(layer, tuple(columns), output, precision, rows, columns, fixed)


def level_places(slot: Slot, group: GroupLevels) -> tuple[npt.NDArray[np.bool_], ...]:
    """What each level of one group keeps of an axis, the other groups at their first."""
    return tuple(~np.isin(slot.units, group.removed(level)) for level in range(len(group.counts)))


def kept_columns(wiring: Wiring, coupling: Coupling, removed: Sequence[int]) -> torch.Tensor:
    """Indices of the columns that a layer has left without the units `removed`."""
    gone = set(removed)
    columns = unit_columns(wiring.layer, coupling)
    stay = torch.ones(wiring.layer.columns, dtype=torch.bool)
    for unit, places in columns.items():
        if unit in gone:
            stay[places] = False
    return stay.nonzero().squeeze(1)
