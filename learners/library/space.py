"""The search space of a library: before it is built, and with its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod

import numpy as np
import torch

from learners.analysis import Analysis
from learners.base import Adapted, GroupLearner, Learner, LevelWeights, WeightLearner, level_bits, split
from learners.channel.group_levels import GroupLevels, kept_units
from learners.channel.groups import ChannelGroup
from learners.export.activations import Range
from learners.export.packing import FLOAT_BITS, MAP_BITS, level_bytes, pack_candidate
from learners.export.qdq import float_tensors
from learners.graph.layers import INDEX_MAP
from learners.library.adapt import ORIGINAL
from learners.library.code_counts import CodeCounts, count_codes
from learners.library.costs import LayerErrors, blank_errors, make_factors, make_sites
from learners.library.wiring import Wiring, wire
from storage.records.space import CHANNEL, Factor, LayerShape, Protected, SearchSpace, Site
from storage.slim import InputContract, pack

ALL_AT_ONCE = "those that may go can only go all at once"
MIDDLE = 0.5  # among a layer's widths, from float to the smallest: one that runs in int8


def precision_sites(analysis: Analysis, groups: Sequence[GroupLevels], weights: WeightLearner | None) -> dict[str, int]:
    """The site of each layer's width: behind those of the groups, in the order of the layers."""
    if weights is None:
        return {}
    return {layer.name: len(groups) + index for index, layer in enumerate(analysis.layers)}


def planned_space(analysis: Analysis, learners: Sequence[Learner]) -> SearchSpace:
    """The space before anything is built: costs of channels that go in any order, errors all zero."""
    channels, weights = split(learners)
    groups = tuple(_planned(group, channels) for group in analysis.groups) if channels is not None else ()
    wirings = wire(analysis, groups, precision_sites(analysis, groups, weights))
    errors, levels = {}, {}
    for wiring in wirings:
        layer = wiring.layer
        names = weights.levels(layer) if weights is not None and wiring.precision is not None else (ORIGINAL,)
        errors[layer.name] = blank_errors(wiring, len(names))
        levels[layer.name] = (tuple(_blank(analysis, wiring, name) for name in names),)
    unit = dict.fromkeys(float_tensors(analysis.template, analysis.nodes), Range(0.0, 1.0))
    return search_space(analysis, groups, learners, levels, errors, unit)


def _planned(group: ChannelGroup, channels: GroupLearner) -> GroupLevels:
    left = [len(item) for item in group.together]
    order = []
    for unit in reversed(group.units):
        touched = [index for index, item in enumerate(group.together) if unit in item]
        if all(left[index] > 1 for index in touched):
            order.append(unit)
            for index in touched:
                left[index] -= 1
    return channels.group_levels(group, order)


def search_space(
    analysis: Analysis,
    groups: Sequence[GroupLevels],
    learners: Sequence[Learner],
    levels: Mapping[str, Sequence[Sequence[LevelWeights]]],
    errors: Mapping[str, LayerErrors],
    ranges: Mapping[str, Range],
) -> SearchSpace:
    """The sites with their costs, sizes as the codes of `levels` are. What a file costs besides is read off one that is
    packed for the purpose."""
    channels, weights = split(learners)
    wirings = wire(analysis, groups, precision_sites(analysis, groups, weights))
    methods = {(name, item.level): item.method for name, found in levels.items() for item in found[0]}
    name = next((item.name for item in learners if isinstance(item, WeightLearner)), "")
    removed = "" if channels is None else channels.method
    sites: tuple[Site, ...] = make_sites(analysis, groups, weights, name, methods, removed)
    codes = {wiring.layer.name: count_codes(wiring.layer, levels[wiring.layer.name]) for wiring in wirings}
    factors = make_factors(analysis, groups, sites, wirings, errors, codes, weights is not None)
    unmeasured = SearchSpace(
        sites=sites,
        protected=analysis.protected,
        fixed_bytes=0,
        factors=factors,
        fixed_macs=analysis.macs - sum(layer.macs for layer in analysis.layers),
        kept_channels=_kept_channels(analysis),
        layers=tuple(_shape(wiring) for wiring in wirings if wiring.layer.kind != INDEX_MAP),
    )
    contract = InputContract(analysis.input_shape, (0.0,), (1.0,))
    kept = kept_units(analysis.coupling, groups, (0,) * len(groups))

    def rest(place: float) -> int:
        """Bytes that no table knows of, with every layer at a place among its widths."""
        chosen = {name: found[0][ceil(place * (len(found[0]) - 1))] for name, found in levels.items()}
        packed = len(pack(pack_candidate(analysis, Adapted(kept, chosen), ranges, contract)))
        widths = [ceil(place * (len(levels[layer.name][0]) - 1)) for layer in analysis.layers]
        return packed - unmeasured.size_bytes((*(0,) * len(groups), *(widths if weights is not None else ())))

    if weights is None:
        return unmeasured.with_rest(rest(0.0), ())
    # The graph of a file in float is the smaller one: it has no grids. Each layer takes its share of the difference.
    # What index maps take there is nobody's: they run in int8 wherever a layer beside them does.
    fixed = rest(MIDDLE)
    share = (rest(0.0) - fixed - _map_growth(analysis, codes)) / len(analysis.layers)
    return unmeasured.with_rest(fixed, _float_shares(sites, share))


