"""The search space of a library: sites, and the tables of what their levels cost together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from learners.analysis import Analysis
from learners.base import WeightLearner, level_bits
from learners.channel.group_levels import GroupLevels
from learners.export.packing import FLOAT_BITS, INLINE_BYTES, MAP_BITS, level_bytes, weight_bytes
from learners.graph.layers import INDEX_MAP
from learners.library.code_counts import CodeCounts
from learners.library.wiring import Wiring, level_places
from storage.records.space import CHANNEL, Factor, Level, Site

Floats = npt.NDArray[np.float64]
CHANNELS_KIND = "channels"
UNCHANGED = "unchanged"
SMALLEST_POWER = 1e-12


@dataclass(frozen=True)
class LayerErrors:
    """Squared output errors of a layer's rows, in the unit of its outputs."""

    power: Floats  # [rows] variance of each output
    pruned: Mapping[int, Floats]  # source -> [levels of it, rows]
    rounded: Floats  # [levels of a layer's one source, widths, rows]; of several sources [1, widths, rows]


def blank_errors(wiring: Wiring, widths: int) -> LayerErrors:
    """Errors of zero, for costs before anything is built."""
    rows = len_rows(wiring)
    pruned = {source: np.zeros((len(columns), rows)) for source, columns in wiring.columns.items()}
    variants = len(wiring.columns[wiring.sources[0]]) if len(wiring.sources) == 1 else 1
    return LayerErrors(np.ones(rows), pruned, np.zeros((variants, widths, rows)))


def len_rows(wiring: Wiring) -> int:
    """Output channels of the dense layer."""
    return wiring.layer.shape[0]


def make_sites(
    analysis: Analysis,
    groups: Sequence[GroupLevels],
    learner: WeightLearner | None,
    name: str,
    methods: Mapping[tuple[str, str], str],
    removed: str,
) -> tuple[Site, ...]:
    """One site for every group, then one for the width of every layer.

    `name` is the weight learner's; `methods` says how (layer, level) was made, `removed` what is done to a group.
    """
    layers = {layer.name: layer for layer in (*analysis.layers, *analysis.maps)}
    sites = []
    for item in groups:
        every = [layers[layer] for layer in item.group.layers]
        own = [layer for layer in every if layer.kind != INDEX_MAP] or every  # people know no index maps
        levels = tuple(
            Level(f"c{item.width(level)}", channels=item.width(level), method=removed if level else UNCHANGED)
            for level in range(len(item.counts))
        )
        macs, weights = sum(layer.macs for layer in own), sum(prod(layer.shape) for layer in own)
        names = tuple(layer.name for layer in own)
        sites.append(Site(item.group.name, CHANNEL, CHANNELS_KIND, macs, weights, levels, names))
    if learner is not None:
        for layer in analysis.layers:
            levels = tuple(
                Level(level, bits=level_bits(level), method=methods[layer.name, level])
                for level in learner.levels(layer)
            )
            site = Site(layer.name, name, layer.kind, layer.macs, prod(layer.shape), levels, (layer.name,))
            sites.append(site)
    return tuple(sites)


def make_factors(
    analysis: Analysis,
    groups: Sequence[GroupLevels],
    sites: Sequence[Site],
    wirings: Sequence[Wiring],
    errors: Mapping[str, LayerErrors],
    codes: Mapping[str, CodeCounts],
    quantised: bool,
) -> tuple[Factor, ...]:
    """The tables of all layers, then of the tensors that follow the channels without a layer."""
    factors: list[Factor] = []
    for wiring in wirings:
        build = _joint_factors if len(wiring.sources) > 1 else _single_factor
        name = wiring.layer.name
        factors.extend(build(wiring, sites, errors[name], codes[name], quantised))
    factors.extend(_followers(analysis, groups, wirings))
    return tuple(factors)


def _single_factor(
    wiring: Wiring, sites: Sequence[Site], errors: LayerErrors, codes: CodeCounts, quantised: bool
) -> list[Factor]:
    """A layer that reads at most one group: all that its table says is so."""
    size, macs, error = [], [], []
    source = wiring.sources[0] if wiring.sources else None
    for choice in _choices(wiring.sites, sites):
        variant = choice[source] if source is not None else 0
        places = wiring.rows[choice[wiring.output] if wiring.output is not None else 0]
        rows = int(places.sum())
        columns = wiring.fixed_columns + (wiring.columns[source][variant] if source is not None else 0)
        width = choice[wiring.precision] if wiring.precision is not None else 0
        counts = codes.of(variant, width, places)
        size.append(level_bytes(_bits(wiring, sites, choice, quantised), rows, rows * columns, counts))
        macs.append(float(rows * columns * _positions(wiring)))
        lost = errors.pruned[source][variant] if source is not None else np.zeros(len(places))
        error.append(_relative(lost + errors.rounded[variant, width], errors.power, places))
    return [Factor(wiring.layer.name, wiring.sites, tuple(size), tuple(macs), tuple(error))]


