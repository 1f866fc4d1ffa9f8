"""What is to be timed of a model: its layers and the operations between them, in every size that the levels give them.

A layer is timed as if its neighbours had its own precision. What `learners.latency.models.GLUE` does not name counts as
free.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import helper

from learners.export.region import CLAMPS
from learners.graph.layers import DEPTHWISE, INDEX_MAP
from learners.latency.blocks import GlueCell, LayerCell, TimedGlue, TimedLayer
from learners.latency.models import GLUE
from learners.library.library import Library
from learners.library.wiring import Wiring
from storage.records.space import FLOAT_BITS

IMAGE_AXES = 4


@dataclass(frozen=True)
class TimedModel:
    """All that is timed of a model."""

    layers: tuple[TimedLayer, ...]
    glue: tuple[TimedGlue, ...]


def timed_model(library: Library) -> TimedModel:
    """The layers and operations of a library's model."""
    return _Reader(library).read()


class _Reader:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._sites = library.space.sites
        analysis = library.analysis
        self._nodes = list(analysis.template.graph.node)
        self._lanes = analysis.lanes
        self._wirings = {analysis.nodes[item.layer.name].index: item for item in library.wirings}
        self._group_of = {unit: index for index, item in enumerate(library.groups) for unit in item.group.units}
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(self._nodes):
            for name in node.input:
                self._readers.setdefault(name, []).append(index)
        self._maker: dict[str, Wiring | None] = {analysis.template.graph.input[0].name: None}

    def read(self) -> TimedModel:
        layers: list[TimedLayer] = []
        glue: list[TimedGlue] = []
        absorbed: set[int] = set()
        for index, node in enumerate(self._nodes):
            wiring = self._wirings.get(index)
            follower = self._activation(node)
            if wiring is not None or node.op_type == "Add":
                absorbed |= {follower} if follower is not None else set()
            if wiring is not None:
                layers.extend(self._layer(node, wiring, follower))
            elif node.op_type in GLUE and index not in absorbed:
                glue.extend(self._glue(index, node, follower is not None))
            source = next((self._maker[name] for name in node.input if self._maker.get(name) is not None), None)
            for name in node.output:
                self._maker[name] = wiring if wiring is not None else source
        return TimedModel(tuple(layers), tuple(glue))

    def _activation(self, node: onnx.NodeProto) -> int | None:
        """The Relu or Clip that alone reads a node."""
        readers = self._readers.get(node.output[0], [])
        return readers[0] if len(readers) == 1 and self._nodes[readers[0]].op_type in CLAMPS else None

    # Layers

    def _layer(self, node: onnx.NodeProto, wiring: Wiring, follower: int | None) -> list[TimedLayer]:
        layer = wiring.layer
        shape = self._lanes.shapes[node.input[0]]
        maker = self._maker.get(node.input[0])
        precision = wiring.precision if layer.kind != INDEX_MAP else None if maker is None else maker.precision
        convolution = len(shape) == IMAGE_AXES
        base = TimedLayer(
            name=layer.name,
            kind="convolution" if layer.kind == INDEX_MAP else layer.kind,
            size=tuple(shape[2:]) if convolution else tuple(shape[1:-1]),
            sites=(),
            cells=(),
            kernel=(layer.shape[2], layer.shape[3]) if convolution else (1, 1),
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
            activation=follower is not None,
            clips=follower is not None and self._nodes[follower].op_type == "Clip",
            from_input=node.input[0] == self._library.analysis.template.graph.input[0].name,
        )
        timed = []
        for place, own in enumerate([tuple(wiring.sources[:1]), *((source,) for source in wiring.sources[1:])]):
            sites = self._distinct(*own, wiring.output, precision)
            cells = tuple(self._cell(wiring, choice, precision) for choice in self._choices(sites))
            timed.append(replace(base, sites=sites, cells=cells, extra=place > 0))
        return timed

    def _cell(self, wiring: Wiring, choice: Mapping[int, int], precision: int | None) -> LayerCell:
        bits = self._bits(choice, precision)
        return LayerCell(self._inputs(wiring, choice), self._outputs(wiring, choice), bits, bits, bits)

    def _inputs(self, wiring: Wiring, choice: Mapping[int, int]) -> int:
        """Input channels of a convolution, features of a linear layer; sources that are not in `choice` at their first
        level."""
        layer = wiring.layer
        if layer.kind == DEPTHWISE:
            return self._outputs(wiring, choice) // layer.rows
        taps = layer.columns // layer.shape[1]
        columns = wiring.fixed_columns + sum(counts[choice.get(source, 0)] for source, counts in wiring.columns.items())
        return columns // taps * layer.groups

    @staticmethod
    def _outputs(wiring: Wiring, choice: Mapping[int, int]) -> int:
        return int(wiring.rows[choice.get(wiring.output, 0) if wiring.output is not None else 0].sum())

    # Operations between layers

    def _glue(self, index: int, node: onnx.NodeProto, activation: bool) -> list[TimedGlue]:
        shape = self._lanes.shapes[node.input[0]]
        name = node.output[0] if node.op_type != "Flatten" else node.input[0]
        shown = self._lanes.shapes[name]
        axis = 1 if len(shown) == IMAGE_AXES or len(shown) == 2 else len(shown) - 1
        maker = next((self._maker[item] for item in node.input if self._maker.get(item) is not None), None)
        precision = None if maker is None else maker.precision
        slot = self._lanes.values.get(name)
        groups = (
            list(dict.fromkeys(self._group_of[unit] for unit in slot.units.tolist() if unit in self._group_of))
            if slot is not None and slot.axis == axis
            else []
        )
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        base = TimedGlue(
            name=f"{node.op_type} {index}",
            op=node.op_type,
            size=tuple(shape[2:]) if len(shape) == IMAGE_AXES else tuple(shape[1:-1]),
            sites=(),
            cells=(),
            kernel=_pair(attributes.get("kernel_shape")),
            stride=_pair(attributes.get("strides")),
            padding=_pair(attributes.get("pads"), 0),
            activation=activation and node.op_type == "Add",
        )
        found = []
        for place, own in enumerate([tuple(groups[:1]), *((group,) for group in groups[1:])]):
            sites = self._distinct(*own, precision)
            cells = []
            for choice in self._choices(sites):
                channels = shown[axis]
                if slot is not None:
                    removed = [
                        unit for group in own for unit in self._library.groups[group].removed(choice.get(group, 0))
                    ]
                    channels -= sum(unit in set(removed) for unit in slot.units.tolist())
                bits = self._bits(choice, precision)
                cells.append(GlueCell(channels, bits, bits, bits))
            found.append(replace(base, sites=sites, cells=tuple(cells), extra=place > 0))
        return found

    # Both

    def _bits(self, choice: Mapping[int, int], precision: int | None) -> int:
        return FLOAT_BITS if precision is None else self._sites[precision].levels[choice[precision]].bits

    @staticmethod
    def _distinct(*sites: int | None) -> tuple[int, ...]:
        return tuple(dict.fromkeys(site for site in sites if site is not None))

    def _choices(self, sites: Sequence[int]) -> list[dict[int, int]]:
        ranges = [range(len(self._sites[site].levels)) for site in sites]
        return [dict(zip(sites, levels, strict=True)) for levels in itertools.product(*ranges)]


def _pair(values: Sequence[int] | None, default: int = 1) -> tuple[int, int]:
    return (int(values[0]), int(values[1])) if values else (default, default)
