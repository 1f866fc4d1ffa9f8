"""What is to be timed of a model: its layers and the operations between them, in every size that the levels give them.

Where a tensor is read in another precision than it was made in, the conversion is timed as an operation of its own. An
operation that has an integer kernel, or only moves values, has the precision of what it reads (of several inputs one
stands for all); everything else is float for good, kept and protected layers too. What
`learners.latency.models.GLUE` does not name counts as free.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import helper

from learners.export.region import CLAMPS, MANY_INPUTS, MOVES, POOLS, data_inputs
from learners.graph.layers import DEPTHWISE, INDEX_MAP
from learners.latency.blocks import GlueCell, LayerCell, TimedGlue, TimedLayer, extent, repeats
from learners.latency.models import BOUNDARY, GLUE, PARTIAL_INPUTS, WHOLE
from learners.library.library import Library
from learners.library.wiring import Wiring
from storage.records.space import FLOAT_BITS

IMAGE_AXES = 4
FEATURE_AXES = 2
LINEAR = "linear"  # the kind of layers that read the last axis; all others read axis 1
CHANNELS_FIRST = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool"})  # by their definition in ONNX
RESIZING = CHANNELS_FIRST | WHOLE  # the output has another size than the input
FOLLOWERS = MANY_INPUTS | POOLS | CLAMPS | MOVES  # run in int8 where what they read is


@dataclass(frozen=True)
class TimedModel:
    """All that is timed of a model."""

    layers: tuple[TimedLayer, ...]
    glue: tuple[TimedGlue, ...]

    @property
    def boundaries(self) -> frozenset[int]:
        """Which of the table's factors, layers first, are conversions between float and int8."""
        return frozenset(len(self.layers) + index for index, item in enumerate(self.glue) if item.op == BOUNDARY)


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
        self._input = analysis.template.graph.input[0].name
        # The precision site of what makes a tensor, None where that is float for good. Not of the model's input, which
        # the first layer converts itself.
        self._made_in: dict[str, int | None] = {}
        self._axes: dict[str, int] = {}  # along which a tensor has its channels, where a layer has said so
        self._bounded: set[tuple[str, int | None]] = set()  # tensors, and the precision sites that read them

    def read(self) -> TimedModel:
        layers: list[TimedLayer] = []
        glue: list[TimedGlue] = []
        absorbed: set[int] = set()
        for index, node in enumerate(self._nodes):
            wiring = self._wirings.get(index)
            precision = self._precision(node, wiring)
            follower = self._activation(node)
            if wiring is not None or node.op_type == "Add":
                absorbed |= {follower} if follower is not None else set()
            if wiring is not None:
                layers.extend(self._layer(node, wiring, precision, follower))
            elif node.op_type in GLUE and index not in absorbed and self._is_of_activations(node):
                glue.extend(self._glue(index, node, precision, follower is not None))
            glue.extend(self._boundaries(node, precision))
            self._follow_channels(node, wiring)
            self._made_in.update((name, precision) for name in node.output if name in self._lanes.shapes)
        return TimedModel(tuple(layers), tuple(glue))

    def _is_of_activations(self, node: onnx.NodeProto) -> bool:
        """Whether a node computes on what layers make, not on shapes or single numbers."""
        shapes = (self._lanes.shapes.get(name, ()) for name in (*data_inputs(node), node.output[0]))
        return all(len(shape) >= FEATURE_AXES for shape in shapes)

    def _activation(self, node: onnx.NodeProto) -> int | None:
        """The Relu or Clip that alone reads a node."""
        readers = self._readers.get(node.output[0], [])
        return readers[0] if len(readers) == 1 and self._nodes[readers[0]].op_type in CLAMPS else None

    def _follow_channels(self, node: onnx.NodeProto, wiring: Wiring | None) -> None:
        """Notes where the channels lie in what a node makes, if that is known of what it reads."""
        output, shapes = node.output[0], self._lanes.shapes
        if wiring is not None:
            self._axes[output] = len(shapes[output]) - 1 if wiring.layer.kind == LINEAR else 1
            return
        source = next((name for name in node.input if name in self._axes), None)
        if source is None or len(shapes[source]) != len(shapes.get(output, ())):
            return
        order = next((helper.get_attribute_value(item) for item in node.attribute if item.name == "perm"), None)
        self._axes[output] = self._axes[source] if order is None else list(order).index(self._axes[source])

    def _channel_axis(self, name: str) -> int:
        """The axis of the channels that can go, else that of those a layer has made, else the usual one."""
        slot, axes = self._lanes.values.get(name), len(self._lanes.shapes[name])
        usual = 1 if axes in (FEATURE_AXES, IMAGE_AXES) else axes - 1
        return slot.axis if slot is not None else self._axes.get(name, usual)

    # Layers

    def _layer(
        self, node: onnx.NodeProto, wiring: Wiring, precision: int | None, follower: int | None
    ) -> list[TimedLayer]:
        layer = wiring.layer
        shape = self._lanes.shapes[node.input[0]]
        convolution = layer.kind != LINEAR
        axis = 1 if convolution else len(shape) - 1
        base = TimedLayer(
            name=layer.name,
            kind="convolution" if layer.kind == INDEX_MAP else layer.kind,
            size=extent(shape, axis),
            sites=(),
            cells=(),
            kernel=(layer.shape[2], layer.shape[3]) if convolution else (1, 1),
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
            activation=follower is not None,
            clips=follower is not None and self._nodes[follower].op_type == "Clip",
            from_input=node.input[0] == self._input,
            repeats=repeats(shape, axis),
        )
        timed = []
        for place, own in enumerate([tuple(wiring.sources[:1]), *((source,) for source in wiring.sources[1:])]):
            sites = self._distinct(*own, wiring.output, precision)
            cells = tuple(self._cell(wiring, choice, precision) for choice in self._choices(sites))
            timed.append(replace(base, sites=sites, cells=cells, extra=place > 0))
        return timed

    def _cell(self, wiring: Wiring, choice: Mapping[int, int], precision: int | None) -> LayerCell:
        bits = self._bits(choice, precision)
        return LayerCell(self._inputs(wiring, choice), self._outputs(wiring, choice), bits)

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

    def _glue(self, index: int, node: onnx.NodeProto, precision: int | None, activation: bool) -> list[TimedGlue]:
        shapes, pools = self._lanes.shapes, node.op_type in CHANNELS_FIRST
        if pools and len(shapes[node.input[0]]) > IMAGE_AXES:
            return []  # of volumes: counts as free
        sized = node.input[0] if node.op_type in RESIZING else node.output[0]
        if node.op_type == "ReduceMean" and len(shapes[sized]) == FEATURE_AXES:
            return []  # over the features themselves: counts as free
        name = node.output[0] if node.op_type != "Flatten" else node.input[0]
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        axis = 1 if pools else self._channel_axis(sized)
        base = TimedGlue(
            name=f"{node.op_type} {index}",
            op=node.op_type,
            size=extent(shapes[sized], axis),
            sites=(),
            cells=(),
            kernel=_pair(attributes.get("kernel_shape")),
            stride=_pair(attributes.get("strides")),
            padding=_begins(attributes.get("pads")),
            activation=activation and node.op_type == "Add",
            repeats=repeats(shapes[sized], axis),
        )
        return self._sized(base, name, 1 if pools else self._channel_axis(name), precision)

    def _boundaries(self, node: onnx.NodeProto, reader: int | None) -> list[TimedGlue]:
        """The conversions of the tensors that a node reads whose precision site is `reader`, each once."""
        found = []
        for name in dict.fromkeys(data_inputs(node)):
            if name not in self._made_in or (name, reader) in self._bounded:
                continue
            maker, shape = self._made_in[name], self._lanes.shapes[name]
            if maker == reader or len(shape) < FEATURE_AXES:
                continue
            self._bounded.add((name, reader))
            axis = self._channel_axis(name)
            ends = ["float" if site is None else self._sites[site].name for site in (maker, reader)]
            title, times = f"{name} from {ends[0]} to {ends[1]}", repeats(shape, axis)
            base = TimedGlue(title, BOUNDARY, extent(shape, axis), (), (), repeats=times)
            found.extend(self._sized(base, name, axis, maker, reader))
        return found

    def _sized(
        self, base: TimedGlue, name: str, axis: int, precision: int | None, reader: int | None = None
    ) -> list[TimedGlue]:
        """`base` for the channels that tensor `name` can have: one for each group that it has channels of."""
        slot, count = self._lanes.values.get(name), self._lanes.shapes[name][axis]
        units = slot.units.tolist() if slot is not None and slot.axis == axis else []
        groups = list(dict.fromkeys(self._group_of[unit] for unit in units if unit in self._group_of))
        found = []
        for place, own in enumerate([tuple(groups[:1]), *((group,) for group in groups[1:])]):
            sites = self._distinct(*own, precision, reader)
            cells = []
            for choice in self._choices(sites):
                removed = {unit for group in own for unit in self._library.groups[group].removed(choice.get(group, 0))}
                channels = count - sum(unit in removed for unit in units)
                reads = self._bits(choice, reader) if base.op == BOUNDARY else None
                cells.append(GlueCell(channels, self._bits(choice, precision), reads))
            found.append(replace(base, sites=sites, cells=tuple(cells), extra=place > 0))
        return found

    # Both

    def _precision(self, node: onnx.NodeProto, wiring: Wiring | None) -> int | None:
        """The site that decides in what a node computes, None if nothing does: its own, or that of what it reads.

        Of the parts of a concatenation it is the last, which in a DenseNet the newest layer has made.
        """
        if wiring is not None and wiring.layer.kind != INDEX_MAP:
            return wiring.precision
        if wiring is None and node.op_type not in FOLLOWERS:
            return None
        sites = [site for name in data_inputs(node) if (site := self._made_in.get(name)) is not None]
        return None if not sites else sites[-1] if node.op_type in PARTIAL_INPUTS else sites[0]

    def _bits(self, choice: Mapping[int, int], precision: int | None) -> int:
        return FLOAT_BITS if precision is None else self._sites[precision].levels[choice[precision]].bits

    @staticmethod
    def _distinct(*sites: int | None) -> tuple[int, ...]:
        return tuple(dict.fromkeys(site for site in sites if site is not None))

    def _choices(self, sites: Sequence[int]) -> list[dict[int, int]]:
        ranges = [range(len(self._sites[site].levels)) for site in sites]
        return [dict(zip(sites, levels, strict=True)) for levels in itertools.product(*ranges)]


def _pair(values: Sequence[int] | None) -> tuple[int, int]:
    """Of height and width; what has one axis only is as high as one place."""
    if not values:
        return 1, 1
    return (int(values[0]), int(values[1])) if len(values) > 1 else (1, int(values[0]))


def _begins(pads: Sequence[int] | None) -> tuple[int, int]:
    """The paddings above and to the left, of ONNX's list of all that come first and all that come last."""
    if not pads:
        return 0, 0
    return (int(pads[0]), int(pads[1])) if len(pads) == 2 * 2 else (0, int(pads[0]))