def _map_growth(analysis: Analysis, codes: Mapping[str, CodeCounts]) -> float:
    """Bytes that index maps take in float32 beyond those in int8, with all channels."""
    growth = 0.0
    for item in analysis.maps:
        rows, count = item.shape[0], prod(item.shape)
        counts = codes[item.name].of(0, 0, np.ones(rows, np.bool_))
        growth += level_bytes(FLOAT_BITS, rows, count, None) - level_bytes(MAP_BITS, rows, count, counts)
    return growth


def _float_shares(sites: Sequence[Site], share: float) -> tuple[Factor, ...]:
    """What a layer in float adds to the size of the graph."""
    found = []
    for index, site in enumerate(sites):
        if site.learner != CHANNEL:
            size = tuple(share if level.bits == FLOAT_BITS else 0.0 for level in site.levels)
            zeros = (0.0,) * len(size)
            found.append(Factor(site.name, (index,), size, zeros, zeros))
    return tuple(found)


def _kept_channels(analysis: Analysis) -> tuple[Protected, ...]:
    """The layers that no group decides on, and why: the traced graph, its ONNX form, or too few channels."""
    decided = {name for group in analysis.groups for name in group.layers}
    reasons, blocked = analysis.coupling.reasons, analysis.lanes.blocked
    found = []
    for layer in analysis.layers:
        if layer.name not in decided:
            units = analysis.coupling.outputs[layer.name].tolist()
            one = len(set(units)) == 1  # which the ONNX form may not even move, as if it were no channels
            in_onnx = next((blocked[unit] for unit in units if unit in blocked and not one), ALL_AT_ONCE)
            found.append(Protected(layer.name, reasons.get(layer.name, in_onnx)))
    return tuple(found)


def _shape(wiring: Wiring) -> LayerShape:
    layer, channels = wiring.layer, tuple(int(places.sum()) for places in wiring.rows)
    return LayerShape(layer.name, layer.kind, prod(layer.shape), layer.macs, wiring.output, channels)


def _blank(analysis: Analysis, wiring: Wiring, level: str) -> LevelWeights:
    """A level for its size: its codes are all as frequent, so that no entropy code makes them smaller."""
    layer, bits = wiring.layer, level_bits(level)
    rows = layer.shape[0]
    bias = analysis.tensors[layer.bias] if layer.bias is not None else None
    if bits == FLOAT_BITS:
        return LevelWeights(level, bits, analysis.tensors[layer.weight], None, None, None, bias, None, "")
    return LevelWeights(
        level=level,
        bits=bits,
        values=None,
        codes=(torch.arange(prod(layer.shape)) % 2**bits).to(torch.uint8).reshape(layer.shape),
        scale=torch.ones(rows, dtype=torch.float16),
        zero=torch.zeros(rows, dtype=torch.uint8),
        bias=torch.zeros(rows),
        row_errors=None,
        method="",
    )