def _joint_factors(
    wiring: Wiring, sites: Sequence[Site], errors: LayerErrors, codes: CodeCounts, quantised: bool
) -> list[Factor]:
    """A layer that reads several groups: costs and errors of each added up. Codes are as frequent as with all channels,
    nearly; errors of several sources at once are a little more or less than their sum."""
    factors = []
    for source in wiring.sources:
        own = tuple(dict.fromkeys(item for item in (source, wiring.output, wiring.precision) if item is not None))
        size, macs, error = [], [], []
        for choice in _choices(own, sites):
            places = wiring.rows[choice[wiring.output] if wiring.output is not None else 0]
            weights = int(places.sum()) * wiring.columns[source][choice[source]]
            width = choice[wiring.precision] if wiring.precision is not None else 0
            counts = codes.of(0, width, places)
            size.append(weight_bytes(_bits(wiring, sites, choice, quantised), weights, counts))
            macs.append(float(weights * _positions(wiring)))
            error.append(_relative(errors.pruned[source][choice[source]], errors.power, places))
        factors.append(Factor(wiring.layer.name, own, tuple(size), tuple(macs), tuple(error)))
    own = tuple(item for item in (wiring.output, wiring.precision) if item is not None)
    size, macs, error = [], [], []
    for choice in _choices(own, sites):
        places = wiring.rows[choice[wiring.output] if wiring.output is not None else 0]
        rows = int(places.sum())
        width = choice[wiring.precision] if wiring.precision is not None else 0
        counts, bits = codes.of(0, width, places), _bits(wiring, sites, choice, quantised)
        size.append(level_bytes(bits, rows, rows * wiring.fixed_columns, counts))
        macs.append(float(rows * wiring.fixed_columns * _positions(wiring)))
        error.append(_relative(errors.rounded[0, width], errors.power, places))
    factors.append(Factor(wiring.layer.name, own, tuple(size), tuple(macs), tuple(error)))
    return factors


def _followers(analysis: Analysis, groups: Sequence[GroupLevels], wirings: Sequence[Wiring]) -> list[Factor]:
    """Batch norms that could not be folded, slopes and the like: bytes a channel."""
    layers = {name for wiring in wirings for name in (wiring.layer.weight, wiring.layer.bias)}
    group_of = {unit: index for index, item in enumerate(groups) for unit in item.group.units}
    tensors, lanes = analysis.coupling.tensors, analysis.lanes.tensors
    raw = {name: analysis.tensors[name].numpy() for name in tensors if name not in layers}
    # The exporter reshapes some of them, such as slopes, into constants of its own, which a file holds besides.
    constants = {
        item.name: numpy_helper.to_array(item)
        for item in analysis.template.graph.initializer
        if item.name in lanes and item.name not in layers | raw.keys()
    }
    factors = []
    for name, array in (raw | constants).items():
        for slot in tensors[name] if name in raw else lanes[name]:
            each = array.nbytes / len(slot.units)
            inline = name in constants and _vanishes(array)
            for group in dict.fromkeys(group_of[unit] for unit in slot.units.tolist() if unit in group_of):
                lengths = [int(places.sum()) for places in level_places(slot, groups[group])]
                bytes_left = [0.0 if inline and each * left <= INLINE_BYTES else each * left for left in lengths]
                size = tuple(left - bytes_left[0] for left in bytes_left)
                zeros = (0.0,) * len(lengths)
                factors.append(Factor(name, (group,), size, zeros, zeros))
    return factors


def _vanishes(array: npt.NDArray[np.generic]) -> bool:
    """Whether a constant takes next to nothing in the compressed template, where those of few bytes stand."""
    return bool((array == array.flat[0]).all())


def _choices(own: Sequence[int], sites: Sequence[Site]) -> list[dict[int, int]]:
    """Every combination of levels of some sites, row-major."""
    ranges = [range(len(sites[site].levels)) for site in own]
    return [dict(zip(own, levels, strict=True)) for levels in itertools.product(*ranges)]


def _bits(wiring: Wiring, sites: Sequence[Site], choice: Mapping[int, int], quantised: bool) -> int:
    if wiring.layer.kind == INDEX_MAP:
        return MAP_BITS if quantised else FLOAT_BITS
    return FLOAT_BITS if wiring.precision is None else sites[wiring.precision].levels[choice[wiring.precision]].bits


def _positions(wiring: Wiring) -> int:
    """How often each weight is used for one sample."""
    return wiring.layer.macs // prod(wiring.layer.shape)


def _relative(errors: Floats, power: Floats, rows: npt.NDArray[np.bool_]) -> float:
    """Error of the rows that stay, relative to their variance."""
    return float(errors[rows].sum() / max(float(power[rows].sum()), SMALLEST_POWER))
